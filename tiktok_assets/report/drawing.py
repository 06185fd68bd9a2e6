"""What the report page draws: rows and curves as plain numbers and SVG paths, pictures as small JPEGs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from analyzers.clip import Clip
from tiktok_assets.report.wording import clock, number, split_unit

MAX_STACKED = 4
"""Rows a lane may have where segments overlap."""
MAX_DRAWN_SPANS = 1_000
CURVE_POINTS = 320
DB_RANGE = 60.0
"""What lies further below the highest level is drawn at the bottom, or silence would flatten all else."""
MAX_CURVES = 4
FILM_HEIGHT_PX = 72
FILM_WIDTH_PX = 760
"""Size of the strip of pictures on a wide screen; only how many pictures there are follows from it."""
CURVE_CHOICE = ("loudness", "level", "rms", "motion", "speed", "energy", "pace", "pitch", "brightness", "count")
"""Which of an analyzer's series stands in the timeline: the first of these that its name contains."""


@dataclass(frozen=True, slots=True)
class FilmPicture:
    """One picture of the strip above the timeline and the stretch that it stands for."""

    start_s: float
    end_s: float
    jpeg: bytes
    opens_shot: bool
    """Whether a shot begins with it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series over time, drawn in a field of 240 x 32."""

    title: str
    line: str
    area: str
    lowest: str
    highest: str


def film_strip(clip: Clip, report: Mapping[str, Any]) -> list[FilmPicture]:
    """Small pictures in even steps that never mix two shots; none for a clip without pictures.

    Args:
        clip: the decoded video.
        report: its report; shots are taken from cut_analysis where that has a result.
    """
    if not clip.has_video or not clip.video_end_s:
        return []
    found = report["analyzer_results"].get("cut_analysis", {}).get("segments", [])
    inner = sorted({s["start_s"] for s in found if s["label"] == "shot"})
    bounds = [0.0, *(t for t in inner if 0 < t < clip.video_end_s), clip.video_end_s]
    slots = min(28, max(5, round(FILM_WIDTH_PX / (FILM_HEIGHT_PX * clip.width / clip.height))))
    slot_s = clip.video_end_s / slots
    pictures = []
    for start_s, end_s in pairwise(bounds):
        count = max(1, round((end_s - start_s) / slot_s))
        edges = np.linspace(start_s, end_s, count + 1)
        for i, (a, b) in enumerate(pairwise(edges)):
            inside = np.flatnonzero((clip.frame_times_s >= a) & (clip.frame_times_s < b))
            nearest = inside[len(inside) // 2] if len(inside) else np.abs(clip.frame_times_s - (a + b) / 2).argmin()
            pictures.append(FilmPicture(float(a), float(b), _jpeg(clip.frames[nearest]), i == 0))
    return pictures if len(pictures) <= 3 * slots else _thinned(pictures, 3 * slots)


def _thinned(pictures: list[FilmPicture], count: int) -> list[FilmPicture]:
    """Every n-th picture, each standing for the ones left out after it."""
    kept = [pictures[i] for i in np.linspace(0, len(pictures) - 1, count).astype(int)]
    ends = [p.start_s for p in kept[1:]] + [pictures[-1].end_s]
    return [FilmPicture(p.start_s, end_s, p.jpeg, p.opens_shot) for p, end_s in zip(kept, ends, strict=True)]


def _jpeg(rgb: np.ndarray) -> bytes:
    from io import BytesIO

    from PIL import Image

    picture = Image.fromarray(np.asarray(rgb))
    picture.thumbnail((4 * FILM_HEIGHT_PX, 2 * FILM_HEIGHT_PX))
    out = BytesIO()
    picture.save(out, "JPEG", quality=72, optimize=True)
    return out.getvalue()


def ticks(duration_s: float) -> list[tuple[float, str]]:
    """Position in percent and text of at most 13 marks."""
    if not duration_s:
        return []
    steps_s = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
    step_s = next((s for s in steps_s if duration_s / s <= 12.5), duration_s / 12)
    digits = 0 if step_s >= 1 else 1
    return [
        (round(100 * i * step_s / duration_s, 3), clock(i * step_s, duration_s, digits))
        for i in range(int(duration_s / step_s + 1e-9) + 1)
    ]


def stacked(segments: Sequence[Mapping[str, Any]]) -> list[int]:
    """The row of each segment such that segments that overlap stand below each other, in at most `MAX_STACKED`."""
    free_from: list[float] = []
    rows = []
    for s in segments:
        row = next((i for i, end_s in enumerate(free_from) if end_s <= s["start_s"] + 1e-6), len(free_from))
        if row == MAX_STACKED:
            row = free_from.index(min(free_from))
        elif row == len(free_from):
            free_from.append(0.0)
        free_from[row] = max(free_from[row], s["end_s"])
        rows.append(row)
    return rows


def spans(segments: Iterable[Mapping[str, Any]], duration_s: float) -> str:
    """An SVG path, 1000 wide and 1 high, of where segments are; what lies within a thousandth is joined."""
    if not duration_s:
        return ""
    cells = np.zeros(MAX_DRAWN_SPANS + 1, bool)
    for s in segments:
        first = min(MAX_DRAWN_SPANS - 1, int(s["start_s"] / duration_s * MAX_DRAWN_SPANS))
        cells[first : max(first + 1, math.ceil(s["end_s"] / duration_s * MAX_DRAWN_SPANS))] = True
    cells[-1] = False
    edges = np.flatnonzero(np.diff(cells, prepend=False))
    return "".join(f"M{a} 0h{b - a}v1h-{b - a}z" for a, b in zip(edges[::2], edges[1::2], strict=True))


def palette(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The colours with shares in an analyzer's data, if it has such."""
    entries = data.get("palette")
    if not isinstance(entries, list):
        return []
    return [
        e
        for e in entries[:12]
        if isinstance(e, Mapping)
        and re.fullmatch(r"#[0-9a-fA-F]{6}", str(e.get("hex")))
        and isinstance(e.get("share"), (int, float))
        and 0 < e["share"] <= 1
    ]


def curves(tracks: Mapping[str, np.ndarray], duration_s: float) -> list[Curve]:
    """The series among an analyzer's tracks that have times, the one for the timeline first."""
    clocks = {k: np.asarray(v, float) for k, v in tracks.items() if k.endswith("times_s") and np.ndim(v) == 1}
    found = []
    for name, series in tracks.items():
        series = np.asarray(series)
        if name in clocks or series.ndim != 1 or series.dtype.kind not in "fiu" or len(series) < 3 or not duration_s:
            continue
        own = clocks.get(f"{name}_times_s")
        times_s = own if own is not None else next((c for c in clocks.values() if len(c) == len(series)), None)
        if times_s is not None and len(times_s) == len(series) and np.isfinite(series).sum() >= 3:
            found.append((name, times_s, series.astype(float)))

    def rank(entry: tuple[str, Any, Any]) -> int:
        return next((i for i, word in enumerate(CURVE_CHOICE) if word in entry[0]), len(CURVE_CHOICE))

    return [_curve(*entry, duration_s) for entry in sorted(found, key=rank)[:MAX_CURVES]]


def _curve(name: str, times_s: np.ndarray, series: np.ndarray, duration_s: float) -> Curve:
    """Not finite values are gaps in the line; a long series keeps the lowest and the highest value of each stretch."""
    title, unit = split_unit(name)
    good = np.isfinite(series)
    low, high = float(series[good].min()), float(series[good].max())
    cut_off = unit.startswith("dB") and high - low > DB_RANGE
    if cut_off:
        low = high - DB_RANGE
    elif name.endswith(("probability", "share")) and low >= 0 and high <= 1:
        low, high = 0.0, 1.0  # else the noise of a small one would look like a peak
    xs = np.clip(times_s / duration_s, 0, 1) * 240
    ys = 31 - 30 * (np.clip(series, low, high) - low) / ((high - low) or 1.0)
    line, area = [], []
    for run in np.split(np.arange(len(series)), np.flatnonzero(np.diff(good)) + 1):
        if not good[run[0]]:
            continue
        kept = _extremes(ys, run, max(2, CURVE_POINTS * len(run) // len(series)))
        points = [f"{xs[i]:.1f} {ys[i]:.1f}" for i in kept]
        line.append(f"M{'L'.join(points)}{'h0' * (len(kept) == 1)}")
        area.append(f"M{xs[kept[0]]:.1f} 32L{'L'.join(points)}L{xs[kept[-1]]:.1f} 32z")
    unit = f" {unit}" if unit else ""
    digits = 2 - math.floor(math.log10(max(abs(low), abs(high)) or 1.0))
    lowest, highest = (number(round(v, digits)) for v in (low, high))
    return Curve(title, "".join(line), "".join(area), f"{'≤ ' * cut_off}{lowest}{unit}", f"{highest}{unit}")


def _extremes(values: np.ndarray, run: np.ndarray, count: int) -> np.ndarray:
    """Indices of about `count` values of a run that keep its peaks: the lowest and the highest of equal stretches."""
    if len(run) <= count:
        return run
    stretches = np.array_split(run, count // 2)
    return np.unique([s[f(values[s])] for s in stretches for f in (np.argmin, np.argmax)])
