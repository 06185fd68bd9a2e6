"""Age as faces show it: an age range per face, by a model; without it, whose age could be estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.face_crops import best, crops, seen_faces
from analyzers.common.transformers_models import ImageClassifier, margin, named
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.errors import WeightsMissing

CROPS = 5
CROP_SIDE = 1.6
"""Of a square around a face, brow to chin: with hair and neck, as in the pictures that the model learned from."""
MIN_MARGIN = 0.15


@dataclass
class AgeEstimation(Analyzer):
    """The age range that a classifier sees in each face, from its five best pictures.

    A vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) over age ranges, trained on FairFace (Kärkkäinen
    and Joo 2021): nateraw/vit-age-classifier, whose model card states no licence. Of each track of face_detection the
    five pictures in which the face is largest, sharpest and most frontal (as far as eye_tracking saw its mesh) are
    judged, and the probabilities averaged. No age can be told from what the packages bring along, and a guess would be
    worse than none: without the model there are faces, and no ages.

    Segments: one per track of face_detection, with the box of its longest stretch. label: the age range such as
    "20-29"; two neighbouring ones ("20-29 or 30-39") where they lie within 0.15 of each other; "uncertain" where two
    distant ones do; "unknown" for faces below 60 px; "face" without the model. confidence: the probability of the
    range(s); None for uncertain and unknown; without the model, that of the face. data: `track`, `height_px_max` (of
    the face in the original), `usable` (at least 60 px), `age_range` (as the label, else None), and for those that were
    judged `probabilities` (by range, sum 1), `margin`, `crops_s` (when).

    summary: `faces`, `usable_faces`; with the model also `age_ranges` (count by label).

    An empty result: no face was found.

    Gets wrong: what face_detection gets wrong; make-up, filters, beards and light make ages; children and old people
    are told worse than adults; a person who comes back later is a second face. It is an appearance, not a fact.

    Raises:
        WeightsMissing: there are faces, and no model; `found` holds the segments.
    """

    spec = AnalyzerSpec(
        name="age_estimation",
        version="1",
        lane="gpu_worker_3",
        needs={Need.FRAMES, Need.PICTURES},
        after=("face_detection",),
        uses=("eye_tracking",),
        weights=("face_age",),
        gives="age range per face (with weights); without, the faces",
    )
    min_face_px: int = 60

    def load(self) -> None:
        self._missing: str | None = None
        try:
            self._model = ImageClassifier.load("face_age", self.spec.lane)
        except WeightsMissing as missing:
            self._missing = str(missing)

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        faces = results["face_detection"]
        if not faces.segments:
            return Analysis.nothing(faces.reason or "no face was found", backend=faces.backend)
        segments = face_tracks(faces, self.min_face_px)
        usable = sum(s.data["usable"] for s in segments)
        summary: dict[str, Any] = {"faces": len(segments), "usable_faces": usable}
        if self._missing:
            found = Analysis(segments=segments, summary=summary, backend=faces.backend)
            raise WeightsMissing(f"faces are found, but no ages: {self._missing}", found)
        seen = seen_faces(clip, results, self.min_face_px)
        tracks = [s.data["track"] for s in segments]
        chosen = [face for track in tracks for face in best([f for f in seen if f.track == track], CROPS)]
        rows = self._model.probabilities(crops(clip, chosen, CROP_SIDE))
        judged = []
        for s in segments:
            own = [i for i, face in enumerate(chosen) if face.track == s.data["track"]]
            if not own:
                judged.append(replace(s, label="unknown", confidence=None))
                continue
            crops_s = [round(chosen[i].time_s, 3) for i in own]
            judged.append(with_age(s, self._model.labels, rows[own].mean(axis=0), crops_s))
        labels = [s.label for s in judged]
        return Analysis(
            segments=judged,
            summary={**summary, "age_ranges": {label: labels.count(label) for label in sorted(set(labels))}},
            backend=f"vision transformer on crops; {faces.backend}",
            model=self._model.id,
        )


def with_age(face: Segment, labels: tuple[str, ...], probabilities: np.ndarray, crops_s: list[float]) -> Segment:
    """A face with what was judged of it: one range, two neighbouring ones, or that it is uncertain.

    Args:
        labels: age ranges in ascending order.
        probabilities: (ranges,), the mean over its crops.
    """
    first, second = (int(i) for i in np.argsort(-probabilities, kind="stable")[:2])
    likely = [first] if margin(probabilities) >= MIN_MARGIN else sorted((first, second))
    sure = len(likely) == 1 or likely[1] - likely[0] == 1
    age_range = " or ".join(labels[i] for i in likely) if sure else None
    data = {
        **face.data,
        "age_range": age_range,
        "probabilities": named(labels, probabilities),
        "margin": round(margin(probabilities), 3),
        "crops_s": crops_s,
    }
    confidence = round(min(1.0, float(probabilities[likely].sum())), 3) if sure else None
    return replace(face, label=age_range or "uncertain", confidence=confidence, data=data)


def face_tracks(faces: Analysis, min_face_px: int) -> list[Segment]:
    """One segment per track of face_detection, from its first appearance to its last, ordered by start."""
    tracks: dict[int, list[Segment]] = {}
    for s in faces.segments:
        tracks.setdefault(s.data["track"], []).append(s)
    segments = []
    for track, parts in tracks.items():
        longest = max(parts, key=lambda s: s.end_s - s.start_s)
        height_px = max(s.data["height_px_max"] for s in parts)
        segments.append(
            Segment(
                start_s=parts[0].start_s,
                end_s=parts[-1].end_s,
                label="face",
                confidence=longest.confidence,
                box=longest.box,
                data={
                    "track": track,
                    "height_px_max": height_px,
                    "age_range": None,
                    "usable": height_px >= min_face_px,
                },
            )
        )
    return sorted(segments, key=lambda s: (s.start_s, s.data["track"]))
