"""The watchlist: accounts, hashtags, playlists, feeds and videos that are looked at again and again for new videos.

A text file with one entry a line (`#` begins a comment), or YAML with a list of them. An entry is an address, or short
for one on TikTok: `@user` or `tag:name`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tiktok_assets.download import DownloadError, DownloadSettings, QuietLog, source_key, ydl_options
from tiktok_assets.download_errors import translated
from tiktok_assets.store import Store, written_atomically

INTERVAL_S = 15 * 60.0
"""Pause between two looks at one entry."""
LONGEST_PAUSE_S = 24 * 3600.0
NEWEST = 50
"""So many of an entry's newest videos are looked at; older ones were seen before, or are before our time."""


class WatchlistError(ValueError):
    """The watchlist cannot be read; says which line."""


def read_watchlist(path: Path) -> list[str]:
    """The addresses of a watchlist file, each once, in its order; none if there is no file.

    Raises:
        WatchlistError: it is not a list of texts, or an entry is no address.
    """
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    if path.suffix in (".yaml", ".yml"):
        import yaml

        try:
            entries = yaml.safe_load(text) or []
        except yaml.YAMLError as error:
            raise WatchlistError(f"{path}: {' '.join(str(error).split())}") from error
        if not isinstance(entries, list) or not all(isinstance(e, str) for e in entries):
            raise WatchlistError(f"{path} must hold a list of addresses")
    else:
        entries = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    return list(dict.fromkeys(_address(e, path) for e in entries if e))


def watchlist_file(store: Store) -> Path:
    """watchlist.yaml of the store if there is one, else watchlist.txt."""
    yaml_file = store.root / "watchlist.yaml"
    return yaml_file if yaml_file.exists() else store.root / "watchlist.txt"


def watch_addresses(addresses: Sequence[str]) -> int:
    """`tiktok-assets watch`: add to the watchlist, then print it; returns the exit code."""
    path = watchlist_file(Store.from_environment())
    try:
        listed = read_watchlist(path)
        new = [a for a in dict.fromkeys(_address(a, Path("watch")) for a in addresses) if a not in listed]
        if new and path.suffix == ".yaml":
            raise WatchlistError(f"{path} is kept by you: add {', '.join(new)} there")
    except WatchlistError as error:
        print(error, file=sys.stderr)
        return 1
    if new:
        text = path.read_text("utf-8") if path.exists() else ""
        with written_atomically(path) as file:
            file.write(text + ("" if text.endswith("\n") or not text else "\n") + "\n".join(new) + "\n")
    print(*(read_watchlist(path) or [f"nothing is watched; the list is {path}"]), sep="\n")
    return 0


def _address(entry: str, path: Path) -> str:
    if match := re.fullmatch(r"@([\w.]+)", entry):
        return f"https://www.tiktok.com/@{match[1]}"
    if match := re.fullmatch(r"tag:(\w+)", entry):
        return f"https://www.tiktok.com/tag/{match[1]}"
    if not re.match(r"https?://[^/]", entry):
        raise WatchlistError(f"{path}: {entry!r} is not an address, @user or tag:name")
    return entry


def newest_videos(address: str, settings: DownloadSettings, most: int = NEWEST) -> list[str]:
    """Addresses of the newest videos of an account, hashtag, playlist or feed, unopened; of a video its own.

    Raises:
        DownloadError: it cannot be listed; says why.
    """
    from tiktok_assets.addresses import youtube_dl_class

    log = QuietLog()
    options = ydl_options(address, settings, None) | {
        "extract_flat": "in_playlist",
        "playlist_items": f"1:{most}",
        "noplaylist": False,
        "logger": log,
    }
    with youtube_dl_class(settings.allow_private_addresses)(options) as ydl:
        try:
            found = ydl.extract_info(address, download=False)
        except DownloadError:
            raise
        except Exception as error:  # extractors are a thousand files of other people's code
            raise translated(error, address, log.last_error) from error
    if found.get("_type") != "playlist":
        return [address]
    addresses = (entry.get("url") or entry.get("webpage_url") for entry in found.get("entries") or () if entry)
    return list(dict.fromkeys(a for a in addresses if a and a.startswith(("http://", "https://"))))[:most]


@dataclass
class Entry:
    """What is remembered of one address between looks."""

    due: float = 0.0
    """When to look next, seconds since 1970."""
    failures: int = 0
    """In a row."""
    said: str = ""
    """Why the last look failed."""

    def looked(self, now: float) -> None:
        self.due, self.failures, self.said = now + INTERVAL_S, 0, ""

    def failed(self, now: float, error: DownloadError) -> None:
        """Look later and later; what no retry can help is left for a day."""
        self.failures += 1
        pause_s = INTERVAL_S * 2**self.failures if error.retryable else LONGEST_PAUSE_S
        self.due, self.said = now + min(pause_s, LONGEST_PAUSE_S), str(error)


@dataclass
class Look:
    """What one look at the watchlist brought."""

    videos: dict[str, str] = field(default_factory=dict)
    """New ones: key -> address."""
    errors: list[str] = field(default_factory=list)
    more: bool = False
    """Whether something was left for the next look."""


def look(
    addresses: list[str],
    entries: dict[str, Entry],
    is_known: Callable[[str], bool],
    settings: DownloadSettings,
    most: int,
    now: float,
    until: float,
    clock: Callable[[], float],
) -> Look:
    """Look at the addresses that are due, the longest waiting first, one per host; remember in `entries`.

    Args:
        addresses: of the watchlist.
        entries: what is remembered, by address; changed in place. Addresses that left the watchlist are forgotten.
        is_known: says of a key whether that video is known already.
        settings: for downloads.
        most: take so many new videos at most; the rest waits for the next look.
        now, until: seconds since 1970; after `until` no further address is looked at.
        clock: gives the seconds since 1970.
    """
    for gone in set(entries) - set(addresses):
        del entries[gone]
    result, hosts = Look(), set()
    for address in sorted(addresses, key=lambda a: entries.setdefault(a, Entry()).due):
        entry, host = entries[address], urlsplit(address).hostname
        if entry.due > now:
            break
        if host in hosts or clock() > until or len(result.videos) >= most:
            result.more = True
            continue
        hosts.add(host)
        try:
            listed = newest_videos(address, settings)
        except DownloadError as error:
            entry.failed(now, error)
            result.errors.append(str(error))
            continue
        entry.looked(now)
        for video in listed:
            key = _key(video)
            if key is None or key in result.videos or is_known(key):
                continue
            if len(result.videos) == most:
                entry.due, result.more = now, True
                break
            result.videos[key] = video
    return result


def _key(address: str) -> str | None:
    try:
        return source_key(address)
    except DownloadError:
        return None
