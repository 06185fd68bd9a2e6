"""Technical quality: pictures spoilt in one known way each, then real footage."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.vision.content_quality import blockiness, noise_levels, sharpness
from tests.media import run_analyzer, sample_clip, shared_clip, still, synthetic_clip, texture

SHARP = (
    texture(256, 256, seed=1, scale_px=64)[..., 0] * 0.6 + texture(256, 256, seed=2, scale_px=3)[..., 0] * 0.35 + 8
).astype(np.uint8)
SMOOTH = np.tile(np.linspace(60, 190, 256), (256, 1))


def blurred(luma: np.ndarray, sigma_px: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(luma, (0, 0), sigma_px)


def in_blocks(luma: np.ndarray) -> np.ndarray:
    """What coarse DCT quantisation leaves: the mean of each block, and a third of the rest."""
    means = luma.reshape(32, 8, 32, 8).mean(axis=(1, 3)).repeat(8, 0).repeat(8, 1)
    return (means + (luma - means) / 3).astype(np.uint8)


def test_sharpness_falls_with_blur() -> None:
    values = [sharpness(SHARP), *(sharpness(blurred(SHARP, s)) for s in (1, 2, 4))]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.6
    assert values[-1] < 0.3
    assert sharpness(np.full((64, 64), 90, np.uint8)) is None


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
def test_noise_is_the_noise_that_was_added(sigma: float) -> None:
    noisy = SMOOTH + np.random.default_rng(1).normal(0, sigma, SMOOTH.shape)
    assert noise_levels(noisy.clip(0, 255).astype(np.uint8)) == pytest.approx(sigma, rel=0.2)


def test_a_picture_without_noise_has_none() -> None:
    assert noise_levels(SMOOTH.astype(np.uint8)) < 0.6
    assert noise_levels(np.zeros((256, 256), np.uint8)) is None


@pytest.mark.parametrize("shift", [0, 3], ids=["from the left", "from the right, as after a turn"])
def test_blockiness(shift: int) -> None:
    clean = texture(256, 256, seed=2, scale_px=20).mean(axis=2).astype(np.uint8)
    cut = slice(shift, None)
    assert blockiness(clean) == pytest.approx(1.0, abs=0.05)
    assert blockiness(in_blocks(clean)[cut, cut]) > 2
    assert blockiness(np.full((64, 64), 90, np.uint8)) is None


def problems_of(picture: np.ndarray) -> list[str]:
    rgb = np.repeat(picture[..., None], 3, axis=2)
    (segment,) = run_analyzer("content_quality", synthetic_clip(still(rgb, 0.5), crf=4)).analysis.segments
    assert segment.label == ("flawed" if segment.data["technical_problems"] else "clean")
    assert segment.data["aesthetic_score"] is None
    return segment.data["technical_problems"]


@pytest.mark.parametrize(
    ("picture", "problems"),
    [
        (SHARP, []),
        (blurred(SHARP, 4), ["blurred"]),
        (SHARP // 6, ["dark", "low_contrast"]),
        (np.clip(SHARP.astype(int) + 110, 0, 255).astype(np.uint8), ["overexposed"]),
        ((SHARP // 5 + 110).astype(np.uint8), ["low_contrast"]),
        ((SMOOTH + np.random.default_rng(0).normal(0, 14, SMOOTH.shape)).clip(0, 255).astype(np.uint8), ["noisy"]),
    ],
    ids=["clean", "blurred", "dark", "overexposed", "flat", "noisy"],
)
def test_problems(picture: np.ndarray, problems: list[str]) -> None:
    assert problems_of(picture) == problems


def test_bars_are_not_darkness() -> None:
    framed = np.zeros((512, 256), np.uint8)
    framed[128:384] = SHARP
    assert problems_of(framed) == []


def test_each_shot_is_judged_for_itself() -> None:
    good, dark = (np.repeat(p[..., None], 3, axis=2) for p in (SHARP, SHARP[::-1, ::-1] // 6))
    analysis = run_analyzer("content_quality", synthetic_clip(still(good, 1) + still(dark, 2))).analysis
    assert [(s.label, s.start_s) for s in analysis.segments] == [("clean", 0), ("flawed", pytest.approx(1))]
    assert "dark" in analysis.summary["technical_problems"]
    assert (analysis.summary["technical_width_px"], analysis.summary["technical_fps"]) == (256, 30)


def test_a_black_clip_has_no_sharpness() -> None:
    summary = run_analyzer(
        "content_quality", synthetic_clip(still(np.zeros((64, 64, 3), np.uint8), 1))
    ).analysis.summary
    assert summary["technical_sharpness"] is None
    assert summary["technical_noise_levels"] is None
    assert "dark" in summary["technical_problems"]


def test_the_sample_is_clean() -> None:
    assert run_analyzer("content_quality", sample_clip()).analysis.summary["technical_problems"] == []


def test_real_clips() -> None:
    mpeg1 = run_analyzer("content_quality", shared_clip("video/grid_bbaf2n.mpg")).analysis.summary
    phone = run_analyzer("content_quality", shared_clip("video/hdr10-av1.mp4")).analysis.summary
    assert mpeg1["technical_problems"] == ["blocky"]
    assert phone["technical_problems"] == []
    assert phone["technical_sharpness"] > mpeg1["technical_sharpness"]
