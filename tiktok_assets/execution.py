"""Where steps run: lanes, the GPU-tagged executor and the pools; devices are those of `analyzers.common.devices`.

A lane is an op tag `gpu: <lane>`, and on a GPU a pool of the same name. Its limit comes from its device: one step at a
time on a GPU; without one the lanes share the cores, and only the number of processes binds.
"""

import os
from typing import Any

import dagster as dg

from analyzers.common.devices import lane_devices
from tiktok_assets.faster_start import PRELOAD

LANE_TAG = "gpu"
DOWNLOAD_POOL = "download"


def lane_pool(lane: str) -> str | None:
    """The pool that keeps a GPU lane to one step at a time across runs; None where the lane runs on the CPU."""
    return lane if lane_devices()[lane] != "cpu" else None


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


gpu_tagged_executor = dg.multiprocess_executor.configured(executor_config(), name="gpu_tagged_executor")
"""Dagster's multiprocess executor: forked from a warm server, one step at a time per GPU lane."""
