"""Body language: cues such as crossed arms or a hand at the face, never a mood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from analyzers.clip import Clip
from analyzers.common import body_cues
from analyzers.common.body import seen_keypoints
from analyzers.common.runs import run_end_s, steady_runs
from analyzers.common.tracks import sample_step_s, shot_breaks_s
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Segment


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue is there where its value lies in `least`..`most`."""

    label: str
    least: float
    unit: str
    most: float = inf


CUES = (
    Cue("arms_crossed", 0.1, "widths past each other"),
    Cue("hands_on_hips", 0.15, "widths beyond the shoulders"),
    Cue("hand_raised", 0.1, "widths above the nose"),
    Cue("arms_spread", 2.2, "widths apart"),
    Cue("leaning", 15.0, "degrees", most=55.0),
    Cue("head_tilted", 15.0, "degrees"),
    Cue("hand_at_face", 0.15, "share of the face"),
    Cue("gesturing", 0.8, "widths per second"),
)


@dataclass
class BodyLanguage(Analyzer):
    """Cues of posture and movement of the person that body_pose follows: rules over its keypoints.

    The cues are among those of the Body Action and Posture coding system (Dael, Mortillaro and Scherer 2012); the
    thresholds are our own. It says what a body does; what that means depends on who, where and why, and is not claimed.
    Lengths are in body widths: the distance between the shoulders, or 0.7 of the trunk where a person stands sideways.

    Segments: label one of "arms_crossed" (wrists past each other, at the other elbow), "hands_on_hips", "hand_raised"
    (a wrist above the nose), "arms_spread" (wrists 2.2 widths apart or more, side to side), "leaning" (trunk 15-55
    degrees off the vertical), "head_tilted" (line of the eyes 15 degrees or more off the horizontal), "hand_at_face" (a
    hand of hand_gesture covers 15 % of the face or more), "gesturing" (wrists move 0.8 widths a second or more). Cues
    overlap. confidence: None. data: `value` (median of what the cue is judged by), `unit`, `samples` (pictures).

    summary: `cue_s` (seconds by cue), `wrist_speed` (median, widths a second; None where no wrist was seen),
    `wrists_seen_share` (of the pictures with a pose, 0-1).

    An empty result: no pose, or none of these cues.

    Gets wrong: what lies outside the picture (arms below a close-up) is neither seen nor denied; a person who turns
    seems to lean; a hand in front of, not at the face; 4 pictures a second miss quick gestures.
    """

    spec = AnalyzerSpec(
        name="body_language",
        version="1",
        lane="gpu_worker_3",
        needs=set(),
        after=("body_pose",),
        uses=("face_detection", "hand_gesture", "cut_analysis"),
        gives="cues: crossed arms, hand at the face, leaning, gesturing ...",
    )
    min_cue_s: float = 0.5

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        pose = results["body_pose"]
        if not pose.segments:
            return Analysis.nothing(pose.reason or "no pose was found", backend="rules over body_pose")
        poses, times_s = pose.tracks["pose"], pose.tracks["pose_times_s"]
        step_s, aspect = sample_step_s(times_s), clip.width / clip.height
        shots = np.searchsorted(shot_breaks_s(results), times_s, "right").tolist()
        seen = seen_keypoints(poses)
        values = {
            rule.__name__: np.array([rule(p, s, aspect) for p, s in zip(poses, seen, strict=True)])
            for rule in (
                body_cues.arms_crossed,
                body_cues.hands_on_hips,
                body_cues.hand_raised,
                body_cues.arms_spread,
                body_cues.leaning,
                body_cues.head_tilted,
            )
        }
        values["hand_at_face"] = faces_covered(results, times_s)
        values["gesturing"] = body_cues.wrist_speeds(poses, seen, times_s, shots, aspect)
        segments = []
        for cue in CUES:
            on = (values[cue.label] >= cue.least) & (values[cue.label] <= cue.most)
            labels = [cue.label if there else "" for there in on]
            for label, rows in steady_runs(labels, shots, max(1, round(self.min_cue_s / step_s))):
                if label:
                    segments.append(
                        Segment(
                            start_s=float(times_s[rows[0]]),
                            end_s=run_end_s(rows, times_s, step_s, clip.video_end_s),
                            label=label,
                            data={
                                "value": round(float(np.nanmedian(values[label][rows])), 2),
                                "unit": cue.unit,
                                "samples": len(rows),
                            },
                        )
                    )
        posed, speeds = np.isfinite(poses[:, 0, 0]), values["gesturing"][np.isfinite(values["gesturing"])]
        summary = {
            "cue_s": {
                cue.label: round(sum((s.end_s - s.start_s for s in segments if s.label == cue.label), 0.0), 2)
                for cue in CUES
            },
            "wrist_speed": round(float(np.median(speeds)), 2) if len(speeds) else None,
            "wrists_seen_share": round(float(seen[posed][:, body_cues.WRISTS].any(1).mean()), 3),
        }
        if not segments:
            reason = "a person was seen, but none of the cues"
            return Analysis.nothing(reason, summary=summary, backend="rules over body_pose")
        segments.sort(key=lambda s: (s.start_s, s.label))
        return Analysis(segments=segments, summary=summary, backend="rules over body_pose")


def faces_covered(results: Mapping[str, Analysis], times_s: np.ndarray) -> np.ndarray:
    """Share of the most covered face that hands cover, at each time: (pictures,), NaN without face and hands.

    A covered face is sometimes not found: then the nearest one within 0.6 s counts.
    """
    covered = np.full(len(times_s), np.nan)
    if not {"face_detection", "hand_gesture"} <= results.keys():
        return covered
    faces, hands = results["face_detection"].tracks, results["hand_gesture"].tracks
    if "faces" not in faces or "hands" not in hands:
        return covered
    for i, time_s in enumerate(times_s):
        away_s = np.abs(faces["faces_times_s"] - time_s)
        near = faces["faces"][away_s == away_s.min(), 1:5] if away_s.min() <= 0.6 else ()
        own = hands["hands"][hands["hands_times_s"] == time_s, 2:6]
        shares = [shared_area(face, hand) for face in near for hand in own]
        covered[i] = max(shares, default=np.nan)
    return covered


def shared_area(face: np.ndarray, hand: np.ndarray) -> float:
    """Share of the face's box (x0, y0, x1, y1) that the hand's box covers."""
    width = min(face[2], hand[2]) - max(face[0], hand[0])
    height = min(face[3], hand[3]) - max(face[1], hand[1])
    area = (face[2] - face[0]) * (face[3] - face[1])
    return float(max(0.0, width) * max(0.0, height) / area)
