"""`tiktok-assets status`: what exists, what is stale, what failed, read from file names alone."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.decode import DECODER_VERSION
from tiktok_assets.assets import raw_video
from tiktok_assets.assets import report as report_asset
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.runs import local_instance
from tiktok_assets.store import Store, Stored

STATES = ("ok", "no_signal", "missing", "stale", "weights_missing", "upstream_missing", "failed")


def current_versions() -> dict[str, str]:
    """The version of each per-video asset that the code of today would write."""
    versions = {"raw_video": raw_video.VERSION, "decoded_frames": DECODER_VERSION, "audio_track": DECODER_VERSION}
    versions |= {name: analyzer_class(name)().code_version() for name in CATALOGUE}
    return versions | {"report": report_asset.VERSION}


def state(stored: Stored | None, version: str) -> str:
    """One of `STATES`: the outcome's status, `missing` if there is none, `stale` if other code made it."""
    if stored is None:
        return "missing"
    return stored.status if stored.version == version else "stale"


def count_states(store: Store, keys: list[str]) -> dict[str, Counter[str]]:
    """Per asset how many videos are in which state."""
    versions = current_versions()
    counts: dict[str, Counter[str]] = {asset: Counter() for asset in versions}
    for stored in (store.video(key).stored() for key in keys):
        for asset, version in versions.items():
            counts[asset][state(stored.get(asset), version)] += 1
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
    table.add_column("asset", no_wrap=True, min_width=max(map(len, current_versions())))
    for name in STATES:
        table.add_column(name.replace("_", " "), justify="right", min_width=2)
    for asset, counter in count_states(store, keys).items():
        table.add_row(asset, *(str(counter[name]) if counter[name] else "·" for name in STATES))
    console.print(f"{len(keys)} video(s) in {store.root}", highlight=False)
    console.print(table)
