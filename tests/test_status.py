"""status tells from names what exists and how it stands, and lists what is asked for with the reason."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from analyzers.contract import Analysis, Failure, Outcome, Segment
from tiktok_assets import freshness
from tiktok_assets.assets.status import status
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.status import markdown, print_status, read_status, rows
from tiktok_assets.store import Store

FOUND = Outcome("ok", 0.1, analysis=Analysis(segments=(Segment(0.0, 1.0, "x"),), backend="test"))
BROKE = Outcome("failed", 0.1, "it broke", failure=Failure("ValueError", "it broke", False))
NONE = Outcome("no_signal", 0.1, "no face anywhere", Analysis.nothing("no face anywhere"))


def write(store: Store, key: str, asset: str, outcome: Outcome, version: str | None = None) -> None:
    video = store.video(key)
    video.write(asset, version or freshness.versions()[asset], outcome, freshness.inputs_of(asset, video.stored()))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(tmp_path))
    store = Store(tmp_path)
    for key in ("a", "b", "c"):
        write(store, key, "raw_video", FOUND)
        write(store, key, "decoded_frames", FOUND)
    write(store, "a", "cut_analysis", FOUND)
    write(store, "b", "cut_analysis", BROKE)
    write(store, "c", "cut_analysis", FOUND, version="0-older")
    write(store, "a", "face_detection", NONE)
    return store


def test_counts_per_asset_and_success_rates(store):
    found = read_status(store, ["a", "b", "c"])
    assert found.counts["cut_analysis"] == {"ok": 1, "failed": 1, "stale": 1}
    assert found.counts["face_detection"] == {"no_signal": 1, "missing": 2}
    assert found.success_rate("cut_analysis") == 0.5
    assert found.success_rate("face_detection") == 1.0
    assert found.success_rate("color_analysis") is None
    assert found.most_failing() == [("cut_analysis", 1)]
    assert "| cut_analysis | 1 | · | · | 1 |" in markdown(found)


def test_filters_by_asset_state_and_day(store):
    failed = list(rows(store, ["a", "b", "c"], states=["failed"]))
    assert [(r.video, r.asset, r.reason) for r in failed] == [("b", "cut_analysis", "it broke")]
    of_cuts = list(rows(store, ["a", "b", "c"], assets=["cut_analysis"]))
    assert [(r.video, r.state) for r in of_cuts] == [("a", "ok"), ("b", "failed"), ("c", "stale")]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert list(rows(store, ["a", "b", "c"], since=tomorrow)) == []
    today = list(rows(store, ["a"], since=tomorrow - timedelta(days=2)))
    assert {r.asset for r in today} == {"raw_video", "decoded_frames", "cut_analysis", "face_detection"}


def test_the_command_lists_what_matches(store, tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(VIDEOS, ["a", "b", "c"])
        assert print_status((), ("failed",), None) == 0
        assert capsys.readouterr().out == "b  cut_analysis  failed  it broke\n"
        assert print_status(("nonsense",), (), None) == 2
        result = dg.materialize([status], instance=instance)
    (event,) = result.asset_materializations_for_node("status")
    assert event.metadata["videos"].value == 3
    assert event.metadata["failed"].value == 1
    assert event.metadata["stale"].value == 1
