"""Blinks and closed eyes in a series of eye aspect ratios: plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

CLOSED_OPENNESS = 0.136
"""An eye aspect ratio below this is a closed eye, however narrow the open ones are."""
LEAST_USUAL_OPENNESS = 0.22
"""Taken for the usual openness where the eyes are hardly ever open."""


def usual_openness(times_s: np.ndarray, openness: np.ndarray, reach_s: float = 1.5) -> np.ndarray:
    """What openness is usual around each picture: (n,), the 85th percentile within `reach_s` before and after."""
    first = np.searchsorted(times_s, times_s - reach_s, "left")
    after = np.searchsorted(times_s, times_s + reach_s, "right")
    usual = [np.percentile(openness[a:b], 85) for a, b in zip(first, after, strict=True)]
    return np.maximum(usual, LEAST_USUAL_OPENNESS)


def closures(openness: np.ndarray, usual: np.ndarray, groups: Sequence[int], share: float) -> list[list[int]]:
    """Stretches of pictures in which the eyes are closed: openness below `share` of the usual.

    Args:
        openness, usual: (n,) eye aspect ratios.
        groups: (n,) pictures of one group follow each other without a gap and show one face.
    """
    shut = openness < np.maximum(share * usual, CLOSED_OPENNESS)
    found: list[list[int]] = []
    for i in np.flatnonzero(shut).tolist():
        if found and found[-1][-1] == i - 1 and groups[i] == groups[i - 1]:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def is_enclosed(rows: Sequence[int], groups: Sequence[int]) -> bool:
    """Whether open eyes were seen both before and after: else nobody knows how long they were closed."""
    before, after = rows[0] - 1, rows[-1] + 1
    return before >= 0 and after < len(groups) and groups[before] == groups[rows[0]] == groups[after]


def unbroken(times_s: np.ndarray, tracks: np.ndarray, max_gap_s: float) -> list[int]:
    """A number for each picture, the same as long as one face is seen without a longer gap."""
    numbers = [0] if len(times_s) else []
    for (before_s, before), (after_s, after) in pairwise(zip(times_s, tracks, strict=True)):
        numbers.append(numbers[-1] + int(after_s - before_s > max_gap_s or before != after))
    return numbers
