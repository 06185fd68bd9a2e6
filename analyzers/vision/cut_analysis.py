"""Shots and what joins them: hard cuts, dissolves, fades in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analyzers.clip import Clip
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

CUT_CELLS, BLEND_CELLS = 24, 12
"""Pictures are compared as grids of so many cells along the long side, so that small motion stays inside a cell. In the
time of a dissolve things move further than between two pictures."""
BLACK_LEVEL = 16.0
"""Studio black (ITU-R BT.601/709 puts black at 16 of 255)."""


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
        "dissolve", "fade_in", "fade_out": from the first mixed picture to the first of the new shot. data: change_levels, residual (part
            of the change that no mixture explains, 0-1), plain_side ("black", "white", "plain"; fades only).
        "shot": data: index, start_frame, end_frame (exclusive), opens_with ("start", "cut", "dissolve", "fade"). Shots
            fill the clip without gaps; one that a dissolve or a fade through black joins ends in its middle.
    Confidence: of a cut, 1 - 1/change_ratio; of a dissolve or fade, 1 - residual; of a shot, none.
    Summary: shots, cuts, dissolves, fades, cuts_per_minute (cuts and dissolves), mean_shot_s, shortest_shot_s.
    Tracks: change_levels, the change of every picture against the one before (0 for the first).

    Never empty: a clip without a cut is one shot.
    What it gets wrong: jump cuts that change little of the picture are missed, as are cuts between two shots that both
    move very fast and wipes; a light that is slowly turned on in a dark room reads as a fade in.
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
        blends = [
            b
            for b in find_blends(
                picture_cells(thumbs, BLEND_CELLS),
                times_s,
                [c.frame for c in cuts],
                self.blend_change_levels,
                self.blend_max_residual,
            )
            if b.label != "dissolve" or not same_place(thumbs[b.start], thumbs[b.end])
        ]
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


@dataclass(frozen=True)
class Blend:
    """A dissolve or fade: `start` is its first mixed picture, `end` the first picture of the new shot."""

    label: str
    start: int
    end: int
    change_levels: float
    residual: float
    plain_side: str | None


def picture_cells(thumbs: np.ndarray, long_side: int) -> np.ndarray:
    """Coarse Y'CbCr grids of pictures: (pictures, rows, columns, 3) float32, 0-255; `thumbs` is RGB uint8."""
    import cv2

    height, width = thumbs.shape[1:3]
    scale = min(1.0, long_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    cells = np.empty((len(thumbs), size[1], size[0], 3), np.float32)
    for i, picture in enumerate(thumbs):
        small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
        cells[i] = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)
    return cells


def rms(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square difference of grids along all but the first axis: (pictures,) in levels of 255."""
    return np.sqrt(np.square(a - b).mean(axis=(1, 2, 3)))


def structure_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the brightness of two grids, -1..1; blind to overall brightness and contrast; 0 for plain ones."""
    x, y = (g[..., 0].ravel() - g[..., 0].mean() for g in (a, b))
    return float(x @ y / (np.sqrt((x @ x) * (y @ y)) + 1e-3))


def is_plain(cells: np.ndarray) -> bool:
    """Whether a picture shows nothing: one colour but for a few small marks such as a watermark."""
    low, high = np.percentile(cells[..., 0], (5, 95))
    return bool(high - low < 14)


def jumped_share(cells: np.ndarray, frame: int, near: list[int]) -> float:
    """Share of the cells with something in them that change more at a frame than at those near it, 0-1.

    Plain cells are left out: bars around a picture do not change at a cut.
    """
    before, after = cells[frame - 1], cells[frame]
    change = np.abs(after - before).max(axis=-1)
    usual = np.max([np.abs(cells[i] - cells[i - 1]).max(axis=-1) for i in near], axis=0) if near else 0.0
    filled = np.zeros(change.shape, bool)
    for picture in (before, after):
        y = np.pad(picture[..., 0], 1, mode="edge")
        corners = np.stack([y[:-2, 1:-1], y[2:, 1:-1], y[1:-1, :-2], y[1:-1, 2:]])
        filled |= np.ptp(corners, axis=0) > 4
    jumped = change > np.maximum(5.0, 1.5 * usual)
    return float(jumped[filled].mean() if filled.mean() > 0.02 else jumped.mean())


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


def same_place(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two RGB pictures show one scene that moved by up to a quarter of the frame, or under another light."""
    import cv2

    luma, later = (cv2.cvtColor(np.ascontiguousarray(p), cv2.COLOR_RGB2GRAY) for p in (before, after))
    height, width = luma.shape
    middle = later[height // 4 : height - height // 4, width // 4 : width - width // 4]
    if cv2.matchTemplate(luma, middle, cv2.TM_CCOEFF_NORMED).max() > 0.7:
        return True
    cells = picture_cells(np.stack([before, after]), CUT_CELLS)
    chroma = float(np.sqrt(np.square(cells[0, ..., 1:] - cells[1, ..., 1:]).mean()))
    x, y = (c[..., 0].ravel() - c[..., 0].mean() for c in cells)
    contrast_lost = 1 - structure_correlation(*cells) ** 2
    unexplained = float(np.sqrt(contrast_lost * min((x @ x), (y @ y)) / len(x)))
    return max(unexplained, chroma) < 12


def find_blends(
    cells: np.ndarray, times_s: np.ndarray, cut_frames: list[int], least_change_levels: float, max_residual: float
) -> list[Blend]:
    """Dissolves and fades between cuts, in time order, none overlapping."""
    frames_per_s = (len(times_s) - 1) / max(times_s[-1], 1e-3)
    stride = max(1, round(frames_per_s / 15))
    found: list[Blend] = []
    for first, end in pairwise([0, *cut_frames, len(cells)]):
        windows = _blend_windows(cells[first:end:stride], frames_per_s / stride, least_change_levels, max_residual)
        for start, stop in windows:
            edges = blend_edges(cells[first:end], start * stride, min(stop * stride, end - first - 1))
            blend = _as_blend(cells[first:end], *edges, first, least_change_levels, max_residual)
            if blend and all(blend.start >= f.end or blend.end <= f.start for f in found):
                found.append(blend)
    return sorted(found, key=lambda b: b.start)


def _blend_windows(
    cells: np.ndarray, frames_per_s: float, least_change_levels: float, max_residual: float
) -> list[tuple[int, int]]:
    """Windows whose inner pictures lie on the line between the outer ones, best first: (first, last) in frames."""
    flat = cells.reshape(len(cells), -1)
    scored: list[tuple[float, int, int]] = []
    for length_s in (0.27, 0.4, 0.7, 1.1, 1.7, 2.5):
        half = max(2, round(length_s * frames_per_s / 2))
        if len(flat) <= 2 * half:
            break
        before, after = flat[: -2 * half], flat[2 * half :]
        change = np.sqrt(np.square(after - before).mean(1))
        worst, shares = np.zeros(len(before)), []
        for at in (half - half // 2, half, half + half // 2):
            inner = flat[at : at + len(before)] - before
            share = (inner * (after - before)).mean(1) / np.maximum(change, 1e-3) ** 2
            left = np.sqrt(np.square(inner - share[:, None] * (after - before)).mean(1))
            worst = np.maximum(worst, left / np.maximum(change, 1e-3))
            shares.append(share)
        rising = (shares[0] < shares[1]) & (shares[1] < shares[2]) & (shares[0] < 0.8) & (shares[2] > 0.2)
        good = rising & (worst < max_residual) & (change >= least_change_levels)
        scored += [(float(change[i] * (1 - 2 * worst[i])), int(i), int(i + 2 * half)) for i in np.flatnonzero(good)]
    best: list[tuple[int, int]] = []
    for _, start, stop in sorted(scored, reverse=True):
        if all(stop <= s or start >= e for s, e in best):
            best.append((start, stop))
    return best


def blend_edges(cells: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """The last picture of the old shot and the first of the new one around a window of mixed pictures.

    Goes as far as pictures keep moving along the line between the window's ends. The rate of that movement is smoothed
    over three pictures, which adds one at each end; it is taken off again.
    """
    flat = cells.reshape(len(cells), -1)
    line = flat[stop] - flat[start]
    share = (flat - flat[start]) @ line / max(float(line @ line), 1e-6)
    low = start + int(np.argmax(share[start : stop + 1] > 0.2))
    high = stop - int(np.argmax(share[start : stop + 1][::-1] < 0.8))
    rate = np.convolve(np.diff(share, prepend=share[0]), np.ones(3) / 3, mode="same")
    slow = 0.1 * max((share[high] - share[low]) / max(high - low, 1), 1e-6)
    while low > 0 and rate[low] > slow:
        low -= 1
    while high < len(flat) - 1 and rate[high + 1] > slow:
        high += 1
    return low + 1, high - 1


def _as_blend(
    cells: np.ndarray, low: int, high: int, offset: int, least_change_levels: float, max_residual: float
) -> Blend | None:
    """The blend from the last picture of the old shot to the first of the new one, if it holds there as well."""
    if high - low < 3:
        return None
    before, after = cells[low], cells[high]
    line = after - before
    change = float(rms(after[None], before[None])[0])
    moved = float((np.abs(line).max(axis=-1) > 8).mean())
    inner = cells[low + 1 : high] - before
    share = (inner * line).mean(axis=(1, 2, 3)) / max(change**2, 1e-6)
    residual = float(np.sqrt(np.square(inner - share[:, None, None, None] * line).mean()) / max(change, 1e-3))
    plain = [is_plain(before), is_plain(after)]
    if change < least_change_levels or residual > max_residual or moved < 0.5 or all(plain):
        return None
    if not any(plain) and structure_correlation(before, after) > 0.7:
        return None
    label = "fade_in" if plain[0] else "fade_out" if plain[1] else "dissolve"
    side = before if plain[0] else after if plain[1] else None
    return Blend(label, low + 1 + offset, high + offset, change, residual, None if side is None else _plain_name(side))


def _plain_name(cells: np.ndarray) -> str:
    level = float(np.median(cells[..., 0]))
    return "black" if level <= BLACK_LEVEL else "white" if level >= 255 - BLACK_LEVEL else "plain"


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
        if (out.label, into.label) == ("fade_out", "fade_in") and not any(out.end <= c.frame <= into.start for c in cuts):
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
