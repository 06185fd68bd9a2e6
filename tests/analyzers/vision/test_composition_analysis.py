"""Composition: a subject at a known place, then real footage."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.clip import Clip
from analyzers.contract import Analysis, Segment
from analyzers.vision.composition_analysis import CompositionAnalysis, pose_box, salient_region, symmetry, thirds_score
from tests.media import run_analyzer, sample_clip, sample_truth, shared_clip, still, synthetic_clip, texture

HEIGHT, WIDTH = 320, 320
GROUND = np.full((HEIGHT, WIDTH, 3), (70, 90, 80), np.uint8)


def with_thing(x: float, y: float) -> np.ndarray:
    """A colourful thing on a plain ground, its middle at x and y (0-1)."""
    picture = GROUND.copy()
    left, top = round(x * WIDTH) - 36, round(y * HEIGHT) - 36
    picture[top : top + 72, left : left + 72] = texture(72, 72, seed=3, scale_px=12)
    return picture


def composed(clip: Clip, **results: Analysis) -> Analysis:
    analyzer = CompositionAnalysis()
    analyzer.load()
    return analyzer.analyze(clip, results)


@pytest.mark.parametrize(
    ("x", "y", "label", "score"),
    [
        (1 / 3, 1 / 3, "left_third", 1.0),
        (2 / 3, 2 / 3, "right_third", 1.0),
        (0.5, 0.5, "centered", 0.5),
        (0.8, 0.5, "off_center", 0.55),
    ],
)
def test_a_thing_is_found_where_it_is(x: float, y: float, label: str, score: float) -> None:
    (segment,) = composed(synthetic_clip(still(with_thing(x, y), 1))).segments
    assert (segment.label, segment.data["subject"]) == (label, "region")
    assert segment.data["subject_center"] == pytest.approx([x, y], abs=0.04)
    assert segment.data["thirds_score"] == pytest.approx(score, abs=0.1)
    assert segment.data["headroom"] is None


def face_at(box: tuple[float, float, float, float], end_s: float) -> Analysis:
    times_s = np.arange(0, end_s, 0.25)
    rows = np.array([(0, *box, 0.9) for _ in times_s], np.float32)
    segment = Segment(0.0, end_s, "face", 0.9, box, {"track": 0})
    return Analysis([segment], tracks={"faces": rows, "faces_times_s": times_s})


def test_a_face_goes_before_a_thing_and_has_headroom() -> None:
    clip = synthetic_clip(still(with_thing(0.7, 0.7), 2))
    (segment,) = composed(clip, face_detection=face_at((0.25, 0.3, 0.45, 0.5), 2.0)).segments
    assert (segment.label, segment.data["subject"], segment.confidence) == ("left_third", "face", 1.0)
    assert segment.data["subject_center"] == pytest.approx([0.35, 0.4], abs=0.01)
    assert segment.data["headroom"] == pytest.approx(0.3 - 0.45 * 0.2, abs=0.01)


def test_a_face_seen_for_a_moment_is_not_the_subject() -> None:
    clip = synthetic_clip(still(with_thing(1 / 3, 1 / 3), 4))
    (segment,) = composed(clip, face_detection=face_at((0.7, 0.7, 0.8, 0.8), 0.5)).segments
    assert segment.data["subject"] == "region"


def test_texts_are_not_the_subject() -> None:
    clip = synthetic_clip(still(with_thing(0.5, 0.8), 1))
    text = Analysis([Segment(0.0, 1.0, "overlay", box=(0.35, 0.65, 0.65, 0.95))])
    assert composed(clip).segments[0].data["subject"] == "region"
    assert composed(clip, text_overlay=text).segments[0].data["subject"] is None


def test_without_a_subject_only_symmetry_is_known() -> None:
    analysis = composed(synthetic_clip(still(texture(HEIGHT, WIDTH, seed=1, scale_px=20), 1)))
    (segment,) = analysis.segments
    assert (segment.label, segment.box, segment.confidence) == ("no_subject", None, None)
    assert {segment.data[k] for k in ("subject", "subject_center", "thirds_score", "headroom")} == {None}
    assert segment.data["symmetry"] is not None
    assert analysis.summary["thirds_score"] is None


def test_black_is_nothing() -> None:
    analysis = composed(synthetic_clip(still(np.zeros_like(GROUND), 1)))
    assert not analysis.segments
    assert analysis.reason == "the pictures are plain"


def test_symmetry() -> None:
    half = texture(HEIGHT, WIDTH // 2, seed=5, scale_px=40)
    assert symmetry(np.concatenate([half, half[:, ::-1]], axis=1)) > 0.98
    assert symmetry(np.concatenate([half, 255 - half[:, ::-1]], axis=1)) == 0
    assert symmetry(GROUND) is None


def test_thirds_score() -> None:
    assert thirds_score(1 / 3, 2 / 3) == pytest.approx(1)
    assert thirds_score(0.5, 0.5) == pytest.approx(0.5)
    assert thirds_score(0, 1) == pytest.approx(0)


def test_pose_box_takes_what_is_seen() -> None:
    keypoints = np.zeros((2, 33, 3))
    keypoints[1, :5] = [(0.4, 0.2, 0.9), (0.6, 0.2, 0.9), (0.5, 0.9, 0.8), (0.45, 0.5, 0.7), (0.0, 0.0, 0.1)]
    times_s = np.array([0.0, 1.0])
    assert pose_box(keypoints, times_s, 1.1) == pytest.approx((0.4, 0.2, 0.6, 0.9))
    assert pose_box(keypoints, times_s, 0.1) is None
    assert pose_box(keypoints, times_s, 3.0) is None


def test_two_things_alike_are_no_subject() -> None:
    saliency = np.full((80, 80), 0.01)
    saliency[20:32, 15:27] = saliency[20:32, 53:65] = 1
    assert salient_region(saliency, 0.25, 0.6) is None
    saliency[20:32, 53:65] = 0.01
    box, share = salient_region(saliency, 0.25, 0.6)
    assert share == 1
    assert ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) == pytest.approx((21 / 80, 26 / 80), abs=0.02)


def test_the_sample_has_its_face_as_subject() -> None:
    (true,) = sample_truth()["faces"]
    segments = run_analyzer("composition_analysis", sample_clip()).analysis.segments
    (found,) = (s for s in segments if s.data["subject"] == "face")
    assert (found.start_s, found.end_s) == (pytest.approx(true["start_s"]), pytest.approx(true["end_s"]))
    assert found.label == "centered"
    center = [(true["box"][0] + true["box"][2]) / 2, (true["box"][1] + true["box"][3]) / 2]
    assert found.data["subject_center"] == pytest.approx(center, abs=0.06)


@pytest.mark.parametrize(
    ("name", "subject", "label"),
    [
        ("WolfgangLanger_Pexels.mp4", "face", "right_third"),
        ("asl_walk.mkv", "face", "centered"),
        ("hdr10-av1.mp4", None, "no_subject"),
        ("car-detection.mp4", None, "no_subject"),
    ],
)
def test_real_clips(name: str, subject: str | None, label: str) -> None:
    (segment,) = run_analyzer("composition_analysis", shared_clip(f"video/{name}")).analysis.segments
    assert (segment.data["subject"], segment.label) == (subject, label)
