"""What Dagster's UI shows of a report: a contact sheet, a summary in Markdown, numbers that it plots over videos.

Markdown is shown in place when it is shorter than 1,000 characters, else behind "[Show Markdown]". A picture must be a
data URI: the web server hands out no files, and browsers follow no link from a web page to a file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tiktok_assets.library_tables import video_row
from tiktok_assets.report.wording import cleaned, clock, number, readable, readable_date, sentence

if TYPE_CHECKING:
    from tiktok_assets.report.drawing import FilmPicture

MAX_MARKDOWN_CHARACTERS = 999
MAX_TITLE_CHARACTERS = 120
MAX_INSIGHTS = 4

SHEET_WIDTH_PX = 880
"""What the dialog behind "[Show Markdown]" has room for."""
SHEET_ROWS = 4
MAX_PICTURES = 30
MIN_SHOTS = 8
"""With fewer shots than this the sheet has pictures in even steps, not one of each shot."""
GAP_PX = 4
CAPTION_PX = 15
MAX_SHEET_BYTES = 40_000
"""The event log keeps it for each materialization, and the UI loads those of a hundred videos for a plot."""
QUALITIES = (75, 60, 45, 30, 15)

NUMBERS = (
    "segments",
    "cuts_per_minute",
    "people_max",
    "face_share",
    "overlay_texts",
    "speech_share",
    "music_share",
    "loudness_lufs",
    "tempo_bpm",
    "hook_score",
    "calls_to_action",
)
"""Columns of the library's table of videos that are plotted."""


def contact_sheet(film: Sequence[FilmPicture], duration_s: float) -> bytes | None:
    """One JPEG of at most `MAX_SHEET_BYTES` with a picture of each shot and when it begins; None without pictures.

    Args:
        film: pictures in order of time, all of one size.
        duration_s: length of the video.
    """
    from io import BytesIO

    from PIL import Image, ImageDraw, ImageFont

    if not film:
        return None
    opening = [p for p in film if p.opens_shot]
    chosen = opening if len(opening) >= MIN_SHOTS else list(film)
    width, height = Image.open(BytesIO(chosen[0].jpeg)).size
    columns = max(1, (SHEET_WIDTH_PX + GAP_PX) // (width + GAP_PX))
    count = min(len(chosen), MAX_PICTURES, SHEET_ROWS * columns)
    chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, count).astype(int)]
    columns = min(columns, count)
    step = (width + GAP_PX, height + CAPTION_PX)
    sheet = Image.new("RGB", (columns * step[0] - GAP_PX, -(-count // columns) * step[1]), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for i, picture in enumerate(chosen):
        x, y = i % columns * step[0], i // columns * step[1]
        sheet.paste(Image.open(BytesIO(picture.jpeg)), (x, y))
        draw.text((x + 1, y + height + 1), clock(picture.start_s, duration_s, 1), "#333", font)
    for quality in QUALITIES:
        out = BytesIO()
        sheet.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= MAX_SHEET_BYTES:
            break
    return out.getvalue()


def picture_markdown(jpeg: bytes) -> str:
    return f"![contact sheet](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})"


def numbers(report: Mapping[str, Any]) -> dict[str, int | float]:
    """What is known of `NUMBERS`, rounded for people."""
    row = video_row(report)
    return {name: round(row[name], 4) for name in NUMBERS if row[name] is not None}


def summary_markdown(report: Mapping[str, Any]) -> str:
    """The video in a few lines, short enough to be shown in place; says nothing of what nobody knows."""
    report = cleaned(report)
    meta, row = report["metadata"], video_row(report)
    results, duration_s = report["analyzer_results"], meta["duration_s"] or 0.0
    said = (meta["uploader"], readable_date(meta["upload_date"]))
    head: list[str | None] = [plain(text[: MAX_TITLE_CHARACTERS // 2]) for text in said if text]
    head += [f"{number(round(duration_s, 1))} s" if duration_s else None]
    head += [f"{meta['width']} × {meta['height']}" if meta["width"] else None]
    lines = [f"**{plain((meta['title'] or meta['video_key'])[:MAX_TITLE_CHARACTERS])}**", ""]
    lines += [" · ".join(part for part in head if part), ""]
    facts: list[list[str | None]] = [
        [f"{meta['successful_analyzers']} of {meta['total_analyzers']} analyzers have a result"],
        [_said(row, "cuts_per_minute", "{} cuts per minute")],
        [_said(row, "people_max", "at most {} face(s) at a time"), _said(row, "face_share", "one {} of the time")],
        [_said(row, "overlay_texts", "{} text(s) laid over"), _said(row, "overlay_share", "one {} of the time")],
        [_said(row, "speech_share", "speech {}"), _said(row, "music_share", "music {}")],
        [_said(row, "loudness_lufs", "{} LUFS"), _said(row, "tempo_bpm", "{} BPM")],
        [_asked(results, duration_s)],
    ]
    insights = results.get("cross_analyzer_intelligence", {}).get("segments", [])
    facts += [[_says(s, duration_s)] for s in insights[:MAX_INSIGHTS]]
    for fact in facts:
        line = f"- {', '.join(part for part in fact if part)}"
        if line != "- " and len("\n".join([*lines, line])) <= MAX_MARKDOWN_CHARACTERS:
            lines.append(line)
    return "\n".join(lines)


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no link, picture, tag or emphasis in it. One line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def _said(row: Mapping[str, Any], column: str, form: str) -> str | None:
    value = row[column]
    if value is None:
        return None
    return form.format(f"{100 * value:.0f} %" if column.endswith("share") else number(round(value, 1)))


def _asked(results: Mapping[str, Any], duration_s: float) -> str | None:
    found = results.get("comment_cta_detection", {}).get("segments", [])
    asks = [f"{plain(readable(s['label']))} ({_at(s, duration_s)})" for s in found[:4]]
    return f"call to action: {', '.join(asks)}" if asks else None


def _says(segment: Mapping[str, Any], duration_s: float) -> str | None:
    says = segment["data"].get("says")
    at = f" ({_at(segment, duration_s)})" if segment["start_s"] else ""
    return f"{plain(sentence(str(says)))}{at}" if says else None


def _at(segment: Mapping[str, Any], duration_s: float) -> str:
    return f"{clock(segment['start_s'], duration_s, 1)}{' s' if duration_s < 60 else ''}"
