"""Keeps the decoded arrays within a size budget. One that was deleted is decoded again when it is asked for."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass

from analyzers.clip import MANIFEST
from tiktok_assets.store import Store

IN_USE_S = 3600.0
"""Arrays that were opened within this time may be in use by a run."""


@dataclass(frozen=True)
class Freed:
    """What was deleted."""

    videos: int
    bytes: int


def budget_bytes() -> int:
    """`$TIKTOK_ASSETS_CACHE_BYTES`, else 50 GB."""
    return int(float(os.environ.get("TIKTOK_ASSETS_CACHE_BYTES") or 50e9))


def prune(store: Store, budget: int | None = None, in_use_s: float = IN_USE_S) -> Freed:
    """Delete arrays until the rest fits the budget, least recently opened first.

    `VideoFolder.clip` touches the manifest when it opens one; younger than `in_use_s` are never deleted.
    """
    budget = budget_bytes() if budget is None else budget
    found = []
    for manifest in store.decoded():
        with suppress(FileNotFoundError):  # another process is deleting it
            size = sum(f.stat().st_size for f in manifest.parent.iterdir())
            found.append((manifest.stat().st_mtime, size, manifest.parent))
    total = sum(size for _, size, _ in found)
    deleted = freed = 0
    for opened, size, folder in sorted(found):
        if total - freed <= budget or time.time() - opened < in_use_s:
            break
        (folder / MANIFEST).unlink(missing_ok=True)  # first: a half-deleted folder is never taken for a whole one
        shutil.rmtree(folder, ignore_errors=True)
        deleted, freed = deleted + 1, freed + size
    return Freed(deleted, freed)
