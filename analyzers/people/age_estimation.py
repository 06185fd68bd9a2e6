"""Age: for now, whose age could be estimated; the model itself is not part of the installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analyzers.clip import Clip
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Segment
from analyzers.errors import WeightsMissing


@dataclass
class AgeEstimation(Analyzer):
    """The faces whose age a model would estimate, without an age.

    No age can be told from what the packages bring along, and a guess would be worse than none. So where
    face_detection found faces this raises `WeightsMissing`, with the faces found. The classifier to come is a vision
    transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) over age ranges, on the best crops of each track.

    Segments: one per track of face_detection. label "face"; box and confidence of its longest stretch. data: `track`,
    `height_px_max` (of the face in the original), `age_range` None, `usable` (whether the face is at least 60 px high:
    nothing can be said of smaller ones with a model either).

    summary: `faces`, `usable_faces`.

    An empty result: no face was found.

    Gets wrong: what face_detection gets wrong; a person who comes back later is a second face.

    Raises:
        WeightsMissing: there are faces, and no model; `found` holds the segments.
    """

    spec = AnalyzerSpec(
        name="age_estimation",
        version="1",
        lane="gpu_worker_3",
        needs=set(),
        after=("face_detection",),
        gives="age range per face (with weights); without, the faces",
    )
    min_face_px: int = 60

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        faces = results["face_detection"]
        if not faces.segments:
            return Analysis.nothing(faces.reason or "no face was found", backend=faces.backend)
        segments = face_tracks(faces, self.min_face_px)
        usable = sum(s.data["usable"] for s in segments)
        found = Analysis(
            segments=segments,
            summary={"faces": len(segments), "usable_faces": usable},
            backend=faces.backend,
        )
        raise WeightsMissing("the age model (a ViT age classifier) is not installed", found)


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
