"""The library: tidy tables over the reports of all videos, in Parquet, and a page to look through them.

    <root>/library/
        videos/ segments/ outcomes/ texts/    one table each: files <bucket>.parquet, to be read as a whole folder
        index.html                            the page
        recent.json                           how much was found in the newest videos, for the check `drift`
        index.json                            which state of which report the tables hold

Videos are spread over buckets by the name of their folder. Whether a report has changed is told by file names alone; an
update opens the reports that have, and writes the buckets that hold them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analyzers.contract import SUCCESS
from tiktok_assets.library_tables import COLUMNS, Row, layout, rows_of, schema
from tiktok_assets.store import Store, write_json, written_atomically

if TYPE_CHECKING:
    import pandas as pd

BUCKETS = 256
"""Of 10,000 videos one changed video then makes the rows of 40 be written again, about 1 MB."""


RECENT_VIDEOS = 51
"""Kept in recent.json: 50 to compare a video with, and one that may be that video."""

DAMAGED = ""
"""Stands for the digest of a report whose rows were deleted from outside."""


@dataclass(frozen=True)
class Changes:
    """What the tables do not hold yet, told by file names. Folders of videos, each with the digest of its report."""

    added: Mapping[str, str]
    changed: Mapping[str, str]
    removed: frozenset[str]
    """Folders in the tables that have no report any more."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True)
class LibraryUpdate:
    """What an update did."""

    added: int
    changed: int
    removed: int
    """Videos that came into the tables, were written anew, left them."""
    seconds: float
    videos: int
    """In the tables now."""
    page: Path
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Folders whose report.json is none, with the reason; they are not in the tables, and tried again next time."""


@dataclass(frozen=True)
class RecentVideo:
    """How much was found in one of the newest videos."""

    video: str
    duration_s: float
    segments: Mapping[str, int]
    """How many, by analyzer; only of those that have a result."""


def library_folder(store: Store) -> Path:
    return store.root / "library"


def library_page(store: Store) -> Path:
    return library_folder(store) / "index.html"


def update_library(store: Store) -> LibraryUpdate:
    """Bring the tables and the page up to date with the reports.

    Two updates at once wait for each other. One that was killed is completed by the next. Who reads while it writes
    sees each bucket either before or after.
    """
    started = time.perf_counter()
    folder = library_folder(store)
    unreadable: dict[str, str] = {}
    with _alone(folder):
        index = _read_index(folder)
        pending = _compare(store, index)
        if not index:
            for table in COLUMNS:
                shutil.rmtree(folder / table, ignore_errors=True)
        intact = {name for name, digest in index.items() if digest != DAMAGED}
        for bucket, names in _by_bucket([*pending.added, *pending.changed, *pending.removed]).items():
            fresh: dict[str, dict[str, list[Row]]] = {}
            for name in names:
                if name in pending.removed:
                    continue
                try:
                    fresh[name] = _read_report(store.videos / name)
                except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                    unreadable[name] = f"{type(error).__name__}: {error}"
            _write_bucket(folder, bucket, fresh, intact.difference(names))
        wanted = {**pending.added, **pending.changed}
        index = {n: d for n, d in index.items() if n not in pending.removed} | wanted
        index = {n: d for n, d in sorted(index.items()) if n not in unreadable}
        if pending or not (library_page(store).is_file() and (folder / "recent.json").is_file()):
            _write_page_and_recent(store)
        if pending or not (folder / "index.json").is_file():  # last: without it all before is done again
            write_json(folder / "index.json", {"layout": layout(), "reports": index})
    return LibraryUpdate(
        added=len(pending.added.keys() - unreadable.keys()),
        changed=len(pending.changed.keys() - unreadable.keys()),
        removed=len(pending.removed),
        seconds=time.perf_counter() - started,
        videos=len(index),
        page=library_page(store),
        unreadable=unreadable,
    )


def pending_changes(store: Store) -> Changes:
    """What an update would do; opens no report."""
    return _compare(store, _read_index(library_folder(store)))


def read_table(store: Store, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One table of the library as a data frame; without rows where there is no library yet.

    Args:
        store: whose library.
        table: "videos", "segments", "outcomes" or "texts".
        columns: only these; all if None.

    Raises:
        KeyError: there is no such table.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    wanted = schema(table)
    if not (library_folder(store) / table).is_dir():
        return pa.Table.from_pylist([], wanted).select(list(columns or wanted.names)).to_pandas()
    found = ds.dataset(library_folder(store) / table, schema=wanted, format="parquet")
    return found.to_table(columns=list(columns) if columns else None).to_pandas()


def recent_videos(store: Store) -> list[RecentVideo]:
    """The `RECENT_VIDEOS` whose reports are the newest, newest last; empty where there is no library yet.

    Reads one small file, however large the library is. Videos of unknown length are not among them.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return [
            RecentVideo(**found) for found in json.loads((library_folder(store) / "recent.json").read_text("utf-8"))
        ]
    except FileNotFoundError:
        return []
    except TypeError as error:
        raise ValueError(f"recent.json is damaged: {error}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_index(folder: Path) -> dict[str, str]:
    """Digest of the report by folder, as the tables hold them; empty where they have another layout or are damaged."""
    try:
        stored = json.loads((folder / "index.json").read_text("utf-8"))
        reports: dict[str, str] = stored["reports"] if stored["layout"] == layout() else {}
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    buckets = [set(_listed(folder / table)) for table in COLUMNS]
    whole = set.intersection(*buckets)
    return {n: digest if f"{_bucket(n)}.parquet" in whole else DAMAGED for n, digest in reports.items()}


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _compare(store: Store, index: Mapping[str, str]) -> Changes:
    present = {}
    for name in _listed(store.videos):
        stored = store.video_in(name, name).stored().get("report")
        if stored and stored.succeeded:
            present[name] = stored.digest
    added = {n: d for n, d in present.items() if n not in index}
    changed = {n: d for n, d in present.items() if n in index and index[n] != d}
    return Changes(added, changed, frozenset(index.keys() - present.keys()))


def _bucket(name: str) -> str:
    return f"{hashlib.sha256(name.encode()).digest()[0] % BUCKETS:02x}"


def _by_bucket(names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_bucket(name), []).append(name)
    return found


def _read_report(folder: Path) -> dict[str, list[Row]]:
    report = json.loads((folder / "report.json").read_text("utf-8"))
    return rows_of(report, folder.name, (folder / "thumbnail.jpg").is_file())


def _write_bucket(folder: Path, bucket: str, fresh: Mapping[str, dict[str, list[Row]]], kept: set[str]) -> None:
    """Write a bucket of every table: the rows it has of the `kept` folders, and fresh ones.

    The table of videos comes last: while it is missing, `_read_index` takes the bucket for damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    paths = {table: folder / table / f"{bucket}.parquet" for table in COLUMNS}
    videos: list[str] = []
    if any(_bucket(name) == bucket for name in kept):
        listed = pq.read_table(paths["videos"], columns=["video", "folder"])
        videos = listed.filter(pc.field("folder").isin(list(kept)))["video"].to_pylist()
    if not videos and not fresh:
        for path in paths.values():
            path.unlink(missing_ok=True)
        return
    for table, path in reversed(paths.items()):
        parts = [pa.Table.from_pylist([row for rows in fresh.values() for row in rows[table]], schema(table))]
        if videos:
            parts.insert(0, pq.read_table(path, schema=schema(table), filters=pc.field("video").isin(videos)))
        with written_atomically(path, "wb") as file:
            pq.write_table(pa.concat_tables(parts), file, compression="zstd")


def _write_page_and_recent(store: Store) -> None:
    from tiktok_assets.library_page.page import render_library_page

    videos = read_table(store, "videos")
    outcomes = read_table(store, "outcomes", ["video", "analyzer", "status", "segments"])
    html = render_library_page(videos, outcomes[["video", "analyzer", "status"]])
    with written_atomically(library_page(store)) as file:
        file.write(html)
    newest = videos[videos["duration_s"] > 0].sort_values("created_at", kind="stable").tail(RECENT_VIDEOS)
    known = outcomes[outcomes["video"].isin(newest["video"]) & outcomes["status"].isin(list(SUCCESS))]
    counts = {
        str(video): dict(zip(g["analyzer"], g["segments"].tolist(), strict=True)) for video, g in known.groupby("video")
    }
    recent = [
        {"video": v, "duration_s": d, "segments": counts.get(v, {})}
        for v, d in zip(newest["video"], newest["duration_s"], strict=True)
    ]
    write_json(library_folder(store) / "recent.json", recent)


def print_library() -> int:
    """`tiktok-assets library`: update, and say what was done and where it is; returns the exit code."""
    from rich.console import Console
    from rich.markup import escape

    out = Console(soft_wrap=True, highlight=False)
    done = update_library(Store.from_environment())
    out.print(
        f"{done.videos} video(s): {done.added} added, {done.changed} changed, {done.removed} removed"
        f" in {done.seconds:.1f} s\n  {escape(str(done.page))}\n"
        f"  {escape(str(done.page.parent))}/ with the tables {', '.join(COLUMNS)}"
    )
    for folder, why in done.unreadable.items():
        out.print(f"[red]✗[/red] {folder} is left out: its report cannot be read: {escape(why)}")
    return 1 if done.unreadable else 0
