"""Scenes: shots that look alike and belong together, and shots that come back to the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.clip import Clip
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

LIGHTNESS_BINS, COLOR_BINS = 8, 12
"""Bins of L and of a and b each. Colour counts in finer steps than lightness, which changes with the angle."""
LAYOUT_ROWS, LAYOUT_COLUMNS = 6, 6


@dataclass
class SceneSegmentation(Analyzer):
    """Joins the shots of cut_analysis into visual scenes.

    Each shot is described by pictures from its beginning, middle and end: a smoothed CIELAB histogram (what colours) and
    a coarse grid (where light and dark are). Two shots look alike if the most alike of their pictures do: by the
    Hellinger distance of histograms, or by the correlation of grids, which finds the same framing under another
    light. A shot that looks like one of the last few links all between into one scene (overlapping links, Hanjalic et
    al., "Automated High-Level Movie Segmentation", IEEE TCSVT 1999), as two people who talk in turns do.

    Segments, by start; label "scene". data: scene (0, 1, ... in order), shots (their indices in cut_analysis), look (number
    of the look; scenes with the same number look alike, wherever they stand), likeness_to_previous (0-1, of the most
    alike shots of this and the previous scene; None for the first).
    Confidence: of the border before it, 1 - likeness_to_previous; None for the first.
    Summary: scenes, looks, returns (scenes with an earlier look), mean_scene_s.

    Never empty. It says "looks alike" and claims no meaning: one room seen towards the window and towards the wall may
    be two scenes, and two different grey streets one. A clip of one shot is one scene, however much the camera walks.
    """

    spec = AnalyzerSpec(
        name="scene_segmentation",
        version="1",
        lane="gpu_worker_3",
        needs={Need.THUMBS},
        after=("cut_analysis",),
        gives="visual scenes: shots that look alike; which looks return",
    )
    alike: float = 0.6
    """Likeness from which two shots belong to one look."""
    shots_back: int = 4
    longest_link_s: float = 20.0

    def load(self) -> None:
        import cv2  # noqa: F401

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        shots = [s for s in results["cut_analysis"].segments if s.label == "shot"]
        described = [describe(clip.thumbs, s.data["start_frame"], s.data["end_frame"]) for s in shots]
        likeness = np.array([[alike(a, b) for b in described] for a in described])
        starts = self._scene_starts(shots, likeness)
        scenes = [list(range(a, b)) for a, b in zip(starts, [*starts[1:], len(shots)], strict=True)]
        looks = _looks(scenes, likeness, self.alike)
        segments = []
        for i, scene in enumerate(scenes):
            before = float(likeness[np.ix_(scenes[i - 1], scene)].max()) if i else None
            data = {
                "scene": i,
                "shots": [shots[k].data["index"] for k in scene],
                "look": looks[i],
                "likeness_to_previous": None if before is None else round(before, 3),
            }
            sure = None if before is None else round(1 - before, 3)
            segments.append(Segment(shots[scene[0]].start_s, shots[scene[-1]].end_s, "scene", sure, data=data))
        return Analysis(
            segments=segments,
            summary={
                "scenes": len(scenes),
                "looks": len(set(looks)),
                "returns": len(scenes) - len(set(looks)),
                "mean_scene_s": round(float(np.mean([s.end_s - s.start_s for s in segments])), 3),
            },
            backend="CIELAB histograms and layout of shots (numpy, OpenCV)",
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
    """How the pictures of a shot look: one row for each."""

    histograms: np.ndarray
    """(pictures, bins) float64; square roots of shares, so that a scalar product is a Bhattacharyya coefficient."""
    layouts: np.ndarray
    """(pictures, cells) float64, mean 0 and length 1; zeros for a plain picture."""


def describe(thumbs: np.ndarray, first: int, end: int) -> ShotLook:
    """The look of frames `first` to `end` (exclusive), from their beginning, middle and end."""
    import cv2

    length = end - first
    frames = sorted({first + int(length * part) for part in (0.15, 0.5, 0.85)})
    histograms, layouts = [], []
    for frame in frames:
        lab = cv2.cvtColor(np.ascontiguousarray(thumbs[frame]), cv2.COLOR_RGB2LAB)
        shares = cv2.calcHist([lab], [0, 1, 2], None, [LIGHTNESS_BINS, COLOR_BINS, COLOR_BINS], [0, 256, 64, 192, 64, 192])
        shares = _smoothed(shares)
        histograms.append(np.sqrt(shares / max(shares.sum(), 1e-9)).ravel())
        layout = cv2.resize(lab[..., 0], (LAYOUT_COLUMNS, LAYOUT_ROWS), interpolation=cv2.INTER_AREA).astype(float)
        layout = layout.ravel() - layout.mean()
        spread = float(np.linalg.norm(layout))
        layouts.append(layout / spread if spread > 4 * np.sqrt(layout.size) else np.zeros_like(layout))
    return ShotLook(np.array(histograms), np.array(layouts))


def alike(a: ShotLook, b: ShotLook) -> float:
    """Likeness of two shots, 0-1: of their most alike pictures, by colours or by layout, whichever is more."""
    colors = 1 - np.sqrt(np.maximum(0.0, 1 - a.histograms @ b.histograms.T))
    layout = np.maximum(0.0, a.layouts @ b.layouts.T)
    # The same layout without any of the same colours is chance: many pictures are light above and dark below.
    return float(np.clip(np.maximum(colors, np.minimum(layout**2, colors + 0.25)).max(), 0.0, 1.0))


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
