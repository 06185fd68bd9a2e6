"""Pitch of a voice over time by YIN, in numpy (librosa's own takes the same algorithm through compiled code)."""

from __future__ import annotations

import numpy as np

from analyzers.clip import AUDIO_HZ
from analyzers.common.spectra import HOP, frame_count

WINDOW = 640
"""Samples compared with themselves: 40 ms."""
LOWEST_HZ, HIGHEST_HZ = 65.0, 500.0
"""A deep man's voice to an excited child's."""
DIP = 0.15
"""A lag counts as a period where the normalised difference dips below it (YIN's absolute threshold)."""
MAX_APERIODICITY = 0.3
"""Frames whose best lag leaves more than this of their power unexplained have no pitch."""
MAX_JUMP_OCTAVES = 0.75
AT_ONCE = 1024


def pitch_hz(audio: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Pitch in each 10 ms frame of 16 kHz mono sound.

    De Cheveigne & Kawahara, "YIN, a fundamental frequency estimator for speech and music" (2002), steps 1-5. Leaps of
    more than 0.75 octaves from the median over 150 ms around are taken for octave errors and dropped.

    Args:
        audio: (samples,) in -1..1.
        wanted: (frames,) bool: where pitch is asked for, e.g. in voice regions; `spectra.frame_count` frames.

    Returns:
        (frames,) float64 in Hz; NaN where it is not wanted or there is none.
    """
    found = np.full(frame_count(len(audio)), np.nan)
    longest = int(AUDIO_HZ / LOWEST_HZ) + 2
    span = WINDOW + longest
    padded = np.pad(np.asarray(audio, np.float64), (span // 2, span))
    frames = np.lib.stride_tricks.sliding_window_view(padded, span)[::HOP]
    at = np.flatnonzero(wanted[: len(found)])
    for first in range(0, len(at), AT_ONCE):
        chunk = at[first : first + AT_ONCE]
        found[chunk] = _yin(frames[chunk], longest)
    return _without_leaps(found)


def _yin(frames: np.ndarray, longest: int) -> np.ndarray:
    """Pitch of frames of WINDOW + longest samples; NaN without one."""
    size = 1 << int(np.ceil(np.log2(frames.shape[1] + WINDOW)))
    products = np.fft.irfft(np.fft.rfft(frames, size) * np.conj(np.fft.rfft(frames[:, :WINDOW], size)), size)[
        :, :longest
    ]
    squares = np.cumsum(np.pad(np.square(frames), ((0, 0), (1, 0))), axis=1)
    energy = squares[:, WINDOW : WINDOW + longest] - squares[:, :longest]
    difference = np.maximum(energy[:, :1] + energy - 2 * products, 0)
    difference[:, 0] = 0
    running = np.cumsum(difference, axis=1)
    normalised = np.ones_like(difference)
    lags = np.arange(1, longest)
    normalised[:, 1:] = difference[:, 1:] * lags / np.maximum(running[:, 1:], 1e-12)
    shortest = int(AUDIO_HZ / HIGHEST_HZ)
    inner = normalised[:, shortest : longest - 1]
    dips = (
        (inner < DIP) & (inner <= normalised[:, shortest - 1 : longest - 2]) & (inner < normalised[:, shortest + 1 :])
    )
    best = np.where(dips.any(axis=1), dips.argmax(axis=1), inner.argmin(axis=1)) + shortest
    rows = np.arange(len(frames))
    left, here, right = (normalised[rows, best + i] for i in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.where(np.abs(bend) > 1e-9, 0.5 * (left - right) / np.where(np.abs(bend) > 1e-9, bend, 1), 0)
    heard = (here < MAX_APERIODICITY) & (energy[:, 0] > 1e-7 * WINDOW)
    return np.where(heard, AUDIO_HZ / (best + np.clip(shift, -0.5, 0.5)), np.nan)


def _without_leaps(hz: np.ndarray, reach: int = 7) -> np.ndarray:
    octaves = np.log2(hz)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(octaves, reach, constant_values=np.nan), 2 * reach + 1)
    known = np.flatnonzero(np.isfinite(octaves))
    if not len(known):
        return hz
    median = np.nanmedian(around[known], axis=1)
    cleaned = np.full_like(hz, np.nan)
    kept = known[np.abs(octaves[known] - median) <= MAX_JUMP_OCTAVES]
    cleaned[kept] = hz[kept]
    return cleaned
