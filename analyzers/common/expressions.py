"""Expressions that a classifier sees on the faces of a clip, over time and as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.face_crops import SeenFace, best, crops, seen_faces
from analyzers.common.tracks import stretch_end_s
from analyzers.common.transformers_models import ImageClassifier, margin, named
from analyzers.contract import Analysis, Segment

STRETCH_S = 2.0
"""An expression is judged over so much of a track; most last 0.5-4 s (Ekman 2003)."""
CROPS = 4
CROP_SIDE = 1.3
"""Of a square around a face, brow to chin: little more than the face, as in FER-2013."""
MIN_FACE_PX = 60.0
MIN_MARGIN = 0.15


@dataclass(frozen=True)
class Expressions:
    """What was seen."""

    segments: list[Segment]
    """Labels "expression_happy" and so on, or "expression_uncertain"; ordered by start within a track."""
    summary: dict[str, Any]


def find_expressions(clip: Clip, results: Mapping[str, Analysis], model: ImageClassifier) -> Expressions:
    """Judge the best crops of each stretch of each face track, and average their probabilities."""
    faces = results["face_detection"].segments
    track_end_s = {s.data["track"]: s.end_s for s in sorted(faces, key=lambda s: s.end_s)}
    parts = stretches(seen_faces(clip, results, MIN_FACE_PX), STRETCH_S)
    chosen = [best(part, CROPS) for part in parts]
    rows = model.probabilities(crops(clip, [face for part in chosen for face in part], CROP_SIDE))
    labels = [label.lower() for label in model.labels]
    segments, means, lengths_s, at = [], [], [], 0
    for part, own in zip(parts, chosen, strict=True):
        mean = rows[at : at + len(own)].mean(axis=0)
        at += len(own)
        end_s = stretch_end_s(part[-1].time_s, clip.frame_times_s, (), track_end_s[part[0].track])
        sure = margin(mean) >= MIN_MARGIN
        data = {
            "track": part[0].track,
            "probabilities": named(labels, mean),
            "margin": round(margin(mean), 3),
            "crops_s": [round(face.time_s, 3) for face in own],
            "face_px": round(float(np.median([face.height_px for face in part]))),
        }
        label = labels[int(mean.argmax())] if sure else "uncertain"
        confidence = round(float(mean.max()), 3) if sure else None
        segments.append(Segment(part[0].time_s, end_s, f"expression_{label}", confidence, data=data))
        means.append(mean)
        lengths_s.append(max(end_s - part[0].time_s, 1e-3))
    return Expressions(segments, _summary(labels, [s.data["track"] for s in segments], means, lengths_s))


def stretches(faces: Sequence[SeenFace], longest_s: float) -> list[list[SeenFace]]:
    """Faces of one track each, at most `longest_s` long and without a gap as long as that; by track, then time."""
    parts: list[list[SeenFace]] = []
    for face in sorted(faces, key=lambda f: (f.track, f.time_s)):
        if not parts or parts[-1][0].track != face.track or face.time_s - parts[-1][0].time_s >= longest_s - 1e-6:
            parts.append([])
        parts[-1].append(face)
    return parts


def _summary(
    labels: Sequence[str], tracks: Sequence[int], means: Sequence[np.ndarray], lengths_s: Sequence[float]
) -> dict[str, Any]:
    """Per track and over all: the mean over time, and the expression if it is clear."""
    if not means:
        return {"expression": None, "expression_probabilities": None, "expression_tracks": []}
    weights = np.array(lengths_s)

    def over(chosen: np.ndarray) -> dict[str, Any]:
        mean = np.average(np.array(means)[chosen], axis=0, weights=weights[chosen])
        clear = margin(mean) >= MIN_MARGIN
        return {
            "expression": labels[int(mean.argmax())] if clear else None,
            "expression_probabilities": named(labels, mean),
        }

    per_track = [{"track": t, **over(np.array(tracks) == t)} for t in sorted(set(tracks))]
    return {**over(np.ones(len(means), bool)), "expression_tracks": per_track}
