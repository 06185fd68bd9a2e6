"""What the pictures say about a text: when exactly it is there, and whether it lies on top of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from analyzers.clip import Clip
from analyzers.common.text_tracks import SAME_PATCH, Pixels, TextTrack, cut_out, likeness, stroke_weights

MIN_HEIGHT_PX = 5
"""A text lower than this in the brightness pictures is too coarse there to be timed by the picture."""
MAX_SHIFT_S = 0.5
"""Farthest that the brightness pictures may move a start or an end."""
IN_PLACE = 0.7
"""Share of the looks at which the strokes of a text must be in one place for it to stand there."""
LOOSE = 0.5
"""The same share below which it is not called standing even where its box hardly wanders: a sign in a shaky shot."""
DRIFT_HEIGHTS = 0.5
"""A text also stands, whatever shines through it, if its centre wandered less than this share of its height."""
RING_MOVES = 12.0
RING_STILL = 6.0
"""Levels of brightness by which the ring around a text differs when what lies behind it moves, and when it stands."""
RING_SHARE = 0.7
"""Share of the ring that must have changed at once: who passes a sign in a still shot covers one side of it."""
PICTURE_MOVES = 0.4
"""Share of the picture that must change before a text that stays is called an overlay."""
BLOCK_CHANGE = 10.0
SAMPLES = 12


@dataclass(frozen=True)
class Stay:
    """When a text is there."""

    first: int
    last: int
    """First and last picture of `clip.luma` that show it."""
    before: int | None
    after: int | None
    """The nearest pictures that are known not to show it; None at the ends of the clip."""
    start_s: float
    end_s: float

    @classmethod
    def of(cls, track: TextTrack, looks: Mapping[int, bool], clip: Clip) -> Self:
        """From the quarter seconds of a track, and to the picture where the text is large enough to be seen in
        `clip.luma` and its strokes are in place at most of the `looks` (see `strokes_in_place`)."""
        pictures = np.searchsorted(clip.times_s, clip.frame_times_s - 1e-6)
        first, last = int(pictures[track.first]), int(pictures[track.last])
        before = int(pictures[track.first - 1]) if track.first > 0 else None
        after = int(pictures[track.last + 1]) if track.last + 1 < len(pictures) else None
        start_s = float(clip.times_s[first])
        end_s = float(clip.times_s[after]) if after is not None else clip.video_end_s
        box = luma_box(track.box, clip)
        if box[3] - box[1] < MIN_HEIGHT_PX or np.mean(list(looks.values())) < IN_PLACE:
            return cls(first, last, before, after, start_s, end_s)
        shown = samples(first, last)
        patch = np.median([cut_out(clip.luma[k], box) for k in shown], axis=0)
        weights = stroke_weights(patch)

        def there(k: int) -> bool:
            return likeness(patch, weights, cut_out(clip.luma[k], box)) >= SAME_PATCH

        if there(first):
            while first > 0 and clip.times_s[first - 1] > start_s - MAX_SHIFT_S and there(first - 1):
                first -= 1
            start_s, before = float(clip.times_s[first]), first - 1 if first else None
        if there(last):
            count = len(clip.luma)
            while last + 1 < count and clip.times_s[last + 1] < end_s + MAX_SHIFT_S and there(last + 1):
                last += 1
            after = last + 1 if last + 1 < count else None
            end_s = float(clip.times_s[after]) if after is not None else clip.video_end_s
        return cls(first, last, before, after, start_s, end_s)


@dataclass(frozen=True)
class OverlayEvidence:
    """Whether a text lies on the picture, and the numbers that say so."""

    is_overlay: bool | None
    reason: str
    in_place: float
    """Share of the looks (0-1) at which its strokes are where they were last."""
    ring_change: float | None
    """Most that the ring around it changed while it was there, levels 0-255; None without a ring."""
    picture_change: float
    """Largest share of the picture (0-1) that changed while it was there."""


def overlay_evidence(
    track: TextTrack, stay: Stay, looks: Mapping[int, bool], texts: Sequence[Pixels], clip: Clip
) -> OverlayEvidence:
    """Judge one text. It lies on top if it stays while the picture behind it moves or is cut, or if it comes or goes
    while all around it stays; it belongs to the scene if it wanders; otherwise nobody can tell.

    Args:
        stay, looks: from `Stay.of` and `strokes_in_place`.
        texts: the boxes of all texts, in pixels of `clip.frames`; they do not count as surroundings.
    """
    ring = _ring(track.box, texts, clip)
    in_place = float(np.mean(list(looks.values())))
    bare_s = clip.frame_times_s[[i for i, here in looks.items() if here or in_place < LOOSE]]
    shown = np.searchsorted(clip.times_s, bare_s - 1e-6)
    rings = [clip.luma[k][ring].astype(np.float32) for k in shown]
    changes = [np.abs(r - rings[0]) for r in rings] if ring.any() else []
    ring_change = max((float(c.mean()) for c in changes), default=None)
    all_round = any(c.mean() >= RING_MOVES and (c > RING_STILL).mean() >= RING_SHARE for c in changes)
    blocks = [_blocks(clip.luma[k]) for k in samples(stay.first, stay.last)]
    picture_change = max((float((np.abs(b - blocks[0]) > BLOCK_CHANGE).mean()) for b in blocks[1:]), default=0.0)
    numbers = (round(in_place, 2), None if ring_change is None else round(ring_change, 1), round(picture_change, 2))
    if in_place < IN_PLACE and track.drift_px > DRIFT_HEIGHTS * (track.box[3] - track.box[1]):
        return OverlayEvidence(False, "it moves across the screen", *numbers)
    if in_place < LOOSE and not track.counts:
        return OverlayEvidence(None, "it neither stands nor moves clearly", *numbers)
    if picture_change >= PICTURE_MOVES and (all_round or not changes):
        return OverlayEvidence(True, "it stands while the picture behind it changes", *numbers)
    if _pops(stay.before, stay.first, track.box, ring, clip):
        return OverlayEvidence(True, "it comes while all around it stays", *numbers)
    if _pops(stay.last, stay.after, track.box, ring, clip):
        return OverlayEvidence(True, "it goes while all around it stays", *numbers)
    return OverlayEvidence(None, "too little changes behind it to tell", *numbers)


def samples(first: int, last: int) -> np.ndarray:
    """At most `SAMPLES` indices from first to last."""
    return np.unique(np.linspace(first, last, SAMPLES).astype(int))


def strokes_in_place(track: TextTrack, clip: Clip) -> dict[int, bool]:
    """For some looks (indices of `clip.frames`) whether the strokes of a text are where they were last seen."""
    import cv2

    grays = {int(i): cv2.cvtColor(clip.frames[i], cv2.COLOR_RGB2GRAY) for i in samples(track.first, track.last)}
    return {i: track.likeness(gray) >= SAME_PATCH for i, gray in grays.items()}


def _pops(without: int | None, beside: int | None, box: Pixels, ring: np.ndarray, clip: Clip) -> bool:
    """Whether the text comes or goes between two pictures while the ring around it stays as it is."""
    if without is None or beside is None or not ring.any():
        return False
    before, after = clip.luma[without].astype(np.float32), clip.luma[beside].astype(np.float32)
    around = float(np.abs(after - before)[ring].mean())
    inside_box = luma_box(box, clip)
    inside = float(np.abs(cut_out(after, inside_box) - cut_out(before, inside_box)).mean())
    return around < RING_STILL and inside > 2 * around + 4


def luma_box(box: Pixels, clip: Clip) -> Pixels:
    """A box in pixels of `clip.frames` as pixels of `clip.luma`, at least one pixel large."""
    height, width = clip.luma.shape[1:]
    scale_x, scale_y = width / clip.frames.shape[2], height / clip.frames.shape[1]
    x0, y0 = min(int(box[0] * scale_x), width - 1), min(int(box[1] * scale_y), height - 1)
    return x0, y0, min(width, max(x0 + 1, round(box[2] * scale_x))), min(height, max(y0 + 1, round(box[3] * scale_y)))


def _ring(box: Pixels, texts: Sequence[Pixels], clip: Clip) -> np.ndarray:
    """The surroundings of a box without texts, most of its height wide: (height, width) bool, size of `clip.luma`."""
    x0, y0, x1, y1 = luma_box(box, clip)
    wide = max(4, round(0.75 * (y1 - y0)))
    ring = np.zeros(clip.luma.shape[1:], bool)
    ring[max(0, y0 - wide) : y1 + wide, max(0, x0 - wide) : x1 + wide] = True
    for left, top, right, bottom in (luma_box(text, clip) for text in texts):
        ring[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = False
    return ring


def _blocks(luma: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.resize(luma, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
