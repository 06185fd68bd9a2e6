"""Cuts, dissolves and fades: synthetic clips with known frames, the sample, then real footage."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.contract import Segment
from analyzers.vision.cut_analysis import CutAnalysis
from tests.media import sample_clip, sample_truth, shared_clip, shared_truth, still, synthetic_clip, texture

A, B = texture(160, 288, seed=1, scale_px=40), texture(160, 288, seed=2, scale_px=40)
BLACK, WHITE = np.zeros_like(A), np.full_like(A, 255)
BARS = np.zeros((512, 288, 3), np.uint8)
ONE_S = 30


def mix(before: np.ndarray, after: np.ndarray, frames: int) -> list[np.ndarray]:
    shares = np.arange(1, frames + 1) / (frames + 1)
    return [((1 - s) * before + s * after).astype(np.uint8) for s in shares]


def brighter(picture: np.ndarray, levels: int) -> np.ndarray:
    return np.clip(picture.astype(int) + levels, 0, 255).astype(np.uint8)


def with_caption(picture: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    picture[100:140, 30:250] = 255
    return picture


def letterboxed(picture: np.ndarray) -> np.ndarray:
    framed = BARS.copy()
    framed[176:336] = picture
    return framed


def pan(seed: int, px_per_frame: int, frames: int = ONE_S) -> list[np.ndarray]:
    wide = texture(160, 288 + px_per_frame * frames, seed, scale_px=40)
    return [np.ascontiguousarray(wide[:, i * px_per_frame :][:, :288]) for i in range(frames)]


WHIP = pan(5, 60, 12)


def transitions(pictures: list[np.ndarray], fps: float = 30.0) -> list[tuple[str, float, float]]:
    analyzer = CutAnalysis()
    analyzer.load()
    found = analyzer.analyze(synthetic_clip(pictures, fps), {}).segments
    return [(s.label, s.start_s, s.end_s) for s in found if s.label != "shot"]


CASES = {
    "a cut": (still(A, 1) + still(B, 1), [("cut", 1, 1)]),
    "a cut between two pans": (pan(3, 4) + pan(4, 4), [("cut", 1, 1)]),
    "a cut inside bars": ([letterboxed(p) for p in still(A, 1) + still(B, 1)], [("cut", 1, 1)]),
    "a cut with one blended picture": (still(A, 1) + mix(A, B, 1) + still(B, 1), [("cut", 1, 1)]),
    "one black picture between": ([*still(A, 1), BLACK, *still(B, 1)], [("cut", 1, 1)]),
    "a second of black between": (still(A, 1) + still(BLACK, 1) + still(B, 1), [("cut", 1, 1), ("cut", 2, 2)]),
    "a short shot and back": (still(A, 1) + still(B, 0.3) + still(A, 1), [("cut", 1, 1), ("cut", 1.3, 1.3)]),
    "a new shot after the first picture": ([A, *still(B, 1)], [("cut", 1 / 30, 1 / 30)]),
    "a flash": (still(A, 1) + [brighter(A, 150)] * 2 + still(A, 1), []),
    "a white flash": (still(A, 1) + [WHITE] * 5 + still(A, 1), []),
    "a flash that dies away": (still(A, 1) + [brighter(A, round(200 * 0.75**k)) for k in range(15)] + still(A, 1), []),
    "a cut in a white flash": (still(A, 1) + [WHITE] * 3 + still(B, 1), [("cut", 1, 1)]),
    "one stray picture": ([*still(A, 1), B, *still(A, 1)], []),
    "a light turned on": (still(A // 3, 1) + still(A, 1), []),
    "a light slowly turned up": (still(A // 3, 1) + mix(A // 3, A, 30) + still(A, 1), []),
    "a whip pan": ([WHIP[0]] * ONE_S + WHIP + [WHIP[-1]] * ONE_S, []),
    "a fast pan": (pan(5, 30), []),
    "a caption": (still(A, 1) + still(with_caption(A), 1), []),
    "a caption that fades in": (still(A, 1) + mix(A, with_caption(A), 12) + still(with_caption(A), 1), []),
    "a dissolve": (still(A, 1) + mix(A, B, 18) + still(B, 1), [("dissolve", 1, 1.6)]),
    "a dissolve of four pictures": (still(A, 1) + mix(A, B, 4) + still(B, 1), [("dissolve", 1, 1.133)]),
    "a dissolve of four seconds": (still(A, 1) + mix(A, B, 120) + still(B, 1), [("dissolve", 1, 5)]),
    "a dissolve inside bars": (
        [letterboxed(p) for p in still(A, 1) + mix(A, B, 18) + still(B, 1)],
        [("dissolve", 1, 1.6)],
    ),
    "a fade through black": (
        still(A, 1) + mix(A, BLACK, 20) + still(BLACK, 0.5) + mix(BLACK, B, 20) + still(B, 1),
        [("fade_out", 1, 1.667), ("fade_in", 2.167, 2.833)],
    ),
    "a fade through white": (
        still(A, 1) + mix(A, WHITE, 20) + mix(WHITE, B, 20) + still(B, 1),
        [("fade_out", 1, 1.667), ("fade_in", 1.667, 2.333)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_known_transitions(case: str) -> None:
    pictures, expected = CASES[case]
    found = transitions(pictures)
    assert [label for label, *_ in found] == [label for label, *_ in expected]
    for (label, *at_s), (_, *true_s) in zip(found, expected, strict=True):
        assert at_s == pytest.approx(true_s, abs=0.002 if label == "cut" else 0.08)


@pytest.mark.parametrize("fps", [5, 12.5, 59.94, 120])
def test_a_cut_is_on_its_frame_at_any_rate(fps: float) -> None:
    frames = round(fps)
    assert transitions([A] * frames + [B] * frames, fps) == [
        ("cut", pytest.approx(frames / fps, abs=1e-3), pytest.approx(frames / fps, abs=1e-3))
    ]


def shots_of(pictures: list[np.ndarray]) -> list[Segment]:
    return [s for s in CutAnalysis().analyze(synthetic_clip(pictures), {}).segments if s.label == "shot"]


def test_shots_fill_the_clip_and_name_what_opens_them() -> None:
    pictures = still(A, 1) + still(B, 1) + mix(B, A, 20) + still(A, 1) + mix(A, BLACK, 20) + mix(BLACK, B, 20)
    shots = shots_of(pictures + still(B, 1))
    assert [s.data["opens_with"] for s in shots] == ["start", "cut", "dissolve", "fade"]
    assert [s.data["index"] for s in shots] == [0, 1, 2, 3]
    assert [s.start_s for s in shots] == pytest.approx([0, 1, 2.333, 4.333], abs=0.07)
    assert [s.end_s for s in shots[:-1]] == [s.start_s for s in shots[1:]]
    assert shots[-1].end_s == pytest.approx(6, abs=1e-3)
    assert [s.data["end_frame"] for s in shots[:-1]] == [s.data["start_frame"] for s in shots[1:]]


@pytest.mark.parametrize("pictures", [[A], [BLACK] * 3, [A[:, :2]] * 10], ids=["one picture", "black", "2 px wide"])
def test_a_clip_without_cuts_is_one_shot(pictures: list[np.ndarray]) -> None:
    (shot,) = shots_of(pictures)
    assert (shot.start_s, shot.data["start_frame"], shot.data["end_frame"]) == (0, 0, len(pictures))


def test_track_peaks_at_the_cut() -> None:
    tracks = CutAnalysis().analyze(synthetic_clip(still(A, 1) + still(B, 1)), {}).tracks
    assert tracks["change_levels_times_s"][np.argmax(tracks["change_levels"])] == pytest.approx(1.0, abs=1e-3)


def test_the_sample() -> None:
    truth = sample_truth()
    found = CutAnalysis().analyze(sample_clip(), {}).segments
    frame_s = 1 / truth["fps"]
    assert [s.start_s for s in found if s.label == "cut"] == pytest.approx(truth["cuts_s"], abs=frame_s)
    dissolves = [[s.start_s, s.end_s] for s in found if s.label == "dissolve"]
    assert np.array(dissolves) == pytest.approx(np.array(truth["dissolves_s"]), abs=0.1)
    assert not [s for s in found if s.label.startswith("fade")]


REAL = [
    "asl_walk.mkv",
    "awesome_movie.mov",
    "big_buck_bunny_0_30.webm",
    "bikes.mp4",
    "car-detection.mp4",
    "emulator_270_rotated.mp4",
    "face_noface.mov",
    "friday.mp4",
    "hdr10-av1.mp4",
    "nasa_13013.mp4",
    "testvideo.mp4",
]


@pytest.mark.parametrize("name", REAL)
def test_real_clips(name: str) -> None:
    truth = shared_truth(f"video/{name}")
    clip = shared_clip(f"video/{name}")
    found = CutAnalysis().analyze(clip, {}).segments
    assert [s.start_s for s in found if s.label == "cut"] == pytest.approx(truth["cuts_s"], abs=1 / clip.fps)
    for label, key in (("dissolve", "dissolves_s"), ("fade_in", "fade_in_s"), ("fade_out", "fade_out_s")):
        spans = [[s.start_s, s.end_s] for s in found if s.label == label]
        assert len(spans) == len(truth.get(key, []))
        assert np.array(spans) == pytest.approx(np.array(truth.get(key, [])), abs=0.4)
