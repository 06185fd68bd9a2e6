"""Eyes: a face of a few points turned by known angles, series with blinks at known times, then people."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.eyelids import closures, is_enclosed, unbroken, usual_openness
from analyzers.common.face_mesh import HEAD_PITCH_AT_REST_DEG, IRIS_AT_REST, face_crop, measures
from tests.analyzers.people.pictures import astronaut, astronaut_close, face_on_wall, shared_picture
from tests.known import BLINKS_S
from tests.media import run_analyzer, shared_clip, still, synthetic_clip


def drawn_face(iris: float = 0.0, openness: float = 0.3) -> np.ndarray:
    """A flat face looking straight ahead, in px: eyes 40 px wide, their irises moved right by parts of half a width."""
    points = np.zeros((478, 3))
    points[10], points[152] = (0, -100, 0), (0, 120, 0)
    for middle, (left, up1, up2, right, low1, low2, pupil) in (
        (-50, (33, 160, 158, 133, 153, 144, 468)),
        (50, (362, 385, 387, 263, 373, 380, 473)),
    ):
        points[left], points[right] = (middle - 20, 0, 0), (middle + 20, 0, 0)
        points[[up1, up2], 0] = points[[low2, low1], 0] = middle - 7, middle + 7
        points[[up1, up2], 1], points[[low1, low2], 1] = -20 * openness, 20 * openness
        points[pupil] = (middle + 20 * iris, 20 * IRIS_AT_REST, 0)
    points[61], points[291], points[13], points[14] = (-42, 60, 0), (42, 60, 0), (0, 56, 0), (0, 70, 0)
    points[[66, 105]], points[[296, 334]] = (-50, -28, 0), (50, -28, 0)
    return points


def turned(points: np.ndarray, yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> np.ndarray:
    """Turn to the right of the picture, then up."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    across = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    up = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    return points @ across.T @ up.T


@pytest.mark.parametrize(
    ("yaw_deg", "pitch_deg"), [(0, 0), (25, 0), (-25, 0), (0, 20), (0, -20), (15, 10)], ids=lambda v: f"{v}"
)
def test_head_pose(yaw_deg, pitch_deg):
    found = measures(turned(drawn_face(), yaw_deg, pitch_deg))
    assert found["head_yaw_deg"] == pytest.approx(yaw_deg, abs=2)
    assert found["head_pitch_deg"] + HEAD_PITCH_AT_REST_DEG == pytest.approx(pitch_deg, abs=1)
    assert found["gaze_yaw_deg"] == pytest.approx(yaw_deg, abs=3)


def test_eyes_turned_against_the_head_look_into_the_camera():
    # Irises moved by sin(20 degrees) / 1.25 of half an eye are eyes turned by 20 degrees.
    found = measures(turned(drawn_face(iris=-np.sin(np.radians(20)) / 1.25), yaw_deg=20))
    assert found["head_yaw_deg"] == pytest.approx(20, abs=1)
    assert found["gaze_yaw_deg"] == pytest.approx(0, abs=2)


def test_sizes_of_a_drawn_face():
    found = measures(drawn_face())
    assert found["eye_px"] == pytest.approx(40)
    assert found["eye_openness"] == pytest.approx(0.3)
    assert found["mouth_open"] == pytest.approx(14 / 140)
    assert found["mouth_width"] == pytest.approx(84 / 140)
    assert found["brow_height"] == pytest.approx(28 / 140)
    assert np.isnan(measures(drawn_face(openness=0.05))["gaze_yaw_deg"]), "closed eyes look nowhere"


def test_crop_holds_the_face_in_the_middle_half():
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[0:20, 180:200] = 255
    crop, px = face_crop(picture, (0.9, 0.0, 1.0, 0.2))
    assert px == pytest.approx(40 / 256)
    assert crop[68:188, 68:188].min() > 250
    assert crop[:50].max() == 0, "beyond the picture"


def test_blinks_in_a_series():
    times_s = np.arange(0, 10, 1 / 15)
    openness = np.full(len(times_s), 0.3)
    openness[30:33] = 0.08  # a blink at 2.0 s
    openness[60:61] = 0.15  # one that 15 pictures a second hardly see, at 4.0 s
    openness[90:120] = 0.05  # closed from 6.0 to 8.0 s
    openness[130:140] = 0.22  # a squint
    groups = unbroken(times_s, np.zeros(len(times_s)), 0.2)
    found = closures(openness, usual_openness(times_s, openness), groups, 0.62)
    assert [(rows[0], rows[-1]) for rows in found] == [(30, 32), (60, 60), (90, 119)]


def test_a_gap_hides_how_long_eyes_were_closed():
    times_s = np.array([0.0, 0.1, 0.2, 1.5, 1.6, 1.7])
    groups = unbroken(times_s, np.zeros(6), 0.3)
    assert groups == [0, 0, 0, 1, 1, 1]
    assert is_enclosed([1], groups)
    assert not is_enclosed([2], groups)
    assert not is_enclosed([0], groups)
    assert unbroken(times_s, np.array([0, 0, 1, 1, 1, 1]), 5.0) == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("mirrored", [False, True])
def test_portrait_looks_into_the_camera_and_never_blinks(mirrored):
    picture = astronaut_close()[:, ::-1] if mirrored else astronaut_close()
    found = run_analyzer("eye_tracking", synthetic_clip(still(picture, 2.0))).analysis
    assert [s.label for s in found.segments] == ["looking_at_camera"]
    assert (found.segments[0].start_s, found.segments[0].end_s) == pytest.approx((0.0, 2.0), abs=0.1)
    assert found.summary["blinks"] == 0
    assert found.summary["watched_s"] == pytest.approx(2.0, abs=0.1)


def test_no_blinks_are_counted_where_pictures_are_too_few():
    found = run_analyzer("eye_tracking", synthetic_clip(still(astronaut_close(), 2.0, fps=5), fps=5)).analysis
    assert found.summary["looking_at_camera_share"] == 1.0
    assert found.summary["blinks"] is found.summary["blinks_per_minute"] is None


def test_nothing_is_claimed_of_small_eyes_but_the_face_is_measured():
    found = run_analyzer("eye_tracking", synthetic_clip(still(face_on_wall(), 1.0))).analysis
    assert found.reason == "the eyes are 19 px wide, too small to tell where they look"
    assert len(found.tracks["mesh"]) == len(found.tracks["mesh_times_s"]) == 4


def test_shared_portrait_looks_into_the_camera():
    found = run_analyzer("eye_tracking", synthetic_clip(still(shared_picture("man_portrait.png"), 1.0))).analysis
    assert [s.label for s in found.segments] == ["looking_at_camera"]
    assert found.summary["eyes_closed_s"] == 0


def test_crying_and_laughing_woman():
    found = run_analyzer("eye_tracking", shared_clip("video/WolfgangLanger_Pexels.mp4")).analysis
    blinks_s = [s.start_s for s in found.segments if s.label == "blink"]
    assert blinks_s == pytest.approx(list(BLINKS_S["video/WolfgangLanger_Pexels.mp4"]), abs=0.1)
    closed = [(s.start_s, s.end_s) for s in found.segments if s.label == "eyes_closed"]
    assert closed[0] == pytest.approx((0.0, 5.9), abs=0.15)
    assert closed[1] == pytest.approx((18.3, 19.69), abs=0.15)

    def said(time_s):
        return [s.label for s in found.segments if s.start_s <= time_s < s.end_s and s.label != "blink"]

    assert said(6.2) == ["left"]
    assert said(9.8) == ["right"]
    assert said(13.3) == ["up"]
    assert said(17.4) == ["looking_at_camera"]


@pytest.mark.parametrize(
    ("name", "blinks"),
    [("face_noface.mov", 1), ("sideways_movie.mov", 0), ("grid_lbbc2a.mpg", 0), ("grid_bbaf2n.mpg", 2)],
)
def test_people_who_look_into_the_camera(name, blinks):
    found = run_analyzer("eye_tracking", shared_clip(f"video/{name}")).analysis
    assert found.summary["looking_at_camera_share"] == 1.0
    assert found.summary["blinks"] == blinks
    assert found.summary["eyes_closed_s"] == 0


@pytest.mark.parametrize("name", ["asl_walk.mkv", "friday.mp4"])
def test_small_faces_in_films(name):
    found = run_analyzer("eye_tracking", shared_clip(f"video/{name}")).analysis
    assert not found.segments
    assert "too small" in found.reason


def test_no_face_no_eyes():
    found = run_analyzer("eye_tracking", synthetic_clip(still(face_on_wall(left_px=900), 1))).analysis
    assert found.reason == "no face was found"


def test_small_faces_after_large_ones_are_left_out():
    small = np.full((640, 640, 3), 128, np.uint8)
    small[:512, :512] = astronaut()
    found = run_analyzer("eye_tracking", synthetic_clip([*still(astronaut_close(), 1.0), *still(small, 1.0)])).analysis
    assert {s.label for s in found.segments} == {"looking_at_camera"}
    assert max(s.end_s for s in found.segments) == pytest.approx(1.0, abs=0.1)
    assert found.tracks["mesh_times_s"].max() > 1.5, "they are measured all the same"
