"""The UI's way in: the webserver and the daemon load the workspace, and a materialization asked for by GraphQL runs."""

import json

import pytest

from analyzers.catalogue import CATALOGUE
from tests.dagster_server import DAGSTER_DEV, DG_DEV, Server
from tests.media import SAMPLE

BACKFILL = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILL_STATE = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status runs(limit: 100) { tags { key value } assetSelection { path } } } } }
"""


@pytest.fixture
def server(tmp_path, request):
    server = Server(tmp_path, getattr(request, "param", DAGSTER_DEV))
    yield server
    server.stop()


def test_one_partition_materialized_as_the_ui_does_it_ends_with_a_report(server):
    video = server.add(SAMPLE)
    assert server.ended(server.launch(video)) == "SUCCESS"
    report = json.loads(video.report_json.read_text("utf-8"))
    assert report["metadata"]["successful_analyzers"] > 0
    assert video.report_page.exists()

    # One analyzer of that video again, as a backfill from the UI.
    before = video.stored()
    times = {name: stored.path.stat().st_mtime_ns for name, stored in before.items()}
    asked = {"partitionNames": [video.key], "assetSelection": [{"path": ["color_analysis"]}], "title": "colour again"}
    launched = server.ask(BACKFILL, params=asked)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def done():
        state = server.ask(BACKFILL_STATE, id=launched["backfillId"])["partitionBackfillOrError"]
        return state if state["status"] in ("COMPLETED_SUCCESS", "COMPLETED", "FAILED", "COMPLETED_FAILED") else None

    state = server.wait(done, 120)
    assert state["status"] == "COMPLETED_SUCCESS"
    assert len(state["runs"]) == 1
    after = {name: s.path.stat().st_mtime_ns for name, s in video.stored().items()}
    assert [name for name in CATALOGUE if after[name] != times[name]] == ["color_analysis"]


@pytest.mark.parametrize("server", [DG_DEV], indirect=True, ids=["dg dev"])
def test_dg_dev_loads_the_project_too(server):
    repository = server.wait(server.repository, 90)
    assert len(repository["assetNodes"]) >= len(CATALOGUE) + 4
