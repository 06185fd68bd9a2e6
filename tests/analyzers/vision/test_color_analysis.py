"""Colours: flat pictures of known colours, then real footage."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.contract import Analysis, Segment
from analyzers.vision.color_analysis import (
    ColorAnalysis,
    color_name,
    content_rows_and_columns,
    palette,
    sample_indices,
    to_hex,
    to_lab,
    warmth,
)
from tests.media import run_analyzer, shared_clip, shared_truth, still, synthetic_clip


def flat(*colors: tuple[int, int, int], height: int = 96, width: int = 96) -> np.ndarray:
    """Vertical stripes of equal width."""
    picture = np.zeros((height, width, 3), np.uint8)
    for stripe, color in zip(np.array_split(np.arange(width), len(colors)), colors, strict=True):
        picture[:, stripe] = color
    return picture


def distance(hex_a: str, hex_b: str) -> float:
    lab = [to_lab(np.array([[[int(h[i : i + 2], 16) for i in (1, 3, 5)]]], np.uint8)).ravel() for h in (hex_a, hex_b)]
    return float(np.linalg.norm(lab[0] - lab[1]))


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((70, 70, 70), "dark gray"),
        ((128, 128, 128), "gray"),
        ((192, 192, 192), "light gray"),
        ((255, 255, 255), "white"),
        ((255, 0, 0), "red"),
        ((139, 0, 0), "dark red"),
        ((255, 192, 203), "pink"),
        ((255, 165, 0), "orange"),
        ((139, 69, 19), "brown"),
        ((210, 180, 140), "beige"),
        ((255, 255, 0), "yellow"),
        ((128, 128, 0), "olive"),
        ((0, 128, 0), "green"),
        ((0, 255, 0), "green"),
        ((144, 238, 144), "light green"),
        ((0, 60, 0), "dark green"),
        ((0, 128, 128), "teal"),
        ((64, 224, 208), "turquoise"),
        ((0, 0, 255), "blue"),
        ((65, 105, 225), "blue"),
        ((0, 0, 80), "dark blue"),
        ((135, 206, 235), "light blue"),
        ((128, 0, 128), "purple"),
        ((255, 0, 255), "magenta"),
    ],
)
def test_names_of_css_colors(rgb: tuple[int, int, int], name: str) -> None:
    assert color_name(*to_lab(np.array([[rgb]], np.uint8))[0, 0]) == name


def test_hex_is_the_inverse_of_lab() -> None:
    assert to_hex(to_lab(np.array([[[30, 144, 255]]], np.uint8))[0, 0]) == "#1e90ff"


def test_palette_of_stripes_has_their_colors_and_shares() -> None:
    picture = flat((200, 30, 30), (200, 30, 30), (30, 60, 200), (240, 240, 240))
    found = palette(to_lab(picture).reshape(-1, 3), 8)
    assert [(e["hex"], e["share"]) for e in found] == [("#c81e1e", 0.5), ("#1e3cc8", 0.25), ("#f0f0f0", 0.25)]


def test_shades_of_one_color_are_one_entry() -> None:
    picture = flat((200, 30, 30), (206, 36, 34), (196, 28, 30))
    assert len(palette(to_lab(picture).reshape(-1, 3), 8)) == 1


def test_warm_and_cool() -> None:
    lab = to_lab(np.array([[[255, 140, 0], [0, 120, 255], [128, 128, 128]]], np.uint8))[0]
    orange, blue, gray = warmth(lab[:, 1], lab[:, 2])
    assert orange > 1
    assert blue < -0.5
    assert abs(gray) < 0.01


def test_each_shot_has_its_palette() -> None:
    pictures = still(flat((200, 30, 30), (240, 240, 240)), 1.0) + still(flat((40, 80, 220)), 1.0)
    clip = synthetic_clip(pictures)
    cuts = Analysis(segments=[Segment(0.0, 1.0, "shot"), Segment(1.0, 1.0, "cut"), Segment(1.0, 2.0, "shot")])
    analysis = ColorAnalysis().analyze(clip, {"cut_analysis": cuts})
    first, second = analysis.segments
    assert [(s.start_s, s.end_s) for s in (first, second)] == [(0.0, 1.0), (1.0, 2.0)]
    assert [e["name"] for e in second.data["palette"]] == ["blue"]
    assert second.label == "blue"
    assert {e["name"] for e in first.data["palette"]} == {"red", "white"}
    for entry in first.data["palette"]:
        assert entry["share"] == pytest.approx(0.5, abs=0.05)
        assert min(distance(entry["hex"], known) for known in ("#c81e1e", "#f0f0f0")) < 8
    assert first.data["warmth"] > 0 > second.data["warmth"]
    assert first.data["brightness"] > second.data["brightness"]
    assert analysis.summary["segments_are"] == "shots"


def test_a_shot_between_two_samples_still_has_a_palette() -> None:
    red, green = flat((200, 30, 30)), flat((30, 160, 40))
    clip = synthetic_clip(still(red, 1.1) + still(green, 0.1) + still(red, 0.8))
    cuts = Analysis(segments=[Segment(a, b, "shot") for a, b in ((0.0, 1.1), (1.1, 1.2), (1.2, 2.0))])
    labels = [s.label for s in ColorAnalysis(sample_hz=1).analyze(clip, {"cut_analysis": cuts}).segments]
    assert labels[0] == labels[2] == "red"


def test_letterbox_bars_are_left_out() -> None:
    picture = np.zeros((320, 180, 3), np.uint8)
    picture[100:220] = (230, 200, 40)
    analysis = ColorAnalysis().analyze(synthetic_clip(still(picture, 1.0)), {})
    assert [e["name"] for e in analysis.summary["palette"]] == ["yellow"]
    assert analysis.summary["content_box"] == pytest.approx([0, 100 / 320, 1, 220 / 320], abs=0.04)


@pytest.mark.parametrize("dark_rows", [slice(0, 60), slice(None)], ids=["a dark sky", "black"])
def test_what_is_dark_on_one_side_only_is_no_bar(dark_rows: slice) -> None:
    rgb = np.full((3, 90, 50, 3), 120, np.uint8)
    rgb[:, dark_rows] = 5
    assert content_rows_and_columns(rgb) == (0, 90, 0, 50)


def test_a_bar_that_lights_up_once_is_content() -> None:
    rgb = np.full((3, 90, 50, 3), 120, np.uint8)
    rgb[:2, :20] = rgb[:2, 70:] = 0
    assert content_rows_and_columns(rgb) == (0, 90, 0, 50)


def test_grayscale_is_told_from_gray_with_a_spot_of_color() -> None:
    gray = np.repeat(np.random.default_rng(0).integers(0, 256, (48, 48, 1), np.uint8), 3, axis=2)
    spot = gray.copy()
    spot[:8, :8] = (220, 20, 20)
    black = np.zeros((48, 48, 3), np.uint8)
    flags = [ColorAnalysis().analyze(synthetic_clip(still(p, 0.5)), {}).summary for p in (gray, spot, black)]
    assert [f["is_grayscale"] for f in flags] == [True, False, None]
    assert flags[2]["saturation"] == 0


def test_samples_are_even_in_time_even_at_a_variable_rate() -> None:
    times_s = np.array([0, 0.05, 0.1, 0.4, 0.45, 1.3, 1.31])
    assert sample_indices(times_s, 4).tolist() == [0, 3, 5]


def test_one_frame_and_a_two_pixel_wide_clip() -> None:
    for picture, count in ((flat((30, 160, 40)), 1), (flat((30, 160, 40), height=64, width=2), 10)):
        segments = ColorAnalysis().analyze(synthetic_clip([picture] * count), {}).segments
        assert [s.label for s in segments] == ["green"]


@pytest.mark.parametrize(
    ("file", "grayscale"), [("video/friday.mp4", True), ("video/bikes.mp4", False), ("video/car-detection.mp4", False)]
)
def test_real_footage(file: str, grayscale: bool) -> None:
    if grayscale:
        assert shared_truth(file)["color"] == "grayscale"
    outcome = run_analyzer("color_analysis", shared_clip(file))
    assert outcome.status == "ok"
    assert outcome.analysis.summary["is_grayscale"] is grayscale
    for segment in outcome.analysis.segments:
        assert 0.9 < sum(e["share"] for e in segment.data["palette"]) <= 1.001
