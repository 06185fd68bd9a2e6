"""Objects: what stands or moves in the picture, where, when, and which of them are the same one."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.devices import device_of, in_batches
from analyzers.common.tracks import (
    Hit,
    clipped,
    link,
    mean_box,
    sample_step_s,
    shot_breaks_s,
    stretch_end_s,
    stretches,
)
from analyzers.common.transformers_models import half_fetched
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment
from analyzers.errors import AnalysisError
from analyzers.weights import REGISTRY, installed, loading, revision_of

LARGE, NANO = "yolo_detection_large", "yolo_detection_nano"
BATCH = {"cpu": 4, "gpu": 32}
"""Pictures at once. On a CPU larger batches are not faster."""


@dataclass
class ObjectDetection(Analyzer):
    """Objects of the 80 COCO classes, linked to tracks.

    Ultralytics YOLOv8 (Jocher et al. 2023; weights AGPL-3.0, trained on COCO, Lin et al. 2014, arXiv:1405.0312): the
    large model in half precision on a GPU, the nano model on the CPU, or whichever of the two is installed. It looks
    at `clip.frames` (on the CPU at every second one). Boxes of one class in successive pictures are linked by their
    overlap; no track crosses into another shot of cut_analysis. A thing counts when it was found twice, once clearly,
    so that a flicker in one picture is dropped; in a clip of one picture once must do.

    Segments: one per stretch in which a thing was seen without a longer gap. label: the class ("person", "dog" ...);
    box: the mean box; confidence: mean score. data: `track` (int, the same thing within a shot), `hits` (pictures it
    was found in), `best_score`.

    summary: `objects` (class -> tracks), `most_at_once` (class -> most in one picture), `model_problem` if a model's
    files are there and of no use.

    tracks: `objects` (hits, 6) float32: track, x0, y0, x1, y1, score; `objects_times_s`.

    An empty result: nothing of the 80 classes was found. Most things in the world are none of them.

    Gets wrong: calls what it does not know by the most similar class (a microphone becomes a "bottle"); finds things
    in posters and screens; misses what is smaller than about 15 px at 640 px; loses count in crowds.

    Raises:
        WeightsMissing: neither model is installed.
    """

    spec = AnalyzerSpec(
        name="object_detection",
        version="1",
        lane="gpu_worker_1",
        needs={Need.FRAMES},
        uses=("cut_analysis",),
        weights=(LARGE, NANO),
        gives="object class, box and track",
    )
    min_score: float = 0.35
    """Scores below this are not looked at."""
    min_best_score: float = 0.5
    """What the best hit of a track must reach."""
    min_hits: int = 2
    max_gap_s: float = 1.5
    """A thing not seen for longer starts a new track."""
    max_hidden_s: float = 0.8
    """A thing not seen for longer starts a new segment."""
    long_side_px: int = 640
    """What the model sees; it was trained at this size."""

    def load(self) -> None:
        settle_ultralytics()
        self._device = device_of(self.spec.lane)
        self._name = chosen_model(self._device)
        self._model_id = revision_of(self._name)
        with loading(self._name) as folder:
            file = folder / REGISTRY[self._name].files[0].name
            if not file.is_file():  # YOLO() would try to download even an absolute path that is not there
                raise AnalysisError(f"{file.name} is not there")
            import torch
            from ultralytics import YOLO, __version__
            from ultralytics.utils import torch_utils

            # Its predictor sets torch to this many threads on a CPU: all cores but one, in each of several steps.
            torch_utils.NUM_THREADS = torch.get_num_threads()
            self._model: Any = YOLO(str(file))
            if self._model.task != "detect":
                raise AnalysisError(f"it is a model for the task {self._model.task!r}, not for detection")
        self._backend = f"ultralytics {__version__}"

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        step = 2 if self._device == "cpu" and sample_step_s(clip.frame_times_s) < 0.4 else 1
        frames, times_s = clip.frames[::step], clip.frame_times_s[::step]
        at_once = BATCH["cpu" if self._device == "cpu" else "gpu"]
        hits = hits_by_class(times_s, in_batches(frames, at_once, as_bgr, self._detect))
        breaks_s, step_s = shot_breaks_s(results), sample_step_s(times_s)
        tracks = [
            (label, track)
            for label, found in sorted(hits.items())
            for track in link(found, max(self.max_gap_s, 1.5 * step_s), breaks_s)
            if len(track) >= min(self.min_hits, len(times_s)) and max(h.score for h in track) >= self.min_best_score
        ]
        tracks.sort(key=lambda found: (found[1][0].time_s, found[0]))
        about: dict[str, Any] = {"backend": self._backend, "model": self._model_id}
        problem = half_fetched(*self.spec.weights)
        if not tracks:
            return Analysis.nothing("nothing of the 80 classes was found", summary=problem, **about)
        segments = [
            Segment(
                start_s=part[0].time_s,
                end_s=stretch_end_s(part[-1].time_s, times_s, breaks_s, clip.video_end_s),
                label=label,
                confidence=round(fmean(h.score for h in part), 3),
                box=mean_box([h.box for h in part]),
                data={"track": i, "hits": len(part), "best_score": round(max(h.score for h in part), 3)},
            )
            for i, (label, track) in enumerate(tracks)
            for part in stretches(track, max(self.max_hidden_s, 1.5 * step_s))
        ]
        rows = sorted((h.time_s, i, *h.box, h.score) for i, (_, track) in enumerate(tracks) for h in track)
        return Analysis(
            segments=sorted(segments, key=lambda s: (s.start_s, s.data["track"])),
            summary={
                "objects": dict(Counter(label for label, _ in tracks)),
                "most_at_once": most_at_once(tracks),
                **problem,
            },
            tracks={
                "objects": np.array([row[1:] for row in rows], np.float32),
                "objects_times_s": np.array([row[0] for row in rows]),
            },
            **about,
        )

    def _detect(self, pictures: Sequence[np.ndarray]) -> list[list[tuple[str, Box, float]]]:
        """(class, box, score) of what the model finds in each of some BGR pictures."""
        found = self._model.predict(
            list(pictures),
            imgsz=self.long_side_px,
            conf=self.min_score,
            agnostic_nms=True,  # one thing is not a car and a truck at once
            quantize=None if self._device == "cpu" else 16,
            device=self._device,
            verbose=False,
        )
        return [
            [
                (str(result.names[int(kind)]), clipped(box), float(score))
                for box, score, kind in zip(
                    result.boxes.xyxyn.tolist(), result.boxes.conf.tolist(), result.boxes.cls.tolist(), strict=True
                )
            ]
            for result in found
        ]


def settle_ultralytics() -> None:
    """Settings of the library that must stand before it is imported."""
    # It keeps a settings file, by default in the user's home.
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    os.environ.setdefault("YOLO_VERBOSE", "false")


def chosen_model(device: str) -> str:
    """Name of the model for a device: the one that suits it, the other if only that is installed."""
    wanted, other = (NANO, LARGE) if device == "cpu" else (LARGE, NANO)
    return other if not installed(wanted) and installed(other) else wanted


def as_bgr(pictures: Any) -> list[np.ndarray]:
    """RGB pictures in the order of colours that ultralytics expects."""
    return [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]


def hits_by_class(times_s: np.ndarray, found: Any) -> dict[str, list[Hit]]:
    """What was found in each picture, by class, each class ordered by time; boxes without area are left out."""
    hits: dict[str, list[Hit]] = {}
    for time_s, picture in zip(times_s, found, strict=True):
        for label, box, score in picture:
            if box[2] > box[0] and box[3] > box[1]:
                hits.setdefault(label, []).append(Hit(float(time_s), box, score))
    return hits


def most_at_once(tracks: Sequence[tuple[str, Sequence[Hit]]]) -> dict[str, int]:
    """Per class the largest number of tracks that were found in one picture."""
    counts = Counter((label, h.time_s) for label, track in tracks for h in track)
    most: dict[str, int] = {}
    for (label, _), count in sorted(counts.items()):
        most[label] = max(count, most.get(label, 0))
    return most
