"""Loudness after ITU-R BS.1770-4 and EBU Tech 3342, and stretches of like level."""

from __future__ import annotations

import numpy as np

from analyzers.clip import AUDIO_HZ
from analyzers.common.spectra import HOP_S, SIZE, bin_hz, moving_mean, runs, to_dbfs

SHELF_48KHZ = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
HIGH_PASS_48KHZ = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
"""The two filters of BS.1770-4 as (b, a), for 48 kHz. Only their magnitude is used, which holds at any sample rate."""
BLOCK_S, SHORT_TERM_S, STEP_S = 0.4, 3.0, 0.1
SILENT_DBFS = -60.0
SILENT_MIN_S = 0.25
QUIET_DB, LOUD_DB = -10.0, 4.0
"""Against the mean level of all that is not silent."""
SMOOTH_S = 0.6
REGION_MIN_S = 0.5
KINDS = ("silent", "quiet", "medium", "loud")


def k_weights() -> np.ndarray:
    """Power gain of the K-weighting at each bin of a default frame: (bins,) float32."""
    z = np.exp(-2j * np.pi * bin_hz(SIZE) / 48_000)
    gain = np.ones(len(z), complex)
    for b, a in (SHELF_48KHZ, HIGH_PASS_48KHZ):
        gain *= (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
    return np.square(np.abs(gain)).astype(np.float32)


def loudness(k_power: np.ndarray) -> tuple[float | None, float | None]:
    """Integrated loudness in LUFS (gated, BS.1770-4) and loudness range in LU (EBU Tech 3342).

    Args:
        k_power: (frames,) K-weighted mean square of each frame, one per `HOP_S`.

    Returns:
        Each None where the sound is too short (0.4 s, 6 s) or all of it below -70 LUFS.
    """
    blocks = _block_means(k_power, BLOCK_S)
    gated = blocks[_lufs(blocks) > -70.0]
    if not len(gated):
        return None, None
    gated = gated[_lufs(gated) > _lufs(gated.mean()) - 10.0]
    integrated = float(_lufs(gated.mean()))
    short_term = _block_means(k_power, SHORT_TERM_S)
    short_term = short_term[_lufs(short_term) > -70.0]
    if len(k_power) * HOP_S < 2 * SHORT_TERM_S or not len(short_term):
        return integrated, None
    levels = _lufs(short_term[_lufs(short_term) > _lufs(short_term.mean()) - 20.0])
    low, high = np.percentile(levels, (10, 95))
    return integrated, float(high - low)


def _lufs(mean_square: np.ndarray | float) -> np.ndarray:
    return -0.691 + to_dbfs(mean_square)


def _block_means(power: np.ndarray, length_s: float) -> np.ndarray:
    length, step = round(length_s / HOP_S), round(STEP_S / HOP_S)
    if len(power) < length:
        return np.zeros(0)
    total = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    starts = np.arange(0, len(power) - length + 1, step)
    return (total[starts + length] - total[starts]) / length


def active_level_dbfs(audio: np.ndarray, silent: np.ndarray) -> float | None:
    """Level of all samples in frames that are not silent, in dBFS; None if all are."""
    per_frame = round(HOP_S * AUDIO_HZ)
    sounding = np.repeat(~silent, per_frame)[per_frame // 2 :][: len(audio)]
    return float(to_dbfs(np.square(audio[: len(sounding)][sounding]).mean())) if sounding.any() else None


def silent_frames(power: np.ndarray) -> np.ndarray:
    """Which frames lie in a silence: below `SILENT_DBFS` for at least `SILENT_MIN_S`. (frames,) bool."""
    silent = to_dbfs(power) < SILENT_DBFS
    for first, end in runs(silent):
        if silent[first] and (end - first) * HOP_S < SILENT_MIN_S and (first, end) != (0, len(silent)):
            silent[first:end] = False
    return silent


def level_regions(power: np.ndarray, silent: np.ndarray) -> list[tuple[int, int, str]]:
    """Stretches of like level: (first, end) frames and "silent", "quiet", "medium" or "loud"; they fill the sound.

    The level, smoothed over 0.6 s, is compared with the mean of all that is not silent; stretches shorter than
    `REGION_MIN_S` join the longer of their sounding neighbours, and each stretch is named by its own mean level.
    """
    sounding_power = power[~silent].mean() if not silent.all() else 1.0
    kind = np.zeros(len(power), np.int64)
    for first, end in runs(silent):
        if not silent[first]:
            kind[first:end] = _kind(moving_mean(power[first:end], round(SMOOTH_S / HOP_S)), sounding_power)
    while (short := _short_region(kind)) is not None:
        (first, end), (like, _) = short
        kind[first:end] = kind[like]
    for first, end in runs(kind):
        if kind[first]:
            kind[first:end] = _kind(power[first:end].mean(), sounding_power)
    return [(first, end, KINDS[kind[first]]) for first, end in runs(kind)]


def _kind(power: np.ndarray, sounding_power: float) -> np.ndarray:
    return 1 + np.digitize(to_dbfs(power) - to_dbfs(sounding_power), (QUIET_DB, LOUD_DB))


def _short_region(kind: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The first sounding stretch that is too short and the longest sounding neighbour it can join."""
    regions = runs(kind)
    for i, (first, end) in enumerate(regions):
        sides = [regions[j] for j in (i - 1, i + 1) if 0 <= j < len(regions) and kind[regions[j][0]]]
        if kind[first] and (end - first) * HOP_S < REGION_MIN_S and sides:
            return (first, end), max(sides, key=lambda side: side[1] - side[0])
    return None
