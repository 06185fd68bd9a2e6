"""Backgrounds: masks and pictures drawn by hand, a portrait on coloured walls, then clips with and without people."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.background import background_change, background_statistics, mask_box, parts_touching
from tests.analyzers.people.pictures import astronaut
from tests.media import run_analyzer, shared_clip, shared_truth, still, synthetic_clip, texture


def test_only_parts_that_touch_a_person_count():
    mask = np.zeros((100, 200), bool)
    mask[10:50, 10:50] = mask[60:90, 120:180] = True
    kept = parts_touching(mask, [(0.2, 0.3, 0.3, 0.6)])
    assert kept[10:50, 10:50].all()
    assert not kept[60:90, 120:180].any()
    assert mask_box(kept) == (0.05, 0.1, 0.25, 0.5)
    assert not parts_touching(mask, [(0.4, 0.0, 0.5, 0.2)]).any()


def test_statistics_leave_the_person_out():
    picture = np.full((100, 200, 3), (200, 100, 50), np.uint8)
    person = np.zeros((100, 200), bool)
    person[20:80, 50:100] = True
    picture[person] = texture(100, 200)[person]
    found = background_statistics(picture, person)
    assert (found["red"], found["green"], found["blue"]) == (200, 100, 50)
    assert found["brightness"] == pytest.approx(200 / 255)
    assert found["saturation"] == pytest.approx(0.75)
    assert found["texture"] == found["sharpness_ratio"] == 0
    assert np.isnan(background_statistics(picture, np.ones_like(person))["texture"]), "nothing is left"


def test_change_is_that_of_the_background():
    black, gray = np.zeros((10, 20, 3), np.uint8), np.full((10, 20, 3), 51, np.uint8)
    nobody, left = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    left[:, :10] = True
    half = black.copy()
    half[:, :10] = 255
    assert background_change(black, nobody, gray, nobody) == pytest.approx(0.2)
    assert background_change(black, left, half, nobody) == 0
    assert np.isnan(background_change(black, left, gray, ~left))


def test_portrait_before_a_green_wall():
    wall = np.full((512, 896, 3), (0, 160, 60), np.uint8)
    head = astronaut()[:300, 120:320]
    wall[212:, 348:548] = head
    found = run_analyzer("background_segmentation", synthetic_clip(still(wall, 1.0))).analysis
    assert [s.label for s in found.segments] == ["person"]
    person = found.segments[0]
    assert 0.03 < person.data["person_share"] < 0.14, "the head and shoulders fill 13 % at most"
    assert person.box[0] > 0.35
    assert person.box[2] < 0.65
    red, green, blue = (int(person.data["color"][i : i + 2], 16) for i in (1, 3, 5))
    assert (red, green, blue) == pytest.approx((0, 160, 60), abs=12)
    assert person.data["change"] < 0.01


def test_nobody_before_a_texture():
    found = run_analyzer("background_segmentation", synthetic_clip(still(texture(320, 180), 1.0))).analysis
    assert [s.label for s in found.segments] == ["no_person"]
    assert found.segments[0].data["person_share"] is None
    assert found.summary == {"person_share": 0.0, "person_time_share": 0.0, "plain_background": 0.0}


@pytest.mark.parametrize("name", ["big_buck_bunny_0_30.webm", "nasa_13013.mp4", "smpte-2997.mp4"])
def test_no_person_is_claimed_without_a_face(name):
    found = run_analyzer("background_segmentation", shared_clip(f"video/{name}")).analysis
    assert {s.label for s in found.segments} == {"no_person"}


@pytest.mark.parametrize(
    ("name", "share", "plain"),
    [("grid_bbaf2n.mpg", 0.31, 1.0), ("grid_lbbc2a.mpg", 0.33, 1.0), ("asl_walk.mkv", 0.21, 0.0)],
)
def test_talking_heads(name, share, plain):
    found = run_analyzer("background_segmentation", shared_clip(f"video/{name}")).analysis
    assert [s.label for s in found.segments] == ["person"]
    assert found.summary["person_share"] == pytest.approx(share, abs=0.05)
    assert found.summary["plain_background"] == plain
    assert found.segments[0].data["change"] < 0.02, "the camera does not move"


def test_man_then_cartoon():
    found = run_analyzer("background_segmentation", shared_clip("video/face_noface.mov")).analysis
    (cut_s,) = shared_truth("video/face_noface.mov")["cuts_s"]
    assert [s.label for s in found.segments] == ["person", "no_person"]
    assert found.segments[0].end_s == pytest.approx(cut_s, abs=0.15)
    assert found.tracks["person_share"][found.tracks["person_share_times_s"] > cut_s + 0.3].max() == 0
