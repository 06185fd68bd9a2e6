"""Comparing whole pictures on a coarse grid, and finding stretches in which one picture blends into another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BLACK_LEVEL = 16.0
"""Studio black (ITU-R BT.601/709 puts black at 16 of 255)."""
WINDOWS_S = (0.27, 0.4, 0.7, 1.1, 1.7, 2.5)
"""Lengths in which blends are looked for. A longer one is found by its middle and then followed to its ends."""


@dataclass(frozen=True)
class Blend:
    """A dissolve or fade: `start` is its first mixed picture, `end` the first picture of the new shot."""

    label: str
    start: int
    end: int
    change_levels: float
    residual: float
    plain_side: str | None


def picture_cells(thumbs: np.ndarray, long_side: int) -> np.ndarray:
    """Coarse Y'CbCr grids of pictures: (pictures, rows, columns, 3) float32, 0-255; `thumbs` is RGB uint8."""
    import cv2

    height, width = thumbs.shape[1:3]
    scale = min(1.0, long_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    cells = np.empty((len(thumbs), size[1], size[0], 3), np.float32)
    for i, picture in enumerate(thumbs):
        small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
        cells[i] = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)
    return cells


def rms(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square difference of grids along all but the first axis: (pictures,) in levels of 255."""
    return np.sqrt(np.square(a - b).mean(axis=(1, 2, 3)))


def is_plain(cells: np.ndarray) -> bool:
    """Whether a picture shows nothing: one colour but for a few small marks such as a watermark."""
    low, high = np.percentile(cells[..., 0], (5, 95))
    return bool(high - low < 14)


def filled_cells(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which cells have something in them, in one grid or the other: (rows, columns) bool.

    Not the plain bars around a picture, nor plain surfaces inside it. All cells, where next to none has.
    """
    filled, rows, columns = np.zeros((3, *before.shape[:2]), bool)
    for picture in (before, after):
        y = picture[..., 0]
        rows |= np.ptp(y, axis=1, keepdims=True) > 6
        columns |= np.ptp(y, axis=0, keepdims=True) > 6
        edged = np.pad(y, 1, mode="edge")
        around = np.stack([edged[:-2, 1:-1], edged[2:, 1:-1], edged[1:-1, :-2], edged[1:-1, 2:]])
        filled |= np.ptp(around, axis=0) > 4
    filled &= rows & columns
    return filled if filled.mean() > 0.02 else np.ones_like(filled)


def structure_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the brightness of two grids where they are filled, -1..1; 0 for plain ones.

    It is blind to overall brightness and contrast.
    """
    filled = filled_cells(a, b)
    x, y = (g[..., 0][filled] - g[..., 0][filled].mean() for g in (a, b))
    return float(x @ y / (np.sqrt((x @ x) * (y @ y)) + 1e-3))


def same_place(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two RGB pictures show one scene that moved by up to a quarter of the frame, or under another light."""
    import cv2

    cells = picture_cells(np.stack([before, after]), 24)
    filled = filled_cells(*cells)
    inside = tuple(
        slice(int(at[0] * size / len(line)), int(np.ceil((at[-1] + 1) * size / len(line))))
        for line, size in zip((filled.any(1), filled.any(0)), before.shape, strict=False)
        for at in [np.flatnonzero(line)]
    )
    luma, later = (cv2.cvtColor(np.ascontiguousarray(p[inside]), cv2.COLOR_RGB2GRAY) for p in (before, after))
    quarters = [
        tuple(slice(n // 2) if first else slice(n // 2, n) for first, n in zip(corner, luma.shape, strict=True))
        for corner in ((True, True), (True, False), (False, True), (False, False))
    ]
    found = [_found_again(luma[part], later[part]) for part in quarters if luma[part].size]
    if _found_again(luma, later) > 0.7 or sum(match > 0.8 for match in found) >= 3:
        return True
    chroma = float(np.sqrt(np.square(cells[0, ..., 1:] - cells[1, ..., 1:])[filled].mean()))
    contrast_levels = min(float(c[..., 0][filled].std()) for c in cells)
    unexplained = contrast_levels * np.sqrt(max(0.0, 1 - structure_correlation(*cells) ** 2))
    return max(unexplained, chroma) < 12


def _found_again(before: np.ndarray, after: np.ndarray) -> float:
    """Best correlation of the middle of one luma picture with any place in another of the same size, -1..1."""
    import cv2

    height, width = after.shape
    middle = after[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return float(cv2.matchTemplate(before, middle, cv2.TM_CCOEFF_NORMED).max())


def find_blends(
    cells: np.ndarray, times_s: np.ndarray, cut_frames: list[int], least_change_levels: float, max_residual: float
) -> list[Blend]:
    """Dissolves and fades between cuts, in time order, none overlapping."""
    frames_per_s = (len(times_s) - 1) / max(times_s[-1], 1e-3)
    stride = max(1, round(frames_per_s / 15))
    found: list[Blend] = []
    for first, end in pairwise([0, *cut_frames, len(cells)]):
        windows = _blend_windows(cells[first:end:stride], frames_per_s / stride, least_change_levels, max_residual)
        for start, stop in windows:
            edges = blend_edges(cells[first:end], start * stride, min(stop * stride, end - first - 1))
            blend = _as_blend(cells[first:end], *edges, first, least_change_levels, max_residual)
            if blend and all(blend.start >= f.end or blend.end <= f.start for f in found):
                found.append(blend)
    return sorted(found, key=lambda b: b.start)


def _blend_windows(
    cells: np.ndarray, frames_per_s: float, least_change_levels: float, max_residual: float
) -> list[tuple[int, int]]:
    """Windows whose inner pictures lie on the line between the outer ones, best first: (first, last) in frames."""
    flat = cells.reshape(len(cells), -1)
    scored: list[tuple[float, int, int]] = []
    for length_s in WINDOWS_S:
        half = max(2, round(length_s * frames_per_s / 2))
        if len(flat) <= 2 * half:
            break
        before, after = flat[: -2 * half], flat[2 * half :]
        change = np.sqrt(np.square(after - before).mean(1))
        worst, shares = np.zeros(len(before)), []
        for at in (half - half // 2, half, half + half // 2):
            inner = flat[at : at + len(before)] - before
            share = (inner * (after - before)).mean(1) / np.maximum(change, 1e-3) ** 2
            left = np.sqrt(np.square(inner - share[:, None] * (after - before)).mean(1))
            worst = np.maximum(worst, left / np.maximum(change, 1e-3))
            shares.append(share)
        rising = (shares[0] < shares[1]) & (shares[1] < shares[2]) & (shares[0] < 0.8) & (shares[2] > 0.2)
        good = rising & (worst < max_residual) & (change >= least_change_levels)
        scored += [(float(change[i] * (1 - 2 * worst[i])), int(i), int(i + 2 * half)) for i in np.flatnonzero(good)]
    best: list[tuple[int, int]] = []
    for _, start, stop in sorted(scored, reverse=True):
        if all(stop <= s or start >= e for s, e in best):
            best.append((start, stop))
    return best


def blend_edges(cells: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """The last picture of the old shot and the first of the new one around a window of mixed pictures.

    Goes as far as pictures keep moving along the line between the window's ends. The rate of that movement is smoothed
    over three pictures, which adds one at each end; it is taken off again.
    """
    flat = cells.reshape(len(cells), -1)
    line = flat[stop] - flat[start]
    share = (flat - flat[start]) @ line / max(float(line @ line), 1e-6)
    low = start + int(np.argmax(share[start : stop + 1] > 0.2))
    high = stop - int(np.argmax(share[start : stop + 1][::-1] < 0.8))
    rate = np.convolve(np.diff(share, prepend=share[0]), np.ones(3) / 3, mode="same")
    slow = 0.1 * max((share[high] - share[low]) / max(high - low, 1), 1e-6)
    while low > 0 and rate[low] > slow:
        low -= 1
    while high < len(flat) - 1 and rate[high + 1] > slow:
        high += 1
    return low + 1, high - 1


def _as_blend(
    cells: np.ndarray, low: int, high: int, offset: int, least_change_levels: float, max_residual: float
) -> Blend | None:
    """The blend from the last picture of the old shot to the first of the new one, if it holds there as well."""
    if high - low < 3:
        return None
    before, after = cells[low], cells[high]
    line = after - before
    change = float(rms(after[None], before[None])[0])
    moved = float((np.abs(line).max(axis=-1) > 8)[filled_cells(before, after)].mean())
    inner = cells[low + 1 : high] - before
    share = (inner * line).mean(axis=(1, 2, 3)) / max(change**2, 1e-6)
    residual = float(np.sqrt(np.square(inner - share[:, None, None, None] * line).mean()) / max(change, 1e-3))
    plain = [is_plain(before), is_plain(after)]
    if change < least_change_levels or residual > max_residual or moved < 0.5 or all(plain):
        return None
    if not any(plain) and structure_correlation(before, after) > 0.7:
        return None
    label = "fade_in" if plain[0] else "fade_out" if plain[1] else "dissolve"
    side = before if plain[0] else after if plain[1] else None
    return Blend(label, low + 1 + offset, high + offset, change, residual, None if side is None else _plain_name(side))


def _plain_name(cells: np.ndarray) -> str:
    level = float(np.median(cells[..., 0]))
    return "black" if level <= BLACK_LEVEL else "white" if level >= 255 - BLACK_LEVEL else "plain"
