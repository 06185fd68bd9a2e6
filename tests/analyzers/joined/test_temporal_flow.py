"""Pace of clips whose cuts, motion and clicks are known; then of real ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from analyzers.contract import Analysis
from analyzers.joined.temporal_flow import combined, event_rate, phases_of, trend
from tests.media import run_analyzer, sample_clip, shared_clip, still, synthetic_clip, texture

FPS = 20.0


def clicks(seconds: float, per_s: float, hz: int = 48_000) -> np.ndarray:
    """A decaying 1 kHz click so many times a second."""
    sound = np.zeros(round(seconds * hz), np.float32)
    t = np.arange(round(0.05 * hz)) / hz
    click = (0.5 * np.sin(2 * np.pi * 1000 * t) * np.exp(-t / 0.01)).astype(np.float32)
    for at in np.arange(0.1, seconds - 0.1, 1 / per_s):
        sound[round(at * hz) : round(at * hz) + len(click)] += click
    return sound


def shots(count: int, each_s: float) -> list[np.ndarray]:
    return [frame for i in range(count) for frame in still(texture(180, 320, seed=i, scale_px=40), each_s, FPS)]


def measured(clip: object) -> Analysis:
    outcome = run_analyzer("temporal_flow", clip)
    assert outcome.status == "ok", outcome.reason
    assert outcome.analysis is not None
    return outcome.analysis


def phases(analysis: Analysis) -> list:
    return [s for s in analysis.segments if s.label in ("slow", "medium", "fast")]


def test_a_calm_opening_and_a_quick_montage_are_two_phases():
    flow = measured(synthetic_clip([*shots(1, 4), *shots(12, 0.5)], FPS, clicks(10, 5)))
    found = phases(flow)
    assert found[0].label != "fast"
    assert found[-1].label == "fast"
    assert found[-1].data["cuts"] >= 10
    assert flow.summary["trend"] == "rising"
    up = [s for s in flow.segments if s.label == "pace_up"]
    assert up[-1].start_s == pytest.approx(4.0, abs=0.8)
    assert up[-1].start_s == up[-1].end_s


def test_phases_fill_the_clip_without_gaps():
    flow = measured(shared_clip("video/bikes.mp4"))
    found = phases(flow)
    assert found[0].start_s == 0
    assert found[-1].end_s == pytest.approx(10.0, abs=0.01)
    assert all(a.end_s == b.start_s for a, b in pairwise(found))


def test_motion_makes_pace_and_cuts_do_not_count_as_motion():
    wide = texture(180, 320 + 6 * 80, scale_px=20)
    pan = [wide[:, 6 * i : 6 * i + 320] for i in range(80)]
    moving = phases(measured(synthetic_clip(pan, FPS)))
    cutting = phases(measured(synthetic_clip(shots(4, 1.0), FPS)))
    assert moving[0].data["motion_levels"] > 8
    assert max(p.data["motion_levels"] for p in cutting) < 1
    assert sum(p.data["cuts"] for p in cutting) == 3


def test_a_jump_of_loudness_is_an_event():
    quiet, loud = clicks(2, 4) * 0.03, clicks(2, 4)
    flow = measured(synthetic_clip(shots(1, 4), FPS, np.concatenate([quiet, loud])))
    rises = [s for s in flow.segments if s.label == "sound_rise"]
    assert len(rises) == 1
    assert rises[0].start_s == pytest.approx(2.0, abs=0.35)
    assert rises[0].data["change_db"] > 20


def test_a_still_silent_clip_is_slow_and_says_that_it_has_no_sound():
    flow = measured(synthetic_clip(shots(1, 2), FPS))
    assert [p.label for p in phases(flow)] == ["slow"]
    assert flow.summary["inputs"] == {"cuts": "read", "motion": "read", "sound": "none"}


def test_motion_at_one_picture_a_second_is_unknown_not_none():
    flow = measured(synthetic_clip([texture(90, 160, seed=0)] * 4, 1.0))
    assert flow.summary["inputs"]["motion"] == "missing"
    assert phases(flow)[0].data["motion_levels"] is None


def test_a_single_picture_has_no_pace():
    outcome = run_analyzer("temporal_flow", synthetic_clip([texture(90, 160)], FPS))
    assert outcome.status == "no_signal"
    assert "single picture" in str(outcome.reason)


def test_event_rate_is_right_in_the_middle_and_at_the_ends():
    grid_s = np.arange(0.125, 10, 0.25)
    rate = event_rate(np.arange(0.05, 10, 0.1), grid_s, 10.0)
    assert rate == pytest.approx(np.full(len(grid_s), 10.0), rel=0.02)


def test_unknown_parts_do_not_pull_pace_down():
    nothing = np.full(3, np.nan)
    full = np.ones(3)
    assert combined({"cuts": full, "motion": nothing, "sound": nothing}) == pytest.approx(full)


def test_short_runs_join_a_neighbour():
    pace = np.array([0.1] * 8 + [0.5] * 2 + [0.1] * 8)
    assert [(label, first, end) for label, first, end in phases_of(pace)] == [("slow", 0, 18)]


@pytest.mark.parametrize(
    ("pace", "name"), [([0.1, 0.2, 0.6], "rising"), ([0.6, 0.3, 0.1], "falling"), ([0.3] * 3, "steady")]
)
def test_trend(pace, name):
    assert trend(np.array(pace)) == name


def test_traffic_montage_is_faster_than_a_talking_head_and_the_sample_ends_in_silence():
    bikes, talk = measured(shared_clip("video/bikes.mp4")), measured(shared_clip("video/grid_bbaf2n.mpg"))
    assert bikes.summary["pace_mean"] > 2 * talk.summary["pace_mean"]
    drops = [s for s in measured(sample_clip()).segments if s.label == "sound_drop"]
    assert drops[-1].start_s == pytest.approx(11.0, abs=0.2)
