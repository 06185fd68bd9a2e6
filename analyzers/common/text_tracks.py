"""Text in pictures over time: is a text still there, is it the same one, does it belong to the scene or lie on top."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np

Pixels = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of a picture, exclusive at the end."""

SAME_PATCH = 0.6
"""Likeness from which on a patch of picture still holds the same strokes. Unrelated patches stay below 0.3."""
SAME_MOVED, SLACK_PX = 0.75, 6
"""The same where the place is searched, over so many pixels around a detection."""
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
        """Whether the same strokes stand near a newly detected box; then the track has moved there."""
        import cv2

        height, width = self.patch.shape
        x0, y0, x1, y1 = max(0, box[0] - SLACK_PX), max(0, box[1] - SLACK_PX), box[2] + SLACK_PX, box[3] + SLACK_PX
        window = cut_out(gray, (x0, y0, x1, y1))
        if window.shape[0] < height or window.shape[1] < width or self.patch.std() < 1:
            return False
        score = cv2.matchTemplate(window, self.patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (dx, dy) = cv2.minMaxLoc(score)
        if best < SAME_MOVED:
            return False
        self.move_to((x0 + dx, y0 + dy, x0 + dx + width, y0 + dy + height), gray)
        return True

    @property
    def best(self) -> Reading:
        """Of the text that was read most often and surest, its surest reading."""
        votes: dict[str, float] = defaultdict(float)
        for reading in self.readings:
            votes[reading.text] += reading.score**4
        text = max(votes, key=lambda t: votes[t])
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


def same_text(a: str, b: str) -> bool:
    """Whether two readings are of one text: nearly equal, or one is the other half typed."""
    a, b = plain(a), plain(b)
    if len(a) >= 3 and len(b) >= 3 and (a in b or b in a):
        return True
    return SequenceMatcher(None, a, b, autojunk=False).ratio() >= 0.75


def plain(text: str) -> str:
    """Letters and digits alone, small."""
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())


def is_count(text: str) -> bool:
    """Whether a text is mostly digits, as on a clock or a counter."""
    letters = plain(text)
    return bool(letters) and sum(c.isdigit() for c in letters) >= 0.6 * len(letters)


GERMAN = frozenset(
    "aber alle als am an auch auf aus bei bin bist das dass dein deine dem den denn der des dich die dir doch du durch "
    "ein eine einem einen einer eines er es euch euer eure folge folgen folgt für geht gibt habe haben hat heute hier "
    "ich ihm ihn ihr ihre im immer in ins ist ja jetzt kann kein keine kommentar kommentare kommentiere kommentiert leider "
    "man mehr mein meine mich mir mit nach nicht nichts noch nur oder ohne schon schreib schreibt sehr sein seine sich "
    "sie sind so teil teile teilt tipps über um und uns unser unten unter vom von vor war warum was weil wenn wer werden "
    "wie wieder wir wird wo wohin zu zum zur zwei".split()
)
ENGLISH = frozenset(
    "a about after all am an and any are as at avoid be because been before but by can clean comment comments could did "
    "do does follow for from had has have he her here his how i if in into is it its just like made me more most my new "
    "no not now of off on one only or our out over part people please share she should so some subscribe than thank that "
    "the their them then there these they this to today too up us very was watch we were what when where which who why "
    "will with would you your first second next woman world".split()
)


def language_of(text: str) -> str | None:
    """ "de" or "en" by letters and common short words; None where nothing speaks for either, or both equally."""
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text).lower())
    german = sum(w in GERMAN for w in words) + 2 * sum(any(c in "äöüß" for c in w) for w in words)
    english = sum(w in ENGLISH for w in words)
    return None if german == english else "de" if german > english else "en"
