"""Scenes: shots that look alike and belong together, and shots that come back to the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.clip import Clip
from analyzers.common.transformers_models import ImageText, half_fetched
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.weights import installed

LIGHTNESS_BINS, COLOR_BINS = 8, 12
"""Bins of L and of a and b each. Colour counts in finer steps than lightness, which changes with the angle."""
LAYOUT_CELLS = 6
PICTURES_AT = (0.15, 0.5, 0.85)
"""Where in a shot its pictures are taken, as shares of its length."""
UNLIKE_COSINE = 0.5
"""CLIP's pictures all lie in one cone: those of different things have about this cosine. Not measured here."""
BLACK_L = 20
"""OpenCV's 8-bit L* (0-255) up to which a pixel counts as black."""


@dataclass
class SceneSegmentation(Analyzer):
    """Joins the shots of cut_analysis into visual scenes.

    Each shot is described by pictures from its beginning, middle and end: a smoothed CIELAB histogram (what colours,
    black left out) and a coarse grid (where light and dark are). Two shots look alike if the most alike of their
    pictures do: by the Hellinger distance of histograms, or by the correlation of grids, which finds the same framing
    under another light. A shot that looks like one of the last few links all between into one scene (overlapping links,
    Hanjalic et al., "Automated High-Level Movie Segmentation", IEEE TCSVT 1999), as two people who talk in turns do.

    With the model image_text (CLIP ViT-B/32, Radford et al. 2021) likeness is that of its embeddings instead: the
    cosine of the most alike pictures, 0.5 and below (pictures of different things) as 0, 1 as 1. It goes by what is in
    the pictures rather than by their colours.

    Segments, by start; label "scene". data: scene (0, 1, ... in order), shots (their indices in cut_analysis), look
    (number of the look; scenes with the same number look alike, wherever they stand), likeness_to_previous (0-1, of the
    most alike shots of this and the previous scene; None for the first).
    Confidence: of the border before it, 1 - likeness_to_previous; None for the first.
    Summary: scenes, looks, returns (scenes with an earlier look), mean_scene_s.

    Never empty. It says "looks alike" and claims no meaning.
    What it gets wrong: one room seen towards the window and towards the wall may be two scenes, two different grey
    streets one; a clip of one shot is one scene, however far the camera walks.
    """

    spec = AnalyzerSpec(
        name="scene_segmentation",
        version="1",
        lane="gpu_worker_3",
        needs={Need.THUMBS, Need.FRAMES},
        after=("cut_analysis",),
        weights=("image_text",),
        gives="visual scenes: shots that look alike; which looks return",
    )
    alike: float = 0.6
    """Likeness from which two shots belong to one look."""
    shots_back: int = 4
    longest_link_s: float = 20.0

    def load(self) -> None:
        import cv2  # noqa: F401

        self._clip = ImageText.load("image_text", self.spec.lane) if installed("image_text") else None

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        shots = [s for s in results["cut_analysis"].segments if s.label == "shot"]
        if self._clip:
            likeness = embedded_likeness(clip, shots, self._clip)
        else:
            likeness = likeness_of([describe(clip.thumbs, s.data["start_frame"], s.data["end_frame"]) for s in shots])
        starts = self._scene_starts(shots, likeness)
        scenes = [list(range(a, b)) for a, b in zip(starts, [*starts[1:], len(shots)], strict=True)]
        look_of = _looks(scenes, likeness, self.alike)
        segments = []
        for i, scene in enumerate(scenes):
            before = float(likeness[np.ix_(scenes[i - 1], scene)].max()) if i else None
            data = {
                "scene": i,
                "shots": [shots[k].data["index"] for k in scene],
                "look": look_of[i],
                "likeness_to_previous": None if before is None else round(before, 3),
            }
            sure = None if before is None else round(1 - before, 3)
            segments.append(Segment(shots[scene[0]].start_s, shots[scene[-1]].end_s, "scene", sure, data=data))
        return Analysis(
            segments=segments,
            summary={
                "scenes": len(scenes),
                "looks": len(set(look_of)),
                "returns": len(scenes) - len(set(look_of)),
                "mean_scene_s": round(float(np.mean([s.end_s - s.start_s for s in segments])), 3),
                **half_fetched("image_text"),
            },
            backend="CLIP embeddings of shots"
            if self._clip
            else "CIELAB histograms and layout of shots (numpy, OpenCV)",
            model=self._clip.id if self._clip else None,
        )

    def _scene_starts(self, shots: Sequence[Segment], likeness: np.ndarray) -> list[int]:
        """Indices of the first shot of each scene: no link to a shot before may reach over it."""
        reach = list(range(len(shots)))
        for i, shot in enumerate(shots):
            for j in range(i + 1, min(i + 1 + self.shots_back, len(shots))):
                if likeness[i, j] >= self.alike and shots[j].start_s - shot.end_s <= self.longest_link_s:
                    reach[i] = j
        starts, furthest = [0], reach[0]
        for i in range(1, len(shots)):
            if i > furthest:
                starts.append(i)
            furthest = max(furthest, reach[i])
        return starts


@dataclass(frozen=True)
class ShotLook:
    """How the pictures of a shot look: one row for each of `PICTURES_AT`, of which some may be alike."""

    histograms: np.ndarray
    """(pictures, bins) float64; square roots of shares, so that a scalar product is a Bhattacharyya coefficient."""
    layouts: np.ndarray
    """(pictures, cells) float64, mean 0 and length 1; zeros for a plain picture."""


def describe(thumbs: np.ndarray, first: int, end: int) -> ShotLook:
    """The look of frames `first` to `end` (exclusive), from their beginning, middle and end."""
    import cv2

    frames = [first + int((end - first) * part) for part in PICTURES_AT]
    pictures = [cv2.cvtColor(np.ascontiguousarray(thumbs[f]), cv2.COLOR_RGB2LAB) for f in frames]
    shown = [lab for lab in pictures if (lab[..., 0] > BLACK_L).mean() > 0.05]
    shown = [(shown or pictures)[k % len(shown or pictures)] for k in range(len(PICTURES_AT))]
    return ShotLook(*(np.array([of(lab) for lab in shown]) for of in (_histogram, _layout)))


def _histogram(lab: np.ndarray) -> np.ndarray:
    """Smoothed colour histogram without black, which bars and shadows fill in any picture; (bins,) float64."""
    pixels = lab.reshape(-1, 3)
    lit = pixels[pixels[:, 0] > BLACK_L]
    pixels = lit if len(lit) > 0.05 * len(pixels) else pixels
    bins = (LIGHTNESS_BINS, COLOR_BINS, COLOR_BINS)
    counts = _smoothed(np.histogramdd(pixels, bins, ((0, 256), (64, 192), (64, 192)))[0])
    return np.sqrt(counts / max(counts.sum(), 1e-9)).ravel()


def _layout(lab: np.ndarray) -> np.ndarray:
    """Where it is light and dark: (cells,) float64, mean 0 and length 1; zeros for a plain picture."""
    import cv2

    layout = cv2.resize(lab[..., 0], (LAYOUT_CELLS, LAYOUT_CELLS), interpolation=cv2.INTER_AREA).astype(float).ravel()
    layout -= layout.mean()
    spread = float(np.linalg.norm(layout))
    return layout / spread if spread > 4 * LAYOUT_CELLS else np.zeros_like(layout)


def likeness_of(looks: Sequence[ShotLook]) -> np.ndarray:
    """Likeness of each shot to each, 0-1: (shots, shots), symmetric, 1 on the diagonal.

    That of their most alike pictures, by colours or by layout, whichever is more.
    """
    shots, pictures = len(looks), len(PICTURES_AT)
    histograms = np.concatenate([look.histograms for look in looks])
    layouts = np.concatenate([look.layouts for look in looks])
    colors = 1 - np.sqrt(np.clip(1 - histograms @ histograms.T, 0, None))
    layout = np.clip(layouts @ layouts.T, 0, None)
    # The same layout without any of the same colours is chance: many pictures are light above and dark below.
    both = np.maximum(colors, np.minimum(layout**2, colors + 0.25))
    likeness = both.reshape(shots, pictures, shots, pictures).max(axis=(1, 3)).clip(0, 1)
    np.fill_diagonal(likeness, 1.0)
    return likeness


def embedded_likeness(clip: Clip, shots: Sequence[Segment], model: ImageText) -> np.ndarray:
    """As `likeness_of`, from embeddings of the pictures of `clip.frames` nearest to `PICTURES_AT` of each shot."""
    times_s = np.array([s.start_s + share * (s.end_s - s.start_s) for s in shots for share in PICTURES_AT])
    frames = np.abs(np.asarray(clip.frame_times_s)[None] - times_s[:, None]).argmin(axis=1)
    vectors = model.embed_pictures([clip.frames[i] for i in frames])
    cosines = vectors @ vectors.T
    parts = cosines.reshape(len(shots), len(PICTURES_AT), len(shots), len(PICTURES_AT))
    likeness = ((parts.max(axis=(1, 3)) - UNLIKE_COSINE) / (1 - UNLIKE_COSINE)).clip(0, 1)
    np.fill_diagonal(likeness, 1.0)
    return likeness


def _smoothed(histogram: np.ndarray) -> np.ndarray:
    """A histogram in which neighbouring bins share, so that a small shift of colour is a small difference."""
    for axis in range(histogram.ndim):
        padded = np.pad(histogram, [(1, 1) if k == axis else (0, 0) for k in range(histogram.ndim)])
        length = histogram.shape[axis]
        left, middle, right = (np.take(padded, range(k, k + length), axis) for k in range(3))
        histogram = 0.25 * left + 0.5 * middle + 0.25 * right
    return histogram


def _looks(scenes: Sequence[Sequence[int]], likeness: np.ndarray, least: float) -> list[int]:
    """A number for each scene; a scene gets that of the most alike earlier scene, if it is alike enough."""
    looks: list[int] = []
    for i, scene in enumerate(scenes):
        scores = [float(likeness[np.ix_(scenes[k], scene)].max()) for k in range(i)]
        best = int(np.argmax(scores)) if scores else -1
        looks.append(looks[best] if scores and scores[best] >= least else len(set(looks)))
    return looks
