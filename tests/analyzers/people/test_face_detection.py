"""Faces: a head moved over a wall by known steps, then pictures and clips of people and of none."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.tracks import Hit, overlap
from analyzers.people.face_detection import is_evidence, score_both_ways
from tests.analyzers.people.pictures import face_box_on_wall, face_on_wall, shared_picture, walk
from tests.media import run_analyzer, shared_clip, shared_truth, still, synthetic_clip, texture


def faces(clip):
    outcome = run_analyzer("face_detection", clip)
    assert outcome.status in ("ok", "no_signal"), outcome.failure
    return outcome.analysis


def test_one_walking_face_is_one_track_in_the_right_place():
    found = faces(synthetic_clip(walk(3.0, 20, px_per_s=80), fps=20))
    assert [(s.start_s, s.data["track"]) for s in found.segments] == [(0.0, 0)]
    assert found.segments[0].end_s == pytest.approx(3.0)
    assert found.segments[0].data["height_px_max"] == pytest.approx(104, abs=15)
    assert found.summary["people_max"] == 1
    for time_s, row in zip(found.tracks["faces_times_s"], found.tracks["faces"], strict=True):
        assert overlap(tuple(row[1:5]), face_box_on_wall(80 * time_s, 30)) > 0.7


def test_two_faces_are_two_tracks():
    pair = np.hstack([face_on_wall()[:, 60:], face_on_wall()[:, ::-1][:, 60:]])
    found = faces(synthetic_clip(still(pair, 1.0)))
    assert sorted(s.data["track"] for s in found.segments) == [0, 1]
    assert found.summary["people_max"] == 2
    assert found.tracks["face_count"].tolist() == [2, 2, 2, 2]


def test_a_face_that_leaves_and_comes_back_is_two_stretches_of_one_track():
    gone = still(face_on_wall(left_px=900), 0.8)
    out, back = list(walk(0.5, 30, 600, 110)), list(walk(0.5, 30, -600, 410))
    found = faces(synthetic_clip([*still(face_on_wall(), 1), *out, *gone, *back, *still(face_on_wall(), 1)]))
    (first, second), last_s = found.segments, 3.8
    assert 1.0 <= first.end_s <= 1.5
    assert 2.25 <= second.start_s <= 2.75
    assert (first.start_s, second.end_s) == pytest.approx((0.0, last_s))
    assert first.data["track"] == second.data["track"] == 0
    assert found.summary["face_share"] == pytest.approx((first.end_s + last_s - second.start_s) / last_s, abs=0.03)


def hidden(before: np.ndarray, after: np.ndarray) -> list[np.ndarray]:
    """A board slides up before one picture and down from another after 3 s, in one shot."""
    height, board = len(before), texture(*before.shape[:2], seed=2, scale_px=40)

    def covered(picture: np.ndarray, share: float) -> np.ndarray:
        top = round((1 - share) * height)
        return np.concatenate([picture[:top], board[: height - top]])

    slide = [i / 10 for i in range(1, 10)]
    up, down = [covered(before, s) for s in slide], [covered(after, s) for s in reversed(slide)]
    return [*still(before, 1, 20), *up, *still(board, 3, 20), *down, *still(after, 1, 20)]


def darker_and_redder(picture: np.ndarray) -> np.ndarray:
    return (picture * np.array([0.8, 0.6, 0.5])).astype(np.uint8)


def test_a_face_hidden_for_three_seconds_keeps_its_track():
    again = darker_and_redder(face_on_wall(left_px=125, top_px=38))
    found = faces(synthetic_clip(hidden(face_on_wall(), again), fps=20))
    assert [s.data["track"] for s in found.segments] == [0, 0]
    assert found.segments[1].start_s - found.segments[0].end_s > 2.5


def test_somebody_else_in_the_same_place_is_another_track():
    other = face_on_wall(left_px=900)
    portrait = shared_picture("man_portrait.png", 220)
    other[30 : 30 + len(portrait), 100 : 100 + portrait.shape[1]] = portrait
    found = faces(synthetic_clip(hidden(face_on_wall(), other), fps=20))
    first, second = found.segments
    assert overlap(first.box, second.box) > 0.3, "they must be in the same place for this to mean anything"
    assert first.data["track"] != second.data["track"]


@pytest.mark.parametrize("picture", [np.zeros((320, 180, 3), np.uint8), texture(320, 180)], ids=["black", "texture"])
def test_no_face_where_there_is_none(picture):
    found = faces(synthetic_clip(still(picture, 1)))
    assert not found.segments
    assert found.reason == "no face was found"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.70], False), ([0.62, 0.62, 0.62, 0.62], False), ([0.76], True), ([0.67, 0.69], True), ([0.61, 0.68], True)],
)
def test_evidence(scores, expected):
    assert is_evidence(scores, min_evidence=0.25, min_best_score=0.66) is expected


@pytest.mark.parametrize(
    ("mirrored", "expected"),
    [
        pytest.param([((0.6, 0.2, 0.8, 0.4), 0.6)], 0.65, id="the same place"),
        pytest.param([((0.2, 0.2, 0.4, 0.4), 0.9)], 0.0, id="the place before mirroring"),
        pytest.param([((0.0, 0.6, 0.2, 0.8), 0.9), ((0.61, 0.2, 0.81, 0.4), 0.8)], 0.75, id="one of two"),
        pytest.param([], 0.0, id="nothing"),
    ],
)
def test_score_of_a_picture_and_its_mirror_image(mirrored, expected):
    assert score_both_ways(Hit(0.0, (0.2, 0.2, 0.4, 0.4), 0.7), mirrored) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["nasa_13013.mp4", "face_noface.mov", "smpte-2997.mp4", "friday.mp4"])
def test_mirrored_clips_have_the_same_number_of_faces(name):
    clip = shared_clip(f"video/{name}")
    found, mirrored = faces(clip), faces(synthetic_clip(clip.frames[:, :, ::-1], 4.0, times_s=clip.frame_times_s))
    assert mirrored.summary.get("people_max", 0) == found.summary.get("people_max", 0)
    assert mirrored.summary.get("tracks", 0) == found.summary.get("tracks", 0)


@pytest.mark.parametrize(
    ("name", "people"),
    [("man_portrait.png", 1), ("five_friends.jpg", 5), ("coffee_no_people.png", 0)],
)
def test_pictures(name, people):
    found = faces(synthetic_clip(still(shared_picture(name), 0.5)))
    assert found.summary.get("people_max", 0) == people
    assert len(found.segments) == people


@pytest.mark.parametrize(
    "name",
    [
        "WolfgangLanger_Pexels.mp4",
        "asl_walk.mkv",
        "grid_bbaf2n.mpg",
        "grid_lbbc2a.mpg",
        "sideways_movie.mov",
        "big_buck_bunny_0_30.webm",
        "hdr10-av1.mp4",
        "nasa_13013.mp4",
        "smpte-2997.mp4",
    ],
)
def test_clips_have_as_many_faces_as_people_saw(name):
    found = faces(shared_clip(f"video/{name}"))
    assert found.summary.get("people_max", 0) == shared_truth(f"video/{name}")["faces_max"]
    assert len({s.data["track"] for s in found.segments}) == found.summary.get("people_max", 0)


@pytest.mark.parametrize("name", ["face_noface.mov", "awesome_movie.mov"])
def test_clips_with_and_without_a_face(name):
    clip, truth = shared_clip(f"video/{name}"), shared_truth(f"video/{name}")
    found = faces(clip)
    times_s = found.tracks["face_count_times_s"]
    assert found.summary["tracks"] == found.summary["people_max"] == 1
    for stretch in truth["faces"]:
        # One picture of tolerance: the truth was read off to the frame, faces are looked for 4 times a second.
        inside = (times_s >= stretch["t"][0] + 0.25) & (times_s < stretch["t"][1] - 0.25)
        assert inside.any()
        assert (found.tracks["face_count"][inside] == stretch["n"]).all()


def test_black_and_white_film_with_two_clear_faces():
    found = faces(shared_clip("video/friday.mp4"))
    assert found.summary["people_max"] == shared_truth("video/friday.mp4")["faces_clear"] == 2
    assert found.summary["tracks"] == 2
    assert found.summary["face_share"] > 0.9


def test_street_shots_never_hold_more_faces_than_people():
    found = faces(shared_clip("video/bikes.mp4"))
    assert 1 <= found.summary["people_max"] <= shared_truth("video/bikes.mp4")["people_max"]
    assert [round(s.start_s, 2) for s in found.segments] == [1.28, 4.76], "the man in the suit, the cyclist"
