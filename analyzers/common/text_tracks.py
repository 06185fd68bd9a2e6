"""Text in pictures over time: is a text still there, is it the same one, does it belong to the scene or lie on top."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np

Pixels = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of a picture, exclusive at the end."""

SAME_PATCH = 0.6
"""Likeness from which on a patch of picture still holds the same strokes. Unrelated patches stay below 0.3."""
SAME_PLACE = 0.5
"""Overlap of two boxes (over union, or over the smaller) from which on they are one place."""
SAME_MOVED, SLACK_PX = 0.75, 6
"""The same where the place is searched, over so many pixels around a detection."""
EDGE_PX = 2
"""A box that ends so near to the edge of the picture may be cut off there."""
BLOCK_PX = 16
NEW_STROKES = 5.0
"""Rise of the steepness of brightness (levels over two pixels, mean of a block) that lettering may have caused."""
MIN_CONTRAST_LEFT = 0.15
"""Likeness does not see contrast: a text that has faded to less than this share of it is gone."""


@dataclass
class Reading:
    """What a recogniser read at one time."""

    time_s: float
    text: str
    score: float
    mirrored: bool = False


@dataclass(eq=False)
class TextTrack:
    """One text from the first to the last picture in which it was seen."""

    box: Pixels
    patch: np.ndarray
    """Brightness inside the box when it was last detected: (height, width) float32."""
    first: int
    """Index of the first picture that shows it."""
    last: int
    """Index of the last one."""
    readings: list[Reading] = field(default_factory=list)
    boxes: list[Pixels] = field(default_factory=list)
    """Where it was at each detection."""
    counts: bool = False
    """Its digits change while it stays in its place."""
    replaced: bool = False
    """Another text took its place, which may look much alike."""
    close: bool = False
    """It was read at native size: `clip.frames` show where it is, not what it says."""
    tried: bool = False
    """Native size did not make it readable either."""

    def __post_init__(self) -> None:
        self.boxes.append(self.box)
        self.weights = stroke_weights(self.patch)

    def move_to(self, box: Pixels, gray: np.ndarray) -> None:
        """Take over where and how it looks in a later picture."""
        self.box, self.patch = box, cut_out(gray, box)
        self.weights = stroke_weights(self.patch)
        self.boxes.append(box)

    def likeness(self, gray: np.ndarray) -> float:
        """How far its strokes stand at its place in a picture: -1..1, 0 where it has faded away."""
        return likeness(self.patch, self.weights, cut_out(gray, self.box))

    def found_again(self, gray: np.ndarray, box: Pixels) -> bool:
        """Whether the same strokes stand near a newly detected box; then the track has moved there. Never of a text
        that the left or right edge cut off: more of it may show now."""
        import cv2

        if self.box[0] <= EDGE_PX or self.box[2] >= gray.shape[1] - EDGE_PX:
            return False
        height, width = self.patch.shape
        x0, y0, x1, y1 = max(0, box[0] - SLACK_PX), max(0, box[1] - SLACK_PX), box[2] + SLACK_PX, box[3] + SLACK_PX
        window = cut_out(gray, (x0, y0, x1, y1))
        grown = max(abs(box[2] - box[0] - width) / width, abs(box[3] - box[1] - height) / height)
        if grown > 0.25 or window.shape[0] < height or window.shape[1] < width or self.patch.std() < 1:
            return False
        score = cv2.matchTemplate(window, self.patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (dx, dy) = cv2.minMaxLoc(score)
        if best < SAME_MOVED:
            return False
        self.move_to((x0 + dx, y0 + dy, x0 + dx + width, y0 + dy + height), gray)
        return True

    @property
    def best(self) -> Reading:
        """Of the text that was read most often and surest, its surest reading; what was read while it was typed or
        half hidden counts for the whole of it."""
        votes: dict[str, float] = defaultdict(float)
        for whole in {r.text for r in self.readings}:
            for part in self.readings:
                if part.text == whole or (part.text in whole and len(part.text) >= 3):
                    votes[whole] += part.score**4
        text = max(sorted(votes), key=lambda t: (votes[t], len(t)))
        return max((r for r in self.readings if r.text == text), key=lambda r: r.score)

    @property
    def drift_px(self) -> float:
        """How far its centre wandered between detections."""
        centres = np.array([((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in self.boxes])
        return float(np.linalg.norm(np.ptp(centres, axis=0)))


def cut_out(gray: np.ndarray, box: Pixels) -> np.ndarray:
    return gray[box[1] : box[3], box[0] : box[2]].astype(np.float32)


def stroke_weights(patch: np.ndarray) -> np.ndarray:
    """How much each pixel says about the strokes: the steepness of brightness there; sums to 1."""
    steep = np.zeros_like(patch)
    steep[:, 1:-1] += np.abs(patch[:, 2:] - patch[:, :-2])
    steep[1:-1] += np.abs(patch[2:] - patch[:-2])
    total = float(steep.sum())
    return steep / total if total > 0 else np.full_like(patch, 1 / patch.size)


def likeness(patch: np.ndarray, weights: np.ndarray, other: np.ndarray) -> float:
    """Normalised correlation of two equally large patches where the first has strokes, so that what moves behind a
    text counts little. 0 if the second has hardly any contrast left."""
    a = patch - float((weights * patch).sum())
    b = other - float((weights * other).sum())
    energy_a, energy_b = float((weights * a * a).sum()), float((weights * b * b).sum())
    if energy_b <= MIN_CONTRAST_LEFT**2 * energy_a or energy_a == 0:
        return 0.0
    return float((weights * a * b).sum()) / (energy_a * energy_b) ** 0.5


def overlap(a: Pixels, b: Pixels) -> tuple[float, float]:
    """Intersection over union, and over the smaller of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0, 0.0
    shared = width * height
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return shared / (sum(areas) - shared), shared / min(areas)


def same_height(a: Pixels, b: Pixels) -> bool:
    """Whether two boxes hold equally many lines."""
    return abs((a[3] - a[1]) - (b[3] - b[1])) <= 0.4 * min(a[3] - a[1], b[3] - b[1])


def same_text(a: str, b: str) -> bool:
    """Whether two readings are of one text: nearly equal, or one is the other half typed."""
    a, b = plain(a), plain(b)
    if len(a) >= 3 and len(b) >= 3 and (a in b or b in a):
        return True
    return SequenceMatcher(None, a, b, autojunk=False).ratio() >= 0.75


def look_back(track: TextTrack, frames: np.ndarray) -> None:
    """Move the start of a new track back over the RGB pictures before that show the same strokes already."""
    import cv2

    while track.first > 0:
        before = cv2.cvtColor(frames[track.first - 1], cv2.COLOR_RGB2GRAY)
        if track.likeness(before) < SAME_PATCH:
            return
        track.first -= 1


def box_of(quad: np.ndarray, gray: np.ndarray) -> Pixels | None:
    """The upright box around four corners, inside the picture; None if hardly anything of it is inside."""
    height, width = gray.shape
    x0, y0 = np.clip(np.floor(quad.min(axis=0)), 0, (width, height)).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(quad.max(axis=0)), 0, (width, height)).astype(int).tolist()
    return (x0, y0, x1, y1) if x1 - x0 >= 4 and y1 - y0 >= 4 else None


def stroke_map(gray: np.ndarray) -> np.ndarray:
    """Mean steepness of brightness from left to right per block of 16 px: (rows, columns) float32."""
    import cv2

    steep = cv2.absdiff(gray[:, 2:], gray[:, :-2])
    size = (max(1, steep.shape[1] // BLOCK_PX), max(1, steep.shape[0] // BLOCK_PX))
    return cv2.resize(steep, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def continued(tracks: Sequence[TextTrack], reading: Reading, box: Pixels) -> TextTrack | None:
    """The open track that a new reading continues: the same text near by, or a counter in the same place."""
    for track in tracks:
        in_place, on_top = overlap(track.box, box)
        if is_count(reading.text) or is_count(track.best.text):
            if is_count(reading.text) and is_count(track.best.text) and in_place >= 0.5:
                track.counts = track.counts or reading.text != track.readings[-1].text
                return track
            continue
        height = max(box[3] - box[1], track.box[3] - track.box[1])
        moved_px = np.hypot(*(np.add(box[:2], box[2:]) / 2 - np.add(track.box[:2], track.box[2:]) / 2))
        near = on_top >= 0.5 or moved_px < 3 * height
        if near and any(same_text(r.text, reading.text) for r in track.readings[-3:]):
            return track
    return None


def plain(text: str) -> str:
    """Letters and digits alone, small."""
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())


def is_count(text: str) -> bool:
    """Whether a text is mostly digits, as on a clock or a counter."""
    letters = plain(text)
    return bool(letters) and sum(c.isdigit() for c in letters) >= 0.6 * len(letters)


def caption_blocks(tracks: Sequence[TextTrack]) -> list[int]:
    """For each text the number of the caption it is a line of: lines below each other, of like height, at one time."""
    blocks = list(range(len(tracks)))
    for i, a in enumerate(tracks):
        for j, b in enumerate(tracks[:i]):
            if _lines_of_one(a, b):
                old, new = blocks[i], blocks[j]
                blocks = [new if n == old else n for n in blocks]
    order = {n: k for k, n in enumerate(dict.fromkeys(blocks))}
    return [order[n] for n in blocks]


def _lines_of_one(a: TextTrack, b: TextTrack) -> bool:
    upper, lower = sorted((a.box, b.box), key=lambda box: box[1])
    heights = (upper[3] - upper[1], lower[3] - lower[1])
    together = min(a.last, b.last) - max(a.first, b.first) + 1
    across = min(upper[2], lower[2]) - max(upper[0], lower[0])
    return (
        together >= 0.5 * min(a.last - a.first + 1, b.last - b.first + 1)
        and max(heights) <= 1.8 * min(heights)
        and lower[1] - upper[3] < 0.8 * min(heights)
        and across >= 0.3 * min(upper[2] - upper[0], lower[2] - lower[0])
    )
