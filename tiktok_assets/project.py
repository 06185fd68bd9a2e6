"""Where this project lies, and where Dagster keeps its state unless it is told otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CLUSTER_HOME = PROJECT / "dagster_home" / "cluster"

DATABASE = "dagster"
PORTS = {"REDIS_PORT": "6389", "POSTGRES_PORT": "5439", "WEBSERVER_PORT": "3000"}
"""Where `make cluster` lets things listen, each changed by `$TIKTOK_ASSETS_<name>`."""


def default_dagster_home() -> None:
    """Make `$DAGSTER_HOME` absolute; let it be the project's dagster_home/ where it is not set. Children inherit it.

    With the cluster's, Redis and Postgres are those of `make cluster` where it is not said which.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or PROJECT / "dagster_home").expanduser().resolve()
    os.environ["DAGSTER_HOME"] = str(home)
    if home == CLUSTER_HOME:
        for name, address in cluster_addresses().items():
            os.environ.setdefault(name, address)


def cluster_ports(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Ports of `make cluster`, by the names in `PORTS`."""
    return {name: given.get(f"TIKTOK_ASSETS_{name}", default) for name, default in PORTS.items()}


def cluster_addresses(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment variables that say where Redis and Postgres of `make cluster` are."""
    ports = cluster_ports(given)
    return {
        "TIKTOK_ASSETS_REDIS_URL": f"redis://127.0.0.1:{ports['REDIS_PORT']}/0",
        "TIKTOK_ASSETS_POSTGRES_URL": f"postgresql+psycopg2://{DATABASE}@127.0.0.1:{ports['POSTGRES_PORT']}/{DATABASE}",
    }
