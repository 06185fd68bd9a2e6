"""Descriptions, by a tiny Qwen2-VL that writes 64 random letters: other ones for other pictures."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from analyzers import run, weights
from analyzers.catalogue import analyzer_class
from analyzers.language.qwen2_vl_temporal import chat, description, fitted_size_px, windows_of
from analyzers.run import examine
from tests import checkpoints
from tests.media import synthetic_clip, texture

DESCRIBER = analyzer_class("qwen2_vl_temporal")
BATCH = "analyzers.language.qwen2_vl_temporal.BATCH"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOK_ASSETS_WEIGHTS", str(folder))
        checkpoints.install_vision_language()
    return folder


@pytest.fixture
def installed(models, tmp_path, monkeypatch):
    """A copy of the model that a test may spoil."""
    shutil.copytree(models, tmp_path / "weights")
    monkeypatch.setenv("TIKTOK_ASSETS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(run, "_loaded", {})
    return tmp_path / "weights" / "vision_language"


@pytest.fixture(scope="module")
def clip():
    """4.6 s; the last 0.6 s hold fewer pictures than a whole window."""
    return synthetic_clip([texture(640, 360, seed=i // 60) for i in range(138)])


def test_each_window_is_described_with_the_pictures_that_it_was_shown(installed, clip):
    outcome = examine(DESCRIBER, clip, {})
    assert outcome.status == "ok", outcome.reason
    segments = outcome.analysis.segments
    assert [(s.start_s, s.end_s) for s in segments] == [(0.0, 2.0), (2.0, 4.0), (4.0, pytest.approx(4.6, abs=0.01))]
    assert {s.label for s in segments} == {"description"}
    for s in segments:
        assert (s.data["tokens"], s.data["truncated"], len(s.data["text"])) == (64, True, 64)
        assert all(s.start_s <= t < s.end_s for t in s.data["frame_times_s"])
    assert [len(s.data["frame_times_s"]) for s in segments] == [4, 4, 3]
    assert len({s.data["text"] for s in segments}) == 3, "other pictures, other words"
    assert outcome.analysis.summary == {"windows": 3, "described": 3, "truncated": 3}
    assert outcome.analysis.model == "Qwen/Qwen2-VL-7B-Instruct@tiny"


def test_windows_of_other_lengths_in_one_batch_change_no_word(installed, clip, monkeypatch):
    one_by_one = examine(DESCRIBER, clip, {}).analysis.segments
    monkeypatch.setattr(BATCH, {"cpu": 3})
    assert examine(DESCRIBER, clip, {}).analysis.segments == one_by_one


def test_where_memory_runs_out_it_goes_on_in_smaller_batches(installed, clip, monkeypatch):
    expected = examine(DESCRIBER, clip, {}).analysis.segments
    monkeypatch.setattr(BATCH, {"cpu": 4})
    generate, tried = DESCRIBER._generate, []

    def narrow(self, tensors):
        tried.append(len(tensors["input_ids"]))
        if tried[-1] > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return generate(self, tensors)

    monkeypatch.setattr(DESCRIBER, "_generate", narrow)
    assert examine(DESCRIBER, clip, {}).analysis.segments == expected
    assert tried == [3, 2, 1, 1, 1]


def test_without_memory_for_one_window_it_says_so(installed, clip, monkeypatch):
    def full(self, tensors):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(DESCRIBER, "_generate", full)
    outcome = examine(DESCRIBER, clip, {})
    assert (outcome.status, outcome.failure.retryable) == ("failed", True)
    assert outcome.reason == "out of memory even with one item at a time"


def test_pictures_cost_as_many_tokens_as_documented_and_texts_end_together(installed, clip):
    describer = DESCRIBER()
    describer.load()
    pictures = np.stack([texture(504, 280, seed=i) for i in range(4)])
    tensors = describer._tensors([pictures, pictures[:1]])
    ids = tensors["input_ids"]
    video = describer._processor.tokenizer.convert_tokens_to_ids("<|video_pad|>")
    assert (ids == video).sum(1).tolist() == [360, 180]
    assert (ids[:, -1] == ids[0, -1]).all(), "the shorter one is padded on its left"
    assert tensors["attention_mask"].sum(1).tolist() == [ids.shape[1], ids.shape[1] - 180]


@pytest.mark.parametrize(("height", "width"), [(64, 2), (2, 64)])
def test_a_clip_of_one_narrow_picture_is_described(installed, height, width):
    outcome = examine(DESCRIBER, synthetic_clip([texture(height, width)]), {})
    assert outcome.status == "ok", outcome.reason
    assert len(outcome.analysis.segments) == 1


def spoil(folder, how):
    file, config = folder / "model.safetensors", folder / "config.json"
    content = file.read_bytes()
    if how == "absent":
        shutil.rmtree(folder)
    elif how == "half fetched":
        (folder / weights.RECORD).unlink()
    elif how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "another checksum":
        file.write_bytes(bytes(8) + content[8:])
    elif how == "record unreadable":
        (folder / weights.RECORD).write_text('{"name": ')
    elif how == "another architecture":
        settings = json.loads(config.read_text())
        settings["model_type"] = "bert"
        settings["architectures"] = ["BertModel"]
        config.write_text(json.dumps(settings))
        weights.write_record(folder.name, "tiny", tuple(p.name for p in folder.iterdir() if p.name != weights.RECORD))
    elif how == "layers missing":
        settings = json.loads(config.read_text())
        settings["text_config"]["num_hidden_layers"] = 3
        settings["text_config"].pop("layer_types", None)
        config.write_text(json.dumps(settings))
        weights.write_record(folder.name, "tiny", tuple(p.name for p in folder.iterdir() if p.name != weights.RECORD))


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        ("absent", "weights_missing", "not installed (16.6 GB); get it with: tiktok-assets weights fetch vision_langu"),
        ("half fetched", "weights_missing", "only half fetched"),
        ("truncated", "weights_missing", "model.safetensors is cut off, 190,480 of 380,960 bytes"),
        ("another checksum", "weights_missing", "model.safetensors has another checksum"),
        ("record unreadable", "weights_missing", "installed.json is not readable"),
        ("another architecture", "failed", "does not load: another kind of model, by its config.json"),
        ("layers missing", "failed", "does not load: another kind of model: it has no model.language_model.layers.2"),
    ],
)
def test_files_of_no_use_give_one_clear_line(installed, clip, how, status, said):
    spoil(installed, how)
    outcome = examine(DESCRIBER, clip, {})
    assert outcome.status == status, outcome.reason
    assert said in outcome.reason
    assert "vision_language" in outcome.reason
    assert "\n" not in outcome.reason
    assert len(outcome.reason) < 400


def test_another_model_id_is_not_served_by_the_files_of_this_one(installed, clip, monkeypatch):
    monkeypatch.setenv(weights.VISION_LANGUAGE_VARIABLE, "Qwen/Qwen2-VL-2B-Instruct")
    outcome = examine(DESCRIBER, clip, {})
    assert outcome.status == "weights_missing"
    asked, there = "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-7B-Instruct"
    assert f"is not installed: {there} is in its place, not {asked} (size not known)" in outcome.reason


@pytest.mark.parametrize(
    ("duration_s", "fps", "expected"),
    [
        (4.0, 4, [(0, 2, (1, 3, 5, 7)), (2, 4, (9, 11, 13, 15))]),
        (4.4, 4, [(0, 2, (1, 3, 5, 7)), (2, 4.4, (9, 11, 14, 16))]),
        (5.0, 1, [(0, 2, (0, 1)), (2, 4, (2, 3)), (4, 5, (4,))]),
        (0.1, 4, [(0, 0.1, (0,))]),
        (4.0, 0.25, [(0, 2, (0,)), (2, 4, (0,))]),
    ],
)
def test_windows_cover_the_clip_and_always_have_a_picture(duration_s, fps, expected):
    times_s = np.arange(0, duration_s, 1 / fps)
    found = windows_of(times_s, duration_s, 2.0, 4)
    assert [(w.start_s, w.end_s, w.picks) for w in found] == expected


@pytest.mark.parametrize(
    ("shape_px", "expected_px"),
    [
        ((360, 640), (280, 504)),
        ((640, 360), (504, 280)),
        ((54, 96), (56, 84)),
        ((2, 640), (28, 644)),
        ((2, 2), (28, 28)),
    ],
)
def test_pictures_are_shrunk_to_the_grid_under_the_cap(shape_px, expected_px):
    width_px, height_px = fitted_size_px(*shape_px, 280 * 504)
    assert (width_px, height_px) == expected_px
    assert width_px * height_px <= 280 * 504


def test_what_comes_after_the_end_is_padding():
    assert description(" A man\nwalks. ", [5, 6, 2, 0, 0], {2}, 64) == description("A man walks.", [5, 6], {2}, 64)
    assert description("A man", [5, 6, 7], {2}, 3).truncated
    assert not description("A man", [5, 6, 2], {2}, 3).truncated


def test_models_without_video_are_shown_pictures(installed, clip):
    describer = DESCRIBER()
    describer.load()
    assert describer._takes_videos
    describer._takes_videos = False
    conversation = chat(describer.prompt, False, 4)
    assert [part["type"] for part in conversation[0]["content"]] == ["image"] * 4 + ["text"]
    describer._question = describer._processor.apply_chat_template(
        conversation, tokenize=False, add_generation_prompt=True
    )
    described = describer.analyze(clip, {}).segments
    assert [s.data["tokens"] for s in described] == [64, 64, 64]
    assert len({s.data["text"] for s in described}) == 3
