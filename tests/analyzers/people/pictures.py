"""Pictures of people to make clips of."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from tests.media import shared_file

ASTRONAUT_FACE = (0.339, 0.132, 0.542, 0.335)
"""Brow to chin in `astronaut()`, read off the picture."""


@functools.cache
def astronaut() -> np.ndarray:
    """Eileen Collins, smiling into the camera: (512, 512, 3) uint8. NASA portrait S99-E-5555, public domain."""
    from skimage.data import astronaut as picture

    return picture()


@functools.cache
def astronaut_close() -> np.ndarray:
    """Her head and shoulders, twice as large: (640, 640, 3) uint8."""
    return np.ascontiguousarray(astronaut()[:320, 64:384].repeat(2, axis=0).repeat(2, axis=1))


def face_on_wall(left_px: float = 110, top_px: float = 30, wall: tuple[int, int] = (360, 480)) -> np.ndarray:
    """The astronaut's head (200 px square) on a grey wall of (height, width); without a face if it lies outside."""
    head = astronaut()[20:220, 120:320]
    picture = np.full((*wall, 3), 128, np.uint8)
    x, y = round(left_px), round(top_px)
    x0, y0, x1, y1 = max(0, x), max(0, y), min(wall[1], x + 200), min(wall[0], y + 200)
    if x1 > x0 and y1 > y0:
        picture[y0:y1, x0:x1] = head[y0 - y : y1 - y, x0 - x : x1 - x]
    return picture


def face_box_on_wall(left_px: float, top_px: float, wall: tuple[int, int] = (360, 480)) -> tuple[float, ...]:
    """Where the face of `face_on_wall` is, in fractions of the wall."""
    x0, y0, x1, y1 = (v * 512 for v in ASTRONAUT_FACE)
    x, y = left_px - 120, top_px - 20
    return (x0 + x) / wall[1], (y0 + y) / wall[0], (x1 + x) / wall[1], (y1 + y) / wall[0]


def walk(seconds: float, fps: float, px_per_s: float, left_px: float = 0.0) -> Iterator[np.ndarray]:
    """The head moving to the right over the wall."""
    for i in range(round(seconds * fps)):
        yield face_on_wall(left_px + px_per_s * i / fps)


def shared_picture(name: str, long_side_px: int = 640) -> np.ndarray:
    """A picture of ../shared/media/image as RGB with even sides, shrunk to `long_side_px`."""
    import cv2

    picture = cv2.imread(str(shared_file(f"image/{name}")))[:, :, ::-1]
    factor = min(1.0, long_side_px / max(picture.shape[:2]))
    height, width = (round(side * factor) // 2 * 2 for side in picture.shape[:2])
    return np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
