"""What a body pose of 33 keypoints says: where the trunk is, how the legs stand, which posture that makes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from analyzers.common.tracks import clipped
from analyzers.contract import Box


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


LEGS = (
    (Joint.LEFT_HIP, Joint.LEFT_KNEE, Joint.LEFT_ANKLE),
    (Joint.RIGHT_HIP, Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE),
)
LEG_VISIBILITY = 0.85
"""Knees that the model only imagines below a half-length portrait have visibilities of up to 0.84."""


def seen_keypoints(poses: np.ndarray, min_visibility: float = 0.6) -> np.ndarray:
    """Which keypoints may be relied on: visible and inside the picture.

    Args:
        poses: (..., 33, 3) x, y in fractions of the picture, visibility 0-1; NaN where there is no pose.

    Returns:
        (..., 33) bool.
    """
    inside = ((poses[..., :2] > 0) & (poses[..., :2] < 1)).all(-1)
    return inside & (poses[..., 2] >= min_visibility)


def box_around(keypoints: np.ndarray) -> Box:
    """The box around keypoints (n, 3)."""
    return clipped([*keypoints[:, :2].min(0), *keypoints[:, :2].max(0)])


def middle(pose: np.ndarray, seen: np.ndarray, joints: Sequence[Joint], aspect: float) -> np.ndarray | None:
    """Mean place of those joints that are seen, in picture heights: (2,) x, y; None if none is."""
    rows = [j for j in joints if seen[j]]
    return pose[rows, :2].mean(0) * (aspect, 1.0) if rows else None


def trunk_deg(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float | None:
    """Angle in degrees between the way from hips to shoulders and straight up; None if one of them is not seen."""
    shoulders = middle(pose, seen, (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER), aspect)
    hips = middle(pose, seen, (Joint.LEFT_HIP, Joint.RIGHT_HIP), aspect)
    if shoulders is None or hips is None:
        return None
    across, up = shoulders[0] - hips[0], hips[1] - shoulders[1]
    return float(np.degrees(np.arctan2(abs(across), up)))


def posture(pose: np.ndarray, seen: np.ndarray, aspect: float) -> str:
    """The posture that a pose shows; see analyzers.people.body_pose.

    Args:
        pose: (33, 3) x, y in fractions of the picture, visibility.
        seen: (33,) which keypoints may be relied on.
        aspect: width of the picture by its height.
    """
    trunk = trunk_deg(pose, seen, aspect)
    if trunk is not None and trunk > 55:
        return "lying"
    hips = seen[[Joint.LEFT_HIP, Joint.RIGHT_HIP]].any()
    if not hips and not seen[[Joint.LEFT_ELBOW, Joint.RIGHT_ELBOW]].any():
        return "close_up"
    firm = seen & (pose[:, 2] >= LEG_VISIBILITY)
    legs = [leg(pose, firm, hip, knee, ankle, aspect) for hip, knee, ankle in LEGS]
    if not hips or legs == [None, None]:
        return "upper_body"
    return next((label for label in ("standing", "sitting") if label in legs), "unknown")


def leg(pose: np.ndarray, seen: np.ndarray, hip: Joint, knee: Joint, ankle: Joint, aspect: float) -> str | None:
    """What one leg says: "standing", "sitting", "unknown", or None if hip or knee is not seen.

    A thigh that hangs down for more than half the length of the trunk stands, unless the knee is bent; one that drops
    less is raised, or points at the camera: it sits.
    """
    if not (seen[hip] and seen[knee]):
        return None
    shoulders = middle(pose, seen, (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER), aspect)
    if shoulders is None:
        return "unknown"
    at_hip, at_knee = pose[hip, :2] * (aspect, 1.0), pose[knee, :2] * (aspect, 1.0)
    trunk = float(np.hypot(*(shoulders - at_hip)))
    thigh = at_knee - at_hip
    if thigh[1] < 0.45 * trunk:
        return "sitting"
    bent = False
    if seen[ankle]:
        shin = pose[ankle, :2] * (aspect, 1.0) - at_knee
        cosine = thigh @ shin / max(float(np.hypot(*thigh) * np.hypot(*shin)), 1e-9)
        bent = cosine < np.cos(np.radians(45))
    return "standing" if thigh[1] > 0.55 * trunk and abs(thigh[0]) < 0.7 * thigh[1] and not bent else "unknown"
