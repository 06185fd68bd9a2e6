"""Everything put together: what `dagster dev` and `dg dev` load."""

import dagster as dg

from tiktok_assets.assets.analyses import ANALYSES
from tiktok_assets.assets.library import library, library_job, update_library_schedule
from tiktok_assets.assets.media import decode
from tiktok_assets.assets.raw_video import raw_video
from tiktok_assets.assets.report import report
from tiktok_assets.assets.status import status
from tiktok_assets.assets.weights import WEIGHTS
from tiktok_assets.automation import SCHEDULES, SENSORS, analyze, prune_cache_job, status_job
from tiktok_assets.execution import gpu_tagged_executor
from tiktok_assets.faster_start import keep_engines, keep_migration_scripts

keep_migration_scripts()
keep_engines()

defs = dg.Definitions(
    assets=[raw_video, decode, *ANALYSES, report, library, *WEIGHTS, status],
    jobs=[analyze, library_job, status_job, prune_cache_job],
    sensors=SENSORS,
    schedules=[*SCHEDULES, update_library_schedule],
    executor=gpu_tagged_executor,
)
