"""How the whole picture moves from one frame to the next: points tracked by sparse optical flow, one motion fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELL_PX = 16
"""One point at most is taken of each square of this size, so that a lettering does not outvote the background."""
LEAST_EIGENVALUE = 2e-4
"""Below it a corner is camera noise (OpenCV's scale for 8-bit pictures and blocks of 5 px)."""
LEAST_POINTS = 8
RETURN_ERROR_PX = 0.5
INLIER_PX = 0.7
STILL_SHARE = 0.3
"""A point that moves by less than this share of what the common motion asks for keeps still."""


@dataclass(frozen=True, slots=True)
class GlobalMotion:
    """The picture's motion between two frames, about its middle."""

    right_px: float
    down_px: float
    log_scale: float
    """Natural logarithm of the growth; positive when things get larger."""
    turn_rad: float
    """Positive: clockwise on the screen."""
    inlier_share: float
    """Share of the tracked points that move like this, 0-1; without those on a subject before a still background."""
    points: int
    border_share: float
    """Share of the 12 outer ones of 4 x 4 blocks of the picture that hold points moving like this, 0-1."""


def corner_points(luma: np.ndarray) -> np.ndarray:
    """The best corner of each cell (Shi and Tomasi, "Good Features to Track", 1994): (points, 1, 2) float32, x, y."""
    import cv2

    quality = cv2.cornerMinEigenVal(luma, 5, ksize=3)
    height, width = luma.shape
    rows, columns = height // CELL_PX, width // CELL_PX
    cells = quality[: rows * CELL_PX, : columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX)
    cells = cells.transpose(0, 2, 1, 3).reshape(rows * columns, CELL_PX * CELL_PX)
    if not cells.size:
        return np.empty((0, 1, 2), np.float32)
    best = cells.argmax(axis=1)
    row, column = np.divmod(np.arange(rows * columns), columns)
    points = np.stack([column * CELL_PX + best % CELL_PX, row * CELL_PX + best // CELL_PX], axis=1)
    return points[cells.max(axis=1) > LEAST_EIGENVALUE].astype(np.float32)[:, None]


def tracked_points(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of one luma picture and where they are in the next: two (points, 2) float32.

    Pyramidal Lucas-Kanade (Bouguet, 2000). A point stays if tracking it back leads to where it came from (Kalal et al.,
    "Forward-Backward Error", 2010).
    """
    import cv2

    points = corner_points(before)
    if not len(points):
        return points[:, 0], points[:, 0]
    settings = {"winSize": (15, 15), "maxLevel": 3}
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, **settings)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **settings)
    good = (found & found_back)[:, 0].astype(bool)
    good &= np.linalg.norm(back - points, axis=-1)[:, 0] < RETURN_ERROR_PX
    return points[good, 0], there[good, 0]


def global_motion(before: np.ndarray, after: np.ndarray) -> GlobalMotion | None:
    """The motion of the background between two luma pictures; None where too little can be tracked.

    A shift, turn and scaling is fitted by RANSAC. Where enough points keep still that should move with it, they are the
    background, and what moves is a subject; see `is_background`.
    """
    import cv2

    height, width = before.shape
    start, end = tracked_points(before, after)
    if len(start) < LEAST_POINTS:
        return None
    fit, inliers = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=INLIER_PX, maxIters=500, refineIters=5
    )
    if fit is None:
        return None
    moved_px = np.linalg.norm(end - start, axis=1)
    expected_px = np.linalg.norm(start @ fit[:, :2].T + fit[:, 2] - start, axis=1)
    contradicting = (moved_px < STILL_SHARE * expected_px) & (expected_px > INLIER_PX)
    moving = inliers[:, 0].astype(bool) & (moved_px > STILL_SHARE * INLIER_PX)
    if is_background(start, contradicting, moving):
        still = moved_px < STILL_SHARE * np.maximum(expected_px, INLIER_PX)
        around = border_share(start[still], width, height)
        return GlobalMotion(0.0, 0.0, 0.0, 0.0, float(still[~moving].mean()), len(start), around)
    middle = np.array([width / 2, height / 2])
    shift = fit[:, :2] @ middle + fit[:, 2] - middle
    return GlobalMotion(
        right_px=float(shift[0]),
        down_px=float(shift[1]),
        log_scale=float(np.log(max(np.hypot(fit[0, 0], fit[1, 0]), 1e-3))),
        turn_rad=float(np.arctan2(fit[1, 0], fit[0, 0])),
        inlier_share=float(inliers.mean()),
        points=len(start),
        border_share=border_share(start[inliers[:, 0].astype(bool)], width, height),
    )


def border_share(points: np.ndarray, width: int, height: int) -> float:
    """In how many of the 12 outer ones of 4 x 4 blocks of a picture there is one of the points (points, 2): 0-1."""
    block = np.minimum(4 * points / (width, height), 3).astype(int)
    held = np.zeros((4, 4), bool)
    held[tuple(block.T)] = True
    held[1:3, 1:3] = False
    return float(held.sum()) / 12


def is_background(points: np.ndarray, still: np.ndarray, moving: np.ndarray) -> bool:
    """Whether the points that keep still are the background of those that move, and no lettering on top of them.

    They are if what moves is confined to a small part of the picture, or if they are many and either are all there is
    along its left or right side or lie all around; captions and watermarks are not.

    Args:
        points: all tracked points, (points, 2), in pixels.
        still, moving: which of them are meant, (points,) bool.
    """
    if still.sum() < 2:
        return False
    low, high = points.min(axis=0), points.max(axis=0)
    block = np.minimum(4 * (points - low) / np.maximum(high - low, 1), 3).astype(int)
    in_block = np.zeros((3, 4, 4), int)
    for count, which in zip(in_block, (still, moving, np.ones_like(still)), strict=True):
        np.add.at(count, tuple(block[which].T), 1)
    if (in_block[1] > 0).mean() < 0.4:
        return True
    still_only = (in_block[0] >= 2) & (in_block[0] > 0.8 * in_block[2])
    still_beside, all_beside = in_block[0, [0, 3]].sum(axis=1), in_block[2, [0, 3]].sum(axis=1)
    beside = (still_beside >= 5) & (still_beside > 0.8 * all_beside)
    quarters = still_only.reshape(2, 2, 2, 2).any(axis=(1, 3))
    return still.mean() > 0.15 and bool(beside.any() or quarters.sum() >= 3)


def shake(pan_and_tilt: np.ndarray) -> float:
    """How restless a camera is: spread of the differences between neighbouring rows of (pairs, 2), robust to outliers.

    A steady camera gives 0 at any speed; independent noise in each row gives its standard deviation.
    """
    if len(pan_and_tilt) < 3:
        return 0.0
    jumps = np.median(np.abs(np.diff(pan_and_tilt, axis=0)), axis=0)
    return float(np.hypot(*jumps) * 1.4826 / np.sqrt(2))


def wobble(times_s: np.ndarray, rates: np.ndarray) -> float:
    """How far the path of a camera strays from a straight and steady one: the standard deviation of its place.

    Args:
        times_s: (rows,), ascending.
        rates: (rows, 2): pan and tilt per second in one unit of length, which is that of the result.
    """
    if len(times_s) < 3:
        return 0.0
    steps_s = np.diff(times_s)
    # Over a gap (pairs that told nothing) the camera is taken to go on as it did.
    path = np.vstack([np.zeros(2), np.cumsum((rates[1:] + rates[:-1]) / 2 * steps_s[:, None], axis=0)])
    line = np.column_stack([times_s - times_s[0], np.ones(len(times_s))])
    strays = path - line @ np.linalg.lstsq(line, path, rcond=None)[0]
    return float(np.hypot(*strays.std(axis=0)))
