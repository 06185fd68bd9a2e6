"""What runs by itself: sensors that notice new videos, schedules that keep everything up to date. All off by default:
switch them on in the UI under Automation."""

import dataclasses
import json
import time
from collections.abc import Mapping

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from tiktok_assets.batch import REFRESH_TAG
from tiktok_assets.cache import prune
from tiktok_assets.download import DownloadError, DownloadSettings, source_key
from tiktok_assets.execution import LANE_TAG, queue_tags
from tiktok_assets.freshness import Due
from tiktok_assets.inbox import Seen, new_files
from tiktok_assets.partitions import VIDEOS, VIDEOS_PER_RUN, videos
from tiktok_assets.refresh import PlannedRun, plan_what_changed
from tiktok_assets.store import Store, digest_of
from tiktok_assets.watchlist import Entry, WatchlistError, look, read_watchlist, watchlist_file

ANALYZE_JOB = "analyze"

NEW_PER_TICK = 3 * VIDEOS_PER_RUN
TICK_S = 40.0
"""Dagster ends a tick after 60 s."""
RUNS_PER_TICK = 25

PRIORITY = {
    "new": {"dagster/priority": "-5", "dagster-celery/run_priority": "3"},
    "backfill": {"dagster/priority": "-10", "dagster-celery/run_priority": "6"},
}
"""Tags of runs that need not go first: in Dagster's queue the lowest number waits longest, in Redis the highest does.
A run that somebody asks for by hand has 0 in both."""

analyze = dg.define_asset_job(
    ANALYZE_JOB,
    selection=dg.AssetSelection.groups("media", "vision", "people", "sound", "speech", "language", "joined", "report"),
    description="From the source to the report, for the chosen videos.",
)


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of a run over neighbouring partitions."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def new_video_requests(context: dg.SensorEvaluationContext, new: Mapping[str, str], cursor: str) -> dg.SensorResult:
    """Partitions for new videos (key -> source), and one run for each batch of them."""
    store = Store.from_environment()
    for key, source in new.items():
        store.video(key).register(source)
    keys = list(new)
    runs = []
    for start in range(0, len(keys), VIDEOS_PER_RUN):
        batch = keys[start : start + VIDEOS_PER_RUN]
        tags = range_tags(batch[0], batch[-1]) | PRIORITY["new"]
        runs.append(dg.RunRequest(run_key=f"new:{digest_of(batch)}", tags=tags))
    context.log.info("%d new video(s) in %d run(s)", len(keys), len(runs))
    return dg.SensorResult(
        run_requests=runs, dynamic_partitions_requests=[videos.build_add_request(keys)], cursor=cursor
    )


@dg.sensor(job=analyze, minimum_interval_seconds=15)
def inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """New files in the folder `inbox` of the store become videos, once they have stopped changing."""
    folder = Store.from_environment().root / "inbox"
    folder.mkdir(parents=True, exist_ok=True)
    seen = Seen(**json.loads(context.cursor)) if context.cursor else Seen()
    files = new_files(folder, seen, time.time(), NEW_PER_TICK)
    if not files:
        return dg.SkipReason(f"no new file in {folder}")
    new: dict[str, str] = {}
    for _, path in files:
        try:
            key = source_key(str(path))
        except DownloadError as error:
            context.log.warning("%s", error)
            continue
        if key not in new and not context.instance.has_dynamic_partition(VIDEOS, key):
            new[key] = str(path)
    cursor = json.dumps(dataclasses.asdict(files[-1][0]))
    if not new:
        context.update_cursor(cursor)
        return dg.SkipReason(f"{len(files)} new file(s) in {folder}, all known already")
    return new_video_requests(context, new, cursor)


@dg.sensor(job=analyze, minimum_interval_seconds=30)
def watchlist(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """New videos of the accounts, hashtags, playlists and feeds in `watchlist.txt` (or `.yaml`) of the store.

    Each address is looked at every 15 minutes at most, one per host and tick, and less often while it fails.
    """
    path = watchlist_file(Store.from_environment())
    try:
        addresses = read_watchlist(path)
    except WatchlistError as error:
        return dg.SkipReason(str(error))
    entries = {a: Entry(**e) for a, e in json.loads(context.cursor or "{}").items()}
    now = time.time()
    found = look(
        addresses,
        entries,
        lambda key: context.instance.has_dynamic_partition(VIDEOS, key),
        DownloadSettings.from_environment(),
        NEW_PER_TICK,
        now,
        now + TICK_S,
        time.time,
    )
    for said in found.errors:
        context.log.warning("%s", said)
    cursor = json.dumps({address: dataclasses.asdict(entry) for address, entry in entries.items()})
    if found.videos:
        return new_video_requests(context, found.videos, cursor)
    context.update_cursor(cursor)
    failing = [e.said for e in entries.values() if e.said]
    return dg.SkipReason(f"nothing new at {len(addresses)} address(es) of {path}" + "".join(f"; {s}" for s in failing))


def refresh_request(planned: PlannedRun) -> dg.RunRequest:
    """The run that a plan asks for."""
    selection = planned.selection()
    return dg.RunRequest(
        asset_selection=[dg.AssetKey(name) for name in selection],
        tags=range_tags(planned.first, planned.last)
        | PRIORITY["backfill"]
        | queue_tags(selection)
        | {REFRESH_TAG: "true"},
    )


def _refresh_schedule(name: str, cron: str, reasons: tuple[Due, ...], description: str) -> dg.ScheduleDefinition:
    @dg.schedule(job=analyze, cron_schedule=cron, name=name, description=description)
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        running = context.instance.get_runs_count(
            dg.RunsFilter(tags={REFRESH_TAG: "true"}, statuses=IN_PROGRESS_RUN_STATUSES)
        )
        if running:
            return dg.SkipReason(f"{running} run(s) of an earlier tick are still at work")
        runs = plan_what_changed(Store.from_environment(), context.instance.get_dynamic_partitions(VIDEOS), reasons)
        return [refresh_request(run) for run in runs[:RUNS_PER_TICK]] or dg.SkipReason("everything is up to date")

    return schedule


nightly_backfill = _refresh_schedule(
    "nightly_backfill", "0 2 * * *", ("missing",), "Every night: makes what is missing of known videos."
)
refresh_stale = _refresh_schedule(
    "refresh_stale",
    "*/30 * * * *",
    ("stale",),
    "Every 30 minutes: makes again what other code or other inputs made, and what follows from it.",
)
retry_failed = _refresh_schedule(
    "retry_failed",
    "*/10 * * * *",
    ("failed",),
    "Every 10 minutes: tries again what failed for a reason that may pass, at most 4 times, with growing pauses.",
)


@dg.op(tags={LANE_TAG: "none"})
def prune_decoded_arrays(context: dg.OpExecutionContext) -> None:
    """Delete decoded arrays over the size budget, least recently used first, none that is in use."""
    freed = prune(Store.from_environment())
    context.log.info("%d video(s), %.1f GB of decoded arrays deleted", freed.videos, freed.bytes / 1e9)


@dg.job(tags=queue_tags(()), description="Keeps the cache of decoded arrays within its budget.")
def prune_cache_job() -> None:
    prune_decoded_arrays()


prune_cache = dg.ScheduleDefinition(
    name="prune_cache",
    job=prune_cache_job,
    cron_schedule="15 * * * *",
    description="Every hour: deletes decoded arrays over the size budget, least recently used first.",
)

status_job = dg.define_asset_job(
    "status_job",
    selection=dg.AssetSelection.assets("status"),
    tags=queue_tags(()),
    description="Counts what exists, is stale, failed.",
)

update_status = dg.ScheduleDefinition(
    name="update_status",
    job=status_job,
    cron_schedule="5 * * * *",
    description="Every hour: counts what is ok, missing, stale and failed, and keeps the counts as an asset.",
)

SENSORS = [inbox, watchlist]
SCHEDULES = [nightly_backfill, refresh_stale, retry_failed, prune_cache, update_status]
