"""`tiktok-assets analyze`: from files and URLs to reports, with progress while it works."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from analyzers.catalogue import CATALOGUE, with_upstream
from analyzers.errors import UnknownAnalyzer
from tiktok_assets.batch import REFRESH_TAG
from tiktok_assets.download import DownloadError, DownloadSettings, SettingsError, source_key
from tiktok_assets.freshness import DUE, MEDIA, PER_VIDEO
from tiktok_assets.instance import local_instance
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.refresh import plan
from tiktok_assets.runs import asset_names, contiguous_batches, execute, register
from tiktok_assets.store import Store, VideoFolder

INTERRUPTED = 130
"""Exit code of a command that the user stopped, as shells have it."""

REFRESH = {REFRESH_TAG: "true"}


def analyze_sources(sources: Sequence[str], only: Sequence[str] = ()) -> int:
    """Analyze files and URLs; returns the exit code."""
    console = Console(stderr=True)
    try:
        names = with_upstream(tuple(only)) if only else tuple(CATALOGUE)
        DownloadSettings.from_environment()
    except (UnknownAnalyzer, SettingsError) as error:
        console.print(f"[red]{error}[/red]")
        return 2
    store = Store.from_environment()
    folders: list[VideoFolder] = []
    refused = False
    for source in sources:
        try:
            folder = store.video(source_key(source))
            folder.register(source if "://" in source else str(Path(source).resolve()))
            folders.append(folder)
        except DownloadError as error:
            refused = True
            console.print(f"[red]✗[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
    if not folders:
        return 1
    folders = list({folder.key: folder for folder in folders}.values())
    started = time.time()
    try:
        with local_instance() as instance:
            _run(instance, folders, [*MEDIA, *names, "report"], console)
    except KeyboardInterrupt:
        console.print("stopped; what was finished is kept. Run the same command again to complete it.")
        return INTERRUPTED
    good = _print_summary(folders, started, console)
    return 0 if good and not refused else 1


def refresh_videos(only: Sequence[str], dry_run: bool) -> int:
    """`tiktok-assets refresh`: make what is due; returns the exit code."""
    console = Console(stderr=True)
    if unknown := [name for name in only if name not in PER_VIDEO]:
        console.print(f"[red]There is no analyzer {escape(unknown[0])}.[/red] There are: {', '.join(PER_VIDEO)}.")
        return 2
    store = Store.from_environment()
    try:
        with local_instance() as instance:
            known = set(instance.get_dynamic_partitions(VIDEOS))
            if new := [key for key in store.registered() if key not in known]:
                console.print(f"{len(new)} video(s) of the store are new to this Dagster instance")
                register(instance, new)
            runs = list(plan(store, instance.get_dynamic_partitions(VIDEOS), DUE, only or None))
            for run in runs:
                why = ", ".join(f"{count} {reason}" for reason, count in run.reasons.most_common())
                what = ", ".join(run.selection())
                console.print(f"{run.videos} video(s) from {run.first} to {run.last}: {why}: {what}", highlight=False)
                if not dry_run:
                    failed = [
                        e for e in execute(instance, [run.first, run.last], run.selection(), REFRESH) if e.is_failure
                    ]
                    if failed:
                        console.print(f"[red]✗[/red] {escape(str(failed[-1].message))}")
    except KeyboardInterrupt:
        console.print("stopped; what was finished is kept. Run the same command again to complete it.")
        return INTERRUPTED
    if not runs:
        console.print("everything is up to date")
    return 0


@dataclass
class _Shown:
    """What the progress display knows of a run."""

    running: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def take(self, event: dg.DagsterEvent) -> None:
        if event.step_key is None:
            return
        if event.is_step_start:
            self.running.append(event.step_key)
        elif event.is_step_success or event.is_step_failure or event.is_step_skipped:
            self.running = [step for step in self.running if step != event.step_key]
            if event.is_step_failure:
                self.failed.append(event.step_key)


def _run(instance: dg.DagsterInstance, folders: list[VideoFolder], assets: list[str], console: Console) -> None:
    register(instance, [folder.key for folder in folders])
    by_key = {folder.key: folder for folder in folders}
    everything = set(asset_names()) == set(assets)
    all_keys = instance.get_dynamic_partitions(VIDEOS)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=console.is_terminal) as progress:
        for batch in contiguous_batches(list(by_key), all_keys):
            started = time.time()
            tasks = {k: progress.add_task(_short(k), total=len(assets), now="waiting") for k in batch}
            shown = _Shown()
            refreshed = 0.0
            for event in execute(instance, batch, None if everything else assets):
                shown.take(event)
                if time.monotonic() - refreshed > 0.2:
                    refreshed = time.monotonic()
                    for key, task in tasks.items():
                        done = _finished_since(by_key[key], started, assets)
                        progress.update(task, completed=done, now=", ".join(shown.running[:3]))
            for key, task in tasks.items():
                done = _finished_since(by_key[key], started, assets)
                progress.update(task, completed=done, now="stopped early" if shown.failed else "done")


def _finished_since(folder: VideoFolder, started: float, assets: list[str]) -> int:
    stored = folder.stored()
    return sum(1 for a in assets if a in stored and stored[a].path.stat().st_mtime >= started - 1)


def _short(text: str, most: int = 32) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _print_summary(folders: list[VideoFolder], started: float, console: Console) -> bool:
    """What became of each video, on stdout; True if all is well."""
    out = Console(soft_wrap=True, highlight=False)
    all_good = True
    for folder in folders:
        stored = folder.stored()
        statuses = Counter(stored[name].status if name in stored else "missing" for name in CATALOGUE)
        broken = next((a for a in (*MEDIA, "report") if a not in stored or not stored[a].succeeded), None)
        if broken:
            all_good = False
            unfinished = f"the run stopped before {broken}; run the same command again"
            why = folder.read(stored[broken]).reason if broken in stored else unfinished
            out.print(f"[red]✗[/red] [bold]{folder.key}[/bold]  {escape(str(why))}")
            continue
        failed = [name for name in CATALOGUE if name in stored and stored[name].status == "failed"]
        all_good = all_good and not failed
        report = folder.read(stored["report"]).analysis
        factor = report.summary["realtime_factor"] if report else None
        counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in statuses.most_common())
        speed = f", {factor:.2f}x real time" if factor is not None else ""
        mark = "[yellow]![/yellow]" if failed else "[green]✓[/green]"
        out.print(f"{mark} [bold]{folder.key}[/bold]  {counts}{speed}\n  {escape(str(folder.report_page))}")
        for name in failed:
            out.print(f"  [red]{name} failed:[/red] {escape(str(folder.read(stored[name]).reason))}")
    console.print(f"{len(folders)} video(s) in {time.time() - started:.1f} s. The same in Dagster's UI: make ui")
    return all_good
