"""A real cluster as `make cluster` starts it, with Redis and Postgres from Debian's packages, for tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import psutil
import pytest

from tests.dagster_server import Server, free_port
from tests.media import REPOSITORY
from tiktok_assets.cluster import local

FASTER = {
    "poll_interval_seconds: 10": "poll_interval_seconds: 2",
    "start_timeout_seconds: 1800": "start_timeout_seconds: 30",
    "visibility_timeout: 25200": "visibility_timeout: 20",
    "retry_delay: 10": "retry_delay: 2",
}
"""Settings of the real dagster.yaml that a test would wait too long for."""


def needs_redis_and_postgres() -> None:
    """Skip where they are not installed."""
    try:
        local.environment()
    except local.NotPossible as error:
        pytest.skip(str(error))


class Cluster(Server):
    """`make cluster` with state, instance and store of its own."""

    def __init__(self, folder: Path, workers: int = 2, faster: Mapping[str, str] = FASTER, **environment: str) -> None:
        needs_redis_and_postgres()
        home = folder / "dagster_home"
        home.mkdir()
        settings = (REPOSITORY / "dagster_home" / "cluster" / "dagster.yaml").read_text("utf-8")
        for slow, fast in faster.items():
            assert slow in settings
            settings = settings.replace(slow, fast)
        (home / "dagster.yaml").write_text(settings, "utf-8")
        self.port = free_port()
        own = {
            # Postgres does not run as root, and its user cannot look into pytest's folders.
            "TIKTOK_ASSETS_CLUSTER_STATE": tempfile.mkdtemp(prefix="cluster-", dir="/tmp"),
            "TIKTOK_ASSETS_CLUSTER_HOME": str(home),
            "TIKTOK_ASSETS_WORKERS": str(workers),
            "TIKTOK_ASSETS_REDIS_PORT": str(free_port()),
            "TIKTOK_ASSETS_POSTGRES_PORT": str(free_port()),
            "TIKTOK_ASSETS_WEBSERVER_PORT": str(self.port),
        }
        os.chmod(own["TIKTOK_ASSETS_CLUSTER_STATE"], 0o755)
        command = [sys.executable, "-m", "tiktok_assets.cluster.local", "start"]
        self._start(folder, command, home, own | environment)
        self.environment |= local.environment(self.environment)

    @property
    def state(self) -> Path:
        return Path(self.environment["CLUSTER_STATE"])

    def said(self) -> str:
        """The end of every log."""
        logs = [Path(self.log.name), *sorted(self.state.glob("*.log"))]
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2500:]}" for log in logs)

    def control(self, *what: str) -> str:
        """Ask supervisor, as `make cluster-status` does."""
        command = [str(local.BIN / "supervisorctl"), "-c", str(local.CONFIG), *what]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def program(self, name: str) -> psutil.Process:
        """The process of a program such as "redis" or "worker:worker-0"."""
        return psutil.Process(int(self.control("pid", name)))

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        names = ("TIKTOK_ASSETS_REDIS_URL", "TIKTOK_ASSETS_POSTGRES_URL")
        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                patch.setenv(name, self.environment[name])
            with super().instance() as instance:
                yield instance

    def stop(self) -> None:
        """Stop it as control-C does, and see that nothing is left."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        left = psutil.wait_procs(processes, timeout=60)[1]
        self.kill()
        for process in left:
            process.kill()
        shutil.rmtree(self.state, ignore_errors=True)
        assert not left, left
