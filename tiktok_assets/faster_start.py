"""Makes a step process start in 0.07 s of CPU instead of 0.19: two things that Dagster would do again in each.

1. alembic reads Dagster's 88 migration scripts four times in every process that opens SQLite storages
   (`check_alembic_revision`). They do not change while a process lives, so the parsed folder is kept.
2. The forkserver imports what its children need, once a run: `PRELOAD`. A name there that does not import is skipped
   silently by multiprocessing, so a test checks them all. Nothing in it may compute or touch a GPU before the fork.
"""

from __future__ import annotations

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
    "dagster._core.secrets",
    "dagster._core.execution.api",
    "dagster._core.run_coordinator",
    "dagster._core.launcher",
    "dagster._core.workspace.autodiscovery",
    "watchdog.observers",
    "tiktok_assets.preloaded",
]
"""Modules that the forkserver imports before it forks the first step."""


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
