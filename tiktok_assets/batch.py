"""Many videos in one step: an outcome for each, whatever happens to the others.

An analyzer's failure is data, not a failed step: if a step raised, nothing downstream would run for any video of the
batch. So each outcome is written to the store, shown as metadata of the video's materialization, and judged by an asset
check per video; the report says what is missing and why.

A video may also take the whole process down (a decoder that crashes, a library that hangs). Before work on a video a
mark is left in its folder. The step's retry policy starts the step again; what the same run has finished is kept, and a
video whose mark is still there has its crash counted: a second one, or a time limit passed, makes it `failed`.
"""

import faulthandler
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from analyzers.contract import Analysis, Failure, Outcome
from analyzers.errors import AnalysisError
from tiktok_assets.checks import Judgement
from tiktok_assets.execution import warm_worker
from tiktok_assets.faster_start import partitions_read_once
from tiktok_assets.freshness import due, inputs_of, versions
from tiktok_assets.partitions import VIDEOS_PER_RUN, videos
from tiktok_assets.store import Store, Stored, VideoFolder, write_json

CHECK = "outcome"

REFRESH_TAG = "tiktok_assets/refresh"
"""On a run: leave alone what is current. A range of partitions may hold such videos between those that need work."""

CRASHES_ALLOWED = 1
"""One crash may come from outside (a kill, a full machine); the second in the same run is the video's own."""

survives_members = None if warm_worker() else dg.RetryPolicy(max_retries=(CRASHES_ALLOWED + 1) * VIDEOS_PER_RUN + 1)
"""Starts a step again that crashed, as often as a whole batch of poison videos takes. Exceptions are retried once. In a
warm worker a crash ends the run and another takes its place; a policy would only let steps outlive a cancelled run."""

TIME_LIMIT_S = float(os.environ.get("TIKTOK_ASSETS_TIME_LIMIT_S", "600"))
"""Longest that one analyzer may take for one video."""


def outcome_check(asset: str) -> dg.AssetCheckSpec:
    """The check of an asset that fails for a video whose outcome is not ok or no_signal."""
    return dg.AssetCheckSpec(
        CHECK, asset=asset, partitions_def=videos, description="The outcome of this video is ok or no_signal."
    )


@dataclass(frozen=True)
class Result:
    """What a step has to say about one asset of one video."""

    outcome: Outcome
    shown: Mapping[str, Any] = field(default_factory=dict)
    """Metadata for the UI."""
    digest: str | None = None
    """Stands for the result in staleness; by default made from the outcome."""


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


def run_batch(
    context: dg.AssetExecutionContext,
    assets: tuple[str, ...],
    work: Callable[[VideoFolder], Mapping[str, Result]],
    time_limit_s: float = TIME_LIMIT_S,
    stop_if_all_failed: bool = False,
    judge: Callable[[VideoFolder], Mapping[str, Judgement]] | None = None,
) -> Iterator[dg.MaterializeResult]:
    """Do a step's work for each of its videos and yield the step's results.

    Args:
        context: of the step.
        assets: names of the assets that the step makes.
        work: makes them for one video; it should not raise for what is wrong with the video.
        time_limit_s: after so long with one video its process is ended and the video is `failed: timed out`.
        stop_if_all_failed: raise when no video has a result of the first asset, so that nothing downstream runs.
        judge: gives the results of the first asset's further checks for a video that has a result; should not raise.

    Raises:
        dg.Failure: as said, or for what is wrong with the machine rather than with a video (a full disk).
    """
    with partitions_read_once(context.instance):
        batch = _Batch(context, Store.from_environment(), assets, judge)
        if len(batch.keys) > 1:
            context.log.info("%d videos", len(batch.keys))
        try:
            for key in batch.keys:
                batch.do(batch.store.video(key), work, time_limit_s)
        except OSError as error:
            again = context.retry_number == 0
            raise dg.Failure(f"The results could not be written: {error}", allow_retries=again) from error
        if stop_if_all_failed:
            batch.stop_if_all_failed()
        for asset in assets:
            yield batch.result(asset)
            batch.log_checks_of_videos(asset)


@dataclass(frozen=True)
class _CheckOfVideo:
    video: str
    check: str
    passed: bool
    metadata: Mapping[str, Any]
    severity: dg.AssetCheckSeverity


@dataclass
class _Batch:
    context: dg.AssetExecutionContext
    store: Store
    assets: tuple[str, ...]
    judge: Callable[[VideoFolder], Mapping[str, Judgement]] | None = None
    judged: dict[str, dict[str, Judgement]] = field(default_factory=dict)
    """Per further check of the first asset, by video."""
    outcomes: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    checks: dict[str, list[_CheckOfVideo]] = field(default_factory=dict)
    """Per asset, still to be logged."""

    @cached_property
    def keys(self) -> list[str]:
        """The videos of the step; Dagster reads all partitions from the database each time it is asked."""
        return list(self.context.partition_keys)

    @property
    def run_id(self) -> str:
        """Of the run, or of the one that this is another attempt at."""
        return self.context.run.root_run_id or self.context.run_id

    def do(self, video: VideoFolder, work: Callable[[VideoFolder], Mapping[str, Result]], limit_s: float) -> None:
        if kept := self._kept(video):
            for asset, outcome in kept.items():
                self._show(video, asset, Result(outcome, {"kept": "current"}))
            return
        made_by = versions()  # asked before the work: a model may be installed meanwhile
        mark = _Mark(video.path / "outcomes" / f".{self.assets[0]}.running", self.run_id)
        crash = mark.crash()
        if crash is not None and (crash.timed_out or crash.count > CRASHES_ALLOWED):
            results: Mapping[str, Result] = dict.fromkeys(self.assets, Result(_poison(self.assets[0], crash, limit_s)))
        else:
            with mark.guarding(limit_s, crash.count if crash else 0):
                results = work(video)
        for asset in self.assets:
            self._record(video, asset, results[asset], made_by[asset])
        mark.remove()

    def _kept(self, video: VideoFolder) -> dict[str, Outcome] | None:
        """Outcomes that need not be made again: finished earlier in this run, or current in a refresh."""
        stored = video.stored()
        if any(asset not in stored for asset in self.assets):
            return None
        if REFRESH_TAG in self.context.run.tags:
            if any(due(video, asset, stored) for asset in self.assets):
                return None
        elif not self._is_second_attempt() or any(self._is_of_another_run(video, stored[a]) for a in self.assets):
            return None
        return {asset: video.read(stored[asset]) for asset in self.assets}

    def _is_second_attempt(self) -> bool:
        return self.context.retry_number > 0 or self.context.run.parent_run_id is not None

    def _is_of_another_run(self, video: VideoFolder, stored: Stored) -> bool:
        return video.read_record(stored).get("run_id") != self.run_id

    def _record(self, video: VideoFolder, asset: str, result: Result, version: str) -> None:
        inputs = inputs_of(asset, video.stored())
        attempts = 1
        if not result.outcome.succeeded and (before := video.stored().get(asset)) and before.status == "failed":
            attempts += int(video.read_record(before).get("attempts", 1))
        facts = {"run_id": self.run_id, "attempts": attempts}
        video.write(asset, version, result.outcome, inputs, result.digest, **facts)
        self._show(video, asset, result)

    def _show(self, video: VideoFolder, asset: str, result: Result) -> None:
        """Make an outcome visible in Dagster: metadata of the video's materialization, and its check."""
        outcome, key = result.outcome, dg.AssetKey(asset)
        self.outcomes.setdefault(asset, {})[video.key] = outcome
        about: dict[str, Any] = {"status": outcome.status, "seconds": round(outcome.seconds, 3)}
        if outcome.reason:
            about["reason"] = outcome.reason
        if outcome.analysis:
            about["segments"] = len(outcome.analysis.segments)
        self.context.add_asset_metadata(about | dict(result.shown), asset_key=key, partition_key=video.key)
        self.checks.setdefault(asset, []).append(
            _CheckOfVideo(video.key, CHECK, outcome.succeeded, _check_metadata(outcome), _severity([outcome]))
        )
        if self.judge and asset == self.assets[0] and outcome.succeeded:
            self._judge(video, self.judge(video))
        if not outcome.succeeded:
            self.context.log.warning("%s: %s: %s", video.key, outcome.status, outcome.reason)

    def _judge(self, video: VideoFolder, judgements: Mapping[str, Judgement]) -> None:
        for check, judgement in judgements.items():
            self.judged.setdefault(check, {})[video.key] = judgement
            self.checks.setdefault(self.assets[0], []).append(
                _CheckOfVideo(video.key, check, judgement.passed, judgement.shown, dg.AssetCheckSeverity.WARN)
            )

    def log_checks_of_videos(self, asset: str) -> None:
        """Log an asset's checks per video, once its materializations are stored.

        The UI shows a check of a video only if it says which materialization it is of, and it must be the latest. In a
        run of `dagster/partition` Dagster itself says so of the step's own check; in one of a range, even of one video,
        it does not.
        """
        if self.context.has_partition_key:
            return
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        stored = self.context.instance.get_latest_storage_id_by_partition(dg.AssetKey(asset), kind, set(self.keys))
        for found in self.checks.get(asset, []):
            target = AssetCheckEvaluationTargetMaterializationData(
                storage_id=stored[found.video], run_id=self.context.run_id, timestamp=time.time()
            )
            evaluation = dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(asset),
                check_name=found.check,
                passed=found.passed,
                metadata=found.metadata,
                severity=found.severity,
                partition=found.video,
                target_materialization_data=target,
            )
            self.context.log_event(evaluation)

    def stop_if_all_failed(self) -> None:
        outcomes = self.outcomes[self.assets[0]]
        if not any(outcome.succeeded for outcome in outcomes.values()):
            lines = [f"{key}: {outcome.reason}" for key, outcome in outcomes.items()]
            raise dg.Failure("No video could be used.\n" + "\n".join(lines), allow_retries=False)

    def result(self, asset: str) -> dg.MaterializeResult:
        """What the step returns for an asset, after all videos."""
        outcomes = self.outcomes[asset]
        bad = {key: outcome for key, outcome in outcomes.items() if not outcome.succeeded}
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
        further = sorted(
            key.name for key in self.context.selected_asset_check_keys if key.asset_key == dg.AssetKey(asset)
        )
        checks = [check, *(self._further_check(asset, name) for name in further if name != CHECK)]
        return dg.MaterializeResult(asset_key=asset, check_results=checks)

    def _further_check(self, asset: str, name: str) -> dg.AssetCheckResult:
        """A further check over all videos. One that has no result to judge does not pass it."""
        judged = self.judged.get(name, {})
        metadata: dict[str, Any] = {key: "nothing to judge" for key in self.keys if key not in judged}
        metadata |= {key: str(dict(found.shown)) for key, found in judged.items() if not found.passed}
        passed = not metadata
        if len(self.keys) == 1 and judged:
            metadata = dict(next(iter(judged.values())).shown)
        return dg.AssetCheckResult(
            asset_key=asset, check_name=name, passed=passed, metadata=metadata, severity=dg.AssetCheckSeverity.WARN
        )


@dataclass(frozen=True)
class _Crash:
    count: int
    timed_out: bool
    what: str


@dataclass(frozen=True)
class _Mark:
    """A file that says that a process of a run is at work on a video; it outlives the process when that is killed."""

    path: Path
    run_id: str

    @property
    def log(self) -> Path:
        """Where Python's faulthandler leaves what ended the process."""
        return self.path.with_suffix(".fault")

    def crash(self) -> _Crash | None:
        """How the last process of this run that worked on the video ended, None if it finished or there was none."""
        try:
            mark = json.loads(self.path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if mark["run_id"] != self.run_id:
            return None
        try:
            said = next((line for line in self.log.read_text("utf-8").splitlines() if line.strip()), "")
        except FileNotFoundError:
            said = ""
        what = said.removeprefix("Fatal Python error: ") or "killed from outside, perhaps for want of memory"
        return _Crash(mark["crashes"] + 1, said.startswith("Timeout"), what)

    @contextmanager
    def guarding(self, limit_s: float, crashes: int) -> Iterator[None]:
        """Mark the video as being worked on, and end the process (even one stuck in C) when it takes too long."""
        write_json(self.path, {"run_id": self.run_id, "crashes": crashes, "pid": os.getpid()})
        with self.log.open("w", encoding="utf-8") as log:
            faulthandler.enable(log)
            faulthandler.dump_traceback_later(limit_s, exit=True, file=log)
            try:
                yield
            except BaseException:  # cancelled, or the disk is full: no crash
                self.remove()
                raise
            finally:
                faulthandler.cancel_dump_traceback_later()
                faulthandler.disable()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)


def _poison(asset: str, crash: _Crash, limit_s: float) -> Outcome:
    if crash.timed_out:
        reason = f"{asset} timed out: it took longer than {limit_s:.0f} s for this video"
        return Outcome("failed", limit_s, reason, failure=Failure("timed_out", reason, False))
    reason = f"{asset} crashed its process {crash.count} times on this video: {crash.what}"
    return Outcome("failed", 0.0, reason, failure=Failure("crashed", reason, False))


def _severity(outcomes: Iterable[Outcome]) -> dg.AssetCheckSeverity:
    """Weights that nobody installed are a warning; anything else without a result is an error."""
    worse = any(not outcome.succeeded and outcome.status != "weights_missing" for outcome in outcomes)
    return dg.AssetCheckSeverity.ERROR if worse else dg.AssetCheckSeverity.WARN


def _check_metadata(outcome: Outcome) -> dict[str, str]:
    return {"status": outcome.status} | ({"reason": outcome.reason} if outcome.reason else {})
