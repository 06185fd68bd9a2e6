"""Shots and what joins them: hard cuts, dissolves, fades in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analyzers.clip import Clip
from analyzers.common.blends import (
    Blend,
    filled_cells,
    find_blends,
    is_plain,
    picture_cells,
    rms,
    same_place,
    structure_correlation,
)
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

CUT_CELLS, BLEND_CELLS = 24, 12
"""Pictures are compared as grids of so many cells along the long side, so that small motion stays inside a cell. In the
time of a dissolve things move further than between two pictures."""


@dataclass
class CutAnalysis(Analyzer):
    """Finds hard cuts, dissolves and fades, and lists the shots between them.

    Hard cuts: PySceneDetect's AdaptiveDetector proposes, with a low threshold; a proposal stands when the picture,
    averaged to a coarse grid of Y'CbCr cells, changes at least twice as much as around it, and its structure changes
    too. Flashes and single stray pictures (the old picture comes back) are dropped; a black picture or a blended one
    between two shots makes one cut, at the first picture that is no longer the old shot.

    Dissolves and fades: every picture in a dissolve is a mixture of the picture before and the one after (Lienhart,
    "Reliable Transition Detection in Videos", 2001). Stretches where pictures lie on the line between those at their
    ends, and these differ all over, are dissolves; with a plain picture at one end they are fades.

    Segments, by start:
        "cut": no length, at the first picture of the new shot. data: frame, change_levels (root mean square over the
            grid, of 255), change_ratio (to the largest change around it), structure_correlation (-1..1), changed_share
            (part of the picture that changed more than around it, 0-1).
        "dissolve", "fade_in", "fade_out": from the first mixed picture to the first of the new shot. data:
            change_levels, residual (part of the change that no mixture explains, 0-1), plain_side ("black", "white",
            "plain"; fades only).
        "shot": data: index, start_frame, end_frame (exclusive), opens_with ("start", "cut", "dissolve", "fade"). Shots
            fill the clip without gaps; one that a dissolve or a fade through black joins ends in its middle.
    Confidence: of a cut, 1 - 1/change_ratio; of a dissolve or fade, 1 - residual; of a shot, none.
    Summary: shots, cuts, dissolves, fades, cuts_per_minute (cuts and dissolves), mean_shot_s, shortest_shot_s.
    Tracks: change_levels, the change of every picture against the one before (0 for the first).

    Never empty: a clip without a cut is one shot.
    What it gets wrong: it misses jump cuts that change little of the picture, cuts beside very fast motion, wipes, and
    dissolves in which things move by more than about a tenth of the frame; at 1 picture a second shots of one picture
    each are one shot; a light that is slowly turned on in a dark room reads as a fade in.
    """

    spec = AnalyzerSpec(
        name="cut_analysis",
        version="1",
        lane="gpu_worker_1",
        needs={Need.THUMBS},
        gives="cut, dissolve, fade in or out; the shots between them",
    )
    candidate_ratio: float = 2.0
    """AdaptiveDetector's threshold; its own default of 3 misses cuts beside fast motion."""
    candidate_content: float = 8.0
    """AdaptiveDetector's least content value."""
    cut_change_levels: float = 9.0
    cut_change_ratio: float = 2.0
    cut_max_correlation: float = 0.95
    """Above it the structure is the same: a change of light."""
    cut_jumped_share: float = 0.35
    """Below it only a part of the picture changed: a caption or sticker appeared."""
    blend_change_levels: float = 14.0
    blend_max_residual: float = 0.22

    def load(self) -> None:
        import cv2  # noqa: F401
        import scenedetect.detectors  # noqa: F401

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        import scenedetect

        thumbs, times_s = clip.thumbs, np.asarray(clip.times_s)
        cells = picture_cells(thumbs, CUT_CELLS)
        steps = np.concatenate([[0.0], rms(cells[1:], cells[:-1])])
        candidates = cut_candidates(thumbs, self.candidate_ratio, self.candidate_content)
        cuts = [cut for c in candidates if (cut := self._verified(c, candidates, cells, steps, times_s))]
        cuts = without_short_shots(without_flashes(cuts, cells, times_s), cells, times_s)
        blends = self._blends(thumbs, times_s, [c.frame for c in cuts])
        transitions = [_cut_segment(c, times_s) for c in cuts] + [_blend_segment(b, times_s) for b in blends]
        shots = _shots(cuts, blends, times_s, clip.video_end_s)
        lengths_s = [s.end_s - s.start_s for s in shots]
        dissolves = sum(b.label == "dissolve" for b in blends)
        return Analysis(
            segments=sorted([*transitions, *shots], key=lambda s: (s.start_s, s.label == "shot")),
            summary={
                "shots": len(shots),
                "cuts": len(cuts),
                "dissolves": dissolves,
                "fades": len(blends) - dissolves,
                "cuts_per_minute": round(60 * (len(cuts) + dissolves) / clip.video_end_s, 2),
                "mean_shot_s": round(float(np.mean(lengths_s)), 3),
                "shortest_shot_s": round(min(lengths_s), 3),
            },
            backend=f"PySceneDetect {scenedetect.__version__} AdaptiveDetector, checked on the arrays",
            tracks={"change_levels": steps.astype(np.float32), "change_levels_times_s": times_s.astype(np.float64)},
        )

    def _blends(self, thumbs: np.ndarray, times_s: np.ndarray, cut_frames: list[int]) -> list[Blend]:
        cells = picture_cells(thumbs, BLEND_CELLS)
        found = find_blends(cells, times_s, cut_frames, self.blend_change_levels, self.blend_max_residual)
        return [b for b in found if b.label != "dissolve" or not same_place(thumbs[b.start - 1], thumbs[b.end])]

    def _verified(
        self, frame: int, candidates: list[int], cells: np.ndarray, steps: np.ndarray, times_s: np.ndarray
    ) -> _Cut | None:
        near = [i for i in neighbours(frame, times_s) if i not in candidates]
        ratio = steps[frame] / max([0.1, *steps[near]])
        correlation = structure_correlation(cells[frame - 1], cells[frame])
        if steps[frame] < self.cut_change_levels or ratio < self.cut_change_ratio:
            return None
        if correlation > self.cut_max_correlation:
            return None
        jumped = jumped_share(cells, frame, near)
        return _Cut(frame, steps[frame], ratio, correlation, jumped) if jumped >= self.cut_jumped_share else None


@dataclass(frozen=True)
class _Cut:
    frame: int
    change_levels: float
    ratio: float
    correlation: float
    jumped: float


def jumped_share(cells: np.ndarray, frame: int, near: list[int]) -> float:
    """Share of the cells with something in them that change more at a frame than at those near it, 0-1."""
    before, after = cells[frame - 1], cells[frame]
    change = np.abs(after - before).max(axis=-1)
    usual = np.max([np.abs(cells[i] - cells[i - 1]).max(axis=-1) for i in near], axis=0) if near else 0.0
    return float((change > np.maximum(5.0, 1.5 * usual))[filled_cells(before, after)].mean())


def cut_candidates(thumbs: np.ndarray, ratio: float, content: float) -> list[int]:
    """Frames that PySceneDetect's AdaptiveDetector takes for the first of a new shot; `thumbs` is RGB uint8."""
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    detector = AdaptiveDetector(adaptive_threshold=ratio, min_scene_len=0, min_content_val=content)
    # It says nothing about the first and last pictures of what it is given, as many as its window is wide.
    pad = detector.window_width
    padded = [0] * pad + list(range(len(thumbs))) + [len(thumbs) - 1] * pad
    found = [
        at.frame_num - pad
        for i, frame in enumerate(padded)
        for at in detector.process_frame(FrameTimecode(i, 30.0), thumbs[frame][..., ::-1])
    ]
    return [frame for frame in found if 0 < frame < len(thumbs)]


def neighbours(frame: int, times_s: np.ndarray, within_s: float = 0.12, at_least: int = 3) -> list[int]:
    """Frames around one, in time and at least so many on each side, without itself and without the first."""
    low, high = np.searchsorted(times_s, [times_s[frame] - within_s, times_s[frame] + within_s])
    low, high = min(low, frame - at_least), max(high, frame + at_least + 1)
    return [i for i in range(max(1, low), min(high, len(times_s))) if i != frame]


def without_flashes(cuts: list[_Cut], cells: np.ndarray, times_s: np.ndarray, longest_s: float = 0.5) -> list[_Cut]:
    """Drop cuts after which the old picture comes back: from a flash, or after one or two stray pictures."""
    kept, skip_until = [], 0
    for cut in cuts:
        if cut.frame < skip_until:
            continue
        before, there = cells[cut.frame - 1], cells[cut.frame]
        brighter = abs(float(there[..., 0].mean() - before[..., 0].mean())) > 20
        flash = is_plain(there) or (brighter and abs(cut.correlation) > 0.4)
        last = int(np.searchsorted(times_s, times_s[cut.frame] + longest_s)) if flash else cut.frame + 3
        later = cells[cut.frame + 1 : last]
        again = rms(later, before[None]) < 0.4 * cut.change_levels
        back = [i for i in np.flatnonzero(again) if structure_correlation(later[i], before) > 0.8]
        if back:
            skip_until = cut.frame + 2 + int(back[0])
        else:
            kept.append(cut)
    return kept


def without_short_shots(
    cuts: list[_Cut], cells: np.ndarray, times_s: np.ndarray, shortest_s: float = 0.1, longest_black_s: float = 0.5
) -> list[_Cut]:
    """Make one cut of two with next to nothing between them: blended pictures, or black for at most half a second."""
    kept: list[_Cut] = []
    for cut in cuts:
        if kept:
            between = cells[kept[-1].frame : cut.frame]
            gap_s = times_s[cut.frame] - times_s[kept[-1].frame]
            plain = gap_s <= longest_black_s and all(is_plain(c) for c in between)
            if plain or (gap_s <= shortest_s and len(between) <= 2):
                continue
        kept.append(cut)
    return kept


def _cut_segment(cut: _Cut, times_s: np.ndarray) -> Segment:
    at_s = float(times_s[cut.frame])
    data = {
        "frame": cut.frame,
        "change_levels": round(float(cut.change_levels), 1),
        "change_ratio": round(float(min(cut.ratio, 999.0)), 1),
        "structure_correlation": round(cut.correlation, 2),
        "changed_share": round(cut.jumped, 2),
    }
    return Segment(at_s, at_s, "cut", round(float(1 - 1 / cut.ratio), 3), data=data)


def _blend_segment(blend: Blend, times_s: np.ndarray) -> Segment:
    data = {"change_levels": round(blend.change_levels, 1), "residual": round(blend.residual, 3)}
    if blend.plain_side:
        data["plain_side"] = blend.plain_side
    start_s, end_s = float(times_s[blend.start]), float(times_s[blend.end])
    return Segment(start_s, end_s, blend.label, round(1 - blend.residual, 3), data=data)


def _shots(cuts: list[_Cut], blends: list[Blend], times_s: np.ndarray, end_s: float) -> list[Segment]:
    opens = {0: "start"} | {c.frame: "cut" for c in cuts}
    opens |= {(b.start + b.end) // 2: "dissolve" for b in blends if b.label == "dissolve"}
    for out, into in pairwise(blends):
        joined = not any(out.end <= c.frame <= into.start for c in cuts)
        if joined and (out.label, into.label) == ("fade_out", "fade_in"):
            opens[(out.end + into.start) // 2] = "fade"
    frames = sorted(opens)
    return [
        Segment(
            float(times_s[first]),
            float(times_s[last]) if last < len(times_s) else end_s,
            "shot",
            data={"index": i, "start_frame": first, "end_frame": last, "opens_with": opens[first]},
        )
        for i, (first, last) in enumerate(pairwise([*frames, len(times_s)]))
    ]
