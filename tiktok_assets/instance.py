"""Dagster's instance, as the command line opens it."""

import dagster as dg

from tiktok_assets.faster_start import keep_engines, keep_migration_scripts
from tiktok_assets.project import default_dagster_home


def local_instance() -> dg.DagsterInstance:
    """The instance of `$DAGSTER_HOME`, else of the project's dagster_home/."""
    default_dagster_home()
    keep_migration_scripts()
    keep_engines()
    return dg.DagsterInstance.get()
