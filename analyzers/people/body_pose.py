"""Body pose: 33 keypoints of one person, and the posture that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np

from analyzers.clip import Clip
from analyzers.common.body import Joint, box_around, posture, seen_keypoints, trunk_deg
from analyzers.common.mediapipe_solution import backend, opened, solutions
from analyzers.common.runs import steady_runs
from analyzers.common.tracks import mean_box, sample_step_s, shot_breaks_s, stretch_end_s
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

TRUNK = [Joint.NOSE, Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER]
"""What is compared from picture to picture: hips are often outside and then guessed."""


@dataclass
class BodyPose(Analyzer):
    """Keypoints and posture of one person, where a face says that there is a person.

    mediapipe Pose, complexity 1 (BlazePose, Bazarevsky et al. 2020, arXiv:2006.10204; Apache-2.0, inside the wheel), on
    the 4 pictures a second of `clip.frames`: keypoints then differ from those at 10 pictures a second by 0.2-0.6 % of
    the picture (median; 1.7 % where a hand hides the face), at two fifths of the cost. The model also finds bodies in
    birds, leaves and telescopes, with visibilities of 0.99; only the face tells a person from them. So it runs only
    around the stretches in which face_detection found a face, and a pose counts where its nose lies in a face, or where
    it goes on smoothly from one that did.

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
        self._solution = solutions().pose.Pose

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        name, faces = backend("Pose, complexity 1"), results["face_detection"]
        if not faces.segments:
            return Analysis.nothing("no face was found, so no person is claimed", backend=name)
        times_s, breaks_s = np.asarray(clip.frame_times_s), shot_breaks_s(results)
        shots = np.searchsorted(breaks_s, times_s, "right")
        wanted = near_faces(times_s, shots, faces.segments, self.face_reach_s, self.carry_s)
        poses = self._believed(self._poses(clip, times_s, shots, wanted), times_s, shots, faces)
        aspect = clip.width / clip.height
        seen = seen_keypoints(poses, self.min_visibility)
        labels = [posture(p, s, aspect) if s.any() else None for p, s in zip(poses, seen, strict=True)]
        runs = steady_runs(labels, shots, min(self.min_samples, len(times_s)))
        if not runs:
            return Analysis.nothing("no pose fits the faces that were found", backend=name)
        segments = []
        for label, rows in runs:
            trunks = [d for i in rows if (d := trunk_deg(poses[i], seen[i], aspect)) is not None]
            segments.append(
                Segment(
                    start_s=float(times_s[rows[0]]),
                    end_s=stretch_end_s(float(times_s[rows[-1]]), times_s, breaks_s, clip.video_end_s),
                    label=label,
                    confidence=round(min(1.0, fmean(float(poses[i][seen[i], 2].mean()) for i in rows)), 3),
                    box=mean_box([box_around(poses[i][seen[i]]) for i in rows]),
                    data={
                        "samples": len(rows),
                        "keypoints_seen": round(float(seen[rows].sum(1).mean()), 1),
                        "trunk_deg": round(fmean(trunks), 1) if trunks else None,
                    },
                )
            )
        kept = [i for _, rows in runs for i in rows]
        poses[np.setdiff1d(np.arange(len(poses)), kept)] = np.nan
        return Analysis(
            segments=segments,
            summary={
                "person_share": round(len(kept) / len(times_s), 3),
                "posture_s": {
                    label: round(sum(s.end_s - s.start_s for s in segments if s.label == label), 2)
                    for label in sorted({s.label for s in segments})
                },
            },
            backend=name,
            tracks={"pose": poses, "pose_times_s": times_s},
        )

    def _poses(self, clip: Clip, times_s: np.ndarray, shots: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
        """What the model sees in the wanted frames: (frames, 33, 3), NaN elsewhere and where it finds nothing."""
        poses = np.full((len(times_s), 33, 3), np.nan, np.float32)
        # Between pictures further apart than this the model cannot follow a body; it then looks anew in each.
        alone = sample_step_s(times_s) > 0.4
        with opened(
            lambda: self._solution(static_image_mode=alone, model_complexity=1, smooth_landmarks=False)
        ) as model:
            for before, i in pairwise([wanted[0], *wanted]):
                if shots[i] != shots[before]:
                    model.reset()
                found = model.process(clip.frames[i]).pose_landmarks
                if found is not None:
                    poses[i] = [(p.x, p.y, p.visibility) for p in found.landmark]
        return poses

    def _believed(self, poses: np.ndarray, times_s: np.ndarray, shots: np.ndarray, faces: Analysis) -> np.ndarray:
        """The poses that belong to a face, or go on smoothly from one that did; NaN for the others."""
        face_times_s, face_boxes = faces.tracks["faces_times_s"], faces.tracks["faces"][:, 1:5]
        kept = np.full_like(poses, np.nan)
        anchor_s = -np.inf
        for i, pose in enumerate(poses):
            if np.isnan(pose[0, 0]) or pose[Joint.NOSE, 2] < self.min_visibility:
                continue
            near = np.abs(face_times_s - times_s[i]) <= self.face_reach_s
            if any(nose_in_face(pose, box) for box in face_boxes[near]):
                anchor_s = times_s[i]
            elif not (
                i
                and shots[i] == shots[i - 1]
                and times_s[i] - anchor_s <= self.carry_s
                and np.abs(pose[TRUNK, :2] - kept[i - 1][TRUNK, :2]).max() <= self.carry_move
            ):
                continue
            kept[i] = pose
        return kept


def near_faces(
    times_s: np.ndarray, shots: np.ndarray, faces: Sequence[Segment], before_s: float, after_s: float
) -> list[int]:
    """Rows of the pictures around faces, never in another shot than the face."""
    wanted: set[int] = set()
    for face in faces:
        shot = shots[np.argmin(np.abs(times_s - face.start_s))]
        around = (times_s >= face.start_s - before_s) & (times_s < face.end_s + after_s) & (shots == shot)
        wanted.update(np.flatnonzero(around).tolist())
    return sorted(wanted)


def nose_in_face(pose: np.ndarray, face: Sequence[float], grow: float = 0.5) -> bool:
    """Whether the nose of a pose (33, 3) lies in a face box, grown by `grow` of its size on each side."""
    x, y = pose[Joint.NOSE, :2]
    width, height = (face[2] - face[0]) * grow, (face[3] - face[1]) * grow
    return bool(face[0] - width <= x <= face[2] + width and face[1] - height <= y <= face[3] + height)
