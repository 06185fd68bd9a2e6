"""library: tables and a page over the reports of all videos."""

import dagster as dg

from tiktok_assets.execution import LANE_TAG, queue_tags
from tiktok_assets.library import library_folder, pending_changes, read_table, update_library
from tiktok_assets.library_tables import COLUMNS, layout
from tiktok_assets.report.wording import number
from tiktok_assets.store import Store


@dg.asset(
    deps=["report"],
    op_tags={LANE_TAG: "none"},
    group_name="library",
    kinds={"parquet"},
    owners=["team:tiktok-assets"],
    code_version=layout(),
)
def library(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Tidy tables (videos, segments, outcomes, texts) in Parquet over all reports, and a page to look through them.

    Only what has changed since the last time is read. docs/library.md says how to query the tables.
    """
    store = Store.from_environment()
    done = update_library(store)
    for folder, why in done.unreadable.items():
        context.log.warning("%s is left out: its report cannot be read: %s", folder, why)
    rows = {table: len(read_table(store, table, ["video"])) for table in COLUMNS}
    videos = read_table(store, "videos", ["duration_s", "successful_analyzers", "total_analyzers", "realtime_factor"])
    hours = float(videos["duration_s"].sum()) / 3600
    tried = int(videos["total_analyzers"].sum())
    metadata: dict[str, dg.MetadataValue | int | float] = {
        "page": dg.MetadataValue.path(str(done.page)),
        "tables": dg.MetadataValue.path(str(library_folder(store))),
        "added": done.added,
        "changed": done.changed,
        "removed": done.removed,
        "unreadable": len(done.unreadable),
        "seconds": round(done.seconds, 3),
        "hours_of_video": round(hours, 3),
        "dagster/row_count": rows["videos"],
        **{f"rows_of_{table}": count for table, count in rows.items()},
        "summary": dg.MetadataValue.md(_summary(rows, hours, done.added, done.changed, done.removed)),
    }
    if tried:
        metadata["success_rate"] = round(int(videos["successful_analyzers"].sum()) / tried, 4)
    if videos["realtime_factor"].notna().any():
        metadata["median_realtime_factor"] = round(float(videos["realtime_factor"].median()), 4)
    return dg.MaterializeResult(metadata=metadata)


def _summary(rows: dict[str, int], hours: float, added: int, changed: int, removed: int) -> str:
    videos = f"{number(rows['videos'])} video{'s' if rows['videos'] != 1 else ''}"
    lines = [f"**{videos}**, {number(round(hours, 2))} hours: {added} added, {changed} changed, {removed} removed."]
    lines += ["", "| table | rows |", "|---|---|"]
    return "\n".join([*lines, *(f"| {table} | {number(count)} |" for table, count in rows.items())])


library_job = dg.define_asset_job(
    "library_job",
    selection=dg.AssetSelection.assets(library),
    tags=queue_tags(()),
    description="Brings the tables and the page over all videos up to date.",
    executor_def=dg.in_process_executor,
)


@dg.schedule(
    name="update_library",
    job=library_job,
    cron_schedule="45 * * * *",
    description="Every hour: brings the library up to date, if any report has changed.",
)
def update_library_schedule() -> dg.RunRequest | dg.SkipReason:
    changes = pending_changes(Store.from_environment())
    return dg.RunRequest() if changes else dg.SkipReason("the library is up to date")
