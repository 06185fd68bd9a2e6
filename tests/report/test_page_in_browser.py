"""The report page in a real headless Chromium: it plays, seeks, obeys the keyboard, and nothing hostile runs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.media import SAMPLE
from tests.report.browser import AXE_CORE, AXE_MISSING, PROGRAM, Browser, browser
from tests.report.example import SPEECH, example_report, example_tracks, posing_report, posing_tracks, segment
from tests.report.test_page import HOSTILE, everywhere
from tiktok_assets.report.page import render_page

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")

PLAYER = "document.querySelector('#player')"
PLAYHEAD_S = "12 * document.querySelector('.playhead').style.getPropertyValue('--at')"
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


def switch(tab: Browser, *kinds: str) -> None:
    for kind in kinds:
        tab.click(*tab.middle(f"#draw [data-kind={kind}]"))


def lines(tab: Browser, kind: str) -> str:
    return tab.value(f"document.querySelector('#overlay .k-{kind} .line').getAttribute('d') ?? ''")


def labels(tab: Browser) -> list[tuple[str, list[float]]]:
    """Text and place (left, top, right, bottom in px of the picture) of each label that is shown."""
    return tab.value(
        "(stage => [...document.querySelectorAll('#overlay b:not([hidden])')].map(b => [b.textContent,"
        " (r => [r.left - stage.left, r.top - stage.top, r.right - stage.left, r.bottom - stage.top])"
        "(b.getBoundingClientRect())]))(document.querySelector('.stage').getBoundingClientRect())"
    )


@pytest.fixture
def posing(written: Callable[..., Path]) -> Path:
    return written(render_page(posing_report(), posing_tracks()))


def test_each_kind_is_drawn_where_it_is_when_it_is_switched_on(tab: Browser, posing: Path) -> None:
    tab.open(posing, place="#t=4.0")
    assert all(lines(tab, kind) == "" for kind in ("faces", "poses", "hands", "text"))
    switch(tab, "poses")
    assert "M700 500L760 700L780 880" in lines(tab, "poses")
    assert lines(tab, "faces") == ""
    switch(tab, "faces", "hands", "text")
    left = float(lines(tab, "faces").removeprefix("M").split()[0])
    assert left == pytest.approx(1000 * 0.31, abs=11)
    assert lines(tab, "hands").startswith("M260 880")
    look = lines(tab, "faces").split("l")[1].split()
    assert float(look[0]) == pytest.approx(0.7 * 290 * math.sin(math.radians(30)) * 1024 / 576, rel=0.02)
    assert float(look[1]) == pytest.approx(0)
    assert {text for text, _ in labels(tab)} == {
        "face · smile",
        "upper body",
        "open palm",
        "First woman to pilot the Shuttle",
    }
    switch(tab, "poses")
    assert lines(tab, "poses") == ""
    assert "upper body" not in dict(labels(tab))


def test_what_is_drawn_moves_with_the_picture_and_never_across_a_cut(
    tab: Browser, written: Callable[..., Path]
) -> None:
    tracks = posing_tracks()
    times_s = np.array([4.0, 4.25, 5.0, 5.48])
    boxes = np.array([[0, x, 0.2, x + 0.2, 0.4, 0.9] for x in (0.2, 0.4, 0.5, 0.6)])
    tracks["face_detection"] = {"faces": boxes, "faces_times_s": times_s}
    tab.open(written(render_page(posing_report(), tracks)), place="#t=4.125")
    switch(tab, "faces")

    def left() -> float | None:
        path = lines(tab, "faces")
        return float(path.removeprefix("M").split()[0]) if path else None

    assert left() == pytest.approx(300, abs=1)
    for at_s, expected in ((4.25, 400), (4.6, None), (4.9, 500), (5.49, 600), (5.51, None)):
        tab.value(f"document.querySelector('#position').value = {at_s}")
        tab.value("document.querySelector('#position').dispatchEvent(new Event('input'))")
        tab.wait(f"!{PLAYER}.seeking")
        assert left() == (expected and pytest.approx(expected, abs=12)), at_s


def test_switches_work_by_keyboard_and_stay_while_it_plays(tab: Browser, posing: Path) -> None:
    tab.open(posing, place="#t=3.6")
    tab.value("document.querySelector('#draw [data-kind=hands]').focus()")
    tab.press("Enter")
    pressed = "document.querySelector('#draw [data-kind=hands]').getAttribute('aria-pressed')"
    assert tab.value(pressed) == "true"
    tab.value("document.activeElement.blur()")
    tab.press(" ")
    tab.wait(f"!{PLAYER}.paused && {PLAYER}.currentTime > 3.8")
    assert lines(tab, "hands") != ""
    tab.press(" ")
    tab.wait(f"{PLAYER}.paused")
    assert tab.value(pressed) == "true"


def test_the_buttons_of_the_player_make_room_for_what_is_drawn(tab: Browser, posing: Path) -> None:
    tab.open(posing, place="#t=4.0")
    assert tab.value(f"{PLAYER}.controls")
    switch(tab, "faces")
    assert not tab.value(f"{PLAYER}.controls")
    tab.move(*tab.middle("#player"))
    tab.wait(f"{PLAYER}.controls")
    tab.move(*tab.middle("#draw"))
    tab.wait(f"!{PLAYER}.controls")
    tab.press("Escape")
    tab.value(f"{PLAYER}.focus()")
    tab.wait(f"{PLAYER}.controls")


@pytest.mark.parametrize("width_px", [390, 1400])
def test_labels_can_all_be_read(tab: Browser, written: Callable[..., Path], width_px: int) -> None:
    report, tracks = posing_report(), posing_tracks()
    crowd = np.array([[i, 0.3 + 0.02 * i, 0.2 + 0.01 * i, 0.6, 0.5, 0.9] for i in range(12)])
    tracks["face_detection"] = {"faces": crowd, "faces_times_s": np.full(12, 4.0)}
    report["analyzer_results"]["text_overlay"]["segments"] += [
        segment(3.6, 5.0, "overlay", 0.9, (0.05, 0.6 + 0.03 * i, 0.9, 0.7 + 0.03 * i), text=text)
        for i, text in enumerate(("red", "Für mehr Tipps folgen! " * 4, "مرحبا"))
    ]
    tab.open(written(render_page(report, tracks)), width_px=width_px, place="#t=4.0")
    switch(tab, "faces", "poses", "hands", "text")
    shown = labels(tab)
    assert len(shown) >= 12
    width, height = tab.value("(s => [s.clientWidth, s.clientHeight])(document.querySelector('.stage'))")
    for i, (_, (left, top, right, bottom)) in enumerate(shown):
        assert left >= -0.5
        assert top >= -0.5
        assert right <= width + 0.5
        assert bottom <= height + 0.5
        for _, (x0, y0, x1, y1) in shown[:i]:
            assert left >= x1 or right <= x0 or top >= y1 or bottom <= y0


def test_the_player_offers_what_was_said_as_captions(tab: Browser, written: Callable[..., Path]) -> None:
    report = example_report()
    said = ["Für <i>mehr</i> & mehr", "tschüss!"]
    report["analyzer_results"]["speech_transcription"]["segments"] = [
        segment(a, b, "speech", text=text) for (a, b), text in zip(SPEECH, said, strict=True)
    ]
    tab.open(written(render_page(report)))
    cues = tab.value(
        f"[...{PLAYER}.textTracks[0].cues].map(c => [c.startTime, c.endTime, c.getCueAsHTML().textContent])"
    )
    assert cues == [[*SPEECH[0], said[0]], [*SPEECH[1], said[1]]]


@pytest.mark.skipif(not AXE_CORE.is_file(), reason=AXE_MISSING)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1400])
def test_no_serious_accessibility_fault(tab: Browser, posing: Path, width_px: int, dark: bool) -> None:
    tab.open(posing, width_px=width_px, dark=dark, place="#t=4.0")
    tab.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    switch(tab, "faces", "poses", "hands", "text")
    assert tab.faults() == []


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
