"""Phrases, pauses and pitch: made-up regions, the sample, real recordings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from analyzers.common.transcript import Word
from analyzers.common.voice import VoiceRegion
from analyzers.contract import Analysis, Segment
from analyzers.speech.speech_flow import SpeechFlow, describe_pitch, find_fillers, join_phrases
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip, sample_truth, shared_clip, synthetic_clip


def test_short_gaps_join_phrases() -> None:
    voices = [VoiceRegion(0.0, 1.0, 0.9), VoiceRegion(1.15, 2.15, 0.7), VoiceRegion(2.5, 3.0, 0.8)]
    joined = join_phrases(voices)
    assert [(p.start_s, p.end_s) for p in joined] == [(0.0, 2.15), (2.5, 3.0)]
    assert joined[0].probability == pytest.approx(0.8)


@pytest.mark.parametrize(("end_hz", "sign"), [(150.0, 1), (80.0, -1)])
def test_the_end_of_a_phrase_rises_or_falls(end_hz: float, sign: int) -> None:
    hz = np.concatenate([np.full(150, 110.0), np.full(30, end_hz), np.full(20, np.nan)])
    found = describe_pitch(hz)
    assert found["pitch_hz"] == 110
    assert found["final_pitch_semitones"] == pytest.approx(12 * np.log2(end_hz / 110), abs=0.1)
    assert found["final_pitch_semitones"] * sign > 0
    assert found["voiced_share"] == pytest.approx(0.9)


def test_with_little_pitch_nothing_is_said_about_it() -> None:
    found = describe_pitch(np.concatenate([np.full(10, 110.0), np.full(90, np.nan)]))
    assert found["pitch_hz"] is None
    assert found["final_pitch_semitones"] is None
    assert found["voiced_share"] == pytest.approx(0.1)


def test_pauses_and_pitch_of_known_regions() -> None:
    """Two tones stand for two phrases of a voice, 1 s apart."""
    sound = np.concatenate([tones.sine(120, 2.0), tones.silence(1.0), tones.sine(240, 1.0), tones.silence(5.0)])
    regions = [Segment(0.0, 2.0, "speech", 0.9), Segment(3.0, 4.0, "speech", 0.8), Segment(8.0, 9.0, "speech", 0.8)]
    clip = synthetic_clip(None, sound=sound, sound_hz=16_000)
    analysis = SpeechFlow().analyze(clip, {"audio_environment": Analysis(segments=regions)})
    assert [s.label for s in analysis.segments] == ["phrase", "pause", "phrase", "phrase"]
    first, pause, second, nothing = analysis.segments
    assert (pause.start_s, pause.end_s) == (2.0, 3.0)
    assert first.data["pitch_hz"] == pytest.approx(120, abs=1)
    assert second.data["pitch_hz"] == pytest.approx(240, abs=2)
    assert nothing.data["pitch_hz"] is None
    assert analysis.summary["pauses"] == 1
    assert analysis.summary["fillers"] is None
    pitch, times_s = analysis.tracks["pitch_hz"], analysis.tracks["pitch_hz_times_s"]
    assert np.isnan(pitch[(times_s > 2.1) & (times_s < 2.9)]).all()


def test_the_pause_of_the_sample() -> None:
    known = sample_truth()["speech"]
    analysis = run_analyzer("speech_flow", sample_clip()).analysis
    (pause,) = [s for s in analysis.segments if s.label == "pause"]
    assert pause.start_s == pytest.approx(known[0]["end_s"], abs=0.2)
    assert pause.end_s == pytest.approx(known[1]["start_s"], abs=0.2)
    assert pause.data["length_s"] == pytest.approx(known[1]["start_s"] - known[0]["end_s"], abs=0.25)


@pytest.mark.parametrize(
    ("file", "pauses", "low_hz", "high_hz"),
    [
        ("audio/jfk.flac", 3, 180, 280),
        ("audio/leopard_de.wav", 0, 70, 130),
        ("audio/leopard_en.wav", 0, 85, 150),
        ("video/nasa_13013.mp4", 2, 80, 150),
        ("video/grid_lbbc2a.mpg", 0, 160, 240),
    ],
)
def test_real_speech(file: str, pauses: int, low_hz: float, high_hz: float) -> None:
    summary = run_analyzer("speech_flow", shared_clip(file)).analysis.summary
    assert summary["pauses"] == pauses
    assert low_hz < summary["pitch_hz"] < high_hz
    assert (summary["pause_ratio"] > 0) == (pauses > 0)


def test_nobody_speaks_in_rain() -> None:
    outcome = run_analyzer("speech_flow", shared_clip("audio/rain.mp3"))
    assert outcome.status == "no_signal"
    assert outcome.reason == "nobody speaks"


@pytest.mark.parametrize(
    ("text", "language", "fillers"),
    [
        ("Well, um, this is, like, great, you know, right?", "en", ["um,", "like,", "you know,"]),
        ("I like it, you know it, and um", "en", ["um"]),
        ("Ähm, es geht um, äh, Hunde, er weiß.", "de", ["Ähm,", "äh,"]),
        ("Hmm. Ok.", None, ["Hmm."]),
        ("Um, like, er", None, []),
    ],
)
def test_fillers_are_told_from_words(text: str, language: str | None, fillers: list[str]) -> None:
    words = [Word(w, 0.5 * i, 0.5 * i + 0.4, 0.9) for i, w in enumerate(text.split())]
    found = find_fillers(words, language)
    assert [w.word for w in found] == fillers
    assert all(a.end_s <= b.start_s for a, b in pairwise(found))
