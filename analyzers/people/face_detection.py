"""Faces: where they are, when, and which of them are the same one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.mediapipe_solution import backend, opened, solutions
from analyzers.common.tracks import (
    Hit,
    clipped,
    link,
    mean_box,
    overlap,
    rejoin,
    sample_step_s,
    shot_breaks_s,
    stretch_end_s,
    stretches,
)
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment

SAME_FACE_OVERLAP = 0.3


@dataclass
class FaceDetection(Analyzer):
    """Faces in 4 pictures a second, linked to tracks.

    mediapipe's full-range BlazeFace model (Bazarevsky et al. 2019, arXiv:1907.05047; Apache-2.0, inside the wheel)
    looks at each of `clip.frames`. Boxes of successive pictures are linked by their overlap; no track crosses into
    another shot of cut_analysis. A track counts when its scores together are evidence enough: one clear hit or several
    weak ones, so that a flicker in one picture is dropped. A doubtful track must be evidence enough in the mirror image
    too: a face is one there, what only looks like one to the model as a rule is not. A face that was hidden and comes
    back to about its place in the same shot goes on as the same track if light and shade of the head are the same (see
    `likeness`).

    Segments: one per stretch in which a face was seen without a longer gap. label "face"; box: the mean box, brow to
    chin; confidence: mean score. data: `track` (int, the same face within a shot), `hits` (pictures it was found in),
    `height_px_max` (largest height of the box in pixels of the original).

    summary: `people_max` (most faces in one picture), `tracks`, `face_share` (share of the clip's pictures with a face,
    0-1), `height_px_max`.

    tracks: `faces` (hits, 6) float32: track, x0, y0, x1, y1, score; `faces_times_s`. `face_count` (frames,) float32;
    `face_count_times_s`.

    An empty result: no face turned towards the camera was found. It says nothing about people seen from behind.

    Gets wrong: misses profiles, faces below about 20 px at 640 px, heads lying on their side; finds faces in dolls,
    posters and cartoons that look human; a face that leaves for over 2 s comes back as another track if it looks from
    another side or from elsewhere by then.
    """

    spec = AnalyzerSpec(
        name="face_detection",
        version="2",
        lane="gpu_worker_3",
        needs={Need.FRAMES},
        uses=("cut_analysis",),
        gives="face boxes with a track id",
    )
    min_score: float = 0.5
    """Scores below this are not looked at; the model gives real faces 0.63 and more."""
    min_evidence: float = 0.25
    """Sum of (score - 0.5) that a track needs: one hit of 0.75, two of 0.63. Single false hits reached 0.70."""
    min_best_score: float = 0.66
    """What the best hit of a track must reach, so that a thing that never moves does not add up to a face."""
    clear_score: float = 0.85
    """A track with such a hit is a face. Any other must be one in the mirror image of its pictures as well."""
    mirrored_looks: int = 12
    """In so many pictures of a doubtful track, those with the highest scores."""
    max_gap_s: float = 2.0
    """A face not seen for longer starts a new track."""
    max_lost_s: float = 10.0
    """After that time a face is another one, however alike."""
    min_likeness: float = 0.86
    """Faces of different people reached 0.82 at most, 0.69 in the same light; one face turned away and back keeps 0.7,
    one that is hidden and looks the same way again 0.9."""
    max_hidden_s: float = 0.8
    """A face not seen for longer starts a new segment."""

    def load(self) -> None:
        self._solution = solutions().face_detection.FaceDetection

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        breaks_s = shot_breaks_s(results)
        name = backend("FaceDetection, full range")
        step_s = sample_step_s(clip.frame_times_s)

        def frame_of(hit: Hit) -> np.ndarray:
            return clip.frames[int(np.searchsorted(clip.frame_times_s, hit.time_s))]

        with opened(lambda: self._solution(self.min_score, model_selection=1)) as detector:
            hits = [
                Hit(float(time_s), box, score)
                for time_s, frame in zip(clip.frame_times_s, clip.frames, strict=True)
                for box, score in boxes(detector.process(frame).detections)
            ]
            tracks = link(hits, max(self.max_gap_s, 1.5 * step_s), breaks_s)
            tracks = [t for t in tracks if self._is_face([h.score for h in t])]
            for track in [t for t in tracks if max(h.score for h in t) < self.clear_score]:
                best = sorted(track, key=lambda h: (-h.score, h.time_s))[: self.mirrored_looks]
                mirrored = (
                    boxes(detector.process(np.ascontiguousarray(frame_of(h)[:, ::-1])).detections) for h in best
                )
                if not self._is_face([score_both_ways(h, found) for h, found in zip(best, mirrored, strict=True)]):
                    tracks.remove(track)
        looks = cache(lambda hit: chip(frame_of(hit), hit.box))
        tracks = rejoin(
            tracks,
            lambda before, after: likeness([looks(h) for h in before[-4:]], [looks(h) for h in after[:4]]),
            self.min_likeness,
            self.max_lost_s,
            breaks_s,
        )
        if not tracks:
            return Analysis.nothing("no face was found", backend=name)
        parts = [(i, part) for i, t in enumerate(tracks) for part in stretches(t, max(self.max_hidden_s, 1.5 * step_s))]
        segments = [
            Segment(
                start_s=part[0].time_s,
                end_s=stretch_end_s(part[-1].time_s, clip.frame_times_s, breaks_s, clip.video_end_s),
                label="face",
                confidence=round(fmean(h.score for h in part), 3),
                box=mean_box([h.box for h in part]),
                data={"track": i, "hits": len(part), "height_px_max": height_px_max(part, clip.height)},
            )
            for i, part in parts
        ]
        at_once = Counter(h.time_s for track in tracks for h in track)
        count = np.array([at_once[float(t)] for t in clip.frame_times_s], np.float32)
        return Analysis(
            segments=sorted(segments, key=lambda s: (s.start_s, s.data["track"])),
            summary={
                "people_max": int(count.max()),
                "tracks": len(tracks),
                "face_share": round(float((count > 0).mean()), 3),
                "height_px_max": max(height_px_max(t, clip.height) for t in tracks),
            },
            backend=name,
            tracks={
                **hit_arrays(tracks),
                "face_count": count,
                "face_count_times_s": np.asarray(clip.frame_times_s),
            },
        )

    def _is_face(self, scores: Sequence[float]) -> bool:
        return is_evidence(scores, self.min_evidence, self.min_best_score)


def score_both_ways(hit: Hit, mirrored: Sequence[tuple[Box, float]]) -> float:
    """Mean of a hit's score and that of the same face in the mirror image (boxes as found there); 0 if not found."""
    there = [
        score for (x0, y0, x1, y1), score in mirrored if overlap((1 - x1, y0, 1 - x0, y1), hit.box) > SAME_FACE_OVERLAP
    ]
    return (hit.score + max(there)) / 2 if there else 0.0


def boxes(detections: Any) -> list[tuple[tuple[float, float, float, float], float]]:
    """(box, score) of mediapipe's detections (None where there are none), boxes without area left out."""
    found = []
    for detection in detections or ():
        b = detection.location_data.relative_bounding_box
        box = clipped((b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height))
        if box[2] > box[0] and box[3] > box[1]:
            found.append((box, float(detection.score[0])))
    return found


def chip(frame: np.ndarray, box: Box) -> np.ndarray:
    """Light and shade of a head: (576,) float, mean 0 and length 1, so that brightness and contrast count for nothing.

    Brightness of 24 x 24 px, softened, of a rectangle 1.5 times as wide and high as the box; (height, width, 3) RGB in.
    """
    import cv2

    height, width = frame.shape[:2]
    x, y = (box[0] + box[2]) / 2 * width, (box[1] + box[3]) / 2 * height
    across, down = 1.5 * (box[2] - box[0]) * width, 1.5 * (box[3] - box[1]) * height
    place = np.array([[24 / across, 0, 12 - 24 * x / across], [0, 24 / down, 12 - 24 * y / down]])
    small = cv2.warpAffine(frame, place, (24, 24), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float64), (0, 0), 1.0).ravel()
    light -= light.mean()
    return light / max(float(np.linalg.norm(light)), 1e-6)


def likeness(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> float:
    """The highest correlation (-1 to 1) between one of some chips and one of some others."""
    return float((np.array(before) @ np.array(after).T).max())


def is_evidence(scores: Sequence[float], min_evidence: float, min_best_score: float) -> bool:
    """Whether the scores of a track (0-1) make a face of it: one clear hit, or several weaker ones."""
    return max(scores) >= min_best_score and sum(max(0.0, s - 0.5) for s in scores) >= min_evidence


def height_px_max(hits: Sequence[Hit], height_px: int) -> int:
    """Height of the largest box in pixels of a picture `height_px` high."""
    return round(max(h.box[3] - h.box[1] for h in hits) * height_px)


def hit_arrays(tracks: Sequence[Sequence[Hit]]) -> dict[str, np.ndarray]:
    """`faces` (hits, 6) float32 and `faces_times_s`, ordered by time, then track."""
    rows = sorted((h.time_s, i, *h.box, h.score) for i, track in enumerate(tracks) for h in track)
    return {
        "faces": np.array([row[1:] for row in rows], np.float32),
        "faces_times_s": np.array([row[0] for row in rows]),
    }
