"""Limits hold across runs: one step at a time on a GPU lane, two runs at a time, and a killed run gives its slots back.

A GPU is only pretended (CUDA_VISIBLE_DEVICES), so that lanes have their pools; the analyzers themselves run on the CPU.
"""

import time

import dagster as dg
import psutil
import pytest

from analyzers.catalogue import analyzer_class
from tests.dagster_server import Server
from tests.media import still, texture, write_video

ANALYZERS = ["cut_analysis", "camera_analysis", "text_overlay"]


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path, CUDA_VISIBLE_DEVICES="0")
    yield server
    server.stop()


def worker(server: Server, run_id: str) -> psutil.Process | None:
    """The process that executes a run: the one that said that it has started."""
    with server.instance() as instance:
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START):
            return psutil.Process(entry.dagster_event.pid)
    return None


def overlapping(intervals: list[tuple[float, float]]) -> int:
    """The most intervals that hold at one time."""
    edges = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    at_once = most = 0
    for _, change in edges:
        at_once += change
        most = max(most, at_once)
    return most


@pytest.mark.timeout(600)
def test_lanes_and_runs_stay_within_their_limits_and_a_killed_run_gives_its_slots_back(server, tmp_path):
    clips = []
    for number in range(4):
        pictures = [p for i in range(4) for p in still(texture(320, 180, seed=10 * number + i), 1.0)]
        clips.append(write_video(tmp_path / f"clip{number}.mp4", pictures))
    long = write_video(tmp_path / "long.mp4", [texture(480, 270, seed=i // 8, scale_px=6 + i % 8) for i in range(900)])
    video = server.add(long)
    killed = server.launch(video, *ANALYZERS)
    server.wait(lambda: "cut_analysis" in video.stored(), 90)
    process = server.wait(lambda: worker(server, killed), 10)
    for victim in [*process.children(recursive=True), process]:
        victim.kill()
    dead = time.monotonic()
    runs = [server.launch(server.add(clip), *ANALYZERS) for clip in clips]
    server.wait(lambda: all(server.status(run) == "SUCCESS" for run in runs), 240)
    server.wait(lambda: server.status(killed) == "FAILURE", 120)
    assert time.monotonic() - dead < 240
    lanes: dict[str, list[tuple[float, float]]] = {}
    spans = []
    with server.instance() as instance:
        for run in runs:
            stats = {s.step_key: s for s in instance.get_run_step_stats(run)}
            assert set(ANALYZERS) <= set(stats)
            spans.append((min(s.start_time for s in stats.values()), max(s.end_time for s in stats.values())))
            for name in ANALYZERS:
                lane = analyzer_class(name).spec.lane
                lanes.setdefault(lane, []).append((stats[name].start_time, stats[name].end_time))
        pools = instance.event_log_storage.get_pool_limits()
        assert {pool.name for pool in pools} >= set(lanes)
        for pool in pools:
            info = instance.event_log_storage.get_concurrency_info(pool.name)
            assert info.active_slot_count == 0, f"{pool.name} is still held"
    assert len(lanes) == 2
    for lane, intervals in lanes.items():
        assert overlapping(intervals) == 1, lane
    assert overlapping(spans) <= 2
