"""Which gesture 21 points of a hand make: rules on how far the fingertips are from the wrist."""

from __future__ import annotations

import numpy as np

WRIST, THUMB, THUMB_TIP, FORE_BASE, MIDDLE_BASE = 0, 2, 4, 5, 9
TIPS = (8, 12, 16, 20)
"""Forefinger to little finger."""
KNUCKLES = (5, 9, 13, 17)

STRETCHED = (1.45, 1.45, 1.4, 1.2)
"""A finger this many palms from the wrist is stretched: hands held flat measured 1.6-1.9, the little finger 1.4-1.6."""
POINTING = 1.6
"""What a forefinger must reach to point: along a hand that covers a mouth it reached 1.53."""
CURLED = 1.05
MIN_SPREAD_DEG = 12.0
THUMB_UP_DEG = 40.0


def gesture(points: np.ndarray, picture: np.ndarray) -> str:
    """The gesture of one hand: "open_palm", "fist", "pointing", "victory", "thumbs_up", or "hand" for all else.

    Args:
        points: (21, 3) in metric coordinates, any origin: mediapipe's world landmarks.
        picture: (21, 2) the same in the picture, both axes in one unit, y down.
    """
    palm = max(float(np.linalg.norm(points[MIDDLE_BASE] - points[WRIST])), 1e-9)
    reach = np.linalg.norm(points[list(TIPS)] - points[WRIST], axis=1) / palm
    stretched, curled = reach >= STRETCHED, reach <= CURLED
    if stretched.all():
        return "open_palm"
    if stretched[:2].all() and curled[2:].all() and spread_deg(points) >= MIN_SPREAD_DEG:
        return "victory"
    if reach[0] >= POINTING and curled[1:].all():
        return "pointing"
    if curled.all():
        return "thumbs_up" if is_thumb_up(points, picture, palm) else "fist"
    return "hand"


def spread_deg(points: np.ndarray) -> float:
    """Angle between fore- and middle finger."""
    fore, middle = (points[tip] - points[base] for tip, base in zip(TIPS[:2], KNUCKLES[:2], strict=True))
    cosine = fore @ middle / max(float(np.linalg.norm(fore) * np.linalg.norm(middle)), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def is_thumb_up(points: np.ndarray, picture: np.ndarray, palm: float) -> bool:
    """Whether the thumb stands off the fist, upwards in the picture, above all knuckles."""
    thumb = picture[THUMB_TIP] - picture[THUMB]
    off_deg = np.degrees(np.arctan2(abs(thumb[0]), -thumb[1]))
    away = float(np.linalg.norm(points[THUMB_TIP] - points[FORE_BASE])) / palm
    return bool(off_deg <= THUMB_UP_DEG and away >= 0.5 and picture[THUMB_TIP, 1] < picture[list(KNUCKLES), 1].min())
