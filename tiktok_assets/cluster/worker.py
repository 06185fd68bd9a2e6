"""A warm worker: the Celery app whose tasks are whole runs. Models stay loaded from one run to the next.

    celery -A tiktok_assets.cluster.worker worker -Q gpu -n gpu-1@%h --concurrency 1

Broker and options come from the launcher in dagster.yaml of `$DAGSTER_HOME`. A worker is one process that executes runs
(and its parent, which never imports a model into use): the parent imports the heavy libraries once, the child is a fork
of it. The child is replaced after `$TIKTOK_ASSETS_RUNS_PER_WORKER` runs, or when it has grown over
`$TIKTOK_ASSETS_WORKER_MEMORY_MB`: what libraries leak is given back then, models are loaded again.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

os.environ["TIKTOK_ASSETS_WARM_WORKER"] = "true"  # before the definitions choose their executor

from celery import Celery, signals
from dagster import DagsterInstance
from dagster._cli.api import _execute_run_command_body
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME

import tiktok_assets.preloaded  # noqa: F401 - what all runs import; forked with the child
from tiktok_assets.cache import prune
from tiktok_assets.cluster.launcher import WORKER_TAG, WarmWorkerLauncher
from tiktok_assets.cluster.recycling import RUNS_PER_WORKER, WORKER_MEMORY_MB, staggered
from tiktok_assets.cluster.storage import assets_read_once
from tiktok_assets.faster_start import partitions_read_once
from tiktok_assets.instance import NoInstance, local_instance
from tiktok_assets.store import Store

PRUNE_EVERY_S = 600.0


def _app() -> Celery:
    try:
        instance = local_instance()
    except NoInstance as error:
        sys.exit(error.message)
    with instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, WarmWorkerLauncher):
            sys.exit(
                f"{instance.root_directory} has no launcher for workers: set DAGSTER_HOME to dagster_home/cluster."
            )
        return launcher.celery


app = _app()


@lru_cache
def _instance(_process: int) -> DagsterInstance:
    """The instance of a process, with its connections: one for all runs."""
    return DagsterInstance.get()


@app.task(bind=True, name=TASK_EXECUTE_JOB_NAME, acks_late=True)
def execute_run(self: Any, execute_job_args_packed: Any) -> None:
    """Execute a run in this process, under the name that Dagster's launcher sends it by.

    The worker's name is put on the run: run monitoring asks that worker, and people see where it ran. A second delivery
    of a run changes nothing: Dagster ignores it.
    """
    run_id = unpack_value(execute_job_args_packed, ExecuteRunArgs).run_id
    instance = _instance(os.getpid())
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status in (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING):
        instance.add_run_tags(run_id, {WORKER_TAG: self.request.hostname})
    with _cancelled_by_sigterm(), partitions_read_once(instance), assets_read_once(instance):
        _execute_run_command_body(run_id, instance, lambda _event: None, set_exit_code_on_failure=False)
    _give_back_gpu_memory()
    _prune_own_cache(int(time.time() / PRUNE_EVERY_S))


@contextmanager
def _cancelled_by_sigterm() -> Iterator[None]:
    """Let the signal that Celery sends when a run is cancelled interrupt it as Dagster expects: a run that ended by
    SystemExit, which Celery's own handler raises, would count as lost and be tried again. Dagster copies its handler of
    SIGINT, which Celery ignores in its processes, to SIGTERM."""
    before = {signum: signal.signal(signum, signal.default_int_handler) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _give_back_gpu_memory() -> None:
    """What the allocator keeps beyond the loaded models is free for the other workers of the device."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@lru_cache(maxsize=1)
def _prune_own_cache(_when: int) -> None:
    """Keep this machine's own cache within its budget, once each `PRUNE_EVERY_S`. The schedule `prune_cache` runs on
    one worker, and reaches what that one can see."""
    store = Store.from_environment()
    if store.cache is not None:
        prune(store)


@signals.celeryd_init.connect
def _limit(sender: str, conf: Any, **_: Any) -> None:
    conf.worker_max_tasks_per_child = staggered(RUNS_PER_WORKER, sender)
    conf.worker_max_memory_per_child = staggered(WORKER_MEMORY_MB * 1000, sender)  # in kilobytes
