"""Where steps run: lanes, the GPU-tagged executor and the pools; devices are those of `analyzers.common.devices`.

A lane is an op tag `gpu: <lane>`, and on a GPU a pool of the same name. Its limit comes from its device: one step at a
time on a GPU; without one the lanes share the cores, and only the number of processes binds.

A warm worker (`tiktok_assets.cluster.worker`) executes a whole run in its own process, so that models stay loaded; the
queue that a run waits in is chosen by a tag.
"""

import os
from collections.abc import Iterable
from typing import Any

import dagster as dg

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.common.devices import lane_devices
from tiktok_assets.faster_start import PRELOAD

LANE_TAG = "gpu"
DOWNLOAD_POOL = "download"


def warm_worker() -> bool:
    """Whether this process is a warm worker, which says so before it loads the definitions."""
    return bool(os.environ.get("TIKTOK_ASSETS_WARM_WORKER"))


def lane_pool(lane: str) -> str | None:
    """The pool that keeps a GPU lane to one step at a time across runs.

    None where the lane runs on the CPU, and in a warm worker: it does one step at a time, on a GPU of its own machine.
    """
    return lane if lane_devices()[lane] != "cpu" and not warm_worker() else None


def processes() -> int:
    """Step processes at a time in a run: `$TIKTOK_ASSETS_PROCESSES`, else the cores this process may use."""
    return int(os.environ.get("TIKTOK_ASSETS_PROCESSES") or len(os.sched_getaffinity(0)))


def executor_config() -> dict[str, Any]:
    """Configuration of Dagster's multiprocess executor as this project runs it."""
    gpu_lanes = [lane for lane, device in lane_devices().items() if device != "cpu"]
    return {
        "max_concurrent": processes(),
        "start_method": {"forkserver": {"preload_modules": PRELOAD}},
        "tag_concurrency_limits": [{"key": LANE_TAG, "value": lane, "limit": 1} for lane in gpu_lanes],
    }


def _executor() -> dg.ExecutorDefinition:
    if warm_worker():
        return dg.in_process_executor.configured({}, name="gpu_tagged_executor")
    return dg.multiprocess_executor.configured(executor_config(), name="gpu_tagged_executor")


gpu_tagged_executor = _executor()
"""Dagster's multiprocess executor: forked from a warm server, one step at a time per GPU lane. In a warm worker its
in-process one."""


QUEUE_TAG = "dagster-celery/queue"
"""On a run: which class of warm workers takes it, gpu (also where it is not said) or cpu. Nothing without workers."""


def queue_tags(assets: Iterable[str]) -> dict[str, str]:
    """The queue for a run that makes the given assets: cpu if no analyzer among them wants a GPU."""
    lanes = {analyzer_class(name).spec.lane for name in assets if name in CATALOGUE}
    return {QUEUE_TAG: "gpu" if lanes - {"cpu_parallel"} else "cpu"}
