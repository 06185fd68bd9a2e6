"""A small HTTP server on this machine for download tests: files with Range support, and faults on demand per path."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass
class Reply:
    """What the server answers on one path."""

    body: bytes = b""
    content_type: str = "video/mp4"
    statuses: list[int] = field(default_factory=list)
    """Statuses of the first requests, in order; 200 lets one through. Afterwards every request is served."""
    location: str | None = None
    """Redirect there instead of serving the body."""
    cut_after_bytes: int | None = None
    """Close the connection after so many body bytes, for requests without a Range header."""
    promised_bytes: int | None = None
    """A Content-Length other than the body's."""
    hides_length: bool = False
    """Send no Content-Length; the body ends when the connection does."""
    ignores_ranges: bool = False
    """Answer requests with a Range header with the whole body."""
    chunk_bytes: int = 64 * 1024
    pause_s: float = 0.0
    """Wait so long after each chunk."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One request that arrived."""

    path: str
    range_start: int | None
    cookie: str | None


class MediaServer:
    """Serves `replies[path]` (404 elsewhere) while its `with` block runs and notes every request in `seen`."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.replies: dict[str, Reply] = {}
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, port), self._handler_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}{path}"

    def add(self, path: str, reply: Reply) -> str:
        """Serve `reply` on `path`; returns its URL."""
        self.replies[path] = reply
        return self.url(path)

    def range_starts(self, path: str) -> list[int | None]:
        """Where the requests of a path wanted to start, in order; None for a whole file."""
        return [seen.range_start for seen in self.seen if seen.path == path]

    def _note(self, path: str, range_header: str | None, cookie: str | None) -> tuple[Reply | None, int, int | None]:
        start = int(range_header.removeprefix("bytes=").split("-")[0]) if range_header else None
        with self._lock:
            self.seen.append(Seen(path, start, cookie))
            reply = self.replies.get(path)
            if reply is None:
                return None, 404, start
            return reply, reply.statuses.pop(0) if reply.statuses else 200, start

    def _handler_class(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                reply, status, start = server._note(self.path, self.headers["Range"], self.headers["Cookie"])
                self.close_connection = True
                if reply is None or status != 200:
                    self._head(status, 0, {})
                elif reply.location is not None:
                    self._head(302, 0, {"Location": reply.location})
                elif start is not None and start >= len(reply.body):
                    self._head(416, 0, {"Content-Range": f"bytes */{len(reply.body)}"})
                else:
                    self._body(reply, None if reply.ignores_ranges else start)

            do_HEAD = do_GET

            def _head(self, status: int, length: int | None, headers: dict[str, str]) -> None:
                self.send_response(status)
                lengths = {} if length is None else {"Content-Length": str(length)}
                for name, value in {"Connection": "close", **lengths, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def _body(self, reply: Reply, start: int | None) -> None:
                body = reply.body[start or 0 :]
                total = reply.promised_bytes or len(reply.body)
                headers = {"Content-Type": reply.content_type, "Accept-Ranges": "bytes", **reply.headers}
                if start is None:
                    self._head(200, None if reply.hides_length else total, headers)
                    body = body[: reply.cut_after_bytes]
                else:
                    span = f"bytes {start}-{total - 1}/{total}"
                    self._head(206, total - start, {**headers, "Content-Range": span})
                try:
                    for at in range(0, len(body), reply.chunk_bytes):
                        self.wfile.write(body[at : at + reply.chunk_bytes])
                        time.sleep(reply.pause_s)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        return Handler
