"""Person and background: how much of the picture people take, and what the rest looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.clip import Clip
from analyzers.common.body import box_around, seen_keypoints
from analyzers.common.mediapipe_solution import backend, opened
from analyzers.common.runs import run_end_s, steady_runs
from analyzers.common.tracks import sample_step_s, shot_breaks_s
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment

WORK_PX = 256
"""Long side of the pictures that are worked on: what the model takes."""
STATISTICS = ("red", "green", "blue", "brightness", "saturation", "texture", "sharpness_ratio")


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
    of the person; below 0.3 the background is out of focus; None without a person), `change` (mean absolute
    difference from picture to picture, 0-1).

    summary: `person_share` (mean over the clip, pictures without a person as 0), `person_time_share`, `plain_background`
    (share of the pictures whose background has a texture below 0.02).

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
    plain_texture: float = 0.02
    min_samples: int = 2

    def load(self) -> None:
        from mediapipe.python.solutions import selfie_segmentation

        self._solution = selfie_segmentation.SelfieSegmentation

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        import cv2

        times_s, step_s = np.asarray(clip.frame_times_s), sample_step_s(clip.frame_times_s)
        shots = np.searchsorted(shot_breaks_s(results), times_s, "right").tolist()
        people = people_boxes(times_s, shots, results, self.reach_s)
        size = working_size(clip.frames.shape[2], clip.frames.shape[1])
        rows = np.full((len(times_s), len(STATISTICS)), np.nan)
        shares, sure = np.zeros(len(times_s), np.float32), np.full(len(times_s), np.nan)
        changes = np.full(len(times_s), np.nan)
        boxes: list[Box | None] = [None] * len(times_s)
        before: tuple[np.ndarray, np.ndarray] | None = None
        with opened(lambda: self._solution(model_selection=0)) as model:
            for i, frame in enumerate(clip.frames):
                small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
                person = np.zeros(small.shape[:2], bool)
                if people[i]:
                    mask = model.process(small).segmentation_mask
                    person = parts_touching(mask > self.mask_level, people[i])
                    shares[i] = person.mean()
                if shares[i]:
                    sure[i] = min(1.0, float(mask[person].mean()))
                    boxes[i] = mask_box(person)
                rows[i] = background_statistics(small, person)
                if before is not None and shots[i] == shots[i - 1]:
                    changes[i] = background_change(small, person, *before)
                before = small, person
