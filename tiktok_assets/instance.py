"""Dagster's instance, as the command line opens it."""

import logging
import os

import click
import dagster as dg
from dagster._core.errors import DagsterInvalidConfigError

from tiktok_assets.faster_start import keep_engines, keep_migration_scripts
from tiktok_assets.project import CLUSTER_HOME, default_dagster_home


class NoInstance(click.ClickException):
    """Dagster's instance cannot be opened; says why and what to do. A command that raises it ends with that line."""


def local_instance() -> dg.DagsterInstance:
    """The instance of `$DAGSTER_HOME`, else of the project's dagster_home/.

    Raises:
        NoInstance: there is no such folder, its dagster.yaml is wrong, or its database does not answer.
    """
    default_dagster_home()
    keep_migration_scripts()
    keep_engines()
    home = os.environ["DAGSTER_HOME"]
    if not os.path.isdir(home):
        raise NoInstance(f"DAGSTER_HOME is {home}, and there is no such folder: make it, or unset DAGSTER_HOME.")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # a line for each time that a database is tried
    try:
        return dg.DagsterInstance.get()
    except Exception as error:
        raise NoInstance(f"Dagster's instance in {home} cannot be opened: {_reason(error)}.{_advice(home)}") from error
    finally:
        logging.disable(before)


def _reason(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, DagsterInvalidConfigError):
        text = str(error.errors[0].message).partition(" Expected:")[0]
    else:
        text = str(error).partition("\n\t")[0]  # psycopg goes on with a question
    return (" ".join(text.split()) or type(error).__name__)[:300].rstrip(".")


def _advice(home: str) -> str:
    return " Is the cluster up (make cluster-status)?" if home == str(CLUSTER_HOME) else ""
