"""Sudden sounds beside beats and speech: synthesized knocks at known times, then real recordings."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.clip import AUDIO_HZ
from analyzers.contract import Analysis
from analyzers.sound.sound_effects import beat_grid_s, distance_to, fade_s, in_stretches, usual_level_dbfs
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip, shared_clip, synthetic_clip


def pop(amplitude: float, decay_per_s: float = 40.0) -> np.ndarray:
    t = tones.clock_s(2.0)
    return (amplitude * np.exp(-decay_per_s * t) * np.sin(2 * np.pi * 700 * t)).astype(np.float32)


def with_pops(sound: np.ndarray, times_s: list[float], amplitude: float = 0.9, decay_per_s: float = 40.0) -> np.ndarray:
    sound = sound.copy()
    for time_s in times_s:
        part = sound[round(time_s * AUDIO_HZ) :][: 2 * AUDIO_HZ]
        part += pop(amplitude, decay_per_s)[: len(part)]
    return sound


def effects(sound: np.ndarray) -> Analysis:
    outcome = run_analyzer("sound_effects", synthetic_clip(None, sound=sound, sound_hz=16_000))
    assert outcome.succeeded, outcome.reason
    return outcome.analysis


@pytest.mark.parametrize(
    "background",
    [tones.noise(8.0, 0.003), tones.drums(120, 8.0, 0.2)],
    ids=["over noise", "over drums"],
)
def test_pops_are_found_where_they_are(background: np.ndarray) -> None:
    known_s = [1.63, 3.37, 5.9]
    analysis = effects(with_pops(background, known_s))
    assert [s.start_s for s in analysis.segments] == pytest.approx(known_s, abs=0.04)
    assert {s.label for s in analysis.segments} == {"transient"}
    assert analysis.summary["effects"] == 3


def test_drums_alone_are_no_effects() -> None:
    analysis = effects(tones.drums(120, 10.0))
    assert not analysis.segments
    assert analysis.summary["onsets_on_beats"] == analysis.summary["onsets"] > 30
    assert "beats" in analysis.reason


def test_a_bell_is_sustained() -> None:
    analysis = effects(with_pops(tones.noise(6.0, 0.001), [2.0], 0.5, decay_per_s=2.0))
    (bell,) = analysis.segments
    assert bell.label == "sustained"
    assert bell.end_s - bell.start_s == pytest.approx(np.log(10 ** (15 / 20)) / 2.0, abs=0.15)
    assert bell.data["centroid_hz"] == pytest.approx(700, rel=0.2)


@pytest.mark.parametrize(
    "sound", [tones.silence(3.0), tones.noise(5.0), with_pops(tones.noise(5.0, 1e-4), [2.0], 0.002)]
)
def test_silence_noise_and_what_is_too_quiet_have_none(sound: np.ndarray) -> None:
    analysis = effects(sound)
    assert not analysis.segments
    assert analysis.reason


def test_grid_has_the_beats_and_their_halves() -> None:
    assert beat_grid_s(np.array([1.0, 1.5, 2.1])) == pytest.approx([0.5, 0.75, 1.0, 1.25, 1.5, 1.8, 2.1, 2.4, 2.7])
    assert np.isinf(distance_to(np.array([1.0]), np.array([]))).all()


def test_stretches_have_margins() -> None:
    assert in_stretches(np.array([0.7, 0.9, 1.5, 2.3]), [(1.0, 2.0)], 0.2).tolist() == [False, True, True, False]


def test_levels_around_leave_the_effect_itself_out() -> None:
    level_dbfs = np.full(400, -30.0)
    level_dbfs[200:225] = -3
    assert usual_level_dbfs(level_dbfs, 200) == -30
    assert fade_s(level_dbfs, 200) == pytest.approx(0.25)


def test_music_and_speech_of_the_sample_are_no_effects() -> None:
    outcome = run_analyzer("sound_effects", sample_clip())
    assert outcome.status == "no_signal"
    assert outcome.analysis.summary["onsets_in_speech"] > 5
    assert outcome.analysis.summary["onsets_on_beats"] > 15


@pytest.mark.parametrize("file", ["audio/leopard_en.wav", "audio/jfk.flac", "video/grid_lbbc2a.mpg", "audio/rain.mp3"])
def test_few_effects_in_speech_and_rain(file: str) -> None:
    outcome = run_analyzer("sound_effects", shared_clip(file))
    assert outcome.succeeded
    assert outcome.analysis.summary["effects"] <= 1
