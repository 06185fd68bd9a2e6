"""status: how it stands with all videos, as an asset that keeps its history."""

from typing import Any

import dagster as dg

from tiktok_assets.execution import LANE_TAG
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.status import markdown, read_status
from tiktok_assets.store import Store


@dg.asset(
    group_name="library",
    kinds={"table"},
    owners=["team:tiktok-assets"],
    op_tags={LANE_TAG: "none"},
    deps=[dg.AssetDep("report", partition_mapping=dg.AllPartitionMapping())],
)
def status(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Analyzer x video: ok, no signal, missing, stale, failed; success rates, the slowest and most failing."""
    keys = context.instance.get_dynamic_partitions(VIDEOS)
    found = read_status(Store.from_environment(), keys)
    rates = [rate for asset in found.counts if (rate := found.success_rate(asset)) is not None]
    metadata: dict[str, Any] = {
        "videos": found.videos,
        "success_rate": round(sum(rates) / len(rates), 4) if rates else 0.0,
        "failed": sum(counter["failed"] for counter in found.counts.values()),
        "stale": sum(counter["stale"] for counter in found.counts.values()),
        "missing": sum(counter["missing"] for counter in found.counts.values()),
        "matrix": dg.MetadataValue.md(markdown(found)),
        "slowest": dg.MetadataValue.md(
            "\n".join(f"- {name}: {value:.2f} s per 10 s of video" for name, value in found.slowest()) or "-"
        ),
        "most_failing": dg.MetadataValue.md(
            "\n".join(f"- {name}: {count} video(s)" for name, count in found.most_failing()) or "-"
        ),
    }
    return dg.MaterializeResult(metadata=metadata)
