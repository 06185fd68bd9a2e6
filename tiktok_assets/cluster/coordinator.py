"""Dagster's run queue, which a run need not wait in while there is nobody before it."""

from __future__ import annotations

import logging

from dagster import DagsterEvent, DagsterEventType, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import LaunchRunContext
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES

log = logging.getLogger(__name__)


class DirectRunCoordinator(QueuedRunCoordinator):
    """A queue that launches a run where it is submitted, if nothing is queued and fewer than `max_concurrent_runs` are
    at work. Otherwise the run waits, and the daemon launches it, by priority.

    Dagster's own looks into its queue once a second: half a second of waiting for a clip that takes four. Two requests
    in the same moment may both find the last place; then one of them waits in Redis.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        if run.status != DagsterRunStatus.NOT_STARTED or not self._has_room():
            return super().submit_run(context)
        starting = DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, run.job_name)
        self._instance.report_dagster_event(starting, run_id=run.run_id)
        try:
            self._instance.run_launcher.launch_run(LaunchRunContext(run, workspace=context.workspace))
        except DagsterUserCodeUnreachableError as error:  # Redis is away; any other error ends the run, as Dagster does
            log.warning("%s The run %s is queued.", error, run.run_id)
            self._instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
        return self._instance.get_run_by_id(run.run_id) or run

    def _has_room(self) -> bool:
        queue = self._instance.get_concurrency_config().run_queue_config
        if queue is None or self._instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
            return False
        at_work = self._instance.get_runs_count(RunsFilter(statuses=ACTIVE_RUN_STATUSES))
        return queue.max_concurrent_runs == -1 or at_work < queue.max_concurrent_runs
