"""Everything put together: what `dagster dev` and `dg dev` load."""

import dagster as dg

from tiktok_assets.assets.analyses import ANALYSES
from tiktok_assets.assets.media import decode
from tiktok_assets.assets.raw_video import raw_video
from tiktok_assets.assets.report import report
from tiktok_assets.execution import gpu_tagged_executor
from tiktok_assets.faster_start import keep_migration_scripts

ANALYZE_JOB = "analyze"

keep_migration_scripts()

analyze = dg.define_asset_job(
    ANALYZE_JOB,
    selection=dg.AssetSelection.all(),
    description="From the source to the report, for the chosen videos.",
)

defs = dg.Definitions(
    assets=[raw_video, decode, *ANALYSES, report],
    jobs=[analyze],
    executor=gpu_tagged_executor,
)
