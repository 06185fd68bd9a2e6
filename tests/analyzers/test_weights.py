"""The registry of models, and what is said of one that is missing, half-fetched or damaged."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from analyzers import weights
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need
from analyzers.errors import AnalysisError, SpecError, WeightsMissing
from analyzers.table import weights_table, with_tables


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOK_ASSETS_WEIGHTS", str(tmp_path))
    return tmp_path


def put(root, name="whisper", content=b"0123456789", revision="tiny"):
    folder = root / name
    folder.mkdir(exist_ok=True)
    file = weights.REGISTRY[name].files[0].name
    (folder / file).write_bytes(content)
    return weights.write_record(name, revision, (file,))


def test_every_model_has_a_licence_a_size_and_either_files_with_addresses_or_a_repository():
    for name, model in weights.REGISTRY.items():
        assert model.name == name
        assert model.licence
        assert model.bytes > 1e6
        assert all(file.url and file.url.startswith("https://") for file in model.files)
        assert model.files or model.library == "transformers"
        assert "latest" not in model.revision
    assert "no licence" in weights.REGISTRY["face_age"].licence_note
    assert {weights.REGISTRY[n].licence for n in weights.REGISTRY if n.startswith("yolo")} == {"AGPL-3.0"}


def test_checksums_are_those_that_the_installed_packages_state():
    import easyocr.config
    import whisper

    speech = weights.REGISTRY["whisper"]
    assert speech.files[0].url == whisper._MODELS["small"]
    assert speech.files[0].sha256 == speech.files[0].url.split("/")[-2]
    stated = [easyocr.config.detection_models["craft"], easyocr.config.recognition_models["gen2"]["latin_g2"]]
    for file, known in zip(weights.REGISTRY["easyocr_de_en"].files, stated, strict=True):
        assert (file.name, file.md5, file.url) == (known["filename"], known["md5sum"], known["url"])


def test_what_is_installed_is_told_by_its_record(root):
    assert weights.installed("whisper") is None
    record = put(root)
    assert weights.installed("whisper") == record
    assert (record.model, record.revision, record.bytes) == ("openai/whisper-small", "tiny", 10)
    assert weights.require("whisper") == root / "whisper"
    assert weights.verify("whisper") == record
    assert weights.complaint("whisper") is None
    assert weights.revision_of("whisper") == "openai/whisper-small@tiny"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: None, "not installed (484 MB); get it with: "),
        (lambda folder: folder.mkdir(), "only half fetched (of 484 MB); go on with: "),
        (lambda folder: (put(folder.parent), (folder / "small.pt").unlink()), "damaged: small.pt is gone"),
        (
            lambda folder: (put(folder.parent), (folder / "small.pt").write_bytes(b"0")),
            "damaged: small.pt is cut off, 1 of 10 bytes are there; repair it (484 MB) with: ",
        ),
        (
            lambda folder: (put(folder.parent), (folder / "small.pt").write_bytes(b"0123456789x")),
            "damaged: small.pt has another checksum than when it was fetched; repair it (484 MB) with: ",
        ),
        (lambda folder: (put(folder.parent), (folder / weights.RECORD).write_text("[]")), "not readable"),
    ],
)
def test_what_is_of_no_use_says_why_and_what_helps(root, spoil, said):
    spoil(root / "whisper")
    with pytest.raises(WeightsMissing) as missing:
        weights.require("whisper")
    line = str(missing.value)
    assert said in line
    assert line.startswith("the model whisper is ")
    assert line.endswith(" with: tiktok-assets weights fetch whisper")
    assert weights.installed("whisper") is None
    assert weights.revision_of("whisper") == "none"


def test_a_changed_byte_is_found_before_a_library_loads_it_and_told_from_then_on(root):
    put(root)
    (root / "whisper" / "small.pt").write_bytes(b"0123456780")
    assert weights.recorded("whisper"), "a look at sizes does not see it"
    assert weights.complaint("whisper", reading=False) is None
    with pytest.raises(WeightsMissing, match=r"small\.pt has another checksum"), weights.loading("whisper"):
        pytest.fail("the library was given the file")
    assert weights.installed("whisper") is weights.recorded("whisper") is None
    assert "another checksum" in weights.complaint("whisper", reading=False)
    assert weights.revision_of("whisper") == "none", "what is made without it is to be out of date later"
    put(root)
    assert weights.revision_of("whisper") == "openai/whisper-small@tiny"


def test_a_byte_that_changed_unseen_by_the_file_system_is_found_by_verify(root):
    put(root)
    file = root / "whisper" / "small.pt"
    file.write_bytes(b"0123456780")
    seen = json.loads((root / "whisper" / weights.COMPARED).read_text())
    about = file.stat()
    seen["small.pt"]["times"] = [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
    (root / "whisper" / weights.COMPARED).write_text(json.dumps(seen))
    assert weights.installed("whisper")
    with pytest.raises(WeightsMissing, match=r"small\.pt has another checksum"):
        weights.verify("whisper")
    assert weights.installed("whisper") is None


def test_files_are_read_once_unless_they_change(root, monkeypatch):
    read = []
    real = weights.sha256_of
    monkeypatch.setattr(weights, "sha256_of", lambda path: read.append(path.name) or real(path))
    put(root)
    assert read == ["small.pt"]
    assert weights.installed("whisper")
    assert weights.require("whisper")
    assert read == ["small.pt"], "it was compared when it was fetched"
    file = root / "whisper" / "small.pt"
    file.write_bytes(file.read_bytes())
    assert weights.recorded("whisper")
    assert read == ["small.pt"]
    assert weights.installed("whisper")
    assert weights.installed("whisper")
    assert read == ["small.pt", "small.pt"], "copied to another machine, say: once more, and whole"
    (root / "whisper" / weights.COMPARED).write_text("no JSON")
    assert weights.installed("whisper"), "what was noted is of help, and no more"


def test_files_that_are_whole_and_do_not_load_are_an_error_of_one_line(root):
    put(root)
    with (
        pytest.raises(AnalysisError, match=r"^the model whisper does not load: ValueError: two lines$"),
        weights.loading("whisper"),
    ):
        raise ValueError("two\nlines")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_a_model_that_does_not_fit_into_memory_says_so_and_is_not_called_damaged(root, error):
    put(root)
    with (
        pytest.raises(AnalysisError, match=r"^out of memory while the model whisper \(484 MB\) was loaded$") as said,
        weights.loading("whisper"),
    ):
        raise error
    assert not isinstance(said.value, WeightsMissing)


def test_another_model_id_is_another_model(root, monkeypatch):
    monkeypatch.setenv(weights.VISION_LANGUAGE_VARIABLE, "org/other-vl")
    assert weights.registered("vision_language").model == "org/other-vl"
    assert weights.registered("vision_language").licence == "see its model card"
    assert weights.registered("whisper") == weights.REGISTRY["whisper"]
    with pytest.raises(AnalysisError, match=r"no weights 'nonsense'.*whisper"):
        weights.registered("nonsense")


def test_installing_or_exchanging_a_model_changes_the_code_version_of_its_users_alone(root):
    def version(*names):
        wanted = AnalyzerSpec("test_analysis", "1", "cpu_parallel", {Need.AUDIO}, weights=names)

        @dataclass
        class TestAnalysis(Analyzer):
            """For tests."""

            spec = wanted

            def analyze(self, clip, results):
                return Analysis.nothing("nothing")

        return TestAnalysis().code_version()

    without, other = version("whisper"), version()
    put(root)
    tiny = version("whisper")
    put(root, revision="larger")
    assert len({without, tiny, version("whisper")}) == 3
    assert version() == other


def test_a_spec_with_an_unknown_model_is_refused():
    good = AnalyzerSpec("test_analysis", "1", "cpu_parallel", {Need.AUDIO})
    with pytest.raises(SpecError, match="no weights nonsense"):

        class TestAnalysis(Analyzer):
            """For tests."""

            spec = replace(good, weights=("nonsense",))


def test_the_table_of_models_in_the_documentation_is_that_of_the_registry():
    text = (Path(__file__).parents[2] / "docs" / "weights.md").read_text("utf-8")
    assert weights_table() in text, "run `python -m analyzers.table docs/weights.md`"
    assert with_tables(text) == text
    assert with_tables("a document without marks") == "a document without marks"
    for name, model in weights.REGISTRY.items():
        assert f"| {name} | {model.model} | {model.size} |" in text
