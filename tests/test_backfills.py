"""Runs as people steer them: cancelled ones leave nothing behind, and what is asked for by hand goes first."""

import dagster as dg
import psutil
import pytest

from tests.dagster_server import Server
from tests.media import texture, write_video
from tests.test_webserver import ADD_PARTITION, LAUNCH, RUN
from tiktok_assets.automation import PRIORITIES, PRIORITY_TAG
from tiktok_assets.download import source_key

TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } } }
"""


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path, CUDA_VISIBLE_DEVICES="0")
    yield server
    server.stop()


@pytest.fixture
def clips(tmp_path):
    """Four clips, each long enough to be still at work when it is cancelled."""
    return [
        write_video(
            tmp_path / f"clip{number}.mp4", [texture(480, 270, seed=100 * number + i // 10) for i in range(400)]
        )
        for number in range(4)
    ]


def launch(server: Server, selector: dict, file, *assets: str, **tags: str) -> str:
    key = source_key(str(file))
    server.store.video(key).register(str(file))
    server.ask(ADD_PARTITION, key=key, selector=selector)
    chosen = ["raw_video", "decoded_frames", "audio_track", *assets]
    params = {
        "selector": selector | {"jobName": "analyze", "assetSelection": [{"path": [name]} for name in chosen]},
        "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in ({"dagster/partition": key} | tags).items()]},
        "mode": "default",
    }
    return server.ask(LAUNCH, params=params)["launchPipelineExecution"]["run"]["runId"]


def status(server: Server, run_id: str) -> str:
    return server.ask(RUN, id=run_id)["runOrError"]["status"]


@pytest.mark.timeout(400)
def test_a_cancelled_run_leaves_no_process_no_held_slot_and_no_half_written_file(server, clips):
    selector = server.selector()
    run = launch(server, selector, clips[0], "cut_analysis", "text_overlay")
    video = server.store.video(source_key(str(clips[0])))
    server.wait(lambda: "cut_analysis" in video.stored(), 90)
    with dg.DagsterInstance.from_config(server.environment["DAGSTER_HOME"]) as instance:
        (started,) = instance.all_logs(run, of_type=dg.DagsterEventType.RUN_START)
        worker = psutil.Process(started.dagster_event.pid)
        workers = [worker, *worker.children(recursive=True)]
        server.ask(TERMINATE, id=run)
        server.wait(lambda: status(server, run) == "CANCELED", 60)
        server.wait(lambda: not any(p.is_running() and p.status() != "zombie" for p in workers), 30)

        def slots() -> int:
            storage = instance.event_log_storage
            return sum(storage.get_concurrency_info(p.name).active_slot_count for p in storage.get_pool_limits())

        server.wait(lambda: slots() == 0, 60)
    assert not [p for p in video.path.rglob("*") if p.name.endswith((".partial", ".tmp"))]
    again = launch(server, selector, clips[0], "cut_analysis", "text_overlay")
    server.wait(lambda: status(server, again) == "SUCCESS", 120)
    assert {"cut_analysis", "text_overlay"} <= set(video.stored())


@pytest.mark.timeout(400)
def test_a_run_asked_for_by_hand_goes_before_a_backfill(server, clips):
    selector = server.selector()
    low = {PRIORITY_TAG: PRIORITIES["backfill"]}
    backfill = [launch(server, selector, clip, "camera_analysis", **low) for clip in clips[:3]]
    by_hand = launch(server, selector, clips[3], "cut_analysis")
    everything = [*backfill, by_hand]
    server.wait(lambda: all(status(server, run) in ("SUCCESS", "FAILURE") for run in everything), 240)
    with dg.DagsterInstance.from_config(server.environment["DAGSTER_HOME"]) as instance:
        started = {run: instance.get_run_stats(run).start_time for run in everything}
    assert {status(server, run) for run in everything} == {"SUCCESS"}
    last = max(backfill, key=lambda run: started[run])
    assert started[by_hand] < started[last], "two runs at a time: the third of the backfill had to wait"
