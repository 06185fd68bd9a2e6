"""The report page: one self-contained HTML file per video, drawn from report.json; the video lies beside it.

Everything a video or a site can put into a report is hostile here: the template escapes all of it, the page's policy
forbids the network and any script but its own, and long texts and lists are cut, visibly.
"""

from __future__ import annotations

import base64
import hashlib
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
from analyzers.contract import STATUSES, SUCCESS
from tiktok_assets.report.drawing import Curve, FilmPicture, curves, palette, spans, stacked, ticks
from tiktok_assets.report.overlay import SCALE, overlay
from tiktok_assets.report.wording import (
    cleaned,
    clock,
    evidence,
    number,
    readable,
    readable_date,
    sentence,
    time_range,
    title_of,
    values,
    words_of,
)

MAX_PAGE_BYTES = 1_400_000
"""A page that would be larger shows fewer segments; report.json has them all."""
MAX_TAG_CHARACTERS = 180
SEGMENT_CAPS = (120, 60, 30, 12, 4)
"""Segments per analyzer that can be clicked, and rows per table; the first that keeps the page small enough."""
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
            Boxes, poses and hands are drawn over the picture; see `overlay`.
        thumbnail: a JPEG that is shown until the video plays.
        film: pictures from `film_strip`.

    Returns:
        HTML. Where it would pass `MAX_PAGE_BYTES`, fewer segments of each analyzer are listed, with their count.
    """
    report = cleaned(report)
    html = ""
    for cap in SEGMENT_CAPS:
        html = _render(report, tracks or {}, thumbnail, film, cap)
        if len(html.encode()) <= MAX_PAGE_BYTES:
            break
    return html


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
        "overlay": overlay(results, tracks),
    }
    return template.render(
        title=meta["title"] or meta["video_key"],
        meta=meta,
        link=next((u for u in (meta["webpage_url"], meta["source"]) if is_web_address(u)), None),
        tags=shown_tags(meta["tags"] or ()),
        date=readable_date(meta["upload_date"]),
        facts=facts(report),
        counts=[(s, n, STATUS_COUNTS[s]) for s, n in counts.items() if n],
        duration_s=duration_s,
        shape=shape(meta),
        video=video_address(meta["video_path"]),
        has_pictures=bool(meta["width"]),
        kinds=data["overlay"].pop("kinds"),
        poster=data_uri(thumbnail) if thumbnail and len(thumbnail) < 200_000 else None,
        film=[_film_cell(f, duration_s) for f in film] if duration_s else [],
        ticks=ticks(duration_s),
        families=[
            (f, FAMILIES[f], [p for p in parts if p.family == f]) for f in order if any(p.family == f for p in parts)
        ],
        parts=parts,
        columns=in_two_columns([p for p in parts if p.has_findings]),
        insights=_insights(results, duration_s)[: 3 * cap],
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
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
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
    thing: int | None
    """Which of several faces, objects or hands it is about."""
    colors: list[tuple[str, float, float]]
    """Hex colour, left and width in percent of the bar, for a palette."""


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
    values: list[tuple[str, str, bool]]
    """Name, text, and whether that needs the whole width."""
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
            gives=analyzer_class(name).spec.gives.replace("_", " ") if name in CATALOGUE else "",
            result=result,
            total=len(segments),
            bars=[_bar(i, s, row, duration_s) for i, (s, row) in enumerate(zip(segments[:cap], rows, strict=True))],
            all_spans=spans(segments, duration_s) if len(segments) > cap else None,
            rows=max(rows, default=0) + 1,
            values=[(name, text, _is_wide(text)) for name, text in values(result["summary"])],
            palette=[
                (c["hex"], str(c.get("name", c["hex"])), number(c["share"] * 100, 3))
                for c in palette(result["summary"])
            ],
            curves=curves(tracks, duration_s),
        )

    @property
    def has_findings(self) -> bool:
        """Whether there is more to say than how it ended."""
        return bool(self.total or self.values or self.curves)

    @property
    def height_px(self) -> int:
        """About how high its card is."""
        lines = len(self.values) / 2 + 2 * bool(self.gives) + 2 * bool(self.result["reason"]) + 3 * bool(self.palette)
        return round(96 + 25 * lines + 72 * len(self.curves))


def _is_wide(text: str) -> bool:
    return len(text) > 28 or any(len(word) > 14 for word in text.split())


def in_two_columns(parts: Sequence[Part]) -> list[list[Part]]:
    """Two columns of about equal height that keep the order, read down."""
    heights = np.cumsum([p.height_px for p in parts])
    first = int(np.searchsorted(heights, heights[-1] / 2)) + 1 if len(parts) else 0
    return [list(c) for c in (parts[:first], parts[first:]) if c]


def family_of(name: str) -> str:
    """The folder that an analyzer of the catalogue lies in; "other" for one that the catalogue no longer has."""
    parts = CATALOGUE.get(name, "").split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FAMILIES else "other"


def is_web_address(value: str | None) -> bool:
    return bool(value) and str(value).lower().startswith(("http://", "https://"))


def video_address(name: str | None) -> str | None:
    """A relative address of a file beside the page, whatever its name."""
    return f"./{quote(name.encode('utf-8', 'replace'), safe='')}" if name else None


def data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def shown_tags(tags: Sequence[str]) -> list[str]:
    """The first tags, each of at most 40 characters, for about two lines."""
    short = [t if len(t) <= 40 else t[:39].rstrip() + "…" for t in tags]
    ends = np.cumsum([len(t) + 4 for t in short])
    return [t for t, end in zip(short, ends, strict=True) if end <= MAX_TAG_CHARACTERS]


def shape(meta: Mapping[str, Any]) -> str:
    """ "portrait", "landscape" or "sound": how much room the player needs."""
    if not meta["width"] or not meta["height"]:
        return "sound"
    return "portrait" if meta["width"] < 1.1 * meta["height"] else "landscape"


def facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known about the file and its making, for people."""
    meta = report["metadata"]
    size = f"{meta['width']} × {meta['height']} px" if meta["width"] else None
    fps = f"{number(meta['fps'])} pictures per second" if meta["fps"] else None
    codecs = ", ".join(c for c in (meta["video_codec"], meta["audio_codec"]) if c)
    counts = [
        (f"{meta[k]:,} {word}").replace(",", "\u202f")
        for k, word in (("view_count", "views"), ("like_count", "likes"))
        if meta[k] is not None
    ]
    try:
        maker = f"tiktok-assets {version('tiktok-assets')}, "
    except PackageNotFoundError:
        maker = ""
    written = meta["created_at"].replace("T", " ").replace("+00:00", " UTC")
    rows = [
        ("Source", meta["source"]),
        ("Picture", ", ".join(p for p in (size, fps) if p) or "none"),
        ("Codecs", codecs or "none"),
        ("Audience", ", ".join(counts)),
        ("Damage", "a part of the file did not decode" if meta["truncated"] else None),
        ("Key", meta["video_key"]),
        ("Report", f"{maker}schema {report['schema_version']}, {written}"),
    ]
    return [(name, str(value)) for name, value in rows if value]


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
        box=" ".join(f"{SCALE * v:.0f}" for v in segment["box"]) if segment["box"] else None,
        thing=next((v for k in ("track", "number") if type(v := segment["data"].get(k)) is int), None),
        colors=[
            (c["hex"], round(float(left), 1), round(float(right - left), 1))
            for c, left, right in zip(shares, edges, edges[1:], strict=False)
        ],
    )


def _film_cell(picture: FilmPicture, duration_s: float) -> dict[str, Any]:
    return {
        "start_s": round(picture.start_s, 3),
        "left_pct": round(100 * picture.start_s / duration_s, 3),
        "width_pct": round(100 * (picture.end_s - picture.start_s) / duration_s, 3),
        "uri": data_uri(picture.jpeg),
        "opens_shot": picture.opens_shot,
        "when": time_range(picture.start_s, picture.end_s, duration_s),
    }


def _insights(results: Mapping[str, Any], duration_s: float) -> list[dict[str, Any]]:
    """Sentences with the segments that they rest on, in order of time."""

    def place(segment: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "start_s": round(segment["start_s"], 3),
            "when": time_range(segment["start_s"], segment["end_s"], duration_s),
        }

    return [
        {
            **place(s),
            "label": readable(s["label"]),
            "says": sentence(str(s["data"]["says"])),
            "rests_on": _once(
                {**place(r), "what": f"{title_of(str(r['analyzer']))}: {readable(str(r['label']))}"}
                for r in s["data"].get("rests_on", [])
            ),
        }
        for s in results.get("cross_analyzer_intelligence", {}).get("segments", [])
        if s["data"].get("says")
    ]


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
    found = _once(sorted(found, key=lambda t: t["start_s"]))
    return found[:cap], max(0, len(found) - cap)


def _once(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries without those that say the same again, in their order."""
    return list({tuple(e.values()): e for e in entries}.values())
