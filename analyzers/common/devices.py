"""Where a lane computes, with which numbers, and in how large a batch as memory allows."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from analyzers.contract import LANES
from analyzers.errors import AnalysisError

if TYPE_CHECKING:
    import torch

Prepared = TypeVar("Prepared")
Found = TypeVar("Found")

DEVICES_VARIABLE = "TIKTOK_ASSETS_DEVICES"
MEMORY_VARIABLE = "TIKTOK_ASSETS_GPU_MEMORY"

_lanes_in_this_process: dict[int, set[str]] = {}
"""Lanes that have computed here, by index of their GPU. A step process has one; a plain loop may have all."""


@cache
def gpus() -> tuple[str, ...]:
    """CUDA devices that the driver shows, e.g. ("cuda:0", "cuda:1"). Importing torch to ask it takes seconds."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(f"cuda:{i}" for i, name in enumerate(visible.split(",")) if name.strip() not in ("", "-1"))
    nodes = [p for p in Path("/dev").glob("nvidia[0-9]*") if p.name.removeprefix("nvidia").isdigit()]
    return tuple(f"cuda:{i}" for i in range(len(nodes)))


def lane_devices() -> dict[str, str]:
    """Device of each lane: `$TIKTOK_ASSETS_DEVICES` ("gpu_worker_0=cuda:1,gpu_worker_3=cpu") over the GPUs in turn.

    Raises:
        ValueError: the variable is not a list of LANE=DEVICE.
    """
    found = gpus()
    devices = dict.fromkeys(LANES, "cpu")
    for i, lane in enumerate(lane for lane in LANES if lane.startswith("gpu")):
        devices[lane] = found[i % len(found)] if found else "cpu"
    for part in filter(None, os.environ.get(DEVICES_VARIABLE, "").split(",")):
        lane, _, device = part.strip().partition("=")
        if lane not in devices or not device:
            raise ValueError(f"{DEVICES_VARIABLE}: {part!r} is not LANE=DEVICE with LANE one of {', '.join(LANES)}.")
        devices[lane] = device
    return devices


def memory_shares() -> dict[str, float]:
    """Share of its GPU's memory that each lane may take: `$TIKTOK_ASSETS_GPU_MEMORY` ("gpu_worker_0=0.6,...").

    A lane that is not named has no limit (1.0), so without the variable nobody has: equal shares would keep a large
    model off a GPU that it fits. Whoever finds the memory taken halves its batch.

    Raises:
        ValueError: the variable is not a list of LANE=SHARE with shares above 0 and up to 1, or it gives away more than
            all of a GPU.
    """
    given: dict[str, float] = {}
    for part in filter(None, os.environ.get(MEMORY_VARIABLE, "").split(",")):
        lane, _, text = part.strip().partition("=")
        try:
            share = float(text)
        except ValueError:
            share = 0.0
        if lane not in LANES or not 0 < share <= 1:
            expected = f"LANE=SHARE with 0 < SHARE <= 1 and LANE one of {', '.join(LANES)}"
            raise ValueError(f"{MEMORY_VARIABLE}: {part!r} is not {expected}.")
        given[lane] = share
    devices = lane_devices()
    for device in sorted({devices[lane] for lane in given} - {"cpu"}):
        total = sum(share for lane, share in given.items() if devices[lane] == device)
        if total > 1 + 1e-9:
            raise ValueError(
                f"{MEMORY_VARIABLE}: the lanes on {device} get {total:g} of its memory, more than all of it."
            )
    return dict.fromkeys(LANES, 1.0) | given


def process_share(lanes: Iterable[str]) -> float:
    """Share of a GPU's memory for a process in which these lanes compute on it, up to 1.0 (no limit)."""
    shares = memory_shares()
    return min(1.0, sum(shares[lane] for lane in lanes))


def device_of(lane: str) -> str:
    """Device of a lane, e.g. "cuda:0" or "cpu". On a GPU torch is kept to the lane's share of memory from then on.

    The share binds what torch allocates; the CUDA context of a process (some hundred MB) comes on top.

    Raises:
        AnalysisError: it is set to a GPU that torch does not see. Loads torch to ask.
        ValueError: as `lane_devices` and `memory_shares`.
    """
    device = lane_devices()[lane]
    if device != "cpu":
        import torch

        try:
            index = torch.device(device).index or 0
        except RuntimeError:
            raise AnalysisError(f"the lane {lane} is set to {device!r}, which is no device") from None
        if index >= torch.cuda.device_count():
            raise AnalysisError(f"the lane {lane} is set to {device}, which torch does not see; look at `doctor`")
        if os.environ.get(MEMORY_VARIABLE):
            here = _lanes_in_this_process.setdefault(index, set())
            here.add(lane)
            torch.cuda.set_per_process_memory_fraction(process_share(here), index)
    return device


def dtype_on(device: str) -> torch.dtype:
    """Numbers to compute with: bfloat16 on a GPU that knows it, else float16 there; float32 on the CPU."""
    import torch

    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def require_memory(device: str, needed_bytes: int, what: str) -> None:
    """Refuse early what would get the process killed: on the CPU nothing reports that memory ran out.

    Raises:
        AnalysisError: less memory is free on this machine than is needed.
    """
    import psutil

    free_bytes = psutil.virtual_memory().available
    if device == "cpu" and needed_bytes > free_bytes:
        need, free = needed_bytes / 1e9, free_bytes / 1e9
        raise AnalysisError(f"out of memory: {what} takes {need:.0f} GB on the CPU and {free:.0f} GB are free")


OUT_OF_MEMORY = (
    "out of memory",  # torch.OutOfMemoryError, CUDA errors
    "allocate memory",  # torch's DefaultCPUAllocator; ENOMEM of the system
    "not enough memory",  # the same allocator on other systems
    "insufficient memory",  # OpenCV
    "unable to allocate",  # numpy
    "std::bad_alloc",
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED: no room for their workspaces
)
"""What libraries say when memory runs out; most of them in an ordinary RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory of the device or of the machine ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(said in text for said in OUT_OF_MEMORY)


def in_batches(
    items: Sequence[Any] | np.ndarray,
    size: int,
    prepare: Callable[[Any], Prepared],
    compute: Callable[[Prepared], Iterable[Found]],
) -> Iterator[Found]:
    """One result per item, computed in batches. Where memory runs out (in preparing too), the batch is halved for good.

    Args:
        items: in order.
        size: items per batch at first.
        prepare: CPU work on a batch (a slice of the items); done in a thread while the batch before computes, so that
            a GPU need not wait.
        compute: gives one result per item of what was prepared.

    Raises:
        AnalysisError: memory ran out with a single item.
    """
    at, size = 0, max(1, size)
    with ThreadPoolExecutor(1, "prepare") as ahead:
        next_batch = ahead.submit(prepare, items[:size])
        while at < len(items):
            end, batch, found = at + size, None, None
            try:
                batch = next_batch.result()
                if end < len(items):
                    next_batch = ahead.submit(prepare, items[end : end + size])
                found = compute(batch)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            del batch
            if found is not None:
                yield from found
                at = end
                continue
            # Outside of the except block: its traceback would keep the tensors of the failed attempt alive.
            if size == 1:
                raise AnalysisError("out of memory even with one item at a time")
            size //= 2
            wait([next_batch])
            del next_batch
            free_cached_memory()
            next_batch = ahead.submit(prepare, items[at : at + size])


def free_cached_memory() -> None:
    """Hand back device memory that nothing uses any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
