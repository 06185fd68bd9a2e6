"""The report page in a real headless Chromium: it plays, seeks, obeys the keyboard, and nothing hostile runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.media import SAMPLE
from tests.report.browser import PROGRAM, Browser, browser
from tests.report.example import example_report, example_tracks
from tests.report.test_page import HOSTILE, everywhere
from tiktok_assets.report.page import render_page

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")

PLAYER = "document.querySelector('#player')"
PLAYHEAD_S = "12 * document.querySelector('#lanes').style.getPropertyValue('--at')"
FACE = '.seg[aria-label^="face,"]'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Browser]:
    """The browser; at the end of the test neither the console nor the page's policy has complained."""
    chromium.problems.clear()
    chromium.requests.clear()
    yield chromium
    assert chromium.problems == []
    asked = [r for r in chromium.requests if not r.startswith(("data:", "about:"))]
    assert all(r.startswith("file://") and r.split("#")[0].endswith(("report.html", "video.mp4")) for r in asked)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(html: str) -> Path:
        shutil.copy(SAMPLE, tmp_path / "video.mp4")
        (tmp_path / "report.html").write_text(html, "utf-8")
        return tmp_path / "report.html"

    return write


@pytest.fixture
def page(written: Callable[..., Path]) -> Path:
    return written(render_page(example_report(), example_tracks()))


def test_a_click_on_a_segment_seeks_and_tells_what_is_there(tab: Browser, page: Path) -> None:
    tab.open(page)
    tab.click(*tab.middle(FACE))
    tab.wait(f"{PLAYER}.currentTime === 3.5 && !{PLAYER}.seeking")
    assert tab.value(PLAYHEAD_S) == pytest.approx(3.5, abs=0.01)
    assert tab.value("document.querySelector('#clock').textContent") == "3.50"
    now = tab.value("document.querySelector('#now').innerText")
    assert "Face detection" in now
    assert "static" in now
    assert "zoom in" not in now


def test_a_click_between_segments_seeks_there(tab: Browser, page: Path) -> None:
    tab.open(page)
    x, y, width = tab.value(
        "(r => [r.x, r.y + 10, r.width])(document.querySelector('.lane[data-name=\"Face detection\"] .track')"
        ".getBoundingClientRect())"
    )
    tab.click(x + width * 0.75, y)
    tab.wait(f"Math.abs({PLAYER}.currentTime - 9) < 0.05")
    assert tab.value(PLAYHEAD_S) == pytest.approx(9.0, abs=0.05)


def test_the_playhead_and_the_words_follow_the_player(tab: Browser, page: Path) -> None:
    tab.open(page, place="#t=8.2")
    tab.wait(f"Math.abs({PLAYER}.currentTime - 8.2) < 0.01")
    tab.value(f"{PLAYER}.play()")
    tab.wait(
        "[...document.querySelectorAll('#texts .on .words')].some(e => e.textContent === 'Für mehr Tipps folgen!')"
    )
    tab.value(f"{PLAYER}.pause()")
    assert tab.value(PLAYHEAD_S) == pytest.approx(tab.value(f"{PLAYER}.currentTime"), abs=0.15)
    assert tab.value(PLAYHEAD_S) >= 8.4


def test_hover_and_focus_tell_what_and_how_sure(tab: Browser, page: Path) -> None:
    tab.open(page)
    tab.middle(FACE)
    tab.value("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    tab.move(*tab.middle(FACE))
    tab.wait("!document.querySelector('#tip').hidden")
    told = tab.value("document.querySelector('#tip').innerText")
    assert "87 % sure" in told
    assert "3.50–5.50 s" in told
    tab.press("Escape")
    assert tab.value("document.querySelector('#tip').hidden")


def test_the_keyboard_reaches_everything(tab: Browser, page: Path) -> None:
    tab.open(page)
    assert tab.value("document.querySelectorAll('#lanes button[tabindex=\"0\"]').length") == 1
    tab.value("document.querySelector('#lanes button[tabindex=\"0\"]').focus()")

    def focused() -> str:
        return tab.value("document.activeElement.getAttribute('aria-label')")

    assert focused().startswith("shot, 0.00–2.50 s")
    tab.press("ArrowRight")
    assert focused().startswith("cut, 2.50 s")
    tab.press("ArrowDown")
    assert focused().startswith("static, 2.50–3.50 s")
    tab.press("End")
    tab.press("Enter")
    tab.wait(f"{PLAYER}.currentTime === 10")
    tab.value("document.activeElement.blur()")
    tab.press("ArrowLeft")
    tab.wait(f"{PLAYER}.currentTime === 9")
    tab.press(" ")
    tab.wait(f"!{PLAYER}.paused")
    tab.press(" ")
    tab.wait(f"{PLAYER}.paused")


def test_boxes_lie_over_the_picture_where_the_face_is(tab: Browser, page: Path) -> None:
    tab.open(page, place="#t=4.0")
    tab.click(*tab.middle("#boxes-switch"))
    boxes = tab.value(
        "[...document.querySelectorAll('#boxes i')].map(e => [e.dataset.text, parseFloat(e.style.left) / 100])"
    )
    found = dict(boxes)
    assert found["face 1"] == pytest.approx(0.31, abs=0.011)
    assert "First woman to pilot the Shuttle" in found


@pytest.mark.parametrize("width_px", [360, 768, 1024, 1400])
def test_no_width_needs_sideways_scrolling(tab: Browser, page: Path, width_px: int) -> None:
    tab.open(page, width_px=width_px, height_px=740)
    assert tab.value("document.documentElement.scrollWidth") <= width_px


def test_dark_mode_is_dark(tab: Browser, page: Path) -> None:
    brightness = "Math.max(...getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number))"
    tab.open(page)
    assert tab.value(brightness) > 200
    tab.open(page, dark=True)
    assert tab.value(brightness) < 40


def test_nothing_jumps_while_loading_and_seeking(tab: Browser, page: Path) -> None:
    tab.open(page, place="#t=4.2")
    tab.value("document.querySelector('#position').value = 9")
    tab.value("document.querySelector('#position').dispatchEvent(new Event('input'))")
    shift = tab.value(
        "new Promise(done => { let sum = 0; new PerformanceObserver(l => l.getEntries().forEach(e => sum += e.value))"
        ".observe({type: 'layout-shift', buffered: true}); setTimeout(() => done(sum), 200); })"
    )
    assert shift < 0.01


def test_a_file_that_does_not_play_leaves_the_timeline(chromium: Browser, page: Path) -> None:
    page.with_name("video.mp4").write_bytes(b"no video at all")
    chromium.open(page)
    chromium.wait("!document.querySelector('#unplayable').hidden")
    chromium.click(*chromium.middle(FACE))
    assert chromium.value(PLAYHEAD_S) == pytest.approx(3.5, abs=0.01)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: ascii(t[:24]))
def test_nothing_hostile_runs(tab: Browser, written: Callable[..., Path], text: str) -> None:
    report = everywhere(example_report(), lambda _: text)
    report["metadata"]["video_path"] = "video.mp4"
    tab.open(written(render_page(report, example_tracks())))
    tab.click(*tab.middle(".lane[data-name='Face detection'] .seg"))
    tab.wait(f"{PLAYER}.currentTime === 3.5")
    tab.move(*tab.middle(".lane[data-name='Face detection'] .seg"))
    assert tab.value("window.harmed") is None
    assert tab.value("document.querySelectorAll('iframe, img:not([src^=\"data:\"])').length") == 0
    assert tab.value("document.documentElement.scrollWidth") <= 1400
