"""What has to be made (again), put into few runs."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tiktok_assets.freshness import PER_VIDEO, Due, downstream_of, due, state, versions
from tiktok_assets.partitions import VIDEOS_PER_RUN
from tiktok_assets.store import Store, digest_of, write_json

LONGEST_RANGE = 10 * VIDEOS_PER_RUN
"""A run takes a range of partitions; one that holds more current videos than this is not worth saving a run."""

CLOCK_MARGIN_NS = 2_000_000_000
"""File systems stamp changes coarsely, and network ones by another clock."""

NEVER_SEEN_NS = 1 << 62

TOGETHER = ("decoded_frames", "audio_track")
"""Made by one step: chosen both or none."""


@dataclass
class PlannedRun:
    """A range of videos and the assets that some of them need."""

    first: str
    last: str
    videos: int = 0
    """How many of the range have work to do."""
    assets: set[str] = field(default_factory=set)
    """Those that are due, and all that is made from them; what turns out to be current is left alone."""
    reasons: Counter[str] = field(default_factory=Counter)
    """How many assets of videos are missing, stale, failed."""

    def selection(self) -> list[str]:
        """Names of the assets to select, in order."""
        chosen = self.assets | set(TOGETHER) if self.assets & set(TOGETHER) else self.assets
        return [asset for asset in PER_VIDEO if asset in chosen]


def plan(
    store: Store,
    keys: Sequence[str],
    reasons: Collection[Due],
    only: Collection[str] | None = None,
    among: Collection[str] | None = None,
) -> list[PlannedRun]:
    """The runs that bring videos up to date.

    Args:
        store: where the videos are.
        keys: all videos, in the order of the partitions.
        reasons: which kinds of work to do.
        only: names of the assets to look at; all if None.
        among: the videos to look at; all if None.
    """
    looked_at = [asset for asset in PER_VIDEO if only is None or asset in only]
    runs: list[PlannedRun] = []
    begins_at = 0
    for index, key in enumerate(keys):
        if among is not None and key not in among:
            continue
        video = store.video(key)
        stored = video.stored()
        wanted = {asset: why for asset in looked_at if (why := due(video, asset, stored)) in reasons and why}
        if not wanted or _is_hopeless(wanted, stored):
            continue
        if not runs or runs[-1].videos == VIDEOS_PER_RUN or index - begins_at >= LONGEST_RANGE:
            runs.append(PlannedRun(key, key))
            begins_at = index
        run = runs[-1]
        run.last = key
        run.videos += 1
        run.assets |= downstream_of(set(wanted))
        run.reasons.update(wanted.values())
    return runs


def plan_what_changed(store: Store, keys: Sequence[str], reasons: Collection[Due]) -> list[PlannedRun]:
    """As `plan`, for schedules: looks only at videos whose folders have changed since the last sweep over all.

    What it remembers lies in `sweep.json` of the store. New code, settings or weights make it look at all again.
    """
    memory = store.root / "sweep.json"
    code = digest_of(dict(versions()))
    began_ns = time.time_ns() - CLOCK_MARGIN_NS
    try:
        last = json.loads(memory.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        last = None
    among = set(keys)
    if last and last["code"] == code:
        unsettled = set(last["unsettled"])
        among = {key for key in keys if key in unsettled or changed_ns(store, key) >= last["began_ns"]}
    runs = plan(store, keys, reasons, among=among)
    still_open = [key for key in keys if key in among and not _is_settled(store, key)]
    write_json(memory, {"code": code, "began_ns": began_ns, "unsettled": still_open})
    return runs


def changed_ns(store: Store, key: str) -> int:
    """When something came into, or went from, the folder of a video; far in the future if there is none yet."""
    folder = str(store.video(key).path)
    try:
        return max(os.stat(folder).st_mtime_ns, os.stat(f"{folder}/outcomes").st_mtime_ns)
    except FileNotFoundError:
        return NEVER_SEEN_NS


def _is_settled(store: Store, key: str) -> bool:
    """Whether time alone cannot give this video work to do."""
    stored = store.video(key).stored()
    states = {asset: state(asset, stored) for asset in PER_VIDEO}
    if states["raw_video"] == "failed" and not store.video(key).outcome("raw_video").failure.retryable:  # type: ignore[union-attr]
        return True
    return not {"missing", "stale", "failed"} & set(states.values())


def _is_hopeless(wanted: dict[str, Due], stored: dict) -> bool:
    """Whether the video itself is not to be had, so that nothing that is missing of it can be made."""
    return "raw_video" not in wanted and "raw_video" in stored and not stored["raw_video"].succeeded
