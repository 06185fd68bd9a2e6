"""Stores with reports, as the asset `report` leaves them, and what is opened in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analyzers.contract import Analysis, Outcome
from tests.report.example import example_report
from tiktok_assets.store import Store, VideoFolder, write_json

_watching: list[list[Path]] = []


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watching and isinstance(arguments[0], (str, Path)):
        _watching[-1].append(Path(arguments[0]))


sys.addaudithook(_note_opened)


@contextmanager
def opened() -> Iterator[list[Path]]:
    """The files that Python opens in the block."""
    files: list[Path] = []
    _watching.append(files)
    try:
        yield files
    finally:
        _watching.remove(files)


def put_report(store: Store, key: str, report: dict[str, Any] | None = None, **facts: Any) -> VideoFolder:
    """Write a report of a video and its outcome; by default the example's, with other facts."""
    report = report or example_report(video_key=key, **facts)
    folder = store.video(key)
    write_json(folder.report_json, report)
    folder.write("report", "1-1.0", Outcome("ok", 0.1, None, Analysis(summary=report["metadata"])))
    return folder
