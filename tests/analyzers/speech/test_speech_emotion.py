"""The arousal cue: its direction on made-up values, real voices of known manner, doubt under music."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.speech.speech_emotion import alpha_ratios_db, arousal_of, label_of, overlap_s, parts_of, prosody_cues
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip, shared_clip

CALM = {"alpha_ratio_db": -15.0, "pitch_hz": 150.0, "syllables_per_s": 4.3}


@pytest.mark.parametrize(("name", "more"), [("alpha_ratio_db", -8.0), ("pitch_hz", 260.0), ("syllables_per_s", 6.5)])
def test_each_cue_raises_arousal(name: str, more: float) -> None:
    calm = arousal_of(prosody_cues(**CALM))
    assert calm == pytest.approx(0.5)
    assert arousal_of(prosody_cues(**{**CALM, name: more})) > calm + 0.05


def test_words_for_arousal() -> None:
    assert [label_of(a) for a in (0.1, 0.5, 0.9)] == ["arousal_low", "arousal_medium", "arousal_high"]


def test_alpha_ratio_of_two_tones_is_their_distance() -> None:
    sound = tones.sine(300, 1.0, 0.4) + tones.sine(2500, 1.0, 0.04)
    assert alpha_ratios_db(sound)[10:90] == pytest.approx(np.full(80, -20.0), abs=0.3)


@pytest.mark.parametrize(("length_s", "parts"), [(0.9, 0), (1.0, 1), (6.0, 1), (6.1, 2), (17.5, 3)])
def test_long_phrases_are_cut(length_s: float, parts: int) -> None:
    found = parts_of(2.0, 2.0 + length_s)
    assert len(found) == parts
    if parts:
        assert (found[0][0], found[-1][1]) == pytest.approx((2.0, 2.0 + length_s))
        assert max(b - a for a, b in found) <= 6.0 + 1e-9


def test_overlap() -> None:
    assert overlap_s(1.0, 3.0, [(0.0, 1.5), (2.0, 2.25), (2.9, 9.0)]) == pytest.approx(0.85)


def test_speech_over_music_is_uncertain() -> None:
    analysis = run_analyzer("speech_emotion", sample_clip()).analysis
    assert [s.label for s in analysis.segments] == ["uncertain", "uncertain"]
    assert all(s.data["why"] == "music sounds along" and s.data["arousal"] is None for s in analysis.segments)
    assert analysis.summary["arousal"] is None


@pytest.mark.parametrize(
    ("file", "label"),
    [
        ("audio/jfk.flac", "arousal_high"),
        ("video/friday.mp4", "arousal_high"),
        ("audio/leopard_de.wav", "arousal_low"),
        ("audio/leopard_en.wav", "arousal_low"),
        ("video/nasa_13013.mp4", "arousal_low"),
    ],
    ids=["oratory", "lively dialogue", "reading, German", "reading, English", "narrator"],
)
def test_manner_of_real_voices(file: str, label: str) -> None:
    analysis = run_analyzer("speech_emotion", shared_clip(file)).analysis
    assert analysis.summary["label"] == label
    assert analysis.summary["emotion"] is None


def test_no_speech_no_cue() -> None:
    outcome = run_analyzer("speech_emotion", shared_clip("audio/rain.mp3"))
    assert outcome.status == "no_signal"
    assert outcome.reason == "nobody speaks"
