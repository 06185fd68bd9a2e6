"""Labels given picture by picture, joined to stretches that last."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np


def steady_runs(
    labels: Sequence[str | None], groups: Sequence[int], min_samples: int, max_missing: int = 1
) -> list[tuple[str, list[int]]]:
    """Stretches of one label: (label, rows), ordered, each at least `min_samples` long.

    Args:
        labels: one for each picture; None where nothing can be said.
        groups: one for each picture; no stretch holds pictures of two groups (shots, faces).
        min_samples: a label that lasts shorter belongs to the one before it, or after it at the start; labels that
            together last shorter are left out.
        max_missing: so many pictures in a row without a label are bridged.
    """
    runs: list[tuple[str, list[int]]] = []
    for stretch in _stretches(labels, groups, max_missing):
        if len(stretch) < min_samples:
            continue
        parts: list[tuple[str, list[int]]] = []
        for label, group in groupby(stretch, key=lambda i: labels[i]):
            rows = list(group)
            if parts and (len(rows) < min_samples or parts[-1][0] == label):
                parts[-1][1].extend(rows)
            elif parts and len(parts[-1][1]) < min_samples:
                parts[-1] = (str(label), [*parts[-1][1], *rows])
            else:
                parts.append((str(label), rows))
        runs += parts
    return runs


def run_end_s(rows: Sequence[int], times_s: np.ndarray, step_s: float, clip_end_s: float) -> float:
    """Until when a run holds: one step after its last picture, but not beyond the next one or the end of the clip."""
    following_s = times_s[rows[-1] + 1 : rows[-1] + 2].tolist()
    return min([float(times_s[rows[-1]]) + step_s, clip_end_s, *following_s])


def _stretches(labels: Sequence[str | None], groups: Sequence[int], max_missing: int) -> list[list[int]]:
    parts: list[list[int]] = []
    for i, label in enumerate(labels):
        if label is None:
            continue
        if not parts or i - parts[-1][-1] > max_missing + 1 or groups[i] != groups[parts[-1][-1]]:
            parts.append([])
        parts[-1].append(i)
    return parts
