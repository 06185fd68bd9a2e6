"""From files to reports through a real Dagster instance, as a user starts it: by the command line."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import jsonschema
import psutil
import pytest

from analyzers.catalogue import CATALOGUE
from analyzers.contract import SUCCESS
from tests.media import REPOSITORY, SAMPLE, sample_truth, shared_file, still, texture, write_video
from tiktok_assets.download import source_key
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.store import Store, VideoFolder

SCHEMA = json.loads((REPOSITORY / "tiktok_assets" / "report" / "report.schema.json").read_text("utf-8"))


class Project:
    """A fresh instance and a fresh store, and the command on them."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "dagster_home"
        self.home.mkdir()
        self.home.joinpath("dagster.yaml").write_bytes((REPOSITORY / "dagster_home" / "dagster.yaml").read_bytes())
        self.store = Store(folder / "data")
        self.environment = os.environ | {"DAGSTER_HOME": str(self.home), "TIKTOK_ASSETS_DATA": str(self.store.root)}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tiktok_assets.cli", *arguments],
            env=self.environment | environment,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def processes(self) -> list[psutil.Process]:
        """Living processes of this project, wherever they hang in the process tree."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DAGSTER_HOME") == str(self.home) and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def report(self, source: Path) -> dict:
        return json.loads(self.store.video(source_key(str(source))).report_json.read_text("utf-8"))


def without_result(report: dict) -> dict[str, str]:
    """Analyzers that failed or could not run, with the reason; missing weights are not counted."""
    results = report["analyzer_results"].items()
    return {name: r["reason"] for name, r in results if r["status"] in ("failed", "upstream_missing")}


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    yield project
    for process in project.processes():
        process.kill()


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    """The sample and a broken file, analyzed together once."""
    folder = tmp_path_factory.mktemp("analyzed")
    project = Project(folder)
    broken = folder / "broken.mp4"
    broken.write_bytes(b"\0\0\0 ftypisom but nothing more" * 50)
    project.result = project.run("analyze", str(SAMPLE), str(broken), "missing.mp4")
    project.broken = broken
    return project


def test_the_sample_gets_a_report_and_the_bad_ones_a_reason(analyzed):
    code, out, err = analyzed.result
    assert code == 1
    assert "Traceback" not in out + err
    report = analyzed.report(SAMPLE)
    assert without_result(report) == {}
    assert str(analyzed.store.video(source_key(str(SAMPLE))).report_page) in out
    assert "broken.mp4" in out
    assert "missing.mp4" in err
    assert analyzed.processes() == []


def test_reports_follow_the_published_schema(analyzed):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for source in (SAMPLE, analyzed.broken):
        jsonschema.validate(analyzed.report(source), SCHEMA, cls=jsonschema.Draft202012Validator)


def test_the_report_has_every_analyzer_and_counts_them_right(analyzed):
    report = analyzed.report(SAMPLE)
    results, metadata = report["analyzer_results"], report["metadata"]
    assert list(results) == list(CATALOGUE)
    assert metadata["total_analyzers"] == len(CATALOGUE)
    assert metadata["successful_analyzers"] == sum(r["status"] in SUCCESS for r in results.values())
    assert metadata["duration_s"] == pytest.approx(sample_truth()["duration_s"], abs=0.05)
    factor = metadata["processing_time_seconds"] / metadata["duration_s"]
    assert metadata["realtime_factor"] == pytest.approx(factor, rel=0.01)
    assert 0 < metadata["reconstruction_score"] <= 100


def test_a_broken_file_gets_a_report_that_says_why(analyzed):
    report = analyzed.report(analyzed.broken)
    assert report["metadata"]["successful_analyzers"] == 0
    assert report["metadata"]["duration_s"] is None
    assert {r["status"] for r in report["analyzer_results"].values()} == {"upstream_missing"}
    assert all("broken" in r["reason"] or "raw_video" in r["reason"] for r in report["analyzer_results"].values())


def test_cuts_and_tempo_of_the_sample_are_right_through_the_whole_chain(analyzed):
    results, truth = analyzed.report(SAMPLE)["analyzer_results"], sample_truth()
    cuts = [s["start_s"] for s in results["cut_analysis"]["segments"] if s["label"] == "cut"]
    assert cuts == pytest.approx(truth["cuts_s"], abs=1 / 30 + 1e-3)
    tempo = results["audio_analysis"]["summary"]["tempo_bpm"]
    assert tempo == pytest.approx(truth["music"]["tempo_bpm"], rel=0.03)


def test_metadata_and_checks_per_video_are_in_the_instance(analyzed):
    import sqlite3

    key = source_key(str(SAMPLE))
    runs = [p for p in (analyzed.home / "history" / "runs").glob("*.db") if p.stem != "index"]
    assert len(runs) == 1, "three sources, one run"
    with sqlite3.connect(runs[0]) as log:
        of_kind = "select event from event_logs where dagster_event_type = ?"
        events = [text for (text,) in log.execute(of_kind, ["ASSET_MATERIALIZATION"])]
        checks = [text for (text,) in log.execute(of_kind, ["ASSET_CHECK_EVALUATION"])]
    of_sample = [e for e in events if f'"partition": "{key}"' in e]
    assert len(of_sample) == len(CATALOGUE) + 4
    assert any("realtime_factor" in e and "reconstruction_score" in e for e in of_sample)
    assert any('"thumbnail"' in e for e in of_sample)
    failed = [c for c in checks if '"success": false' in c and source_key(str(analyzed.broken)) in c]
    assert len(failed) >= len(CATALOGUE) + 3


def test_status_shows_what_exists(analyzed):
    code, out, _ = analyzed.run("status")
    assert code == 0
    assert "2 video(s)" in out
    for name in CATALOGUE:
        assert name in out


def test_analyzing_again_keeps_the_download_and_makes_a_new_report(analyzed):
    before = analyzed.report(SAMPLE)["metadata"]["created_at"]
    video = analyzed.store.video(source_key(str(SAMPLE)))
    inode = video.file.stat().st_ino
    time.sleep(1)
    code, _, err = analyzed.run("analyze", str(SAMPLE), "--only", "color_analysis")
    assert code == 0, err
    assert analyzed.report(SAMPLE)["metadata"]["created_at"] > before
    assert video.file.stat().st_ino == inode


def test_an_unknown_analyzer_and_no_source_are_answered_plainly(project):
    code, _, err = project.run("analyze", str(SAMPLE), "--only", "nonsense")
    assert code == 2
    assert "nonsense" in err
    assert "Traceback" not in err
    assert project.run("analyze")[0] == 2


def _wait_for(condition, seconds: float = 60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail("it did not happen in time")


@pytest.fixture
def long_clip(tmp_path):
    """Long enough that a step is still running when it is killed."""
    pictures = [p for i in range(12) for p in still(texture(480, 270, seed=i), 2.0)]
    return write_video(tmp_path / "long.mp4", pictures)


def _step_process(video: VideoFolder, asset: str) -> int | None:
    """The process that makes an asset of a video at this moment."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((video.path / "outcomes" / f".{asset}.running").read_text("utf-8"))["pid"]
    return None


def test_a_killed_step_is_retried_and_the_run_completes(project, long_clip):
    process = project.start("analyze", str(long_clip))
    video = project.store.video(source_key(str(long_clip)))
    os.kill(_wait_for(lambda: _step_process(video, "text_overlay")), signal.SIGKILL)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    assert not [r for r in project.report(long_clip)["analyzer_results"].values() if r["status"] == "failed"]
    assert project.processes() == []


def test_a_killed_run_leaves_no_process_and_completes_when_asked_again(project, long_clip):
    process = project.start("analyze", str(long_clip))
    video = project.store.video(source_key(str(long_clip)))
    _wait_for(lambda: "decoded_frames" in video.stored())
    process.kill()
    process.wait()
    _wait_for(lambda: not project.processes(), 30)
    assert not video.report_json.exists()
    code, out, err = project.run("analyze", str(long_clip))
    assert code == 0, out + err
    assert video.report_page.exists()
    assert not list(video.path.rglob("*.partial"))


def test_control_c_stops_cleanly(project, long_clip):
    process = project.start("analyze", str(long_clip))
    video = project.store.video(source_key(str(long_clip)))
    _wait_for(lambda: "decoded_frames" in video.stored())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "stopped" in err
    _wait_for(lambda: not project.processes(), 20)
    assert project.run("analyze", str(long_clip))[0] == 0


def test_five_real_clips_one_of_them_broken(project):
    good = ["grid_bbaf2n.mpg", "asl_walk.mkv", "bikes.mp4", "hdr10-av1.mp4"]
    sources = [shared_file("broken/broken.mp4"), *(shared_file(f"video/{name}") for name in good)]
    code, out, err = project.run("analyze", *map(str, sources))
    assert code == 1
    assert "Traceback" not in out + err
    for source in sources:
        report = project.report(source)
        jsonschema.validate(report, SCHEMA, cls=jsonschema.Draft202012Validator)
        bad = without_result(report)
        assert bool(bad) == (source.name == "broken.mp4"), bad


@pytest.mark.parametrize(
    ("settings", "said"),
    [(None, "there is no such folder"), ("foo: [", "while parsing"), ("foo: 1", 'unexpected config entry "foo"')],
    ids=["no folder", "no YAML", "unknown setting"],
)
def test_a_dagster_home_that_cannot_be_used_is_one_line(project, tmp_path, settings, said):
    home = tmp_path / "home"
    if settings:
        home.mkdir()
        (home / "dagster.yaml").write_text(settings)
    for command in (["refresh"], ["analyze", str(SAMPLE)]):
        process = project.start(*command, DAGSTER_HOME=str(home))
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (1, "")
        (line,) = err.strip().splitlines()
        assert line.startswith("Error: ")
        assert said in line
        assert str(home) in line


def test_a_new_instance_learns_of_the_videos_of_the_store_and_makes_nothing_anew(project):
    assert project.run("analyze", str(SAMPLE), "--only", "color_analysis")[0] == 0
    video = project.store.video(source_key(str(SAMPLE)))
    before = {name: s.path.stat().st_mtime_ns for name, s in video.stored().items()}
    for path in project.home.iterdir():
        if path.name != "dagster.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, _, err = project.run("refresh", "--analyzer", "color_analysis")
    assert (code, "1 video(s) of the store are new to this Dagster instance" in err) == (0, True), err
    assert "everything is up to date" in err
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        assert instance.get_dynamic_partitions(VIDEOS) == [video.key]
    assert {name: s.path.stat().st_mtime_ns for name, s in video.stored().items()} == before
