"""Short-time spectra and levels of 16 kHz mono sound, in numpy alone (librosa's own start by compiling for seconds)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analyzers.clip import AUDIO_HZ

SIZE = 512
"""Samples of a frame: 32 ms, bins of 31.25 Hz."""
HOP = 160
"""Samples between frames: 10 ms."""
HOP_S = HOP / AUDIO_HZ
FLOOR_DBFS = -120.0
"""Level of digital silence, where the logarithm has no answer."""


def frame_count(samples: int, hop: int = HOP) -> int:
    """How many frames `power_frames` makes of so many samples."""
    return 1 + samples // hop if samples else 0


def frame_times_s(count: int) -> np.ndarray:
    """Middle of each frame of the default hop, in seconds."""
    return np.arange(count) * HOP_S


def power_frames(audio: np.ndarray, size: int = SIZE, hop: int = HOP, at_once: int = 4096) -> Iterator[np.ndarray]:
    """Power spectra of Hann-windowed frames, frame i around sample i * hop; in chunks, so that memory stays small.

    Args:
        audio: (samples,) in -1..1.
        size: samples of a frame, even.
        hop: samples between frames.
        at_once: frames in a chunk.

    Yields:
        (frames, size // 2 + 1) float32. The sum of a row is the mean square of its samples under the window: a
        full-scale sine gives 0.5.
    """
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    scale = np.full(size // 2 + 1, 2.0 / (size * float(np.square(window).sum())), np.float32)
    scale[[0, -1]] /= 2
    padded = np.pad(np.asarray(audio, np.float32), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    for start in range(0, len(frames), at_once):
        spectra = np.fft.rfft(frames[start : start + at_once] * window, axis=1)
        yield (np.square(spectra.real) + np.square(spectra.imag)).astype(np.float32) * scale


def bin_hz(size: int = SIZE) -> np.ndarray:
    """Frequency in Hz of each column of `power_frames`."""
    return np.arange(size // 2 + 1) * (AUDIO_HZ / size)


def mel_matrix(bands: int, size: int = SIZE, low_hz: float = 60.0, high_hz: float = 7600.0) -> np.ndarray:
    """Triangles of equal width on the mel scale (O'Shaughnessy 1987): (bins, bands); power @ it sums to band powers."""
    mel = np.linspace(1127 * np.log1p(low_hz / 700), 1127 * np.log1p(high_hz / 700), bands + 2)
    edges_hz = 700 * np.expm1(mel / 1127)
    hz = bin_hz(size)[:, None]
    rising = (hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - hz) / np.diff(edges_hz)[1:]
    return np.clip(np.minimum(rising, falling), 0, 1).astype(np.float32)


def to_dbfs(mean_square: np.ndarray | float) -> np.ndarray:
    """Level in dB below full scale (a full-scale square wave is 0, a full-scale sine -3.01), at least `FLOOR_DBFS`."""
    return 10 * np.log10(np.maximum(mean_square, 10 ** (FLOOR_DBFS / 10)))


def moving_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean over about `width` neighbours around each value; fewer at the ends."""
    half = max(0, width // 2)
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    at = np.arange(len(values))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (total[last] - total[first]) / (last - first)


def runs(labels: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of equal neighbours: (first, end) index pairs that fill the array."""
    if not len(labels):
        return []
    starts = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(labels)], strict=True))
