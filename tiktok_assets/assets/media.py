"""decoded_frames and audio_track: one decode pass per video, for all analyzers."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg

from analyzers.clip import Clip
from analyzers.contract import Analysis, Outcome
from analyzers.decode import DECODER_VERSION
from tiktok_assets.assets.raw_video import raw_video
from tiktok_assets.batch import Result, attempt, failed, outcome_check, run_batch, survives_members
from tiktok_assets.download import DownloadSettings
from tiktok_assets.execution import LANE_TAG
from tiktok_assets.partitions import batches, videos
from tiktok_assets.store import VideoFolder, digest_of


def _spec(name: str, description: str, kind: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=[raw_video],
        partitions_def=videos,
        group_name="media",
        kinds={kind},
        owners=["team:tiktok-assets"],
        code_version=DECODER_VERSION,
        description=description,
    )


FRAMES = _spec(
    "decoded_frames",
    "Pictures as analyzers read them: brightness of every picture (160 px), small colour pictures (96 px), and RGB at "
    "4 per second (640 px), upright, pixels squared, with their times. Memory-mapped .npy files: a cache that is made "
    "again when it is gone.",
    "numpy",
)
SOUND = _spec("audio_track", "Mono sound at 16 kHz, aligned with the pictures. From the same decode pass.", "numpy")

PARTS = {"decoded_frames": "video", "audio_track": "audio"}
"""The two assets and the part of the manifest that each stands for."""


def _part(clip: Clip, part: str) -> Analysis:
    about, missing = clip.manifest[part], clip.manifest[f"no_{part}"]
    if about is None:
        return Analysis.nothing(missing, backend="PyAV")
    facts = {"duration_s": clip.duration_s, "truncated": clip.manifest["truncated"]}
    return Analysis(summary=facts | about, backend="PyAV")


def decode_video(video: VideoFolder, limit_s: float) -> dict[str, Outcome]:
    """Decode a video; the outcome of each of the two assets."""
    if video.file is None:
        return dict.fromkeys(PARTS, Outcome("upstream_missing", 0.0, "raw_video has no file of it"))
    started = time.perf_counter()
    try:
        clip = video.clip(limit_s)
    except Exception as error:
        return dict.fromkeys(PARTS, failed(error))
    seconds = time.perf_counter() - started
    outcomes = {asset: attempt(partial(_part, clip, part)) for asset, part in PARTS.items()}
    # One pass made both; its time counts once.
    return outcomes | {"decoded_frames": replace(outcomes["decoded_frames"], seconds=seconds)}


def _digest(video: VideoFolder, outcome: Outcome) -> str | None:
    """Equal files decoded by equal code give equal arrays; where the file lies and when it came do not count."""
    stored = video.stored().get("raw_video")
    return digest_of([stored.digest, DECODER_VERSION, outcome.status]) if stored and outcome.succeeded else None


@dg.multi_asset(
    name="decode",
    specs=[FRAMES, SOUND],
    check_specs=[outcome_check(asset) for asset in PARTS],
    backfill_policy=batches,
    op_tags={LANE_TAG: "none"},
    retry_policy=survives_members,
)
def decode(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """One pass over each file."""
    limit_s = DownloadSettings.from_environment().max_duration_s

    def work(video: VideoFolder) -> dict[str, Result]:
        return {
            asset: Result(outcome, _shown(outcome), _digest(video, outcome))
            for asset, outcome in decode_video(video, limit_s).items()
        }

    yield from run_batch(context, tuple(PARTS), work, stop_if_all_failed=True)


def _shown(outcome: Outcome) -> dict[str, Any]:
    facts = outcome.analysis.summary if outcome.analysis else {}
    return {k: v for k, v in facts.items() if isinstance(v, (int, float, str))}
