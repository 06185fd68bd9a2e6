"""Warm workers: whole runs on Celery, models loaded once per worker, and no run or video lost whatever dies."""

import configparser
import contextlib
import hashlib
import itertools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml
from celery import signals
from dagster._core.launcher import LaunchRunContext
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from dagster_postgres.event_log import PostgresEventLogStorage

from analyzers.catalogue import CATALOGUE
from analyzers.common.devices import gpus
from tests.checkpoints import install_yolo
from tests.cluster import Cluster
from tests.dagster_server import free_port
from tests.media import REPOSITORY, SAMPLE, texture, write_video
from tests.test_backfills import TERMINATE
from tiktok_assets.automation import PRIORITY
from tiktok_assets.batch import CRASHES_ALLOWED
from tiktok_assets.cluster import local
from tiktok_assets.cluster.launcher import NO_WORKER, WORKER_TAG
from tiktok_assets.cluster.recycling import STAGGER, staggered
from tiktok_assets.download import source_key
from tiktok_assets.project import CLUSTER_HOME

pytestmark = pytest.mark.timeout(600)

BUSY = ("cut_analysis", "camera_analysis", "text_overlay", "color_analysis")
"""Analyzers that keep a worker at the long clip for some seconds."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.selector()  # all of it is up
    yield cluster
    cluster.stop()


numbers = itertools.count()
"""Clips differ from test to test: the same content would be the same video."""


@pytest.fixture
def clips(tmp_path):
    return [write_video(tmp_path / f"{n}.mp4", [texture(96, 64, seed=next(numbers))] * 12) for n in range(4)]


def long_clip(folder: Path) -> Path:
    """One that keeps a worker busy for some seconds."""
    seed = 1000 * next(numbers)
    pictures = [texture(640, 360, seed=seed + i // 8, scale_px=6 + i % 8) for i in range(600)]
    return write_video(folder / "long.mp4", pictures)


@pytest.fixture
def busy(cluster, tmp_path):
    """A video that a worker has begun to work on, and the run."""
    video = cluster.add(long_clip(tmp_path))
    run = cluster.launch(video, *BUSY)
    cluster.wait(lambda: "cut_analysis" in video.stored(), 120)
    assert "text_overlay" not in video.stored()
    return video, run


def worker_of(cluster: Cluster, run: str) -> psutil.Process:
    """The parent process of the worker that executes a run."""
    with cluster.instance() as instance:
        name = instance.get_run_by_id(run).tags[WORKER_TAG]
    return cluster.program(f"worker:worker-{name.partition('@')[0]}")


def attempts(cluster: Cluster, run: str) -> list[str]:
    """How a run and those that were launched in its place stand, oldest first."""
    with cluster.instance() as instance:
        group = instance.get_run_group(run)
        return [r.status.value for r in sorted(group[1], key=lambda r: r.run_id != run)] if group else []


def made_after_all(cluster: Cluster, run: str, seconds: float = 200) -> list[str]:
    """Wait until an attempt succeeded, and see that nothing is held any more."""
    found = cluster.wait(lambda: (a := attempts(cluster, run)) and "SUCCESS" in a and a, seconds)
    with cluster.instance() as instance:
        storage = instance.event_log_storage
        pools = [pool.name for pool in storage.get_pool_limits()]
        cluster.wait(lambda: not sum(storage.get_concurrency_info(p).active_slot_count for p in pools), 60)
    return found


PLACES = ("-Q", "-n", "--host", "--port", "--bind", "--dir")
"""Options that say where something lies or listens; they differ between one machine and containers."""


def without_places(command: str) -> list[str]:
    program, *words = shlex.split(command.replace("%(ENV_REDIS_SERVER)s", "redis-server"))
    kept = [w for before, w in zip(["", *words], words, strict=False) if w not in PLACES and before not in PLACES]
    return [program.rpartition("/")[2], *kept]


def test_containers_run_the_commands_that_are_tested_here():
    programs = configparser.RawConfigParser()
    programs.read(local.CONFIG)
    services = yaml.safe_load((CLUSTER_HOME / "compose.yaml").read_text("utf-8"))["services"]
    commands = {name: without_places(s["command"]) for name, s in services.items() if "command" in s}
    here = {p.partition(":")[2]: without_places(programs[p]["command"]) for p in programs if p.startswith("program:")}
    assert set(services) - set(commands) == {"postgres"}, "its image has a command of its own"
    for name, command in commands.items():
        assert command == here[name.partition("-")[0]], name


def test_without_redis_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert local.main("start") == 1
    assert "redis-server is not installed: sudo apt install redis-server" in capsys.readouterr().err


def test_a_run_goes_to_a_worker_and_ends_with_a_report(cluster):
    video = cluster.add(SAMPLE)
    run = cluster.launch(video)
    assert cluster.ended(run) == "SUCCESS"
    report = json.loads(video.report_json.read_text("utf-8"))
    assert report["metadata"]["successful_analyzers"] >= 24
    with cluster.instance() as instance:
        assert "@" in instance.get_run_by_id(run).tags[WORKER_TAG]


def command(cluster: Cluster, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`tiktok-assets` as somebody types it who has said `make cluster`: only the home is named."""
    told = {name: value for name, value in cluster.environment.items() if not name.endswith("_URL")}
    return subprocess.run(
        [sys.executable, "-m", "tiktok_assets.cli", *arguments],
        env=told | {"DAGSTER_HOME": "dagster_home/cluster"} | environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_the_command_finds_the_cluster_by_its_home(cluster, clips):
    analyzed = command(cluster, "analyze", str(clips[0]), "--only", "color_analysis")
    assert analyzed.returncode == 0, analyzed.stderr
    video = cluster.store.video(source_key(str(clips[0])))
    with cluster.instance() as instance:
        assert instance.has_dynamic_partition("videos", video.key)
    refreshed = command(cluster, "refresh", "--analyzer", "color_analysis")
    assert "everything is up to date" in refreshed.stderr, refreshed.stderr


def test_a_command_without_the_cluster_is_one_line(cluster):
    nobody = command(cluster, "refresh", TIKTOK_ASSETS_POSTGRES_PORT=str(free_port()))
    assert nobody.returncode == 1
    (line,) = nobody.stderr.strip().splitlines()
    assert "Connection refused. Is the cluster up (make cluster-status)?" in line


def test_models_are_loaded_once_per_worker_and_not_per_run(cluster, clips):
    for clip in clips:
        assert cluster.ended(cluster.launch(cluster.add(clip), "text_overlay")) == "SUCCESS"
    logs = "".join(log.read_text() for log in cluster.state.glob("worker-*.log"))
    loads = re.findall(r"(ForkPoolWorker-\d+)\] text_overlay loaded", logs)
    runs = logs.count("Task execute_job") - logs.count("received")
    assert runs >= len(clips)
    assert 1 <= len(loads) <= 2, "one for each of the two workers at most"


def test_a_worker_that_is_killed_loses_no_video(cluster, busy):
    video, run = busy
    worker = worker_of(cluster, run)
    first = video.stored()["cut_analysis"].path.stat().st_mtime_ns
    for victim in [*worker.children(recursive=True), worker]:
        victim.send_signal(signal.SIGKILL)
    assert made_after_all(cluster, run)[0] == "FAILURE"
    assert set(BUSY) <= set(video.stored())
    assert video.stored()["cut_analysis"].path.stat().st_mtime_ns == first, "what was finished is not made again"
    assert not list(video.path.rglob("*.running"))


def test_a_process_that_dies_under_its_worker_loses_no_video(cluster, busy):
    video, run = busy
    (child,) = worker_of(cluster, run).children()
    child.send_signal(signal.SIGKILL)
    assert made_after_all(cluster, run)[0] == "FAILURE"
    assert set(BUSY) <= set(video.stored())


def test_a_video_that_crashes_its_process_is_given_up_and_the_rest_is_made(cluster, busy):
    video, run = busy
    mark = video.path / "outcomes" / ".text_overlay.running"
    crashed = set()

    def crash_again() -> bool:
        with contextlib.suppress(FileNotFoundError):
            pid = json.loads(mark.read_text())["pid"]
            if pid not in crashed:
                crashed.add(pid)
                os.kill(pid, signal.SIGSEGV)
        return "text_overlay" in video.stored()

    cluster.wait(crash_again, 240)
    assert len(crashed) == CRASHES_ALLOWED + 1
    failure = video.outcome("text_overlay").failure
    assert failure.kind == "crashed"
    assert "Segmentation fault" in failure.message
    found = made_after_all(cluster, run)
    assert (found.count("FAILURE"), found.count("SUCCESS")) == (len(crashed), 1)
    assert {video.stored()[name].status for name in BUSY if name != "text_overlay"} == {"ok"}


def test_a_run_that_takes_too_long_is_ended_and_gone_on_with(cluster, tmp_path):
    """Of many small pieces: on a slow machine, too, some are finished in each attempt."""
    clips = [write_video(tmp_path / f"{n}.mp4", [texture(96, 64, seed=next(numbers))] * 12) for n in range(24)]
    videos = [cluster.add(clip) for clip in clips]
    limits = {"dagster/max_runtime": "2", "dagster/max_retries": "40"}
    run = cluster.launch(videos[0], *CATALOGUE, last=videos[-1], **limits)
    assert cluster.ended(run) == "FAILURE"
    with cluster.instance() as instance:
        assert any("Exceeded maximum runtime of 2 seconds" in entry.message for entry in instance.all_logs(run))
    assert made_after_all(cluster, run)[0] == "FAILURE"
    assert all(set(CATALOGUE) <= set(video.stored()) for video in videos)


def test_redis_may_restart_while_runs_are_at_work(cluster, busy, clips):
    video, run = busy
    cluster.program("redis").send_signal(signal.SIGKILL)
    after = cluster.launch(cluster.add(clips[0]), "color_analysis")
    assert made_after_all(cluster, run) == ["SUCCESS"], "the run at work does not notice"
    assert "SUCCESS" in made_after_all(cluster, after)
    assert set(BUSY) <= set(video.stored())


def test_while_redis_is_away_runs_wait_in_the_queue(cluster, clips):
    cluster.control("stop", "redis")
    runs = [cluster.launch(cluster.add(clip), "color_analysis") for clip in clips]
    time.sleep(10)  # long enough for the daemon to try several times
    states = [cluster.status(run) for run in runs]
    cluster.control("start", "redis")
    assert set(states) <= {"QUEUED", "STARTING"}, "STARTING while the daemon tries"
    assert "QUEUED" in states
    for run in runs:
        assert cluster.ended(run) == "SUCCESS", "the run itself, not another attempt"


def test_postgres_may_restart_while_runs_are_at_work(cluster, busy, clips):
    video, run = busy
    cluster.program("postgres").send_signal(signal.SIGINT)
    cluster.wait(lambda: "SUCCESS" in attempts(cluster, run), 240)
    assert set(BUSY) <= set(video.stored())
    after = cluster.launch(cluster.add(clips[0]), "color_analysis")
    assert "SUCCESS" in made_after_all(cluster, after)


def test_a_message_that_is_delivered_twice_makes_one_run(cluster, busy):
    _, run = busy
    with cluster.instance() as instance:
        launcher, dagster_run = instance.run_launcher, instance.get_run_by_id(run)
        launcher.launch_run(LaunchRunContext(dagster_run, workspace=None))
        instance.add_run_tags(run, {name: dagster_run.tags[name] for name in (DAGSTER_CELERY_TASK_ID_TAG, WORKER_TAG)})
        said = "Ignoring a duplicate run"
        cluster.wait(lambda: any(said in e.message for e in instance.all_logs(run)), 60)
        assert cluster.ended(run) == "SUCCESS"
        starts = [e for e in instance.all_logs(run) if e.is_dagster_event and e.dagster_event.is_step_start]
    assert len(starts) == len({e.step_key for e in starts}), "no step twice"
    assert attempts(cluster, run) in ([], ["SUCCESS"])


def test_nothing_is_written_to_a_run_after_it_was_sent(cluster, busy):
    """A worker takes it in that moment and writes as well: one of the two would be lost."""
    _, run = busy
    with cluster.instance() as instance:
        dagster_run = instance.get_run_by_id(run)
        sent = []

        def look(headers, **_):
            record = instance.get_run_record_by_id(run)
            sent.append((headers["id"], record.dagster_run.tags, record.update_timestamp))

        signals.after_task_publish.connect(look)
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run, workspace=None))
        record = instance.get_run_record_by_id(run)
        instance.add_run_tags(run, {name: dagster_run.tags[name] for name in (DAGSTER_CELERY_TASK_ID_TAG, WORKER_TAG)})
        ((task_id, tags, written),) = sent
        assert tags[DAGSTER_CELERY_TASK_ID_TAG] == task_id
        assert tags[WORKER_TAG] == NO_WORKER
        assert record.update_timestamp == written
    assert cluster.ended(run) == "SUCCESS"


def test_a_worker_that_is_told_to_stop_finishes_its_run_first(cluster, busy):
    video, run = busy
    cluster.control("stop", "worker:*")
    assert cluster.ended(run, 5) == "SUCCESS"
    assert set(BUSY) <= set(video.stored())
    cluster.control("start", "worker:*")


def test_a_cancelled_run_ends_and_its_worker_takes_the_next(cluster, busy, clips):
    video, run = busy
    cluster.ask(TERMINATE, id=run)
    assert cluster.ended(run) == "CANCELED"
    for clip in clips:
        assert cluster.ended(cluster.launch(cluster.add(clip), "color_analysis")) == "SUCCESS"
    assert "text_overlay" not in video.stored()


def test_without_workers_a_run_fails_in_time_and_is_made_when_one_comes(cluster, clips):
    cluster.control("stop", "worker:*")
    started = time.monotonic()
    run = cluster.launch(cluster.add(clips[0]), "color_analysis")
    assert cluster.ended(run) == "FAILURE"
    assert time.monotonic() - started < 90
    cluster.control("start", "worker:*")
    assert made_after_all(cluster, run)[0] == "FAILURE"
    assert "color_analysis" in cluster.add(clips[0]).stored()


def test_what_is_asked_for_by_hand_goes_before_new_videos_and_those_before_a_backfill(cluster, clips):
    cluster.control("stop", "worker:*")
    order = ["backfill", "new", "by hand"]
    runs = [
        cluster.launch(cluster.add(clip), "color_analysis", **PRIORITY.get(kind, {}))
        for kind, clip in zip(order, clips, strict=False)
    ]
    cluster.wait(lambda: all(cluster.status(run) == "STARTING" for run in runs), 25)
    cluster.control("start", "worker:worker-0")
    for run in runs:
        assert "SUCCESS" in made_after_all(cluster, run)
    with cluster.instance() as instance:
        started = [instance.get_run_stats(run).start_time for run in runs]
    cluster.control("start", "worker:*")
    assert started == sorted(started, reverse=True)


def test_a_run_waits_in_the_queue_only_where_there_is_one(cluster, clips, tmp_path):
    cluster.control("stop", "worker:*")
    clips.append(write_video(tmp_path / "last.mp4", [texture(96, 64, seed=next(numbers))] * 12))
    runs = [cluster.launch(cluster.add(clip), "color_analysis") for clip in clips]
    states = [cluster.status(run) for run in runs]
    cluster.control("start", "worker:*")
    assert states == ["STARTING"] * 4 + ["QUEUED"], "max_concurrent_runs is 4"
    for run in runs:
        assert "SUCCESS" in made_after_all(cluster, run)


def test_connections_are_kept(cluster, clips):
    """Dagster would make a new one for every statement."""

    def made() -> int:
        with cluster.instance() as instance, instance.event_log_storage.index_connection() as connection:
            told = "SELECT sessions FROM pg_stat_database WHERE datname = 'dagster'"
            return connection.exec_driver_sql(told).scalar()

    assert cluster.ended(cluster.launch(cluster.add(clips[0]))) == "SUCCESS"
    before = made()
    assert cluster.ended(cluster.launch(cluster.add(clips[1]))) == "SUCCESS"
    assert made() - before < 50


def test_events_are_stored_as_dagster_stores_them(cluster, clips):
    """One statement for all events of a run, or one for each, against Dagster's own."""
    videos = [cluster.add(clip) for clip in clips[:3]]
    run = cluster.launch(videos[0], "color_analysis", last=videos[-1])
    assert cluster.ended(run) == "SUCCESS"
    tables = {
        "event_logs": "dagster_event_type, asset_key, partition, step_key, event",
        "asset_check_executions": "asset_key, check_name, partition, execution_status, evaluation_event",
        "asset_event_tags t JOIN event_logs e ON e.id = t.event_id": "t.asset_key, key, value, partition",
    }
    with cluster.instance() as instance:
        storage = instance.event_log_storage
        events = instance.all_logs(run)

        def kept(run_id: str) -> list[list[str]]:
            with storage.index_connection() as connection:
                found = [
                    connection.exec_driver_sql(f"SELECT {columns} FROM {table} WHERE run_id = %s", (run_id,)).all()
                    for table, columns in tables.items()
                ]
            return [sorted(repr(tuple(row)).replace(run_id, "") for row in rows) for rows in found]

        ways = {
            "at once": storage.store_event_batch,
            "one by one": lambda events: [storage.store_event(event) for event in events],
            "Dagster": lambda events: [PostgresEventLogStorage.store_event(storage, event) for event in events],
        }
        stored = {}
        for name, store in ways.items():
            store([event._replace(run_id=f"{run} {name}") for event in events])
            stored[name] = kept(f"{run} {name}")
            (color,) = storage.get_asset_records([dg.AssetKey("color_analysis")])
            assert color.asset_entry.last_run_id == f"{run} {name}"
            assert color.asset_entry.last_materialization.run_id == f"{run} {name}"
    assert all(stored["Dagster"])
    assert len(stored["Dagster"][0]) == len(events)
    assert stored["at once"] == stored["one by one"] == stored["Dagster"]


def test_a_result_names_the_versions_of_its_own_inputs(cluster, clips):
    """Workers keep what they read of assets while a run goes on, and no longer."""
    videos = [cluster.add(clip) for clip in clips]
    for video in [*videos, *videos]:  # the second time with results that are there
        assert cluster.ended(cluster.launch(video, "color_analysis")) == "SUCCESS"

    def tags(instance: dg.DagsterInstance, asset: str, video: str) -> dict[str, str]:
        asked = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[video])
        return instance.fetch_materializations(asked, limit=1).records[0].asset_materialization.tags

    with cluster.instance() as instance:
        for video in videos:
            version = tags(instance, "decoded_frames", video.key)["dagster/data_version"]
            named = tags(instance, "color_analysis", video.key)["dagster/input_data_version/decoded_frames"]
            assert named == hashlib.sha256(version.encode()).hexdigest(), "how Dagster joins those of partitions"


@pytest.mark.parametrize("limit", [{"RUNS_PER_WORKER": "2"}, {"WORKER_MEMORY_MB": "1"}], ids=["runs", "memory"])
def test_a_worker_is_replaced_when_it_has_reached_its_limit(tmp_path, clips, limit):
    cluster = Cluster(tmp_path, workers=1, **{f"TIKTOK_ASSETS_{name}": value for name, value in limit.items()})
    try:
        children = set()
        for clip in clips:
            assert cluster.ended(cluster.launch(cluster.add(clip), "color_analysis")) == "SUCCESS"
            children |= {c.pid for c in cluster.program("worker:worker-0").children()}
        assert len(children) >= 2
    finally:
        cluster.stop()


def gpu_memory_mb() -> int:
    """What is taken of all GPUs, by whomever: processes in containers have other numbers for the driver."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return sum(map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()))


@pytest.mark.skipif(not gpus(), reason="no GPU on this machine")
def test_gpu_memory_is_given_back(tmp_path, clips, monkeypatch):
    """It does not grow from run to run, a worker that is replaced leaves none, and one that is stopped neither."""
    monkeypatch.setenv("TIKTOK_ASSETS_WEIGHTS", str(tmp_path / "weights"))
    install_yolo()
    install_yolo("yolo_detection_large")
    nobody_mb = gpu_memory_mb()
    cluster = Cluster(tmp_path, workers=1, TIKTOK_ASSETS_RUNS_PER_WORKER="3")
    try:
        taken, children = [], []
        for clip in clips:
            video = cluster.add(clip)
            assert cluster.ended(cluster.launch(video, "object_detection")) == "SUCCESS"
            assert video.outcome("object_detection").succeeded
            children += [c.pid for c in cluster.program("worker:worker-0").children()]
            taken.append(gpu_memory_mb() - nobody_mb)
        assert len(set(children)) >= 2, "the worker's process was replaced"
        assert taken[0] > 0
        assert max(taken) < 1.25 * taken[0]
    finally:
        cluster.stop()
    assert gpu_memory_mb() - nobody_mb < 0.1 * taken[0]


def make(cluster: Cluster, command: str) -> tuple[int, str]:
    """`make cluster`, `-stop` or `-status`: exit code and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "tiktok_assets.cluster.local", command],
        env=cluster.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=150,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_is_started_once_and_stopped_when_it_says_so(tmp_path):
    cluster = Cluster(tmp_path, workers=1)
    try:
        cluster.selector()
        code, said = make(cluster, "start")
        assert (code, "is up already" in said) == (1, True), said
        processes = psutil.Process(cluster.process.pid).children(recursive=True)
        code, said = make(cluster, "stop")
        assert (code, said.splitlines()[-1]) == (0, "Stopped.")
        assert not any(p.is_running() and p.status() != "zombie" for p in processes)
        assert make(cluster, "stop") == (0, "The cluster is not up: make cluster\n")
        assert make(cluster, "status") == (1, "The cluster is not up: make cluster\n")
        with socket.create_server(("127.0.0.1", int(cluster.environment["REDIS_PORT"]))):
            code, said = make(cluster, "start")
        assert (code, said.count("\n")) == (1, 1)
        assert "Address already in use): set TIKTOK_ASSETS_REDIS_PORT to another" in said
    finally:
        cluster.stop()


def test_workers_that_start_together_are_not_replaced_together():
    limits = {staggered(200, f"{number}@host") for number in range(8)}
    assert len(limits) > 4
    assert all(200 * (1 - STAGGER) <= limit <= 200 for limit in limits)
