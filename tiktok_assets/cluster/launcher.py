"""Dagster's Celery launcher, with a health check that asks the worker instead of what was last written about it."""

from __future__ import annotations

import time
from threading import Timer
from typing import Any
from uuid import uuid4

from dagster import DagsterRun, DagsterRunStatus
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import EngineEventData
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher, _get_run_priority
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG
from kombu.exceptions import OperationalError

WORKER_TAG = "tiktok_assets/worker"
"""On a run: the Celery name of the worker that executes it. Set by the worker."""

NO_WORKER = "none yet"

ANSWER_S = 3.0
MONITORING_S = 0.5
"""More than enough for run monitoring to say that a run has failed; less than another attempt takes to begin."""
SILENCE_S = 45.0
"""A worker that gives no sign of life for so long has lost its run. A Redis that restarts takes a few seconds."""


class WarmWorkerLauncher(CeleryRunLauncher):
    """Sends whole runs to warm workers; tells run monitoring whether a run's worker is still at it.

    Dagster's own launcher trusts the task's state in the result backend. That stays STARTED for ever when a worker's
    host is gone, becomes SUCCESS when a second delivery of the message is ignored, and is unknown after a Redis without
    persistence restarts. Here the worker named on the run is asked which tasks it has; there is no result backend.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._silent_since: dict[str, float] = {}
        """When a run's worker first did not answer, by run."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send the run to the workers; while Redis is away it waits in Dagster's queue.

        Raises:
            DagsterUserCodeUnreachableError: Redis does not answer. Of all errors only this one is tried again by the
                queue; any other would be the end of the run.
        """
        try:
            super().launch_run(context)
        except OperationalError as error:
            raise DagsterUserCodeUnreachableError(f"Redis does not answer: {error}") from error

    def _launch_celery_task_run(self, run: DagsterRun, task_signature: Any, routing_key: str) -> None:
        """As Dagster's own, but all that is written to the run is written before it is sent.

        A warm worker takes it at once, and writes its name on it. Dagster reads all tags of a run, adds one, and writes
        all: of two that do so at the same time one is lost, and a run without the name of its worker counts as lost.
        """
        queue, task_id = run.tags.get(DAGSTER_CELERY_QUEUE_TAG, self.default_queue), str(uuid4())
        self._instance.add_run_tags(run.run_id, {DAGSTER_CELERY_TASK_ID_TAG: task_id, WORKER_TAG: NO_WORKER})
        task_signature.apply_async(
            task_id=task_id, priority=_get_run_priority(run), queue=queue, routing_key=f"{queue}.{routing_key}"
        )
        sent = EngineEventData({"Celery Task ID": task_id, "Celery Queue": queue})
        self._instance.report_engine_event("The run was sent to the workers.", run, sent, cls=type(self))

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        worker, task_id = run.tags.get(WORKER_TAG), run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if worker in (None, NO_WORKER) or task_id is None:
            return self._silent(run, "no worker has put its name on the run")
        active = self.celery.control.inspect([worker], timeout=ANSWER_S, limit=1).active()
        if not active:
            return self._silent(run, f"its worker {worker} does not answer")
        self._silent_since.pop(run.run_id, None)
        if any(task["id"] == task_id for task in active[worker]):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        # Run monitoring looks at the run again before it believes this: the run may have ended in this moment.
        return CheckRunHealthResult(WorkerStatus.FAILED, f"Its worker {worker} has lost it: the process ended.")

    def _silent(self, run: DagsterRun, what: str) -> CheckRunHealthResult:
        since = self._silent_since.setdefault(run.run_id, time.monotonic())
        silent_s = time.monotonic() - since
        if silent_s < SILENCE_S:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"For {silent_s:.0f} s {what}.")
        del self._silent_since[run.run_id]
        return CheckRunHealthResult(WorkerStatus.FAILED, f"For {silent_s:.0f} s {what}.")

    def terminate(self, run_id: str) -> bool:
        """Cancel a run; say so first, or its end would count as a loss, and it would be tried again.

        Of one that takes too long run monitoring has said so already, and says that it failed as soon as this returns.
        It is interrupted after that: a worker that finds itself cancelled says so, and such a run is not tried again.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if run.status == DagsterRunStatus.CANCELING:
            Timer(MONITORING_S, super().terminate, [run_id]).start()
            return True
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str:
        return f"worker: {run.tags.get(WORKER_TAG, NO_WORKER)}, queue: {run.tags.get('dagster-celery/queue', 'gpu')}"
