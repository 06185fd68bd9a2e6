"""Hands: hands of a few points with known gestures, hits at known times, then people with and without hands."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.fingers import gesture
from analyzers.contract import Analysis
from analyzers.people.hand_gesture import reaches, wrists_by_time
from tests.analyzers.people.pictures import face_on_wall
from tests.media import run_analyzer, shared_clip, still, synthetic_clip


def drawn_hand(
    reach: tuple[float, float, float, float], thumb: tuple[float, float], turn_deg: float = 0.0
) -> np.ndarray:
    """(21, 3): a palm of length 1 with the wrist at the bottom, fingertips `reach` palms from it, the thumb's end."""
    hand = np.zeros((21, 3))
    hand[2], hand[3], hand[4] = (-0.3, -0.4, 0), (-0.35, -0.5, 0), (*thumb, 0)
    for finger, (base, tip) in enumerate(zip((5, 9, 13, 17), (8, 12, 16, 20), strict=True)):
        angle = np.radians((-18, 0, 14, 28)[finger])
        way = np.array([np.sin(angle), -np.cos(angle), 0])
        hand[base], hand[tip] = way, reach[finger] * way
    turn = np.radians(turn_deg)
    across = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return hand @ across.T


BESIDE, OFF = (-0.6, -0.6), (-1.0, -0.5)


@pytest.mark.parametrize(
    ("reach", "thumb", "turn_deg", "expected"),
    [
        pytest.param((1.8, 1.9, 1.8, 1.5), BESIDE, 0, "open_palm", id="flat hand"),
        pytest.param((1.8, 1.9, 1.8, 1.5), BESIDE, 120, "open_palm", id="flat hand, turned"),
        pytest.param((0.8, 0.8, 0.8, 0.8), (-0.1, -0.9), 0, "fist", id="fist"),
        pytest.param((0.8, 0.8, 0.8, 0.8), OFF, 90, "thumbs_up", id="thumb up"),
        pytest.param((0.8, 0.8, 0.8, 0.8), OFF, -90, "fist", id="thumb down"),
        pytest.param((0.8, 0.8, 0.8, 0.8), OFF, 0, "fist", id="thumb to the side"),
        pytest.param((1.8, 0.8, 0.8, 0.8), BESIDE, 0, "pointing", id="forefinger"),
        pytest.param((1.5, 0.9, 0.9, 0.9), BESIDE, 0, "hand", id="forefinger half out"),
        pytest.param((1.8, 1.9, 0.8, 0.8), BESIDE, 0, "victory", id="two fingers"),
        pytest.param((0.8, 1.9, 0.8, 0.8), BESIDE, 0, "hand", id="middle finger"),
        pytest.param((1.3, 1.3, 1.3, 1.2), BESIDE, 0, "hand", id="relaxed"),
    ],
)
def test_gestures(reach, thumb, turn_deg, expected):
    hand = drawn_hand(reach, thumb, turn_deg)
    assert gesture(hand, hand[:, :2]) == expected
    mirrored = hand * (-1, 1, 1)
    assert gesture(mirrored, mirrored[:, :2]) == expected


def test_two_fingers_side_by_side_are_no_victory():
    hand = drawn_hand((1.8, 1.9, 0.8, 0.8), BESIDE)
    hand[[5, 8]] = hand[[9, 12]] + (-0.1, 0, 0)
    assert gesture(hand, hand[:, :2]) == "hand"


def test_wrists_of_a_pose():
    pose = np.full((2, 33, 3), np.nan, np.float32)
    pose[1, 15], pose[1, 16] = (0.5, 0.5, 0.9), (0.5, 1.2, 0.9)
    wrists = wrists_by_time(Analysis(reason="drawn", tracks={"pose": pose, "pose_times_s": np.array([0.0, 0.25])}))
    assert list(wrists) == [0.25]
    assert len(wrists[0.25]) == 1, "the other one is outside the picture"
    assert reaches((0.4, 0.3, 0.5, 0.4), wrists[0.25][0])
    assert not reaches((0.1, 0.3, 0.2, 0.4), wrists[0.25][0])


def test_no_hands_on_a_portrait():
    found = run_analyzer("hand_gesture", synthetic_clip(still(face_on_wall(), 2))).analysis
    assert found.reason == "no hand was seen for long enough"


@pytest.mark.parametrize("name", ["big_buck_bunny_0_30.webm", "nasa_13013.mp4", "smpte-2997.mp4", "grid_bbaf2n.mpg"])
def test_no_hands_where_there_are_none(name):
    assert not run_analyzer("hand_gesture", shared_clip(f"video/{name}")).analysis.segments


def test_hand_over_the_face():
    found = run_analyzer("hand_gesture", shared_clip("video/WolfgangLanger_Pexels.mp4")).analysis
    assert found.summary["hands_max"] == 1
    assert [s.label for s in found.segments] == ["hand", "open_palm"]
    assert {s.data["hand"] for s in found.segments} == {"right"}
    palm = found.segments[1]
    # Seen by eye: curled before the mouth until 4.0, flat on the cheek until it leaves the picture at 9.6.
    assert (palm.start_s, palm.end_s) == pytest.approx((4.0, 9.7), abs=0.3)
    assert palm.box[0] < 0.6 < palm.box[2]


def test_signing_woman_moves_both_hands():
    found = run_analyzer("hand_gesture", shared_clip("video/asl_walk.mkv")).analysis
    assert found.summary["hands_max"] == 2
    assert {s.data["hand"] for s in found.segments} == {"left", "right"}
    assert found.summary["hand_share"] >= 0.7
    for row in found.tracks["hands"]:
        wrist = row[7:9]
        assert row[2] <= wrist[0] <= row[4]
        assert row[3] <= wrist[1] <= row[5]


def test_every_picture_is_looked_at_where_there_are_few():
    clip = shared_clip("video/asl_walk.mkv")
    slow = [p for _, p in clip.pictures(1.5)]
    found = run_analyzer("hand_gesture", synthetic_clip(slow, fps=1)).analysis
    assert len(found.tracks["hands_times_s"]) >= 2
