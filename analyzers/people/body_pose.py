"""Body pose: 33 keypoints of one person, and the posture that they show."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from statistics import fmean

import numpy as np

from analyzers.clip import Clip
from analyzers.common.mediapipe_solution import backend, opened
from analyzers.common.tracks import clipped, mean_box, sample_step_s, shot_breaks_s, stretch_end_s
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment


class Joint(IntEnum):
    """Rows of a pose that the rules look at; left and right are the person's own."""

    NOSE = 0
    LEFT_SHOULDER = 11
    RIGHT_SHOULDER = 12
    LEFT_ELBOW = 13
    RIGHT_ELBOW = 14
    LEFT_WRIST = 15
    RIGHT_WRIST = 16
    LEFT_HIP = 23
    RIGHT_HIP = 24
    LEFT_KNEE = 25
    RIGHT_KNEE = 26
    LEFT_ANKLE = 27
    RIGHT_ANKLE = 28


@dataclass
class BodyPose(Analyzer):
    """Keypoints and posture of one person, where a face says that there is a person.

    mediapipe Pose, complexity 1 (BlazePose, Bazarevsky et al. 2020, arXiv:2006.10204; Apache-2.0, inside the wheel), on
    the 4 pictures a second of `clip.frames`: keypoints of the trunk then differ from those at 10 pictures a second by
    0.2-0.6 % of the picture (median), at two fifths of the cost. The model also finds bodies in birds, leaves and
    telescopes, with visibilities of 0.99; only the face tells a person from them. So it runs only around the stretches
    in which face_detection found a face, and a pose counts where its nose lies in a face, or where it goes on smoothly
    from one that did.

    Segments: stretches of one posture. label: "standing", "sitting", "lying", "upper_body" (hips or arms seen, legs
    not), "close_up" (head and shoulders at most), "unknown" (the keypoints seen fit none). box: the mean box around the
    keypoints seen. confidence: mean visibility (0-1) of these. data: `samples` (pictures), `keypoints_seen` (mean
    number of 33), `trunk_deg` (mean angle between the trunk and the vertical, 0-180; None without hips).

    summary: `person_share` (share of the clip's pictures with a pose, 0-1), `posture_s` (seconds by posture).

    tracks: `pose` (frames, 33, 3) float32: x, y as fractions of the picture (may lie outside it), visibility 0-1; NaN
    where there is no pose. `pose_times_s`.

    An empty result: nobody whose face could be seen. People seen from behind only, or too small for face_detection, are
    not claimed.

    Gets wrong: one person at a time, the most prominent; may change from one to another in a group. Sitting towards the
    camera at eye level looks like standing with short legs ("unknown"). Keypoints outside the picture are guesses.
    """

    spec = AnalyzerSpec(
        name="body_pose",
        version="1",
        lane="gpu_worker_3",
        needs={Need.FRAMES},
        after=("face_detection",),
        uses=("cut_analysis",),
        gives="keypoints of one person, posture",
    )
    min_visibility: float = 0.6
    """A keypoint counts as seen from here on, inside the picture."""
    min_samples: int = 3
    """A posture, and a person, must be seen in so many pictures (fewer only if the clip has fewer)."""
    face_reach_s: float = 0.6
    """A face seen so long before or after still says where the head is."""
    carry_s: float = 2.0
    """A pose may go on for so long after its face was last seen."""
    carry_move: float = 0.1
    """How far (fraction of the picture) the trunk may move between two pictures to be the same person's."""

    def load(self) -> None:
        from mediapipe.python.solutions import pose

        self._solution = pose.Pose

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        name, faces = backend("Pose, complexity 1"), results["face_detection"]
        if not faces.segments:
            return Analysis.nothing("no face was found, so no person is claimed", backend=name)
        times_s, breaks_s = np.asarray(clip.frame_times_s), shot_breaks_s(results)
        raw = self._poses(clip, times_s, faces, breaks_s)
        poses = believed(
            raw, times_s, faces.tracks["faces_times_s"], faces.tracks["faces"][:, 1:5], breaks_s, self
        )
        postures = [posture(p, self.min_visibility) if np.isfinite(p[0, 0]) else None for p in poses]
        runs = posture_runs(postures, shots(times_s, breaks_s), min(self.min_samples, len(times_s)))
        if not runs:
            return Analysis.nothing("no pose fits the faces that were found", backend=name)
        segments = [self._segment(label, poses, rows, times_s, breaks_s, clip) for label, rows in runs]
        kept = np.full_like(poses, np.nan)
        for _, rows in runs:
            kept[rows] = poses[rows]
        seconds: dict[str, float] = {}
        for s in segments:
            seconds[s.label] = round(seconds.get(s.label, 0.0) + s.end_s - s.start_s, 2)
        share = round(sum(len(rows) for _, rows in runs) / len(times_s), 3)
        return Analysis(
            segments=segments,
            summary={"person_share": share, "posture_s": seconds},
            backend=name,
            tracks={"pose": kept, "pose_times_s": times_s},
        )

    def _poses(self, clip: Clip, times_s: np.ndarray, faces: Analysis, breaks_s: Sequence[float]) -> np.ndarray:
        """What the model sees around faces: (frames, 33, 3), NaN where it was not asked or found nothing."""
        poses = np.full((len(times_s), 33, 3), np.nan, np.float32)
        wanted = near_faces(times_s, faces.segments, self.carry_s, breaks_s)
        shot = shots(times_s, breaks_s)
        # Between pictures further apart than this the model cannot follow a body; it looks anew in each.
        alone = sample_step_s(times_s) > 0.4
        make = {"model_complexity": 1, "smooth_landmarks": False, "static_image_mode": alone}
        with opened(lambda: self._solution(**make)) as model:
            last = None
            for i in wanted:
                if last is not None and shot[i] != shot[last]:
                    model.reset()
                last = i
                found = model.process(clip.frames[i]).pose_landmarks
                if found is not None:
                    poses[i] = [(p.x, p.y, p.visibility) for p in found.landmark]
        return poses

    def _segment(
        self,
        label: str,
        poses: np.ndarray,
        rows: list[int],
        times_s: np.ndarray,
        breaks_s: Sequence[float],
        clip: Clip,
    ) -> Segment:
        seen = [visible(poses[i], self.min_visibility) for i in rows]
        angles = [a for i in rows if (a := trunk_deg(poses[i], self.min_visibility, clip.width / clip.height)) is not None]
        return Segment(
            start_s=float(times_s[rows[0]]),
            end_s=stretch_end_s(float(times_s[rows[-1]]), times_s, breaks_s, clip.video_end_s),
            label=label,
            confidence=round(min(1.0, fmean(float(poses[i][s, 2].mean()) for i, s in zip(rows, seen, strict=True))), 3),
            box=mean_box([box_around(poses[i][s]) for i, s in zip(rows, seen, strict=True)]),
            data={
                "samples": len(rows),
                "keypoints_seen": round(fmean(int(s.sum()) for s in seen), 1),
                "trunk_deg": round(fmean(angles), 1) if angles else None,
            },
        )
