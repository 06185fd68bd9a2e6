"""Many videos in one step: an outcome for each, whatever happens to the others.

An analyzer's failure is data, not a failed step: if a step raised, nothing downstream would run for any video of the
batch. So each outcome is written to the store, shown as metadata of the video's materialization, and judged by an asset
check per video; the report says what is missing and why.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from analyzers.contract import Analysis, Failure, Outcome
from analyzers.errors import AnalysisError
from tiktok_assets.partitions import videos
from tiktok_assets.store import Store, VideoFolder

CHECK = "outcome"


def outcome_check(asset: str) -> dg.AssetCheckSpec:
    """The check of an asset that fails for a video whose outcome is not ok or no_signal."""
    return dg.AssetCheckSpec(
        CHECK, asset=asset, partitions_def=videos, description="The outcome of this video is ok or no_signal."
    )


def failed(error: Exception) -> Outcome:
    """The outcome for an error that concerns one video."""
    kind, text = type(error).__name__, " ".join(str(error).split())[:300]
    message = text if isinstance(error, AnalysisError) else f"{kind}: {text}"
    return Outcome("failed", 0.0, message, failure=Failure(kind, text, isinstance(error, OSError)))


def attempt(work: Callable[[], Analysis | Outcome]) -> Outcome:
    """Do what may fail for one video. An `Analysis` is ok unless it gives a reason why there is nothing."""
    started = time.perf_counter()
    try:
        done = work()
    except Exception as error:
        done = failed(error)
    if isinstance(done, Analysis):
        done = Outcome("no_signal" if done.reason else "ok", 0.0, done.reason, done)
    return replace(done, seconds=time.perf_counter() - started)


@dataclass
class Batch:
    """The videos of one step and how they end."""

    context: dg.AssetExecutionContext
    store: Store = field(default_factory=Store.from_environment)
    outcomes: dict[str, dict[str, Outcome]] = field(default_factory=dict)

    def videos(self) -> Iterator[VideoFolder]:
        """The folder of each video of this step, with progress in the log."""
        keys = self.context.partition_keys
        for number, key in enumerate(keys, 1):
            self.context.log.info("video %d of %d: %s", number, len(keys), key)
            yield self.store.video(key)

    def record(
        self,
        video: VideoFolder,
        asset: str,
        version: str,
        outcome: Outcome,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Keep an outcome: in the store, as metadata of the materialization, as a check."""
        video.write(asset, version, outcome, run_id=self.context.run_id)
        self.outcomes.setdefault(asset, {})[video.key] = outcome
        about: dict[str, Any] = {"status": outcome.status, "seconds": round(outcome.seconds, 3)}
        if outcome.reason:
            about["reason"] = outcome.reason
        if outcome.analysis:
            about["segments"] = len(outcome.analysis.segments)
        key = dg.AssetKey(asset)
        self.context.add_asset_metadata(about | (metadata or {}), asset_key=key, partition_key=video.key)
        if len(self.context.partition_keys) > 1:  # with one video the step's own result is the video's
            self.context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=key,
                    check_name=CHECK,
                    passed=outcome.succeeded,
                    metadata=_check_metadata(outcome),
                    severity=_severity([outcome]),
                    partition=video.key,
                )
            )
        if not outcome.succeeded:
            self.context.log.warning("%s: %s: %s", video.key, outcome.status, outcome.reason)

    def result(self, asset: str, stop_if_all_failed: bool = False) -> dg.MaterializeResult:
        """What the step returns for an asset, after all videos.

        Raises:
            dg.Failure: no video of the batch has a result, and `stop_if_all_failed` says that going on makes no sense.
        """
        outcomes = self.outcomes[asset]
        bad = {key: outcome for key, outcome in outcomes.items() if not outcome.succeeded}
        if stop_if_all_failed and len(bad) == len(outcomes):
            lines = [f"{key}: {outcome.reason}" for key, outcome in bad.items()]
            raise dg.Failure("No video could be used.\n" + "\n".join(lines), allow_retries=False)
        metadata = {key: f"{outcome.status}: {outcome.reason}" for key, outcome in bad.items()}
        if len(outcomes) == 1:
            metadata = _check_metadata(next(iter(outcomes.values())))
        check = dg.AssetCheckResult(
            asset_key=asset,
            check_name=CHECK,
            passed=not bad,
            metadata=metadata,
            severity=_severity(bad.values()),
        )
        return dg.MaterializeResult(asset_key=asset, check_results=[check])


def _severity(outcomes: Iterable[Outcome]) -> dg.AssetCheckSeverity:
    """Weights that nobody installed are a warning; anything else without a result is an error."""
    worse = any(not outcome.succeeded and outcome.status != "weights_missing" for outcome in outcomes)
    return dg.AssetCheckSeverity.ERROR if worse else dg.AssetCheckSeverity.WARN


def _check_metadata(outcome: Outcome) -> dict[str, str]:
    return {"status": outcome.status} | ({"reason": outcome.reason} if outcome.reason else {})
