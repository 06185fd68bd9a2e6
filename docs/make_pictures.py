"""Makes the pictures of the documentation from the sample clip: `python docs/make_pictures.py`, from the repository.

It analyzes the sample into a temporary store, then takes pictures in a headless Chromium, which has to be installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from tests.dagster_server import Server  # noqa: E402
from tests.report.browser import Browser, browser  # noqa: E402

IMAGES = REPOSITORY / "docs" / "images"
SAMPLE = "samples/sample.mp4"
WIDTH_PX = 1400
LARGEST_BYTES = 400_000
COLOURS = 256
REPORT_AT_S = 7.5
"""The moment that the report shows: a title over the picture, people in it."""


def command(server: Server, *arguments: str) -> None:
    """Run `tiktok-assets` on the server's store."""
    subprocess.run(
        [sys.executable, "-m", "tiktok_assets.cli", *arguments], env=server.environment, cwd=REPOSITORY, check=True
    )


def keep(tab: Browser, name: str) -> None:
    """Save what the tab shows, with fewer colours if the file would be large otherwise."""
    file = IMAGES / name
    tab.picture(file)
    if file.stat().st_size > LARGEST_BYTES:
        with Image.open(file) as picture:
            fewer = picture.convert("RGB").quantize(COLOURS)
        fewer.save(file, optimize=True)
    print(f"{file.relative_to(REPOSITORY)}: {file.stat().st_size:,} bytes")
    if file.stat().st_size > LARGEST_BYTES:
        raise SystemExit(f"{name} is larger than {LARGEST_BYTES:,} bytes")


def picture_report(tab: Browser, page: Path) -> None:
    tab.open(page, WIDTH_PX, 1100)
    tab.value(f"void (document.querySelector('video').currentTime = {REPORT_AT_S})")
    tab.wait("!document.querySelector('video').seeking && document.querySelector('video').readyState >= 2")
    keep(tab, "report.png")


def picture_library(tab: Browser, page: Path) -> None:
    tab.open(page, WIDTH_PX, 900)
    tab.wait("[...document.images].every(image => image.complete)")
    keep(tab, "library.png")


def picture_graph(tab: Browser, server: Server) -> None:
    """The asset graph in Dagster's web interface; it is drawn when its last asset has stood still for a while."""
    tab.call("Emulation.setDeviceMetricsOverride", width=WIDTH_PX, height=900, deviceScaleFactor=1, mobile=False)
    tab.call("Page.navigate", url=f"http://127.0.0.1:{server.port}/asset-groups")
    tab.wait("document.body && document.body.innerText.includes('report') && !!document.querySelector('svg path')")
    time.sleep(8)
    keep(tab, "graph.png")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tiktok-assets-pictures-") as folder:
        server = Server(Path(folder))
        try:
            server.selector()
            command(server, "analyze", SAMPLE)
            command(server, "library")
            video = next(server.store.videos.iterdir())
            with browser() as tab:
                picture_report(tab, video / "report.html")
                picture_library(tab, server.store.root / "library" / "index.html")
                picture_graph(tab, server)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
