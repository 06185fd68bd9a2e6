"""`tiktok-assets weights`: the only code that downloads models, and only when somebody asks for one."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.errors import AnalysisError, WeightsMissing
from analyzers.weights import (
    COMPARED,
    RECORD,
    REGISTRY,
    Installed,
    WeightFile,
    Weights,
    complaint,
    folder_of,
    recorded,
    registered,
    sha256_of,
    size_text,
    verify,
    weights_root,
    write_record,
)

ATTEMPTS = 3
TIMEOUT_S = 60.0
CHUNK_BYTES = 1 << 20

SMALL_FILES = re.compile(r"[^/]+\.(json|txt|model|jinja)")
"""Configuration, tokenizer and processor of a Hugging Face repository: all of them lie in its root."""
WEIGHT_FILES = (r"model(-\d+-of-\d+)?\.safetensors", r"pytorch_model(-\d+-of-\d+)?\.bin")
"""The best first: safetensors hold no code."""

Say = Callable[[str], object]


class FetchError(AnalysisError):
    """A model could not be fetched. One line; what has come so far is kept, and the same command goes on from there."""


def users_of(name: str) -> list[str]:
    """Analyzers that can use a model."""
    return [analyzer for analyzer in CATALOGUE if name in analyzer_class(analyzer).spec.weights]


def fetch(name: str, say: Say) -> Installed:
    """Bring a model into its folder and check it. One that is there already is compared with its checksums.

    Args:
        name: of the registry.
        say: told in a line what is being done.

    Raises:
        FetchError: no network, no such model, no space, or what came is not what the publisher states.
        AnalysisError: no model of that name.
    """
    weights = registered(name)
    folder = folder_of(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if weights.files:
            return _fetch_files(weights, folder, say)
        return _fetch_repository(weights, folder, say)
    except FetchError as error:
        raise FetchError(f"{name}: {error}") from error
    except OSError as error:
        raise FetchError(f"{name}: {_one_line(error)}") from error
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _fetch_files(weights: Weights, folder: Path, say: Say) -> Installed:
    if (found := _whole(weights.name)) and found.revision == weights.revision:
        say(f"{weights.name}: {weights.model} is there already")
        return found
    _require_space(folder, weights.bytes)
    for file in weights.files:
        target = folder / file.name
        if not (target.is_file() and (file.sha256 or file.md5) and _as_stated(target, file)):
            say(f"{weights.name}: fetching {file.url}")
            _fetch_file(file, target)
    return _complete(weights, weights.revision, [file.name for file in weights.files])


def _fetch_file(file: WeightFile, target: Path) -> None:
    """Download one file, from where an earlier attempt ended; a temporary name until it is checked."""
    assert file.url
    partial = target.with_name(f".{Path(file.url).name}.partial")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _download(file.url, partial)
            break
        except (OSError, http.client.HTTPException) as error:
            final = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if final or attempt == ATTEMPTS:
                raise FetchError(f"{file.url}: {_one_line(error)}") from error
    unpacked = partial
    if file.url.endswith(".zip"):
        unpacked = target.with_name(f".{target.name}.unpacked")
        try:
            with zipfile.ZipFile(partial) as archive, archive.open(file.name) as packed, unpacked.open("wb") as out:
                shutil.copyfileobj(packed, out, CHUNK_BYTES)
        except (zipfile.BadZipFile, KeyError) as error:
            partial.unlink()
            raise FetchError(f"{file.url} is not an archive with {file.name}") from error
    if not _as_stated(unpacked, file):
        unpacked.unlink()
        partial.unlink(missing_ok=True)
        raise FetchError(f"{file.name} has another checksum than its publisher states; fetch it again")
    unpacked.replace(target)
    partial.unlink(missing_ok=True)


def _download(url: str, partial: Path) -> None:
    """Append what is missing of a file, all of it where the server knows no ranges."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        reply = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return
        raise
    with reply, partial.open("ab" if reply.status == 206 else "wb") as out:
        promised = reply.headers["Content-Length"]
        start = out.tell()
        shutil.copyfileobj(reply, out, CHUNK_BYTES)
        if promised is not None and out.tell() - start < int(promised):
            raise http.client.IncompleteRead(b"", int(promised) - (out.tell() - start))


def _fetch_repository(weights: Weights, folder: Path, say: Say) -> Installed:
    """A Hugging Face repository at its newest commit, without the formats that are not used here."""
    from huggingface_hub import HfApi

    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        with _hub_online():
            about = hub.model_info(weights.model, revision=weights.revision, files_metadata=True)
            chosen = choose_files([sibling.rfilename for sibling in about.siblings or ()])
            if not chosen:
                raise FetchError(f"{weights.model} holds no weights in a format of transformers")
            commit = str(about.sha)
            if (found := _whole(weights.name)) and found.revision == commit:
                say(f"{weights.name}: {weights.model} at {commit[:12]} is there already")
                return found
            siblings = {s.rfilename: s for s in about.siblings or ()}
            size = sum(siblings[file].size or 0 for file in chosen)
            _require_space(folder, size)
            say(f"{weights.name}: fetching {weights.model} at {commit[:12]}, {len(chosen)} files, {size_text(size)}")
            hub.snapshot_download(weights.model, revision=commit, local_dir=folder, allow_patterns=chosen)
    except (FetchError, OSError):
        raise
    except Exception as error:  # its HTTP library, whose errors have no common base, changes with its version
        raise FetchError(_one_line(error)) from error
    for file in chosen:
        lfs = siblings[file].lfs
        stated = WeightFile(file, siblings[file].size, lfs.sha256 if lfs else None)
        if not (folder / file).is_file() or not _as_stated(folder / file, stated):
            (folder / file).unlink(missing_ok=True)
            raise FetchError(f"{file} is not what {weights.model} states; fetch it again")
    return _complete(weights, commit, chosen)


def choose_files(names: Sequence[str]) -> list[str]:
    """The files of a Hugging Face repository that loading takes: one format of weights and what is small."""
    for pattern in WEIGHT_FILES:
        if found := [name for name in names if re.fullmatch(pattern, name)]:
            return sorted(found + [name for name in names if SMALL_FILES.fullmatch(name)])
    return []


@contextmanager
def _hub_online() -> Iterator[None]:
    """Everywhere else `analyzers.process` keeps huggingface_hub offline."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _complete(weights: Weights, revision: str, files: Sequence[str]) -> Installed:
    """Remove what is left of other revisions and count the model as installed."""
    folder = folder_of(weights.name)
    keep = {folder / file for file in files} | {folder / RECORD, folder / COMPARED}
    for path in [p for p in folder.rglob("*") if p.is_file() and p not in keep]:
        path.unlink()
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()
    return write_record(weights.name, revision, tuple(files))


def _whole(name: str) -> Installed | None:
    try:
        return verify(name) if recorded(name) else None
    except WeightsMissing:
        return None


def _as_stated(path: Path, file: WeightFile) -> bool:
    """Whether a file is what its publisher states, as far as anything is stated."""
    if file.bytes is not None and path.stat().st_size != file.bytes:
        return False
    if file.sha256:
        return sha256_of(path) == file.sha256
    if file.md5:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "md5").hexdigest() == file.md5
    return True


def _require_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise FetchError(f"takes {size_text(needed_bytes)}, and {size_text(free_bytes)} are free in {folder}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    answered = isinstance(error, urllib.error.HTTPError) or "HTTP" in type(error).__name__
    broke_off = isinstance(error, ConnectionError | TimeoutError | urllib.error.URLError | http.client.HTTPException)
    if not answered and (broke_off or type(error).__name__.startswith(("Connect", "Remote", "Read"))):
        return f"no connection, or it broke off ({text}); the same command goes on from there"
    return text


def print_weights() -> None:
    """On stdout: a table of every model with licence, size, state and who uses it; what is wrong; what helps."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", overflow="fold")
    table.add_column("licence")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("installed")
    notes: dict[str, list[str]] = {}
    problems = []
    for name in REGISTRY:
        weights, found = registered(name), recorded(name)
        wrong = complaint(name, reading=False) if folder_of(name).is_dir() else None
        used = ", ".join(users_of(name)) or "nothing"
        about = f"[bold]{name}[/bold]\n{escape(weights.model)}\n[dim]for {used}{_only_if_asked(name)}[/dim]"
        state = f"yes\n{found.revision[:12]}" if found else f"[red]{_state(str(wrong))}[/red]" if wrong else "no"
        size = size_text(found.bytes) if found else weights.size
        table.add_row(about, weights.licence + (" *" if weights.licence_note else ""), size, state)
        if weights.licence_note:
            notes.setdefault(weights.licence_note, []).append(name)
        if wrong:
            problems.append(f"[red]✗[/red] {escape(wrong)}")
    console.print(f"models in {weights_root()}", soft_wrap=True)
    console.print(table)
    for note, names in notes.items():
        console.print(f"* {', '.join(names)}: {note}", soft_wrap=True)
    for problem in problems:
        console.print(problem, soft_wrap=True)
    free = size_text(shutil.disk_usage(_existing(weights_root())).free)
    console.print(f"get one with: tiktok-assets weights fetch NAME... ({free} free on the disk)", soft_wrap=True)


def _only_if_asked(name: str) -> str:
    return ", only with TIKTOK_ASSETS_OCR=easyocr" if name == "easyocr_de_en" else ""


def _state(wrong: str) -> str:
    """A word or two for a model that is there and of no use, from the line about it."""
    return next((state for state in ("half fetched", "damaged") if state in wrong), "another")


def _existing(folder: Path) -> Path:
    """A folder, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def fetch_weights(names: Sequence[str]) -> int:
    """Fetch models one after the other; returns the exit code."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    failures = 0
    for name in names:
        try:
            found = fetch(name, lambda line: console.print(escape(line)))
            weights = registered(name)
            console.print(f"[green]✓[/green] {name}: {found.model} at {found.revision[:12]}, {size_text(found.bytes)}")
            if weights.licence_note:
                console.print(f"  licence: {weights.licence}; {weights.licence_note}")
        except AnalysisError as error:
            failures += 1
            console.print(f"[red]✗[/red] {escape(str(error))}")
    return 1 if failures else 0


def verify_weights(names: Sequence[str]) -> int:
    """Compare installed models (all of them if none is named) with their checksums; returns the exit code."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    failures = 0
    chosen = names or [name for name in REGISTRY if folder_of(name).is_dir()]
    for name in chosen:
        try:
            found = verify(name)
            files = "1 file" if len(found.files) == 1 else f"{len(found.files)} files"
            console.print(f"[green]✓[/green] {name}: {files}, {size_text(found.bytes)}, as fetched")
        except AnalysisError as error:
            failures += 1
            console.print(f"[red]✗[/red] {escape(str(error))}")
    if not chosen:
        console.print("no model is installed; see `tiktok-assets weights list`")
    return 1 if failures else 0
