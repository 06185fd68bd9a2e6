"""The inbox: a folder whose new, complete files become videos."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SETTLE_S = 5.0
"""A file that has not changed for so long is complete. Its change time counts: no copying program can set that back."""
PARTIAL_SUFFIXES = (".part", ".partial", ".crdownload", ".download", ".tmp", ".ytdl", ".filepart")


@dataclass(frozen=True, order=True)
class Seen:
    """How far the inbox has been read: change time and name of the last file that was taken."""

    changed_ns: int = 0
    name: str = ""


def new_files(folder: Path, seen: Seen, now: float, most: int) -> list[tuple[Seen, Path]]:
    """Complete files that are newer than `seen`, oldest first, at most `most`.

    Hidden files, folders, unfinished downloads and files that still change are left alone.
    """
    found: list[tuple[Seen, Path]] = []
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return []
    with entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower().endswith(PARTIAL_SUFFIXES):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            this = Seen(status.st_ctime_ns, entry.name)
            if this > seen and entry.is_file() and status.st_ctime_ns <= (now - SETTLE_S) * 1e9:
                found.append((this, Path(entry.path)))
    return sorted(found)[:most]
