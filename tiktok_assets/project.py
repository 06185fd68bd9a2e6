"""Where this project lies, and where Dagster keeps its state unless it is told otherwise."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def default_dagster_home() -> None:
    """Let `$DAGSTER_HOME` be the project's dagster_home/ where it is not set. Children inherit it."""
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT / "dagster_home"))
