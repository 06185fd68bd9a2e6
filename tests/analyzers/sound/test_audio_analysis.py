"""Loudness, tempo, key and silences: synthesized sounds with a known answer, the sample, then real recordings."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.spectra import frame_count, power_frames, to_dbfs
from analyzers.contract import Analysis
from analyzers.sound.audio_analysis import measure
from analyzers.sound.loudness import level_regions, loudness, silent_frames
from analyzers.sound.rhythm import EVENT_RANGE_DB, band_rises, find_onsets, find_tempo
from analyzers.sound.tonality import find_key
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip, sample_truth, shared_clip, synthetic_clip

SPEECH = ("audio/jfk.flac", "audio/leopard_de.wav", "audio/leopard_en.wav", "audio/multilingual_en_de.mp3")
NOT_MUSIC = (*SPEECH, "audio/rain.mp3", "video/nasa_13013.mp4", "video/friday.mp4", "video/grid_bbaf2n.mpg")


def analyzed(sound: np.ndarray) -> Analysis:
    outcome = run_analyzer("audio_analysis", synthetic_clip(None, sound=sound, sound_hz=16_000))
    assert outcome.succeeded, outcome.reason
    return outcome.analysis


def test_power_frames_keep_the_mean_square() -> None:
    sound = tones.sine(1000, 1.0, amplitude=1.0)
    frames = np.concatenate(list(power_frames(sound, at_once=7)))
    assert len(frames) == frame_count(len(sound)) == 101
    assert frames[10:90].sum(axis=1) == pytest.approx(np.full(80, 0.5), rel=1e-3)


@pytest.mark.parametrize(
    ("hz", "dbfs", "lufs"), [(997, 0, -3.01), (997, -20, -23.01), (60, -20, -26.9), (5000, -20, -19.7)]
)
def test_loudness_of_a_sine_is_what_bs1770_says(hz: float, dbfs: float, lufs: float) -> None:
    k_power = measure(tones.sine(hz, 5.0, amplitude=10 ** (dbfs / 20))).k_power
    assert loudness(k_power)[0] == pytest.approx(lufs, abs=0.15)


def test_silence_does_not_lower_the_loudness() -> None:
    sound = np.concatenate([tones.sine(997, 5.0, 0.1), tones.silence(20.0)])
    assert loudness(measure(sound).k_power)[0] == pytest.approx(-23.0, abs=0.3)


def test_loudness_range_of_two_levels_is_their_distance() -> None:
    sound = np.concatenate([tones.sine(997, 20.0, 0.1), tones.sine(997, 20.0, 0.1 * 10 ** (-10 / 20))])
    assert loudness(measure(sound).k_power)[1] == pytest.approx(10.0, abs=0.5)


def test_what_is_too_short_or_silent_has_no_loudness() -> None:
    assert loudness(measure(tones.sine(997, 0.2)).k_power) == (None, None)
    assert loudness(measure(tones.silence(5.0)).k_power) == (None, None)
    assert loudness(measure(tones.sine(997, 3.0)).k_power)[1] is None


@pytest.mark.parametrize("bpm", [75, 90, 100, 120, 128, 140, 160])
def test_tempo_and_beats_of_a_pulse_train(bpm: int) -> None:
    analysis = analyzed(tones.pulses(bpm, 10.0))
    assert analysis.summary["tempo_bpm"] == pytest.approx(bpm, rel=0.01)
    known_s = np.arange(0.2, 9.9, 60 / bpm)
    for track in ("beat_times_s", "onset_times_s"):
        found_s = analysis.tracks[track]
        assert len(found_s) == len(known_s)
        assert np.abs(found_s - known_s).max() < 0.03


@pytest.mark.parametrize("bpm", [96, 120, 140])
def test_tempo_of_drums_over_chords(bpm: int) -> None:
    sound = tones.drums(bpm, 12.0, 0.2) + tones.progression(*[tones.A_MINOR, tones.F_MAJOR] * 3)
    assert analyzed(sound).summary["tempo_bpm"] == pytest.approx(bpm, rel=0.03)


def test_a_pulse_slower_than_70_is_given_as_its_double() -> None:
    assert analyzed(tones.pulses(60, 12.0)).summary["tempo_bpm"] == pytest.approx(120, rel=0.02)


@pytest.mark.parametrize(
    "sound",
    [
        tones.noise(10.0),
        tones.sine(440, 10.0),
        tones.progression(tones.A_MINOR, tones.F_MAJOR, tones.C_MAJOR),
        tones.pulses(120, 3.0),
    ],
    ids=["noise", "tone", "held chords", "five beats only"],
)
def test_no_tempo_without_a_steady_pulse(sound: np.ndarray) -> None:
    analysis = analyzed(sound)
    assert analysis.summary["tempo_bpm"] is None
    assert analysis.summary["beats"] == len(analysis.tracks["beat_times_s"]) == 0


@pytest.mark.parametrize(
    ("sound", "key"),
    [
        (tones.chord(tones.C_MAJOR, 6.0), "C major"),
        (tones.chord(tones.A_MINOR, 6.0), "A minor"),
        (tones.progression(tones.C_MAJOR, tones.F_MAJOR, tones.G_MAJOR, tones.C_MAJOR), "C major"),
        (tones.progression(tones.A_MINOR, tones.F_MAJOR, tones.E_MAJOR, tones.A_MINOR), "A minor"),
        (tones.progression(tones.C_MAJOR, tones.F_MAJOR, tones.G_MAJOR, tones.C_MAJOR, transpose=2), "D major"),
        (tones.progression(tones.A_MINOR, tones.F_MAJOR, tones.E_MAJOR, tones.A_MINOR, transpose=5), "D minor"),
        (tones.sine(440, 6.0), None),
        (tones.noise(6.0), None),
        (tones.drums(120, 6.0), None),
        (tones.silence(6.0), None),
    ],
)
def test_key(sound: np.ndarray, key: str | None) -> None:
    assert find_key(sound).key == key


def test_tuning_is_measured() -> None:
    stretch = 2 ** (30 / 1200)
    sound = sum(tones.sine(hz * stretch, 6.0, 0.1) for hz in (261.63, 329.63, 392.0, 523.25))
    found = find_key(sound)
    assert found.key == "C major"
    assert found.tuning_cents == pytest.approx(30, abs=4)


def test_regions_of_level_fill_the_sound() -> None:
    levels = [tones.sine(440, 4.0, 0.1), tones.silence(1.0), tones.sine(440, 2.0, 0.008), tones.sine(440, 1.0, 0.3)]
    analysis = analyzed(np.concatenate(levels))
    found = [(s.label, round(s.start_s, 1), round(s.end_s, 1)) for s in analysis.segments]
    assert [label for label, _, _ in found] == ["medium", "silent", "quiet", "loud"]
    for (_, start_s, end_s), (known_start_s, known_end_s) in zip(found, [(0, 4), (4, 5), (5, 7), (7, 8)], strict=True):
        assert start_s == pytest.approx(known_start_s, abs=0.3)
        assert end_s == pytest.approx(known_end_s, abs=0.3)
    assert analysis.summary["silent_share"] == pytest.approx(1 / 8, abs=0.02)
    assert analysis.summary["level_dbfs"] == pytest.approx(to_dbfs(0.5 * (4 * 0.01 + 2 * 0.008**2 + 0.09) / 7), abs=0.3)


def test_a_click_does_not_end_a_silence_and_a_gap_does_not_begin_one() -> None:
    power = np.full(300, 0.01)
    power[100:110] = 0
    assert not silent_frames(power).any()
    power[150:200] = 0
    assert level_regions(power, silent_frames(power))[1] == (150, 200, "silent")


def test_timbre_of_a_tone_and_of_noise() -> None:
    tone, hiss = (analyzed(s).summary for s in (tones.sine(1000, 3.0), tones.noise(3.0)))
    assert tone["centroid_hz"] == pytest.approx(1000, abs=30)
    assert tone["flatness"] < 0.01
    assert hiss["centroid_hz"] == pytest.approx(4000, rel=0.1)
    assert hiss["flatness"] > 0.6


@pytest.mark.parametrize("sound", [tones.silence(2.0), tones.noise(2.0, 1e-4)], ids=["digital", "nearly"])
def test_a_silent_track_is_no_signal(sound: np.ndarray) -> None:
    outcome = run_analyzer("audio_analysis", synthetic_clip(None, sound=sound, sound_hz=16_000))
    assert outcome.status == "no_signal"
    assert "silent" in outcome.reason


def test_the_sample() -> None:
    truth = sample_truth()
    analysis = run_analyzer("audio_analysis", sample_clip()).analysis
    assert analysis.summary["tempo_bpm"] == pytest.approx(truth["music"]["tempo_bpm"], rel=0.03)
    assert analysis.summary["key"] == truth["music"]["key"]
    beat_s = 60 / truth["music"]["tempo_bpm"]
    known_s = np.arange(truth["music"]["first_beat_s"], truth["music"]["end_s"] - beat_s / 2, beat_s)
    assert np.abs(analysis.tracks["beat_times_s"] - known_s).max() < 0.05
    (silent,) = [s for s in analysis.segments if s.label == "silent"]
    assert [silent.start_s, silent.end_s] == pytest.approx(truth["silence_s"][0], abs=0.05)


@pytest.mark.parametrize("file", NOT_MUSIC)
def test_no_tempo_and_no_key_in_speech_and_rain(file: str) -> None:
    outcome = run_analyzer("audio_analysis", shared_clip(file))
    assert outcome.status == "ok"
    assert outcome.analysis.summary["tempo_bpm"] is None
    assert outcome.analysis.summary["key"] is None


@pytest.mark.parametrize("file", SPEECH)
def test_no_tempo_in_any_5_s_of_speech(file: str) -> None:
    audio = np.asarray(shared_clip(file).audio)
    for start in range(0, len(audio) - 80_000 + 1, 40_000):
        bands = measure(audio[start : start + 80_000]).bands
        assert find_tempo(band_rises(bands, 40.0)).bpm is None


@pytest.mark.parametrize("level_db", [-6, 0, 6])
def test_tempo_of_drums_under_speech(level_db: float) -> None:
    speech = np.asarray(shared_clip("audio/jfk.flac").audio)
    drums = tones.drums(128, 11.0)[: len(speech)]
    drums = drums * np.sqrt(np.square(speech).mean() / np.square(drums).mean()) * 10 ** (level_db / 20)
    assert find_tempo(band_rises(measure(speech + drums).bands, 40.0)).bpm == pytest.approx(128, rel=0.03)


def test_onsets_are_not_found_in_steady_noise() -> None:
    strength = band_rises(measure(tones.noise(10.0)).bands, EVENT_RANGE_DB).mean(axis=1)
    assert len(find_onsets(strength)) <= 2
