"""Fetches one video, by URL through yt-dlp or from a local file, into a folder of its own.

    DownloadSettings ---+
    source -- fetch() --+--> into/video.<ext>, into/info.json, into/thumbnail.jpg    (imports no Dagster)

What goes wrong is a DownloadError (download_errors.py). Which addresses are contacted is decided in addresses.py, what
counts as a video in probe.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tiktok_assets.addresses import youtube_dl_class
from tiktok_assets.download_errors import DownloadError, SettingsError, printable, storage_kind, translated
from tiktok_assets.download_settings import DownloadSettings
from tiktok_assets.probe import NotMedia, draw_thumbnail, probe, save_thumbnail

Progress = Callable[[int, int | None], None]

KEY_MAX_CHARACTERS = 120
TEXT_MAX_CHARACTERS = 10_000
LIST_MAX_ITEMS = 200
LONGEST_WAIT_S = 60.0
THUMBNAIL_MAX_BYTES = 10 * 2**20
FICLONE = 0x40049409  # <linux/fs.h>: share the blocks of another file (btrfs, xfs)

INFO_FIELDS = (
    *("id", "title", "description", "uploader", "uploader_id", "channel", "upload_date", "timestamp", "webpage_url"),
    *("extractor", "duration", "width", "height", "tags", "categories", "language", "age_limit"),
    *("view_count", "like_count", "comment_count", "repost_count", "track", "artist", "album"),
)
"""What info.json holds, by yt-dlp's names: duration in s, width and height in px as displayed, timestamp in s since
1970, upload_date as YYYYMMDD. A field that nobody knows is null. Addresses of media, headers and cookies are left out,
and of the page's address what may be a secret: user, password, fragment, every query parameter but `v` and `id`."""


@dataclass(frozen=True)
class FetchedVideo:
    """What fetch() left in the folder."""

    video_path: Path
    """video.<ext> in the folder."""
    info: dict[str, Any]
    """The content of info.json: INFO_FIELDS."""
    thumbnail_path: Path | None
    """thumbnail.jpg in the folder; None when there is only sound."""
    source: str
    """What was asked for."""
    bytes: int
    """Size of the video."""
    how: Literal["linked", "copied", "downloaded"]
    """How it came; a linked file shares its content with the user's original."""


def source_key(source: str) -> str:
    """A stable name of a URL or a file, found without the network: `[A-Za-z0-9_-]`, at most 120 characters.

    A site's own video id where yt-dlp knows the site (`tiktok-7106594312292453675`, whatever the query says); else
    host, last part of the path and a digest of the URL; for a file its stem and a digest of its content. Two short
    links to one video (vm.tiktok.com) have different keys: only the network knows better. Raises DownloadError when
    the source is neither an http(s) URL nor a file that can be read.
    """
    if not _is_url(source):
        path, _ = _local_file(source)
        with path.open("rb") as file:
            return _name(f"{path.stem[:60]}", hashlib.file_digest(file, "sha256").hexdigest())
    from yt_dlp.extractor import gen_extractor_classes

    url = _checked_url(source)
    extractor = next(ie for ie in gen_extractor_classes() if ie.suitable(url))
    video_id = extractor.get_temp_id(url) if extractor.ie_key() != "Generic" else None
    if video_id:
        raw = f"{extractor.ie_key().lower()}-{video_id}"
        plain = re.fullmatch(rf"[A-Za-z0-9_-]{{1,{KEY_MAX_CHARACTERS}}}", raw)
        return raw if plain else _name(raw, hashlib.sha256(raw.encode()).hexdigest())
    parts = urlsplit(url)
    port = "" if parts.port in (None, {"http": 80, "https": 443}[parts.scheme]) else f":{parts.port}"
    normal = f"{parts.scheme}://{parts.hostname}{port}{parts.path or '/'}?{parts.query}"
    last = Path(unquote(parts.path)).stem
    return _name(f"{str(parts.hostname)[:40]}-{last[:60]}", hashlib.sha256(normal.encode()).hexdigest())


def _name(text: str, digest: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', text)[: KEY_MAX_CHARACTERS - 9].strip('-') or 'video'}-{digest[:8]}"


def fetch(source: str, into: Path, settings: DownloadSettings, progress: Progress | None = None) -> FetchedVideo:
    """Fetch one video into the folder `into`, which belongs to this video and is made when missing.

    `source` is an http(s) URL or a path. Afterwards the folder holds `video.<ext>`, `info.json` (written last: where
    it lies, the rest is complete) and, when there is a picture, `thumbnail.jpg` (JPEG, at most 640 px). Until then all
    is in `into/.partial`; a download that was cut off or killed is resumed from there by the next call for the same
    source, and what another source left there is thrown away. A file that changes on its server between two such
    calls would be joined from both versions.

    `progress` is called with the bytes so far and in total (None: unknown), for downloads only; it must not raise.
    Raises DownloadError, SettingsError when the cookies cannot be read.
    """
    partial = into / ".partial"
    try:
        if _is_url(source):
            _claim(partial, source_key(source))
            path, raw = _download(_checked_url(source), partial, settings, progress)
            how: Literal["linked", "copied", "downloaded"] = "downloaded"
        else:
            original, size_bytes = _local_file(source)
            if size_bytes > settings.max_bytes:
                raise DownloadError("too_large", source)
            _claim(partial, None)
            path, how = _link_or_copy(original, partial)
            raw = {"id": original.stem, "title": original.stem, "extractor": "local"}
        return _publish(source, into, path, raw, how, settings)
    except DownloadError as error:
        if not error.retryable:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    except OSError as error:
        raise DownloadError(storage_kind(error), source, str(error)) from error


def _claim(partial: Path, key: str | None) -> None:
    """Make the folder for unfinished files; what is in it stays only if it was left by the same key."""
    marker = partial / "source"
    if key is None or not marker.is_file() or marker.read_text(encoding="utf-8") != key:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        marker.write_text(key or "", encoding="utf-8")


def _publish(
    source: str,
    into: Path,
    path: Path,
    raw: dict[str, Any],
    how: Literal["linked", "copied", "downloaded"],
    settings: DownloadSettings,
) -> FetchedVideo:
    """Look into the file, then move it, its thumbnail and its info to their places."""
    partial, thumbnail, info_file = into / ".partial", into / "thumbnail.jpg", into / "info.json"
    try:
        measured = probe(path)
    except NotMedia as error:
        raise DownloadError("not_a_video", source, str(error)) from error
    if (measured.get("duration") or 0) > settings.max_duration_s:
        raise DownloadError("too_long", source, f"{measured['duration']:.0f} s")
    info = {field: _plain(raw.get(field)) for field in INFO_FIELDS} | measured
    info["webpage_url"] = _without_secrets(info["webpage_url"])
    (partial / "info.json").write_text(json.dumps(info, ensure_ascii=False, indent=1), encoding="utf-8")
    drawn = partial / "thumbnail.jpg"
    if not drawn.is_file() and "width" in measured:
        draw_thumbnail(path, measured.get("duration"), drawn)

    info_file.unlink(missing_ok=True)
    video = into / f"video{path.suffix}"
    _move(path, video)
    for stale in [*into.glob("video.*"), thumbnail]:
        if stale != video:
            stale.unlink(missing_ok=True)
    if drawn.is_file():
        _move(drawn, thumbnail)
    _move(partial / "info.json", info_file)
    shutil.rmtree(partial, ignore_errors=True)
    found = thumbnail if thumbnail.is_file() else None
    return FetchedVideo(video, info, found, source, video.stat().st_size, how)


def _move(path: Path, to: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(to)


def _local_file(source: str) -> tuple[Path, int]:
    """The file behind a path (links followed) and its size. Raises DownloadError when it cannot be read or is empty."""
    try:
        path = Path(source).resolve(strict=True)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DownloadError("no_such_file", source, "a folder" if path.is_dir() else "a device")
        path.open("rb").close()
    except (OSError, ValueError, RuntimeError) as error:
        raise DownloadError("no_such_file", source, getattr(error, "strerror", None) or str(error)) from error
    if status.st_size == 0:
        raise DownloadError("not_a_video", source, "the file is empty")
    return path, status.st_size


def _link_or_copy(original: Path, partial: Path) -> tuple[Path, Literal["linked", "copied"]]:
    suffix = original.suffix.lower()
    path = partial / f"video{suffix if re.fullmatch(r'[.][a-z0-9]{1,10}', suffix) else '.bin'}"
    try:
        os.link(original, path)
        return path, "linked"
    except OSError:  # another file system, no right to link, or no links there
        with original.open("rb") as file, path.open("wb") as copy:
            try:
                fcntl.ioctl(copy.fileno(), FICLONE, file.fileno())
            except OSError:
                shutil.copyfileobj(file, copy, 2**20)
        return path, "copied"


def _download(
    url: str, partial: Path, settings: DownloadSettings, progress: Progress | None
) -> tuple[Path, dict[str, Any]]:
    """Download with retries. They are ours, not yt-dlp's: signed media addresses expire, so the site is asked again
    each time, and one count and one pause cover pages and media alike."""
    for attempt in range(settings.retries + 1):
        try:
            return _attempt(url, partial, settings, progress)
        except DownloadError as error:
            if error.kind != "network" or attempt == settings.retries:
                raise
            time.sleep(min(settings.retry_wait_s * 2**attempt, LONGEST_WAIT_S))
    raise AssertionError("unreachable")


def _attempt(
    url: str, partial: Path, settings: DownloadSettings, progress: Progress | None
) -> tuple[Path, dict[str, Any]]:
    from yt_dlp.globals import plugin_dirs

    plugin_dirs.value = []
    log = QuietLog()
    options = ydl_options(url, settings, progress) | {"logger": log}
    with youtube_dl_class(settings.allow_private_addresses)(options) as ydl:
        # yt-dlp's templates would expand `$` and `~` in the folder's name and put a stranger's text into file names
        ydl.prepare_filename = lambda info, *_, **__: str(partial / _media_name(info))
        try:
            info = ydl.extract_info(url)
            if info.get("_type", "video") != "video":
                raise DownloadError("several_videos", url)
            _save_site_thumbnail(ydl, info, partial / "thumbnail.jpg")
            return Path(info["requested_downloads"][0]["filepath"]), info
        except DownloadError:
            raise
        except Exception as error:  # extractors are a thousand files of other people's code
            raise translated(error, url, log.last_error) from error


class QuietLog:
    """Takes yt-dlp's messages, so that nothing is printed."""

    last_error = ""

    def debug(self, message: str) -> None:
        pass

    warning = debug

    def error(self, message: str) -> None:
        self.last_error = message.strip() or self.last_error


def _media_name(info: dict[str, Any]) -> str:
    """The file of one version of a video: bytes of two versions must not end in one file when a download is resumed."""
    extension = str(info.get("ext") or "").lower()
    version = hashlib.sha256(str(info.get("format_id")).encode()).hexdigest()[:8]
    return f"{version}.{extension if re.fullmatch(r'[a-z0-9]{1,5}', extension) else 'bin'}"


def ydl_options(url: str, settings: DownloadSettings, progress: Progress | None) -> dict[str, Any]:
    """What yt-dlp is told: one file of one video, no other program, nothing printed, nothing written beside it."""

    def pick_format(context: dict[str, Any]) -> list[dict[str, Any]]:
        best = choose_format(context["formats"], settings.max_height_px)
        if best is None:
            raise DownloadError("unsupported_url", url, "its site offers no version that is one plain file")
        return [best]

    def check_info(info: dict[str, Any], *, incomplete: Any) -> None:
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming", "post_live"):
            raise DownloadError("live", url)
        if info.get("section_start") or info.get("section_end"):
            raise DownloadError("unsupported_url", url, "a part of a video, which would need ffmpeg")
        if (info.get("duration") or 0) > settings.max_duration_s:
            raise DownloadError("too_long", url, f"{info['duration']:.0f} s")
        check_size(info.get("filesize") or 0)

    def check_size(size_bytes: float) -> None:
        if size_bytes > settings.max_bytes:
            raise DownloadError("too_large", url, f"at least {size_bytes / 1e6:.1f} MB")

    def on_progress(status: dict[str, Any]) -> None:
        done, total = status.get("downloaded_bytes") or 0, status.get("total_bytes")
        check_size(max(done, total or 0))
        if progress is not None:
            progress(done, total)

    def wait(n: int) -> float:
        return min(settings.retry_wait_s * 2**n, LONGEST_WAIT_S)

    return {
        "format": pick_format,
        "match_filter": check_info,
        "progress_hooks": [on_progress],
        "playlist_items": "0",
        "noplaylist": True,
        "continuedl": True,
        "retries": 0,
        "extractor_retries": 1,
        "file_access_retries": settings.retries,
        "retry_sleep_functions": {"extractor": wait, "file_access": wait},
        "ratelimit": settings.rate_limit_bytes_per_s,
        "socket_timeout": settings.socket_timeout_s,
        "sleep_interval_requests": settings.sleep_between_requests_s,
        "proxy": settings.proxy,
        "cookiefile": _cookies(settings.cookies_file),
        "cachedir": False,
        "updatetime": False,
        "fixup": "never",
        "geo_bypass": False,
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
    }


def _cookies(path: Path | None) -> io.StringIO | None:
    """The cookies as a text stream, since yt-dlp writes changed cookies back to what it was given. Lines that are no
    cookie are left out: yt-dlp would print them."""
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the cookies file {path} cannot be read: {error}") from error
    cookies = [line for line in lines if re.fullmatch(r"[^\t]+(\t[^\t]*){3}\t[0-9.]*\t[^\t]*\t[^\t]*", line)]
    if not cookies:
        raise SettingsError(f"the cookies file {path} holds no cookie in Netscape format")
    return io.StringIO("\n".join(["# Netscape HTTP Cookie File", *cookies, ""]))


def choose_format(formats: list[dict[str, Any]], max_long_side_px: int) -> dict[str, Any] | None:
    """The best version that is one plain file (yt-dlp would need ffmpeg for all others), or None.

    With picture and sound; sound alone only where there is no picture at all. Better is: within the size limit, then
    mp4, then H.264 (every decoder has it), then yt-dlp's own order (`formats` is sorted from worst to best).
    """
    plain = [f for f in formats if f.get("protocol") in ("http", "https")]
    whole = [f for f in plain if f.get("vcodec") != "none" and f.get("acodec") != "none"]
    if not any(f.get("vcodec") != "none" for f in formats):
        whole = [f for f in plain if f.get("acodec") != "none"]

    def rank(item: tuple[int, dict[str, Any]]) -> tuple[Any, ...]:
        order, f = item
        excess_px = max(0, max(f.get("width") or 0, f.get("height") or 0) - max_long_side_px)
        h264 = str(f.get("vcodec") or "").lower().startswith(("h264", "avc"))
        return -excess_px, f.get("ext") == "mp4", h264, order

    return max(enumerate(whole), key=rank)[1] if whole else None


def _save_site_thumbnail(ydl: Any, info: dict[str, Any], to: Path) -> None:
    """Fetch the largest picture that the site offers for the video; without one, a frame will do."""
    from PIL import Image

    for offered in reversed((info.get("thumbnails") or [])[-3:]):
        with suppress(Exception):  # unreachable, refused, damaged, no picture: none of it makes the video worse
            save_thumbnail(Image.open(io.BytesIO(ydl.urlopen(offered["url"]).read(THUMBNAIL_MAX_BYTES))), to)
            return


def _is_url(source: str) -> bool:
    """Whether a source is meant as an address: `x://...` always, `x:...` when there is no file of that name."""
    named = re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]+:(//)?", source)
    return named is not None and (named[1] is not None or not os.path.exists(source))


def _checked_url(source: str) -> str:
    """The URL to ask for. Raises DownloadError unless it is http(s) with a host."""
    url = source.strip().partition("#__youtubedl_smuggle")[0]  # yt-dlp would take orders from there
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise DownloadError("unsupported_url", source)
    return url


def _plain(value: Any) -> Any:
    """A site's value for JSON: text without control characters and lone surrogates, finite numbers, lists of text."""
    if isinstance(value, str):
        return printable(value[:TEXT_MAX_CHARACTERS])
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:LIST_MAX_ITEMS] if isinstance(item, str)]
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return None


def _without_secrets(url: str | None) -> str | None:
    if not url:
        return None
    parts = urlsplit(url)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name in ("v", "id")])
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query, fragment="").geturl()
