"""The checks of a report: what passes, what warns, and that Dagster knows it per video."""

import shutil

import dagster as dg
import pytest
from dagster import AssetCheckSeverity

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.contract import Analysis, Outcome, Segment
from tests.library_store import opened, put_report
from tests.report.example import example_report, result, segment
from tiktok_assets import checks
from tiktok_assets.assets.report import report as report_asset
from tiktok_assets.checks import History, coverage, drift, judge, read_history, realtime_factor, robust_z, success_rate
from tiktok_assets.library import update_library
from tiktok_assets.library_tables import COLUMNS
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.store import Store

NAMES = {"success_rate", "realtime_factor", "coverage", "drift"}
LATEST = "2026-12-31T00:00:00+00:00"


def report_of(duration_s=30.0, video_key="clip", **changed):
    """A report in which every analyzer found one segment in all of the video, but for what is changed."""
    results = {name: result([segment(0.0, 1.0, "it")], version="1", coverage=1.0) for name in CATALOGUE}
    for name in results:
        results[name] |= {"version": "1", "coverage": 1.0} | changed.get(name, {})
    facts = {"video_key": video_key, "duration_s": duration_s, "realtime_factor": 0.5}
    return {"metadata": facts, "analyzer_results": results}


def ended(status, **more):
    return {"status": status, "reason": "because", "segments": [], **more}


@pytest.mark.parametrize(
    ("changed", "passed", "rate"),
    [
        ({}, True, 1.0),
        ({"cut_analysis": ended("no_signal")}, True, 1.0),
        ({"cut_analysis": ended("failed"), "text_overlay": ended("failed")}, True, 26 / 28),
        ({n: ended("failed") for n in ("cut_analysis", "text_overlay", "body_pose")}, False, 25 / 28),
        ({n: ended("weights_missing") for n in list(CATALOGUE)[:20]}, True, 1.0),
        ({n: ended("upstream_missing", version=None) for n in list(CATALOGUE)[1:]}, True, 1.0),
        (
            {n: ended("weights_missing") for n in list(CATALOGUE)[2:]} | {"object_detection": ended("failed")},
            False,
            0.5,
        ),
    ],
    ids=["all", "nothing found", "2 failed", "3 failed", "20 lack weights", "27 not asked for", "1 of 2 that could"],
)
def test_success_rate_counts_the_analyzers_that_could_run(changed, passed, rate):
    found = success_rate(report_of(**changed))
    assert found.passed == passed
    assert found.shown["success_rate"] == pytest.approx(rate, abs=1e-4)


def test_what_builds_on_an_analyzer_without_weights_could_not_run_but_what_builds_on_a_failed_one_could():
    below = [name for name in CATALOGUE if "face_detection" in analyzer_class(name).spec.after]
    assert len(below) >= 3
    waiting = {name: ended("upstream_missing") for name in below}
    without = success_rate(report_of(face_detection=ended("weights_missing"), **waiting))
    assert without.passed
    assert without.shown["could_run"] == len(CATALOGUE) - 1 - len(below)
    broken = success_rate(report_of(face_detection=ended("failed"), **waiting))
    assert not broken.passed
    assert set(broken.shown["without_result"].split(", ")) == {"face_detection", *below}


def test_realtime_factor_names_the_slowest_and_passes_without_a_length():
    report = report_of(text_overlay={"seconds": 12.5})
    assert realtime_factor(report, most=0.5).passed
    assert not realtime_factor(report, most=0.49).passed
    assert realtime_factor(report).shown["slowest"] == "text_overlay"
    report["metadata"]["realtime_factor"] = None
    assert "not known" in realtime_factor(report).shown["note"]


def test_coverage_is_the_mean_over_those_that_have_a_result():
    half = {name: {"coverage": 0.5} for name in list(CATALOGUE)[:11]}
    assert coverage(report_of(**half)).shown["coverage_percent"] == pytest.approx(100 * (17 + 5.5) / 28, abs=0.05)
    assert coverage(report_of(**half)).passed
    assert not coverage(report_of(**half, text_overlay={"coverage": 0.5})).passed
    missing = {name: ended("weights_missing", coverage=0.0) for name in list(CATALOGUE)[:27]}
    assert coverage(report_of(**missing)).shown["coverage_percent"] == 100.0


@pytest.mark.parametrize(
    ("rate", "before", "minutes", "expected"),
    [
        (30.0, [20.0, 22.0, 18.0, 21.0, 19.0], 100.0, 10 / 1.4826),
        (20.0, [20.0] * 30, 1.0, 0.0),
        (6.0, [0.0] * 30, 1 / 6, 1.0),
        (0.0, [99.0] * 30, 1.0, -9.9),
    ],
    ids=["spread of the others", "as ever", "one segment in 10 s where there were none", "none where there were many"],
)
def test_robust_z(rate, before, minutes, expected):
    assert robust_z(rate, before, minutes) == pytest.approx(expected)


def library_of(folder, count, **changed):
    store = Store(folder)
    for i in range(count):
        report = report_of(video_key=f"clip-{i}", **changed)
        stamp = f"2026-01-{1 + i // 24:02d}T{i % 24:02d}:00:00+00:00"
        put_report(store, f"clip-{i}", {**report, "metadata": full_facts(report["metadata"], stamp)})
    update_library(store)
    return store


def full_facts(facts, created_at):
    return example_report()["metadata"] | facts | {"created_at": created_at}


def test_drift_is_seen_against_the_newest_videos_of_the_library(tmp_path):
    history = read_history(library_of(tmp_path, 30))
    assert history.missing is None
    assert set(history.rates_per_min) == set(CATALOGUE)
    assert set(history.rates_per_min["cut_analysis"].values()) == {2.0}
    usual = drift(report_of(), history)
    assert usual.passed
    assert usual.shown["judged"] == len(CATALOGUE)
    many = drift(report_of(cut_analysis={"segments": [segment(0.0, 1.0, "cut")] * 12}), history)
    assert not many.passed
    assert many.shown["flagged"].startswith("cut_analysis (+")
    assert "," not in many.shown["flagged"]


def test_drift_says_nothing_without_enough_others_or_a_length(tmp_path):
    assert "library is empty" in drift(report_of(), read_history(Store(tmp_path))).shown["note"]
    others = {f"clip-{i}": 2.0 for i in range(checks.MIN_HISTORY)}
    strange = report_of(video_key="clip-0", cut_analysis={"segments": [segment(0.0, 1.0, "cut")] * 99})
    assert "fewer than" in drift(strange, History({"cut_analysis": others})).shown["note"], "it counts itself"
    others["another"] = 2.0
    assert not drift(strange, History({"cut_analysis": others})).passed
    assert "length" in drift(report_of(duration_s=None), History({"cut_analysis": others})).shown["note"]


def test_only_the_last_50_count(tmp_path):
    old = {f"old-{i}": 100.0 for i in range(200)}
    new = {f"new-{i}": 2.0 for i in range(checks.HISTORY_VIDEOS)}
    assert drift(report_of(), History({"cut_analysis": old | new})).shown["its_robust_z"] == 0.0


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '[{"video": "a"}]', "null"])
def test_a_damaged_library_is_a_note_and_no_error(tmp_path, content):
    store = library_of(tmp_path, 1)
    (tmp_path / "library" / "recent.json").write_text(content)
    found = judge(report_of(), read_history(store))
    assert set(found) == NAMES
    assert found["drift"].passed
    note = found["drift"].shown["note"]
    assert "cannot be read" in note or (content == "{}" and "is empty" in note)


def test_the_history_is_the_newest_videos_with_a_result_and_one_file_is_read_for_it(tmp_path):
    count = checks.HISTORY_VIDEOS + 5
    store = library_of(tmp_path, count, body_pose=ended("failed"), hand_gesture=ended("no_signal"))
    put_report(store, "no-length", {**report_of(None), "metadata": full_facts(report_of(None)["metadata"], LATEST)})
    update_library(store)
    for table in COLUMNS:
        shutil.rmtree(tmp_path / "library" / table)
    with opened() as files:
        history = read_history(store)
    assert {f.name for f in files if tmp_path in f.parents} == {"recent.json"}
    assert list(history.rates_per_min["cut_analysis"]) == [f"clip-{i}" for i in range(4, count)]
    assert "body_pose" not in history.rates_per_min
    assert set(history.rates_per_min["hand_gesture"].values()) == {0.0}


@pytest.mark.parametrize("keys", [["bad"], ["bad", "good"]], ids=["one video", "two videos"])
def test_dagster_knows_the_checks_of_each_video_and_they_stop_nothing(tmp_path, monkeypatch, keys):
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(tmp_path))
    store = Store.from_environment()
    for key in keys:
        decoded = Analysis(summary={"duration_s": 10.0, "truncated": False})
        store.video(key).write("decoded_frames", "1", Outcome("ok", 1.0, None, decoded), "")
        for name in CATALOGUE:
            analysis = Analysis(segments=(Segment(0.0, 1.0, "it"),), backend="test")
            store.video(key).write(name, "1", Outcome("ok", 2.0 if key == "bad" else 0.01, None, analysis), "")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(VIDEOS, keys)
        ends = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        how = {"partition_key": keys[0]} if len(keys) == 1 else {"tags": ends}
        done = dg.materialize([report_asset], instance=instance, selection=[report_asset], **how)
        assert done.success
        found = [
            e.asset_check_evaluation_data for e in done.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
    slow = {e.partition: e for e in found if e.check_name == "realtime_factor"}
    assert {key: slow[key].passed for key in keys} == {key: key == "good" for key in keys}
    assert slow["bad"].severity == AssetCheckSeverity.WARN
    assert slow["bad"].metadata["realtime_factor"].value == pytest.approx((1 + 28 * 2.0) / 10)
    assert {(e.check_name, e.partition) for e in found} >= {(name, key) for name in NAMES for key in keys}
