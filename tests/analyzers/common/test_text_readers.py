"""How text is cut out of a picture before it is read."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.text_readers import cut_upright, shrunk, upper_and_lower


def test_tall_text_is_turned_to_be_read_as_a_line():
    assert cut_upright(np.zeros((100, 100, 3), np.uint8), corners(10, 10, 30, 90)).shape == (20, 80, 3)


def test_the_cut_holds_what_stands_inside_the_corners():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[40:60, 20:80] = (255, 128, 0)
    cut = cut_upright(picture, corners(20, 40, 80, 60))
    assert cut.shape == (20, 60, 3)
    assert (cut == (0, 128, 255)).all()  # BGR


@pytest.mark.parametrize("slant", [0, 6])
def test_two_lines_are_halved_along_their_slant(slant):
    quad = corners(10, 20, 90, 60) + np.float32([[0, 0], [0, slant], [0, slant], [0, 0]])
    upper, lower = upper_and_lower(quad)
    assert upper.tolist() == [[10, 20], [90, 20 + slant], [90, 40 + slant], [10, 40]]
    assert lower.tolist() == [[10, 40], [90, 40 + slant], [90, 60 + slant], [10, 60]]


@pytest.mark.parametrize(
    ("box", "heights", "inside"),
    [
        ((10, 20, 90, 40), 0.1, (12, 22, 88, 38)),
        ((10, 20, 14, 60), 0.1, (11, 24, 13, 56)),  # a tall one keeps half of its width
        ((10, 20, 90, 40), 0.5, (20, 25, 80, 35)),
    ],
    ids=["line", "tall", "most"],
)
def test_a_closer_cut_leaves_out_the_same_on_all_sides(box, heights, inside):
    assert np.allclose(shrunk(corners(*box), heights), corners(*inside))


def corners(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)
