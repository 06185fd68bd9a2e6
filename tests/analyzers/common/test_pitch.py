"""Pitch of tones with a known one."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.pitch import pitch_hz
from analyzers.common.spectra import frame_count
from tests.analyzers.sound import tones


def everywhere(sound: np.ndarray) -> np.ndarray:
    return np.ones(frame_count(len(sound)), bool)


@pytest.mark.parametrize("hz", [70, 110, 180, 261.6, 440])
def test_pitch_of_a_tone_with_overtones(hz: float) -> None:
    sound = sum(tones.sine(hz * k, 1.0, 0.3 / k) for k in range(1, 6))
    found = pitch_hz(sound, everywhere(sound))[5:-5]
    assert np.isfinite(found).all()
    assert found == pytest.approx(np.full(len(found), hz), rel=0.01)


def test_a_glide_is_followed() -> None:
    hz = 120 * 2 ** tones.clock_s(1.0)
    found = pitch_hz(0.4 * np.sin(2 * np.pi * np.cumsum(hz) / 16_000), np.ones(101, bool))
    assert found[10:90] == pytest.approx(hz[::160][10:90], rel=0.02)


@pytest.mark.parametrize("sound", [tones.noise(1.0), tones.silence(1.0), tones.noise(1.0, 1e-5)])
def test_noise_and_silence_have_no_pitch(sound: np.ndarray) -> None:
    assert np.isnan(pitch_hz(sound, everywhere(sound))).mean() > 0.98


def test_only_where_wanted() -> None:
    sound = tones.sine(200, 1.0)
    wanted = everywhere(sound)
    wanted[:50] = False
    found = pitch_hz(sound, wanted)
    assert np.isnan(found[:50]).all()
    assert np.isfinite(found[55:95]).all()


def test_a_leap_of_an_octave_is_dropped() -> None:
    sound = np.concatenate([tones.sine(150, 0.5), tones.sine(450, 0.03), tones.sine(150, 0.5)])
    found = pitch_hz(sound, everywhere(sound))
    assert np.nanmax(found) < 200
