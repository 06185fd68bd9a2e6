"""Which model files exist, at which revision and checksum, under which licence, and whether they are installed.

    <root>/<name>/installed.json     what was fetched, written last: without it a folder is half-fetched
    <root>/<name>/compared.json      the checksum that each file had when it was last read, and its times then
    <root>/<name>/...                the files, as the model's library reads them

A file whose size and times are those of the last comparison is not read again. One that has changed since is compared
before a library loads it: changed bytes in the middle of a file load without a complaint, and give nonsense.

The root is `$TIKTOK_ASSETS_WEIGHTS`, else `data/weights/` of the repository. Nothing here or in an analyzer downloads;
`tiktok_assets.weights` does, when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from analyzers.errors import AnalysisError, WeightsMissing

RECORD, COMPARED = "installed.json", "compared.json"
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
    """What is installed of a model; None if it is missing, half-fetched, damaged or another model.

    Reads files that have changed since they were last compared, and no others.
    """
    found = _look(name, reading=True)
    return found if isinstance(found, Installed) else None


def recorded(name: str) -> Installed | None:
    """As `installed`, from sizes and earlier comparisons alone: for those who ask often, or for all models."""
    found = _look(name, reading=False)
    return found if isinstance(found, Installed) else None


def complaint(name: str, *, reading: bool = True) -> str | None:
    """Why a model cannot be used, in one line for people with the command that helps; None if it can.

    Args:
        name: of the registry.
        reading: compare files that have changed; without, as `recorded`.
    """
    found = _look(name, reading)
    return found if isinstance(found, str) else None


def require(name: str) -> Path:
    """Folder of an installed model.

    Raises:
        WeightsMissing: it is not there, half-fetched or damaged; says which, how large, and how to get it.
    """
    found = _look(name, reading=True)
    if isinstance(found, str):
        raise WeightsMissing(found)
    return found.folder


def verify(name: str) -> Installed:
    """Compare every file of a model with its recorded checksum. Reads all of it.

    Raises:
        WeightsMissing: as `require`, or a file is not what was fetched.
    """
    found = _look(name, reading=False)
    if isinstance(found, str):
        raise WeightsMissing(found)
    folder = found.folder
    sums = {file.name: sha256_of(folder / file.name) for file in found.files}
    _write_compared(folder, sums)
    for file in found.files:
        if sums[file.name] != file.sha256:
            raise WeightsMissing(_changed(name, file.name))
    return found


def revision_of(name: str) -> str:
    """Model and revision for code versions, e.g. "openai/whisper-small@9ecf779972d9"; "none" when not installed."""
    found = recorded(name)
    return f"{found.model}@{found.revision[:12]}" if found else "none"


@contextmanager
def loading(name: str) -> Iterator[Path]:
    """The folder of a model while a library loads it. Whatever the library raises becomes one clear line.

    Raises:
        WeightsMissing: as `require`, or it did not load since a file is not what was fetched.
        AnalysisError: the files are as fetched, and do not load; or memory ran out.
    """
    from analyzers.common.devices import is_out_of_memory  # which imports the contract, and that this module

    folder = require(name)
    try:
        yield folder
    except WeightsMissing:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise AnalysisError(f"out of memory while {_named(name)} ({registered(name).size}) was loaded") from error
        verify(name)
        text = str(error) if isinstance(error, AnalysisError) else f"{type(error).__name__}: {error}"
        raise AnalysisError(f"{_named(name)} does not load: {' '.join(text.split())[:200]}") from error


def write_record(name: str, revision: str, files: tuple[str, ...]) -> Installed:
    """Measure the files of a model and write its `installed.json`: from now on it counts as installed.

    Args:
        name: of the registry.
        revision: that was fetched.
        files: their paths inside the model's folder; the two that are written here are none of them.
    """
    folder, chosen = folder_of(name), sorted(set(files) - {RECORD, COMPARED})
    found = [WeightFile(file, (folder / file).stat().st_size, sha256_of(folder / file)) for file in chosen]
    record = {
        "name": name,
        "model": registered(name).model,
        "revision": revision,
        "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in found],
    }
    _write_compared(folder, {f.name: str(f.sha256) for f in found})
    _write_json(folder / RECORD, record)
    return _read_record(folder)


def size_text(size_bytes: int) -> str:
    """A size for people, e.g. "484 MB"."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{math.ceil(size_bytes / 1e3)} kB"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_record(folder: Path) -> Installed:
    record = json.loads((folder / RECORD).read_text("utf-8"))
    files = tuple(WeightFile(f["name"], int(f["bytes"]), f["sha256"]) for f in record["files"])
    return Installed(record["model"], record["revision"], files, folder)


def _look(name: str, reading: bool) -> Installed | str:
    """What is installed of a model, or why it cannot be used."""
    wanted, folder = registered(name), folder_of(name)
    if not folder.is_dir():
        return f"{_named(name)} is not installed ({wanted.size}); get it with: {_command(name)}"
    try:
        found = _read_record(folder)
    except FileNotFoundError:
        return f"{_named(name)} is only half fetched (of {wanted.size}); go on with: {_command(name)}"
    except (ValueError, KeyError, TypeError, OSError):
        return _damaged(name, f"its {RECORD} is not readable")
    if found.model != wanted.model:
        other = f"{found.model} is in its place, not {wanted.model} ({wanted.size})"
        return f"{_named(name)} is not installed: {other}; get it with: {_command(name)}"
    for file in found.files:
        try:
            size = (folder / file.name).stat().st_size
        except OSError:
            return _damaged(name, f"{file.name} is gone")
        if file.bytes is not None and size < file.bytes:
            return _damaged(name, f"{file.name} is cut off, {size:,} of {file.bytes:,} bytes are there")
        if size != file.bytes:
            return _changed(name, file.name)
    sums = _compared(folder)
    unknown = [file.name for file in found.files if file.name not in sums]
    if unknown and reading:
        sums |= {file: _sha256_as_of(folder / file, _times(folder / file)) for file in unknown}
        _write_compared(folder, sums)
    for file in found.files:
        if sums.get(file.name, file.sha256) != file.sha256:
            return _changed(name, file.name)
    return found


def _compared(folder: Path) -> dict[str, str]:
    """SHA-256 by file, of those that have not changed since they were last read."""
    try:
        record = json.loads((folder / COMPARED).read_text("utf-8"))
        same = {file: seen for file, seen in record.items() if tuple(seen["times"]) == _times(folder / file)}
        return {file: str(seen["sha256"]) for file, seen in same.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_compared(folder: Path, sums: Mapping[str, str]) -> None:
    seen = {file: {"sha256": sha256, "times": _times(folder / file)} for file, sha256 in sums.items()}
    with suppress(OSError):  # where nobody may write, each process compares for itself
        _write_json(folder / COMPARED, seen)


def _times(file: Path) -> tuple[int, ...]:
    """What changes when a file does: its size, and when content and inode last changed, in ns."""
    about = file.stat()
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns


@lru_cache(maxsize=64)
def _sha256_as_of(file: Path, _times: tuple[int, ...]) -> str:
    return sha256_of(file)


def _write_json(file: Path, content: object) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=1), "utf-8")
    temporary.replace(file)


def _named(name: str) -> str:
    return f"the model {name}"


def _damaged(name: str, how: str) -> str:
    return f"{_named(name)} is damaged: {how}; repair it ({registered(name).size}) with: {_command(name)}"


def _changed(name: str, file: str) -> str:
    return _damaged(name, f"{file} has another checksum than when it was fetched")


def _command(name: str) -> str:
    return f"tiktok-assets weights fetch {name}"
