"""Makes steps start and report faster: four things that Dagster would do again and again.

1. alembic reads Dagster's 88 migration scripts four times in every process that opens SQLite storages
   (`check_alembic_revision`). They do not change while a process lives, so the parsed folder is kept.
2. Its SQLite storages make a new SQLAlchemy engine for every event that is stored, and an engine compiles all its SQL
   anew and opens the file anew. Engines and their connections are kept, per process. And each event waits twice for the
   disk, 5 ms each time, which a write-ahead log does not need.
3. It reads all partitions from the database for each video that a step adds metadata to: 16 times 90,000 rows.
4. The forkserver imports what its children need, once a run: `PRELOAD`. A name there that does not import is skipped
   silently by multiprocessing, so a test checks them all. Nothing in it may compute or touch a GPU before the fork.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, wraps
from multiprocessing import forkserver
from typing import Any

PRELOAD = [
    "sqlalchemy.dialects.sqlite",
    "alembic",
    "dagster._core.storage.runs",
    "dagster._core.storage.event_log",
    "dagster._core.storage.schedules",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.root",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.defs_state.blob_storage_state_storage",
    "dagster._core.instance.factory",
    "dagster._core.secrets.env_file",
    "dagster._core.execution.api",
    "dagster._core.run_coordinator",
    "dagster._core.launcher",
    "dagster._core.workspace.autodiscovery",
    "dagster._core.system_config.composite_descent",
    "dagster._core.utility_ops",
    "dagster._utils.test.definitions",
    "dotenv",
    "fsspec.implementations.local",
    "upath.implementations.local",
    "watchdog.observers",
    "tiktok_assets.preloaded",
]
"""Modules that the forkserver imports before it forks the first step."""


def start_forkserver() -> None:
    """Start the forkserver now, so that it imports `PRELOAD` on one core while this process imports on another.

    The executor would start it with the first step, and a short run would wait 2 s for it. It inherits the environment.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dagster._core.executor.multiprocess", *PRELOAD])
    forkserver.ensure_running()


def keep_migration_scripts() -> None:
    """Let alembic parse a folder of migration scripts once a process (a candidate for a patch to Dagster)."""
    from alembic.script import ScriptDirectory

    if getattr(ScriptDirectory.from_config, "keeps", False):
        return
    parse = ScriptDirectory.from_config
    parsed: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Any) -> ScriptDirectory:
        location = config.get_main_option("script_location")
        if location not in parsed:
            parsed[location] = parse(config)
        return parsed[location]

    from_config.keeps = True  # type: ignore[attr-defined]
    ScriptDirectory.from_config = from_config  # type: ignore[method-assign]


def read_migration_scripts() -> None:
    """Parse Dagster's migration scripts now, for this process and its forks."""
    from alembic.script import ScriptDirectory
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.sql import get_alembic_config

    keep_migration_scripts()
    ScriptDirectory.from_config(get_alembic_config(sqlite_run_storage.__file__)).get_current_head()


def keep_engines() -> None:
    """Let Dagster's SQLite storages use one engine per database (a candidate for a patch to Dagster)."""
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        if not hasattr(module.create_engine, "cache_info"):
            module.create_engine = _kept(module.create_engine)  # type: ignore[attr-defined]


def _kept(create_engine: Any) -> Any:
    """`create_engine` with its results, and their connections, kept by database; each run has a database of its own,
    hence the limit."""
    from sqlalchemy.event import listen
    from sqlalchemy.pool import NullPool, QueuePool

    @lru_cache(maxsize=64)
    def kept(url: str, timeout_s: float | None, _process: int) -> Any:
        arguments = {} if timeout_s is None else {"connect_args": {"timeout": timeout_s}}
        engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=-1, **arguments)
        listen(engine, "connect", _leave_syncing_to_checkpoints)
        engine.dispose = lambda: None  # asked for after every use
        return engine

    @wraps(create_engine)
    def for_storage(url: str, poolclass: Any, connect_args: Any = None) -> Any:
        assert poolclass is NullPool, "Dagster has changed how it opens SQLite"
        return kept(url, (connect_args or {}).get("timeout"), os.getpid())

    for_storage.cache_info = kept.cache_info  # type: ignore[attr-defined]
    return for_storage


def _leave_syncing_to_checkpoints(connection: Any, _record: Any) -> None:
    """With a write-ahead log, which Dagster uses, this is SQLite's advice: a power cut may take the last moment of the
    event log, and never harms it. Results lie in files."""
    connection.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def partitions_read_once(instance: Any) -> Iterator[None]:
    """Let an instance read the dynamic partitions once while a step or a run goes on; they are chosen before it."""
    if "has_dynamic_partition" in vars(instance):  # the run has seen to it
        yield
        return

    @lru_cache
    def keys(name: str) -> tuple[Sequence[str], frozenset[str]]:
        found = type(instance).get_dynamic_partitions(instance, name)
        return found, frozenset(found)

    def has(partitions_def_name: str, partition_key: str) -> bool:
        return partition_key in keys(partitions_def_name)[1]

    instance.get_dynamic_partitions = lambda partitions_def_name: keys(partitions_def_name)[0]
    instance.has_dynamic_partition = has
    try:
        yield
    finally:
        del instance.get_dynamic_partitions, instance.has_dynamic_partition
