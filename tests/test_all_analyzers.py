"""All 28 analyzers through Dagster, every model installed at a tiny size; and what a report says of one that is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from analyzers.catalogue import CATALOGUE
from analyzers.contract import SUCCESS
from analyzers.weights import REGISTRY, installed
from tests import checkpoints, checkpoints_speech_and_faces
from tests.media import REPOSITORY, SAMPLE
from tests.test_pipeline import SCHEMA, Project

ASKED_FOR = "easyocr_de_en"
"""No analyzer uses it unless TIKTOK_ASSETS_OCR says so."""


FORKED = """
import json, os, sys, tempfile
from pathlib import Path
import tiktok_assets
import torch
asked, count = [], torch._C._cuda_getDeviceCount
torch._C._cuda_getDeviceCount = lambda: asked.append(True) or count()
from tiktok_assets.faster_start import PRELOAD
for module in PRELOAD:
    __import__(module)
held = set(sys.modules)
cuda = bool(asked) or torch.cuda.is_initialized() or "libcuda.so" in Path("/proc/self/maps").read_text()
read, write = os.pipe()
if not os.fork():
    from analyzers.catalogue import CATALOGUE, analyzer_class, with_upstream
    from analyzers.clip import Clip
    from analyzers.decode import decode
    from analyzers.run import examine
    file = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        decode(file, Path(folder) / "media")
        clip, outcomes = Clip.open(Path(folder) / "media", file), {}
        users = tuple(name for name in CATALOGUE if analyzer_class(name).spec.weights)
        for name in with_upstream(users):
            outcomes[name] = examine(analyzer_class(name), clip, outcomes)
    models = {name: outcomes[name].analysis.model for name in users}
    os.write(write, json.dumps({"new": sorted(set(sys.modules) - held), "models": models}).encode())
    os._exit(0)
os.close(write)
with os.fdopen(read) as said:
    print(json.dumps({"cuda": cuda, **json.load(said)}))
"""


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


def test_steps_import_next_to_nothing_for_their_models_and_no_gpu_is_touched_before_the_fork(all_weights, tmp_path):
    home = tmp_path / "dagster_home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(SAMPLE)],
        env=os.environ | {"TIKTOK_ASSETS_WEIGHTS": str(all_weights), "DAGSTER_HOME": str(home)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stderr, "what is frozen is to be freed at the end"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["cuda"] is False
    used = {name for name, model in found["models"].items() if model}
    assert used >= {"qwen2_vl_temporal", "object_detection", "speech_transcription", "age_estimation", "speech_emotion"}
    assert len(found["new"]) < 150, "of the 2,900 modules that these steps need"
    costly = ("torchvision", "torch._dynamo", "sympy", "scipy", "transformers.models.auto", "ultralytics.models")
    assert [module for module in found["new"] if module.startswith(costly)] == []


def analyzed_with(weights: Path, folder: Path, *options: str) -> dict:
    """The report on the sample, made by the command in a fresh instance and store."""
    project = Project(folder)
    process = project.start("analyze", str(SAMPLE), *options, TIKTOK_ASSETS_WEIGHTS=str(weights))
    try:
        out, err = process.communicate(timeout=540)
        assert process.returncode == 0, out + err
        assert "Traceback" not in out + err
        assert "leaked" not in out + err
        # What a step took of any memory is given back by its end; the server that forks them ends with the run.
        deadline = time.monotonic() + 20
        while (left := [p for p in project.processes() if p.is_running()]) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert left == [], "processes outlive the run"
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
        "the model vision_language is not installed (16.6 GB); get it with: tiktok-assets weights fetch vision_language"
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
        "the model vision_language is damaged: "
        f"model.safetensors is cut off, {whole // 2:,} of {whole:,} bytes are there; "
        "repair it (16.6 GB) with: tiktok-assets weights fetch vision_language"
    )
