"""The code location: loads fast and light, and says of every asset what the UI shows."""

import importlib
import json
import os
import subprocess
import sys

import dagster as dg
import pytest

from analyzers import weights
from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.common import devices
from analyzers.contract import LANES
from tests.media import REPOSITORY
from tiktok_assets import execution
from tiktok_assets.automation import ANALYZE_JOB
from tiktok_assets.definitions import defs
from tiktok_assets.faster_start import PRELOAD
from tiktok_assets.freshness import PER_VIDEO
from tiktok_assets.partitions import batches, videos


def run_python(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_definitions_load_without_any_model_library():
    heavy = ["torch", "mediapipe", "transformers", "ultralytics", "cv2", "librosa", "onnxruntime", "av", "yt_dlp"]
    heavy += ["numba", "scipy", "scenedetect", "rapidocr"]
    found = run_python(
        f"import sys, json, tiktok_assets.definitions; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    )
    assert json.loads(found) == []


def test_every_analyzer_is_an_asset_with_its_lane_version_and_text():
    graph = defs.resolve_asset_graph()
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert names >= {"raw_video", "decoded_frames", "audio_track", *CATALOGUE, "report"}
    for name in CATALOGUE:
        node = graph.get(dg.AssetKey(name))
        analyzer = analyzer_class(name)
        assert node.code_version == analyzer().code_version()
        assert node.tags["lane"] == analyzer.spec.lane
        assert node.description
        assert node.owners
        assert node.group_name == analyzer.__module__.split(".")[1]


def test_all_per_video_assets_share_the_partitions_and_one_backfill_policy():
    graph = defs.resolve_asset_graph()
    for key in map(dg.AssetKey, PER_VIDEO):
        assert graph.get(key).partitions_def == videos
        assert graph.get(key).backfill_policy is batches


def test_models_are_assets_that_analyses_build_on_without_being_part_of_their_job():
    graph = defs.resolve_asset_graph()
    for name in weights.REGISTRY:
        node = graph.get(dg.AssetKey(["weights", name]))
        assert (node.group_name, node.partitions_def) == ("weights", None)
        assert weights.REGISTRY[name].model in node.description
        assert weights.REGISTRY[name].licence in node.description
    for name in CATALOGUE:
        above = {key.path[-1] for key in graph.get(dg.AssetKey(name)).parent_keys if key.path[0] == "weights"}
        assert above == set(analyzer_class(name).spec.weights)
    everything = {w for name in CATALOGUE for w in analyzer_class(name).spec.weights}
    assert everything == set(weights.REGISTRY), "a model that no analyzer uses"
    assert not any("weights" in key.path for key in defs.resolve_job_def(ANALYZE_JOB).asset_layer.executable_asset_keys)


def test_every_asset_has_a_check_per_video():
    graph = defs.resolve_asset_graph()
    checked = {key.asset_key for key in graph.asset_check_keys}
    assert checked == set(map(dg.AssetKey, PER_VIDEO))


def test_the_report_comes_after_everything():
    graph = defs.resolve_asset_graph()
    assert {k.to_user_string() for k in graph.get(dg.AssetKey("report")).parent_keys} == {
        "raw_video",
        "decoded_frames",
        "audio_track",
        *CATALOGUE,
    }


def test_one_op_per_analyzer():
    job = defs.resolve_job_def(ANALYZE_JOB)
    assert {node.name for node in job.graph.nodes} == {"raw_video", "decode", *CATALOGUE, "report"}
    for name in CATALOGUE:
        op = next(node.definition for node in job.graph.nodes if node.name == name)
        assert op.tags[execution.LANE_TAG] == analyzer_class(name).spec.lane


@pytest.mark.parametrize("module", PRELOAD)
def test_every_preloaded_module_imports(module):
    """multiprocessing skips silently what does not import, and every step pays for it."""
    assert importlib.import_module(module)


def test_without_a_gpu_lanes_have_no_limit_of_their_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices.gpus.cache_clear()
    assert set(devices.lane_devices().values()) == {"cpu"}
    assert execution.executor_config()["tag_concurrency_limits"] == []
    assert all(execution.lane_pool(lane) is None for lane in LANES)


def test_with_gpus_each_gpu_lane_takes_one_step_at_a_time_in_and_across_runs(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    devices.gpus.cache_clear()
    try:
        found = devices.lane_devices()
        assert found["gpu_worker_0"] == "cuda:0"
        assert found["gpu_worker_1"] == "cuda:1"
        assert found["cpu_parallel"] == "cpu"
        limits = {limit["value"]: limit["limit"] for limit in execution.executor_config()["tag_concurrency_limits"]}
        assert limits == {lane: 1 for lane in LANES if lane.startswith("gpu")}
        assert execution.lane_pool("gpu_worker_2") == "gpu_worker_2"
        assert execution.lane_pool("cpu_parallel") is None
        monkeypatch.setenv("TIKTOK_ASSETS_DEVICES", "gpu_worker_0=cuda:1,gpu_worker_3=cpu")
        assert devices.lane_devices()["gpu_worker_3"] == "cpu"
        assert execution.lane_pool("gpu_worker_3") is None
        monkeypatch.setenv("TIKTOK_ASSETS_DEVICES", "gpu_worker_9=cpu")
        with pytest.raises(ValueError, match="LANE=DEVICE"):
            devices.lane_devices()
    finally:
        devices.gpus.cache_clear()


def test_on_a_machine_with_a_gpu_the_analyses_join_the_pools_of_their_lanes():
    found = run_python(
        "import json; from tiktok_assets.definitions import defs\n"
        "job = defs.resolve_job_def('analyze')\n"
        "print(json.dumps({n.name: n.definition.pool for n in job.graph.nodes}))",
        CUDA_VISIBLE_DEVICES="0",
    )
    pools = json.loads(found)
    assert pools["raw_video"] == "download"
    for name in CATALOGUE:
        lane = analyzer_class(name).spec.lane
        assert pools[name] == (lane if lane.startswith("gpu") else None)
