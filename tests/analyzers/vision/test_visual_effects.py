"""Effects: clips with one known effect each, then real footage, of which most has none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analyzers.contract import Analysis, Segment
from analyzers.vision.effect_rules import zoom_punches
from tests.media import run_analyzer, sample_clip, shared_clip, still, synthetic_clip, texture

WIDTH, HEIGHT, FPS = 288, 512, 30
WIDE = texture(HEIGHT, WIDTH + 400, seed=1, scale_px=24)
A, B = WIDE[:, :WIDTH], texture(HEIGHT, WIDTH, seed=2, scale_px=24)


def effects(pictures: list[np.ndarray]) -> Analysis:
    outcome = run_analyzer("visual_effects", synthetic_clip([np.ascontiguousarray(p) for p in pictures], FPS))
    assert outcome.succeeded, outcome.reason
    return outcome.analysis


def only(pictures: list[np.ndarray]) -> Segment:
    (segment,) = effects(pictures).segments
    return segment


def brighter(picture: np.ndarray, levels: int) -> np.ndarray:
    return np.clip(picture.astype(int) + levels, 0, 255).astype(np.uint8)


def pan(frames: int, start_px: int = 0) -> list[np.ndarray]:
    return [WIDE[:, start_px + 4 * i :][:, :WIDTH] for i in range(frames)]


def zoomed(picture: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    matrix = np.array([[scale, 0, WIDTH / 2 * (1 - scale)], [0, scale, HEIGHT / 2 * (1 - scale)]])
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


def blurred(picture: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(picture, (0, 0), 7)


def moving(height: int, width: int, seed: int, frames: int, speed: Callable[[int], float]) -> list[np.ndarray]:
    """A texture that shakes sideways by `speed`(frame) px."""
    wide = texture(height, width + 80, seed, scale_px=24)
    return [wide[:, 40 + round(speed(i)) :][:, :width] for i in range(frames)]


def test_flash() -> None:
    flash = only(still(A, 1) + [brighter(A, 120)] * 3 + still(A, 1))
    assert (flash.label, flash.start_s) == ("flash", pytest.approx(1.0, abs=0.04))
    assert flash.end_s == pytest.approx(1.1, abs=0.05)
    assert flash.data["rise_levels"] > 60


def test_flash_between_two_shots() -> None:
    found = effects(still(A, 1) + [np.full_like(A, 255)] * 4 + still(B, 1)).segments
    assert [(s.label, round(s.start_s, 1)) for s in found] == [("flash", 1.0)]


def test_strobe() -> None:
    strobe = only(still(A, 0.5) + ([brighter(A, 120)] * 2 + [A] * 4) * 6 + still(A, 0.5))
    assert (strobe.label, strobe.data["flashes"]) == ("strobe", 6)
    assert strobe.data["rate_hz"] == pytest.approx(5.0, abs=0.1)


def test_freeze() -> None:
    freeze = only(pan(30) + [WIDE[:, 116:][:, :WIDTH]] * 20 + pan(30, 120))
    assert freeze.label == "freeze"
    assert (freeze.start_s, freeze.end_s) == (pytest.approx(29 / FPS, abs=0.07), pytest.approx(50 / FPS, abs=0.07))


def test_a_still_picture_is_not_frozen() -> None:
    assert effects(still(A, 2)).segments == ()


def test_blur() -> None:
    sharp = (A // 2 + texture(HEIGHT, WIDTH, seed=6, scale_px=4) // 3).astype(np.uint8)
    blur = only(still(sharp, 1.5) + still(blurred(sharp), 0.5) + still(sharp, 1.5))
    assert (blur.label, blur.start_s, blur.end_s) == ("blur", pytest.approx(1.5, abs=0.13), pytest.approx(2, abs=0.13))


@pytest.mark.parametrize(("step", "sign"), [(0.03, 1), (-0.03, -1)], ids=["in", "out"])
def test_zoom_punch(step: float, sign: int) -> None:
    scale = np.exp(np.concatenate([np.zeros(30), np.arange(12) * step, np.full(30, 11 * step)]))
    punch = only([zoomed(A, s) for s in (scale if sign > 0 else scale / scale[-1])])
    assert (punch.label, punch.start_s) == ("zoom_punch", pytest.approx(1.0, abs=0.15))
    assert punch.data["log_scale"] == pytest.approx(sign * 0.33, rel=0.25)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.9, 0.9, 0.9, 0.9], [0.3]),
        ([0.45, 0.9, 0.45, 0.9], [0.3]),  # which pairs are doubtful differs from processor to processor
        ([0.2, 0.9, 0.9, 0.9], [0.225]),
        ([0.45, 0.45, 0.45, 0.9], []),
        ([np.nan] * 4, []),
    ],
)
def test_a_zoom_punch_is_followed_over_doubtful_pairs(shares: list[float], expected: list[float]) -> None:
    zoom, share = np.zeros(20), np.ones(20)
    zoom[8:12], share[8:12] = 0.9, shares
    found = zoom_punches(zoom, share, np.arange(20) / 12, least_log=0.12, longest_s=0.7)
    assert [s.data["log_scale"] for s in found] == expected


def test_a_slow_zoom_is_no_punch() -> None:
    assert effects([zoomed(A, np.exp(0.1 * i / FPS)) for i in range(60)]).segments == ()


def test_look_change() -> None:
    warm = np.clip(A * np.array([1.0, 0.75, 0.5]), 0, 255).astype(np.uint8)
    change = only(still(A, 1) + still(warm, 1))
    assert (change.label, change.start_s) == ("look_change", pytest.approx(1.0, abs=1e-3))
    assert change.data["brightness_levels"] < -15
    assert change.data["color_levels"] > 10


def test_monochrome_shot() -> None:
    gray = np.repeat(B.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    segment = only(still(A, 1) + still(gray, 1))
    assert (segment.label, segment.start_s, segment.end_s) == ("monochrome", pytest.approx(1), pytest.approx(2))
    assert effects(still(gray, 1)).segments == ()


@pytest.mark.parametrize("upright", [True, False], ids=["left and right", "top and bottom"])
def test_split_screen(upright: bool) -> None:
    height, width = (HEIGHT, WIDTH // 2) if upright else (HEIGHT // 2, WIDTH)
    one = moving(height, width, 3, 60, lambda i: 12 * np.sin(i / 7))
    two = [brighter(p // 3, 0) for p in moving(height, width, 4, 60, lambda i: 20 * np.sin(i / 3 + 1))]
    split = only([np.concatenate(pair, axis=1 if upright else 0) for pair in zip(one, two, strict=True)])
    assert split.label == "split_screen"
    assert split.data["sides"] == ("left and right" if upright else "top and bottom")
    assert split.data["position"] == pytest.approx(0.5, abs=0.01)


def test_mirror() -> None:
    half = moving(HEIGHT, WIDTH // 2, 5, 45, lambda i: 10 * np.sin(i / 5))
    found = effects([np.concatenate([p, p[:, ::-1]], axis=1) for p in half]).segments
    assert [(s.label, s.data["sides"]) for s in found if s.label == "mirror"] == [("mirror", "left and right")]


@pytest.mark.parametrize("kind", ["black", "blurred"])
def test_bars(kind: str) -> None:
    import cv2

    def framed(picture: np.ndarray) -> np.ndarray:
        frame = np.zeros_like(A) if kind == "black" else cv2.GaussianBlur(picture, (0, 0), 30) // 2
        frame[144:368] = picture[144:368]
        return frame

    bars = only([framed(p) for p in pan(45)])
    assert (bars.label, bars.data["kind"], bars.data["sides"]) == ("bars", kind, "top and bottom")
    assert (bars.data["first"], bars.data["last"]) == (pytest.approx(0.281, abs=0.02), pytest.approx(0.719, abs=0.02))


@pytest.mark.parametrize(
    "pictures",
    [
        still(A, 1 / FPS),
        still(np.zeros_like(A), 1),
        still(A[:, :2], 1),
        still(A, 1) + still(B, 1),
        pan(60),
        list(np.random.default_rng(1).integers(0, 256, (45, 128, 128, 3), np.uint8)),
    ],
    ids=["one picture", "black", "2 px wide", "a cut", "a pan", "noise"],
)
def test_nothing_is_claimed_where_nothing_is(pictures: list[np.ndarray]) -> None:
    analysis = effects(pictures)
    assert analysis.segments == ()
    assert "no flash" in analysis.reason


def test_the_sample_has_one_blurred_surround() -> None:
    (segment,) = run_analyzer("visual_effects", sample_clip()).analysis.segments
    assert (segment.label, segment.data["kind"], segment.start_s) == ("bars", "blurred", pytest.approx(10.0, abs=0.04))


@pytest.mark.parametrize("name", ["friday.mp4", "bikes.mp4", "hdr10-av1.mp4", "asl_walk.mkv", "smpte-2997.mp4"])
def test_real_clips_without_effects(name: str) -> None:
    assert run_analyzer("visual_effects", shared_clip(f"video/{name}")).analysis.segments == ()
