"""A job with one asset whose work on a video goes wrong as the video's key says. Used by test_batch.py."""

import ctypes
import os
import signal
from pathlib import Path

import dagster as dg

from analyzers.contract import Analysis, Outcome, Segment
from tiktok_assets.batch import Result, attempt, outcome_check, run_batch, survives_members
from tiktok_assets.execution import gpu_tagged_executor
from tiktok_assets.partitions import batches, videos

ASSET = "color_analysis"
TIME_LIMIT_S = 3.0


def misbehave(key: str) -> Analysis:
    fault = key.partition("-")[0]
    if fault == "segfault":
        ctypes.string_at(0)
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "killed" and not Path(os.environ["FAULT_LOG"]).read_text().count(f"{key}\n") > 1:
        os.kill(os.getpid(), signal.SIGKILL)  # once only, as from outside
    if fault == "hang":
        ctypes.PyDLL(None).sleep(60)  # without releasing the interpreter's lock, as a bad C library does
    if fault == "memory":
        bytearray(1 << 60)
    if fault == "raise":
        raise ValueError("bad luck")
    if fault == "full":
        raise OSError(28, "No space left on device")
    return Analysis(segments=(Segment(0.0, 1.0, key),), backend="test")


@dg.asset(
    name=ASSET,
    partitions_def=videos,
    backfill_policy=batches,
    check_specs=[outcome_check(ASSET)],
    retry_policy=survives_members,
)
def faulty(context: dg.AssetExecutionContext):
    def work(video):
        with Path(os.environ["FAULT_LOG"]).open("a") as log:
            log.write(f"{video.key}\n")
        outcome: Outcome = attempt(lambda: misbehave(video.key))
        return {ASSET: Result(outcome)}

    yield from run_batch(context, (ASSET,), work, TIME_LIMIT_S)


@dg.asset(name="report", partitions_def=videos, backfill_policy=batches, deps=[faulty])
def after(context: dg.AssetExecutionContext) -> None:
    """Downstream of it: runs for all videos whatever became of some."""


defs = dg.Definitions([faulty, after], jobs=[dg.define_asset_job("faulty_job")], executor=gpu_tagged_executor)


def job():
    return defs.resolve_job_def("faulty_job")
