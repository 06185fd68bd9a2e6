"""Objects, by a tiny YOLO that sees a dog around every cell of its coarsest grid."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from analyzers import run, weights
from analyzers.catalogue import analyzer_class
from analyzers.common.tracks import Hit
from analyzers.run import examine
from analyzers.vision.object_detection import LARGE, NANO, chosen_model, hits_by_class, most_at_once
from tests import checkpoints
from tests.media import still, synthetic_clip, texture

DOG_SCORE = 1 / (1 + np.exp(-checkpoints.YOLO_SCORE_LOGIT))
DETECTOR = analyzer_class("object_detection")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOK_ASSETS_WEIGHTS", str(folder))
        checkpoints.install_yolo()
    return folder


@pytest.fixture
def installed(models, tmp_path, monkeypatch):
    """A copy of the model that a test may spoil."""
    shutil.copytree(models, tmp_path / "weights")
    monkeypatch.setenv("TIKTOK_ASSETS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(run, "_loaded", {})
    return tmp_path / "weights" / NANO


@pytest.fixture(scope="module")
def clip():
    return synthetic_clip(still(texture(360, 640), 2.0) + still(texture(360, 640, seed=1), 1.0))


def test_boxes_lie_around_the_cells_in_fractions_of_the_picture_and_last_for_the_clip(installed, clip):
    outcome = examine(DETECTOR, clip, {})
    assert outcome.status == "ok", outcome.reason
    analysis = outcome.analysis
    assert analysis.model == "ultralytics/yolov8n@tiny"
    reach_px = 32 * checkpoints.YOLO_REACH_CELLS
    # 640 x 360 px are framed to 640 x 384, with 12 px above and below.
    left = {round(max(0.0, (16 + 32 * i - reach_px) / 640), 4) for i in range(20)}
    bottom = {round(min(1.0, (16 + 32 * i - 12 + reach_px) / 360), 4) for i in range(12)}
    for s in analysis.segments:
        assert (s.label, s.start_s, s.end_s) == ("dog", 0.0, 3.0)
        assert s.confidence == pytest.approx(DOG_SCORE, abs=1e-3)
        assert s.data["hits"] == 6, "every second of 12 pictures on the CPU"
        assert s.box[0] in left
        assert s.box[3] in bottom
    assert analysis.summary["objects"] == analysis.summary["most_at_once"] == {"dog": len(analysis.segments)}
    assert analysis.tracks["objects"].shape == (6 * len(analysis.segments), 6)


def test_batches_of_any_size_find_the_same(installed, clip, monkeypatch):
    together = examine(DETECTOR, clip, {}).analysis
    monkeypatch.setattr("analyzers.vision.object_detection.BATCH", {"cpu": 1})
    assert examine(DETECTOR, clip, {}).analysis.segments == together.segments


def test_what_is_not_clear_in_any_picture_is_not_claimed(installed, clip):
    sceptic = DETECTOR(min_best_score=0.9)
    sceptic.load()
    found = sceptic.analyze(clip, {})
    assert (list(found.segments), found.reason) == ([], "nothing of the 80 classes was found")


def spoil(folder, how):
    file = folder / "yolov8n.pt"
    content = file.read_bytes()
    if how == "absent":
        shutil.rmtree(folder)
    elif how == "half fetched":
        (folder / weights.RECORD).unlink()
    elif how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "another checksum":
        file.write_bytes(content[:2000] + bytes(len(content) - 2000))
    elif how == "no model":
        file.write_bytes(b"<html>404</html>")
        weights.write_record(NANO, "tiny", (file.name,))
    elif how == "another task":
        from ultralytics import YOLO

        YOLO("yolov8n-cls.yaml", task="classify", verbose=False).save(str(file))
        weights.write_record(NANO, "tiny", (file.name,))


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        ("absent", "weights_missing", "not installed (6 MB); get it with: tiktok-assets weights fetch yolo_detection_"),
        ("half fetched", "weights_missing", "only half fetched"),
        ("truncated", "weights_missing", "yolov8n.pt is cut off"),
        ("another checksum", "weights_missing", "yolov8n.pt has another checksum"),
        ("no model", "failed", "does not load"),
        ("another task", "failed", "for the task 'classify', not for detection"),
    ],
)
def test_files_of_no_use_give_one_clear_line(installed, clip, how, status, said):
    spoil(installed, how)
    outcome = examine(DETECTOR, clip, {})
    assert outcome.status == status, outcome.reason
    assert said in outcome.reason
    assert NANO in outcome.reason
    assert "\n" not in outcome.reason
    assert len(outcome.reason) < 400


def test_the_model_suits_the_device_unless_only_the_other_is_installed(installed):
    assert chosen_model("cpu") == NANO
    assert chosen_model("cuda:0") == NANO
    installed.rename(installed.with_name(LARGE))
    assert chosen_model("cpu") == NANO, "this one has the files of another model"
    (installed.with_name(LARGE) / "yolov8n.pt").rename(installed.with_name(LARGE) / "yolov8l.pt")
    weights.write_record(LARGE, "tiny", ("yolov8l.pt",))
    assert chosen_model("cpu") == LARGE
    assert chosen_model("cuda:0") == LARGE


def test_a_crowd_is_counted_by_its_fullest_picture():
    box = (0.1, 0.1, 0.2, 0.2)
    found = [[("dog", box, 0.9), ("cat", box, 0.8)], [("dog", (0.1, 0.1, 0.1, 0.2), 0.9)], [("dog", box, 0.9)]]
    hits = hits_by_class(np.array([0.0, 0.25, 0.5]), found)
    assert [h.time_s for h in hits["dog"]] == [0.0, 0.5], "a box without width is none"
    tracks = [("dog", hits["dog"]), ("dog", [Hit(0.5, box, 0.7)]), ("cat", hits["cat"])]
    assert most_at_once(tracks) == {"dog": 2, "cat": 1}
