"""Runs of the project's job: which videos go into one run, and a run inside this process for the command line.

With the default queued coordinator a launched run would wait for a daemon; the command line runs the job itself, in the
same instance, so that the UI shows it as any other run.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import RunFailureReason
from dagster._core.execution.api import execute_run_iterator

from tiktok_assets.automation import ANALYZE_JOB, range_tags
from tiktok_assets.definitions import defs
from tiktok_assets.partitions import VIDEOS, VIDEOS_PER_RUN
from tiktok_assets.project import PROJECT


def register(instance: dg.DagsterInstance, keys: Sequence[str]) -> None:
    """Make partitions of new videos in one request, so that they are neighbours and fit into one run."""
    known = set(instance.get_dynamic_partitions(VIDEOS))
    if new := [key for key in dict.fromkeys(keys) if key not in known]:
        instance.add_dynamic_partitions(VIDEOS, new)


def contiguous_batches(keys: Sequence[str], all_keys: Sequence[str], most: int = VIDEOS_PER_RUN) -> list[list[str]]:
    """Split videos into runs: a run takes a range of partitions in the order in which they were added."""
    wanted = set(keys)
    batches: list[list[str]] = []
    neighbour = False
    for key in all_keys:
        if key not in wanted:
            neighbour = False
            continue
        if not neighbour or len(batches[-1]) == most:
            batches.append([])
        batches[-1].append(key)
        neighbour = True
    return batches


def execute(
    instance: dg.DagsterInstance,
    keys: Sequence[str],
    assets: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Iterator[dg.DagsterEvent]:
    """Run the job for neighbouring videos here and now; yields what happens.

    Args:
        instance: where the run is recorded.
        keys: partition keys, as `contiguous_batches` groups them.
        assets: names of the assets to materialize; all if None.
        tags: further tags of the run.

    Raises:
        KeyboardInterrupt: it was interrupted; its step processes have ended.
    """
    module = "tiktok_assets.definitions"
    job = ReconstructableJob(ReconstructableRepository.for_module(module, "defs", str(PROJECT)), ANALYZE_JOB)
    definition = job.get_definition()
    selection = frozenset(map(dg.AssetKey, assets)) if assets is not None else None
    if selection is not None:
        job = job.get_subset(asset_selection=selection)
        definition = job.get_definition()
    run = instance.create_run_for_job(
        job_def=definition,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags=range_tags(keys[0], keys[-1]) | dict(tags or {}),
        asset_selection=selection,
        job_code_origin=job.get_python_origin(),
    )
    for event in execute_run_iterator(job, run, instance):
        yield event
        failure = event.job_failure_data if event.is_job_failure else None
        if failure and failure.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION:
            raise KeyboardInterrupt


def asset_names() -> list[str]:
    """All per-video assets, in the order in which they are computed."""
    graph = defs.resolve_asset_graph()
    return [key.to_user_string() for key in graph.toposorted_asset_keys if graph.get(key).is_partitioned]
