"""The tables of the library: which columns they have, and the rows that one report gives."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzers.contract import SUCCESS
from tiktok_assets.report.wording import words_of
from tiktok_assets.store import digest_of

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_VERSION = "1"
"""Raised whenever the same report gives other rows."""

CHANNELS = {
    "speech_transcription": "speech",
    "text_overlay": "overlay",
    "comment_cta_detection": "call_to_action",
    "qwen2_vl_temporal": "description",
}
"""Where words come from. Of text_overlay, lettering that is part of the scene has the channel "scene"."""

STRIP_CELLS = 48
STRIP_LANES = ("cuts", "faces", "text", "speech")
CUT_LABELS = frozenset({"cut", "dissolve", "fade_in", "fade_out"})

COLUMNS: dict[str, dict[str, str]] = {
    "videos": {
        "video": "string",
        "folder": "string",
        "title": "string",
        "uploader": "string",
        "description": "string",
        "tags": "strings",
        "upload_date": "date",
        "source": "string",
        "webpage_url": "string",
        "view_count": "int",
        "like_count": "int",
        "duration_s": "float",
        "truncated": "bool",
        "width": "int",
        "height": "int",
        "fps": "float",
        "video_codec": "string",
        "audio_codec": "string",
        "processing_time_seconds": "float",
        "realtime_factor": "float",
        "total_analyzers": "int",
        "successful_analyzers": "int",
        "reconstruction_score": "float",
        "created_at": "time",
        "segments": "int",
        "cuts_per_minute": "float",
        "people_max": "int",
        "face_share": "float",
        "overlay_texts": "int",
        "overlay_share": "float",
        "speech_share": "float",
        "music_share": "float",
        "loudness_lufs": "float",
        "tempo_bpm": "float",
        "hook_score": "float",
        "calls_to_action": "int",
        "strip": "string",
        "thumbnail": "bool",
    },
    "segments": {
        "video": "string",
        "analyzer": "string",
        "start_s": "float",
        "end_s": "float",
        "label": "string",
        "confidence": "float",
        "x0": "float",
        "y0": "float",
        "x1": "float",
        "y1": "float",
        "text": "string",
        "data": "string",
    },
    "outcomes": {
        "video": "string",
        "analyzer": "string",
        "status": "string",
        "reason": "string",
        "version": "string",
        "lane": "string",
        "seconds": "float",
        "backend": "string",
        "model": "string",
        "coverage": "float",
        "segments": "int",
        "summary": "string",
    },
    "texts": {
        "video": "string",
        "channel": "string",
        "start_s": "float",
        "end_s": "float",
        "text": "string",
        "language": "string",
        "confidence": "float",
    },
}
"""Per table its columns with their kind. docs/library.md explains them."""

Row = dict[str, Any]

SURROGATES = re.compile("[\ud800-\udfff]")


@cache
def schema(table: str) -> pa.Schema:
    """Arrow schema of a table.

    Raises:
        KeyError: there is no such table.
    """
    import pyarrow as pa

    kinds = {
        "string": pa.string(),
        "strings": pa.list_(pa.string()),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "date": pa.date32(),
        "time": pa.timestamp("s", tz="UTC"),
    }
    return pa.schema([(name, kinds[kind]) for name, kind in COLUMNS[table].items()])


def layout() -> str:
    """Stands for the form of all tables: tables of another layout are written anew."""
    return f"{ROWS_VERSION}-{digest_of([COLUMNS, STRIP_CELLS, STRIP_LANES])}"


def rows_of(report: Mapping[str, Any], folder: str, has_thumbnail: bool) -> dict[str, list[Row]]:
    """All rows that a report gives, per table.

    Args:
        report: as report.schema.json describes it.
        folder: name of the video's folder.
        has_thumbnail: whether thumbnail.jpg lies in it.

    Raises:
        KeyError, TypeError, ValueError: it is not such a report.
    """
    video = report["metadata"]["video_key"]
    results: Mapping[str, Any] = report["analyzer_results"]
    return {
        "videos": [_checked("videos", video_row(report) | {"folder": folder, "thumbnail": has_thumbnail})],
        "segments": [
            _checked("segments", {"video": video, "analyzer": name, **_segment_row(s)})
            for name, result in results.items()
            for s in result["segments"]
        ],
        "outcomes": [
            _checked("outcomes", {**result, "video": video, "analyzer": name, **_outcome_row(result)})
            for name, result in results.items()
        ],
        "texts": [_checked("texts", {"video": video, **row}) for row in text_rows(results)],
    }


def text_rows(results: Mapping[str, Any]) -> list[Row]:
    """What was said, shown, asked for and described, in order of time: channel, from-to, text, language, confidence."""
    found = []
    for name, channel in CHANNELS.items():
        for s in results.get(name, {}).get("segments", []):
            if words := words_of(s):
                in_scene = channel == "overlay" and s["label"] != "overlay"
                found.append(
                    {
                        "channel": "scene" if in_scene else channel,
                        "start_s": s["start_s"],
                        "end_s": s["end_s"],
                        "text": words,
                        "language": s["data"].get("language"),
                        "confidence": s["confidence"],
                    }
                )
    return sorted(found, key=lambda row: row["start_s"])


def _segment_row(segment: Mapping[str, Any]) -> Row:
    box = segment["box"] or (None,) * 4
    return {
        **{k: segment[k] for k in ("start_s", "end_s", "label", "confidence")},
        **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)),
        "text": words_of(segment),
        "data": json.dumps(segment["data"], ensure_ascii=False),
    }


def _outcome_row(result: Mapping[str, Any]) -> Row:
    return {"segments": len(result["segments"]), "summary": json.dumps(result["summary"], ensure_ascii=False)}


def video_row(report: Mapping[str, Any]) -> Row:
    """Facts and figures of a video, by column of the table of videos; None where nobody knows.

    Raises:
        KeyError, TypeError: it is not a report as report.schema.json describes it.
    """
    meta, results = report["metadata"], report["analyzer_results"]
    duration_s = meta["duration_s"]

    def succeeded(name: str) -> bool:
        return results.get(name, {}).get("status") in SUCCESS

    def said(name: str, key: str, if_nothing: float | None = None) -> Any:
        """A summary value of an analyzer that has a result; `if_nothing` where it found nothing of its kind."""
        if not succeeded(name):
            return None
        return results[name]["summary"].get(key, if_nothing if results[name]["status"] == "no_signal" else None)

    def found(name: str, labels: Iterable[str] | None = None) -> list[Mapping[str, Any]] | None:
        """Segments of an analyzer that has a result, else None."""
        if not succeeded(name):
            return None
        wanted = None if labels is None else frozenset(labels)
        return [s for s in results[name]["segments"] if wanted is None or s["label"] in wanted]

    faces, overlays = found("face_detection"), found("text_overlay", {"overlay"})
    asked = found("comment_cta_detection")
    lanes = {
        "cuts": found("cut_analysis", CUT_LABELS),
        "faces": faces,
        "text": overlays,
        "speech": found("audio_environment", {"speech"}),
    }
    return {
        **meta,
        "video": meta["video_key"],
        "segments": sum(len(r["segments"]) for r in results.values()),
        "cuts_per_minute": said("cut_analysis", "cuts_per_minute"),
        "people_max": said("face_detection", "people_max", 0),
        "face_share": _share(faces, duration_s),
        "overlay_texts": None if overlays is None else len(overlays),
        "overlay_share": _share(overlays, duration_s),
        "speech_share": said("audio_environment", "speech_share", 0.0),
        "music_share": said("audio_environment", "music_like_share", 0.0),
        "loudness_lufs": said("audio_analysis", "mono_loudness_lufs"),
        "tempo_bpm": said("audio_analysis", "tempo_bpm"),
        "hook_score": said("cross_analyzer_intelligence", "hook_score"),
        "calls_to_action": None if asked is None else len(asked),
        "strip": ".".join(_strip(lanes[lane], duration_s) for lane in STRIP_LANES),
    }


def _share(segments: list[Mapping[str, Any]] | None, duration_s: float | None) -> float | None:
    """Share of the video (0-1) that segments cover together; None where nobody knows."""
    if segments is None or not duration_s:
        return None
    covered = reached = 0.0
    for s in sorted(segments, key=lambda s: s["start_s"]):
        covered += max(0.0, s["end_s"] - max(reached, s["start_s"]))
        reached = max(reached, s["end_s"])
    return round(min(1.0, covered / duration_s), 4)


def _strip(segments: list[Mapping[str, Any]] | None, duration_s: float | None) -> str:
    """Where segments are, as `STRIP_CELLS` bits in hex, the first cell highest; "-" where nobody knows."""
    if segments is None or not duration_s:
        return "-"
    cells = np.zeros(STRIP_CELLS, bool)
    for s in segments:
        first = min(STRIP_CELLS - 1, int(s["start_s"] / duration_s * STRIP_CELLS))
        cells[first : max(first + 1, math.ceil(s["end_s"] / duration_s * STRIP_CELLS - 1e-6))] = True
    return np.packbits(cells).tobytes().hex()


def _checked(table: str, row: Mapping[str, Any]) -> Row:
    """The row with exactly the columns of the table; what is not of a column's kind is None."""
    return {name: _value(kind, row.get(name)) for name, kind in COLUMNS[table].items()}


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    match kind:
        case "string":
            return SURROGATES.sub("\ufffd", value) if isinstance(value, str) else None
        case "strings":
            return [_value("string", v) for v in value if isinstance(v, str)] if isinstance(value, list) else None
        case "float":
            return float(value) if is_number else None
        case "int":
            return int(value) if is_number and abs(value) < 2**63 else None
        case "bool":
            return value if isinstance(value, bool) else None
        case "date":
            return _date(value)
        case _:
            return datetime.fromisoformat(value).astimezone(UTC)


def _date(yyyymmdd: Any) -> date | None:
    try:
        return datetime.strptime(yyyymmdd, "%Y%m%d").replace(tzinfo=UTC).date()
    except (TypeError, ValueError):
        return None
