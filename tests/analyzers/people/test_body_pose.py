"""Poses: stick figures with a known posture, a portrait at a known place, then clips of people and of none."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.body import Joint, posture, seen_keypoints, trunk_deg
from tests.analyzers.people.pictures import astronaut, face_on_wall
from tests.media import run_analyzer, shared_clip, still, synthetic_clip


def stick_figure(**places: tuple[float, ...]) -> np.ndarray:
    """A pose of the named joints only, both sides alike: x, y and, if not 1, visibility."""
    pose = np.zeros((33, 3), np.float32)
    for name, (x, y, *visibility) in places.items():
        for joint in Joint:
            if joint.name.lower().endswith(name):
                pose[joint] = (x, y, *(visibility or [1.0]))
    return pose


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        pytest.param({"nose": (0.5, 0.3), "shoulder": (0.5, 0.6)}, "close_up", id="head and shoulders"),
        pytest.param(
            {"nose": (0.5, 0.2), "shoulder": (0.5, 0.4), "elbow": (0.5, 0.7)}, "upper_body", id="arms, no hips"
        ),
        pytest.param({"shoulder": (0.5, 0.3), "hip": (0.5, 0.9)}, "upper_body", id="to the hips"),
        pytest.param(
            {"shoulder": (0.5, 0.2), "hip": (0.5, 0.5), "knee": (0.52, 0.7), "ankle": (0.5, 0.9)},
            "standing",
            id="straight legs",
        ),
        pytest.param(
            {"shoulder": (0.5, 0.2), "hip": (0.5, 0.5), "knee": (0.7, 0.55), "ankle": (0.7, 0.8)},
            "sitting",
            id="on a chair from the side",
        ),
        pytest.param(
            {"shoulder": (0.5, 0.2), "hip": (0.5, 0.5), "knee": (0.5, 0.58), "ankle": (0.5, 0.8)},
            "sitting",
            id="on a chair from the front",
        ),
        pytest.param(
            {"shoulder": (0.5, 0.3), "hip": (0.5, 0.6), "knee": (0.5, 0.8), "ankle": (0.8, 0.85)},
            "unknown",
            id="kneeling",
        ),
        pytest.param(
            {"shoulder": (0.5, 0.2), "hip": (0.5, 0.5), "knee": (0.5, 0.58, 0.66)}, "upper_body", id="imagined knees"
        ),
        pytest.param({"shoulder": (0.2, 0.8), "hip": (0.5, 0.75), "knee": (0.7, 0.8)}, "lying", id="on the ground"),
    ],
)
def test_postures(places, expected):
    pose = stick_figure(**places)
    assert posture(pose, seen_keypoints(pose), aspect=1.0) == expected


def test_trunk_angle_counts_pixels_not_fractions():
    pose = stick_figure(shoulder=(0.6, 0.4), hip=(0.5, 0.6))
    seen = seen_keypoints(pose)
    assert trunk_deg(pose, seen, aspect=2.0) == pytest.approx(45.0)
    assert trunk_deg(pose, seen, aspect=1.0) == pytest.approx(26.57, abs=0.01)


def test_portrait_is_found_where_it_is_right_after_a_cut():
    wall = np.full((512, 896, 3), 128, np.uint8)
    left, right = wall.copy(), wall.copy()
    left[:, :512], right[:, 384:] = astronaut(), astronaut()
    found = run_analyzer("body_pose", synthetic_clip([*still(left, 1), *still(right, 1)])).analysis
    assert {s.label for s in found.segments} <= {"upper_body", "close_up"}
    assert found.summary["person_share"] == 1.0
    nose_px = found.tracks["pose"][:, Joint.NOSE, :2] * (896, 512)
    # The tip of her nose is at (223, 112) in the picture.
    assert np.abs(nose_px[:4] - (223, 112)).max() < 15
    assert np.abs(nose_px[4:] - (223 + 384, 112)).max() < 15
    shoulders = found.tracks["pose"][:, [Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER], 0]
    assert (shoulders[:, 0] > shoulders[:, 1]).all(), "her left is on the right of the picture"


def test_nobody_without_a_face():
    found = run_analyzer("body_pose", synthetic_clip(still(face_on_wall(left_px=900), 1))).analysis
    assert found.reason == "no face was found, so no person is claimed"


@pytest.mark.parametrize("name", ["big_buck_bunny_0_30.webm", "nasa_13013.mp4", "smpte-2997.mp4"])
def test_no_body_in_birds_telescopes_and_test_cards(name):
    found = run_analyzer("body_pose", shared_clip(f"video/{name}")).analysis
    assert not found.segments
    assert found.reason


@pytest.mark.parametrize(
    ("name", "label", "from_s", "to_s"),
    [
        ("WolfgangLanger_Pexels.mp4", "close_up", 0.0, 19.6),
        ("grid_bbaf2n.mpg", "close_up", 0.0, 2.9),
        ("asl_walk.mkv", "upper_body", 0.0, 2.9),
        ("face_noface.mov", "close_up", 0.0, 2.4),
        ("bikes.mp4", "standing", 4.3, 5.4),
    ],
)
def test_clips(name, label, from_s, to_s):
    found = run_analyzer("body_pose", shared_clip(f"video/{name}")).analysis
    assert [s.label for s in found.segments] == [label]
    assert found.segments[0].start_s == pytest.approx(from_s, abs=0.3)
    assert found.segments[0].end_s == pytest.approx(to_s, abs=0.3)


def test_signing_hands_move_and_shoulders_do_not():
    pose = run_analyzer("body_pose", shared_clip("video/asl_walk.mkv")).analysis.tracks["pose"]
    spread = np.ptp(pose[:, :, :2], axis=0).max(-1)
    assert spread[[Joint.LEFT_WRIST, Joint.RIGHT_WRIST]].min() > 0.08
    assert spread[[Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER]].max() < 0.06
