"""How the camera moves: static, pan, tilt, zoom, roll, handheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analyzers.clip import Clip
from analyzers.common.flow import GlobalMotion, global_motion, shake, wobble
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

DIRECTIONS = (("pan_left", "pan_right"), ("tilt_down", "tilt_up"), ("zoom_out", "zoom_in"), ("roll_left", "roll_right"))


@dataclass
class CameraAnalysis(Analyzer):
    """Tells how the camera moves, shot by shot, from the motion of the background.

    Corners are tracked over pairs of luma pictures about 1/12 s apart (pyramidal Lucas-Kanade with a check backwards),
    never across a cut; RANSAC fits one shift, turn and scaling (see analyzers.common.flow). The median over 0.7 s tells
    what to call it.

    Segments fill every shot; label: "static", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out",
    "roll_left", "roll_right" (counter-clockwise, clockwise), "handheld" (moves without a lasting direction), "unknown"
    (nothing to hold on to, or no single motion explains the picture). It is the camera's direction: in a pan to the
    right things move left. Where several go on at once, the one that moves the picture most gives the name.
    data: pan_frame_widths_per_s (positive: right), tilt_frame_heights_per_s (positive: up), zoom_per_s (growth of the
    logarithm of the scale; positive: in), roll_deg_per_s (positive: clockwise), shake_frame_widths_per_s (how
    much pan and tilt differ from one pair to the next, as a standard deviation), inlier_share (0-1), border_share (of
    the 12 outer ones of 4 x 4 blocks of the picture, those that hold points moving alike, 0-1: is the background seen
    to move?); of "unknown" only the last two.
    Confidence: inlier_share, the share of tracked points that move alike.
    Summary: camera (the known label that holds longest), shares (of the clip, by label), mean_shake_frame_widths_per_s.
    Tracks: pan, tilt, zoom, roll (units as above) and inlier_share per pair, NaN where unknown; camera_times_s.

    Nothing: a single picture, or none with enough corners (black, plain, blurred).
    What it gets wrong: a walk forwards reads as zoom in, a dolly or truck as pan; a subject that fills the frame, or
    moves before a background without corners, reads as camera unless the camera stands still before and after, where
    in return a small move reads as unknown; large lettering over a scene without corners reads as static; a zoom about
    a point off the middle also shows as pan or tilt.
    """

    spec = AnalyzerSpec(
        name="camera_analysis",
        version="2",
        lane="gpu_worker_2",
        needs={Need.LUMA},
        after=("cut_analysis",),
        gives="static, pan, tilt, zoom, roll or handheld, with speeds",
    )
    rate_hz: float = 12.0
    window_s: float = 0.7
    shortest_s: float = 0.5
    """Stretches shorter than this join the longer of their neighbours in the same shot."""
    min_pan: float = 0.02
    """Slowest pan or tilt, in frame widths or heights per second."""
    min_zoom_per_s: float = 0.015
    min_roll_deg_per_s: float = 1.5
    slowest_for_s: float = 1.5
    """The slowest motions must last so long; shorter ones must be faster in proportion, or a subject may have moved."""
    min_inlier_share: float = 0.3
    min_way_to_wobble: float = 3.0
    """A direction must lead so many times farther than the path strays from it. A sheet held up to a camera reaches 1.8
    by chance, real moves 3.6 (hand-held, over a second) to some hundred."""
    followed_inlier_share: float = 0.6
    min_border_share: float = 0.6
    min_way: float = 0.1
    """Where the camera rests before and after, a move must be followed from pair to pair, show in so many of the outer
    blocks, and lead so far, in short sides of the frame: a thing held up to it breaks the thread, comes and goes."""

    def load(self) -> None:
        import cv2  # noqa: F401

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        import cv2

        backend = f"OpenCV {cv2.__version__} sparse flow and RANSAC"
        cuts = results["cut_analysis"].segments
        shots = [s for s in cuts if s.label == "shot"]
        blends = [s for s in cuts if s.label in ("dissolve", "fade_in", "fade_out")]
        segments: list[Segment] = []
        tracks: list[np.ndarray] = []
        for shot in shots:
            pairs = frame_pairs(clip.times_s, shot.data["start_frame"], shot.data["end_frame"], self.rate_hz)
            motions = [global_motion(clip.luma[i], clip.luma[j]) for i, j in pairs]
            rates = motion_rates(clip, pairs, motions)
            rates[[any(b.start_s < t < b.end_s for b in blends) for t in rates[:, 0]], 1:] = np.nan
            segments += self._segments(rates, shot, clip)
            tracks.append(rates)
        series = np.concatenate(tracks) if tracks else np.empty((0, 7))
        if not np.isfinite(series[:, 1]).any():
            one = len(clip.times_s) == 1
            reason = "a single picture has no motion" if one else "the pictures show too little to hold on to"
            return Analysis.nothing(reason, backend=backend)
        return Analysis(
            segments=segments,
            summary=_summary(segments),
            backend=backend,
            tracks={
                "camera_times_s": series[:, 0],
                **{n: series[:, k].astype(np.float32) for k, n in enumerate(("pan", "tilt", "zoom", "roll"), 1)},
                "inlier_share": series[:, 5].astype(np.float32),
            },
        )

    def _segments(self, rates: np.ndarray, shot: Segment, clip: Clip) -> list[Segment]:
        if not len(rates):
            return [_segment("unknown", shot.start_s, shot.end_s, rates)]
        times_s, aspect = rates[:, 0], clip.width / clip.height
        near = (np.abs(times_s - t) <= self.window_s / 2 for t in times_s)
        labels = [self.label_of(rates[rows], aspect, lasting_share=0.6) for rows in near]
        edges_s = [shot.start_s, *((times_s[:-1] + times_s[1:]) / 2).tolist(), shot.end_s]
        labels = _without_short_runs(labels, edges_s, self.shortest_s)
        for first, last in _runs(labels):
            at_least = max(1.0, self.slowest_for_s / (edges_s[last] - edges_s[first]))
            labels[first:last] = [self.label_of(rates[first:last], aspect, at_least)] * (last - first)
        labels = self._subject_not_camera(labels, rates, edges_s, clip)
        return [_segment(labels[i], edges_s[i], edges_s[j], rates[i:j]) for i, j in _runs(labels)]

    def label_of(self, rates: np.ndarray, aspect: float, at_least: float = 1.0, lasting_share: float = 0.8) -> str:
        """What to call the motion of some pairs of pictures.

        Args:
            rates: as `motion_rates` gives them.
            aspect: width through height of the frame.
            at_least: how many times the slowest motion it must be to have a direction.
            lasting_share: in so many of the pairs a motion must go the same way to have a direction.
        """
        known = rates[np.isfinite(rates[:, 1])]
        if not len(known) or len(known) < 0.5 * len(rates) or np.median(known[:, 5]) < self.min_inlier_share:
            return "unknown"
        moves = known[:, 1:5]
        typical = np.median(moves, axis=0)
        lasting = (np.sign(moves) == np.sign(typical)).mean(axis=0) >= lasting_share
        least = (self.min_pan, self.min_pan, self.min_zoom_per_s, self.min_roll_deg_per_s)
        speed, length_s = np.abs(typical) * short_sides(aspect), known[-1, 0] - known[0, 0]
        strays = wobble(known[:, 0], moves[:, :2] * short_sides(aspect)[:2])
        enough = (np.abs(typical) >= at_least * np.array(least)) & (speed * length_s >= self.min_way_to_wobble * strays)
        candidates = np.flatnonzero(lasting & enough)
        if len(candidates):
            most = candidates[np.argmax(speed[candidates])]
            return DIRECTIONS[most][int(typical[most] > 0)]
        # A camera in a hand rests in few pairs; before a still one, a subject that moves is taken for it now and then.
        return "handheld" if np.quantile(np.hypot(moves[:, 0], moves[:, 1]), 0.4) > self.min_pan else "static"

    def _subject_not_camera(
        self, labels: Sequence[str], rates: np.ndarray, edges_s: Sequence[float], clip: Clip
    ) -> list[str]:
        """Take back moves between static stretches: a tripod stays one, so something came close to the camera.

        A direction stands if the way from rest to rest can be followed, it is seen all around, it leads far, and the
        scene is not where it was before.
        """
        labels, weight = list(labels), short_sides(clip.width / clip.height)
        rests = [run for run in _runs(labels) if labels[run[0]] == "static"]
        if sum(last - first for first, last in rests) < 0.4 * len(labels):
            return labels
        for (begin, first), (last, end) in pairwise(rests):
            way = np.nansum(rates[first:last, 1:5] * np.diff(edges_s[first : last + 1])[:, None], axis=0) * weight
            # In the middle of both rests: their ends may already show what came close.
            before_s, after_s = rates[(begin + first) // 2, 0], rates[(last + end) // 2, 0]
            lost = ~(rates[first:last, 5] >= self.followed_inlier_share)
            no_move = lost.mean() > 0.1 or scene_is_back(clip, before_s, after_s, float(np.linalg.norm(way[:3])))
            for i, j in ((first + a, first + b) for a, b in _runs(labels[first:last])):
                known = rates[i:j][np.isfinite(rates[i:j, 1])]
                if labels[i] == "unknown":
                    continue
                speed = np.abs(np.median(known[:, 1:5], axis=0)) * weight
                far = speed.max() * (known[-1, 0] - known[0, 0]) >= self.min_way
                if labels[i] == "handheld" or no_move or not far or np.median(known[:, 6]) < self.min_border_share:
                    labels[i:j] = ["unknown"] * (j - i)
        return labels


def frame_pairs(times_s: np.ndarray, first: int, end: int, rate_hz: float) -> list[tuple[int, int]]:
    """Neighbouring frames of a shot, thinned out to a rate: the first one at or after each tick."""
    ticks = np.floor((np.asarray(times_s[first:end]) - times_s[first]) * rate_hz + 1e-6)
    kept = first + np.flatnonzero(np.diff(ticks, prepend=-1) > 0)
    return list(zip(kept[:-1].tolist(), kept[1:].tolist(), strict=True))


def motion_rates(clip: Clip, pairs: Sequence[tuple[int, int]], motions: Sequence[GlobalMotion | None]) -> np.ndarray:
    """Rows of time_s (middle of the pair), the camera's pan, tilt, zoom, roll per second, inlier and border share."""
    height, width = clip.luma.shape[1:]
    rows = np.full((len(pairs), 7), np.nan)
    for row, (i, j), motion in zip(rows, pairs, motions, strict=True):
        row[0] = (clip.times_s[i] + clip.times_s[j]) / 2
        step_s = float(clip.times_s[j] - clip.times_s[i])
        if motion is not None and step_s > 0:
            moved = (-motion.right_px / width, motion.down_px / height, motion.log_scale, -np.degrees(motion.turn_rad))
            row[1:5] = np.array(moved) / step_s
            row[5:] = motion.inlier_share, motion.border_share
    return rows


def short_sides(aspect: float) -> np.ndarray:
    """How far one unit of pan, tilt, zoom and roll leads a point between the middle and a corner, in short sides: (4,).

    The point lies halfway; pan and tilt are in frame widths and heights, zoom and roll in logarithms and degrees.
    """
    wide, high = max(aspect, 1.0), max(1 / aspect, 1.0)
    reach = np.hypot(wide, high) / 4
    return np.array([wide, high, reach, np.radians(reach)])


def scene_is_back(clip: Clip, before_s: float, after_s: float, way: float) -> bool:
    """Whether two pictures show the same place although between them the camera is said to have gone a way.

    The way is in short sides of the frame. Pictures that have too little in common do not tell.
    """
    before, after = (int(np.searchsorted(clip.times_s, t)) for t in (before_s, after_s))
    motion = global_motion(clip.luma[before], clip.luma[min(after, len(clip.luma) - 1)])
    if motion is None or motion.inlier_share < 0.5:
        return False
    height, width = clip.luma.shape[1:]
    gone = (motion.right_px / width, motion.down_px / height, motion.log_scale) * short_sides(width / height)[:3]
    return bool(np.linalg.norm(gone) < way / 2)


def _runs(labels: Sequence[str]) -> list[tuple[int, int]]:
    """First and end index of each stretch of equal labels."""
    starts = [i for i in range(len(labels)) if i == 0 or labels[i] != labels[i - 1]]
    return list(zip(starts, [*starts[1:], len(labels)], strict=True))


def _without_short_runs(labels: Sequence[str], edges_s: Sequence[float], shortest_s: float) -> list[str]:
    """Give the shortest run the label of its longer neighbour until none is too short; `edges_s` bounds each label."""
    labels = list(labels)
    while True:
        runs = _runs(labels)
        lengths_s = [edges_s[last] - edges_s[first] for first, last in runs]
        shortest = int(np.argmin(lengths_s))
        if len(runs) == 1 or lengths_s[shortest] >= shortest_s:
            return labels
        beside = max((k for k in (shortest - 1, shortest + 1) if 0 <= k < len(runs)), key=lambda k: lengths_s[k])
        first, last = runs[shortest]
        labels[first:last] = [labels[runs[beside][0]]] * (last - first)


def _segment(label: str, start_s: float, end_s: float, rates: np.ndarray) -> Segment:
    known = rates[np.isfinite(rates[:, 1])]
    inliers = round(float(np.median(known[:, 5])), 3) if len(known) else None
    around = round(float(np.median(known[:, 6])), 2) if len(known) else None
    if label == "unknown" or not len(known):
        return Segment(start_s, end_s, "unknown", data={"inlier_share": inliers, "border_share": around})
    pan, tilt, zoom, roll = np.median(known[:, 1:5], axis=0)
    data = {
        "pan_frame_widths_per_s": round(float(pan), 4),
        "tilt_frame_heights_per_s": round(float(tilt), 4),
        "zoom_per_s": round(float(zoom), 4),
        "roll_deg_per_s": round(float(roll), 2),
        "shake_frame_widths_per_s": round(shake(known[:, 1:3]), 4),
        "inlier_share": inliers,
        "border_share": around,
    }
    return Segment(start_s, end_s, label, inliers, data=data)


def _summary(segments: Sequence[Segment]) -> dict[str, object]:
    total_s = sum(s.end_s - s.start_s for s in segments) or 1.0
    shares: dict[str, float] = {}
    for s in segments:
        shares[s.label] = shares.get(s.label, 0.0) + (s.end_s - s.start_s) / total_s
    shakes = [(s.data["shake_frame_widths_per_s"], s.end_s - s.start_s) for s in segments if s.label != "unknown"]
    weight_s = sum(length_s for _, length_s in shakes)
    known = {label: share for label, share in shares.items() if label != "unknown"}
    return {
        "camera": max(known, key=lambda label: known[label]) if known else "unknown",
        "shares": {label: round(share, 3) for label, share in sorted(shares.items(), key=lambda kv: -kv[1])},
        "mean_shake_frame_widths_per_s": round(sum(s * w for s, w in shakes) / weight_s, 4) if weight_s else None,
    }
