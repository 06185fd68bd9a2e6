"""Kinds of sound: synthesized stretches, the sample, real recordings."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.voice import voice_regions_of
from analyzers.contract import Analysis
from analyzers.sound.audio_environment import level_deviation_db, music_frames, speech_to_background_db
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip, sample_truth, shared_clip, synthetic_clip

CHORDS = tones.progression(tones.A_MINOR, tones.F_MAJOR, tones.C_MAJOR, tones.G_MAJOR)


def environment(sound: np.ndarray) -> Analysis:
    outcome = run_analyzer("audio_environment", synthetic_clip(None, sound=sound, sound_hz=16_000))
    assert outcome.succeeded, outcome.reason
    return outcome.analysis


@pytest.mark.parametrize(
    ("sound", "label"),
    [
        (tones.silence(6.0), "silence"),
        (tones.noise(6.0), "noise_like"),
        (CHORDS, "music_like"),
        (tones.drums(120, 8.0) + tones.noise(8.0, 0.002), "music_like"),
        (tones.sine(440, 6.0), "sound"),
    ],
    ids=["silence", "noise", "chords", "drums", "one tone"],
)
def test_one_kind_of_sound_throughout(sound: np.ndarray, label: str) -> None:
    analysis = environment(sound)
    assert analysis.summary["main"] == label
    assert analysis.summary[f"{label}_share"] > 0.85
    assert analysis.summary["speech_share"] == 0


def test_kinds_one_after_the_other() -> None:
    parts = [tones.silence(3.0), CHORDS, tones.silence(1.0), tones.noise(6.0)]
    found = [(s.label, s.start_s, s.end_s) for s in environment(np.concatenate(parts)).segments]
    known = [("silence", 0, 3), ("music_like", 3, 11), ("silence", 11, 12), ("noise_like", 12, 18)]
    assert [label for label, _, _ in found] == [label for label, _, _ in known]
    for (_, start_s, end_s), (_, known_start_s, known_end_s) in zip(found, known, strict=True):
        assert start_s == pytest.approx(known_start_s, abs=0.2)
        assert end_s == pytest.approx(known_end_s, abs=0.2)


def test_music_says_what_it_rests_on() -> None:
    chords, drums = (environment(s).segments for s in (CHORDS, tones.drums(120, 8.0) + tones.noise(8.0, 0.002)))
    assert chords[0].data["basis"] == ["scale"]
    assert chords[0].data["tempo_bpm"] is None
    beating = next(s for s in drums if s.label == "music_like")
    assert beating.data["basis"] == ["pulse"]
    assert beating.data["tempo_bpm"] == pytest.approx(120, rel=0.02)


def test_the_scale_of_music_may_hide_for_a_sentence_but_not_longer() -> None:
    scale = np.zeros(2000, bool)
    scale[0:400] = scale[700:1000] = scale[1900:] = True
    found = music_frames(scale, np.zeros(2000, bool), np.zeros(2000, bool))
    assert found[:1000].all()
    assert not found[1000:].any()


def test_a_slow_swell_is_steady_and_knocks_are_not() -> None:
    swell = 10 ** np.linspace(-6, -1, 1000)
    knocks = np.where(np.arange(1000) % 50 < 5, 1e-1, 1e-6)
    assert level_deviation_db(swell) < 2
    assert level_deviation_db(knocks) > 10


def test_speech_against_background() -> None:
    power = np.array([1e-2] * 50 + [1e-4] * 50)
    speech = np.arange(100) < 50
    assert speech_to_background_db(power, speech, ~speech) == pytest.approx(20.0)
    assert speech_to_background_db(power, speech, np.zeros(100, bool)) is None
    assert speech_to_background_db(power, np.zeros(100, bool), ~speech) is None


def test_the_sample_is_speech_over_music_and_then_silence() -> None:
    truth = sample_truth()
    analysis = run_analyzer("audio_environment", sample_clip()).analysis
    (music,) = [s for s in analysis.segments if s.label == "music_like"]
    assert (music.start_s, music.end_s) == pytest.approx((0.0, truth["music"]["end_s"]), abs=0.2)
    assert music.data["basis"] == ["scale", "pulse"]
    assert music.data["tempo_bpm"] == pytest.approx(truth["music"]["tempo_bpm"], rel=0.03)
    (silence,) = [s for s in analysis.segments if s.label == "silence"]
    assert [silence.start_s, silence.end_s] == pytest.approx(truth["silence_s"][0], abs=0.05)
    voices = voice_regions_of(analysis)
    assert [v.start_s for v in voices] == pytest.approx([s["start_s"] for s in truth["speech"]], abs=0.2)


@pytest.mark.parametrize(
    ("file", "main"),
    [
        ("audio/jfk.flac", "speech"),
        ("audio/leopard_de.wav", "speech"),
        ("audio/multilingual_en_de.mp3", "speech"),
        ("video/nasa_13013.mp4", "speech"),
        ("video/friday.mp4", "speech"),
        ("audio/rain.mp3", "noise_like"),
        ("video/WolfgangLanger_Pexels.mp4", "silence"),
        ("video/big_buck_bunny_0_30.webm", "music_like"),
        ("video/face_noface.mov", "music_like"),
    ],
)
def test_real_recordings(file: str, main: str) -> None:
    analysis = run_analyzer("audio_environment", shared_clip(file)).analysis
    assert analysis.summary["main"] == main
    assert (analysis.summary["speech_share"] > 0) == (main == "speech")
    assert (analysis.summary["music_like_share"] > 0) == (main == "music_like")


def test_a_pulse_ends_where_it_ends() -> None:
    sound = np.concatenate([tones.drums(120, 20.0) + tones.noise(20.0, 0.002), tones.noise(20.0)])
    (music,) = [s for s in environment(sound).segments if s.label == "music_like"]
    assert music.start_s == pytest.approx(0, abs=0.5)
    assert music.end_s == pytest.approx(20, abs=3)


def test_a_blink_of_sound_is_one_segment() -> None:
    analysis = environment(tones.noise(0.1))
    (segment,) = analysis.segments
    assert segment.label in ("noise_like", "sound")
    assert segment.start_s == 0
