"""Composition: where the subject stands in the frame, how much room is above it, how symmetric the picture is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.main_face import MainFace
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment

SAMPLES_HZ = 2.0
MOST_SAMPLES = 12
"""Pictures looked at in one shot; more do not move a median."""
POWER_POINTS = np.array([(x, y) for x in (1 / 3, 2 / 3) for y in (1 / 3, 2 / 3)])
FARTHEST = float(np.hypot(1 / 3, 1 / 3))
"""Distance of a corner to the nearest crossing of the thirds, in frame widths and heights."""
CROWN_SHARE = 0.45
"""A face box goes from brow to chin; the crown is about this share of its height above it."""
MIN_REGION_SHARE, REGION_CONTRAST = 0.02, 4.0
"""A region must take so much of the frame, and stand out so many times as much as the rest: a sign and a lit machine
do, a spot on an empty road does not."""
SEEN = 0.5
"""Visibility from which a keypoint of body_pose counts."""


@dataclass
class CompositionAnalysis(Analyzer):
    """Places the subject of each shot against the rule of thirds, and measures headroom and symmetry.

    The subject is the main face of face_detection; else the person of body_pose; else one region that stands out by
    spectral residual (Hou and Zhang, "Saliency Detection: A Spectral Residual Approach", CVPR 2007; OpenCV), with texts
    of text_overlay left out, if it is small and holds most of what stands out; else there is none, and what depends on
    it is None.

    Segments: one per shot; label: where the subject's middle is from left to right: "left_third", "centered",
    "right_third" (within 8 % of the frame's width), "off_center" (elsewhere), "no_subject". box: the subject (median).
    data: subject ("face", "person", "region" or None), subject_center ([x, y], 0-1), subject_share (of the frame's
    area, 0-1), thirds_score (1 on a crossing of the thirds, 0.5 in the middle of the frame, 0 in a corner), headroom
    (from the top of the frame to the crown, estimated from the face, in frame heights; 0 where it is cut off; None
    without a face), symmetry (correlation of the picture with itself mirrored left to right, 0-1; None for a plain
    picture), seen_share (of the pictures looked at, those with this face or person, 0-1).
    Confidence: seen_share for a face or person; for a region, its share of what stands out.
    Summary: subject and placement (those that hold longest), thirds_score, headroom, symmetry (means over time, None
    where unknown), subject_s (seconds with a subject).

    Nothing: every picture is plain (black).
    What it gets wrong: what stands out is not always what is meant; of several people it takes the most prominent face;
    a region at the border of the frame is never found; a rule of thirds met is no proof of a good picture.
    """

    spec = AnalyzerSpec(
        name="composition_analysis",
        version="1",
        lane="gpu_worker_3",
        needs={Need.FRAMES},
        uses=("cut_analysis", "face_detection", "body_pose", "text_overlay"),
        gives="where the subject stands, thirds, headroom, symmetry of each shot",
    )
    near: float = 0.08
    """Distance from a third or the middle, in frame widths, up to which a subject is said to stand on it."""
    max_region_share: float = 0.25
    min_region_mass: float = 0.6

    def load(self) -> None:
        import cv2

        self._saliency = cv2.saliency.StaticSaliencySpectralResidual_create()

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        cuts = results.get("cut_analysis")
        shots = [(s.start_s, s.end_s) for s in cuts.segments if s.label == "shot"] if cuts else []
        segments = [self._segment(clip, a, b, results) for a, b in shots or [(0.0, clip.video_end_s)]]
        if all(s.data["subject"] is None and s.data["symmetry"] is None for s in segments):
            return Analysis.nothing("the pictures are plain", backend=BACKEND)
        return Analysis(segments=segments, summary=_summary(segments), backend=BACKEND)

    def _segment(self, clip: Clip, start_s: float, end_s: float, results: Mapping[str, Analysis]) -> Segment:
        frames = sampled(np.asarray(clip.frame_times_s), start_s, end_s)
        times_s = np.asarray(clip.frame_times_s)[frames]
        kind, boxes = person_boxes(times_s, results)
        sure = len(boxes) / len(frames)
        if kind is None and (region := self._region(clip, frames, times_s, results.get("text_overlay"))):
            kind, boxes, sure = "region", [region[0]], region[1]
        values = [v for i in frames if (v := symmetry(clip.frames[i])) is not None]
        data: dict[str, Any] = dict.fromkeys(("subject_center", "subject_share", "thirds_score", "headroom"))
        data |= {
            "subject": kind,
            "symmetry": round(float(np.median(values)), 3) if values else None,
            "seen_share": round(len(boxes) / len(frames), 3) if kind in ("face", "person") else None,
        }
        if kind is None:
            return Segment(start_s, end_s, "no_subject", data=data)
        x0, y0, x1, y1 = (float(v) for v in np.median(np.array(boxes), axis=0))
        center = ((x0 + x1) / 2, (y0 + y1) / 2)
        data |= {
            "subject_center": [round(v, 3) for v in center],
            "subject_share": round((x1 - x0) * (y1 - y0), 4),
            "thirds_score": round(thirds_score(*center), 3),
            "headroom": round(max(0.0, y0 - CROWN_SHARE * (y1 - y0)), 3) if kind == "face" else None,
        }
        box = tuple(round(min(max(v, 0.0), 1.0), 4) for v in (x0, y0, x1, y1))
        return Segment(start_s, end_s, self.placement(center[0]), round(min(sure, 1.0), 3), box, data)

    def placement(self, x: float) -> str:
        """Name of a place between the left (0) and right (1) border of the frame."""
        named = {"left_third": 1 / 3, "centered": 1 / 2, "right_third": 2 / 3}
        nearest = min(named, key=lambda name: abs(named[name] - x))
        return nearest if abs(named[nearest] - x) <= self.near else "off_center"

    def _region(
        self, clip: Clip, frames: np.ndarray, times_s: np.ndarray, texts: Analysis | None
    ) -> tuple[Box, float] | None:
        maps = []
        for i, time_s in zip(frames, times_s, strict=True):
            found, saliency = self._saliency.computeSaliency(np.ascontiguousarray(clip.frames[i][::4, ::4]))
            if not found:
                continue
            for s in texts.segments if texts else ():
                if s.box and s.start_s <= time_s < s.end_s:
                    blank(saliency, s.box)
            maps.append(saliency)
        return salient_region(np.mean(maps, axis=0), self.max_region_share, self.min_region_mass) if maps else None


BACKEND = "faces, pose, spectral residual saliency (OpenCV)"


def sampled(times_s: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """Indices of the frames of a shot to look at: two a second, at most `MOST_SAMPLES`, at least one."""
    inside = np.flatnonzero((times_s >= start_s) & (times_s < end_s))
    if not len(inside):
        return np.array([int(np.abs(times_s - (start_s + end_s) / 2).argmin())])
    ticks = np.floor((times_s[inside] - times_s[inside[0]]) * SAMPLES_HZ + 1e-6)
    kept = inside[np.diff(ticks, prepend=-1) > 0]
    return kept[np.linspace(0, len(kept) - 1, min(len(kept), MOST_SAMPLES)).round().astype(int)]


def person_boxes(times_s: np.ndarray, results: Mapping[str, Analysis]) -> tuple[str | None, list[Box]]:
    """("face" or "person", its boxes at those of the times where it was seen), or (None, []).

    A face or person seen in fewer than a quarter of the pictures is not the subject.
    """
    faces, pose = results.get("face_detection"), results.get("body_pose")
    if faces is not None and faces.segments:
        main = MainFace(faces)
        boxes = [found[1] for t in times_s if (found := main.at(float(t)))]
        if len(boxes) >= 0.25 * len(times_s):
            return "face", boxes
    if pose is not None and "pose" in pose.tracks:
        boxes = [b for t in times_s if (b := pose_box(pose.tracks["pose"], pose.tracks["pose_times_s"], float(t)))]
        if len(boxes) >= 0.25 * len(times_s):
            return "person", boxes
    return None, []


def pose_box(keypoints: np.ndarray, pose_times_s: np.ndarray, time_s: float) -> Box | None:
    """Box around the keypoints seen at a time; None where there is no pose within half a second.

    Args:
        keypoints: (pictures, 33, 3): x, y, visibility; NaN without a pose.
        pose_times_s: (pictures,).
    """
    if not len(pose_times_s):
        return None
    i = int(np.abs(pose_times_s - time_s).argmin())
    seen = keypoints[i][np.nan_to_num(keypoints[i, :, 2]) >= SEEN, :2].clip(0, 1)
    if abs(pose_times_s[i] - time_s) > 0.5 or len(seen) < 4:
        return None
    return (*map(float, seen.min(axis=0)), *map(float, seen.max(axis=0)))  # type: ignore[return-value]


def thirds_score(x: float, y: float) -> float:
    """1 on a crossing of the lines that cut the frame in thirds, 0 in a corner; x and y are 0-1."""
    return float(1 - np.hypot(*(POWER_POINTS - (x, y)).T).min() / FARTHEST)


def symmetry(picture: np.ndarray) -> float | None:
    """Correlation of an RGB picture's brightness with its mirror image, 0-1; None for a plain picture."""
    import cv2

    small = cv2.resize(np.ascontiguousarray(picture), (64, 64), interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float64)
    if luma.std() < 4:
        return None
    return max(0.0, float(np.corrcoef(luma.ravel(), luma[:, ::-1].ravel())[0, 1]))


def blank(saliency: np.ndarray, box: Box) -> None:
    """Set a box (xyxy, 0-1) of a map to zero, in place."""
    height, width = saliency.shape
    rows = slice(int(box[1] * height), int(np.ceil(box[3] * height)))
    saliency[rows, int(box[0] * width) : int(np.ceil(box[2] * width))] = 0


def salient_region(saliency: np.ndarray, max_share: float, min_mass: float) -> tuple[Box, float] | None:
    """The one region that stands out, as (box, its share of all that stands out); None if there is no such one.

    Args:
        saliency: (height, width) float, any scale; what exceeds three times its mean stands out, as in the paper.
    """
    import cv2

    smooth = cv2.GaussianBlur(saliency.astype(np.float32), (0, 0), max(1.0, min(saliency.shape) / 40))
    rows, columns = saliency.shape
    margin_y, margin_x = max(1, round(0.06 * rows)), max(1, round(0.06 * columns))
    # The Fourier transform joins opposite borders of the picture, so that any difference between them stands out.
    smooth[:margin_y] = smooth[-margin_y:] = smooth[:, :margin_x] = smooth[:, -margin_x:] = 0
    out = smooth > 3 * smooth.mean()
    if not out.any() or smooth.max() < 1e-6:
        return None
    count, labels, stats, _ = cv2.connectedComponentsWithStats(out.astype(np.uint8))
    masses = np.bincount(labels.ravel(), smooth.ravel(), minlength=count)[1:]
    best = int(masses.argmax())
    share = float(masses[best] / masses.sum())
    x, y, width, height = (int(v) for v in stats[best + 1, :4])
    if share < min_mass or not MIN_REGION_SHARE * rows * columns <= width * height <= max_share * rows * columns:
        return None
    inside = smooth[y : y + height, x : x + width]
    around = (smooth.sum() - inside.sum()) / (rows * columns - inside.size)
    if inside.mean() < REGION_CONTRAST * around:
        return None
    return (x / columns, y / rows, (x + width) / columns, (y + height) / rows), share


def _summary(segments: Sequence[Segment]) -> dict[str, Any]:
    lengths_s = np.array([s.end_s - s.start_s for s in segments])

    def longest(names: Sequence[Any]) -> Any:
        return max(set(names), key=lambda n: (sum(lengths_s[i] for i, m in enumerate(names) if m == n), str(n)))

    def mean(name: str) -> float | None:
        known = [(s.data[name], w) for s, w in zip(segments, lengths_s, strict=True) if s.data[name] is not None]
        total_s = sum(w for _, w in known)
        return round(float(sum(v * w for v, w in known) / total_s), 3) if total_s else None

    return {
        "subject": longest([s.data["subject"] for s in segments]),
        "placement": longest([s.label for s in segments]),
        "thirds_score": mean("thirds_score"),
        "headroom": mean("headroom"),
        "symmetry": mean("symmetry"),
        "subject_s": round(float(sum(w for s, w in zip(segments, lengths_s, strict=True) if s.data["subject"])), 3),
    }
