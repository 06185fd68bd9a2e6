"""What is drawn over the picture: whole numbers of measured points, thinned where many, empty where nothing is seen."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.report.example import example_report, posing_report, posing_tracks
from tests.report.test_page import Page
from tiktok_assets.report.overlay import BODY_CHAINS, BODY_POINTS, CHAINS, HAND_CHAINS, MAX_NUMBERS, overlay
from tiktok_assets.report.page import render_page


def series(shape: str, tracks: dict[str, dict[str, np.ndarray]] | None = None) -> list[list[int | None]]:
    made = overlay(posing_report()["analyzer_results"], posing_tracks() if tracks is None else tracks)
    return next((s["rows"] for s in made["series"] if s["shape"] == shape), [])


def test_boxes_are_rows_of_time_track_and_corners() -> None:
    rows = series("box")
    assert len(rows) == 8
    assert rows[0] == pytest.approx([3500, 0, 301, 161, 711, 451], abs=5)


def test_a_body_has_the_points_that_were_seen_and_no_others() -> None:
    time_ms, _, *numbers = series("body")[0]
    assert time_ms == 3500
    points = dict(zip(BODY_POINTS, zip(numbers[::2], numbers[1::2], strict=True), strict=True))
    assert points[11] == (700, 500)
    assert points[24] == (400, 920)
    assert {p for p, place in points.items() if place != (None, None)} == {0, 11, 12, 13, 14, 15, 16, 23, 24}


def test_a_picture_without_a_body_has_no_row() -> None:
    tracks = posing_tracks()
    tracks["body_pose"]["pose"][:5] = np.nan
    assert [row[0] for row in series("body", tracks)] == [4750, 5000, 5250]


def test_a_hand_has_its_number_and_21_points() -> None:
    rows = series("hand")
    assert [row[0] for row in rows] == [3500, 3750, 4000, 4250, 4500, 4750, 5000, 5250]
    assert rows[0][1:6] == [0, 260, 880, 200, 900]
    assert len(rows[0]) == 2 + 42


def test_closed_eyes_look_nowhere() -> None:
    assert series("gaze") == [[t, 0, 30, 0] for t in (3500, 3750, 4000, 4250, 4500, 4750, 5000)]


def test_lines_join_points_that_the_body_joins() -> None:
    assert [[BODY_POINTS[i] for i in chain] for chain in CHAINS["body"]] == [list(chain) for chain in BODY_CHAINS]
    for shape, points in (("body", len(BODY_POINTS)), ("hand", 21)):
        assert {point for chain in CHAINS[shape] for point in chain} == set(range(points))
    assert HAND_CHAINS[1][-1] == 8  # the tip of the forefinger


def test_kinds_are_those_that_there_is_something_of() -> None:
    made = overlay(posing_report()["analyzer_results"], posing_tracks())
    assert list(made["kinds"]) == ["faces", "poses", "hands", "text"]
    assert made["still"] == {"text_overlay": "text"}
    assert made["cuts"] == [2500, 3500, 5500, 10000]
    assert overlay({}, {})["kinds"] == {}


def test_a_look_without_a_face_is_not_drawn() -> None:
    tracks = {"eye_tracking": posing_tracks()["eye_tracking"]}
    results: dict[str, Any] = {"eye_tracking": posing_report()["analyzer_results"]["eye_tracking"]}
    assert overlay(results, tracks)["kinds"] == {}


def test_an_unknown_analyzer_draws_areas() -> None:
    results = {"new_analysis": posing_report()["analyzer_results"]["face_detection"]}
    assert overlay(results, {})["kinds"] == {"areas": "Areas"}


def test_a_long_series_is_thinned_evenly_and_keeps_its_end() -> None:
    count = 9_000
    crowd = np.array([[i % 2, 0.1, 0.1, 0.2, 0.2, 0.9] for i in range(count)])
    rows = series("box", {"face_detection": {"faces": crowd, "faces_times_s": np.arange(count) // 2 * 0.1}})
    assert MAX_NUMBERS / 2 < sum(map(len, rows)) <= MAX_NUMBERS
    times_ms = sorted({row[0] for row in rows})
    assert len(rows) == 2 * len(times_ms)
    assert len(set(np.diff(times_ms))) == 1
    assert times_ms[-1] > 449_000


def test_a_minute_full_of_people_stays_small() -> None:
    count = 240
    times_s = np.arange(count) * 0.25
    rng = np.random.default_rng(5)
    hands = np.column_stack([np.tile([0, 1], count), np.zeros(2 * count), rng.random((2 * count, 47))])
    pose = np.dstack([rng.random((count, 33, 2)), np.ones((count, 33))])
    tracks = {
        "face_detection": {
            "faces": np.column_stack([np.tile(range(5), count), rng.random((5 * count, 5))]),
            "faces_times_s": np.repeat(times_s, 5),
        },
        "body_pose": {"pose": pose, "pose_times_s": times_s},
        "hand_gesture": {"hands": hands, "hands_times_s": np.repeat(times_s, 2)},
    }
    report = posing_report()
    made = overlay(report["analyzer_results"], tracks)
    assert [len(s["rows"]) for s in made["series"]] == [5 * count, count, 2 * count]
    with_it = render_page(report, tracks)
    assert len(with_it) - len(render_page(report)) < 260_000
    assert json.loads(Page(with_it).texts["script"][0])["overlay"]["series"][0]["kind"] == "faces"


def test_there_is_a_switch_for_each_kind() -> None:
    def switches(html: str) -> list[str]:
        return [a["data-kind"] for _, a in Page(html).elements if "data-kind" in a]

    assert switches(render_page(posing_report(), posing_tracks())) == ["faces", "poses", "hands", "text"]
    assert switches(render_page(example_report(video_path=None))) == []
