"""The library's tables: tidy, current, written for what changed alone, unharmed by hostile reports."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.library_store import opened, put_report
from tests.media import REPOSITORY
from tests.report.example import example_report, missing, report_of, result, segment
from tests.report.test_page import HOSTILE, everywhere
from tiktok_assets import library as library_module
from tiktok_assets.assets.library import library, update_library_schedule
from tiktok_assets.automation import ANALYZE_JOB
from tiktok_assets.cli import main
from tiktok_assets.definitions import defs
from tiktok_assets.library import library_page, pending_changes, read_table, update_library
from tiktok_assets.library_tables import COLUMNS
from tiktok_assets.store import Store

DOCUMENT = (REPOSITORY / "docs" / "library.md").read_text("utf-8")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


@contextmanager
def reports_opened() -> Iterator[list[str]]:
    """Folders whose report.json is read in the block."""
    folders: list[str] = []
    with opened() as files:
        yield folders
    folders += sorted(f.parent.name for f in files if f.name == "report.json")


def test_tables_hold_what_the_report_says(store: Store) -> None:
    report = example_report(video_key="one", view_count=7)
    put_report(store, "one", report)
    assert update_library(store).added == 1
    video = read_table(store, "videos").iloc[0]
    assert (video["video"], video["folder"], video["title"]) == ("one", "one", report["metadata"]["title"])
    assert video["upload_date"] == date(2025, 11, 21)
    assert (video["cuts_per_minute"], video["people_max"], video["view_count"]) == (25.0, 1, 7)
    assert video["face_share"] == pytest.approx(2 / 12, abs=1e-3)
    assert list(video["tags"]) == ["space", "weltraum", "sample"]

    segments = read_table(store, "segments")
    face = segments[segments["label"] == "face"].iloc[0]
    assert (face["start_s"], face["end_s"], face["x0"], face["y1"]) == (3.5, 5.5, 0.31, 0.46)
    assert json.loads(face["data"])["height_px_max"] == 297
    assert len(segments) == sum(len(r["segments"]) for r in report["analyzer_results"].values()) == video["segments"]

    outcomes = read_table(store, "outcomes").set_index("analyzer")
    assert {n: r["status"] for n, r in report["analyzer_results"].items()} == outcomes["status"].to_dict()
    assert json.loads(outcomes.loc["audio_analysis", "summary"])["key"] == "A minor"

    texts = read_table(store, "texts")
    assert texts["start_s"].is_monotonic_increasing
    shown = texts[texts["channel"] == "overlay"]
    assert "Für mehr Tipps folgen!" in set(shown["text"])
    assert set(shown["language"]) == {"de", "en"}


def test_what_nobody_knows_is_null_and_what_is_not_there_is_zero(store: Store) -> None:
    unknown = {"face_detection": missing("faces", "1 MiB"), "cut_analysis": result(status="failed", reason="no")}
    nothing = {"face_detection": result(status="no_signal", reason="no face"), "cut_analysis": result([])}
    for key, results in (("unknown", unknown), ("nothing", nothing)):
        put_report(store, key, report_of(results, video_key=key))
    update_library(store)
    videos = read_table(store, "videos").set_index("video")
    assert videos.loc["unknown", ["people_max", "face_share", "overlay_texts"]].isna().all()
    assert videos.loc["unknown", "strip"] == "-.-.-.-"
    assert videos.loc["nothing", "people_max"] == 0
    assert videos.loc["nothing", "face_share"] == 0
    assert videos.loc["nothing", "strip"] == "000000000000.000000000000.-.-"


def test_the_strip_shows_where_things_are(store: Store) -> None:
    faces = [segment(0.0, 0.25, "face"), segment(6.0, 12.0, "face")]
    put_report(store, "v", report_of({"face_detection": result(faces)}, video_key="v"))
    update_library(store)
    assert read_table(store, "videos")["strip"][0] == "-.800000ffffff.-.-"


def test_shares_count_overlaps_once(store: Store) -> None:
    faces = [segment(0.0, 6.0, "face"), segment(3.0, 9.0, "face"), segment(4.0, 5.0, "face")]
    put_report(store, "v", report_of({"face_detection": result(faces)}, video_key="v"))
    update_library(store)
    assert read_table(store, "videos")["face_share"][0] == 0.75


def test_only_what_changed_is_opened(store: Store) -> None:
    for i in range(12):
        put_report(store, f"video-{i}")
    with reports_opened() as read:
        done = update_library(store)
    assert (done.added, done.changed, done.removed, done.videos) == (12, 0, 0, 12)
    assert len(read) == 12

    page = library_page(store).stat().st_mtime_ns
    with reports_opened() as read:
        done = update_library(store)
    assert (done.added, done.changed, done.removed, read) == (0, 0, 0, [])
    assert library_page(store).stat().st_mtime_ns == page

    put_report(store, "video-3", title="Another")
    put_report(store, "video-99")
    shutil.rmtree(store.video("video-5").path)
    assert set(pending_changes(store).changed) == {"video-3"}
    with reports_opened() as read:
        done = update_library(store)
    assert (done.added, done.changed, done.removed, done.videos) == (1, 1, 1, 12)
    assert read == ["video-3", "video-99"]
    videos = read_table(store, "videos").set_index("video")
    assert set(videos.index) == {f"video-{i}" for i in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 99)}
    assert videos.loc["video-3", "title"] == "Another"
    for table in COLUMNS:
        counts = read_table(store, table)["video"].value_counts()
        assert set(counts.index) == set(videos.index)
        assert counts.nunique() == 1


def test_videos_of_one_bucket_do_not_disturb_each_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "BUCKETS", 1)
    for key in ("a", "b", "c"):
        put_report(store, key)
    update_library(store)
    put_report(store, "b", title="New")
    shutil.rmtree(store.video("c").path)
    with reports_opened() as read:
        update_library(store)
    assert read == ["b"]
    videos = read_table(store, "videos").set_index("video")
    assert videos["title"].to_dict() == {"a": "From the city to the stars", "b": "New"}
    for table in COLUMNS:
        assert [p.name for p in (store.root / "library" / table).iterdir()] == ["00.parquet"]
        assert read_table(store, table)["video"].value_counts().nunique() == 1


@pytest.mark.parametrize("lost", ["segments", "index.json"])
def test_what_was_deleted_from_outside_is_made_again(store: Store, lost: str) -> None:
    for key in ("a", "b"):
        put_report(store, key)
    update_library(store)
    before = read_table(store, "segments").sort_values(["video", "start_s"], kind="stable", ignore_index=True)
    path = store.root / "library" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(store.video("b").path)
    update_library(store)
    after = read_table(store, "segments").sort_values(["video", "start_s"], kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(after, before[before["video"] == "a"].reset_index(drop=True))
    assert not update_library(store).changed


def test_tables_of_another_layout_are_written_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_report(store, "a")
    with monkeypatch.context() as older:
        older.setattr(library_module, "layout", lambda: "older")
        update_library(store)
        assert not pending_changes(store)
    done = update_library(store)
    assert (done.added, done.videos) == (1, 1)


def test_an_interrupted_update_is_completed_by_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_report(store, "a")
    update_library(store)
    put_report(store, "a", title="New")
    put_report(store, "b")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(library_module, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            update_library(store)
    update_library(store)
    videos = read_table(store, "videos").set_index("video")["title"]
    assert videos.to_dict() == {"a": "New", "b": "From the city to the stars"}
    assert read_table(store, "segments")["video"].value_counts().nunique() == 1


@pytest.mark.parametrize("lost", ["index.html", "recent.json"])
def test_an_update_killed_before_the_page_is_completed_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    put_report(store, "a", title="Old")
    update_library(store)
    put_report(store, "a", title="New")

    def killed(_: Store) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(library_module, "_write_page_and_recent", killed)
        with pytest.raises(KeyboardInterrupt):
            update_library(store)
    assert pending_changes(store)
    update_library(store)
    assert "New" in library_page(store).read_text("utf-8")
    path = store.root / "library" / lost
    before = path.read_bytes()
    path.unlink()
    assert not update_library(store).changed
    assert len(path.read_bytes()) == len(before)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"metadata": {}}', "null"])
def test_a_broken_report_leaves_the_others(store: Store, content: str) -> None:
    put_report(store, "good")
    broken = put_report(store, "broken")
    broken.report_json.write_text(content)
    done = update_library(store)
    assert set(done.unreadable) == {"broken"}
    assert (done.added, done.videos) == (1, 1)
    put_report(store, "broken")
    assert update_library(store).added == 1
    broken.report_json.unlink()
    put_report(store, "good", title="New")
    assert update_library(store).unreadable == {}


def test_an_empty_store_gives_empty_tables_and_a_page(store: Store) -> None:
    assert list(read_table(store, "segments").columns) == list(COLUMNS["segments"])
    done = update_library(store)
    assert (done.videos, done.page.is_file()) == (0, True)
    for table in COLUMNS:
        assert read_table(store, table).empty
    with pytest.raises(KeyError):
        read_table(store, "nonsense")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: ascii(t[:24]))
def test_hostile_texts_come_through_as_text(store: Store, text: str) -> None:
    report = everywhere(example_report(), lambda _: text)
    report["metadata"] |= {"view_count": 10**30, "like_count": True, "tags": "no list", "video_key": "v"}
    put_report(store, "v", report)
    assert update_library(store).added == 1
    readable = re.sub("[\ud800-\udfff]", "\ufffd", text)
    video = read_table(store, "videos").iloc[0]
    assert video["title"] == readable
    assert pd.isna(video["view_count"])
    assert pd.isna(video["like_count"])
    assert set(read_table(store, "texts")["text"]) == {readable.strip()}
    for data in read_table(store, "segments")["data"]:
        json.loads(data)


def test_pandas_alone_reads_a_table(store: Store) -> None:
    put_report(store, "a")
    update_library(store)
    frame = pd.read_parquet(store.root / "library" / "outcomes", filters=[("analyzer", "==", "cut_analysis")])
    assert frame["video"].tolist() == ["a"]
    for path in (store.root / "library").glob("*/*.parquet"):
        assert pq.read_schema(path).names == list(COLUMNS[path.parent.name])


@pytest.fixture
def documented(store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the Python blocks of the document leave behind, over three videos."""
    early = {"face": ["face_detection"], "text": ["text_overlay"], "hooked": ["face_detection", "text_overlay"]}
    reports = {key: copy.deepcopy(example_report(video_key=key)) for key in early}
    for key, names_of_early in early.items():
        for name in names_of_early:
            reports[key]["analyzer_results"][name]["segments"][0] |= {"start_s": 0.5, "end_s": 1.5}
    reports["face"]["metadata"]["view_count"] = 900
    described = segment(0.0, 12.0, "follow", channel="description", quote="please follow me")
    reports["face"]["analyzer_results"]["comment_cta_detection"]["segments"].insert(0, described)
    put_report(store, "face", reports["face"])
    put_report(store, "text", reports["text"])
    report = reports["hooked"]
    report["metadata"]["view_count"] = None
    pan = next(s for s in report["analyzer_results"]["camera_analysis"]["segments"] if s["label"] == "pan_right")
    pan["data"]["pan_frame_widths_per_s"] = 0.31
    report["analyzer_results"]["audio_analysis"]["summary"]["tempo_bpm"] = None
    report["analyzer_results"]["cut_analysis"] = result(status="failed", reason="no")
    put_report(store, "hooked", report)
    update_library(store)
    monkeypatch.chdir(store.root.parent)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(blocks) >= 7
    for block in blocks:
        exec(compile(block, "docs/library.md", "exec"), names)
    return names


def test_the_documented_pandas_queries_answer(documented: dict[str, Any]) -> None:
    assert documented["hooked"]["video"].tolist() == ["hooked"]
    assert documented["by_second"].loc[8, "follow"] == 3
    assert 0 not in documented["by_second"].index, "a description has no second"
    assert documented["by_seconds_left"].loc[1, "link_in_bio"] == 3
    assert documented["found"]["text"].str.contains("folgen|follow").all()
    failures = documented["reasons"].groupby(level=["analyzer", "status"]).sum()
    assert (failures["body_pose", "failed"], failures["cut_analysis", "failed"]) == (3, 1)
    assert documented["pans"].set_index("video")["speed"].dropna().to_dict() == {"hooked": 0.31}
    assert documented["tempo"].dropna().to_dict() == {"face": 120.2, "text": 120.2}
    assert documented["views_by_pace"]["size"].tolist() == [2]


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(None if pd.isna(v) else v for v in row) for row in frame.itertuples(index=False)]


def counted(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Rows of a table of counts that are not 0."""
    return sorted((at, label, n) for (at, label), n in table.stack().items() if n)


PANDAS_ANSWERS: dict[str, Callable[[dict[str, Any]], list[tuple[Any, ...]]]] = {
    "hooked": lambda d: rows(d["hooked"][["video", "duration_s"]]),
    "by_second": lambda d: counted(d["by_second"]),
    "by_seconds_left": lambda d: counted(d["by_seconds_left"]),
    "found": lambda d: sorted(rows(d["found"])),
    "reasons": lambda d: sorted((*key, n) for key, n in d["reasons"].items()),
    "seconds": lambda d: rows(d["seconds"].reset_index()[["analyzer", "count", "50%", "95%"]]),
    "pans": lambda d: sorted(rows(d["pans"][["video", "start_s", "end_s", "label", "speed"]])),
    "tempo": lambda d: rows(d["tempo"].sort_index().reset_index()),
    "views_by_pace": lambda d: [(at.left, m, n) for at, (m, n) in d["views_by_pace"].iterrows()],
}


def test_duckdb_answers_as_pandas_does(documented: dict[str, Any]) -> None:
    db = documented["db"]
    db.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
    queries = re.findall(r"```sql\n-- (\w+)\n(.*?)```", DOCUMENT, re.DOTALL)
    assert [name for name, _ in queries] == list(PANDAS_ANSWERS)
    for name, query in queries:
        found = db.sql(query)
        if name == "hooked":
            assert found.columns == list(COLUMNS["videos"])
            found = found.select("video", "duration_s")
        answer = found.fetchall()
        wanted = PANDAS_ANSWERS[name](documented)
        in_order = answer if name in ("tempo", "seconds", "hooked") else sorted(answer)
        assert len(in_order) == len(wanted) > 0, name
        for row, other in zip(in_order, wanted, strict=True):
            assert row == pytest.approx(other), name
    extensions = db.sql("SELECT extension_name, install_mode FROM duckdb_extensions() WHERE loaded").fetchall()
    assert {name for name, _ in extensions} >= {"parquet", "json"}
    assert {mode for _, mode in extensions} == {"STATICALLY_LINKED"}


@pytest.mark.parametrize("table", COLUMNS)
def test_every_column_is_documented(table: str) -> None:
    section = re.search(rf"### {table}:(.*?)(\n##|\Z)", DOCUMENT, re.DOTALL)
    assert section
    assert set(re.findall(r"`([a-z0-9_]+)`", section[1])) >= set(COLUMNS[table])


def test_the_asset_updates_and_tells(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(store.root))
    put_report(store, "a")
    schedule_context = dg.build_schedule_context()
    assert isinstance(update_library_schedule(schedule_context), dg.RunRequest)
    done = dg.materialize([library], selection=[library])
    metadata = done.asset_materializations_for_node("library")[0].metadata
    assert metadata["rows_of_videos"].value == 1
    facts = example_report()["metadata"]
    share = facts["successful_analyzers"] / facts["total_analyzers"]
    assert metadata["success_rate"].value == pytest.approx(share, abs=1e-4)
    assert "**1 video**" in metadata["summary"].value
    assert Path(metadata["page"].value).is_file()
    assert isinstance(update_library_schedule(schedule_context), dg.SkipReason)


def test_the_command_says_what_it_did_and_where(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(store.root))
    put_report(store, "a")
    done = CliRunner().invoke(main, ["library"])
    assert done.exit_code == 0
    assert "1 video(s): 1 added, 0 changed, 0 removed" in done.output
    assert str(library_page(store)) in done.output
    put_report(store, "broken").report_json.write_text("{")
    done = CliRunner().invoke(main, ["library"])
    assert done.exit_code == 1
    assert "broken is left out" in done.output


def test_the_library_stands_beside_the_job_of_the_videos() -> None:
    graph = defs.resolve_asset_graph()
    node = graph.get(dg.AssetKey("library"))
    assert {k.to_user_string() for k in node.parent_keys} == {"report"}
    assert node.partitions_def is None
    assert "library" not in {n.name for n in defs.resolve_job_def(ANALYZE_JOB).graph.nodes}
    schedule = defs.resolve_schedule_def("update_library")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == "library_job"
