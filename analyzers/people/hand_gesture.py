"""Hands: where they are, which of the two, and which gesture the fingers make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.body import Joint
from analyzers.common.fingers import gesture
from analyzers.common.mediapipe_solution import backend, opened, solutions
from analyzers.common.runs import run_end_s, steady_runs
from analyzers.common.tracks import Hit, clipped, link, mean_box, overlap, sample_step_s, shot_breaks_s
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment


@dataclass(frozen=True, slots=True)
class SeenHand:
    """One hand in one picture."""

    hit: Hit
    side: str
    """ "left" or "right" of the person, in a video that is not mirrored."""
    gesture: str
    points: np.ndarray
    """(21, 2) x, y in fractions of the picture."""


@dataclass
class HandGesture(Analyzer):
    """Hands and simple gestures, at 4 pictures a second.

    mediapipe Hands, complexity 1 (Zhang et al. 2020, arXiv:2006.10214; Apache-2.0, inside the wheel), at most two
    hands. It looks at every third picture only, and at every one where body_pose sees a wrist or a hand was just found.
    Complexity 0 takes two thirds of the time, but saw 4 hands in a cartoon and 2 in a clip without any, against 1 and
    0. Gestures are rules on how far each fingertip is from the wrist, in palms, in the model's metric coordinates.

    Segments: one per hand and gesture that lasts. label: "open_palm" (four fingers stretched; the palm may face
    anywhere), "fist", "pointing" (only the forefinger), "victory" (fore- and middle finger, spread), "thumbs_up",
    "hand" (any other shape, or too small or unsteady to tell). box: mean box. confidence: share (0-1) of the pictures
    that show the gesture by themselves; None for "hand". data: `number` (the same hand without a longer gap), `hand`
    ("left" or "right" of the person, if the video is not mirrored), `samples` (pictures), `hand_px` (median longer side
    of the box in the original), `score` (mean, the model's own, 0-1).

    summary: `hands_max` (at once), `hand_share` (share of the clip's pictures with a hand, 0-1), `gestures` (number of
    segments by label).

    tracks: `hands` (hits, 49) float32: number of the hand, 0 left or 1 right, x0, y0, x1, y1, score, then 21 points
    x, y in fractions of the picture; `hands_times_s`.

    An empty result: no hand was seen in 3 pictures (2 beside a wrist of body_pose).

    Gets wrong: fast hands blur and are missed; a hand seen from the side or holding something gets any shape; mirrored
    selfie videos swap left and right; sign language is not read.
    """

    spec = AnalyzerSpec(
        name="hand_gesture",
        version="1",
        lane="gpu_worker_3",
        needs={Need.FRAMES},
        uses=("body_pose", "cut_analysis"),
        gives="hand, left or right, gesture",
    )
    look_every: int = 3
    follow_s: float = 1.0
    """How long every picture is looked at after a hand was seen."""
    min_hits: int = 3
    min_hits_at_wrist: int = 2
    min_samples: int = 2
    min_share: float = 0.7
    """Share of a segment's pictures that must show its gesture."""
    max_gap_s: float = 0.8
    min_shape_px: float = 40.0
    """Longer side of the box in `clip.frames`; fingers of smaller hands cannot be told apart."""

    def load(self) -> None:
        self._solution = solutions().hands.Hands

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        name, times_s = backend("Hands, complexity 1"), np.asarray(clip.frame_times_s)
        wrists = wrists_by_time(results["body_pose"]) if "body_pose" in results else {}
        step_s = sample_step_s(times_s)
        seen = {id(s.hit): s for s in self._look(clip, times_s, wrists, step_s)}
        tracks = link([s.hit for s in seen.values()], max(self.max_gap_s, 1.5 * step_s), shot_breaks_s(results))
        hands = [[seen[id(hit)] for hit in track] for track in tracks]
        hands = [hand for hand in hands if len(hand) >= min(self._hits_needed(hand, wrists), len(times_s))]
        if not hands:
            return Analysis.nothing("no hand was seen for long enough", backend=name)
        segments = [s for number, hand in enumerate(hands) for s in self._segments(number, hand, times_s, step_s, clip)]
        at_once = Counter(s.hit.time_s for hand in hands for s in hand)
        return Analysis(
            segments=sorted(segments, key=lambda s: (s.start_s, s.data["number"])),
            summary={
                "hands_max": max(at_once.values()),
                "hand_share": round(len(at_once) / len(times_s), 3),
                "gestures": dict(sorted(Counter(s.label for s in segments).items())),
            },
            backend=name,
            tracks=hand_arrays(hands),
        )

    def _look(
        self, clip: Clip, times_s: np.ndarray, wrists: Mapping[float, list[np.ndarray]], step_s: float
    ) -> list[SeenHand]:
        """What the model sees, where it is asked to look."""
        # Between pictures further apart than this the model cannot follow a hand; it looks anew in each.
        alone = step_s > 0.4
        found: list[SeenHand] = []
        with opened(lambda: self._solution(static_image_mode=alone, max_num_hands=2, model_complexity=1)) as model:
            for i, time_s in enumerate(times_s.tolist()):
                followed = found and time_s - found[-1].hit.time_s <= self.follow_s
                if alone or followed or time_s in wrists or i % self.look_every == 0:
                    shape_px = clip.frames.shape[2], clip.frames.shape[1]
                    found += hands_in(model.process(clip.frames[i]), time_s, shape_px, self.min_shape_px)
        return found

    def _hits_needed(self, hand: Sequence[SeenHand], wrists: Mapping[float, list[np.ndarray]]) -> int:
        at_wrist = any(reaches(s.hit.box, wrist) for s in hand for wrist in wrists.get(s.hit.time_s, ()))
        return self.min_hits_at_wrist if at_wrist else self.min_hits

    def _segments(
        self, number: int, hand: Sequence[SeenHand], times_s: np.ndarray, step_s: float, clip: Clip
    ) -> list[Segment]:
        rows = np.searchsorted(times_s, [s.hit.time_s for s in hand])
        by_row = dict(zip(rows.tolist(), hand, strict=True))
        labels = [by_row[i].gesture if i in by_row else None for i in range(len(times_s))]
        bridged = max(1, round(self.max_gap_s / step_s) - 1)
        side = Counter({"left": 0.0, "right": 0.0})
        for s in hand:
            side[s.side] += s.hit.score
        segments = []
        for label, run in steady_runs(labels, [0] * len(labels), min(self.min_samples, len(hand)), bridged):
            part = [by_row[i] for i in run]
            share = sum(s.gesture == label for s in part) / len(part)
            known = label != "hand" and share >= self.min_share
            sides_px = [max((b[2] - b[0]) * clip.width, (b[3] - b[1]) * clip.height) for b in (s.hit.box for s in part)]
            segments.append(
                Segment(
                    start_s=float(times_s[run[0]]),
                    end_s=run_end_s(run, times_s, step_s, clip.video_end_s),
                    label=label if known else "hand",
                    confidence=round(share, 3) if known else None,
                    box=mean_box([s.hit.box for s in part]),
                    data={
                        "number": number,
                        "hand": side.most_common(1)[0][0],
                        "samples": len(part),
                        "hand_px": round(median(sides_px)),
                        "score": round(fmean(s.hit.score for s in part), 3),
                    },
                )
            )
        return segments


def hands_in(found: Any, time_s: float, size_px: tuple[int, int], min_shape_px: float) -> list[SeenHand]:
    """The hands in what the model returned for a picture of (width, height); of two on one place the surer one."""
    hands: list[SeenHand] = []
    for place, metric, which in zip(
        found.multi_hand_landmarks or (),
        found.multi_hand_world_landmarks or (),
        found.multi_handedness or (),
        strict=True,
    ):
        points = np.array([(p.x, p.y) for p in place.landmark])
        box = clipped([*points.min(0), *points.max(0)])
        shape_px = max((box[2] - box[0]) * size_px[0], (box[3] - box[1]) * size_px[1])
        world = np.array([(p.x, p.y, p.z) for p in metric.landmark])
        side = which.classification[0]
        hands.append(
            SeenHand(
                hit=Hit(time_s, box, min(1.0, float(side.score))),
                # The model takes its pictures for mirrored ones.
                side="right" if side.label == "Left" else "left",
                gesture=gesture(world, points * size_px) if shape_px >= min_shape_px else "hand",
                points=points,
            )
        )
    hands.sort(key=lambda s: -s.hit.score)
    if len(hands) == 2 and overlap(hands[0].hit.box, hands[1].hit.box) > 0.5:
        hands.pop()
    return hands


def wrists_by_time(pose: Analysis, min_visibility: float = 0.5) -> dict[float, list[np.ndarray]]:
    """Wrists inside the picture, (2,) x, y in fractions each, by the time of the picture."""
    wrists: dict[float, list[np.ndarray]] = {}
    for time_s, body in zip(pose.tracks.get("pose_times_s", ()), pose.tracks.get("pose", ()), strict=True):
        for joint in (Joint.LEFT_WRIST, Joint.RIGHT_WRIST):
            x, y, visibility = body[joint]
            if visibility >= min_visibility and 0 < x < 1 and 0 < y < 1:
                wrists.setdefault(float(time_s), []).append(body[joint, :2])
    return wrists


def reaches(box: Box, wrist: np.ndarray) -> bool:
    """Whether a wrist lies in the box of a hand, grown by its size on each side."""
    width, height = box[2] - box[0], box[3] - box[1]
    return bool(box[0] - width <= wrist[0] <= box[2] + width and box[1] - height <= wrist[1] <= box[3] + height)


def hand_arrays(hands: Sequence[Sequence[SeenHand]]) -> dict[str, np.ndarray]:
    """`hands` (hits, 49) and `hands_times_s`, ordered by time, then hand; columns as in `HandGesture`."""
    rows = sorted(
        (s.hit.time_s, number, int(s.side == "right"), *s.hit.box, s.hit.score, *s.points.ravel().tolist())
        for number, hand in enumerate(hands)
        for s in hand
    )
    return {"hands": np.array([r[1:] for r in rows], np.float32), "hands_times_s": np.array([r[0] for r in rows])}
