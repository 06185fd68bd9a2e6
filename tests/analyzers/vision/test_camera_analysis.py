"""Camera motion: pictures seen through a moving window, the sample, then real footage."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from analyzers.common.flow import shake, wobble
from analyzers.contract import Analysis, Segment
from analyzers.vision.camera_analysis import frame_pairs
from tests.media import (
    run_analyzer,
    sample_clip,
    sample_truth,
    shared_clip,
    shared_truth,
    still,
    synthetic_clip,
    texture,
)

WIDTH, HEIGHT, FPS = 288, 512, 30
SCENE = texture(1400, 1400, seed=7, scale_px=20)

View = Callable[[float], tuple[float, float, float, float]]
"""Seconds to where the camera looks: x and y in px, growth of the picture, turn of the camera clockwise in degrees."""


def seen(view: View, seconds: float = 2.0, fps: float = FPS) -> Iterator[np.ndarray]:
    import cv2

    for i in range(round(seconds * fps)):
        x, y, scale, turn_deg = view(i / fps)
        matrix = cv2.getRotationMatrix2D((700 + x, 700 + y), turn_deg, scale)
        matrix[:, 2] += (WIDTH / 2 - 700 - x, HEIGHT / 2 - 700 - y)
        yield cv2.warpAffine(SCENE, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def camera(pictures: Iterator[np.ndarray] | list[np.ndarray], fps: float = FPS) -> Analysis:
    outcome = run_analyzer("camera_analysis", synthetic_clip(pictures, fps))
    assert outcome.succeeded, outcome.reason
    return outcome.analysis


def only(pictures: Iterator[np.ndarray] | list[np.ndarray], fps: float = FPS) -> Segment:
    (segment,) = camera(pictures, fps).segments
    return segment


MOTIONS: dict[str, tuple[View, str, str | None, float]] = {
    "slow pan right": (lambda t: (20 * t, 0, 1, 0), "pan_right", "pan_frame_widths_per_s", 20 / WIDTH),
    "fast pan right": (lambda t: (240 * t, 0, 1, 0), "pan_right", "pan_frame_widths_per_s", 240 / WIDTH),
    "pan left": (lambda t: (-90 * t, 0, 1, 0), "pan_left", "pan_frame_widths_per_s", -90 / WIDTH),
    "tilt up": (lambda t: (0, -80 * t, 1, 0), "tilt_up", "tilt_frame_heights_per_s", 80 / HEIGHT),
    "tilt down": (lambda t: (0, 80 * t, 1, 0), "tilt_down", "tilt_frame_heights_per_s", -80 / HEIGHT),
    "slow zoom in": (lambda t: (0, 0, np.exp(0.03 * t), 0), "zoom_in", "zoom_per_s", 0.03),
    "zoom in": (lambda t: (0, 0, np.exp(0.2 * t), 0), "zoom_in", "zoom_per_s", 0.2),
    "zoom out": (lambda t: (0, 0, np.exp(-0.2 * t), 0), "zoom_out", "zoom_per_s", -0.2),
    "roll right": (lambda t: (0, 0, 1, 12 * t), "roll_right", "roll_deg_per_s", 12),
    "roll left": (lambda t: (0, 0, 1, -12 * t), "roll_left", "roll_deg_per_s", -12),
    "pan with a little zoom": (lambda t: (120 * t, 0, np.exp(0.03 * t), 0), "pan_right", "zoom_per_s", 0.03),
    "static": (lambda t: (0, 0, 1, 0), "static", None, 0),
}


@pytest.mark.parametrize("name", MOTIONS)
def test_known_motion(name: str) -> None:
    view, label, rate, value = MOTIONS[name]
    segment = only(seen(view))
    assert segment.label == label
    if rate:
        assert segment.data[rate] == pytest.approx(value, rel=0.1)
    for other in ("pan_frame_widths_per_s", "tilt_frame_heights_per_s", "zoom_per_s"):
        if other != rate and name != "pan with a little zoom":
            assert abs(segment.data[other]) < 0.01
    assert segment.data["shake_frame_widths_per_s"] < 0.005


@pytest.mark.parametrize("fps", [10, 24, 60])
def test_speed_does_not_depend_on_the_rate(fps: float) -> None:
    segment = only(seen(lambda t: (60 * t, 0, 1, 0), fps=fps), fps)
    assert (segment.label, segment.data["pan_frame_widths_per_s"]) == ("pan_right", pytest.approx(60 / WIDTH, rel=0.1))


def test_handheld() -> None:
    walk = np.cumsum(np.random.default_rng(4).normal(0, 3.5, (100, 2)), axis=0)
    segment = only(seen(lambda t: (*(0.9 ** (t * 0) * walk[round(t * FPS)] * 0.5), 1, 0), 3.0))
    assert segment.label == "handheld"
    assert segment.data["shake_frame_widths_per_s"] > 0.03


def test_a_pan_begins_where_it_begins() -> None:
    first, second = camera(seen(lambda t: (100 * max(0, t - 1.5), 0, 1, 0), 3.0)).segments
    assert (first.label, second.label) == ("static", "pan_right")
    assert first.end_s == second.start_s == pytest.approx(1.5, abs=0.15)


def test_motion_does_not_reach_over_a_cut() -> None:
    other = texture(HEIGHT, WIDTH, seed=9, scale_px=40)
    first, second = camera([*seen(lambda t: (100 * t, 0, 1, 0), 1.5), *still(other, 1.5)]).segments
    assert [(s.label, s.start_s, s.end_s) for s in (first, second)] == [
        ("pan_right", 0, pytest.approx(1.5, abs=1e-3)),
        ("static", pytest.approx(1.5, abs=1e-3), pytest.approx(3.0, abs=1e-3)),
    ]


def with_subject(picture: np.ndarray, t: float) -> np.ndarray:
    """A textured person-sized block that walks to and fro over two fifths of the picture."""
    picture = picture.copy()
    x = round(70 + 60 * np.sin(2 * t))
    picture[120:, x : x + 110] = texture(HEIGHT, 110, seed=3, scale_px=12)[120:]
    return picture


def test_a_large_subject_is_not_the_camera() -> None:
    pictures = [with_subject(p, i / FPS) for i, p in enumerate(seen(lambda t: (0, 0, 1, 0), 3.0))]
    assert only(pictures).label == "static"


def test_lettering_does_not_hold_the_camera_still() -> None:
    import cv2

    def lettered(picture: np.ndarray) -> np.ndarray:
        picture = np.ascontiguousarray(picture)
        for text, y in (("Follow for part two", 400), ("this is the caption", 430), ("@name", 40)):
            cv2.putText(picture, text, (10, y), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
        return picture

    segment = only([lettered(p) for p in seen(lambda t: (90 * t, 0, 1, 0))])
    assert (segment.label, segment.data["pan_frame_widths_per_s"]) == ("pan_right", pytest.approx(90 / WIDTH, rel=0.1))


def held_up(t: float) -> np.ndarray:
    """A dark room with something on a shelf, before which a sheet is held up from 1.5 to 4 s, not quite still."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[180:330, 60:230] = texture(150, 170, seed=5, scale_px=9)
    if 1.5 <= t < 4.0:
        x = round(15 + 35 * max(0.0, t - 2.0) + 4 * np.sin(9 * t))
        y = round(30 + 900 * max(0.0, 1.8 - t) + 900 * max(0.0, t - 3.7) + 4 * np.cos(7 * t))
        sheet = texture(460, 200, seed=6, scale_px=14)[: max(0, HEIGHT - y)]
        picture[y : y + len(sheet), x : x + 200] = sheet
    return picture


def test_a_sheet_held_up_to_a_tripod_is_no_move() -> None:
    found = camera([held_up(i / FPS) for i in range(round(5.5 * FPS))]).segments
    assert {s.label for s in found} == {"static", "unknown"}
    assert (found[0].label, found[-1].label) == ("static", "static")


def test_a_move_between_two_rests_is_one() -> None:
    found = camera(seen(lambda t: (100 * min(max(0, t - 1.5), 1.2), 0, 1, 0), 4.2)).segments
    assert [s.label for s in found] == ["static", "pan_right", "static"]
    assert found[1].data["border_share"] > 0.9
    assert found[1].end_s - found[1].start_s == pytest.approx(1.2, abs=0.25)


def test_a_slow_drift_in_a_trembling_hand_has_no_direction() -> None:
    place = np.random.default_rng(1).normal(0, 4, (100, 2))
    (segment,) = camera(seen(lambda t: (*place[round(t * FPS)], np.exp(0.03 * t), 0), 2.0)).segments
    assert segment.label == "handheld"
    assert segment.data["zoom_per_s"] == pytest.approx(0.03, abs=0.02)


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        (still(SCENE[:HEIGHT, :WIDTH], 1 / FPS), "a single picture has no motion"),
        (still(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 1), "too little to hold on to"),
        (still(SCENE[:HEIGHT, :2], 1), "too little to hold on to"),
    ],
    ids=["one picture", "black", "2 px wide"],
)
def test_nothing_to_see(pictures: list[np.ndarray], reason: str) -> None:
    analysis = camera(pictures)
    assert not analysis.segments
    assert reason in analysis.reason


def test_pairs_keep_to_the_rate_and_the_shot() -> None:
    times_s = np.arange(60) / 30
    assert frame_pairs(times_s, 0, 10, 10.0) == [(0, 3), (3, 6), (6, 9)]
    assert frame_pairs(times_s, 20, 23, 60.0) == [(20, 21), (21, 22)]
    assert frame_pairs(times_s, 5, 6, 10.0) == []


def test_shake_is_the_noise_and_not_the_speed() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (4000, 2))
    assert shake(np.full((50, 2), 0.7)) == 0
    assert shake(0.7 + noise * (1, 0)) == pytest.approx(0.05, rel=0.1)


def test_wobble_is_how_far_the_path_strays_from_its_line() -> None:
    times_s = np.arange(200) / 12
    steady = np.tile([0.3, -0.1], (200, 1))
    assert wobble(times_s, steady) == pytest.approx(0, abs=1e-9)
    swaying = steady + np.column_stack([0.05 * 4 * np.cos(4 * times_s), np.zeros(200)])
    assert wobble(times_s, swaying) == pytest.approx(0.05 / np.sqrt(2), rel=0.1)
    assert wobble(times_s[:2], steady[:2]) == 0


def test_the_sample() -> None:
    segments = run_analyzer("camera_analysis", sample_clip()).analysis.segments
    for true in sample_truth()["camera"]:
        middle_s = (true["start_s"] + true["end_s"]) / 2
        (found,) = (s for s in segments if s.start_s <= middle_s < s.end_s)
        assert found.label == true["motion"]
        if "speed_frame_widths_per_s" in true:
            assert found.data["pan_frame_widths_per_s"] == pytest.approx(true["speed_frame_widths_per_s"], rel=0.05)
        if "log_scale_per_s" in true:
            assert found.data["zoom_per_s"] == pytest.approx(true["log_scale_per_s"], rel=0.05)


@pytest.mark.parametrize(
    "name",
    [
        "WolfgangLanger_Pexels.mp4",
        "asl_walk.mkv",
        "awesome_movie.mov",
        "car-detection.mp4",
        "friday.mp4",
        "grid_bbaf2n.mpg",
        "grid_lbbc2a.mpg",
        "testvideo.mp4",
    ],
)
def test_real_static_cameras(name: str) -> None:
    assert shared_truth(f"video/{name}")["camera"] == "static"
    summary = run_analyzer("camera_analysis", shared_clip(f"video/{name}")).analysis.summary
    assert summary["camera"] == "static"
    assert set(summary["shares"]) <= {"static", "unknown"}


def test_a_real_pan() -> None:
    assert shared_truth("video/hdr10-av1.mp4")["camera"] == "pan right, handheld"
    summary = run_analyzer("camera_analysis", shared_clip("video/hdr10-av1.mp4")).analysis.summary
    assert summary["camera"] == "pan_right"
    assert summary["mean_shake_frame_widths_per_s"] > 0.01
