"""Makes the pictures of the documentation from the sample clip: `python docs/make_pictures.py`, from the repository.

It analyzes the sample into a temporary store, then takes pictures in a headless Chromium, which has to be installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

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
REPORT_AT_S = 4.5
"""The moment that the report shows: a face, and a text over the picture."""
DRAWN = ("faces", "poses", "text")
GRAPH = '(+key:"comment_cta_detection" or key:"cut_analysis" or key:"report") and not group:"weights"'
"""A part of the graph; all 32 assets are too small to be read in a picture."""
GROUPS = ("media", "vision", "sound", "speech", "language", "report")
STILL_S = 8


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
    for kind in DRAWN:
        tab.value(f"document.querySelector('#draw [data-kind={kind}]').click()")
    keep(tab, "report.png")


def picture_library(tab: Browser, page: Path) -> None:
    tab.open(page, WIDTH_PX, 620)
    tab.wait("[...document.images].every(image => image.complete)")
    keep(tab, "library.png")


def picture_graph(tab: Browser, server: Server) -> None:
    """Part of the asset graph in Dagster's web interface, its groups unfolded and the navigation away."""
    unfolded = ",".join(f"global@global:{group}" for group in GROUPS)
    page = f"/asset-groups~{quote(GRAPH, safe='')}?expanded={quote(unfolded, safe='')}"
    tab.call("Emulation.setDeviceMetricsOverride", width=WIDTH_PX, height=1150, deviceScaleFactor=1, mobile=False)
    tab.call("Page.navigate", url=f"http://127.0.0.1:{server.port}{page}")
    tab.wait("[...document.querySelectorAll('button')].some(b => b.innerText === 'Hide navigation')")
    tab.wait("!!document.querySelector('svg path')")
    tab.value("[...document.querySelectorAll('button')].find(b => b.innerText === 'Hide navigation').click()")
    time.sleep(1)  # until that is remembered
    tab.call("Page.reload")  # makes the graph fit into its place
    time.sleep(STILL_S)  # it moves there and asks for the state of each asset; nothing says when it is done
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
