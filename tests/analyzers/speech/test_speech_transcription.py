"""Without a speech model: where somebody speaks, and the plain statement that the words are missing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from analyzers.common.voice import VoiceRegion
from analyzers.speech.speech_transcription import WINDOW_S, windows
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip, sample_truth, shared_clip, synthetic_clip


def test_the_sample_has_speech_but_no_words() -> None:
    outcome = run_analyzer("speech_transcription", sample_clip())
    assert outcome.status == "weights_missing"
    assert "whisper" in outcome.reason
    known = sample_truth()["speech"]
    assert [s.start_s for s in outcome.analysis.segments] == pytest.approx([k["start_s"] for k in known], abs=0.2)
    assert all(s.data == {"text": None, "language": None} for s in outcome.analysis.segments)


def test_without_speech_there_is_nothing_to_transcribe() -> None:
    clip = synthetic_clip(None, sound=tones.drums(120, 3.0), sound_hz=16_000)
    outcome = run_analyzer("speech_transcription", clip)
    assert outcome.status == "no_signal"
    assert outcome.reason == "nobody speaks"


@pytest.mark.parametrize("file", ["audio/leopard_de.wav", "audio/leopard_en.wav"])
def test_real_speech_is_found(file: str) -> None:
    outcome = run_analyzer("speech_transcription", shared_clip(file))
    assert outcome.status == "weights_missing"
    assert outcome.analysis.summary["speech_s"] > 3


def test_windows_hold_all_speech_and_fit_the_model() -> None:
    regions = [(1.0, 3.0), (4.5, 20.0), (21.0, 35.0), (40.0, 110.0)]
    found = windows([VoiceRegion(a, b, 0.9) for a, b in regions])
    assert found[:2] == [(1.0, 20.0), (21.0, 35.0)], "close ones share a window as long as they fit"
    assert (found[2][0], found[-1][1]) == (40.0, 110.0)
    assert all(0 < b - a <= WINDOW_S for a, b in found)
    assert all(a[1] == b[0] for a, b in pairwise(found[2:])), "a long one is cut without a gap"
