"""What arms, trunk and head of a pose do, as one number each: rules over keypoints.

A pose is (33, 3): x, y in fractions of the picture, visibility; `seen` (33,) says which keypoints count; `aspect` is
the width of the picture by its height. Lengths are in body widths. A rule gives NaN where it cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzers.common.body import Joint, middle, trunk_deg

SHOULDERS = (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
HIPS = (Joint.LEFT_HIP, Joint.RIGHT_HIP)
ELBOWS = [Joint.LEFT_ELBOW, Joint.RIGHT_ELBOW]
WRISTS = [Joint.LEFT_WRIST, Joint.RIGHT_WRIST]
EYES = [2, 5]
"""Rows of the left and the right eye."""
WIDTH_PER_TRUNK = 0.7
"""A body's width by the length of its trunk: what counts where it stands sideways and its shoulders coincide."""


def body_width(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float:
    """Distance between the shoulders in picture heights, or the part of the trunk if that is longer; NaN unknown."""
    if not seen[list(SHOULDERS)].all():
        return np.nan
    shoulders = pose[list(SHOULDERS), :2] * (aspect, 1.0)
    width = float(np.linalg.norm(shoulders[0] - shoulders[1]))
    hips = middle(pose, seen, HIPS, aspect)
    trunk = 0.0 if hips is None else float(np.linalg.norm(shoulders.mean(0) - hips))
    return max(width, WIDTH_PER_TRUNK * trunk) or np.nan


def arms_crossed(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float:
    """How far the wrists have passed each other, where each is at the other arm's elbow; 0 where they are not."""
    width = body_width(pose, seen, aspect)
    if np.isnan(width) or not seen[[*WRISTS, *ELBOWS]].all():
        return np.nan
    wrists, elbows = pose[WRISTS, :2] * (aspect, 1.0) / width, pose[ELBOWS, :2] * (aspect, 1.0) / width
    # Which way the person faces decides on which side the left hand belongs.
    facing = np.sign(pose[SHOULDERS[0], 0] - pose[SHOULDERS[1], 0])
    at_elbows = np.linalg.norm(wrists - elbows[::-1], axis=1).max() <= 0.6
    return max(0.0, float(facing * (wrists[1, 0] - wrists[0, 0]))) if at_elbows else 0.0


def hands_on_hips(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float:
    """How far the elbows stand out beyond the shoulders (the nearer one), where both wrists are at the hips; else 0."""
    width = body_width(pose, seen, aspect)
    if np.isnan(width) or not seen[[*WRISTS, *ELBOWS, *HIPS]].all():
        return np.nan
    points = pose[:, :2] * (aspect, 1.0) / width
    if np.linalg.norm(points[WRISTS] - points[list(HIPS)], axis=1).max() > 0.5:
        return 0.0
    out = np.abs(points[ELBOWS, 0] - points[list(SHOULDERS), 0].mean())
    return max(0.0, float((out - np.abs(points[list(SHOULDERS), 0] - points[list(SHOULDERS), 0].mean())).min()))


def hand_raised(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float:
    """How far the higher wrist is above the nose (negative below)."""
    width = body_width(pose, seen, aspect)
    wrists = [w for w in WRISTS if seen[w]]
    if np.isnan(width) or not wrists or not seen[Joint.NOSE]:
        return np.nan
    return float((pose[Joint.NOSE, 1] - pose[wrists, 1].min()) / width)


def arms_spread(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float:
    """Distance between the wrists from side to side."""
    width = body_width(pose, seen, aspect)
    if np.isnan(width) or not seen[WRISTS].all():
        return np.nan
    return float(abs(pose[WRISTS[0], 0] - pose[WRISTS[1], 0]) * aspect / width)


def leaning(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float:
    """Angle of the trunk off the vertical in degrees."""
    angle = trunk_deg(pose, seen, aspect)
    return np.nan if angle is None else angle


def head_tilted(pose: np.ndarray, seen: np.ndarray, aspect: float) -> float:
    """Angle of the line through the eyes off the horizontal in degrees, 0-90."""
    if not seen[EYES].all():
        return np.nan
    across, down = np.abs((pose[EYES[0], :2] - pose[EYES[1], :2]) * (aspect, 1.0))
    return float(np.degrees(np.arctan2(down, across)))


def wrist_speeds(
    poses: np.ndarray, seen: np.ndarray, times_s: np.ndarray, shots: Sequence[int], aspect: float
) -> np.ndarray:
    """How fast the faster wrist moves against the shoulders: (pictures,), widths a second; NaN unknown.

    The mean of the steps before and after each picture, so that a hand that turns back is not taken for a still one.
    """
    steps = np.full(len(poses) + 1, np.nan)
    for i in range(1, len(poses)):
        width = body_width(poses[i], seen[i], aspect)
        if shots[i] != shots[i - 1] or np.isnan(width) or np.isnan(body_width(poses[i - 1], seen[i - 1], aspect)):
            continue
        wrists = [w for w in WRISTS if seen[i, w] and seen[i - 1, w]]
        if wrists:
            before, now = (p[wrists, :2] - p[list(SHOULDERS), :2].mean(0) for p in (poses[i - 1], poses[i]))
            way = np.linalg.norm((now - before) * (aspect, 1.0), axis=1).max() / width
            steps[i] = way / (times_s[i] - times_s[i - 1])
    both = np.stack([steps[:-1], steps[1:]])
    known = np.isfinite(both)
    return np.where(known.any(0), np.nansum(both, axis=0) / np.maximum(known.sum(0), 1), np.nan)
