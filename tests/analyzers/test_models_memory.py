"""Every model that computes in batches, where memory suffices for a few items only: an allocation inside of its network
fails, as torch's allocator lets it fail, and what comes out is what comes out with all the memory in the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from analyzers import run
from analyzers.catalogue import analyzer_class
from analyzers.clip import AUDIO_HZ
from analyzers.common.transformers_models import AudioClassifier, ImageClassifier, ImageText
from analyzers.errors import AnalysisError
from analyzers.run import examine
from tests import checkpoints, checkpoints_speech_and_faces
from tests.media import run_analyzer, sample_clip, synthetic_clip, texture

MORE_THAN_THERE_IS_BYTES = 10**15
LANE = "gpu_worker_3"


@pytest.fixture(scope="module", autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOK_ASSETS_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        patch.setattr(run, "_loaded", {})
        checkpoints.install_yolo()
        checkpoints.install_vision_language()
        checkpoints_speech_and_faces.install_all()
        yield


@dataclass
class Room:
    """Memory for so many items at once in a network; asks torch for more than there is where a batch is larger."""

    items: int
    tried: list[int]

    def hook(self, _network: Any, args: Any, kwargs: Any) -> None:
        import torch

        batch = next(t for t in (*args, *kwargs.values()) if isinstance(t, torch.Tensor))
        self.tried.append(len(batch))
        if len(batch) > self.items:
            torch.empty(MORE_THAN_THERE_IS_BYTES, dtype=torch.uint8)


def in_room(network: Any, items: int, compute: Callable[[], Any]) -> tuple[Any, list[int]]:
    """What comes out with room for so many items, and the sizes of the batches that were tried."""
    room = Room(items, [])
    hook = network.register_forward_pre_hook(room.hook, with_kwargs=True)
    try:
        return compute(), room.tried
    finally:
        hook.remove()


def pictures() -> list[np.ndarray]:
    return [texture(96, 80, seed=i) for i in range(9)]


def sounds() -> list[np.ndarray]:
    return [np.random.default_rng(i).normal(0, 0.1, 2 * AUDIO_HZ).astype(np.float32) for i in range(9)]


MODELS = {
    "ViT, ages": (lambda: ImageClassifier.load("face_age", LANE), "network", lambda m: m.probabilities(pictures())),
    "ViT, expressions": (
        lambda: ImageClassifier.load("face_expression", LANE),
        "network",
        lambda m: m.probabilities(pictures()),
    ),
    "CLIP, pictures": (
        lambda: ImageText.load("image_text", LANE),
        "network.vision_model",
        lambda m: m.embed_pictures(pictures()),
    ),
    "CLIP, texts": (
        lambda: ImageText.load("image_text", LANE),
        "network.text_model",
        lambda m: m.embed_texts([f"{n} pictures" for n in range(9)]),
    ),
    "wav2vec2": (
        lambda: AudioClassifier.load("speech_emotion", LANE),
        "network",
        lambda m: m.probabilities(sounds()),
    ),
    "AST": (lambda: AudioClassifier.load("audio_events", LANE), "network", lambda m: m.each_probability(sounds())),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_batch_is_halved_until_it_fits_and_the_values_stay_the_same(name, monkeypatch):
    load, where, compute = MODELS[name]
    model = load()
    monkeypatch.setattr(type(model), "at_once", {"cpu": 8})
    network = model.network
    for part in where.split(".")[1:]:
        network = getattr(network, part)
    expected = compute(model)
    found, tried = in_room(network, 2, lambda: compute(model))
    assert tried == [8, 4, 2, 2, 2, 2, 1]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(AnalysisError, match=r"^out of memory even with one item at a time$"):
        in_room(network, 0, lambda: compute(model))
    np.testing.assert_allclose(compute(model), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "inner"),
    [("qwen2_vl_temporal", "_network"), ("object_detection", "_model.predictor.model")],
)
def test_analyzers_with_a_network_of_their_own_halve_too(name, inner, monkeypatch):
    monkeypatch.setattr(f"{analyzer_class(name).__module__}.BATCH", {"cpu": 4})
    analyzer = analyzer_class(name)
    clip = synthetic_clip([texture(320, 192, seed=i // 30) for i in range(240)])
    expected = examine(analyzer, clip, {})
    assert expected.status == "ok", expected.reason
    network: Any = run.loaded(analyzer)
    for part in inner.split("."):
        network = getattr(network, part)
    found, tried = in_room(network, 2, lambda: examine(analyzer, clip, {}))
    assert tried[:2] == [4, 2]
    assert max(tried[1:]) == 2
    assert found.analysis.segments == expected.analysis.segments
    failed, _ = in_room(network, 0, lambda: examine(analyzer, clip, {}))
    assert (failed.status, failed.reason) == ("failed", "out of memory even with one item at a time")
    assert failed.failure.retryable
    assert examine(analyzer, clip, {}).analysis.segments == expected.analysis.segments, "it works as before"


def test_whisper_says_that_memory_ran_out():
    """It has no batch to halve but that of the windows whose language it tells."""
    hears = analyzer_class("speech_transcription")
    expected = run_analyzer("speech_transcription", sample_clip())
    encoder = run.loaded(hears)._model.encoder
    found, tried = in_room(encoder, 1, lambda: run_analyzer("speech_transcription", sample_clip()))
    assert tried[0] == 2, "two windows to tell the language of"
    assert set(tried[1:]) == {1}
    assert found.analysis == expected.analysis
    failed, _ = in_room(encoder, 0, lambda: run_analyzer("speech_transcription", sample_clip()))
    assert failed.status == "failed"
    assert failed.reason == "out of memory even with one item at a time"


@pytest.mark.parametrize("name", ["qwen2_vl_temporal", "age_estimation"])
def test_a_network_that_gives_no_numbers_is_an_error_and_no_result(name, monkeypatch):
    import torch

    monkeypatch.setattr(run, "_loaded", {})
    analyzer: Any = run.loaded(analyzer_class(name))
    network = analyzer._network.lm_head if name == "qwen2_vl_temporal" else analyzer._model.network.classifier
    with torch.no_grad():
        network.weight[0] = torch.nan
    outcome = run_analyzer(name, sample_clip())
    assert outcome.status == "failed"
    assert "gave values that are no numbers" in outcome.reason
