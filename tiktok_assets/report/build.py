"""Puts all outcomes of a video together: the values of report.json, as report.schema.json describes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.contract import SUCCESS
from tiktok_assets.store import VideoFolder

SCHEMA_VERSION = "1.0"
REPORT_VERSION = f"2-{SCHEMA_VERSION}"
"""Raised whenever the same outcomes give another report or page."""

DECODED = ("decoded_frames", "audio_track")
INFO_FIELDS = ("title", "uploader", "description", "upload_date", "webpage_url", "tags", "view_count", "like_count")


def build_report(video: VideoFolder) -> dict[str, Any]:
    """The report of a video from what its folder holds; complete even where every analysis is missing."""
    stored = video.stored()
    records = {asset: video.read_record(s) for asset, s in stored.items()}
    results = {name: _result(name, records.get(name), stored) for name in CATALOGUE}
    facts = _media_facts(records)
    seconds = sum(r["seconds"] for r in (*results.values(), *(records[a] for a in DECODED if a in records)))
    duration_s = facts["duration_s"]
    covered = [r["coverage"] if r["status"] in SUCCESS else 0.0 for r in results.values()]
    info = video.info
    return {
        "schema_version": SCHEMA_VERSION,
        "metadata": {
            "video_key": video.key,
            "video_path": video.file.name if video.file else None,
            "source": video.source,
            **{name: info.get(name) for name in INFO_FIELDS},
            **facts,
            "processing_time_seconds": round(seconds, 3),
            "total_analyzers": len(results),
            "successful_analyzers": sum(r["status"] in SUCCESS for r in results.values()),
            "reconstruction_score": round(100 * sum(covered) / len(covered), 1),
            "realtime_factor": round(seconds / duration_s, 4) if duration_s else None,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "analyzer_results": results,
    }


def _result(name: str, record: dict[str, Any] | None, stored: dict[str, Any]) -> dict[str, Any]:
    spec = analyzer_class(name).spec
    if record is None:
        raw = stored.get("raw_video")
        why = "it was not run for this video" if raw and raw.succeeded else "the video is not there"
        record = {"status": "upstream_missing", "reason": why, "seconds": 0.0, "failure": None, "analysis": None}
    analysis = record["analysis"] or {}
    return {
        "status": record["status"],
        "reason": record["reason"],
        "failure": record["failure"],
        "lane": spec.lane,
        "version": record.get("version"),
        "seconds": record["seconds"],
        "backend": analysis.get("backend") or None,
        "model": analysis.get("model"),
        "coverage": analysis.get("coverage", 0.0),
        "summary": analysis.get("summary", {}),
        "segments": analysis.get("segments", []),
    }


def _media_facts(records: dict[str, Any]) -> dict[str, Any]:
    """What the decoder found; None where it found nothing."""

    def part(asset: str) -> dict[str, Any]:
        return ((records.get(asset) or {}).get("analysis") or {}).get("summary") or {}

    video, sound = part("decoded_frames"), part("audio_track")
    either = video or sound
    return {
        "duration_s": either.get("duration_s"),
        "truncated": either.get("truncated"),
        "width": video.get("width"),
        "height": video.get("height"),
        "fps": video.get("fps"),
        "video_codec": video.get("codec"),
        "audio_codec": sound.get("codec"),
    }
