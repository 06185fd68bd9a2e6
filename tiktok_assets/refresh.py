"""What has to be made (again), put into few runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tiktok_assets.freshness import PER_VIDEO, Due, downstream_of, due
from tiktok_assets.partitions import VIDEOS_PER_RUN
from tiktok_assets.store import Store

LONGEST_RANGE = 10 * VIDEOS_PER_RUN
"""A run takes a range of partitions; one that holds more current videos than this is not worth saving a run."""

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
    store: Store, keys: Sequence[str], reasons: Collection[Due], only: Collection[str] | None = None
) -> list[PlannedRun]:
    """The runs that bring videos up to date.

    Args:
        store: where the videos are.
        keys: all videos, in the order of the partitions.
        reasons: which kinds of work to do.
        only: names of the assets to look at; all if None.
    """
    looked_at = [asset for asset in PER_VIDEO if only is None or asset in only]
    runs: list[PlannedRun] = []
    begins_at = 0
    for index, key in enumerate(keys):
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


def _is_hopeless(wanted: dict[str, Due], stored: dict) -> bool:
    """Whether the video itself is not to be had, so that nothing that is missing of it can be made."""
    return "raw_video" not in wanted and "raw_video" in stored and not stored["raw_video"].succeeded
