"""How fast a video feels over time: one pace curve from cuts, motion and sound, and its phases and jumps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import erf
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

HOP_S = 0.25
SPREAD_S = 0.75
"""Standard deviation of the window over which events and motion are averaged."""
WEIGHTS = {"cuts": 0.4, "motion": 0.35, "sound": 0.25}
"""What each part counts where it is known; the rest are scaled up where one is not."""
FULL_CUTS_PER_S = 1.0
FULL_ONSETS_PER_S = 6.0
STILL_LEVELS, FULL_MOTION_LEVELS = 1.0, 12.0
"""Mean change of brightness (0-255) between pictures 1/12 s apart: sensor noise, and a fast pan by hand."""
MOTION_STEP_S, MAX_STEP_S = 1 / 12, 0.26
"""Pictures are compared so far apart; farther than the second their difference says nothing about motion."""
MEDIUM, FAST = 0.22, 0.45
"""Pace from which a stretch is called medium and fast. A talking head without cuts stays below 0.2; quick montages over
music reach 0.5 and more."""
SHORTEST_S = 1.0
BURST_LEVELS = 8.0
JUMP_DB, JUMP_S = 12.0, 0.5


@dataclass
class TemporalFlow(Analyzer):
    """The pace of a video from cuts, motion and sound, and where it changes.

    How: after Adams, Dorai and Venkatesh, "Toward automatic extraction of expressive elements from motion pictures:
    Tempo" (IEEE Trans. Multimedia 4, 2002), who add shot changes and motion to one curve; sound is added here. Each
    part is averaged over a Gaussian window (0.75 s) and scaled to 0-1: cuts and dissolves, full at 1 a second; change
    of brightness between pictures 1/12 s apart and never across a cut, full at 12 levels of 255; onsets of sound, full
    at 6 a second. Pace is their weighted mean (0.4, 0.35, 0.25) over the parts that are known. The scale is fixed, so
    that videos compare; the weights are a convention, not a measurement of viewers.

    Segments. Phases, which fill the clip: "slow", "medium", "fast", with `data`: `pace` (mean, 0-1), `trend` ("rising",
    "falling", "steady"), `cuts` (count), `motion_levels` (mean) and `onsets_per_s`, both None where unknown. Events
    without length: "pace_up" and "pace_down" between phases (`from_pace`, `to_pace`), "motion_burst" (local
    peak; `motion_levels`), "sound_rise" and "sound_drop" (`change_db` within half a second).

    Summary: `pace_mean`, `pace_first_3s`, `pace_last_3s`, `trend`, `phases`, and `inputs`: for cuts, motion and sound
    "read", "none" (the video has no sound track, hence no onsets) or "missing" (could not be read; pace then stands on
    the rest). Tracks: `pace`, `motion_levels` with their times; NaN where unknown. Empty: a single picture.

    Gets wrong: speech counts as sound events like drums do; a subject that fills the picture moves as much as a camera;
    flicker of light is motion; below 4 pictures a second motion is unknown.
    """

    spec = AnalyzerSpec(
        name="temporal_flow",
        version="1",
        lane="cpu_parallel",
        needs={Need.LUMA},
        after=("cut_analysis",),
        uses=("audio_analysis",),
        gives="slow, medium or fast phases; jumps of pace, motion and sound",
    )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        if len(clip.times_s) < 2:
            return Analysis.nothing("a single picture has no pace", backend="numpy")
        cuts_s, blends_s = cut_times(results["cut_analysis"].segments)
        grid_s = np.arange(min(HOP_S, clip.duration_s) / 2, clip.duration_s, HOP_S)
        motion_times_s, motion = motion_curve(clip, cuts_s, blends_s)
        heard = results.get("audio_analysis")
        onsets_s = heard.tracks.get("onset_times_s", np.zeros(0)) if heard else None
        if not clip.has_audio:
            onsets_s = np.zeros(0)
        changes_s = np.sort(np.concatenate([cuts_s, *[[sum(b) / 2] for b in blends_s]]))
        parts = {
            "cuts": event_rate(changes_s, grid_s, clip.duration_s) / FULL_CUTS_PER_S,
            "motion": (smoothed(motion_times_s, motion, grid_s) - STILL_LEVELS) / (FULL_MOTION_LEVELS - STILL_LEVELS),
            "sound": (
                np.full(len(grid_s), np.nan)
                if onsets_s is None
                else event_rate(onsets_s, grid_s, clip.duration_s) / FULL_ONSETS_PER_S
            ),
        }
        pace = combined(parts)
        curves = _Curves(pace, changes_s, motion_times_s, motion, onsets_s, clip.duration_s)
        phases = [_phase(label, first, end, curves) for label, first, end in phases_of(pace)]
        events = [*_pace_events(phases), *_motion_bursts(motion_times_s, motion), *_sound_jumps(heard, clip)]
        segments = sorted([*phases, *events], key=lambda s: (s.start_s, s.end_s == s.start_s))
        inputs = {
            "cuts": "read",
            "motion": "read" if np.isfinite(motion).any() else "missing",
            "sound": "none" if not clip.has_audio else "read" if heard else "missing",
        }
        summary: dict[str, Any] = {
            "pace_mean": round(float(pace.mean()), 3),
            "pace_first_3s": round(float(pace[grid_s < 3].mean()), 3),
            "pace_last_3s": round(float(pace[grid_s >= min(clip.duration_s - 3, grid_s[-1])].mean()), 3),
            "trend": trend(pace),
            "phases": len(phases),
            "inputs": inputs,
        }
        tracks = {
            "pace": pace.astype(np.float32),
            "pace_times_s": grid_s,
            "motion_levels": motion.astype(np.float32),
            "motion_levels_times_s": motion_times_s,
        }
        return Analysis(segments, summary, backend="numpy", tracks=tracks)


def cut_times(segments: Sequence[Segment]) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Times of hard cuts, and from-to of dissolves and fades, out of what `cut_analysis` found."""
    cuts_s = np.array([s.start_s for s in segments if s.label == "cut"])
    return cuts_s, [(s.start_s, s.end_s) for s in segments if s.label in ("dissolve", "fade_in", "fade_out")]


def motion_curve(
    clip: Clip, cuts_s: np.ndarray, blends_s: Sequence[tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean change of brightness between pictures about 1/12 s apart, scaled to exactly that distance where they stand
    farther apart: (pairs,) times in seconds and levels 0-255, NaN across cuts, in dissolves and over long gaps."""
    times_s = np.asarray(clip.times_s)
    taken = [0]
    for i in range(1, len(times_s)):
        if times_s[i] - times_s[taken[-1]] >= MOTION_STEP_S - 1e-3:
            taken.append(i)
    if len(taken) < 2:
        taken = [0, len(times_s) - 1]
    middles_s, levels = [], []
    before = clip.luma[taken[0], ::2, ::2].astype(np.int16)
    for i, j in pairwise(taken):
        after = clip.luma[j, ::2, ::2].astype(np.int16)
        start_s, end_s = times_s[i], times_s[j]
        crossed = bool(((cuts_s > start_s) & (cuts_s <= end_s)).any())
        mixed = any(a < end_s and b > start_s for a, b in blends_s)
        known = not crossed and not mixed and 0 < end_s - start_s <= MAX_STEP_S
        level = float(np.abs(after - before).mean()) * min(1.0, MOTION_STEP_S / (end_s - start_s)) if known else np.nan
        middles_s.append((start_s + end_s) / 2)
        levels.append(level)
        before = after
    return np.array(middles_s), np.array(levels)


def event_rate(events_s: np.ndarray, grid_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Events per second around each time of the grid; at the ends of the clip over the part of the window inside."""
    left, right = (np.array([erf((t - g) / (SPREAD_S * 2**0.5)) for g in grid_s]) for t in (0.0, duration_s))
    inside = (right - left) / 2
    return _window(grid_s[:, None] - events_s).sum(axis=1) / np.maximum(inside, 1e-3)


def smoothed(times_s: np.ndarray, values: np.ndarray, grid_s: np.ndarray) -> np.ndarray:
    """Mean of the known values around each time of the grid; NaN where none is near."""
    known = np.isfinite(values)
    near = _window(grid_s[:, None] - times_s[known])
    weight = near.sum(axis=1)
    return np.where(weight > 0.05, (near * values[known]).sum(axis=1) / np.maximum(weight, 1e-9), np.nan)


def _window(distance_s: np.ndarray) -> np.ndarray:
    """Gaussian whose area over an unbounded axis is 1."""
    return np.exp(-0.5 * (distance_s / SPREAD_S) ** 2) / (SPREAD_S * np.sqrt(2 * np.pi))


def combined(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Weighted mean of the parts, each limited to 0-1, over those that are known at a time."""
    values = np.clip(np.stack([parts[name] for name in WEIGHTS]), 0, 1)
    weights = np.array(list(WEIGHTS.values()))[:, None] * np.isfinite(values)
    return np.nansum(values * weights, axis=0) / weights.sum(axis=0)


def phases_of(pace: np.ndarray) -> list[tuple[str, int, int]]:
    """Runs of one pace as (label, first, end) on the grid; those below a second join the neighbour nearest in pace."""
    names = np.where(pace >= FAST, "fast", np.where(pace >= MEDIUM, "medium", "slow"))
    runs: list[tuple[str, int, int]] = []
    for label, indices in groupby(range(len(pace)), key=lambda i: str(names[i])):
        run = list(indices)
        runs.append((label, run[0], run[-1] + 1))
    while len(runs) > 1:
        lengths = [end - first for _, first, end in runs]
        k = int(np.argmin(lengths))
        if lengths[k] * HOP_S >= SHORTEST_S:
            break
        means = [float(pace[first:end].mean()) for _, first, end in runs]
        near = min((n for n in (k - 1, k + 1) if 0 <= n < len(runs)), key=lambda n: abs(means[n] - means[k]))
        a, b = sorted((k, near))
        runs[a : b + 1] = [(runs[near][0], runs[a][1], runs[b][2])]
        runs = _joined(runs)
    return runs


def _joined(runs: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    joined = [runs[0]]
    for label, first, end in runs[1:]:
        if label == joined[-1][0]:
            joined[-1] = (label, joined[-1][1], end)
        else:
            joined.append((label, first, end))
    return joined


def trend(pace: np.ndarray) -> str:
    """ "rising" or "falling" if pace changes by 0.15 and more from the first third to the last, else "steady"."""
    third = max(1, len(pace) // 3)
    change = float(pace[-third:].mean() - pace[:third].mean())
    return "rising" if change >= 0.15 else "falling" if change <= -0.15 else "steady"


@dataclass(frozen=True)
class _Curves:
    pace: np.ndarray
    """On a grid of `HOP_S`."""
    changes_s: np.ndarray
    motion_times_s: np.ndarray
    motion: np.ndarray
    onsets_s: np.ndarray | None
    """None where the sound could not be read."""
    duration_s: float


def _phase(label: str, first: int, end: int, curves: _Curves) -> Segment:
    start_s = first * HOP_S
    end_s = curves.duration_s if end == len(curves.pace) else end * HOP_S

    def inside(times_s: np.ndarray) -> np.ndarray:
        return (times_s >= start_s) & (times_s < end_s)

    levels = curves.motion[inside(curves.motion_times_s) & np.isfinite(curves.motion)]
    onsets = None if curves.onsets_s is None else int(inside(curves.onsets_s).sum())
    data = {
        "pace": round(float(curves.pace[first:end].mean()), 3),
        "trend": trend(curves.pace[first:end]),
        "cuts": int(inside(curves.changes_s).sum()),
        "motion_levels": round(float(levels.mean()), 2) if len(levels) else None,
        "onsets_per_s": None if onsets is None else round(onsets / (end_s - start_s), 2),
    }
    return Segment(start_s, end_s, label, None, None, data)


def _pace_events(phases: Sequence[Segment]) -> list[Segment]:
    events = []
    for a, b in pairwise(phases):
        before, after = a.data["pace"], b.data["pace"]
        label = "pace_up" if after > before else "pace_down"
        events.append(Segment(b.start_s, b.start_s, label, None, None, {"from_pace": before, "to_pace": after}))
    return events


def _motion_bursts(times_s: np.ndarray, motion: np.ndarray) -> list[Segment]:
    """Peaks of motion: high, twice the clip's median, and the highest within a second."""
    known = np.isfinite(motion)
    if not known.any():
        return []
    least = max(BURST_LEVELS, 2 * float(np.median(motion[known])))
    return [
        Segment(float(time_s), float(time_s), "motion_burst", None, None, {"motion_levels": round(float(level), 2)})
        for time_s, level in peaks(times_s[known], motion[known], least)
    ]


def peaks(times_s: np.ndarray, values: np.ndarray, least: float) -> list[tuple[float, float]]:
    """(time_s, value) of the values from `least` on that are the largest within a second, by time; of equal ones the
    first."""
    found: list[tuple[float, float]] = []
    for i in sorted(np.flatnonzero(values >= least), key=lambda i: (-values[i], i)):
        if all(abs(times_s[i] - time_s) > 1.0 for time_s, _ in found):
            found.append((float(times_s[i]), float(values[i])))
    return sorted(found)


def _sound_jumps(heard: Analysis | None, clip: Clip) -> list[Segment]:
    """Steps of the sound level between the half seconds before and after a time, the largest within a second."""
    if heard is None or "level_dbfs" not in heard.tracks:
        return []
    times_s = np.asarray(heard.tracks["level_dbfs_times_s"])
    power = 10 ** (np.maximum(np.asarray(heard.tracks["level_dbfs"], np.float64), -60) / 10)
    at_s = np.arange(JUMP_S, min(clip.duration_s, float(times_s[-1])) - JUMP_S, 0.05)
    total = np.concatenate([[0.0], np.cumsum(power)])
    left, middle, right = (np.searchsorted(times_s, at_s + d) for d in (-JUMP_S, 0.0, JUMP_S))
    before = (total[middle] - total[left]) / np.maximum(middle - left, 1)
    after = (total[right] - total[middle]) / np.maximum(right - middle, 1)
    change_db = 10 * np.log10(np.maximum(after, 1e-6) / np.maximum(before, 1e-6))
    jumps = peaks(at_s, np.round(np.abs(change_db), 1), JUMP_DB)
    return [
        Segment(
            round(time_s, 3), round(time_s, 3), "sound_rise" if up > 0 else "sound_drop", None, None, {"change_db": up}
        )
        for time_s, up in ((t, round(float(change_db[np.argmin(np.abs(at_s - t))]), 1)) for t, _ in jumps)
    ]
