"""Boxes found picture by picture, linked to tracks of one thing each: plain geometry, no model."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from analyzers.contract import Analysis, Box


@dataclass(frozen=True, slots=True)
class Hit:
    """One box found in one picture."""

    time_s: float
    box: Box
    score: float
    """0-1, as the detector gave it."""


def clipped(box: Sequence[float]) -> Box:
    """A box cut off at the edges of the picture."""
    x0, y0, x1, y1 = (min(1.0, max(0.0, float(v))) for v in box)
    return x0, y0, x1, y1


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes: 0 (apart or without area) to 1 (equal)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def mean_box(boxes: Sequence[Box]) -> Box:
    """The mean of each edge, to four digits."""
    return clipped([round(fmean(edge), 4) for edge in zip(*boxes, strict=True)])


def link(
    hits: Sequence[Hit],
    max_gap_s: float,
    breaks_s: Sequence[float] = (),
    min_overlap: float = 0.2,
    leap: float = 2.5,
    leap_gap_s: float = 0.3,
) -> list[list[Hit]]:
    """Join hits of the same thing in successive pictures, best overlap first.

    What moves so fast that its boxes do not touch is joined too, as long as nothing else could be meant: the only track
    and the only hit left over within `leap` box sizes of each other, of like size, in neighbouring pictures.

    Args:
        hits: ordered by time; hits of equal time belong to one picture.
        max_gap_s: a track that was not seen for longer has ended.
        breaks_s: ascending times (cuts) that no track crosses.
        min_overlap: smallest intersection over union of the last box and the next.
        leap: largest way from centre to centre, in box sizes, for boxes that do not overlap.
        leap_gap_s: longest time for such a leap.

    Returns:
        Tracks, ordered by their first hit; each holds at least one hit, and one per picture at most.
    """
    tracks: list[list[Hit]] = []
    for picture in _by_picture(hits):
        time_s = picture[0].time_s
        shot = bisect.bisect_right(breaks_s, time_s)
        live = [
            i
            for i, track in enumerate(tracks)
            if time_s - track[-1].time_s <= max_gap_s and bisect.bisect_right(breaks_s, track[-1].time_s) == shot
        ]
        pairs = _overlapping(tracks, live, picture, min_overlap)
        live = [i for i in live if i not in pairs]
        left = [h for h in range(len(picture)) if h not in pairs.values()]
        pairs |= _leaping(tracks, live, picture, left, leap, leap_gap_s)
        for i, h in pairs.items():
            tracks[i].append(picture[h])
        tracks += [[hit] for h, hit in enumerate(picture) if h not in pairs.values()]
    return tracks


def rejoin(
    tracks: Sequence[list[Hit]],
    likeness: Callable[[Sequence[Hit], Sequence[Hit]], float],
    min_likeness: float,
    max_gap_s: float,
    breaks_s: Sequence[float] = (),
) -> list[list[Hit]]:
    """Join tracks of what was hidden for a while, the best likeness first.

    A track may go on in a later one of the same shot that begins at most a box size away, in like size.

    Args:
        tracks: as `link` gives them.
        likeness: how alike the things of two tracks look; only asked where place and size agree.
        min_likeness: what two tracks must reach to be joined.
        max_gap_s: longest time out of sight.
        breaks_s: ascending times (cuts) that no track crosses.

    Returns:
        Tracks, ordered by their first hit.
    """
    pairs = []
    for i, before in enumerate(tracks):
        for j, after in enumerate(tracks):
            a, b = before[-1], after[0]
            same_shot = bisect.bisect_right(breaks_s, a.time_s) == bisect.bisect_right(breaks_s, b.time_s)
            near = _way(a.box, b.box) <= 1 and _like_size(a.box, b.box)
            if 0 < b.time_s - a.time_s <= max_gap_s and same_shot and near:
                pairs.append((likeness(before, after), i, j))
    goes_on: dict[int, int] = {}
    for alike, i, j in sorted(pairs, key=lambda p: (-p[0], p[1], p[2])):
        if alike >= min_likeness and i not in goes_on and j not in goes_on.values():
            goes_on[i] = j
    joined = []
    for first in range(len(tracks)):
        if first not in goes_on.values():
            track, at = list(tracks[first]), first
            while (at := goes_on.get(at, -1)) >= 0:
                track += tracks[at]
            joined.append(track)
    return joined


def stretches(track: Sequence[Hit], max_gap_s: float) -> list[list[Hit]]:
    """Cut a track where it was not seen for longer than `max_gap_s`."""
    parts: list[list[Hit]] = [[track[0]]]
    for hit in track[1:]:
        if hit.time_s - parts[-1][-1].time_s > max_gap_s:
            parts.append([])
        parts[-1].append(hit)
    return parts


def shot_breaks_s(results: Mapping[str, Analysis]) -> list[float]:
    """When the second and later shots begin, ascending, if cut_analysis is among the results; else nothing."""
    if "cut_analysis" not in results:
        return []
    return [s.start_s for s in results["cut_analysis"].segments if s.label == "shot"][1:]


def sample_step_s(times_s: np.ndarray) -> float:
    """The usual time between pictures in seconds; 0.25 where there is only one."""
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.25


def stretch_end_s(last_s: float, times_s: np.ndarray, breaks_s: Sequence[float], end_s: float) -> float:
    """Until when something seen last at `last_s` may be claimed: the next picture, a cut or the end of the clip."""
    after = int(np.searchsorted(times_s, last_s, "right"))
    next_s = float(times_s[after]) if after < len(times_s) else last_s + sample_step_s(times_s)
    cut = bisect.bisect_right(breaks_s, last_s)
    return min(next_s, end_s, breaks_s[cut] if cut < len(breaks_s) else end_s)


def _by_picture(hits: Sequence[Hit]) -> list[list[Hit]]:
    pictures: list[list[Hit]] = []
    for hit in hits:
        if not pictures or pictures[-1][0].time_s != hit.time_s:
            pictures.append([])
        pictures[-1].append(hit)
    return pictures


def _overlapping(tracks: list[list[Hit]], live: list[int], picture: list[Hit], min_overlap: float) -> dict[int, int]:
    """Track -> hit, each used once, the largest overlap first."""
    scored = [(overlap(tracks[i][-1].box, hit.box), i, h) for i in live for h, hit in enumerate(picture)]
    pairs: dict[int, int] = {}
    for share, i, h in sorted(scored, key=lambda s: (-s[0], s[1], s[2])):
        if share >= min_overlap and i not in pairs and h not in pairs.values():
            pairs[i] = h
    return pairs


def _leaping(
    tracks: list[list[Hit]], live: list[int], picture: list[Hit], left: list[int], leap: float, leap_gap_s: float
) -> dict[int, int]:
    """Track -> hit for those that can be meant by nothing else."""
    near = [
        (i, h)
        for i in live
        for h in left
        if picture[h].time_s - tracks[i][-1].time_s <= leap_gap_s
        and _way(tracks[i][-1].box, picture[h].box) <= leap
        and _like_size(tracks[i][-1].box, picture[h].box)
    ]
    return {i: h for i, h in near if sum(i == j for j, _ in near) == 1 and sum(h == k for _, k in near) == 1}


def _way(a: Box, b: Box) -> float:
    """From centre to centre, in box sizes."""
    width, height = (a[2] - a[0] + b[2] - b[0]) / 2, (a[3] - a[1] + b[3] - b[1]) / 2
    if width <= 0 or height <= 0:
        return float("inf")
    across, down = (a[0] + a[2] - b[0] - b[2]) / 2 / width, (a[1] + a[3] - b[1] - b[3]) / 2 / height
    return float(np.hypot(across, down))


def _like_size(a: Box, b: Box) -> bool:
    ratio = (a[3] - a[1]) / (b[3] - b[1])
    return 1 / 1.5 <= ratio <= 1.5
