"""raw_video: the video file, what the site tells about it, a thumbnail."""

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from analyzers.contract import Analysis, Failure, Outcome
from tiktok_assets.batch import Result, attempt, outcome_check, run_batch, survives_members
from tiktok_assets.download import DownloadError, DownloadSettings, fetch
from tiktok_assets.execution import DOWNLOAD_POOL, LANE_TAG
from tiktok_assets.freshness import RAW_VIDEO_VERSION
from tiktok_assets.partitions import batches, videos
from tiktok_assets.store import VideoFolder

THUMBNAIL_IN_UI_PX = 240

FETCH_LIMIT_S = 3600.0
"""Longest that fetching one video may take; slow sites are slow."""


def fetch_video(video: VideoFolder, settings: DownloadSettings) -> Outcome | Analysis:
    """Bring a video into its folder. A file that is already there is kept: sites change, and downloads cost."""
    source = video.source
    if source is None:
        reason = f"nobody said where {video.key} comes from: run `tiktok-assets analyze FILE_OR_URL`"
        return Outcome("failed", 0.0, reason, failure=Failure("no_source", reason, False))
    if video.file is not None and video.info:
        return Analysis(summary={"source": source, "how": "kept", "bytes": video.file.stat().st_size}, backend="kept")
    try:
        fetched = fetch(source, video.path, settings)
    except DownloadError as error:
        return Outcome("failed", 0.0, str(error), failure=Failure(error.kind, str(error), error.retryable))
    summary = {"source": source, "how": fetched.how, "bytes": fetched.bytes}
    return Analysis(summary=summary, backend=str(fetched.info.get("extractor") or "file"))


def _shown(video: VideoFolder) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    info = video.info
    for name in ("title", "uploader", "duration", "width", "height"):
        if info.get(name):
            shown[name] = info[name]
    if str(info.get("webpage_url") or "").startswith("http"):
        shown["page"] = dg.MetadataValue.url(info["webpage_url"])
    if video.file:
        shown["file"] = dg.MetadataValue.path(str(video.file))
        shown["bytes"] = video.file.stat().st_size
    if video.thumbnail:
        picture = f"data:image/jpeg;base64,{_small_picture(video.thumbnail)}"
        shown["thumbnail"] = dg.MetadataValue.md(f"![thumbnail]({picture})")
    return shown


def _small_picture(thumbnail: Path) -> str:
    """A thumbnail in base64, small enough to lie in the event log of every video."""
    from PIL import Image

    with Image.open(thumbnail) as picture:
        picture.thumbnail((THUMBNAIL_IN_UI_PX, THUMBNAIL_IN_UI_PX))
        small = io.BytesIO()
        picture.convert("RGB").save(small, "JPEG", quality=70)
    return base64.b64encode(small.getvalue()).decode()


def content_digest(video: VideoFolder) -> str | None:
    """Stands for what is in the file, wherever it lies, and for what the publisher wrote."""
    if video.file is None:
        return None
    with video.file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    if video.info.get("extractor") != "local":
        digest.update(json.dumps([video.info.get(name) for name in ("title", "description")]).encode())
    return digest.hexdigest()[:8]


@dg.asset(
    partitions_def=videos,
    backfill_policy=batches,
    pool=DOWNLOAD_POOL,
    op_tags={LANE_TAG: "none"},
    check_specs=[outcome_check("raw_video")],
    group_name="media",
    kinds={"video"},
    owners=["team:tiktok-assets"],
    code_version=RAW_VIDEO_VERSION,
    retry_policy=survives_members,
)
def raw_video(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """The video file with its metadata and thumbnail, from a URL through yt-dlp or from a local file.

    A video that is already there is kept. To fetch it anew, delete its folder's `video.*`.
    """
    settings = DownloadSettings.from_environment()

    def work(video: VideoFolder) -> dict[str, Result]:
        outcome = attempt(partial(fetch_video, video, settings))
        digest = content_digest(video) if outcome.succeeded else None
        return {"raw_video": Result(outcome, _shown(video), digest)}

    yield from run_batch(context, ("raw_video",), work, FETCH_LIMIT_S, stop_if_all_failed=True)
