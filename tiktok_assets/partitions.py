"""One partition a video, and the one backfill policy that all per-video assets share."""

import os

import dagster as dg

VIDEOS = "videos"
"""Name of the partitions definition, as the instance knows it."""

videos = dg.DynamicPartitionsDefinition(name=VIDEOS)
"""All videos that are known; keys are made by `tiktok_assets.download.source_key`."""

VIDEOS_PER_RUN = int(os.environ.get("TIKTOK_ASSETS_VIDEOS_PER_RUN", "16"))

batches = dg.BackfillPolicy.multi_run(max_partitions_per_run=VIDEOS_PER_RUN)
"""A run takes many videos and pays for start-up and models once. Dagster splits runs where policies differ, hence one
object for all."""
