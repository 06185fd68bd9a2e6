"""The rules of visual_effects: pure functions from arrays to stretches of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.common.blends import rms, structure_correlation

TRUSTED_INLIER_SHARE = 0.5
DOUBTFUL_INLIER_SHARE = 0.3
"""Below it camera_analysis itself calls a motion unknown."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `first` to `end` (exclusive) and what was measured there."""

    first: int
    end: int
    data: dict[str, float | int | str]


def runs_where(condition: np.ndarray) -> list[tuple[int, int]]:
    """First and end index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], condition, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def flashes(brightness: np.ndarray, times_s: np.ndarray, rise_levels: float) -> list[Stretch]:
    """Where mean brightness (0-255) jumps up within 0.1 s and is back, most of the way, within half a second."""
    found: list[Stretch] = []
    i = 1
    while i < len(brightness):
        base = brightness[np.searchsorted(times_s, times_s[i] - 0.1) : i].min(initial=brightness[i - 1])
        last = int(np.searchsorted(times_s, times_s[i] + 0.5, side="right"))
        peak = i + int(np.argmax(brightness[i : int(np.searchsorted(times_s, times_s[i] + 0.12, side="right"))]))
        floor = max(base, brightness[peak + 1 : last].min(initial=255.0))
        if brightness[i] - base < 0.5 * rise_levels or brightness[peak] - floor < rise_levels:
            i += 1
            continue
        half = (brightness[peak] + floor) / 2
        end = peak + 1 + int(np.argmax(brightness[peak + 1 : last] < half))
        found.append(Stretch(i, end, {"rise_levels": round(float(brightness[peak] - floor), 1)}))
        i = end + 1
    return found


def strobes(single: Sequence[Stretch], times_s: np.ndarray) -> list[tuple[str, Stretch]]:
    """Flashes by label: three or more, each within half a second of the one before, are one "strobe"."""
    groups: list[list[Stretch]] = []
    for flash in single:
        if groups and times_s[flash.first] - times_s[groups[-1][-1].first] <= 0.5:
            groups[-1].append(flash)
        else:
            groups.append([flash])
    labelled: list[tuple[str, Stretch]] = []
    for group in groups:
        if len(group) < 3:
            labelled += [("flash", flash) for flash in group]
            continue
        rate_hz = (len(group) - 1) / float(times_s[group[-1].first] - times_s[group[0].first])
        rise = max(float(f.data["rise_levels"]) for f in group)
        data = {"flashes": len(group), "rate_hz": round(rate_hz, 1), "rise_levels": rise}
        labelled.append(("strobe", Stretch(group[0].first, group[-1].end, data)))
    return labelled


def freezes(steps: np.ndarray, times_s: np.ndarray, first: int, end: int, least_s: float) -> list[Stretch]:
    """Where a moving shot stands still to the pixel: `steps` is the change of every frame against the one before.

    Not where the shot does so again and again: that is a drawing or a photograph.
    """
    found = []
    still = steps[first + 1 : end] < 0.12
    for a, b in runs_where(still):
        elsewhere = np.delete(still, slice(a, b))
        a, b = a + first + 1, b + first + 1
        held_s = float(times_s[b - 1] - times_s[a - 1])
        before, after = steps[max(first + 1, a - 10) : a], steps[b : min(end, b + 10)]
        moves = len(before) >= 3 and np.median(before) > 0.8 and (b >= end - 1 or np.median(after) > 0.8)
        if held_s >= least_s and moves and elsewhere.mean() < 0.1:
            found.append(Stretch(a - 1, b, {"held_s": round(held_s, 3)}))
    return found


def blurs(sharpness: np.ndarray, steady: np.ndarray, times_s: np.ndarray, least_s: float) -> list[Stretch]:
    """Where the sharpness of one shot falls below a fifth of its median while the camera is steady.

    Args:
        sharpness, steady, times_s: (samples,), NaN where a picture shows next to nothing; stretches are in samples.
    """
    usual = float(np.nanmedian(sharpness)) if np.isfinite(sharpness).any() else 0.0
    found = []
    for a, b in runs_where((sharpness < 0.2 * usual) & steady):
        if usual > 20 and times_s[b - 1] - times_s[a] >= least_s:
            found.append(Stretch(a, b, {"sharpness_left": round(float(sharpness[a:b].mean() / usual), 3)}))
    return found


def look_changes(cells: np.ndarray, steps: np.ndarray, first: int, end: int, least_levels: float) -> list[Stretch]:
    """Frames at which light or colour change at once and for good, and the picture's structure does not."""
    found = []
    for i in range(first + 3, end - 3):
        around = max(*steps[i - 3 : i], *steps[i + 1 : i + 4])
        if steps[i] < least_levels or steps[i] < 3 * around:
            continue
        kept = rms(cells[i + 3][None], cells[i - 3][None])[0] > 0.7 * steps[i]
        everywhere = (np.abs(cells[i] - cells[i - 1]).max(axis=-1) > 3).mean() > 0.7
        if kept and everywhere and structure_correlation(cells[i - 1], cells[i]) > 0.9:
            change = (cells[i] - cells[i - 1]).mean(axis=(0, 1))
            data = {
                "brightness_levels": round(float(change[0]), 1),
                "color_levels": round(float(np.hypot(change[1], change[2])), 1),
            }
            found.append(Stretch(i, i, data))
    return found


def zoom_punches(
    zoom_per_s: np.ndarray, inlier_share: np.ndarray, times_s: np.ndarray, least_log: float, longest_s: float
) -> list[Stretch]:
    """Zooms faster than a lens: runs of one direction that scale by exp(least_log) or more in a short time.

    Args:
        zoom_per_s, inlier_share, times_s: (pairs,), tracks of camera_analysis. So fast a zoom is hard to follow: half
            of a run's pairs must be trusted, and the others are taken along; else one doubtful pair would shorten it.
        least_log: natural logarithm.
        longest_s: a longer one is a lens.
    """
    found = []
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    for sign in (1, -1):
        fast = (np.nan_to_num(sign * zoom_per_s) > 0.5) & (inlier_share >= DOUBTFUL_INLIER_SHARE)
        for a, b in runs_where(fast):
            total = float(zoom_per_s[a:b].sum() * step_s)
            trusted = (inlier_share[a:b] >= TRUSTED_INLIER_SHARE).mean() >= 0.5
            if trusted and abs(total) >= least_log and (b - a) * step_s <= longest_s:
                found.append(Stretch(a, b, {"log_scale": round(total, 3)}))
    return sorted(found, key=lambda s: s.first)


def seam(luma: np.ndarray) -> tuple[str, float] | None:
    """A straight border at a half or a third of the frame that stands fast in all of some pictures.

    Args:
        luma: (pictures, height, width) uint8, of one shot.

    Returns:
        ("left and right" or "top and bottom", position 0-1), or None.
    """
    for name, pictures in (("left and right", luma), ("top and bottom", luma.transpose(0, 2, 1))):
        width = pictures.shape[2]
        if width < 24:
            continue
        signed = pictures.astype(np.int16)
        edge = np.abs(signed[:, :, 2:] - signed[:, :, :-2]) > 16
        filled = edge.mean(axis=1).min(axis=0)
        for part in (1 / 2, 1 / 3, 2 / 3):
            near = np.flatnonzero(np.abs((np.arange(width - 2) + 1.5) / width - part) < 0.02)
            best = int(near[np.argmax(filled[near])])
            beside = np.concatenate([filled[max(0, best - 6) : max(0, best - 3)], filled[best + 4 : best + 7]])
            if filled[best] > 0.7 and beside.max(initial=0.0) < 0.35 and _differs(pictures, best + 1):
                return name, round((best + 1.5) / width, 3)
    return None


def _differs(pictures: np.ndarray, column: int) -> bool:
    """Whether much of both sides of a column moves, and not alike."""
    change = np.abs(np.diff(pictures.astype(np.int16), axis=0))
    sides = change[:, :, : column - 1], change[:, :, column + 2 :]
    if min(float((side.max(axis=0) > 12).mean()) for side in sides) < 0.15:
        return False
    pace = [side.mean(axis=(1, 2)) for side in sides]
    return min(p.std() for p in pace) < 0.05 or float(np.corrcoef(*pace)[0, 1]) < 0.8


def mirrored(luma: np.ndarray) -> str | None:
    """ "left and right" or "top and bottom" if one half of a picture (height, width) is the other one mirrored."""
    y = luma.astype(np.float32)
    if y.std() < 12 or min(y.shape) < 8:
        return None
    for name, other in (("left and right", y[:, ::-1]), ("top and bottom", y[::-1])):
        if np.corrcoef(y.ravel(), other.ravel())[0, 1] > 0.98:
            return name
    return None


def bars(luma: np.ndarray) -> dict[str, float | str] | None:
    """Bands above and below, or left and right of the picture, that are black or hold a blurred copy of it.

    Args:
        luma: (pictures, height, width) uint8, of one shot.

    Returns:
        kind ("black", "blurred"), sides ("top and bottom", "left and right"), first and last (where the picture begins
        and ends, 0-1), or None.
    """
    for sides, pictures in (("top and bottom", luma), ("left and right", luma.transpose(0, 2, 1))):
        signed = pictures.astype(np.int16)
        height = pictures.shape[1]
        if min(pictures.shape[1:]) < 24:
            continue
        along = np.abs(np.diff(signed, axis=2)).mean(axis=(0, 2))
        middle = float(np.median(along[height // 3 : height - height // 3]))
        soft = along < 0.3 * middle
        first = int(np.argmin(soft)) if soft[0] else 0
        last = height - int(np.argmin(soft[::-1])) if soft[-1] else height
        if middle < 2 or not 0.08 * height < first < last < 0.92 * height:
            continue
        across = np.abs(signed[:, 2:] - signed[:, :-2]) > 10
        seams = [across[:, max(0, at - 3) : at + 2].any(axis=1).mean() for at in (first, last)]
        bands = np.concatenate([signed[:, : first - 1], signed[:, last + 1 :]], axis=1)
        black = bool(np.percentile(bands, 98) < 24)
        if min(seams) > (0.2 if black else 0.6):
            place = {"first": round(first / height, 3), "last": round(last / height, 3)}
            return {"kind": "black" if black else "blurred", "sides": sides, **place}
    return None
