"""What the 478 points of mediapipe's face mesh say about eyes, head, mouth and brows: plain geometry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzers.common.eyelids import CLOSED_OPENNESS

MEASURES = (
    "track",
    "face_px",
    "eye_px",
    "eye_openness",
    "gaze_yaw_deg",
    "gaze_pitch_deg",
    "head_yaw_deg",
    "head_pitch_deg",
    "head_roll_deg",
    "mouth_open",
    "mouth_width",
    "brow_height",
)
"""Columns of the array `mesh` in the tracks of eye_tracking.

track: of face_detection. face_px: height of its box, eye_px: width of the wider eye, both in pixels of the original.
eye_openness: eye aspect ratio, 0 closed, 0.25-0.4 open. Yaw: positive to the right of the picture; pitch: positive up;
roll: positive clockwise; head: of the face, gaze: of head and eyes together, 0 into the camera, NaN with closed eyes.
mouth_open: gap between the lips; mouth_width: from corner to corner; brow_height: of the brows over the corners of the
eyes; these three as parts of the distance between the outer corners of the eyes.
"""

CROP_PX = 256
"""Side of the square that the mesh model is given; the face takes the middle half."""

_EYES = ((33, 160, 158, 133, 153, 144, 468), (362, 385, 387, 263, 373, 380, 473))
"""Of the eye on the left of the picture, then the right: left corner, two points of the upper lid, right corner, two of
the lower lid (the six points of Soukupová and Čech 2016), middle of the iris."""
_FOREHEAD, _CHIN = 10, 152
_LIPS, _CORNERS = (13, 14), (61, 291)
_BROWS = ((66, 105), (296, 334))
"""Two points of the lower edge of each brow, in the order of the eyes."""

HEAD_PITCH_AT_REST_DEG = -6.0
"""Pitch of the line from chin to forehead in faces turned straight to the camera (measured: -4 to -11)."""
IRIS_AT_REST = -0.13
"""Height of the iris over the line between the corners, in half eye widths, in eyes that look straight ahead."""
HALF_EYE_PER_EYEBALL_RADIUS = 1.25
"""The slit of an eye is about 30 mm wide, the eyeball 24 mm thick."""


def face_crop(picture: np.ndarray, box: Sequence[float]) -> tuple[np.ndarray, float]:
    """The face in the middle of a square, filled up with black beyond the picture.

    Args:
        picture: (height, width, 3) uint8.
        box: the face, xyxy in fractions of the picture.

    Returns:
        (crop, px): (`CROP_PX`, `CROP_PX`, 3) uint8, and how many pixels of the picture one of the crop is wide.
    """
    import cv2

    height, width = picture.shape[:2]
    side = max(2, round(2.0 * max((box[2] - box[0]) * width, (box[3] - box[1]) * height)))
    left = round((box[0] + box[2]) / 2 * width - side / 2)
    top = round((box[1] + box[3]) / 2 * height - side / 2)
    crop = np.zeros((side, side, 3), np.uint8)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x1 > x0 and y1 > y0:
        crop[y0 - top : y1 - top, x0 - left : x1 - left] = picture[y0:y1, x0:x1]
    how = cv2.INTER_AREA if side > CROP_PX else cv2.INTER_LINEAR
    return cv2.resize(crop, (CROP_PX, CROP_PX), interpolation=how), side / CROP_PX


def measures(points: np.ndarray) -> dict[str, float]:
    """The measures of one face, without `track` and `face_px`.

    Args:
        points: (478, 3) x, y, z in pixels of the original; z grows away from the camera.

    Returns:
        By name of `MEASURES`. Gaze is NaN where the eyes are closed.
    """
    axes = head_axes(points)
    across, down, _ = axes
    corners_px = float(np.linalg.norm(points[263] - points[33]))
    widths_px = np.array([np.linalg.norm(points[e[3], :2] - points[e[0], :2]) for e in _EYES])
    # The eye further away is seen from the side and narrow: it says less.
    share = widths_px**2 / max(float((widths_px**2).sum()), 1e-9)
    openness = float(share @ [eye_aspect_ratio(points[list(e[:6])]) for e in _EYES])
    iris = share @ np.array([iris_offset(points, e, axes) for e in _EYES])
    head_yaw = float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))
    head_pitch = float(-np.degrees(np.arcsin(np.clip(down[2], -1, 1)))) - HEAD_PITCH_AT_REST_DEG
    eye_yaw, eye_pitch = np.degrees(
        np.arcsin(np.clip(HALF_EYE_PER_EYEBALL_RADIUS * (iris - (0.0, IRIS_AT_REST)), -1, 1))
    )
    closed = openness < CLOSED_OPENNESS
    return {
        "eye_px": float(widths_px.max()),
        "eye_openness": openness,
        "gaze_yaw_deg": np.nan if closed else head_yaw + float(eye_yaw),
        "gaze_pitch_deg": np.nan if closed else head_pitch - float(eye_pitch),
        "head_yaw_deg": head_yaw,
        "head_pitch_deg": head_pitch,
        "head_roll_deg": float(np.degrees(np.arctan2(across[1], across[0]))),
        "mouth_open": float(np.linalg.norm(points[_LIPS[0]] - points[_LIPS[1]])) / corners_px,
        "mouth_width": float(np.linalg.norm(points[_CORNERS[0]] - points[_CORNERS[1]])) / corners_px,
        "brow_height": float(np.mean([brow_height_px(points, e, b, down) for e, b in zip(_EYES, _BROWS, strict=True)]))
        / corners_px,
    }


def head_axes(points: np.ndarray) -> np.ndarray:
    """Unit vectors of the head in the picture, as rows: across (to the right of the picture), down, into the head."""
    across = points[263] - points[33]
    across = across / max(float(np.linalg.norm(across)), 1e-9)
    inward = np.cross(across, points[_CHIN] - points[_FOREHEAD])
    inward = inward / max(float(np.linalg.norm(inward)), 1e-9)
    return np.stack([across, np.cross(inward, across), inward])


def eye_aspect_ratio(eye: np.ndarray) -> float:
    """Height of an eye by its width (Soukupová and Čech 2016): (6, 3) left, two upper, right, two lower points."""
    width = float(np.linalg.norm(eye[0, :2] - eye[3, :2]))
    heights = np.linalg.norm(eye[1, :2] - eye[5, :2]) + np.linalg.norm(eye[2, :2] - eye[4, :2])
    return float(heights) / (2 * max(width, 1e-9))


def iris_offset(points: np.ndarray, eye: Sequence[int], axes: np.ndarray) -> np.ndarray:
    """Where the iris is between the corners of the eye, along the head's axes, in half eye widths: across, down."""
    left, right, iris = points[eye[0]], points[eye[3]], points[eye[6]]
    half_px = max(float(np.linalg.norm(right - left)) / 2, 1e-9)
    return axes[:2] @ (iris - (left + right) / 2) / half_px


def brow_height_px(points: np.ndarray, eye: Sequence[int], brow: Sequence[int], down: np.ndarray) -> float:
    """How far a brow is above the middle between the corners of its eye, along the head. The lids do not count."""
    return float(((points[eye[0]] + points[eye[3]]) / 2 - points[list(brow)].mean(0)) @ down)
