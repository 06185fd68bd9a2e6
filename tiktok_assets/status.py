"""`tiktok-assets status`: what exists, what is stale, what failed, read from file names alone."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from tiktok_assets.freshness import PER_VIDEO, STATES, state
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.runs import local_instance
from tiktok_assets.store import Store


def count_states(store: Store, keys: list[str]) -> dict[str, Counter[str]]:
    """Per asset how many videos are in which state."""
    counts: dict[str, Counter[str]] = {asset: Counter() for asset in PER_VIDEO}
    for stored in (store.video(key).stored() for key in keys):
        for asset in PER_VIDEO:
            counts[asset][state(asset, stored)] += 1
    return counts


def print_status() -> None:
    """A table on stdout: assets by states."""
    store = Store.from_environment()
    with local_instance() as instance:
        keys = list(instance.get_dynamic_partitions(VIDEOS))
    console = Console()
    if not keys:
        console.print("No videos yet. Add some: tiktok-assets analyze FILE_OR_URL...")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("asset", no_wrap=True, min_width=max(map(len, PER_VIDEO)))
    for name in STATES:
        table.add_column(name.replace("_", " "), justify="right", min_width=2)
    for asset, counter in count_states(store, keys).items():
        table.add_row(asset, *(str(counter[name]) if counter[name] else "·" for name in STATES))
    console.print(f"{len(keys)} video(s) in {store.root}", highlight=False)
    console.print(table)
