"""The pictures of faces that a classifier can judge best: large, sharp and turned to the camera."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.clip import Clip
from analyzers.common.face_mesh import MEASURES
from analyzers.contract import Analysis
from analyzers.decode import FRAMES_HZ

CROP_PX = 224
"""What the classifiers take; a face is not read from the file with more pixels than that."""
SHARPNESS_PX = 64
"""Sharpness is compared at this size, so that a near face is not blurred for being large."""
MESH_NEAR_S = 0.15
UNKNOWN_FRONTALITY = 0.7
"""Of faces without a mesh: as if turned by 45 degrees."""
YAW, TRACK = MEASURES.index("head_yaw_deg"), MEASURES.index("track")


@dataclass(frozen=True, slots=True)
class SeenFace:
    """One face in one picture of `clip.frames`."""

    track: int
    """Of face_detection."""
    time_s: float
    box: tuple[float, ...]
    height_px: float
    """In pixels of the original."""
    quality: float
    """For comparison within a track: height times sharpness times frontality, each through the best of the track."""


def seen_faces(clip: Clip, results: Mapping[str, Analysis], min_face_px: float) -> list[SeenFace]:
    """Faces of at least `min_face_px` in order of time. Frontality counts where eye_tracking has their mesh."""
    faces, mesh = results["face_detection"], results.get("eye_tracking")
    rows, times_s = faces.tracks["faces"], faces.tracks["faces_times_s"]
    heights_px = (rows[:, 4] - rows[:, 2]) * clip.height
    large = heights_px >= min_face_px
    rows, times_s, heights_px = rows[large], times_s[large], heights_px[large]
    frames = np.searchsorted(clip.frame_times_s, times_s - 1e-6)
    sharp = np.array(
        [sharpness(cut_square(clip.frames[i], box, 1.0)) for i, box in zip(frames, rows[:, 1:5], strict=True)]
    )
    front = np.array([frontality(mesh, int(r[0]), float(t)) for r, t in zip(rows, times_s, strict=True)])
    found = []
    for i, (row, time_s) in enumerate(zip(rows, times_s, strict=True)):
        own = rows[:, 0] == row[0]
        quality = math.prod(float(v[i] / max(v[own].max(), 1e-9)) for v in (heights_px, sharp, front))
        box = tuple(float(v) for v in row[1:5])
        found.append(SeenFace(int(row[0]), float(time_s), box, float(heights_px[i]), quality))
    return found


def best(faces: Sequence[SeenFace], count: int) -> list[SeenFace]:
    """The `count` best of some faces of one track, in order of time."""
    return sorted(sorted(faces, key=lambda f: (-f.quality, f.time_s))[:count], key=lambda f: f.time_s)


def crops(clip: Clip, faces: Sequence[SeenFace], side: float) -> list[np.ndarray]:
    """Squares of (pixels, pixels, 3) uint8 RGB around faces, one each, cut from the file at its own size if that helps.

    Args:
        side: side of a square, through the longer side of the face.
    """
    if not faces:
        return []
    wanted: dict[int, list[int]] = {}
    for i, face in enumerate(faces):
        wanted.setdefault(round(face.time_s * 1000), []).append(i)
    long_px = max(clip.width, clip.height)
    enough_px = math.ceil(long_px * CROP_PX / min(face.height_px for face in faces))
    if min(long_px, enough_px) <= max(clip.frames.shape[1:3]):
        pictures = zip(clip.frame_times_s.tolist(), clip.frames, strict=True)
    else:
        # Whole ticks of the rate of `clip.frames`, so that the same pictures are taken.
        start_s = math.floor(min(f.time_s for f in faces) * FRAMES_HZ) / FRAMES_HZ
        end_s = max(f.time_s for f in faces) + 1e-3
        pictures = clip.pictures(FRAMES_HZ, min(long_px, enough_px), start_s, end_s)
    found: dict[int, np.ndarray] = {}
    for time_s, picture in pictures:
        for i in wanted.get(round(time_s * 1000), ()):
            found[i] = cut_square(picture, faces[i].box, side)
    for i, face in enumerate(faces):
        if i not in found:  # the second decode of a damaged file may take other pictures
            frame = int(np.searchsorted(clip.frame_times_s, face.time_s - 1e-6))
            found[i] = cut_square(clip.frames[frame], face.box, side)
    return [found[i] for i in range(len(faces))]


def cut_square(picture: np.ndarray, box: Sequence[float], side: float) -> np.ndarray:
    """A square around a box; beyond the picture its edge is repeated: (pixels, pixels, 3) uint8."""
    height, width = picture.shape[:2]
    x0, x1, y0, y1 = box[0] * width, box[2] * width, box[1] * height, box[3] * height
    length = max(2, round(side * max(x1 - x0, y1 - y0)))
    rows = np.arange(length) + round((y0 + y1 - length) / 2)
    columns = np.arange(length) + round((x0 + x1 - length) / 2)
    return np.ascontiguousarray(picture[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)])


def sharpness(picture: np.ndarray) -> float:
    """Variance of the Laplacian at `SHARPNESS_PX`; of meaning only beside that of the same face elsewhere."""
    import cv2

    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (SHARPNESS_PX, SHARPNESS_PX), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_32F).var())


def frontality(eyes: Analysis | None, track: int, time_s: float) -> float:
    """Cosine of the turn of the head, 0-1; `UNKNOWN_FRONTALITY` without a mesh at that time."""
    if eyes is None or "mesh" not in eyes.tracks:
        return UNKNOWN_FRONTALITY
    mesh, times_s = eyes.tracks["mesh"], eyes.tracks["mesh_times_s"]
    near = np.flatnonzero((mesh[:, TRACK] == track) & (np.abs(times_s - time_s) <= MESH_NEAR_S))
    if not len(near):
        return UNKNOWN_FRONTALITY
    yaw_deg = float(mesh[near[np.abs(times_s[near] - time_s).argmin()], YAW])
    return max(0.0, math.cos(math.radians(yaw_deg)))
