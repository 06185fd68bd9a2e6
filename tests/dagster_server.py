"""A real `dagster dev` or a real cluster on a fresh instance, and its GraphQL, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.media import REPOSITORY
from tiktok_assets.download import source_key
from tiktok_assets.store import Store, VideoFolder

REPOSITORIES = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } assetNodes { opNames } } } } }
"""
ADD_PARTITION = """
mutation($key: String!, $selector: RepositorySelector!) {
  addDynamicPartition(partitionsDefName: "videos", partitionKey: $key, repositorySelector: $selector) { __typename }
}
"""
LAUNCH = """
mutation($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
MEDIA_ASSETS = ("raw_video", "decoded_frames", "audio_track")
DAGSTER_DEV = [sys.executable, "-m", "dagster", "dev"]
DG_DEV = [sys.executable, "-m", "dagster_dg_cli.cli", "dev"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`dagster dev` with an instance and a store in a folder; starting it again there goes on with both."""

    def __init__(self, folder: Path, command: list[str] = DAGSTER_DEV, **environment: str) -> None:
        home = folder / "dagster_home"
        if not home.exists():
            home.mkdir()
            (home / "dagster.yaml").write_bytes((REPOSITORY / "dagster_home" / "dagster.yaml").read_bytes())
        self.port = free_port()
        self._start(folder, [*command, "--host", "127.0.0.1", "--port", str(self.port)], home, environment)

    def _start(self, folder: Path, command: list[str], home: Path, environment: dict[str, str]) -> None:
        self.store = Store(folder / "data")
        own = {"DAGSTER_HOME": str(home), "TIKTOK_ASSETS_DATA": str(self.store.root)}
        self.environment = os.environ | own | environment
        self.selector = cache(self._selector)
        self.log = (folder / "server.log").open("a")
        self.process = subprocess.Popen(
            command,
            env=self.environment,
            cwd=REPOSITORY,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        address = f"http://127.0.0.1:{self.port}/graphql"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def wait(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The first true value of a condition."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if found := condition():
                    return found
            assert self.process.poll() is None, self.said()
            time.sleep(0.25)
        pytest.fail(f"it did not happen in {seconds} s:\n{self.said()}")

    def said(self) -> str:
        return Path(self.log.name).read_text()[-3000:]

    def repository(self) -> dict[str, Any]:
        nodes = self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]
        return nodes[0] if nodes else {}

    def _selector(self) -> dict[str, str]:
        """What GraphQL calls the repository selector, once the code location is loaded."""
        repository = self.wait(self.repository, 90)
        return {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}

    def add(self, source: Path | str) -> VideoFolder:
        """Make a partition of a file or an address."""
        video = self.store.video(source_key(str(source)))
        video.register(str(source))
        self.ask(ADD_PARTITION, key=video.key, selector=self.selector())
        return video

    def launch(self, first: VideoFolder, *assets: str, last: VideoFolder | None = None, **tags: str) -> str:
        """Ask for the assets (the media too; everything if none is named) of one video, or of a range; the run's id."""
        span = {"start": first.key, "end": last.key} if last else {}
        where = {f"dagster/asset_partition_range_{end}": key for end, key in span.items()}
        tags = tags | (where or {"dagster/partition": first.key})
        chosen = [{"path": [name]} for name in (*MEDIA_ASSETS, *assets)] if assets else None
        params = {
            "selector": self.selector() | {"jobName": "analyze"} | ({"assetSelection": chosen} if chosen else {}),
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
            "mode": "default",
        }
        launched = self.ask(LAUNCH, params=params)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def status(self, run_id: str) -> str:
        return self.ask(RUN, id=run_id)["runOrError"]["status"]

    def ended(self, run_id: str, seconds: float = 120) -> str:
        """How a run ended, after waiting for it."""
        return self.wait(lambda: (s := self.status(run_id)) in ("SUCCESS", "FAILURE", "CANCELED") and s, seconds)

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            yield instance

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.kill()

    def kill(self) -> None:
        """End it and all its processes at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.log.close()
