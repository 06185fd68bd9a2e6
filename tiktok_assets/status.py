"""What exists, what is stale, what failed and what is slow: analyzer x video, read from file names where possible."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.table import Table

from tiktok_assets.freshness import PER_VIDEO, STATES, State, state
from tiktok_assets.instance import local_instance
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.store import Store, VideoFolder

TITLES: dict[State, str] = {
    "ok": "ok",
    "no_signal": "nothing",
    "missing": "missing",
    "stale": "stale",
    "weights_missing": "weights",
    "upstream_missing": "upstream",
    "failed": "failed",
}
"""Heads of the columns, short enough for a terminal."""

WIDTH_CHARACTERS = 100

TIMED_REPORTS = 100
"""Seconds per analyzer come from so many of the newest reports; opening all would take minutes."""


@dataclass
class Status:
    """How it stands with all videos."""

    videos: int = 0
    counts: dict[str, Counter[State]] = field(default_factory=lambda: {asset: Counter() for asset in PER_VIDEO})
    """Per asset how many videos are in which state."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Mean seconds per 10 s of video of each analyzer, in the newest reports."""

    def success_rate(self, asset: str) -> float | None:
        """Share of ok and no_signal among the current results; None without any."""
        counter = self.counts[asset]
        tried = sum(counter[s] for s in STATES if s not in ("missing", "stale"))
        return (counter["ok"] + counter["no_signal"]) / tried if tried else None

    def most_failing(self, most: int = 5) -> list[tuple[str, int]]:
        """Assets by how many videos they failed for, worst first."""
        failing = Counter({asset: counter["failed"] for asset, counter in self.counts.items() if counter["failed"]})
        return failing.most_common(most)

    def slowest(self, most: int = 5) -> list[tuple[str, float]]:
        """Analyzers by seconds per 10 s of video, slowest first."""
        return sorted(self.seconds.items(), key=lambda item: -item[1])[:most]


def read_status(store: Store, keys: Sequence[str]) -> Status:
    """Look at all videos; opens only the newest reports."""
    found = Status(videos=len(keys))
    for key in keys:
        stored = store.video(key).stored()
        for asset in PER_VIDEO:
            found.counts[asset][state(asset, stored)] += 1
    found.seconds = _seconds_per_10_s(store, keys[-TIMED_REPORTS:])
    return found


def _seconds_per_10_s(store: Store, keys: Sequence[str]) -> dict[str, float]:
    seconds: Counter[str] = Counter()
    video_s = 0.0
    for key in keys:
        try:
            report = json.loads(store.video(key).report_json.read_text("utf-8"))
        except FileNotFoundError:
            continue
        video_s += report["metadata"]["duration_s"] or 0.0
        seconds.update({name: result["seconds"] for name, result in report["analyzer_results"].items()})
    return {name: 10 * value / video_s for name, value in seconds.items()} if video_s else {}


@dataclass(frozen=True)
class Row:
    """One asset of one video."""

    video: str
    asset: str
    state: State
    reason: str | None


def rows(
    store: Store,
    keys: Sequence[str],
    assets: Sequence[str] = (),
    states: Sequence[str] = (),
    since: datetime | None = None,
) -> Iterator[Row]:
    """Assets of videos that match all filters; those without a result come with the reason.

    Args:
        assets, states: names to keep; empty keeps all.
        since: keep what was made at this time or later.
    """
    for key in keys:
        video = store.video(key)
        stored = video.stored()
        for asset in assets or PER_VIDEO:
            how = state(asset, stored)
            if states and how not in states:
                continue
            if since and (asset not in stored or os.stat(stored[asset].file).st_mtime < since.timestamp()):
                continue
            yield Row(key, asset, how, _reason(video, asset, how))


def _reason(video: VideoFolder, asset: str, how: State) -> str | None:
    if how not in ("failed", "weights_missing", "upstream_missing", "no_signal"):
        return None
    return str(video.read_record(video.stored()[asset])["reason"])


def print_status(assets: Sequence[str], states: Sequence[str], since: datetime | None) -> int:
    """`tiktok-assets status`: a matrix on stdout, or with filters the list of what matches; returns the exit code."""
    store = Store.from_environment()
    with local_instance() as instance:
        keys = list(instance.get_dynamic_partitions(VIDEOS))
    console = Console(soft_wrap=True, highlight=False)
    console.width = max(console.width, WIDTH_CHARACTERS)
    if unknown := [name for name in assets if name not in PER_VIDEO]:
        console.print(f"There is no asset {unknown[0]}. There are: {', '.join(PER_VIDEO)}.", markup=False)
        return 2
    if not keys:
        console.print("No videos yet. Add some: tiktok-assets analyze FILE_OR_URL...")
    elif assets or states or since:
        for row in rows(store, keys, assets, states, since):
            console.print("  ".join(filter(None, (row.video, row.asset, row.state, row.reason))), markup=False)
    else:
        _print_matrix(console, store, read_status(store, keys))
    return 0


def _print_matrix(console: Console, store: Store, found: Status) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("asset", no_wrap=True, min_width=max(map(len, PER_VIDEO)))
    for title in (*TITLES.values(), "success"):
        table.add_column(title, justify="right", no_wrap=True)
    for asset, counter in found.counts.items():
        rate = found.success_rate(asset)
        cells = [str(counter[name]) if counter[name] else "·" for name in STATES]
        table.add_row(asset, *cells, f"{rate:.0%}" if rate is not None else "·")
    console.print(f"{found.videos} video(s) in {store.root}")
    console.print(table)
    if failing := found.most_failing():
        console.print("most failing: " + ", ".join(f"{name} ({count})" for name, count in failing))
    if slowest := found.slowest():
        console.print("slowest, s per 10 s of video: " + ", ".join(f"{name} {value:.2f}" for name, value in slowest))


def markdown(found: Status) -> str:
    """The matrix as a Markdown table, for Dagster's UI."""
    titles = " | ".join(TITLES[s] for s in STATES)
    lines = [f"| asset | {titles} | success |", "|---" * (len(STATES) + 2) + "|"]
    for asset, counter in found.counts.items():
        rate = found.success_rate(asset)
        cells = " | ".join(str(counter[name] or "·") for name in STATES)
        lines.append(f"| {asset} | {cells} | {f'{rate:.0%}' if rate is not None else '·'} |")
    return "\n".join(lines)
