"""The library page in a real headless Chromium: sorts, filters, keeps up with ten thousand videos, harms nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from tests.library_store import put_report
from tests.report.browser import AXE_CORE, AXE_MISSING, PROGRAM, Browser, browser
from tests.report.example import example_report, missing, result
from tests.report.test_page import HOSTILE, Page, everywhere
from tiktok_assets.library import library_page, update_library
from tiktok_assets.library_page.page import render_library_page
from tiktok_assets.library_tables import COLUMNS, rows_of
from tiktok_assets.store import Store

in_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")

TITLES = "[...document.querySelectorAll('.rows .row')].map(r => r.querySelector('a').textContent)"
COUNT = "document.querySelector('#count').textContent.replace(/\\u202f/g, '')"
FOCUSED = "document.activeElement.closest('.row')?.getAttribute('aria-rowindex')"


def tables_of(reports: Sequence[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    rows = [rows_of(r, r["metadata"]["video_key"], False) for r in reports]
    return {
        table: pd.DataFrame([row for each in rows for row in each[table]], columns=list(COLUMNS[table]))
        for table in COLUMNS
    }


def render(reports: Sequence[dict[str, Any]]) -> str:
    tables = tables_of(reports)
    return render_library_page(tables["videos"], tables["outcomes"])


def four_videos() -> list[dict[str, Any]]:
    """Three with everything the example has, of different lengths; one of which little is known."""
    reports = [
        example_report(
            video_key=f"v{i}", title=title, uploader=by, duration_s=length, created_at=f"2025-11-2{i}T00:00:00Z"
        )
        for i, (title, by, length) in enumerate(
            (("Äpfel", "@anna", 12.0), ("banana", None, 75.0), ("Cherry", "@Änna", 5.5))
        )
    ]
    unknown = example_report(
        video_key="v3", title=None, uploader=None, duration_s=None, created_at="2025-11-20T00:00:00Z"
    )
    unknown["metadata"] |= {"realtime_factor": None, "upload_date": None}
    unknown["analyzer_results"]["face_detection"] = missing("faces", "1 MiB")
    unknown["analyzer_results"]["text_overlay"] = result(status="failed", reason="no")
    return [*reports, unknown]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Browser]:
    """The browser; at the end of the test nothing has complained, and nothing but the page has been asked for."""
    chromium.problems.clear()
    chromium.requests.clear()
    yield chromium
    assert chromium.problems == []
    asked = {r.split("#")[0] for r in chromium.requests if not r.startswith("about:")}
    assert all(r.startswith("file://") and r.endswith(("index.html", "thumbnail.jpg")) for r in asked)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(html: str) -> Path:
        page = tmp_path / "library" / "index.html"
        page.parent.mkdir()
        page.write_text(html, "utf-8")
        return page

    return write


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand videos."""
    tables = tables_of([example_report(video_key="v")])
    count = 10_000
    videos = tables["videos"].loc[[0] * count].reset_index(drop=True)
    names = [f"tiktok-{i:019d}" for i in range(count)]
    videos = videos.assign(video=names, folder=names, title=[f"Video {i}" for i in range(count)])
    videos["duration_s"] = [10 + i / 100 for i in range(count)]
    outcomes = pd.concat([tables["outcomes"].assign(video=name) for name in names], ignore_index=True)
    page = tmp_path_factory.mktemp("large") / "library" / "index.html"
    page.parent.mkdir()
    page.write_text(render_library_page(videos, outcomes), "utf-8")
    return page


def press(tab: Browser, selector: str) -> None:
    tab.value(f"document.querySelector({json.dumps(selector)}).click()")


def search(tab: Browser, words: str) -> None:
    tab.value(f"document.querySelector('#search').value = {json.dumps(words)}")
    tab.value("document.querySelector('#search').dispatchEvent(new Event('input'))")


@in_browser
def test_rows_say_what_is_known_and_link_to_the_reports(tab: Browser, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for report in four_videos():
        put_report(store, report["metadata"]["video_key"], report)
    Image.new("RGB", (9, 16), "teal").save(store.video("v0").path / "thumbnail.jpg")
    update_library(store)
    tab.open(library_page(store))
    assert tab.value(TITLES) == ["Cherry", "banana", "Äpfel", "v3"]
    links = tab.value("[...document.querySelectorAll('.rows a')].map(a => a.href)")
    assert links == [(store.video(f"v{i}").path / "report.html").as_uri() for i in (2, 1, 0, 3)]
    cells = tab.value(
        "[...document.querySelectorAll('.rows .row')].map(r => [...r.children].map(c => c.innerText.trim()))"
    )
    assert cells[1][4] == "1:15"
    assert cells[2][4:8] == ["12 s", "25", "1", "3"]
    assert cells[3][3:8] == ["–", "–", "25", "–", "–"]
    strips = tab.value("[...document.querySelectorAll('.strip')].map(s => s.getAttribute('aria-label'))")
    assert "faces in 17 % of the time" in strips[2]
    assert "faces not known" in strips[3]
    tab.wait("document.querySelector('.thumb img').naturalWidth > 0")


@in_browser
def test_heads_sort_both_ways_with_the_unknown_last(tab: Browser, written: Callable[[str], Path]) -> None:
    tab.open(written(render(four_videos())))
    for head, orders in (
        ("duration", [["banana", "Äpfel", "Cherry", "v3"], ["Cherry", "Äpfel", "banana", "v3"]]),
        ("title", [["Äpfel", "banana", "Cherry", "v3"], ["v3", "Cherry", "banana", "Äpfel"]]),
    ):
        for order in orders:
            press(tab, f"[data-sort={head}] button")
            assert tab.value(TITLES) == order
        assert tab.value("document.querySelectorAll('[aria-sort]').length") == 1
        press(tab, f"[data-sort={head}] button")
        assert tab.value(TITLES) == ["Cherry", "banana", "Äpfel", "v3"]


@in_browser
def test_search_and_filters_narrow_table_totals_and_matrix(tab: Browser, written: Callable[[str], Path]) -> None:
    page = written(render(four_videos()))
    tab.open(page)
    search(tab, "ANNA ä")
    assert tab.value(TITLES) == ["Cherry", "Äpfel"]
    assert tab.value(COUNT) == "2 of 4 videos"
    assert tab.value("document.querySelector('#t-length').textContent") == "18 s"
    search(tab, "")
    failed = "#matrix button[aria-label='Text overlay, failed: 1 videos']"
    press(tab, failed)
    assert tab.value(TITLES) == ["v3"]
    assert tab.value("document.querySelector('#matrix button[aria-label^=\"Text overlay, found\"]').textContent") == "3"
    assert tab.value("document.querySelector('#matrix button[aria-label^=\"Cut analysis, found\"]').textContent") == "1"
    address = tab.value("location.href")
    press(tab, failed)
    assert tab.value(COUNT) == "4 videos"
    press(tab, "#chips button")
    assert tab.value(TITLES) == ["Cherry", "banana", "Äpfel"]
    search(tab, "nothing like it")
    assert not tab.value("document.querySelector('#none').hidden")
    press(tab, "#active button:last-child")
    assert tab.value(COUNT) == "4 videos"
    tab.open(page, place="#" + address.split("#")[1])
    assert tab.value(TITLES) == ["v3"]


@in_browser
def test_ten_thousand_videos_are_there_and_few_are_drawn(tab: Browser, large: Path) -> None:
    assert large.stat().st_size < 4_000_000
    tab.open(large)
    assert tab.value(COUNT) == "10000 videos"
    drawn = "document.querySelectorAll('.rows .row').length"
    assert 5 < tab.value(drawn) < 60
    tab.value("window.scrollTo(0, document.body.scrollHeight)")
    tab.wait(f"{TITLES}.includes('Video 9999')")
    assert tab.value(drawn) < 60
    places = tab.value("[...document.querySelectorAll('.rows .row')].map(r => +r.getAttribute('aria-rowindex'))")
    assert places == list(range(places[0], 10_002))
    search(tab, "video 77")
    assert tab.value(COUNT) == f"{sum('77' in str(i) for i in range(10_000))} of 10000 videos"
    assert tab.value("document.querySelector('#main').getBoundingClientRect().top") >= -1
    press(tab, "[data-sort=duration] button")
    assert tab.value(TITLES)[0] == "Video 9977"


@in_browser
def test_the_keyboard_reaches_every_video(tab: Browser, large: Path) -> None:
    tab.open(large)
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="/", text="/")
    assert tab.value("document.activeElement.id") == "search"
    tab.press("ArrowDown")
    assert tab.value(FOCUSED) == "2"
    for key, place in (("ArrowDown", "3"), ("End", "10001"), ("ArrowDown", "10001")):
        tab.press(key)
        assert tab.value(FOCUSED) == place
        top, bottom = tab.value(
            "(r => [r.top - document.querySelector('.heads').offsetHeight, innerHeight - r.bottom])"
            "(document.activeElement.closest('.row').getBoundingClientRect())"
        )
        assert top >= 0
        assert bottom >= 0
    tab.value("window.scrollTo(0, 0)")
    tab.wait(f"{TITLES}.includes('Video 0')")
    assert tab.value(FOCUSED) == "10001"


@in_browser
@pytest.mark.parametrize("width_px", [360, 768, 1024, 1400])
def test_no_width_needs_sideways_scrolling(tab: Browser, large: Path, width_px: int) -> None:
    tab.open(large, width_px=width_px, height_px=740)
    assert tab.value("document.documentElement.scrollWidth") <= width_px
    over = "[...document.querySelectorAll('.rows .row')].filter(r => r.scrollWidth > r.clientWidth + 1).length"
    assert tab.value(over) == 0


@in_browser
@pytest.mark.skipif(not AXE_CORE.is_file(), reason=AXE_MISSING)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1400])
def test_no_serious_accessibility_fault(
    tab: Browser, written: Callable[[str], Path], width_px: int, dark: bool
) -> None:
    tab.open(written(render(four_videos())), width_px=width_px, dark=dark)
    tab.value("document.querySelector('#matrix').open = true")
    assert tab.faults() == []
    press(tab, "#chips button")
    press(tab, "[data-sort=title] button")
    assert tab.faults() == []
    search(tab, "nothing like it")
    assert tab.faults() == []


@in_browser
def test_paper_shows_the_first_videos_below_each_other(tab: Browser, large: Path) -> None:
    tab.open(large)
    tab.value(
        "window.addEventListener('beforeprint', () => { window.printed = document.querySelectorAll('.row').length })"
    )
    tab.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
    assert tab.value("window.printed") == 1 + 500
    assert "500 of 10" in tab.value("document.querySelector('#unprinted').textContent")
    assert tab.value("document.querySelectorAll('.row').length") < 60
    tab.call("Emulation.setEmulatedMedia", media="print")
    places = tab.value(
        "[...document.querySelectorAll('.rows .row')].map(r => r.getBoundingClientRect()).map(r => [r.top, r.bottom])"
    )
    assert all(bottom <= top + 0.5 for (_, bottom), (top, _) in pairwise(places))
    tab.call("Emulation.setEmulatedMedia", media="")


@in_browser
def test_dark_mode_is_dark(tab: Browser, written: Callable[[str], Path]) -> None:
    page = written(render(four_videos()))
    brightness = "Math.max(...getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number))"
    tab.open(page)
    assert tab.value(brightness) > 200
    tab.open(page, dark=True)
    assert tab.value(brightness) < 40


@in_browser
@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: ascii(t[:24]))
def test_nothing_hostile_runs(tab: Browser, written: Callable[[str], Path], text: str) -> None:
    report = everywhere(example_report(), lambda _: text)
    report["analyzer_results"][text[:40]] = result(status="failed", reason=text)
    report["metadata"] |= {"upload_date": "20251121", "webpage_url": text}
    tab.open(written(render([report, example_report(video_key="other")])))
    assert tab.value("document.querySelectorAll('.rows .row').length") == 2
    assert tab.value("Math.max(...[...document.querySelectorAll('.rows .row')].map(r => r.offsetHeight))") == 60
    search(tab, text[:30])
    press(tab, "[data-sort=title] button")
    assert tab.value("window.harmed") is None
    assert tab.value("document.querySelectorAll('iframe, img, script:not(#data)').length") == 1
    assert tab.value("document.documentElement.scrollWidth") <= 1400


@in_browser
def test_an_empty_library_says_so(tab: Browser, written: Callable[[str], Path]) -> None:
    tab.open(written(render([])))
    assert tab.value(COUNT) == "0 videos"
    assert "No video" in tab.value("document.querySelector('#none').innerText")


def test_the_page_forbids_the_network() -> None:
    page = Page(render(four_videos()))
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src 'self';")
    assert not [a for tag, a in page.elements if "src" in a or tag == "link" or any(k.startswith("on") for k in a)]
