"""What a tick and a status cost as the number of known videos grows. Makes stores of empty files; no video is decoded.

    .venv/bin/python bench/ticks.py             10, 10,000 and 90,000 known videos (minutes, most to make them)
.venv/bin/python bench/ticks.py 10 1000
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
NEW = 10
"""New videos that each sensor tick finds."""


def make_store(root: Path, count: int) -> list[str]:
    """A store in which every asset of every video is current."""
    from analyzers.contract import Analysis, Outcome, Segment
    from tiktok_assets import freshness
    from tiktok_assets.store import Store

    store = Store(root)
    found = Outcome("ok", 0.1, analysis=Analysis(segments=(Segment(0.0, 1.0, "x"),), backend="test"))
    first = store.video("v000000")
    left = list(freshness.PER_VIDEO)
    while left:
        for asset in [a for a in left if not set(left) & set(freshness.upstream()[a])]:
            inputs = freshness.inputs_of(asset, first.stored())
            first.write(asset, freshness.versions()[asset], found, inputs)
            left.remove(asset)
    (first.path / "video.mp4").touch()
    names = [p.name for p in (first.path / "outcomes").iterdir()]
    keys = [f"v{i:06}" for i in range(count)]
    for key in keys[1:]:
        folder = store.video(key).path / "outcomes"
        folder.mkdir(parents=True)
        (folder.parent / "video.mp4").touch()
        for name in names:
            (folder / name).touch()
    return keys


def seconds(work) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(count: int, folder: Path) -> dict[str, float]:
    os.environ["TIKTOK_ASSETS_DATA"] = str(folder / "data")
    os.environ["TIKTOK_ASSETS_ALLOW_PRIVATE_ADDRESSES"] = "true"
    import dagster as dg

    sys.path.insert(0, str(REPOSITORY))
    from tests.media_server import MediaServer, Reply
    from tiktok_assets import automation, inbox
    from tiktok_assets.definitions import defs
    from tiktok_assets.partitions import VIDEOS
    from tiktok_assets.status import read_status
    from tiktok_assets.store import Store

    inbox.SETTLE_S = 0.0
    (folder / "home").mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", folder / "home")
    keys = make_store(folder / "data", count)
    store = Store.from_environment()
    repository = defs.get_repository_def()
    with dg.DagsterInstance.from_config(str(folder / "home")) as instance, MediaServer() as server:
        instance.add_dynamic_partitions(VIDEOS, keys)
        (store.root / "inbox").mkdir(parents=True)
        for i in range(NEW):
            (store.root / "inbox" / f"new{i}.mp4").write_bytes(b"%d" % i)
        items = "".join(f"<item><link>{server.url(f'/{i}.mp4')}</link></item>" for i in range(NEW))
        feed = f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()
        address = server.add("/feed.xml", Reply(feed, content_type="application/rss+xml"))
        (store.root / "watchlist.txt").write_text(address)

        def tick(evaluate):  # type: ignore[no-untyped-def]
            return evaluate(dg.build_sensor_context(instance=instance, repository_def=repository))

        def refresh(context):  # type: ignore[no-untyped-def]
            return automation.refresh_stale(context(instance, repository_def=repository))

        return {
            f"inbox tick, {NEW} new": seconds(lambda: tick(automation.inbox)),
            f"watchlist tick, {NEW} new": seconds(lambda: tick(automation.watchlist)),
            "refresh_stale, first sweep": seconds(lambda: refresh(dg.build_schedule_context)),
            "refresh_stale, later sweeps": seconds(lambda: refresh(dg.build_schedule_context)),
            "status": seconds(lambda: read_status(store, list(instance.get_dynamic_partitions(VIDEOS)))),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[10, 10_000, 90_000])
    found: dict[str, list[float]] = {}
    counts = parser.parse_args().counts
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            for name, value in measure(count, Path(folder)).items():
                found.setdefault(name, []).append(value)
    print(f"{'seconds, known videos:':<36}" + "".join(f"{count:>12,}" for count in counts))
    for name, values in found.items():
        print(f"{name:<36}" + "".join(f"{value:>12.3f}" for value in values))


if __name__ == "__main__":
    main()
