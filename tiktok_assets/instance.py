"""Dagster's instance, as the command line opens it."""

import os
from pathlib import Path

import dagster as dg

from tiktok_assets.faster_start import keep_engines, keep_migration_scripts

PROJECT = Path(__file__).resolve().parent.parent


def local_instance() -> dg.DagsterInstance:
    """The instance of `$DAGSTER_HOME`, else of the project's dagster_home/."""
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT / "dagster_home"))
    keep_migration_scripts()
    keep_engines()
    return dg.DagsterInstance.get()
