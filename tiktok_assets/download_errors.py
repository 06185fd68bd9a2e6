"""What can go wrong when a video is fetched, and what yt-dlp's many exceptions and sites' messages mean in these terms.

ValueError
  SettingsError               a setting, or its environment variable, is not valid
Exception
  DownloadError               this source could not be fetched; `kind` says why, `retryable` whether again can help
    the source                unsupported_url  refused_address  no_such_file  not_a_video  several_videos  live
    over a limit              too_large  too_long
    what its site says        unavailable  private  login_needed  region_blocked  forbidden  site_changed
    this machine              not_stored
    may pass by itself        network  disk_full                                              (these are retryable)
"""

from __future__ import annotations

import errno
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from tiktok_assets.addresses import RefusedAddress

ENVIRONMENT_PREFIX = "TIKTOK_ASSETS_"

KINDS: dict[str, tuple[str, bool]] = {
    "unsupported_url": ("cannot be fetched as a video; give the http(s) address of one video, or a file", False),
    "refused_address": ("leads to an address that is not allowed; see {p}ALLOW_PRIVATE_ADDRESSES", False),
    "no_such_file": ("is not a file that can be read; check the path (an address starts with https://)", False),
    "not_a_video": ("is not a video or sound that can be decoded; check that it plays", False),
    "several_videos": ("is a list of videos; give the address of one of them", False),
    "live": ("is a live stream; fetch its recording when it has ended", False),
    "too_large": ("is larger than {p}MAX_BYTES; raise that limit to fetch it", False),
    "too_long": ("is longer than {p}MAX_DURATION_S; raise that limit to fetch it", False),
    "unavailable": ("is not there (any more); check the address in a browser", False),
    "private": ("is private; give the cookies of an account that may see it with {p}COOKIES_FILE", False),
    "login_needed": ("is shown to signed-in accounts only; give cookies with {p}COOKIES_FILE", False),
    "region_blocked": ("is not shown to this region or address; use another network or {p}PROXY", False),
    "forbidden": ("is refused by its server; try {p}COOKIES_FILE or another network", False),
    "site_changed": ("could not be read from its site, which may have changed; update yt-dlp", False),
    "not_stored": ("could not be put into its folder; check the disk and the folder's rights", False),
    "network": ("could not be fetched over the network; try again later", True),
    "disk_full": ("does not fit on the disk; make room and try again", True),
}

# What sites say, as yt-dlp passes it on; the first match counts, so the specific come first. Status codes: TikTok's.
MESSAGE_KINDS: tuple[tuple[str, str], ...] = (
    (r"\[download\] got error", "network"),  # yt-dlp's downloader, which keeps no exception
    (r"status code 10204|ip address is blocked|geo.?restrict|blocked it in your", "region_blocked"),
    (r"not (made )?(available|this video available) (in|from) your (country|region|location)", "region_blocked"),
    (r"status code (10216|10222)|permission to view|private (video|account|post)", "private"),
    (r"(video|account|post|user) is private|account is either private", "private"),
    (r"log.?in|sign.?in|comfortable for some audiences|confirm your age|members.only|--cookies", "login_needed"),
    (r"too many requests|rate.?limit", "network"),
    (r"live ?stream|live event|premieres? in|not currently live", "live"),
    (r"no video formats|unusual and will be skipped|\bdrm\b|valid url|no suitable", "unsupported_url"),
    (r"removed|deleted|no longer|(not|isn't) available|unavailable|not exist|terminated|not found", "unavailable"),
)
STATUS_KINDS = {401: "login_needed", 403: "forbidden", 408: "network", 425: "network", 429: "network"} | {
    451: "region_blocked"
}


class SettingsError(ValueError):
    """A setting is not valid; the text names it and says what it takes."""


class DownloadError(Exception):
    """One source could not be fetched. The text is one sentence: the source, what is the matter, what to do."""

    def __init__(self, kind: str, source: str, detail: str = "") -> None:
        what, self.retryable = KINDS[kind]
        self.kind, self.source = kind, source
        reason = _one_line(detail, 200)
        super().__init__(f"{shown(source)} {what.format(p=ENVIRONMENT_PREFIX)}{f' ({reason})' if reason else ''}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored_error, (self.kind, self.source, str(self))


def _restored_error(kind: str, source: str, text: str) -> DownloadError:
    error = DownloadError(kind, source)
    error.args = (text,)
    return error


def storage_kind(error: OSError) -> str:
    """The kind of an error of the file system."""
    return "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "not_stored"


def translated(error: BaseException, source: str, logged: str = "") -> DownloadError:
    """The DownloadError that says what an exception of yt-dlp or the system means."""
    from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
    from yt_dlp.utils import ContentTooShortError, ExtractorError, GeoRestrictedError, UnsupportedError

    chain = list(_chain(error))

    def first(*kinds: type[BaseException]) -> Any:
        return next((e for e in chain if isinstance(e, kinds)), None)

    if found := first(RefusedAddress):
        return DownloadError("refused_address", source, str(found))
    if any(isinstance(e, OSError) and storage_kind(e) == "disk_full" for e in chain):
        return DownloadError("disk_full", source)
    if found := first(GeoRestrictedError):
        return DownloadError("region_blocked", source, found.orig_msg)
    if first(UnsupportedError):
        return DownloadError("unsupported_url", source, "the page holds no video that yt-dlp finds")
    if found := first(HTTPError):
        kind = STATUS_KINDS.get(found.status, "network" if found.status >= 500 else "unavailable")
        return DownloadError(kind, source, f"HTTP {found.status}")
    if found := first(TransportError, ContentTooShortError):
        return DownloadError("network", source, str(found))
    if found := first(RequestError):
        return DownloadError("unsupported_url", source, str(found))
    if (found := first(OSError)) and found.filename is not None:
        return DownloadError("not_stored", source, str(found))
    extraction = first(ExtractorError)
    said = extraction.orig_msg if extraction else str(error) or logged
    for pattern, kind in MESSAGE_KINDS:
        if re.search(pattern, said, re.IGNORECASE):
            return DownloadError(kind, source, said)
    return DownloadError("unavailable" if extraction and extraction.expected else "site_changed", source, said)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it, in the four ways in which yt-dlp and Python keep that."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        e = waiting.pop(0)
        if isinstance(e, BaseException) and id(e) not in seen:
            seen.add(id(e))
            yield e
            waiting += [
                e.__cause__,
                getattr(e, "cause", None),
                (getattr(e, "exc_info", None) or (0, 0))[1],
                e.__context__,
            ]


def shown(source: str) -> str:
    """A source as messages show it: one line, not endless, without user and password."""
    return _one_line(re.sub(r"(?<=://)[^/@\s]*@", "", source), 300)


def printable(text: str) -> str:
    """A stranger's text without terminal codes, control characters (line breaks and tabs stay) and lone surrogates."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def _one_line(text: str, longest: int) -> str:
    """A stranger's text for one line of a message: no colour codes, control characters or report-a-bug boilerplate."""
    text = re.sub(
        r"^(ERROR: )?(\[download\] Got error: )?|; please report this issue.*| \(caused by .*",
        "",
        text,
        flags=re.DOTALL,
    )
    text = " ".join(printable(text).split())
    return text if len(text) <= longest else text[: longest - 3] + "..."
