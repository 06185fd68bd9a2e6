"""Syllables: a voice that is switched on and off, then recordings whose words are known."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.contract import Analysis, Segment
from analyzers.speech.speech_rate import SpeechRate, speech_loudness_db, syllable_nuclei
from tests.analyzers.sound import tones
from tests.known import SYLLABLES
from tests.media import run_analyzer, sample_clip, shared_clip, synthetic_clip

SAMPLE_SYLLABLES = (11, 12)


def babble(syllables_per_s: float, seconds: float) -> np.ndarray:
    """A buzz of 130 Hz that swells and sinks as often as syllables would."""
    t = tones.clock_s(seconds)
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20))
    return (0.1 * buzz * (0.55 - 0.45 * np.cos(2 * np.pi * syllables_per_s * t))).astype(np.float32)


def flow_of(seconds: float, frames: int) -> Analysis:
    pitch = np.full(frames, 130.0)
    return Analysis(segments=[Segment(0.0, seconds, "phrase", 0.9)], tracks={"pitch_hz": pitch})


@pytest.mark.parametrize(("per_s", "label"), [(2.5, "slow"), (4.0, "medium"), (6.0, "fast")])
def test_babble_of_known_rate(per_s: float, label: str) -> None:
    clip = synthetic_clip(None, sound=babble(per_s, 4.0), sound_hz=16_000)
    analysis = SpeechRate().analyze(clip, {"speech_flow": flow_of(4.0, 401)})
    (phrase,) = analysis.segments
    assert phrase.data["syllables_per_s"] == pytest.approx(per_s, abs=0.3)
    assert phrase.label == label
    assert analysis.summary["words_per_minute"] is None
    assert len(analysis.tracks["syllable_times_s"]) == phrase.data["syllables"]


def test_what_is_not_voiced_is_no_syllable() -> None:
    loudness_db = speech_loudness_db(babble(4.0, 2.0))
    voiced = np.arange(len(loudness_db)) < 100
    assert len(syllable_nuclei(loudness_db, voiced)) == 4
    assert len(syllable_nuclei(loudness_db, np.zeros(len(loudness_db), bool))) == 0
    assert len(syllable_nuclei(loudness_db[:0], voiced[:0])) == 0


def test_less_than_a_second_has_no_rate() -> None:
    clip = synthetic_clip(None, sound=babble(4.0, 3.0), sound_hz=16_000)
    analysis = SpeechRate().analyze(clip, {"speech_flow": flow_of(0.8, 301)})
    assert not analysis.segments
    assert "too short" in analysis.reason


@pytest.mark.parametrize("file", SYLLABLES)
def test_known_transcripts_within_a_quarter(file: str) -> None:
    outcome = run_analyzer("speech_rate", shared_clip(file))
    assert outcome.status == "ok"
    assert outcome.analysis.summary["syllables"] == pytest.approx(SYLLABLES[file], rel=0.25)


def test_the_sample_within_a_quarter() -> None:
    segments = run_analyzer("speech_rate", sample_clip()).analysis.segments
    assert [s.data["syllables"] for s in segments] == pytest.approx(list(SAMPLE_SYLLABLES), rel=0.25)


@pytest.mark.parametrize("file", ["audio/rain.mp3", "video/big_buck_bunny_0_30.webm"])
def test_no_rate_without_speech(file: str) -> None:
    assert run_analyzer("speech_rate", shared_clip(file)).status == "no_signal"
