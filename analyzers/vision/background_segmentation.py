"""Person and background: how much of the picture people take, and what the rest looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.clip import Clip
from analyzers.common.background import background_change, background_statistics, mask_box, parts_touching
from analyzers.common.body import box_around, seen_keypoints
from analyzers.common.mediapipe_solution import backend, opened, solutions
from analyzers.common.runs import steady_runs
from analyzers.common.tracks import mean_box, shot_breaks_s, stretch_end_s
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment

WORK_PX = 320
"""Long side of the pictures that are worked on; the model takes 256."""


@dataclass(frozen=True, slots=True)
class Look:
    """One picture."""

    share: float
    """Of the person in the picture, 0-1; 0 where nobody was seen."""
    sure: float | None
    """Mean value of the mask inside the person."""
    box: Box | None
    behind: dict[str, float]
    """Of `background_statistics`."""
    change: float
    """Of the background since the picture before; NaN after a cut."""


@dataclass
class BackgroundSegmentation(Analyzer):
    """The share of people in the picture, and statistics of the background behind them.

    mediapipe Selfie Segmentation, model 0 (MobileNetV3, Google 2021; Apache-2.0, inside the wheel), at 4 pictures a
    second. The mask alone cannot be trusted: it took 92 % of a photo of feathers and 19 % of a cartoon for a person
    (model 1 also 57 % of a roof). So it is asked only where face_detection or body_pose saw somebody within 0.6 s, and
    only the parts of the mask that touch them count.

    Segments: stretches of a shot. label "person" or "no_person" (nobody seen: the whole picture is background).
    box: the mean box around the mask. confidence: mean value of the mask inside (0-1); None without a person.
    data: `person_share` (of the picture, 0-1; None without a person, since people seen from behind are not told from
    none), `samples` (pictures), and of the background: `color` (median, "#rrggbb"), `brightness` and `saturation`
    (mean, 0-1), `texture` (mean gradient, 0-1: 0 a plain wall, 0.1 foliage), `sharpness_ratio` (finest detail by that
    of the person; low where the background is plain or out of focus; None without a person), `change` (mean absolute
    difference from picture to picture, 0-1).

    summary: `person_share` (mean over the clip, pictures without a person as 0), `person_time_share`,
    `plain_background` (share of the pictures whose background has a texture below 0.01).

    tracks: `person_share` (frames,) float32, 0 where nobody was seen; `person_share_times_s`.

    Never empty for a clip with pictures.

    Gets wrong: people far from any visible face; hair and fingers; things that people hold count as person.
    """

    spec = AnalyzerSpec(
        name="background_segmentation",
        version="1",
        lane="gpu_worker_2",
        needs={Need.FRAMES},
        after=("face_detection",),
        uses=("body_pose", "cut_analysis"),
        gives="person share, colour, texture and sharpness of the background",
    )
    reach_s: float = 0.6
    mask_level: float = 0.5
    plain_texture: float = 0.01

    def load(self) -> None:
        self._solution = solutions().selfie_segmentation.SelfieSegmentation

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        name, times_s = backend("Selfie Segmentation, model 0"), np.asarray(clip.frame_times_s)
        breaks_s = shot_breaks_s(results)
        shots = np.searchsorted(breaks_s, times_s, "right").tolist()
        looks = self._looks(clip, shots, people_boxes(times_s, shots, results, self.reach_s))
        labels = ["person" if look.share else "no_person" for look in looks]
        runs = steady_runs(labels, shots, min_samples=1)
        shares = np.array([look.share for look in looks], np.float32)
        textures = np.array([look.behind["texture"] for look in looks])
        textures = textures[np.isfinite(textures)]
        return Analysis(
            segments=[self._segment(label, rows, looks, times_s, breaks_s, clip) for label, rows in runs],
            summary={
                "person_share": round(float(shares.mean()), 3),
                "person_time_share": round(float((shares > 0).mean()), 3),
                "plain_background": round(float((textures < self.plain_texture).mean()), 3) if len(textures) else None,
            },
            backend=name,
            tracks={"person_share": shares, "person_share_times_s": times_s},
        )

    def _looks(self, clip: Clip, shots: Sequence[int], people: Sequence[Sequence[Box]]) -> list[Look]:
        import cv2

        height, width = clip.frames.shape[1:3]
        scale = min(1.0, WORK_PX / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        looks: list[Look] = []
        before: tuple[np.ndarray, np.ndarray] | None = None
        with opened(lambda: self._solution(model_selection=0)) as model:
            for i, frame in enumerate(clip.frames):
                small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
                person, sure = np.zeros(small.shape[:2], bool), None
                if people[i]:
                    mask = model.process(small).segmentation_mask
                    person = parts_touching(mask > self.mask_level, people[i])
                    sure = min(1.0, float(mask[person].mean())) if person.any() else None
                same_shot = before is not None and shots[i] == shots[i - 1]
                looks.append(
                    Look(
                        share=float(person.mean()),
                        sure=sure,
                        box=mask_box(person) if person.any() else None,
                        behind=background_statistics(small, person),
                        change=background_change(*before, small, person) if same_shot else np.nan,
                    )
                )
                before = small, person
        return looks

    def _segment(
        self,
        label: str,
        rows: list[int],
        looks: Sequence[Look],
        times_s: np.ndarray,
        breaks_s: Sequence[float],
        clip: Clip,
    ) -> Segment:
        part = [looks[i] for i in rows]
        behind = {name: _mean([look.behind[name] for look in part]) for name in part[0].behind}
        color = [behind[name] for name in ("red", "green", "blue")]
        sure = [look.sure for look in part if look.sure is not None]
        boxes = [look.box for look in part if look.box]
        return Segment(
            start_s=float(times_s[rows[0]]),
            end_s=stretch_end_s(float(times_s[rows[-1]]), times_s, breaks_s, clip.video_end_s),
            label=label,
            confidence=_mean(sure) if label == "person" else None,
            box=mean_box(boxes) if boxes else None,
            data={
                "person_share": _mean([look.share for look in part]) if label == "person" else None,
                "samples": len(rows),
                "color": None if None in color else "#" + "".join(f"{round(c):02x}" for c in color),
                **{name: behind[name] for name in ("brightness", "saturation", "texture", "sharpness_ratio")},
                "change": _mean([look.change for look in part]),
            },
        )


def people_boxes(
    times_s: np.ndarray, shots: Sequence[int], results: Mapping[str, Analysis], reach_s: float
) -> list[list[Box]]:
    """For each picture the boxes of faces and bodies seen in the same shot at most `reach_s` before or after."""
    seen: list[tuple[float, int, Box]] = []
    faces = results["face_detection"].tracks
    for time_s, row in zip(faces.get("faces_times_s", ()), faces.get("faces", ()), strict=True):
        seen.append((time_s, shots[int(np.argmin(np.abs(times_s - time_s)))], tuple(row[1:5].tolist())))
    bodies = results["body_pose"].tracks if "body_pose" in results else {}
    for time_s, pose in zip(bodies.get("pose_times_s", ()), bodies.get("pose", ()), strict=True):
        if (reliable := seen_keypoints(pose)).any():
            seen.append((time_s, shots[int(np.argmin(np.abs(times_s - time_s)))], box_around(pose[reliable])))
    return [
        [box for at_s, at_shot, box in seen if abs(at_s - time_s) <= reach_s and at_shot == shot]
        for time_s, shot in zip(times_s, shots, strict=True)
    ]


def _mean(values: Sequence[float]) -> float | None:
    known = [v for v in values if np.isfinite(v)]
    return round(float(np.mean(known)), 3) if known else None
