"""decoded_frames and audio_track: one decode pass per video, for all analyzers."""

from dataclasses import replace

import dagster as dg

from analyzers.clip import Clip
from analyzers.contract import Analysis, Outcome
from analyzers.decode import DECODER_VERSION
from tiktok_assets.assets.raw_video import raw_video
from tiktok_assets.batch import Batch, attempt, outcome_check
from tiktok_assets.download import DownloadSettings
from tiktok_assets.execution import LANE_TAG
from tiktok_assets.partitions import batches, videos


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


def _part(clip: Clip, part: str) -> Analysis:
    about, missing = clip.manifest[part], clip.manifest[f"no_{part}"]
    if about is None:
        return Analysis.nothing(missing, backend="PyAV")
    facts = {"duration_s": clip.duration_s, "truncated": clip.manifest["truncated"]}
    return Analysis(summary=facts | about, backend="PyAV")


@dg.multi_asset(
    name="decode",
    specs=[FRAMES, SOUND],
    check_specs=[outcome_check("decoded_frames"), outcome_check("audio_track")],
    backfill_policy=batches,
    op_tags={LANE_TAG: "none"},
    retry_policy=dg.RetryPolicy(max_retries=1),
)
def decode(context: dg.AssetExecutionContext):
    """One pass over each file."""
    batch = Batch(context)
    limit_s = DownloadSettings.from_environment().max_duration_s
    for video in batch.videos():
        outcomes = {}
        if video.file is None:
            reason = "raw_video has no file of it"
            outcomes = dict.fromkeys(("video", "audio"), Outcome("upstream_missing", 0.0, reason))
        else:
            opened: list[Clip] = []
            whole = attempt(lambda video=video, opened=opened: opened.append(video.clip(limit_s)) or Analysis())
            for part in ("video", "audio"):
                outcomes[part] = attempt(lambda part=part, c=opened[0]: _part(c, part)) if opened else whole
            # One pass made both; its time counts once.
            outcomes["video"] = replace(outcomes["video"], seconds=whole.seconds)
            outcomes["audio"] = replace(outcomes["audio"], seconds=0.0)
        for part, name in (("video", "decoded_frames"), ("audio", "audio_track")):
            outcome = outcomes[part]
            facts = outcome.analysis.summary if outcome.analysis else {}
            shown = {k: v for k, v in facts.items() if isinstance(v, (int, float, str))}
            batch.record(video, name, DECODER_VERSION, outcome, shown)
    yield batch.result("decoded_frames", stop_if_all_failed=True)
    yield batch.result("audio_track")
