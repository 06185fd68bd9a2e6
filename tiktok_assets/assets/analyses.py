"""One asset per analyzer, built from the catalogue."""

import inspect
from collections.abc import Iterator
from typing import Any

import dagster as dg

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.contract import Analyzer, Outcome
from analyzers.errors import MediaError
from analyzers.run import examine
from tiktok_assets.assets.weights import weights_key
from tiktok_assets.batch import Result, outcome_check, run_batch, survives_members
from tiktok_assets.download import DownloadSettings
from tiktok_assets.execution import LANE_TAG, lane_pool
from tiktok_assets.freshness import upstream, versions
from tiktok_assets.partitions import batches, videos
from tiktok_assets.store import VideoFolder


def measure(video: VideoFolder, analyzer: type[Analyzer], max_duration_s: float) -> Outcome:
    """Run an analyzer on a video of the store, from what the store holds."""
    decoded = video.stored().get("decoded_frames")
    if decoded is None or video.file is None or not decoded.succeeded:
        why = (decoded and video.read(decoded).reason) or "it was not decoded"
        return Outcome("upstream_missing", 0.0, f"there is nothing to look at: {why}")
    try:
        clip = video.clip(max_duration_s)
    except MediaError as error:
        return Outcome("upstream_missing", 0.0, str(error))
    stored = video.stored()
    names = (n for n in (*analyzer.spec.after, *analyzer.spec.uses) if n in stored)
    return examine(analyzer, clip, {name: video.read(stored[name]) for name in names})


def analysis_asset(name: str) -> dg.AssetsDefinition:
    """The asset of one analyzer: one op, so that retry, lane, log, timing and staleness are its own."""
    analyzer = analyzer_class(name)
    spec = analyzer.spec

    @dg.asset(
        name=name,
        partitions_def=videos,
        backfill_policy=batches,
        deps=[*upstream()[name], *map(weights_key, spec.weights)],
        pool=lane_pool(spec.lane),
        op_tags={LANE_TAG: spec.lane},
        check_specs=[outcome_check(name)],
        group_name=analyzer.__module__.split(".")[1],
        kinds={"analysis"},
        tags={"lane": spec.lane},
        owners=["team:tiktok-assets"],
        code_version=versions()[name],
        description=inspect.getdoc(analyzer),
        retry_policy=survives_members,
    )
    def analysis(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        limit_s = DownloadSettings.from_environment().max_duration_s

        def work(video: VideoFolder) -> dict[str, Result]:
            outcome = measure(video, analyzer, limit_s)
            return {name: Result(outcome, _shown(video, outcome))}

        yield from run_batch(context, (name,), work)

    return analysis


def _shown(video: VideoFolder, outcome: Outcome) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if outcome.analysis:
        shown |= {k: v for k, v in outcome.analysis.summary.items() if isinstance(v, (int, float, str))}
        shown["backend"] = outcome.analysis.backend
    if outcome.succeeded and (duration_s := video.clip().duration_s):
        shown["realtime_factor"] = round(outcome.seconds / duration_s, 4)
    return shown


ANALYSES = [analysis_asset(name) for name in CATALOGUE]
