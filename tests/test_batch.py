"""A batch survives its members: crashes, hangs and errors of one video cost the others nothing."""

from collections import Counter
from multiprocessing import forkserver

import dagster as dg
import pytest

from analyzers.contract import Outcome
from tests import faulty
from tests.media import REPOSITORY
from tiktok_assets.batch import CHECK, CRASHES_ALLOWED, REFRESH_TAG, _Mark
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.store import Store


class Lab:
    def __init__(self, folder, monkeypatch):
        home = folder / "home"
        home.mkdir()
        (home / "dagster.yaml").write_bytes((REPOSITORY / "dagster_home" / "dagster.yaml").read_bytes())
        self.log = folder / "worked_on.txt"
        self.log.touch()
        monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(folder / "data"))
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        monkeypatch.setenv("FAULT_LOG", str(self.log))
        self.store = Store.from_environment()
        self.instance = dg.DagsterInstance.get()

    def run(self, *keys: str, **tags: str):
        known = set(self.instance.get_dynamic_partitions(VIDEOS))
        self.instance.add_dynamic_partitions(VIDEOS, [k for k in keys if k not in known])
        ends = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        with dg.execute_job(
            dg.reconstructable(faulty.job), self.instance, tags=ends | tags, raise_on_error=False
        ) as result:
            return result

    def outcome(self, key: str) -> Outcome:
        return self.store.video(key).outcome(faulty.ASSET)

    def worked_on(self) -> Counter[str]:
        return Counter(self.log.read_text().split())


@pytest.fixture
def lab(tmp_path, monkeypatch):
    lab = Lab(tmp_path, monkeypatch)
    yield lab
    lab.instance.dispose()
    forkserver._forkserver._stop()  # it keeps the environment of the test that started it


def test_every_kind_of_fault_is_found_out_and_the_others_complete(lab):
    keys = ["good-1", "segfault-1", "good-2", "kill-1", "raise-1", "hang-1", "memory-1", "killed-1", "good-3"]
    result = lab.run(*keys)
    assert result.success
    assert {key: lab.outcome(key).status for key in keys} == {
        key: "ok" if key.startswith(("good", "killed")) else "failed" for key in keys
    }
    reasons = {key: lab.outcome(key).failure for key in keys if lab.outcome(key).failure}
    assert (reasons["segfault-1"].kind, reasons["segfault-1"].retryable) == ("crashed", False)
    assert "Segmentation fault" in reasons["segfault-1"].message
    assert "killed from outside" in reasons["kill-1"].message
    assert reasons["hang-1"].kind == "timed_out"
    assert "longer than 3 s" in reasons["hang-1"].message
    assert reasons["raise-1"].message == "bad luck"
    assert reasons["memory-1"].kind in ("MemoryError", "OverflowError")
    assert result.is_node_success("report"), "downstream runs whatever became of some videos"


def test_finished_videos_of_a_crashed_step_are_not_computed_again(lab):
    keys = ["good-1", "segfault-1", "good-2", "segfault-2"]
    assert lab.run(*keys).success
    assert lab.worked_on() == {
        "good-1": 1,
        "segfault-1": CRASHES_ALLOWED + 1,
        "good-2": 1,
        "segfault-2": CRASHES_ALLOWED + 1,
    }


def test_work_that_is_cancelled_has_not_crashed(tmp_path):
    mark = _Mark(tmp_path / ".color_analysis.running", "run")
    with pytest.raises(KeyboardInterrupt), mark.guarding(10, 0):
        raise KeyboardInterrupt
    assert mark.crash() is None
    assert list(tmp_path.iterdir()) == []


def test_a_batch_of_nothing_but_poison_ends(lab):
    keys = [f"kill-{i}" for i in range(4)]
    assert lab.run(*keys).success
    assert {lab.outcome(key).failure.kind for key in keys} == {"crashed"}


def test_a_materialization_by_hand_recomputes_and_a_refresh_leaves_alone_what_is_current(lab):
    lab.run("good-1", "good-2")
    lab.run("good-1", "good-2")
    assert lab.worked_on() == {"good-1": 2, "good-2": 2}
    lab.run("good-1", "good-2", "good-3", **{REFRESH_TAG: "true"})
    assert lab.worked_on() == {"good-1": 2, "good-2": 2, "good-3": 1}


def test_a_refresh_makes_again_what_other_code_made(lab):
    lab.run("good-1", "good-2")
    video = lab.store.video("good-1")
    stored = video.stored()[faulty.ASSET]
    stored.path.rename(stored.path.with_name(stored.path.name.replace(f"@{stored.version}@", "@0-older@")))
    lab.run("good-1", "good-2", **{REFRESH_TAG: "true"})
    assert lab.worked_on() == {"good-1": 2, "good-2": 1}
    assert video.stored()[faulty.ASSET].version == stored.version


def test_a_failure_that_may_pass_is_retried_by_a_refresh_only_after_a_pause_and_not_for_ever(lab, monkeypatch):
    from tiktok_assets import freshness

    lab.run("full-1", "raise-1")
    assert lab.outcome("full-1").failure.retryable
    lab.run("full-1", "raise-1", **{REFRESH_TAG: "true"})
    assert lab.worked_on() == {"full-1": 1, "raise-1": 1}
    monkeypatch.setattr(freshness, "RETRY_WAIT_S", 0.0)
    stored = lab.store.video("full-1").stored()
    assert freshness.due(lab.store.video("full-1"), faulty.ASSET, stored) == "failed"
    record = lab.store.video("full-1").read_record(stored[faulty.ASSET])
    assert record["attempts"] == 1
    monkeypatch.setattr(freshness, "MAX_ATTEMPTS", 1)
    assert freshness.due(lab.store.video("full-1"), faulty.ASSET, stored) is None
    raised = lab.store.video("raise-1").stored()
    assert freshness.due(lab.store.video("raise-1"), faulty.ASSET, raised) is None


@pytest.mark.parametrize("keys", [("good-1",), ("good-1", "raise-1")], ids=["range of one", "range of two"])
def test_the_check_of_each_video_is_current_in_the_ui(lab, keys):
    """The UI shows a check of a partition only if it names the latest materialization of it."""
    assert lab.run(*keys).success
    check = dg.AssetCheckKey(dg.AssetKey(faulty.ASSET), CHECK)
    found = {i.partition_key: i for i in lab.instance.event_log_storage.get_asset_check_partition_info([check])}
    assert {key: found[key].is_current for key in keys} == dict.fromkeys(keys, True)
    assert {key: found[key].latest_execution_status.value for key in keys} == {
        key: "SUCCEEDED" if key.startswith("good") else "FAILED" for key in keys
    }
