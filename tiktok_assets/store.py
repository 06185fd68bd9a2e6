"""Where every file of a video lies, written atomically, listable without opening files.

    <root>/videos/<folder of a video>/
        source.json             where it came from
        video.mp4  info.json  thumbnail.jpg
        media/                  decoded arrays, a cache (analyzers.decode); elsewhere if a machine has a folder for it
        outcomes/<asset>@<version>@<inputs>@<digest>@<status>.json    how each asset ended
        outcomes/<asset>@<digest>.npz    per-frame tracks of an analysis
        report.json  report.html  contact_sheet.jpg

The name of an outcome tells all that staleness needs: which code made it (version), from which results (inputs, a
digest of theirs), and what came out (digest of the result, without the time it took).

The root is `$TIKTOK_ASSETS_DATA`, else `data/` beside the package. A mounted network folder works: the store needs
only rename within one folder. Decoded arrays need not cross the network: with `$TIKTOK_ASSETS_CACHE` they lie there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from analyzers.clip import MANIFEST, Clip
from analyzers.contract import STATUSES, SUCCESS, Outcome
from analyzers.decode import DECODER_VERSION, decode, file_stamp
from analyzers.errors import MediaError

NO_INPUTS = "none"
RESERVED_NAMES = frozenset({"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))})
"""Device names that some file systems refuse whatever the extension."""


@lru_cache(maxsize=200_000)
def folder_name(key: str) -> str:
    """A name for a video's folder: safe on every file system, different for different keys, readable.

    A key of plain lower-case letters, digits, "-" and "_" is its own name; of anything else (path separators, dots,
    upper case, unicode, reserved names, more than 80 characters) a readable part is kept and a digest added.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,79}", key) and key not in RESERVED_NAMES and not key.endswith("-"):
        return key
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-")[:80]
    return f"{plain or 'video'}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


@contextmanager
def written_atomically(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; renamed to it when the block ends well, removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".partial")
    try:
        # A lone surrogate (from a file name that is not UTF-8) becomes "\\ud800", which JSON reads back as it was.
        text = "b" not in mode
        with open(
            handle, mode, encoding="utf-8" if text else None, errors="backslashreplace" if text else None
        ) as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    with written_atomically(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=1, allow_nan=False)


def free_bytes(folder: Path) -> int:
    """Free space where a folder lies, or will lie."""
    import shutil

    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return shutil.disk_usage(existing).free


def digest_of(value: Any) -> str:
    """Eight hex digits that stand for a JSON value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file name tells about one asset of one video."""

    asset: str
    version: str
    """Of the code that made it."""
    inputs: str
    """Digest of the results that it was made from; see `inputs_digest`."""
    digest: str
    """Of the result itself: equal digests, equal results."""
    status: str
    file: str
    """Path of its file, as text: ten thousand videos have three hundred thousand."""

    @classmethod
    def from_name(cls, folder: str, name: str) -> Stored | None:
        """What a file of the outcomes folder is, None if it is something else."""
        parts = name.removesuffix(".json").split("@")
        if len(parts) != 5 or parts[4] not in STATUSES or name[0] == ".":
            return None
        asset, version, inputs, digest, status = parts
        return cls(asset, version, inputs, digest, status, f"{folder}/{name}")

    @property
    def path(self) -> Path:
        return Path(self.file)

    @property
    def succeeded(self) -> bool:
        return self.status in SUCCESS


@dataclass(frozen=True)
class VideoFolder:
    """The files of one video."""

    key: str
    path: Path
    media: Path
    """Folder of the decoded arrays."""

    @property
    def source(self) -> str | None:
        """The URL or file that this video comes from, or None if nobody said."""
        try:
            return str(json.loads((self.path / "source.json").read_text("utf-8"))["source"])
        except FileNotFoundError:
            return self.key if self.key.startswith(("http://", "https://")) else None

    def register(self, source: str) -> None:
        """Note where the video comes from, before it is there."""
        write_json(self.path / "source.json", {"key": self.key, "source": source})

    @property
    def file(self) -> Path | None:
        """The video file, or None if it is not there."""
        return next((p for p in sorted(self.path.glob("video.*")) if p.is_file()), None)

    @property
    def info(self) -> dict[str, Any]:
        """What the site told about the video; empty if nothing."""
        try:
            return json.loads((self.path / "info.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}

    @property
    def thumbnail(self) -> Path | None:
        path = self.path / "thumbnail.jpg"
        return path if path.is_file() else None

    @property
    def report_json(self) -> Path:
        return self.path / "report.json"

    @property
    def report_page(self) -> Path:
        return self.path / "report.html"

    def clip(self, max_duration_s: float = float("inf")) -> Clip:
        """The decoded video. Decodes it if the arrays are not there, are another decoder's or another file's.

        Raises:
            MediaError: there is no video file, or it does not decode.
        """
        file = self.file
        if file is None:
            raise MediaError(f"{self.key}: the video file is not there; materialize raw_video first.")
        if (self.media / MANIFEST).is_file():
            clip = Clip.open(self.media, file, self.info)
            if clip.manifest["decoder_version"] == DECODER_VERSION and clip.manifest["file"] == file_stamp(file):
                with suppress(OSError):
                    os.utime(self.media / MANIFEST)  # tells tiktok_assets.cache that it is in use
                return clip
        decode(file, self.media, max_duration_s)
        return Clip.open(self.media, file, self.info)

    def stored(self) -> dict[str, Stored]:
        """The newest outcome of each asset, read from file names alone."""
        found: dict[str, list[Stored]] = {}
        folder = f"{self.path}/outcomes"
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return {}
        for name in names:
            if stored := Stored.from_name(folder, name):
                found.setdefault(stored.asset, []).append(stored)
        return {asset: _newest(several) for asset, several in found.items()}

    def outcome(self, asset: str) -> Outcome | None:
        """How an asset of this video ended, with its tracks; None if it was never tried."""
        stored = self.stored().get(asset)
        return self.read(stored) if stored else None

    def read(self, stored: Stored) -> Outcome:
        """An outcome that `stored()` listed."""
        tracks_file = stored.path.with_name(_tracks_name(stored))
        tracks = {}
        if tracks_file.exists():
            with np.load(tracks_file) as arrays:
                tracks = dict(arrays)
        return Outcome.from_json(self.read_record(stored), tracks)

    def read_record(self, stored: Stored) -> dict[str, Any]:
        """An outcome as it stands in its file: `Outcome.to_json` and `video`, `asset`, `version`, `finished_at`."""
        return json.loads(stored.path.read_text("utf-8"))

    def write(
        self,
        asset: str,
        version: str,
        outcome: Outcome,
        inputs: str = NO_INPUTS,
        digest: str | None = None,
        **facts: Any,
    ) -> Stored:
        """Keep an outcome in place of earlier ones of the same asset.

        Args:
            asset, version: what it is of, and which code made it.
            outcome: how it ended.
            inputs: `inputs_digest` of what it was made from.
            digest: of the result; by default of all that the outcome says but the time that it took.
            facts: stored with it.
        """
        values = outcome.to_json()
        tracks = outcome.analysis.tracks if outcome.analysis else {}
        if digest is None:
            content = {k: v for k, v in values.items() if k != "seconds"}
            digest = digest_of([content, {k: hashlib.sha256(v.tobytes()).hexdigest() for k, v in tracks.items()}])
        folder = self.path / "outcomes"
        name = f"{asset}@{version}@{inputs}@{digest}@{outcome.status}.json"
        stored = Stored(asset, version, inputs, digest, outcome.status, f"{folder}/{name}")
        kept = {name}
        if tracks:
            kept.add(_tracks_name(stored))
            with written_atomically(folder / _tracks_name(stored), "wb") as file:
                np.savez_compressed(file, **tracks)
        about = {
            "video": self.key,
            "asset": asset,
            "version": version,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(stored.path, about | facts | values)
        written_ns = stored.path.stat().st_mtime_ns
        for other in folder.glob(f"{asset}@*"):
            with suppress(FileNotFoundError):  # another run may be tidying up too
                if other.name not in kept and other.stat().st_mtime_ns <= written_ns:
                    other.unlink()
        return stored


def _newest(several: list[Stored]) -> Stored:
    """Two outcomes of one asset are there only where a writer was killed between writing and tidying up."""
    return several[0] if len(several) == 1 else max(several, key=lambda stored: stored.path.stat().st_mtime_ns)


def _tracks_name(stored: Stored) -> str:
    return f"{stored.asset}@{stored.digest}.npz"


def inputs_digest(stored: Mapping[str, Stored], upstream: Iterable[str], failures_too: bool = False) -> str:
    """Stands for the results that an asset is made from: changes when one of them changes, appears or fails.

    With `failures_too` it also changes when one fails for another reason; a report shows reasons.
    """
    parts = []
    for asset in sorted(upstream):
        found = stored.get(asset)
        parts.append(f"{asset}={found.digest}" if found and (failures_too or found.succeeded) else f"{asset}=")
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8] if parts else NO_INPUTS


@dataclass(frozen=True)
class Store:
    """All videos under one root."""

    root: Path
    cache: Path | None = None
    """This machine's own folder of decoded arrays; without one they lie beside each video."""

    @classmethod
    def from_environment(cls) -> Store:
        """The store at `$TIKTOK_ASSETS_DATA`, else `data/` beside the package; its cache at `$TIKTOK_ASSETS_CACHE`."""
        default = Path(__file__).resolve().parent.parent / "data"
        cache = os.environ.get("TIKTOK_ASSETS_CACHE")
        return cls(
            Path(os.environ.get("TIKTOK_ASSETS_DATA") or default).expanduser().resolve(),
            Path(cache).expanduser().resolve() if cache else None,
        )

    @cached_property
    def videos(self) -> Path:
        return self.root / "videos"

    def video(self, key: str) -> VideoFolder:
        """The folder of a video, whether or not anything is there yet."""
        return self.video_in(key, folder_name(key))

    def video_in(self, key: str, folder: str) -> VideoFolder:
        """As `video`, by the name of its folder, which `folder_name` gives."""
        path = self.videos / folder
        return VideoFolder(key, path, self.cache / folder if self.cache else path / "media")

    def decoded(self) -> Iterator[Path]:
        """Manifests of the arrays that are there."""
        if self.cache:
            return self.cache.glob(f"*/{MANIFEST}")
        return self.videos.glob(f"*/media/{MANIFEST}")

    def registered(self) -> list[str]:
        """Keys of all videos that were ever registered, in the order of their folders' names."""
        sources = sorted(self.videos.glob("*/source.json")) if self.videos.is_dir() else []
        return [str(json.loads(source.read_text("utf-8"))["key"]) for source in sources]
