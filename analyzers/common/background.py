"""A person's mask and what lies behind it: plain arithmetic on small pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzers.contract import Box


def parts_touching(mask: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """The connected parts of a mask (height, width) bool of which something lies in one of the boxes."""
    import cv2

    height, width = mask.shape
    _, numbers = cv2.connectedComponents(mask.astype(np.uint8))
    inside = np.zeros(mask.shape, bool)
    for x0, y0, x1, y1 in boxes:
        inside[int(y0 * height) : int(np.ceil(y1 * height)), int(x0 * width) : int(np.ceil(x1 * width))] = True
    return mask & np.isin(numbers, np.unique(numbers[inside & mask]))


def mask_box(mask: np.ndarray) -> Box:
    """The box around a mask that is not empty, in fractions."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    x0, x1 = float(columns[0]) / width, float(columns[-1] + 1) / width
    return x0, float(rows[0]) / height, x1, float(rows[-1] + 1) / height


def background_statistics(picture: np.ndarray, person: np.ndarray) -> dict[str, float]:
    """What the background looks like; NaN where none is left.

    Args:
        picture: (height, width, 3) uint8 RGB.
        person: (height, width) bool; the background is the rest, without a rim around the person.

    Returns:
        `red`, `green`, `blue` (medians, 0-255), `brightness` (mean of the brightest channel, 0-1), `saturation` (mean
        part of it that the darkest channel lacks, 0-1), `texture` (mean step of brightness from pixel to pixel, 0-1),
        `sharpness_ratio` (mean absolute Laplacian by that inside the person; NaN without a person).
    """
    import cv2

    rim = np.ones((9, 9), np.uint8)
    behind = ~cv2.dilate(person.astype(np.uint8), rim).astype(bool) if person.any() else np.ones_like(person)
    inside = cv2.erode(person.astype(np.uint8), rim).astype(bool)
    names = ("red", "green", "blue", "brightness", "saturation", "texture", "sharpness_ratio")
    if not behind.any():
        return dict.fromkeys(names, np.nan)
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    edges = np.abs(cv2.Laplacian(gray, cv2.CV_16S))
    steps = (np.abs(cv2.Sobel(gray, cv2.CV_16S, 1, 0)) + np.abs(cv2.Sobel(gray, cv2.CV_16S, 0, 1))) / 8
    colors = picture[behind]
    brightest, darkest = colors.max(1).astype(np.float32), colors.min(1).astype(np.float32)
    own = float(edges[inside].mean()) if inside.any() else 0.0
    values = (
        *np.median(colors, axis=0).tolist(),
        float(brightest.mean()) / 255,
        float(((brightest - darkest) / np.maximum(brightest, 1)).mean()),
        float(steps[behind].mean()) / 255,
        float(edges[behind].mean()) / own if own else np.nan,
    )
    return dict(zip(names, values, strict=True))


def background_change(before: np.ndarray, person_before: np.ndarray, now: np.ndarray, person_now: np.ndarray) -> float:
    """Mean absolute difference (0-1) of two pictures where neither shows a person; NaN if there is no such place."""
    behind = ~(person_before | person_now)
    if not behind.any():
        return np.nan
    return float(np.abs(before[behind].astype(np.int16) - now[behind]).mean()) / 255
