"""What is made from what, by which version of the code, and so what is missing or stale; told from file names alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Literal, get_args

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.contract import Analyzer, Need
from analyzers.decode import DECODER_VERSION
from tiktok_assets.report.build import REPORT_VERSION
from tiktok_assets.store import Stored, VideoFolder, inputs_digest

State = Literal["ok", "no_signal", "missing", "stale", "weights_missing", "upstream_missing", "failed"]
STATES: tuple[State, ...] = get_args(State)
"""An outcome's status, or `missing` if there is none, or `stale` if other code or other inputs made it."""

Due = Literal["missing", "stale", "failed"]
DUE: tuple[Due, ...] = get_args(Due)

MAX_ATTEMPTS = 4
RETRY_WAIT_S = float(os.environ.get("TIKTOK_ASSETS_RETRY_PAUSE_S", "600"))
"""Pause before what failed is tried again by a schedule or `refresh`."""

RAW_VIDEO_VERSION = "1"
MEDIA = ("raw_video", "decoded_frames", "audio_track")
PER_VIDEO = (*MEDIA, *CATALOGUE, "report")
"""All per-video assets, each after what it is made from (analyses among themselves in catalogue order)."""

PICTURE_NEEDS = frozenset({Need.FRAMES, Need.LUMA, Need.THUMBS, Need.PICTURES})


def upstream_of_analysis(analyzer: type[Analyzer]) -> list[str]:
    """Names of the assets that an analysis is made from."""
    spec = analyzer.spec
    media = ["decoded_frames"] if spec.needs & PICTURE_NEEDS or Need.AUDIO not in spec.needs else []
    media += ["audio_track"] if Need.AUDIO in spec.needs else []
    media += ["raw_video"] if Need.METADATA in spec.needs else []
    return [*media, *spec.after, *spec.uses]


@cache
def upstream() -> Mapping[str, tuple[str, ...]]:
    """Per asset the assets that it is made from."""
    found: dict[str, tuple[str, ...]] = {
        "raw_video": (),
        "decoded_frames": ("raw_video",),
        "audio_track": ("raw_video",),
    }
    found |= {name: tuple(upstream_of_analysis(analyzer_class(name))) for name in CATALOGUE}
    return found | {"report": (*MEDIA, *CATALOGUE)}


def versions() -> Mapping[str, str]:
    """Per asset the version that the code of today writes with the models that are installed.

    Looked up anew every second: models come and go while a code server or a daemon lives.
    """
    return _versions(int(time.monotonic()))


@lru_cache(maxsize=1)
def _versions(_second: int) -> Mapping[str, str]:
    found = {"raw_video": RAW_VIDEO_VERSION, "decoded_frames": DECODER_VERSION, "audio_track": DECODER_VERSION}
    found |= {name: analyzer_class(name)().code_version() for name in CATALOGUE}
    return found | {"report": REPORT_VERSION}


def inputs_of(asset: str, stored: Mapping[str, Stored]) -> str:
    """Digest of what an asset of a video would be made from now."""
    return inputs_digest(stored, upstream()[asset], failures_too=asset == "report")


def state(asset: str, stored: Mapping[str, Stored]) -> State:
    """How it stands with an asset of a video, given all that is stored of the video."""
    found = stored.get(asset)
    if found is None:
        return "missing"
    if found.version != versions()[asset] or found.inputs != inputs_of(asset, stored):
        return "stale"
    return found.status  # type: ignore[return-value]


def due(video: VideoFolder, asset: str, stored: Mapping[str, Stored]) -> Due | None:
    """Why an asset of a video should be made (again), or None if it should not.

    A failed one is due again if its failure says that a retry can help, at most `MAX_ATTEMPTS` times, after a pause of
    `RETRY_WAIT_S` that doubles each time. Outcomes that wait for weights become stale when the weights appear, since
    the version of an analysis includes the revision of its weights.
    """
    now = state(asset, stored)
    if now in ("missing", "stale"):
        return now
    if asset == "raw_video" and stored[asset].succeeded and video.file is None:
        return "missing"
    if now != "failed":
        return None
    record = video.read_record(stored[asset])
    attempts = int(record.get("attempts", 1))
    since_s = (datetime.now(UTC) - datetime.fromisoformat(record["finished_at"])).total_seconds()
    retryable = record["failure"]["retryable"] and attempts < MAX_ATTEMPTS
    return "failed" if retryable and since_s >= RETRY_WAIT_S * 2 ** (attempts - 1) else None


def downstream_of(assets: set[str]) -> set[str]:
    """The given assets and all that is made from them."""
    reached = set(assets)
    while True:
        more = {asset for asset, above in upstream().items() if asset not in reached and reached & set(above)}
        if not more:
            return reached
        reached |= more
