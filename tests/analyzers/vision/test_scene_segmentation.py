"""Scenes: shots of known places in a known order, then real footage."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.vision.scene_segmentation import describe, likeness_of
from tests.media import run_analyzer, sample_clip, shared_clip, synthetic_clip, texture

HEIGHT, WIDTH, SHOT_FRAMES = 160, 288, 24
TINTS = {"forest": (0.3, 0.9, 0.35), "sea": (0.2, 0.45, 0.95), "desert": (0.95, 0.65, 0.25), "rose": (0.95, 0.3, 0.6)}


def place(name: str, view: int) -> np.ndarray:
    """One of several views of a place: other shapes in the same colours."""
    return (texture(HEIGHT, WIDTH, seed=view, scale_px=32) * np.array(TINTS[name])).astype(np.uint8)


def scenes_of(*views: tuple[str, int]) -> list[dict]:
    pictures = [place(name, view) for name, view in views for _ in range(SHOT_FRAMES)]
    outcome = run_analyzer("scene_segmentation", synthetic_clip(pictures))
    return [s.data for s in outcome.analysis.segments]


def test_each_place_is_a_scene() -> None:
    scenes = scenes_of(("forest", 1), ("forest", 2), ("sea", 3), ("desert", 4), ("desert", 5))
    assert [s["shots"] for s in scenes] == [[0, 1], [2], [3, 4]]
    assert [s["look"] for s in scenes] == [0, 1, 2]
    assert scenes[0]["likeness_to_previous"] is None
    assert all(s["likeness_to_previous"] < 0.6 for s in scenes[1:])


def test_a_dialogue_in_turns_is_one_scene() -> None:
    scenes = scenes_of(("forest", 1), ("rose", 2), ("forest", 1), ("rose", 2), ("sea", 3))
    assert [s["shots"] for s in scenes] == [[0, 1, 2, 3], [4]]


def test_a_place_that_comes_back_late_has_its_old_look() -> None:
    between = [(name, seed) for seed, name in enumerate(("sea", "desert", "rose", "sea", "desert", "rose"), 10)]
    scenes = scenes_of(("forest", 1), *between, ("forest", 2))
    assert (scenes[0]["shots"], scenes[-1]["shots"]) == ([0], [7])
    assert (scenes[0]["look"], scenes[-1]["look"]) == (0, 0)
    assert len(scenes) >= 3


def test_scenes_fill_the_clip() -> None:
    clip = synthetic_clip([place(n, i) for i, n in enumerate(TINTS) for _ in range(SHOT_FRAMES)])
    analysis = run_analyzer("scene_segmentation", clip).analysis
    segments = analysis.segments
    assert (segments[0].start_s, segments[-1].end_s) == (0, pytest.approx(clip.video_end_s))
    assert [a.end_s for a in segments[:-1]] == [b.start_s for b in segments[1:]]
    assert analysis.summary["scenes"] == analysis.summary["looks"] == 4


def test_likeness() -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pictures = np.stack([place("sea", 1), place("sea", 1) // 2, place("sea", 7), place("desert", 2), black])
    likeness = likeness_of([describe(pictures, i, i + 1) for i in range(len(pictures))])
    assert np.allclose(likeness, likeness.T)
    assert np.all(np.diag(likeness) == 1)
    assert likeness[0, 2] > 0.6  # another view of it
    assert likeness[0, 1] > likeness[0, 3]  # half the light is nearer than another place
    assert max(likeness[0, 3], likeness[0, 4], likeness[3, 4]) < 0.5


def test_bars_do_not_make_shots_alike() -> None:
    def framed(picture: np.ndarray) -> np.ndarray:
        frame = np.zeros((480, WIDTH, 3), np.uint8)
        frame[160:320] = picture
        return frame

    pictures = np.stack([framed(place("sea", 1)), framed(place("desert", 2))])
    assert likeness_of([describe(pictures, 0, 1), describe(pictures, 1, 2)])[0, 1] < 0.5


def test_the_sample_shows_six_places() -> None:
    assert run_analyzer("scene_segmentation", sample_clip()).analysis.summary["scenes"] == 6


def test_a_man_and_a_cartoon_are_two_scenes() -> None:
    segments = run_analyzer("scene_segmentation", shared_clip("video/face_noface.mov")).analysis.segments
    assert [s.start_s for s in segments] == [0, pytest.approx(2.4, abs=0.04)]


def test_city_traffic_is_one_look() -> None:
    assert run_analyzer("scene_segmentation", shared_clip("video/bikes.mp4")).analysis.summary["looks"] == 1
