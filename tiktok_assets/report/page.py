"""The report page: one self-contained HTML file per video, drawn from report.json; the video lies beside it.

Everything a video or a site can put into a report is hostile here: the template escapes all of it, the page's policy
forbids the network and any script but its own, and long texts and lists are cut, visibly.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.clip import Clip
from analyzers.contract import STATUSES, SUCCESS

MAX_PAGE_BYTES = 1_400_000
"""A page that would be larger shows fewer segments; report.json has them all."""
SEGMENT_CAPS = (120, 60, 30, 12, 4)
"""Segments per analyzer that can be clicked, and rows per table; the first that keeps the page small enough."""
MAX_TEXT_CHARACTERS = 600
MAX_SUMMARY_VALUES = 24
MAX_STACKED = 4
"""Rows a lane may have where segments overlap."""
MAX_DRAWN_SPANS = 1_000
CURVE_POINTS = 240
MAX_CURVES = 4
MAX_HITS = 2_500
FILM_HEIGHT_PX = 72
FILM_WIDTH_PX = 760
"""Size of the strip of pictures on a wide screen; only how many pictures there are follows from it."""

FAMILIES = {
    "vision": "Vision",
    "people": "People",
    "sound": "Sound",
    "speech": "Speech",
    "language": "Language",
    "joined": "Joined",
    "other": "Other",
}
"""Folders of analyzers and what the page calls them, in its order."""
STATUS_WORDS = {
    "ok": "found",
    "no_signal": "nothing there",
    "weights_missing": "model missing",
    "upstream_missing": "not possible",
    "failed": "failed",
}
STATUS_COUNTS = {
    "ok": "found something",
    "no_signal": "found nothing of their kind",
    "weights_missing": "lack a model",
    "upstream_missing": "lack what they build on",
    "failed": "failed",
}
TEXT_KINDS = {
    "speech_transcription": "said",
    "text_overlay": "on screen",
    "qwen2_vl_temporal": "seen",
    "comment_cta_detection": "call to action",
}
TEXT_FIELDS = ("text", "quote", "description", "caption")
"""Where a segment's data may hold words for people, best first."""
CURVE_CHOICE = ("loudness", "level", "rms", "motion", "speed", "energy", "pace", "pitch", "brightness", "count")
"""Which of an analyzer's series stands in the timeline: the first of these that its name contains."""
UNITS = {
    "per_s": "/s",
    "bpm": "BPM",
    "dbfs": "dBFS",
    "db": "dB",
    "lufs": "LUFS",
    "khz": "kHz",
    "hz": "Hz",
    "px": "px",
    "deg": "°",
    "ms": "ms",
    "wpm": "words/min",
    "fps": "per s",
    "bytes": "bytes",
    "pct": "%",
    "s": "s",
}
"""How a name's last part tells the unit."""
WORDS = {"vl": "VL", "cta": "CTA", "qwen2": "Qwen2", "ocr": "OCR", "bpm": "BPM", "id": "ID"}


@dataclass(frozen=True, slots=True)
class FilmPicture:
    """One picture of the strip above the timeline and the stretch that it stands for."""

    start_s: float
    end_s: float
    jpeg: bytes
    opens_shot: bool
    """Whether a shot begins with it."""


def render_page(
    report: Mapping[str, Any],
    tracks: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    thumbnail: bytes | None = None,
    film: Sequence[FilmPicture] = (),
) -> str:
    """The page of one video, complete in itself but for the video file.

    Args:
        report: as report.schema.json describes it.
        tracks: per-frame series by analyzer; drawn as curves where a `*times_s` array of the same length is there.
            Arrays (hits, 6) of track, x0, y0, x1, y1, score become boxes over the picture.
        thumbnail: a JPEG that is shown until the video plays.
        film: pictures from `film_strip`.

    Returns:
        HTML below `MAX_PAGE_BYTES` for anything but absurd input: as few segments of each analyzer are listed as that takes.
    """
    report = cleaned(report)
    html = ""
    for cap in SEGMENT_CAPS:
        html = _render(report, tracks or {}, thumbnail, film, cap)
        if len(html.encode()) <= MAX_PAGE_BYTES:
            break
    return html


def film_strip(clip: Clip, report: Mapping[str, Any]) -> list[FilmPicture]:
    """Small pictures in even steps that never mix two shots; none for a clip without pictures.

    Args:
        clip: the decoded video.
        report: its report; shots are taken from cut_analysis where that has a result.
    """
    if not clip.has_video or not clip.video_end_s:
        return []
    cuts = report["analyzer_results"].get("cut_analysis", {}).get("segments", [])
    inner = sorted({(c["start_s"] + c["end_s"]) / 2 for c in cuts})
    bounds = [0.0, *(t for t in inner if 0 < t < clip.video_end_s), clip.video_end_s]
    slots = min(28, max(5, round(FILM_WIDTH_PX / (FILM_HEIGHT_PX * clip.width / clip.height))))
    slot_s = clip.video_end_s / slots
    pictures = []
    for start_s, end_s in zip(bounds, bounds[1:], strict=False):
        count = max(1, round((end_s - start_s) / slot_s))
        edges = np.linspace(start_s, end_s, count + 1)
        for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False)):
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


def cleaned(value: Any) -> Any:
    """The same with every text printable and short: lone surrogates and control characters replaced, long ends cut."""
    if isinstance(value, str):
        text = value if len(value) <= MAX_TEXT_CHARACTERS else value[:MAX_TEXT_CHARACTERS].rstrip() + "…"
        return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    if isinstance(value, Mapping):
        return {cleaned(str(k)): cleaned(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(v) for v in value]
    return value


def _render(
    report: Mapping[str, Any],
    tracks: Mapping[str, Mapping[str, np.ndarray]],
    thumbnail: bytes | None,
    film: Sequence[FilmPicture],
    cap: int,
) -> str:
    meta = report["metadata"]
    results = report["analyzer_results"]
    ends = [s["end_s"] for r in results.values() for s in r["segments"]]
    duration_s = meta["duration_s"] or max(ends, default=0.0)
    parts = [Part.of(name, result, tracks.get(name, {}), duration_s, cap) for name, result in results.items()]
    order = list(FAMILIES)
    parts.sort(key=lambda p: order.index(p.family))
    template, css, js = _sources()
    counts = {s: sum(r["status"] == s for r in results.values()) for s in STATUSES}
    data = {
        "duration_s": duration_s,
        "fps": meta["fps"],
        "hits": {p.name: hits for p in parts if (hits := box_hits(tracks.get(p.name, {})))},
    }
    return template.render(
        title=meta["title"] or meta["video_key"],
        meta=meta,
        link=next((u for u in (meta["webpage_url"], meta["source"]) if is_web_address(u)), None),
        date=readable_date(meta["upload_date"]),
        facts=facts(report),
        counts=[(s, n, STATUS_COUNTS[s]) for s, n in counts.items() if n],
        duration_s=duration_s,
        shape=shape(meta),
        video=video_address(meta["video_path"]),
        has_pictures=bool(meta["width"]),
        poster=data_uri(thumbnail) if thumbnail and len(thumbnail) < 200_000 else None,
        film=[_film_cell(f, duration_s) for f in film] if duration_s else [],
        ticks=ticks(duration_s),
        families=[(f, FAMILIES[f], [p for p in parts if p.family == f]) for f in order if any(p.family == f for p in parts)],
        parts=parts,
        texts=_texts(parts, results, duration_s, 3 * cap),
        status_words=STATUS_WORDS,
        success=SUCCESS,
        data=data,
        css=Markup(css),
        js=Markup(js),
        policy="; ".join(
            (
                "default-src 'none'",
                "media-src 'self'",
                "img-src data:",
                "style-src 'unsafe-inline'",
                f"script-src 'sha256-{base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()}'",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
    )


@cache
def _sources() -> tuple[jinja2.Template, str, str]:
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "clock": clock}
    css, js = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    return environment.get_template("page.html"), css, js


@dataclass(frozen=True, slots=True)
class Bar:
    """A segment as the timeline and the table show it."""

    index: int
    start_s: float
    end_s: float
    left_pct: float
    width_pct: float
    row: int
    text: str
    when: str
    sure: str
    strength_pct: int
    """How strongly it is coloured: more where the analyzer is surer."""
    detail: str
    box: str | None
    colors: list[tuple[str, float, float]]
    """Hex colour, left and width in percent of the bar, for a palette."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series over time, drawn in a field of 240 x 32."""

    title: str
    line: str
    area: str
    lowest: str
    highest: str


@dataclass(frozen=True, slots=True)
class Part:
    """One analyzer on the page."""

    name: str
    title: str
    family: str
    gives: str
    result: Mapping[str, Any]
    total: int
    bars: list[Bar]
    """Segments that can be clicked: the first ones where there are too many."""
    all_spans: str | None
    """An SVG path of all segments, where there are too many to click."""
    rows: int
    values: list[tuple[str, str]]
    palette: list[tuple[str, str, str]]
    """Colour, name and share of the whole video."""
    curves: list[Curve] = field(default_factory=list)

    @classmethod
    def of(
        cls, name: str, result: Mapping[str, Any], tracks: Mapping[str, np.ndarray], duration_s: float, cap: int
    ) -> Part:
        segments = result["segments"]
        rows = stacked(segments[:cap])
        return cls(
            name=name,
            title=title_of(name),
            family=family_of(name),
            gives=analyzer_class(name).spec.gives if name in CATALOGUE else "",
            result=result,
            total=len(segments),
            bars=[_bar(i, s, row, duration_s) for i, (s, row) in enumerate(zip(segments[:cap], rows, strict=True))],
            all_spans=spans(segments, duration_s) if len(segments) > cap else None,
            rows=max(rows, default=0) + 1,
            values=values(result["summary"]),
            palette=[(c["hex"], str(c.get("name", c["hex"])), number(c["share"] * 100, 3)) for c in palette(result["summary"])],
            curves=curves(tracks, duration_s),
        )


def family_of(name: str) -> str:
    """The folder that an analyzer of the catalogue lies in; "other" for one that the catalogue no longer has."""
    parts = CATALOGUE.get(name, "").split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FAMILIES else "other"


def title_of(name: str) -> str:
    """ "comment_cta_detection" -> "Comment CTA detection"."""
    text = " ".join(WORDS.get(w, w) for w in name.split("_"))
    return text[:1].upper() + text[1:]


def is_web_address(value: str | None) -> bool:
    return bool(value) and str(value).lower().startswith(("http://", "https://"))


def video_address(name: str | None) -> str | None:
    """A relative address of a file beside the page, whatever its name."""
    return f"./{quote(name.encode('utf-8', 'replace'), safe='')}" if name else None


def data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def readable_date(yyyymmdd: str | None) -> str | None:
    """ "20250131" -> "2025-01-31"; anything else as it is."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", yyyymmdd or "")
    return "-".join(found.groups()) if found else yyyymmdd


def shape(meta: Mapping[str, Any]) -> str:
    """ "portrait", "landscape" or "sound": how much room the player needs."""
    if not meta["width"] or not meta["height"]:
        return "sound"
    return "portrait" if meta["width"] < 1.1 * meta["height"] else "landscape"


def number(value: float, digits: int = 4) -> str:
    """A number for people: `digits` significant ones, thousands apart, a true minus sign; "–" if it is none."""
    if not math.isfinite(value):
        return "–"
    if isinstance(value, int) or abs(value) >= 10**digits:
        text = f"{value:,.0f}"
    else:
        whole = len(str(int(abs(value))))
        text = f"{value:.{max(0, digits - whole)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace(",", "\u202f").replace("-", "\u2212") if text not in ("-0", "0") else "0"


def clock(seconds: float, total_s: float, digits: int = 2) -> str:
    """A time in a video: "3.25" in one below a minute, else "1:03.25"."""
    if total_s < 60:
        return f"{seconds:.{digits}f}"
    minutes, rest = divmod(round(seconds, digits), 60)
    return f"{int(minutes)}:{rest:0{3 + digits if digits else 2}.{digits}f}"


def time_range(start_s: float, end_s: float, total_s: float) -> str:
    unit = " s" if total_s < 60 else ""
    first, last = clock(start_s, total_s), clock(end_s, total_s)
    return f"{first}{unit}" if first == last else f"{first}–{last}{unit}"


def ticks(duration_s: float) -> list[tuple[float, str]]:
    """Position in percent and text of at most 13 marks."""
    if not duration_s:
        return []
    steps_s = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
    step_s = next((s for s in steps_s if duration_s / s <= 12), duration_s / 12)
    digits = 0 if step_s >= 1 else 1
    return [
        (round(100 * i * step_s / duration_s, 3), clock(i * step_s, duration_s, digits))
        for i in range(int(duration_s / step_s + 1e-9) + 1)
    ]


def facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known about the file and its making, for people."""
    meta = report["metadata"]
    size = f"{meta['width']} × {meta['height']} px" if meta["width"] else None
    fps = f"{number(meta['fps'])} pictures per second" if meta["fps"] else None
    codecs = ", ".join(c for c in (meta["video_codec"], meta["audio_codec"]) if c)
    counts = [(f"{meta[k]:,} {word}").replace(",", "\u202f") for k, word in (("view_count", "views"), ("like_count", "likes")) if meta[k] is not None]
    try:
        maker = f"tiktok-assets {version('tiktok-assets')}, "
    except PackageNotFoundError:
        maker = ""
    rows = [
        ("Source", meta["source"]),
        ("Picture", ", ".join(p for p in (size, fps) if p) or "none"),
        ("Codecs", codecs or "none"),
        ("Audience", ", ".join(counts)),
        ("Damage", "a part of the file did not decode" if meta["truncated"] else None),
        ("Key", meta["video_key"]),
        ("Report", f"{maker}schema {report['schema_version']}, {meta['created_at'].replace('T', ' ').replace('+00:00', ' UTC')}"),
    ]
    return [(name, str(value)) for name, value in rows if value]


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


def _bar(index: int, segment: Mapping[str, Any], row: int, duration_s: float) -> Bar:
    start_s, end_s, confidence = segment["start_s"], segment["end_s"], segment["confidence"]
    scale = 100 / duration_s if duration_s else 0.0
    shares = palette(segment["data"])
    total = sum(c["share"] for c in shares) or 1.0
    edges = np.cumsum([0.0, *(100 * c["share"] / total for c in shares)])
    words = words_of(segment)
    return Bar(
        index=index,
        start_s=round(start_s, 3),
        end_s=round(end_s, 3),
        left_pct=round(min(100.0, start_s * scale), 3),
        width_pct=round(min(100.0, end_s * scale) - min(100.0, start_s * scale), 3),
        row=row,
        text=words[:120] if words else readable(segment["label"]),
        when=time_range(start_s, end_s, duration_s),
        sure="no measure of certainty" if confidence is None else f"{100 * confidence:.0f} % sure",
        strength_pct=32 if confidence is None else round(14 + 32 * confidence),
        detail=evidence(segment, bool(words)),
        box=" ".join(f"{v:.3f}" for v in segment["box"]) if segment["box"] else None,
        colors=[
            (c["hex"], round(float(left), 1), round(float(right - left), 1))
            for c, left, right in zip(shares, edges, edges[1:], strict=False)
        ],
    )


def words_of(segment: Mapping[str, Any]) -> str | None:
    """What was said, read or described in a segment, if anything."""
    found = (segment["data"].get(f) for f in TEXT_FIELDS)
    return next((t.strip() for t in found if isinstance(t, str) and t.strip()), None)


def evidence(segment: Mapping[str, Any], has_words: bool) -> str:
    """A segment's data in one line; its words stand elsewhere, its palette is drawn."""
    left_out = {"palette", *(TEXT_FIELDS if has_words else ())}
    pairs = [f"{name} {text}" for name, text in values({k: v for k, v in segment["data"].items() if k not in left_out})]
    if has_words:
        pairs.insert(0, readable(segment["label"]))
    line = " · ".join(pairs)
    return line if len(line) <= 240 else line[:240].rstrip() + "…"


def readable(name: str) -> str:
    """ "pan_right" -> "pan right"."""
    return " ".join(WORDS.get(w, w) for w in name.replace("_", " ").split()) or "–"


def values(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for people, with the unit that the name tells; palettes and boxes are drawn, not listed."""
    rows = []
    for key, value in list(data.items())[:MAX_SUMMARY_VALUES]:
        if key == "palette" or key.endswith("box"):
            continue
        name, unit = _split_unit(key)
        if key.endswith(("share", "ratio")) and isinstance(value, float) and 0 <= value <= 1:
            value, unit = 100 * value, "%"
            rows.append((name, f"{number(value, 3)} {unit}"))
            continue
        text = _text(value)
        rows.append((name, f"{text} {unit}" if unit and text not in ("–", "none") else text))
    return rows


def _split_unit(key: str) -> tuple[str, str]:
    for suffix, unit in UNITS.items():
        if key.endswith(f"_{suffix}"):
            return readable(key.removesuffix(f"_{suffix}")), unit
    return readable(key), ""


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        return readable(value) if re.fullmatch(r"[a-z0-9_]+", value) else value
    if isinstance(value, Mapping):
        return "; ".join(f"{n} {t}" for n, t in values(dict(list(value.items())[:8]))) or "none"
    shown = ", ".join(_text(v) for v in value[:8])
    return f"{shown}, … ({len(value)} in all)" if len(value) > 8 else shown or "none"


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
    """Means over equal stretches; a stretch without finite values is a gap in the line."""
    good = np.isfinite(series)
    low, high = float(series[good].min()), float(series[good].max())
    count = min(CURVE_POINTS, len(series))
    cells = np.clip((times_s / duration_s * count).astype(int), 0, count - 1)
    weight = np.bincount(cells[good], minlength=count)
    sums = np.bincount(cells[good], series[good], count)
    xs = (np.arange(count) + 0.5) * 240 / count
    ys = 31 - 30 * (sums / np.maximum(weight, 1) - low) / ((high - low) or 1.0)
    filled = np.flatnonzero(weight)
    line, area = [], []
    for run in np.split(filled, np.flatnonzero(np.diff(filled) > 3) + 1):
        points = [f"{xs[i]:.1f} {ys[i]:.1f}" for i in run]
        line.append("M" + "L".join(points))
        area.append(f"M{xs[run[0]]:.1f} 32L{'L'.join(points)}L{xs[run[-1]]:.1f} 32z")
    title, unit = _split_unit(name)
    unit = f" {unit}" if unit else ""
    return Curve(title, "".join(line), "".join(area), f"{number(low, 3)}{unit}", f"{number(high, 3)}{unit}")


def box_hits(tracks: Mapping[str, np.ndarray]) -> list[list[float]]:
    """Rows of time in s, track, x0, y0, x1, y1 for drawing over the picture, at most `MAX_HITS` of them."""
    rows: list[list[float]] = []
    for name, hits in tracks.items():
        times_s = tracks.get(f"{name}_times_s")
        if times_s is None or np.ndim(hits) != 2 or hits.shape[1] != 6 or len(times_s) != len(hits):
            continue
        keep = np.isfinite(hits).all(axis=1)
        table = np.column_stack([np.asarray(times_s)[keep], np.asarray(hits)[keep, :5]])
        rows += [[round(float(v), 3) for v in row] for row in table]
    rows.sort()
    if len(rows) <= MAX_HITS:
        return rows
    last = bisect.bisect_right([r[0] for r in rows], rows[MAX_HITS][0]) - 1
    return [r for r in rows if r[0] < rows[last][0]][:MAX_HITS]


def _film_cell(picture: FilmPicture, duration_s: float) -> dict[str, Any]:
    return {
        "start_s": round(picture.start_s, 3),
        "left_pct": round(100 * picture.start_s / duration_s, 3),
        "width_pct": round(100 * (picture.end_s - picture.start_s) / duration_s, 3),
        "uri": data_uri(picture.jpeg),
        "opens_shot": picture.opens_shot,
        "when": time_range(picture.start_s, picture.end_s, duration_s),
    }


def _texts(
    parts: Sequence[Part], results: Mapping[str, Any], duration_s: float, cap: int
) -> tuple[list[dict[str, Any]], int]:
    """What was said and shown, in order of time, and how many more there are."""
    found = [
        {
            "start_s": round(s["start_s"], 3),
            "end_s": round(s["end_s"], 3),
            "at": clock(s["start_s"], duration_s),
            "kind": TEXT_KINDS.get(p.name, p.title.lower()),
            "family": p.family,
            "text": words,
        }
        for p in parts
        for s in results[p.name]["segments"]
        if (words := words_of(s))
    ]
    found.sort(key=lambda t: t["start_s"])
    return found[:cap], max(0, len(found) - cap)
