"""When the process that executes runs is replaced, so that what libraries leak is given back."""

import os
import zlib

RUNS_PER_WORKER = int(os.environ.get("TIKTOK_ASSETS_RUNS_PER_WORKER", "200"))
WORKER_MEMORY_MB = int(os.environ.get("TIKTOK_ASSETS_WORKER_MEMORY_MB", "6000"))
STAGGER = 0.25
"""Workers that were started together are not replaced together: their limits differ by up to this share."""


def staggered(limit: int, worker: str) -> int:
    """A limit for a worker, at most `STAGGER` under the given one, the same whenever the worker starts."""
    return max(1, round(limit * (1 - STAGGER * (zlib.crc32(worker.encode()) % 1000) / 1000)))
