"""Which model files exist, at which revision and checksum, under which licence, and whether they are installed.

    <root>/<name>/installed.json     what was fetched, written last: without it a folder is half-fetched
    <root>/<name>/...                the files, as the model's library reads them

The root is `$TIKTOK_ASSETS_WEIGHTS`, else `data/weights/` of the repository. Nothing here or in an analyzer downloads;
`tiktok_assets.weights` does, when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from analyzers.errors import AnalysisError, WeightsMissing

RECORD = "installed.json"
VISION_LANGUAGE_VARIABLE = "TIKTOK_ASSETS_VISION_LANGUAGE_MODEL"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model."""

    name: str
    """Its path inside the model's folder."""
    bytes: int | None = None
    """Its size, None where the publisher does not state it."""
    sha256: str | None = None
    """None where the publisher does not state it."""
    md5: str | None = None
    """For publishers who state nothing better."""
    url: str | None = None
    """Where it is fetched from; a `.zip` holds it under its own name. None for files of a Hugging Face repository."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that analyzers can use."""

    name: str
    model: str
    """Id at its publisher, e.g. "openai/whisper-small"."""
    library: str
    """Package that loads it: ultralytics, openai-whisper, transformers or easyocr."""
    revision: str
    """Release or digest; "main" is resolved to a commit when it is fetched."""
    bytes: int
    """Approximate size of all files."""
    licence: str
    files: tuple[WeightFile, ...] = ()
    """Empty for a Hugging Face repository: what it takes is chosen from the repository's list when it is fetched."""
    licence_note: str = ""
    """What the licence means for whoever uses the results, where that is not obvious."""

    @property
    def size(self) -> str:
        """For people, e.g. "484 MB"."""
        return size_text(self.bytes) if self.bytes else "size not known"


@dataclass(frozen=True, slots=True)
class Installed:
    """What a model's `installed.json` says."""

    model: str
    revision: str
    """Commit, release or digest that was fetched."""
    files: tuple[WeightFile, ...]
    """Each with the size and SHA-256 that it had when it was fetched."""
    folder: Path

    @property
    def bytes(self) -> int:
        return sum(file.bytes or 0 for file in self.files)


_YOLO = "https://github.com/ultralytics/assets/releases/download/v8.3.0"
_WHISPER_SMALL = "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794"
_EASYOCR = "https://github.com/JaidedAI/EasyOCR/releases/download"
_AGPL = "AGPL-3.0 covers services that use it too; otherwise an Ultralytics enterprise licence is needed"


def _registry(*weights: Weights) -> dict[str, Weights]:
    return {w.name: w for w in weights}


REGISTRY = _registry(
    Weights(
        name="yolo_detection_large",
        model="ultralytics/yolov8l",
        library="ultralytics",
        revision="v8.3.0",
        bytes=87_800_000,
        licence="AGPL-3.0",
        licence_note=_AGPL,
        files=(WeightFile("yolov8l.pt", url=f"{_YOLO}/yolov8l.pt"),),
    ),
    Weights(
        name="yolo_detection_nano",
        model="ultralytics/yolov8n",
        library="ultralytics",
        revision="v8.3.0",
        bytes=6_500_000,
        licence="AGPL-3.0",
        licence_note=_AGPL,
        files=(WeightFile("yolov8n.pt", url=f"{_YOLO}/yolov8n.pt"),),
    ),
    Weights(
        name="whisper",
        model="openai/whisper-small",
        library="openai-whisper",
        revision=_WHISPER_SMALL[:12],
        bytes=484_000_000,
        licence="MIT",
        files=(
            WeightFile(
                "small.pt",
                sha256=_WHISPER_SMALL,
                url=f"https://openaipublic.azureedge.net/main/whisper/models/{_WHISPER_SMALL}/small.pt",
            ),
        ),
    ),
    Weights(
        name="vision_language",
        model="Qwen/Qwen2-VL-7B-Instruct",
        library="transformers",
        revision="main",
        bytes=16_600_000_000,
        licence="Apache-2.0",
    ),
    Weights(
        name="face_expression",
        model="trpakov/vit-face-expression",
        library="transformers",
        revision="main",
        bytes=343_000_000,
        licence="unclear",
        licence_note="its model card has been seen with Apache-2.0 and without a licence; trained on FER2013",
    ),
    Weights(
        name="face_age",
        model="nateraw/vit-age-classifier",
        library="transformers",
        revision="main",
        bytes=343_000_000,
        licence="none stated",
        licence_note="its model card states no licence: ask its author before using it beyond private tests",
    ),
    Weights(
        name="speech_emotion",
        model="superb/wav2vec2-base-superb-er",
        library="transformers",
        revision="main",
        bytes=378_000_000,
        licence="Apache-2.0",
        licence_note="trained on IEMOCAP (English), which is licensed for research",
    ),
    Weights(
        name="audio_events",
        model="MIT/ast-finetuned-audioset-10-10-0.4593",
        library="transformers",
        revision="main",
        bytes=346_000_000,
        licence="BSD-3-Clause",
    ),
    Weights(
        name="image_text",
        model="openai/clip-vit-base-patch32",
        library="transformers",
        revision="main",
        bytes=605_000_000,
        licence="MIT",
        licence_note="the licence of OpenAI's repository; the model card advises against deployment without own tests",
    ),
    Weights(
        name="easyocr_de_en",
        model="JaidedAI/EasyOCR craft_mlt_25k + latin_g2",
        library="easyocr",
        revision="v1.3",
        bytes=98_600_000,
        licence="Apache-2.0",
        files=(
            WeightFile(
                "craft_mlt_25k.pth",
                md5="2f8227d2def4037cdb3b34389dcf9ec1",
                url=f"{_EASYOCR}/pre-v1.1.6/craft_mlt_25k.zip",
            ),
            WeightFile("latin_g2.pth", md5="469869130aad1a34e8f9086f4262bc59", url=f"{_EASYOCR}/v1.3/latin_g2.zip"),
        ),
    ),
)
"""All models, by the name that specs, folders and commands use."""


def registered(name: str) -> Weights:
    """A model of the registry, with the id that the environment asks for.

    Raises:
        AnalysisError: no such name; says which exist.
    """
    if name not in REGISTRY:
        raise AnalysisError(f"There are no weights {name!r}. There are: {', '.join(REGISTRY)}.")
    weights, other = REGISTRY[name], os.environ.get(VISION_LANGUAGE_VARIABLE)
    if name != "vision_language" or not other or other == weights.model:
        return weights
    return replace(weights, model=other, bytes=0, licence="see its model card")


def weights_root() -> Path:
    """Folder of all models."""
    default = Path(__file__).resolve().parent.parent / "data" / "weights"
    return Path(os.environ.get("TIKTOK_ASSETS_WEIGHTS") or default).expanduser().resolve()


def folder_of(name: str) -> Path:
    """Folder of a model, whether or not anything is there yet."""
    return weights_root() / name


def installed(name: str) -> Installed | None:
    """What is installed of a model; None if it is missing, half-fetched, damaged or another model. Reads no weights."""
    found = _look(name)
    return found if isinstance(found, Installed) else None


def complaint(name: str) -> str | None:
    """Why a model cannot be used, in one line for people with the command that helps; None if it can."""
    found = _look(name)
    return found if isinstance(found, str) else None


def require(name: str) -> Path:
    """Folder of an installed model.

    Raises:
        WeightsMissing: it is not there, half-fetched or damaged; says which, how large, and how to get it.
    """
    found = _look(name)
    if isinstance(found, str):
        raise WeightsMissing(found)
    return found.folder


def verify(name: str) -> Installed:
    """Compare every file of a model with its recorded checksum. Reads all of it.

    Raises:
        WeightsMissing: as `require`, or a file is not what was fetched.
    """
    folder = require(name)
    record = _read_record(folder)
    for file in record.files:
        if sha256_of(folder / file.name) != file.sha256:
            raise WeightsMissing(f"{_named(name)} is damaged: {file.name} has another checksum; {_command(name)}")
    return record


def revision_of(name: str) -> str:
    """Model and revision for code versions, e.g. "openai/whisper-small@9ecf779972d9"; "none" when not installed."""
    found = installed(name)
    return f"{found.model}@{found.revision[:12]}" if found else "none"


@contextmanager
def loading(name: str) -> Iterator[Path]:
    """The folder of a model while a library loads it. Whatever the library raises becomes one clear line.

    Raises:
        WeightsMissing: as `require`, or it did not load since a file is not what was fetched.
        AnalysisError: the files are as fetched, and do not load.
    """
    folder = require(name)
    try:
        yield folder
    except (MemoryError, WeightsMissing):
        raise
    except Exception as error:
        if "out of memory" in str(error).lower():
            raise
        verify(name)
        text = str(error) if isinstance(error, AnalysisError) else f"{type(error).__name__}: {error}"
        raise AnalysisError(f"{_named(name)} does not load: {' '.join(text.split())[:200]}") from error


def write_record(name: str, revision: str, files: tuple[str, ...]) -> Installed:
    """Measure the files of a model and write its `installed.json`: from now on it counts as installed.

    Args:
        name: of the registry.
        revision: that was fetched.
        files: their paths inside the model's folder.
    """
    folder = folder_of(name)
    found = [WeightFile(file, (folder / file).stat().st_size, sha256_of(folder / file)) for file in sorted(files)]
    record = {
        "name": name,
        "model": registered(name).model,
        "revision": revision,
        "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in found],
    }
    temporary = folder / f".{RECORD}.{os.getpid()}"
    temporary.write_text(json.dumps(record, indent=1), "utf-8")
    temporary.replace(folder / RECORD)
    return _read_record(folder)


def size_text(size_bytes: int) -> str:
    """A size for people, e.g. "484 MB"."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_record(folder: Path) -> Installed:
    record = json.loads((folder / RECORD).read_text("utf-8"))
    files = tuple(WeightFile(f["name"], int(f["bytes"]), f["sha256"]) for f in record["files"])
    return Installed(record["model"], record["revision"], files, folder)


def _look(name: str) -> Installed | str:
    """What is installed of a model, or why it cannot be used."""
    wanted, folder = registered(name), folder_of(name)
    if not folder.is_dir():
        return f"{_named(name)} is not installed ({wanted.size}); {_command(name)}"
    try:
        found = _read_record(folder)
    except FileNotFoundError:
        return f"{_named(name)} is only half fetched ({wanted.size}); {_command(name)}"
    except (ValueError, KeyError, TypeError, OSError):
        return f"{_named(name)} is damaged: its {RECORD} is not readable; {_command(name)}"
    if found.model != wanted.model:
        return f"{_named(name)} is not installed, {found.model} is in its place; {_command(name)}"
    for file in found.files:
        try:
            size = (folder / file.name).stat().st_size
        except OSError:
            return f"{_named(name)} is damaged: {file.name} is gone; {_command(name)}"
        if size != file.bytes:
            return f"{_named(name)} is damaged: {file.name} has {size} bytes, not {file.bytes}; {_command(name)}"
    return found


def _named(name: str) -> str:
    return f"the model {name} ({registered(name).model})"


def _command(name: str) -> str:
    return f"get it with: tiktok-assets weights fetch {name}"
