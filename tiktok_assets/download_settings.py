"""How videos are fetched: limits, retries, proxy and cookies, from the code or from TIKTOK_ASSETS_* variables."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tiktok_assets.download_errors import ENVIRONMENT_PREFIX, SettingsError


@dataclass(frozen=True)
class DownloadSettings:
    """How videos are fetched. The two caps hold for local files too. Raises SettingsError when a value is not valid."""

    max_bytes: int = 512 * 2**20
    """Largest file, in bytes."""
    max_duration_s: float = 600.0
    """Longest video, in seconds: refused before the download where the site tells, else after it."""
    max_height_px: int = 1920
    """Longest side of the picture, in px, among the versions that a site offers; the smallest when all are larger."""
    rate_limit_bytes_per_s: int | None = None
    """Download no faster than this; None: as fast as it comes."""
    retries: int = 5
    """How often again after a network error; each time the site is asked anew and the file is resumed."""
    retry_wait_s: float = 1.0
    """Pause before the first retry, doubled for each further one, at most 60 s."""
    socket_timeout_s: float = 20.0
    """Give up on a connection that is silent for so long."""
    sleep_between_requests_s: float = 0.0
    """Pause between requests while the pages of a site are read."""
    proxy: str | None = None
    """An http://, socks4:// or socks5:// address; None: what the environment says (HTTPS_PROXY and its like)."""
    cookies_file: Path | None = None
    """Cookies in Netscape format, as browser extensions export them. The file is read and never written."""
    allow_private_addresses: bool = False
    """Whether loopback, private and other addresses that are not public may be contacted."""

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_duration_s", "max_height_px", "socket_timeout_s", "rate_limit_bytes_per_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be more than 0, not {value}")
        for name in ("retries", "retry_wait_s", "sleep_between_requests_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"{name} must be at least 0, not {getattr(self, name)}")
        if self.proxy is not None and not re.match(r"(http|socks4a?|socks5h?)://[^/]", self.proxy):
            raise SettingsError("proxy must start with http://, socks4:// or socks5://")

    @classmethod
    def from_environment(cls) -> Self:
        """The defaults, changed by the environment variables TIKTOK_ASSETS_<FIELD>.

        TIKTOK_ASSETS_MAX_BYTES, _MAX_DURATION_S, _MAX_HEIGHT_PX, _RATE_LIMIT_BYTES_PER_S, _RETRIES, _RETRY_WAIT_S,
        _SOCKET_TIMEOUT_S, _SLEEP_BETWEEN_REQUESTS_S: plain numbers; _PROXY, _COOKIES_FILE: text;
        _ALLOW_PRIVATE_ADDRESSES: 1/true/yes/on or 0/false/no/off. An empty one counts as not set.
        """
        given: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            variable = ENVIRONMENT_PREFIX + field.name.upper()
            text = os.environ.get(variable, "").strip()
            if text:
                parse, takes = _PARSERS[str(field.type).removesuffix(" | None")]
                try:
                    given[field.name] = parse(text)
                except (ValueError, KeyError):
                    raise SettingsError(f"{variable} takes {takes}, not {text!r}") from None
        try:
            return cls(**given)
        except SettingsError as error:
            raise SettingsError(f"{error} (set by {ENVIRONMENT_PREFIX}... in the environment)") from None


_SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (lambda text: _SWITCH[text.lower()], "1 or 0"),
    "str": (str, "text"),
    "Path": (Path, "a path"),
}
