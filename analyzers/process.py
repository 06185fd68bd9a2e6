"""Settings of a process that must stand before the first heavy import: threads, offline switches, quiet libraries."""

from __future__ import annotations

import os

ENVIRONMENT = {
    # Thread pools of several libraries spin-wait against each other: a model became 10x slower on 2 cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # No library downloads, installs or reports anything on its own.
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "false",
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "1",
}


def prepare_process() -> None:
    """Set what is not already set in the environment. Children inherit it."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
