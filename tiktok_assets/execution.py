"""Where steps run: lanes, their devices, the GPU-tagged executor and the pools.

A lane is an op tag `gpu: <lane>`, and on a GPU a pool of the same name. Its limit comes from its device: one step at a
time on a GPU; without one the lanes share the cores, and only the number of processes binds.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from analyzers.contract import LANES
from tiktok_assets.faster_start import PRELOAD

LANE_TAG = "gpu"
DOWNLOAD_POOL = "download"


@cache
def gpus() -> tuple[str, ...]:
    """CUDA devices that the driver shows, e.g. ("cuda:0", "cuda:1"). Importing torch to ask it takes seconds."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(f"cuda:{i}" for i, name in enumerate(visible.split(",")) if name.strip() not in ("", "-1"))
    nodes = [p for p in Path("/dev").glob("nvidia[0-9]*") if p.name.removeprefix("nvidia").isdigit()]
    return tuple(f"cuda:{i}" for i in range(len(nodes)))


def lane_devices() -> dict[str, str]:
    """Device of each lane: `$TIKTOK_ASSETS_DEVICES` ("gpu_worker_0=cuda:1,gpu_worker_3=cpu") over the GPUs in turn."""
    found = gpus()
    devices = dict.fromkeys(LANES, "cpu")
    for i, lane in enumerate(lane for lane in LANES if lane.startswith("gpu")):
        devices[lane] = found[i % len(found)] if found else "cpu"
    for part in filter(None, os.environ.get("TIKTOK_ASSETS_DEVICES", "").split(",")):
        lane, _, device = part.strip().partition("=")
        if lane not in devices or not device:
            raise ValueError(f"TIKTOK_ASSETS_DEVICES: {part!r} is not LANE=DEVICE with LANE one of {', '.join(LANES)}.")
        devices[lane] = device
    return devices


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
