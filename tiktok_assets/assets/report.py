"""report: everything that is known about a video, as JSON, as a page and as a contact sheet."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any

import dagster as dg

from analyzers.catalogue import CATALOGUE
from analyzers.contract import SUCCESS, Analysis
from analyzers.errors import MediaError
from tiktok_assets.batch import Result, attempt, outcome_check, run_batch, survives_members
from tiktok_assets.checks import DESCRIPTIONS, Judgement, judge, read_history
from tiktok_assets.execution import LANE_TAG
from tiktok_assets.freshness import inputs_of, upstream
from tiktok_assets.partitions import batches, videos
from tiktok_assets.report.build import REPORT_VERSION, SCHEMA_VERSION, build_report
from tiktok_assets.report.drawing import FilmPicture, film_strip
from tiktok_assets.report.page import render_page
from tiktok_assets.store import Store, VideoFolder, write_json, written_atomically
from tiktok_assets.ui_metadata import contact_sheet, numbers, picture_markdown, summary_markdown

CONTACT_SHEET = "contact_sheet.jpg"


def write_report(video: VideoFolder) -> Analysis:
    """Write report.json, report.html and, of a video with pictures, the contact sheet.

    The summary holds the report's `metadata`.
    """
    report = build_report(video)
    stored = video.stored()
    tracks = {name: video.read(stored[name]).analysis for name in CATALOGUE if name in stored}
    thumbnail = video.thumbnail.read_bytes() if video.thumbnail else None
    film: Sequence[FilmPicture] = ()
    with suppress(MediaError):  # no video, no pictures of it
        film = film_strip(video.clip(), report)
    page = render_page(report, {name: a.tracks for name, a in tracks.items() if a and a.tracks}, thumbnail, film)
    write_json(video.report_json, report)
    with written_atomically(video.report_page) as file:
        file.write(page)
    sheet = contact_sheet(film, report["metadata"]["duration_s"] or 0.0)
    if sheet is None:
        (video.path / CONTACT_SHEET).unlink(missing_ok=True)
    else:
        with written_atomically(video.path / CONTACT_SHEET, "wb") as file:
            file.write(sheet)
    return Analysis(summary=report["metadata"], backend=f"schema {SCHEMA_VERSION}")


def _shown(video: VideoFolder, summary: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(video.report_json.read_text("utf-8"))
    shown: dict[str, Any] = {"summary": dg.MetadataValue.md(summary_markdown(found))}
    with suppress(FileNotFoundError):
        sheet = (video.path / CONTACT_SHEET).read_bytes()
        shown["contact_sheet"] = dg.MetadataValue.md(picture_markdown(sheet))
    shown |= {
        "page": dg.MetadataValue.path(str(video.report_page)),
        "json": dg.MetadataValue.path(str(video.report_json)),
        "success_rate": round(summary["successful_analyzers"] / summary["total_analyzers"], 4),
    }
    for name in ("successful_analyzers", "total_analyzers", "reconstruction_score", "processing_time_seconds"):
        shown[name] = summary[name]
    if summary["realtime_factor"] is not None:
        shown["realtime_factor"] = summary["realtime_factor"]
    shown |= numbers(found)
    rows = [f"| {n} | {s.status} |" for n, s in video.stored().items() if n in CATALOGUE and s.status not in SUCCESS]
    if rows:
        shown["missing"] = dg.MetadataValue.md("\n".join(["| analyzer | status |", "|---|---|", *rows]))
    return shown


JUDGEMENTS = [
    dg.AssetCheckSpec(name, asset="report", partitions_def=videos, description=text)
    for name, text in DESCRIPTIONS.items()
]


@dg.asset(
    partitions_def=videos,
    backfill_policy=batches,
    deps=list(upstream()["report"]),
    op_tags={LANE_TAG: "none"},
    check_specs=[outcome_check("report"), *JUDGEMENTS],
    group_name="report",
    kinds={"json"},
    owners=["team:tiktok-assets"],
    code_version=REPORT_VERSION,
    retry_policy=survives_members,
)
def report(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """report.json (see report.schema.json), report.html and contact_sheet.jpg of each video.

    It always appears: analyses that failed or are missing are named in it with the reason.
    """

    def work(video: VideoFolder) -> dict[str, Result]:
        outcome = attempt(partial(write_report, video))
        shown = _shown(video, outcome.analysis.summary) if outcome.analysis else {}
        return {"report": Result(outcome, shown, inputs_of("report", video.stored()))}

    history = cache(lambda: read_history(Store.from_environment()))  # when the first report is there, not before

    def judged(video: VideoFolder) -> Mapping[str, Judgement]:
        try:
            found = json.loads(video.report_json.read_text("utf-8"))
        except (OSError, ValueError):  # of a report that was made earlier, and has been deleted or damaged since
            return {}
        return judge(found, history())

    yield from run_batch(context, ("report",), work, judge=judged)
