"""The UI's way in: the webserver and the daemon load the workspace, and a materialization asked for by GraphQL runs."""

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
from pathlib import Path

import pytest

from tests.media import REPOSITORY, SAMPLE
from tiktok_assets.download import source_key
from tiktok_assets.store import Store

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
REPOSITORIES = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } assetNodes { opNames } } } } }
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`dagster dev` on a fresh instance."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        home = folder / "dagster_home"
        home.mkdir()
        (home / "dagster.yaml").write_bytes((REPOSITORY / "dagster_home" / "dagster.yaml").read_bytes())
        self.store = Store(folder / "data")
        self.environment = os.environ | {"DAGSTER_HOME": str(home), "TIKTOK_ASSETS_DATA": str(self.store.root)}
        self.port = free_port()
        self.log = (folder / "server.log").open("w+")
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            env=self.environment,
            cwd=REPOSITORY,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self, query: str, **variables) -> dict:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def wait(self, condition, seconds: float):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            assert self.process.poll() is None, Path(self.log.name).read_text()
            time.sleep(0.25)
        pytest.fail(f"it did not happen in {seconds} s:\n{Path(self.log.name).read_text()[-3000:]}")

    def repository(self) -> dict:
        nodes = self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]
        return nodes[0] if nodes else {}

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.log.close()


@pytest.fixture
def server(tmp_path, request):
    command = {"dagster dev": ["-m", "dagster", "dev"], "dg dev": ["-m", "dagster_dg_cli.cli", "dev"]}[request.param]
    server = Server(tmp_path, [sys.executable, *command])
    yield server
    server.stop()


@pytest.mark.parametrize("server", ["dagster dev"], indirect=True)
def test_one_partition_materialized_as_the_ui_does_it_ends_with_a_report(server):
    repository = server.wait(server.repository, 60)
    key = source_key(str(SAMPLE))
    server.store.video(key).register(str(SAMPLE))
    selector = {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}
    server.ask(ADD_PARTITION, key=key, selector=selector)
    params = {
        "selector": selector | {"jobName": "analyze"},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": key}]},
        "mode": "default",
    }
    launched = server.ask(LAUNCH, params=params)["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def finished():
        status = server.ask(RUN, id=run_id)["runOrError"]["status"]
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    assert server.wait(finished, 120) == "SUCCESS"
    report = json.loads(server.store.video(key).report_json.read_text("utf-8"))
    assert report["metadata"]["successful_analyzers"] > 0
    assert server.store.video(key).report_page.exists()


@pytest.mark.parametrize("server", ["dg dev"], indirect=True)
def test_dg_dev_loads_the_project_too(server):
    repository = server.wait(server.repository, 90)
    assert len(repository["assetNodes"]) > 4
