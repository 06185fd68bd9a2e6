"""The library page: all videos in one self-contained HTML file; thumbnails and reports lie beside it.

The values of ten thousand videos stand in it as compact JSON; its script draws the rows that are in sight. Nothing is
loaded from the network, and every text goes into the page as text.
"""

from __future__ import annotations

import base64
import hashlib
import math
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from analyzers.catalogue import CATALOGUE
from analyzers.contract import STATUSES, SUCCESS
from tiktok_assets.library_tables import STRIP_CELLS, STRIP_LANES
from tiktok_assets.report.page import FAMILIES, STATUS_COUNTS, STATUS_WORDS, family_of
from tiktok_assets.report.wording import cleaned, title_of

if TYPE_CHECKING:
    import pandas as pd

MAX_TITLE_CHARACTERS = 120
MAX_UPLOADER_CHARACTERS = 60
NOT_THERE = "-"
"""In place of the digit of a status, for an analyzer that a report does not know."""
STRIP_FAMILIES = {"cuts": "vision", "faces": "people", "text": "language", "speech": "speech"}
DIGITS = {
    "duration_s": 2,
    "cuts_per_minute": 1,
    "people_max": 0,
    "overlay_texts": 0,
    "speech_share": 3,
    "music_share": 3,
    "calls_to_action": 0,
    "successful_analyzers": 0,
    "total_analyzers": 0,
    "segments": 0,
    "realtime_factor": 3,
}
"""Number columns of the videos that the page shows, with the digits that it needs after the point."""


def render_library_page(videos: pd.DataFrame, outcomes: pd.DataFrame, written_at: datetime | None = None) -> str:
    """The page of a library.

    Args:
        videos: the table of videos; see `tiktok_assets.library_tables`.
        outcomes: columns video, analyzer and status of the table of outcomes.
        written_at: what the page says of itself; now by default.

    Returns:
        HTML that lies in `library/` beside `videos/`. About 300 bytes a video.
    """
    videos = videos.sort_values(["created_at", "video"], ascending=[False, True], ignore_index=True)
    seen = set(outcomes["analyzer"])
    analyzers = [n for n in CATALOGUE if n in seen] + sorted(seen - CATALOGUE.keys())
    analyzers.sort(key=lambda name: list(FAMILIES).index(family_of(name)))
    template, css, js = _sources()
    return template.render(
        data={
            "statuses": list(STATUSES),
            "success": sorted(SUCCESS),
            "words": STATUS_WORDS,
            "lanes": [[lane, STRIP_FAMILIES[lane]] for lane in STRIP_LANES],
            "cells": STRIP_CELLS,
            "analyzers": [[title_of(name), family_of(name)] for name in cleaned(analyzers)],
            "columns": _columns(videos) | {"status": _statuses(videos, outcomes, analyzers)},
        },
        count=len(videos),
        status_counts=STATUS_COUNTS,
        written_at=(written_at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        css=Markup(css),
        js=Markup(js),
        policy="; ".join(
            (
                "default-src 'none'",
                "img-src 'self'",
                "style-src 'unsafe-inline'",
                f"script-src 'sha256-{base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()}'",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
    )


def _columns(videos: pd.DataFrame) -> dict[str, list[Any]]:
    """One list per column; None where nothing is known."""
    titles = videos["title"].where(videos["title"].notna() & (videos["title"] != ""), videos["video"])
    return {
        "folder": _texts(videos["folder"], 200),
        "title": _texts(titles, MAX_TITLE_CHARACTERS),
        "uploader": _texts(videos["uploader"], MAX_UPLOADER_CHARACTERS),
        "date": [d.isoformat() if isinstance(d, date) else None for d in videos["upload_date"]],
        "strip": _texts(videos["strip"], 200),
        "thumbnail": [1 if t is True else 0 for t in videos["thumbnail"].tolist()],
        **{name: [_rounded(v, digits) for v in videos[name].tolist()] for name, digits in DIGITS.items()},
    }


def _texts(column: pd.Series, most: int) -> list[str | None]:
    return [cleaned(v if len(v) <= most else v[:most].rstrip() + "…") if isinstance(v, str) else None for v in column]


def _rounded(value: Any, digits: int) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) if digits and round(value, digits) != int(value) else round(value)


def _statuses(videos: pd.DataFrame, outcomes: pd.DataFrame, analyzers: list[str]) -> list[str]:
    """Per video one digit per analyzer: the place of its status in `STATUSES`."""
    digit = {status: str(i) for i, status in enumerate(STATUSES)}
    table = (
        outcomes.assign(digit=outcomes["status"].map(digit))
        .drop_duplicates(["video", "analyzer"])
        .pivot(index="video", columns="analyzer", values="digit")
        .reindex(index=videos["video"], columns=analyzers)
        .fillna(NOT_THERE)
    )
    return ["".join(row) for row in table.to_numpy().tolist()]


@cache
def _sources() -> tuple[jinja2.Template, str, str]:
    """The template, the style (the report's, then what the library adds) and the script."""
    folder = Path(__file__).resolve().parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = (folder.parent / "report" / "page.css").read_text("utf-8")
    css, js = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    return environment.get_template("page.html"), shared + css, js
