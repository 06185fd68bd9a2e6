"""The address guard: a yt-dlp that speaks http and https only, and (unless told otherwise) to public addresses only.

Where it sits, and why there. The URL that a user gives is the smallest part of what gets fetched: servers redirect,
pages name media files, extractors build thumbnail URLs. Checking the first URL misses all of these; wrapping
`YoutubeDL.urlopen` misses redirects, which the handler follows by itself; looking a name up, approving it and then
connecting by name leaves a gap in which the name may change its address (DNS rebinding). So the check is in the
connection: yt-dlp gets one request handler of ours, whose connections look the host up once, refuse it when ANY of its
addresses is not public, and connect to the very addresses that were checked. Every request passes there, each hop of
a redirect included, before a byte is sent. Nothing global is replaced, so other threads are not affected.

- yt-dlp's other handlers (requests, curl_cffi, websockets) are not registered: nothing goes around the guard. The
  browser impersonation of curl_cffi is therefore not used.
- ftp:, file: and data: are refused wherever they come from.
- Behind a proxy it is the proxy that connects. The proxy's own address is the user's choice and not checked; the
  target is refused when this machine finds a private address for it, and a name that only the proxy can look up is
  left to the proxy.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Mapping
from typing import Any


class RefusedAddress(Exception):
    """A request was not made: its scheme is not http(s), or its host is not a public one. The text says which."""


def is_public(address: str) -> bool:
    """Whether an IP address (text, a zone like `%eth0` allowed) is one of the public internet.

    Loopback, private, link-local (cloud metadata services), shared, reserved, documentation, multicast and unspecified
    addresses are not (IANA special-purpose registries, as Python's `ipaddress` holds them), nor are IPv6 addresses that
    carry such an IPv4 address inside (mapped, 6to4, Teredo, NAT64).
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(v4 is not None and not is_public(str(v4)) for v4 in inner):
            return False
        if ip.ipv4_mapped is not None:
            return True
    return ip.is_global and not ip.is_multicast


def public_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host, in the order in which to try them.

    Raises RefusedAddress when one of them is not public, OSError (socket.gaierror) when the name is not known.
    """
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not is_public(address):
            raise RefusedAddress(f"{host} is not public" + (f": it is at {address}" if address != host else ""))
    return list(dict.fromkeys(found))


def connect_public(address: tuple[str, int], timeout: Any = None, source_address: Any = None) -> socket.socket:
    """Like socket.create_connection, to the checked addresses of a host. Raises RefusedAddress or OSError."""
    host, port = address
    error: OSError = OSError(f"{host} has no address")
    for ip in public_addresses(host, port):
        try:
            return socket.create_connection((ip, port), timeout, source_address)
        except OSError as failed:
            error = failed
    raise error


@functools.cache
def youtube_dl_class(allow_private_addresses: bool) -> type:
    """yt-dlp's `YoutubeDL` with the guarded handler as its only one (a class in a function: yt-dlp loads when needed).

    A refused request raises yt-dlp's RequestError with a RefusedAddress as its cause. That class is deliberate: yt-dlp
    neither retries it (as a TransportError) nor tries another handler (as any other exception).
    """
    import urllib.parse
    import urllib.request

    from yt_dlp import YoutubeDL
    from yt_dlp.networking._urllib import HTTPHandler, UrllibRH
    from yt_dlp.networking.exceptions import HTTPError, RequestError
    from yt_dlp.utils.networking import select_proxy

    def refuse(error: RefusedAddress) -> RequestError:
        return RequestError(str(error), cause=error)

    def connection_class(base: type, req: urllib.request.Request) -> type:
        chosen = HTTPHandler._make_conn_class(base, req)
        if chosen is not base or req.has_proxy() or req._tunnel_host:  # type: ignore[attr-defined]
            return chosen

        class GuardedConnection(base):
            def connect(self) -> None:
                self._create_connection = connect_public
                try:
                    super().connect()
                except RefusedAddress as error:
                    raise refuse(error) from error

        return GuardedConnection

    class Gate(urllib.request.BaseHandler):
        """Sees every request before it is opened, redirects included."""

        def __init__(self, proxies: Mapping[str, str]) -> None:
            self.proxies = proxies

        def ftp_request(self, req: urllib.request.Request) -> urllib.request.Request:
            raise refuse(RefusedAddress(f"{req.type}: addresses are not fetched"))

        file_request = data_request = ftp_request

        def http_request(self, req: urllib.request.Request) -> urllib.request.Request:
            if not allow_private_addresses and select_proxy(req.full_url, self.proxies):
                try:
                    public_addresses(urllib.parse.urlsplit(req.full_url).hostname or "", 0)
                except RefusedAddress as error:
                    raise refuse(error) from error
                except (OSError, UnicodeError):
                    pass  # only the proxy can look it up
            return req

        https_request = http_request

    class GuardedRH(UrllibRH):
        _SUPPORTED_URL_SCHEMES = ("http", "https")

        def _create_instance(self, proxies: Mapping[str, str], cookiejar: Any, legacy_ssl_support: Any = None) -> Any:
            opener = super()._create_instance(proxies, cookiejar, legacy_ssl_support)
            opener.add_handler(Gate(proxies))
            if not allow_private_addresses:
                [http] = [handler for handler in opener.handlers if isinstance(handler, HTTPHandler)]
                http._make_conn_class = connection_class
            return opener

    class GuardedYoutubeDL(YoutubeDL):
        def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
            return super().build_request_director([GuardedRH], preferences)

        def urlopen(self, req: Any) -> Any:
            try:
                return super().urlopen(req)
            except HTTPError as error:
                # Nothing is left behind the part that is there. yt-dlp then means to ask for the whole file, but its
                # request still carries the range (2026.10.26: the two requests share their headers).
                if error.status != 416 or isinstance(req, str) or not req.headers.pop("Range", None):
                    raise
                return super().urlopen(req)

    return GuardedYoutubeDL
