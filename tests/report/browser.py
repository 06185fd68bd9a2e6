"""A real headless Chromium, driven over a pipe: enough of the DevTools protocol to open a page, act and look.

There is no open port and no further package. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
AXE_CORE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
"""Deque's accessibility checker (MPL-2.0), which is no part of the project: npm install axe-core."""
AXE_MISSING = f"axe-core is not at {AXE_CORE}: npm install axe-core elsewhere and let AXE_CORE name its axe.min.js"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
)
ANSWER_S = 60
KEY_CODES = {"Enter": 13, "Escape": 27, " ": 32, "End": 35, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One tab. `problems` collects what the console and the page's policy complain about, `requests` every address."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], ANSWER_S)[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._from, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, parameters: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(a.get("value")) for a in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog: {parameters['message']}")

    def open(
        self, page: Path, width_px: int = 1400, height_px: int = 1000, dark: bool = False, place: str = ""
    ) -> None:
        """Open a file and wait until it is there, and what its video is."""
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        phone = width_px < 600
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width_px, height=height_px, deviceScaleFactor=1, mobile=phone
        )
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=page.resolve().as_uri() + place)
        self.wait("document.readyState === 'complete'")
        video = "document.querySelector('video')"
        self.wait(f"!{video} || {video}.readyState >= 1 || !!{video}.error")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page, as plain values."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        until = time.monotonic() + ANSWER_S
        while not self.value(expression):
            if time.monotonic() > until:
                raise TimeoutError(f"it never became true: {expression}")
            time.sleep(0.03)

    def middle(self, selector: str) -> tuple[float, float]:
        """Where the middle of an element lies in the window, scrolled into view first."""
        return tuple(
            self.value(
                f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
                f" return [r.x + r.width / 2, r.y + r.height / 2]; }})(document.querySelector({json.dumps(selector)}))"
            )
        )

    def move(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=KEY_CODES[key],
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def faults(self) -> list[str]:
        """What axe-core calls a serious or critical fault of the page as it is now: rule and element."""
        self.value(f"{AXE_CORE.read_text('utf-8')};0")
        return self.value(
            "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations"
            ".filter(v => ['serious', 'critical'].includes(v.impact))"
            ".flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 200)}`)))"
        )

    def picture(self, to: Path, whole_page: bool = False) -> None:
        """Save a screenshot as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole_page)
        to.write_bytes(base64.b64decode(answer["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile, ended with the block."""
    assert PROGRAM
    read_there, write_here = os.pipe()
    read_here, write_there = os.pipe()
    with tempfile.TemporaryDirectory(prefix="tiktok-assets-browser-", ignore_cleanup_errors=True) as profile:

        def hand_over() -> None:
            os.dup2(read_there, 3)
            os.dup2(write_there, 4)

        # The pipe's ends may lie at 3 and 4 themselves: they are moved away first.
        ends = [os.dup(fd) if fd in (3, 4) else fd for fd in (read_there, write_there)]
        read_there, write_there = ends
        process = subprocess.Popen(
            [PROGRAM, *FLAGS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=hand_over,
            pass_fds=(3, 4),
            close_fds=True,
            start_new_session=True,
        )
        try:
            yield Browser(write_here, read_here)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
            for fd in (read_there, write_there, read_here, write_here):
                with contextlib.suppress(OSError):
                    os.close(fd)
