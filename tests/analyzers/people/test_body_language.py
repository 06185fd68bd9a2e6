"""Body language: stick figures that do one thing between known times, then people."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.body import Joint
from analyzers.contract import Analysis, Segment
from analyzers.people.body_language import BodyLanguage, faces_covered, shared_area
from tests.media import run_analyzer, shared_clip, shared_truth, still, synthetic_clip

TIMES_S = np.arange(0, 4, 0.25)
STANDING = {
    "NOSE": (0.5, 0.2),
    "LEFT_SHOULDER": (0.6, 0.35),
    "RIGHT_SHOULDER": (0.4, 0.35),
    "LEFT_ELBOW": (0.63, 0.5),
    "RIGHT_ELBOW": (0.37, 0.5),
    "LEFT_WRIST": (0.62, 0.65),
    "RIGHT_WRIST": (0.38, 0.65),
    "LEFT_HIP": (0.57, 0.65),
    "RIGHT_HIP": (0.43, 0.65),
}


def figure(**moved: tuple[float, float]) -> np.ndarray:
    """A person who faces the camera in a square picture, some joints moved."""
    pose = np.zeros((33, 3), np.float32)
    pose[[2, 5]] = (0.53, 0.18, 1.0), (0.47, 0.18, 1.0)
    for name, (x, y) in (STANDING | moved).items():
        pose[Joint[name]] = (x, y, 1.0)
    return pose


def cues(poses: np.ndarray):
    """(label, start_s, end_s) of what is seen in poses at `TIMES_S`, and the analysis."""
    clip = synthetic_clip(still(np.zeros((16, 16, 3), np.uint8), 4.0, fps=10), fps=10)
    body = Analysis([Segment(0.0, 4.0, "standing")], tracks={"pose": poses, "pose_times_s": TIMES_S})
    found = BodyLanguage().analyze(clip, {"body_pose": body})
    return [(s.label, s.start_s, s.end_s) for s in found.segments], found


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        pytest.param({"LEFT_WRIST": (0.42, 0.5), "RIGHT_WRIST": (0.58, 0.5)}, "arms_crossed", id="arms crossed"),
        pytest.param({"LEFT_WRIST": (0.52, 0.5), "RIGHT_WRIST": (0.48, 0.5)}, None, id="hands together"),
        pytest.param(
            {
                "LEFT_ELBOW": (0.72, 0.5),
                "RIGHT_ELBOW": (0.28, 0.5),
                "LEFT_WRIST": (0.6, 0.63),
                "RIGHT_WRIST": (0.4, 0.63),
            },
            "hands_on_hips",
            id="hands on hips",
        ),
        pytest.param({"LEFT_WRIST": (0.62, 0.1)}, "hand_raised", id="one hand up"),
        pytest.param({"LEFT_WRIST": (0.9, 0.4), "RIGHT_WRIST": (0.1, 0.4)}, "arms_spread", id="arms spread"),
        pytest.param({"LEFT_HIP": (0.72, 0.65), "RIGHT_HIP": (0.58, 0.65)}, "leaning", id="leaning"),
    ],
)
def test_a_cue_from_one_to_two_seconds(moved, expected):
    poses = np.stack([figure()] * 16)
    poses[4:8] = figure(**moved)
    said, found = cues(poses)
    held = [cue for cue in said if cue[0] != "gesturing"]
    assert held == ([(expected, 1.0, 2.0)] if expected else [])
    if expected:
        assert found.summary["cue_s"][expected] == 1.0


def test_crossing_is_told_for_people_seen_from_behind():
    mirrored = figure(LEFT_WRIST=(0.42, 0.5), RIGHT_WRIST=(0.58, 0.5)) * (-1, 1, 1) + (1, 0, 0)
    assert cues(np.stack([mirrored.astype(np.float32)] * 16))[0] == [("arms_crossed", 0.0, 4.0)]


def test_tilted_head():
    poses = np.stack([figure()] * 16)
    poses[8:, 5] = (0.47, 0.20, 1.0)  # 2 of 6 hundredths lower: 18 degrees
    said, found = cues(poses)
    assert said == [("head_tilted", 2.0, 4.0)]
    assert found.segments[0].data["value"] == pytest.approx(18.4, abs=0.1)


def test_speed_of_the_wrists():
    poses = np.stack([figure()] * 16)
    # 0.05 to and fro every 0.25 s in a body that is 0.21 wide (0.7 of a trunk of 0.3).
    poses[4:12:2, Joint.LEFT_WRIST, 1] -= 0.05
    said, found = cues(poses)
    assert [cue[0] for cue in said] == ["gesturing"]
    assert found.segments[0].data["value"] == pytest.approx(0.05 / 0.21 / 0.25, abs=0.01)
    assert said[0][1:] == pytest.approx((1.0, 3.0), abs=0.26)


def test_nothing_is_said_of_arms_outside_the_picture():
    poses = np.stack([figure(LEFT_WRIST=(0.6, 1.2), RIGHT_WRIST=(0.4, 1.2))] * 16)
    said, found = cues(poses)
    assert not said
    assert found.reason == "a person was seen, but none of the cues"
    assert found.summary["wrist_speed"] is None
    assert found.summary["wrists_seen_share"] == 0.0


def test_hands_over_faces():
    face = np.array([[0, 0.4, 0.4, 0.6, 0.6, 0.9]], np.float32)
    hands = np.zeros((1, 49), np.float32)
    hands[0, 2:6] = 0.5, 0.5, 0.7, 0.9
    results = {
        "face_detection": Analysis(reason="drawn", tracks={"faces": face, "faces_times_s": np.array([1.0])}),
        "hand_gesture": Analysis(reason="drawn", tracks={"hands": hands, "hands_times_s": np.array([1.25])}),
    }
    covered = faces_covered(results, np.array([1.0, 1.25, 2.0]))
    assert np.isnan(covered[[0, 2]]).all(), "no hand at those times"
    assert covered[1] == pytest.approx(0.25)
    assert np.isnan(faces_covered({}, np.array([1.0]))).all()
    assert shared_area(np.array([0, 0, 1, 1]), np.array([2, 2, 3, 3])) == 0


def test_signing_woman_gestures():
    found = run_analyzer("body_language", shared_clip("video/asl_walk.mkv")).analysis
    assert {s.label for s in found.segments} == {"gesturing"}
    assert found.summary["wrist_speed"] > 1.0


def test_hand_over_the_face_while_crying():
    found = run_analyzer("body_language", shared_clip("video/WolfgangLanger_Pexels.mp4")).analysis
    start_s, end_s = shared_truth("video/WolfgangLanger_Pexels.mp4")["face_occluded_by_hand_s"]
    covered = [s for s in found.segments if s.label == "hand_at_face"]
    assert covered[0].start_s == pytest.approx(start_s, abs=0.8)
    assert covered[-1].end_s == pytest.approx(end_s, abs=0.8)
    assert sum(s.end_s - s.start_s for s in covered) > 0.8 * (end_s - start_s)


@pytest.mark.parametrize("name", ["grid_bbaf2n.mpg", "awesome_movie.mov", "big_buck_bunny_0_30.webm"])
def test_no_cue_where_nothing_is_shown(name):
    assert not run_analyzer("body_language", shared_clip(f"video/{name}")).analysis.segments
