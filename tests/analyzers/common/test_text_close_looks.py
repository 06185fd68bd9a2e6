"""Where a file is looked at closely, and whether that shows the right picture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from analyzers.clip import Clip
from analyzers.common.text_close_looks import holds, key_frames, key_times_s, native_picture
from analyzers.common.text_tracks import Reading
from analyzers.errors import MediaError
from tests.media import synthetic_clip, texture

FPS = 10.0


def three_shots(height: int, width: int) -> Clip:
    """A pan with cuts at 1.0 and at 2.5 s, where the encoder puts key pictures."""
    shots = [texture(height, width + 100, seed) for seed in range(3)]
    return synthetic_clip([shots[(i >= 10) + (i >= 25)][:, 4 * (i % 15) :][:, :width] for i in range(35)], FPS)


def test_close_looks_are_at_the_first_pictures_after_key_pictures_of_a_large_file():
    clip = three_shots(1024, 576)
    assert key_times_s(clip) == pytest.approx([0.0, 1.0, 2.5], abs=1e-3)
    assert {round(float(clip.frame_times_s[i]), 3) for i in key_frames(clip)} == {0.0, 1.0, 2.5}


@pytest.mark.parametrize(("height", "width"), [(640, 360), (854, 480)])
def test_a_file_that_is_hardly_larger_has_none(height, width):
    assert key_frames(three_shots(height, width)) == set()


def test_native_pictures_are_those_that_the_small_ones_were_made_from():
    clip = three_shots(1024, 576)
    for i in range(len(clip.frames)):
        picture = native_picture(clip, i)
        assert picture is not None
        assert picture.shape == (1024, 576, 3)
        small = cv2.resize(picture, clip.frames.shape[2:0:-1], interpolation=cv2.INTER_AREA)
        differences = [np.abs(small.astype(int) - frame).mean() for frame in clip.frames]
        assert int(np.argmin(differences)) == i


def test_a_file_that_is_gone_says_so():
    clip = three_shots(96, 54)
    with pytest.raises(MediaError, match="no such file"):
        key_times_s(replace(clip, file=clip.file.with_name("gone.mp4")))


@pytest.mark.parametrize(
    ("text", "score", "held"),
    [
        ("Anna", 0.95, True),
        ("Anna", 0.85, False),
        ("I-|", 0.99, False),
        ("20:14:36", 0.99, False),
    ],
    ids=["text", "unsure", "pattern", "number"],
)
def test_what_a_close_look_holds_for_text(text, score, held):
    assert holds(Reading(0.0, text, score)) is held
