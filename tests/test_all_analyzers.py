"""All 28 analyzers through Dagster, every model installed at a tiny size; and what a report says of one that is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import jsonschema
import pytest

from analyzers.catalogue import CATALOGUE
from analyzers.contract import SUCCESS
from analyzers.weights import REGISTRY, installed
from tests import checkpoints, checkpoints_speech_and_faces
from tests.media import SAMPLE
from tests.test_pipeline import SCHEMA, Project

ASKED_FOR = "easyocr_de_en"
"""No analyzer uses it unless TIKTOK_ASSETS_OCR says so."""


@pytest.fixture(scope="module")
def all_weights(tmp_path_factory):
    """A weights folder with every model."""
    root = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOK_ASSETS_WEIGHTS", str(root))
        checkpoints.install_yolo()
        checkpoints.install_yolo("yolo_detection_large")
        checkpoints.install_vision_language()
        checkpoints_speech_and_faces.install_all()
        assert [name for name in REGISTRY if not installed(name)] == [ASKED_FOR]
    return root


def analyzed_with(weights: Path, folder: Path, *options: str) -> dict:
    """The report on the sample, made by the command in a fresh instance and store."""
    project = Project(folder)
    process = project.start("analyze", str(SAMPLE), *options, TIKTOK_ASSETS_WEIGHTS=str(weights))
    try:
        out, err = process.communicate(timeout=540)
        assert process.returncode == 0, out + err
        assert "Traceback" not in out + err
    finally:
        for left in project.processes():
            left.kill()
    report = project.report(SAMPLE)
    jsonschema.validate(report, SCHEMA, cls=jsonschema.Draft202012Validator)
    return report


@pytest.mark.timeout(600)
def test_with_all_models_every_analyzer_has_a_result(all_weights, tmp_path):
    report = analyzed_with(all_weights, tmp_path)
    results = report["analyzer_results"]
    assert list(results) == list(CATALOGUE)
    assert {name: r["reason"] for name, r in results.items() if r["status"] not in SUCCESS} == {}
    assert report["metadata"]["successful_analyzers"] == report["metadata"]["total_analyzers"] == 28
    windows = results["qwen2_vl_temporal"]["segments"]
    assert windows[0]["start_s"] == 0
    assert windows[-1]["end_s"] == pytest.approx(report["metadata"]["duration_s"], abs=0.1)
    assert all(w["data"]["text"] for w in windows)
    assert results["object_detection"]["summary"]["objects"].keys() == {"dog"}


def test_a_model_that_is_not_there_is_one_line_in_the_report(all_weights, tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(all_weights, weights, ignore=shutil.ignore_patterns("vision_language"))
    result = analyzed_with(weights, tmp_path, "--only", "qwen2_vl_temporal")["analyzer_results"]["qwen2_vl_temporal"]
    assert result["status"] == "weights_missing"
    assert result["reason"] == (
        "the model vision_language (Qwen/Qwen2-VL-7B-Instruct) is not installed (16.6 GB); "
        "get it with: tiktok-assets weights fetch vision_language"
    )


def test_a_truncated_model_is_one_line_in_the_report(all_weights, tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(all_weights / "vision_language", weights / "vision_language")
    file = weights / "vision_language" / "model.safetensors"
    whole = file.stat().st_size
    file.write_bytes(file.read_bytes()[: whole // 2])
    result = analyzed_with(weights, tmp_path, "--only", "qwen2_vl_temporal")["analyzer_results"]["qwen2_vl_temporal"]
    assert result["status"] == "weights_missing"
    assert result["reason"] == (
        "the model vision_language (Qwen/Qwen2-VL-7B-Instruct) is damaged: "
        f"model.safetensors has {whole // 2} bytes, not {whole}; "
        "get it with: tiktok-assets weights fetch vision_language"
    )
