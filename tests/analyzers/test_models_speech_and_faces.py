"""Analyzers of speech, sound, faces and looks with their models: real loaders, processors, batches and post-processing
on tiny checkpoints. Their random weights prove that the parts fit together, and nothing about accuracy."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from analyzers import run
from analyzers.catalogue import analyzer_class, with_upstream
from analyzers.contract import Outcome, Segment
from analyzers.run import examine
from analyzers.weights import folder_of
from tests import checkpoints_speech_and_faces as checkpoints
from tests.analyzers.people.pictures import astronaut, face_on_wall
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip, still, synthetic_clip

NAMES = (
    "audio_environment",
    "sound_effects",
    "speech_transcription",
    "speech_flow",
    "speech_rate",
    "speech_emotion",
    "face_emotion",
    "age_estimation",
    "content_quality",
    "scene_segmentation",
)


def use_weights(patch: pytest.MonkeyPatch, root: Path) -> None:
    """Make `root` the folder of all models, and let analyzers look at it anew."""
    patch.setenv("TIKTOK_ASSETS_WEIGHTS", str(root))
    patch.setattr(run, "_loaded", {})


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    use_weights(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """How the analyzers end on the sample, all models installed."""
    with pytest.MonkeyPatch.context() as patch:
        use_weights(patch, tmp_path_factory.mktemp("weights"))
        checkpoints.install_all()
        found: dict[str, Outcome] = {}
        for name in with_upstream(NAMES):
            found[name] = examine(analyzer_class(name), sample_clip(), found)
        yield found


def segments(outcome: Outcome, *labels: str) -> list[Segment]:
    assert outcome.analysis, outcome.reason
    return [s for s in outcome.analysis.segments if not labels or s.label in labels]


@pytest.mark.parametrize("name", NAMES)
def test_ends_well_and_names_its_model(name, outcomes):
    outcome = outcomes[name]
    assert outcome.status in ("ok", "no_signal"), outcome.reason
    weights = analyzer_class(name).spec.weights
    assert (outcome.analysis.model is not None) == bool(weights and outcome.analysis.segments)
    assert outcome.analysis.model is None or outcome.analysis.model.endswith("@tiny")


def test_speech_is_transcribed_with_words_inside_voice_regions(outcomes):
    analysis = outcomes["speech_transcription"].analysis
    text = checkpoints.SPOKEN.strip()
    assert [s.data["text"] for s in analysis.segments] == [text, text]
    assert (analysis.summary["language"], analysis.summary["words"]) == ("en", 14)
    voices = segments(outcomes["audio_environment"], "speech")
    for passage, voice in zip(analysis.segments, voices, strict=True):
        words = passage.data["words"]
        assert [w["word"] for w in words] == text.split()
        assert passage.start_s == words[0]["start_s"]
        assert passage.end_s == words[-1]["end_s"]
        assert all(voice.start_s - 0.001 <= w["start_s"] <= w["end_s"] <= voice.end_s + 0.001 for w in words)
        assert all(a["end_s"] <= b["start_s"] + 0.001 for a, b in itertools.pairwise(words))
        assert all(w["probability"] > 0.9 for w in words)


def test_words_give_rate_and_fillers(outcomes):
    rate, flow = outcomes["speech_rate"].analysis, outcomes["speech_flow"].analysis
    phrases = segments(outcomes["speech_flow"], "phrase")
    spoken_s = sum(p.end_s - p.start_s for p in phrases)
    assert rate.summary["basis"] == "words"
    assert rate.summary["words_per_minute"] == pytest.approx(60 * 14 / spoken_s, rel=0.01)
    assert [s.data["words"] for s in rate.segments] == [7, 7]
    fillers = segments(outcomes["speech_flow"], "filler")
    assert [s.data["word"] for s in fillers] == ["um,", "um,"]
    assert flow.summary["fillers"] == 2


def test_emotions_of_the_voice(outcomes):
    analysis = outcomes["speech_emotion"].analysis
    assert {"neutral", "happy", "angry", "sad"} == set(analysis.summary["probabilities"])
    for part in analysis.segments:
        assert sum(part.data["probabilities"].values()) == pytest.approx(1, abs=0.001)
        assert part.data["out_of_domain"] is False
        assert part.data["alpha_ratio_db"] < 0, "the prosody is kept"


def test_expressions_and_ages_of_the_face(outcomes):
    faces = segments(outcomes["face_detection"])
    expressions = [s for s in segments(outcomes["face_emotion"]) if s.label.startswith("expression_")]
    (age,) = segments(outcomes["age_estimation"])
    assert expressions
    for found, labels in [(e, checkpoints.EXPRESSIONS) for e in expressions] + [(age, checkpoints.AGES)]:
        assert set(found.data["probabilities"]) == set(labels)
        assert sum(found.data["probabilities"].values()) == pytest.approx(1, abs=0.001)
        assert 1 <= len(found.data["crops_s"]) <= 5
        assert all(faces[0].start_s <= t < faces[-1].end_s for t in found.data["crops_s"])
    assert age.label in ("uncertain", *checkpoints.AGES) or " or " in age.label
    assert segments(outcomes["face_emotion"], "smile"), "the cues of the mesh are kept"
    assert outcomes["face_emotion"].analysis.summary["expression_tracks"][0]["track"] == faces[0].data["track"]


def test_looks_of_the_shots(outcomes):
    shots = segments(outcomes["cut_analysis"], "shot")
    quality, scenes = outcomes["content_quality"].analysis, outcomes["scene_segmentation"].analysis
    pairs = quality.summary["aesthetic_prompts"]
    assert len(quality.segments) == len(shots)
    for shot in quality.segments:
        assert all(0 <= shot.data[name] <= 1 for name in pairs)
        assert shot.data["technical_brightness"] > 0
    assert quality.summary["aesthetic_score"] == pytest.approx(
        np.average([s.data["aesthetic_score"] for s in quality.segments], weights=[s.end_s - s.start_s for s in shots]),
        abs=0.001,
    )
    assert sorted(i for s in scenes.segments for i in s.data["shots"]) == list(range(len(shots)))
    assert scenes.backend == "CLIP embeddings of shots"


def test_tags_over_windows_and_of_a_knock(outcomes, weights):
    windows = segments(outcomes["audio_environment"], "tags")
    assert [(s.start_s, s.end_s) for s in windows] == [(0.0, 10.0), (10.0, pytest.approx(12, abs=0.02))]
    for window in windows:
        assert len(window.data["tags"]) <= 5
        assert set(window.data["tags"]) <= set(checkpoints.EVENTS)
    checkpoints.install_audio_events()
    sound = tones.noise(4.0, amplitude=0.003)
    sound[32_000:32_800] += tones.noise(0.05, amplitude=0.5, seed=1) * np.exp(-np.arange(800) / 200)
    knock = run_analyzer("sound_effects", synthetic_clip(None, sound=sound, sound_hz=16_000))
    (effect,) = segments(knock)
    assert effect.start_s == pytest.approx(2.0, abs=0.05)
    assert effect.data["kind"] in effect.data["tags"]
    assert effect.confidence == effect.data["tags"][effect.data["kind"]]


@pytest.mark.parametrize(
    ("text", "certainty", "why"),
    [(" la" * 80, 1.0, "repeats itself"), (checkpoints.SPOKEN, 0.14, "the model is unsure")],
)
def test_invented_text_is_left_out(text, certainty, why, weights):
    checkpoints.install_whisper(text, certainty=certainty)
    outcome = run_analyzer("speech_transcription", sample_clip())
    assert outcome.status == "ok"
    assert all(s.data["text"] is None and s.data["why"] for s in outcome.analysis.segments)
    assert set(outcome.analysis.summary["dropped"]) == {why}
    assert outcome.analysis.summary["text"] is None


def test_small_faces_have_no_age(weights):
    checkpoints.install_image_classifier("face_age", checkpoints.AGES)
    small = np.ascontiguousarray(face_on_wall()[::2, ::2])
    outcome = run_analyzer("age_estimation", synthetic_clip(still(small, 1.0)))
    (face,) = segments(outcome)
    assert (face.label, face.data["age_range"], face.data["usable"]) == ("unknown", None, False)


def flip_bytes(file: Path) -> None:
    """Damage a file and keep its size."""
    content = bytearray(file.read_bytes())
    content[:4096] = bytes(255 - b for b in content[:4096])
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def forget_record(file: Path) -> None:
    (file.parent / "installed.json").unlink()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (flip_bytes, "damaged: {file} has another checksum"),
        (truncate, "damaged: {file} is cut off"),
        (forget_record, "only half fetched"),
    ],
)
@pytest.mark.parametrize(
    ("name", "analyzer", "file", "install"),
    [
        ("whisper", "speech_transcription", "small.pt", checkpoints.install_whisper),
        (
            "face_age",
            "age_estimation",
            "model.safetensors",
            lambda: checkpoints.install_image_classifier("face_age", checkpoints.AGES),
        ),
    ],
)
def test_damaged_files_give_one_clear_line(
    name: str,
    analyzer: str,
    file: str,
    install: Callable[[], object],
    damage: Callable[[Path], None],
    line: str,
    weights,
):
    install()
    damage(folder_of(name) / file)
    outcome = run_analyzer(analyzer, sample_clip())
    assert outcome.status == "weights_missing"
    assert line.format(file=file) in outcome.reason
    assert f"tiktok-assets weights fetch {name}" in outcome.reason
    assert "\n" not in outcome.reason
    assert "Traceback" not in outcome.reason
    assert outcome.analysis.segments, "what could be said without the model is kept"


def test_half_fetched_models_are_told_where_something_is_said_without_them(weights):
    checkpoints.install_image_text()
    truncate(folder_of("image_text") / "model.safetensors")
    outcome = run_analyzer("scene_segmentation", synthetic_clip(still(astronaut(), 1.0)))
    assert outcome.status == "ok"
    assert "model.safetensors is cut off" in outcome.analysis.summary["model_problem"]
    assert outcome.analysis.model is None


@pytest.mark.parametrize(
    ("analyzer", "name", "other", "line"),
    [
        ("face_emotion", "face_expression", "audio_events", "another kind of model, by its config.json"),
        ("content_quality", "image_text", "face_expression", "another kind of model: it has no "),
        ("speech_transcription", "whisper", "face_age", "small.pt is no whisper checkpoint"),
    ],
)
def test_another_kind_of_model_gives_one_clear_line(analyzer, name, other, line, weights):
    install_in_place_of(name, other)
    outcome = run_analyzer(analyzer, sample_clip())
    assert outcome.status == "failed"
    assert f"the model {name} " in outcome.reason
    assert f"does not load: {line}" in outcome.reason
    assert "\n" not in outcome.reason
    assert "Traceback" not in outcome.reason


def install_in_place_of(name: str, other: str) -> None:
    """Put the files of another model, completely recorded, where a model belongs."""
    from analyzers.weights import write_record

    if other == "audio_events":
        folder = checkpoints.install_audio_events().folder
    else:
        folder = checkpoints.install_image_classifier(other, checkpoints.AGES).folder
    if name == "whisper":
        os.rename(folder / "model.safetensors", folder / "small.pt")
    folder.rename(folder_of(name))
    (folder_of(name) / "installed.json").unlink()
    write_record(name, "tiny", tuple(p.name for p in folder_of(name).iterdir()))


def test_a_classifier_without_its_head_is_refused(weights):
    """transformers would fill it with random numbers."""
    from safetensors.torch import load_file, save_file

    from analyzers.weights import write_record

    installed = checkpoints.install_image_classifier("face_age", checkpoints.AGES)
    file = installed.folder / "model.safetensors"
    save_file({k: t for k, t in load_file(file).items() if "classifier" not in k}, file, metadata={"format": "pt"})
    write_record("face_age", "tiny", tuple(f.name for f in installed.files))
    outcome = run_analyzer("age_estimation", synthetic_clip(still(astronaut(), 1.0)))
    assert outcome.status == "failed"
    assert "it has no classifier" in outcome.reason


def test_easyocr_reads_when_it_is_chosen(weights, monkeypatch):
    import easyocr.easyocr as library

    monkeypatch.setenv("TIKTOK_ASSETS_OCR", "easyocr")
    clip = synthetic_clip(still(np.ascontiguousarray(astronaut()[:128, :96]), 0.2))
    missing = run_analyzer("text_overlay", clip)
    assert missing.status == "weights_missing"
    assert "tiktok-assets weights fetch easyocr_de_en" in missing.reason

    sums = checkpoints.install_easyocr()
    monkeypatch.setitem(library.detection_models["craft"], "md5sum", sums["craft_mlt_25k.pth"])
    monkeypatch.setitem(library.recognition_models["gen2"]["latin_g2"], "md5sum", sums["latin_g2.pth"])
    outcome = run_analyzer("text_overlay", clip)
    assert outcome.succeeded, outcome.reason
    assert outcome.analysis.backend.startswith("EasyOCR")
    assert outcome.analysis.summary["detections"] >= 1
    reader = next(a for a in run._loaded.values() if a.spec.name == "text_overlay")._reader
    text, score = reader.recognise(np.ascontiguousarray(astronaut()[:40, :120]))
    assert isinstance(text, str)
    assert 0 <= score <= 1
