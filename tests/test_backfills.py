"""Runs as people steer them: cancelled ones leave nothing behind, and what is asked for by hand goes first."""

import dagster as dg
import psutil
import pytest

from tests.dagster_server import Server
from tests.media import texture, write_video
from tests.test_webserver import BACKFILL, BACKFILL_STATE
from tiktok_assets.automation import PRIORITY
from tiktok_assets.partitions import VIDEOS_PER_RUN

TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } } }
"""


CANCEL_BACKFILL = """
mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename ... on PythonError { message } } }
"""
ENDED = ("COMPLETED_SUCCESS", "COMPLETED", "COMPLETED_FAILED", "FAILED", "CANCELED")


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


@pytest.mark.timeout(400)
def test_a_cancelled_run_leaves_no_process_no_held_slot_and_no_half_written_file(server, clips):
    video = server.add(clips[0])
    run = server.launch(video, "cut_analysis", "text_overlay")
    server.wait(lambda: "cut_analysis" in video.stored(), 90)
    with server.instance() as instance:
        (started,) = instance.all_logs(run, of_type=dg.DagsterEventType.RUN_START)
        worker = psutil.Process(started.dagster_event.pid)
        workers = [worker, *worker.children(recursive=True)]
        server.ask(TERMINATE, id=run)
        server.wait(lambda: server.status(run) == "CANCELED", 60)
        server.wait(lambda: not any(p.is_running() and p.status() != "zombie" for p in workers), 30)

        def slots() -> int:
            storage = instance.event_log_storage
            return sum(storage.get_concurrency_info(p.name).active_slot_count for p in storage.get_pool_limits())

        server.wait(lambda: slots() == 0, 60)
    assert not [p for p in video.path.rglob("*") if p.name.endswith((".partial", ".tmp"))]
    again = server.launch(video, "cut_analysis", "text_overlay")
    server.wait(lambda: server.status(again) == "SUCCESS", 120)
    assert {"cut_analysis", "text_overlay"} <= set(video.stored())


@pytest.mark.timeout(400)
def test_a_run_asked_for_by_hand_goes_before_a_backfill(server, clips):
    low = PRIORITY["backfill"]
    backfill = [server.launch(server.add(clip), "camera_analysis", **low) for clip in clips[:3]]
    by_hand = server.launch(server.add(clips[3]), "cut_analysis")
    everything = [*backfill, by_hand]
    server.wait(lambda: all(server.status(run) in ("SUCCESS", "FAILURE") for run in everything), 240)
    with server.instance() as instance:
        started = {run: instance.get_run_stats(run).start_time for run in everything}
    assert {server.status(run) for run in everything} == {"SUCCESS"}
    last = max(backfill, key=lambda run: started[run])
    assert started[by_hand] < started[last], "two runs at a time: the third of the backfill had to wait"


def backfill(server: Server, keys: list[str], *assets: str) -> str:
    asked = {"partitionNames": keys, "assetSelection": [{"path": [name]} for name in assets]}
    launched = server.ask(BACKFILL, params=asked)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return launched["backfillId"]


@pytest.mark.timeout(400)
def test_a_backfill_goes_in_runs_of_16_and_a_cancelled_one_leaves_nothing(server, tmp_path):
    keys = []
    for number in range(VIDEOS_PER_RUN + 2):
        clip = write_video(tmp_path / f"{number}.mp4", [texture(96, 64, seed=number)] * 12)
        keys.append(server.add(clip).key)

    def state(backfill_id: str) -> dict:
        return server.ask(BACKFILL_STATE, id=backfill_id)["partitionBackfillOrError"]

    media = ["raw_video", "decoded_frames", "audio_track"]
    first = backfill(server, keys, *media, "cut_analysis")
    server.wait(lambda: state(first)["status"] in ENDED, 200)
    assert state(first)["status"] == "COMPLETED_SUCCESS"
    assert len(state(first)["runs"]) == 2
    assert all("cut_analysis" in server.store.video(key).stored() for key in keys)
    assert not any("camera_analysis" in server.store.video(key).stored() for key in keys), "only what was chosen"

    second = backfill(server, keys, "camera_analysis", "text_overlay", "color_analysis")
    server.wait(lambda: state(second)["runs"], 60)
    server.ask(CANCEL_BACKFILL, id=second)
    server.wait(lambda: state(second)["status"] in ENDED, 120)
    assert state(second)["status"] == "CANCELED"
    with server.instance() as instance:
        storage = instance.event_log_storage
        pools = [pool.name for pool in storage.get_pool_limits()]
        server.wait(lambda: not sum(storage.get_concurrency_info(p).active_slot_count for p in pools), 60)
        assert not [run for run in instance.get_runs() if not run.is_finished]
    assert not list((tmp_path / "data").rglob("*.partial"))
