"""The report page: complete, small, in step with the JSON, and unharmed by whatever a video brings along."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from typing import Any

import jsonschema
import numpy as np
import pytest

from analyzers.catalogue import CATALOGUE
from tests.media import sample_clip
from tests.report.example import SCHEMA, example_report, example_tracks, report_of, result, segment
from tiktok_assets.report import page as page_module
from tiktok_assets.report.drawing import curves, film_strip, spans, stacked, ticks
from tiktok_assets.report.page import MAX_PAGE_BYTES, MAX_TAG_CHARACTERS, render_page, shown_tags
from tiktok_assets.report.wording import MAX_TEXT_CHARACTERS, cleaned, clock, number, values

HOSTILE = (
    "<script>window.harmed = 1</script>",
    "</script><script>window.harmed = 1</script>",
    "</style><img src=x onerror='window.harmed = 1'>",
    '"><svg onload=window.harmed=1>',
    "' autofocus onfocus='window.harmed = 1",
    "<!--<script>",
    "]]></title></textarea><iframe src='https://example.invalid/'>",
    "javascript:window.harmed=1",
    "{{ 7 * 7 }}{% raw %}${window.harmed=1}",
    "url(https://example.invalid/x.png); background: red",
    "\u202eسلام \u2066abc\u202d مرحبا \u200f",
    "zero\x00byte, bell\x07, half a pair \ud83d, \u2028\u2029",
    "Z" + "\u0351\u0350\u035b" * 200,
    "a" * 100_000,
    "wörter " * 15_000,
)


class Page(HTMLParser):
    """What a browser would make elements and text of."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        self._open = tag
        if tag in ("script", "style"):
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.texts[self._open][-1] += data
        else:
            self.texts.setdefault("", []).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts[""]).split())

    def with_class(self, name: str) -> list[dict[str, str]]:
        return [a for _, a in self.elements if name in a.get("class", "").split()]

    def lanes(self) -> dict[str, list[dict[str, str]]]:
        """Segments of the timeline by the title of their lane."""
        found: dict[str, list[dict[str, str]]] = {}
        lane = ""
        for _, a in self.elements:
            lane = a.get("data-name", lane)
            found.setdefault(lane, [])
            if "seg" in a.get("class", "").split():
                found[lane].append(a)
        return found


def outline(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Elements and the names of their attributes: what no text may change."""
    return [(tag, tuple(a)) for tag, a in Page(html).elements]


def everywhere(value: Any, put: Callable[[str], str]) -> Any:
    """The same with every text replaced but those that the schema fixes."""
    if isinstance(value, dict):
        return {k: v if k in ("status", "created_at") else everywhere(v, put) for k, v in value.items()}
    if isinstance(value, list):
        return [everywhere(v, put) for v in value]
    return put(value) if isinstance(value, str) else value


def test_the_example_is_a_report_with_every_status() -> None:
    report = example_report()
    jsonschema.validate(report, SCHEMA)
    assert {r["status"] for r in report["analyzer_results"].values()} == set(
        SCHEMA["$defs"]["result"]["properties"]["status"]["enum"]
    )


def test_tags_take_two_lines_at_most() -> None:
    assert shown_tags(["köln"] * 3) == ["köln"] * 3
    many = shown_tags(["x" * 100_000] * 40)
    assert {len(tag) for tag in many} == {40}
    assert len(many) == MAX_TAG_CHARACTERS // 44
    page = Page(render_page(example_report(tags=[f"tag{i:02}" for i in range(40)])))
    assert "tag19 … 20 more" in page.text


def test_lanes_show_every_segment_and_every_reason() -> None:
    report = example_report()
    html = render_page(report, example_tracks())
    page = Page(html)
    lanes = page.lanes()
    for name, r in report["analyzer_results"].items():
        title = page_module.title_of(name)
        shown = [(float(a["data-s"]), float(a["data-e"])) for a in lanes[title]]
        assert shown == [(s["start_s"], s["end_s"]) for s in r["segments"]]
        if r["reason"]:
            assert r["reason"] in page.text
        assert title in page.text
    first = lanes["Face detection"][0]
    assert first["aria-label"] == "face, 3.50–5.50 s, 87 % sure"
    assert lanes["Text overlay"][1]["aria-label"].startswith("Für mehr Tipps folgen!, ")
    assert lanes["Speech rate"][0]["data-sure"] == "no measure of certainty"


def test_facts_and_numbers_are_on_the_page() -> None:
    text = Page(render_page(example_report(realtime_factor=0.5738, reconstruction_score=78.6))).text
    for fact in (
        "samples/sample.mp4",
        "576 × 1024 px",
        "h264, aac",
        "0.57 ×",
        "78.6 of 100",
        "22 of 28",
        "tempo 120.2 BPM",
    ):
        assert fact in text


def test_insights_link_to_what_they_rest_on() -> None:
    page = Page(render_page(example_report()))
    assert "The first 3 s have cut, motion, sound" in page.text
    assert "Rests on Cut analysis: cut, 2.50 s ; Temporal flow: build up, 0.00–3.50 s" in page.text
    assert "2.5" in [a["data-s"] for a in page.with_class("jump")]


def test_what_is_said_twice_stands_there_once() -> None:
    report = example_report()
    results = report["analyzer_results"]
    follow = results["comment_cta_detection"]["segments"][0]
    results["comment_cta_detection"]["segments"] = [follow, follow | {"label": "like"}]
    hook = results["cross_analyzer_intelligence"]["segments"][0]["data"]
    hook["rests_on"] = [hook["rests_on"][0]] * 3 + [hook["rests_on"][1]]
    page = Page(render_page(report))
    assert page.text.count("call to action Für mehr Tipps folgen!") == 1
    assert "Rests on Cut analysis: cut, 2.50 s ; Temporal flow: build up, 0.00–3.50 s" in page.text


def test_the_page_asks_for_nothing_but_the_video_beside_it() -> None:
    page = Page(render_page(example_report(), example_tracks(), b"\xff\xd8thumbnail"))
    addresses = [a[k] for _, a in page.elements for k in ("src", "href", "poster") if k in a]
    outside = [u for u in addresses if not u.startswith(("#", "data:image/jpeg;base64,"))]
    assert set(outside) == {"./video.mp4", "./report.json"}
    assert not any(k.startswith("on") for _, a in page.elements for k in a)


def test_the_policy_names_the_one_script() -> None:
    page = Page(render_page(example_report()))
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    data, script = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert json.loads(data)["duration_s"] == 12.0


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: ascii(t[:24]))
def test_hostile_texts_never_become_elements(text: str) -> None:
    harmless = everywhere(example_report(), lambda _: "plain")
    hostile = everywhere(example_report(), lambda _: text)
    hostile_html = render_page(hostile, example_tracks())
    assert outline(hostile_html) == outline(render_page(harmless, example_tracks()))
    assert len(hostile_html.encode()) <= MAX_PAGE_BYTES
    assert json.loads(Page(hostile_html).texts["script"][0])["duration_s"] == 12.0


def test_hostile_keys_and_colors_are_only_text() -> None:
    key = "<b onclick='window.harmed=1'>"
    entry = {"hex": "url(https://example.invalid)", "name": key, "share": 0.5}
    results = {"color_analysis": result([segment(0, 1, key, **{key: key})], **{key: 1.5, "palette": [entry]})}
    page = Page(render_page(report_of(results)))
    assert "b" not in {tag for tag, a in page.elements if "onclick" in a}
    assert not any("invalid" in v for _, a in page.elements for v in a.values())


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        ('https://example.org/@a/video/1?x="><b>', True),
        ("javascript:alert(1)", False),
        (" data:text/html,<b>", False),
        ("/home/somebody/clip.mp4", False),
    ],
)
def test_only_web_addresses_become_links(address: str, linked: bool) -> None:
    page = Page(render_page(example_report(webpage_url=address, source=None)))
    assert (address in [a.get("href") for _, a in page.elements]) is linked


def test_a_video_name_stays_a_file_beside_the_page() -> None:
    page = Page(render_page(example_report(video_path="../javascript:a b#?ü.mp4")))
    assert next(a["src"] for t, a in page.elements if t == "video") == "./..%2Fjavascript%3Aa%20b%23%3F%C3%BC.mp4"


def test_long_reports_stay_small_and_say_what_is_left_out() -> None:
    names = list(example_report()["analyzer_results"])
    many = [segment(i * 0.03, i * 0.03 + 0.02, "word", 0.5, text="something was said here") for i in range(2_000)]
    html = render_page(report_of({n: result(copy.deepcopy(many)) for n in names}, duration_s=60.0))
    page = Page(html)
    assert len(html.encode()) <= MAX_PAGE_BYTES
    shown = len(page.lanes()["Cut analysis"])
    assert 0 < shown < 2_000
    assert f"The first {shown} are listed; all 2000 are in report.json." in page.text
    assert page.text.count("2000 segments") == len(names)


@pytest.mark.parametrize(
    "facts",
    [
        {"video_path": None},
        {"width": None, "height": None, "fps": None, "video_codec": None},
        {"duration_s": None, "realtime_factor": None},
        {"title": None, "description": None, "uploader": None, "tags": None, "upload_date": None},
        {"duration_s": 754.2},
    ],
    ids=str,
)
def test_a_report_with_gaps_is_still_a_page(facts: dict[str, Any]) -> None:
    page = Page(render_page(example_report(**facts)))
    assert len(page.lanes()) == 29
    assert ("video" in [t for t, _ in page.elements]) is ("video_path" not in facts)
    assert "None" not in page.text


def test_a_video_of_which_nothing_is_known() -> None:
    nothing = result(status="upstream_missing", reason="the video is not there", seconds=0.0)
    report = report_of(dict.fromkeys(CATALOGUE, nothing), duration_s=None, width=None, height=None, video_path=None)
    page = Page(render_page(report))
    assert page.text.count("the video is not there") == len(CATALOGUE)
    assert "The length of this video is not known" in page.text


def test_analyzers_stand_with_their_family() -> None:
    nothing = result(status="no_signal", reason="nothing is there")
    page = Page(render_page(report_of({"audio_analysis": nothing, "cut_analysis": nothing, "gone_analysis": nothing})))
    assert list(page.lanes())[1:] == ["Cut analysis", "Audio analysis", "Gone analysis"]


def test_texts_are_cut_and_cleaned_visibly() -> None:
    assert cleaned("a\x00b\ud800c\nd") == "a\ufffdb\ufffdc\nd"
    assert cleaned({"k": ["x" * 1000]}) == {"k": ["x" * MAX_TEXT_CHARACTERS + "…"]}


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 4, "0"),
        (0.0, 4, "0"),
        (-0.00000001, 4, "0"),
        (12, 2, "12"),
        (1234567, 4, "1\u202f234\u202f567"),
        (0.57381, 2, "0.57"),
        (0.00041, 2, "0.00041"),
        (120.25, 4, "120.2"),
        (-38.25, 3, "\u221238.2"),
        (99999.6, 4, "100\u202f000"),
        (float("nan"), 4, "–"),
    ],
)
def test_numbers_for_people(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("seconds", "total_s", "text"),
    [(3.5, 12, "3.50"), (3.5, 60, "0:03.50"), (59.999, 61, "1:00.00"), (754.2, 800, "12:34.20")],
)
def test_clock(seconds: float, total_s: float, text: str) -> None:
    assert clock(seconds, total_s) == text


def test_units_come_from_names() -> None:
    data = {
        "tempo_bpm": 120.0,
        "height_px_max": 297,
        "cuts_per_s": 0.4,
        "face_share": 0.167,
        "blinks": None,
        "is_grayscale": False,
        "languages": ["de", "en"],
        "content_box": [0, 0, 1, 1],
        "shares": {"static": 0.82, "zoom_in": 0.09, "tilt": 0.0},
        "posture_s": {"standing": 1.5, "close_up": 27.87},
        "gestures": {},
    }
    assert values(data) == [
        ("tempo", "120 BPM"),
        ("height max", "297 px"),
        ("cuts", "0.4 /s"),
        ("face share", "16.7 %"),
        ("blinks", "–"),
        ("is grayscale", "no"),
        ("languages", "de, en"),
        ("shares", "static 82 %, zoom in 9 %"),
        ("posture", "close up 27.87 s, standing 1.5 s"),
        ("gestures", "none"),
    ]


def test_segments_that_overlap_stand_below_each_other() -> None:
    times = [(0, 2), (1, 3), (2, 4), (2.5, 2.5), (3, 5)]
    assert stacked([segment(a, b, "x") for a, b in times]) == [0, 1, 0, 2, 1]


def test_spans_join_what_touches() -> None:
    assert spans([segment(0, 5, "x"), segment(5, 6, "x"), segment(9, 9, "x")], 10.0) == "M0 0h600v1h-600zM900 0h1v1h-1z"


@pytest.mark.parametrize("duration_s", [0.4, 3, 12, 59, 61, 600, 40_000])
def test_ticks_fill_the_axis_without_crowding_it(duration_s: float) -> None:
    found = ticks(duration_s)
    assert found[0][0] == 0
    assert 4 <= len(found) <= 13
    assert found[-1][0] > 80


def test_a_curve_has_a_gap_where_nothing_was_measured() -> None:
    loudness, *_ = curves(example_tracks()["audio_analysis"], 12.0)
    assert loudness.title == "loudness"
    assert loudness.lowest.endswith(" dB")
    last_x = float(loudness.line.rsplit("L", 1)[1].split()[0])
    assert last_x == pytest.approx(240 * 11 / 12, abs=2)
    assert loudness.highest == "−15.3 dB"
    series = np.ones(100)
    series[40:60] = np.nan
    (broken,) = curves({"level": series, "times_s": np.arange(100) * 0.1}, 10.0)
    assert broken.line.count("M") == 2


def test_a_long_curve_keeps_its_peaks() -> None:
    series = np.zeros(20_000)
    series[12_345] = 9.0
    (curve,) = curves({"level": series, "level_times_s": np.arange(20_000) * 0.001}, 20.0)
    points = [tuple(map(float, p.split())) for p in curve.line.removeprefix("M").split("L")]
    assert len(points) < 1_000
    assert min(points, key=lambda p: p[1]) == (148.1, 1.0)


def test_silence_does_not_flatten_a_level() -> None:
    level = np.array([-20.0, -10.0, -120.0, -30.0])
    (curve,) = curves({"level_dbfs": level, "level_dbfs_times_s": np.arange(4.0)}, 4.0)
    assert (curve.lowest, curve.highest) == ("≤ −70 dBFS", "−10 dBFS")
    assert curve.line == "M0.0 6.0L60.0 1.0L120.0 31.0L180.0 11.0"


def test_a_probability_is_drawn_against_certainty() -> None:
    (curve,) = curves({"voice_probability": np.array([0.0, 0.01, 0.0]), "times_s": np.arange(3.0)}, 3.0)
    assert (curve.lowest, curve.highest) == ("0", "1")
    assert curve.line == "M0.0 31.0L80.0 30.7L160.0 31.0"


def test_series_without_times_are_not_drawn() -> None:
    assert curves({"level": np.ones(50), "other_times_s": np.arange(49.0)}, 10.0) == []


def test_the_strip_of_pictures_tiles_the_video_and_keeps_to_shots() -> None:
    from PIL import Image

    film = film_strip(sample_clip(), example_report())
    assert film[0].start_s == 0
    assert film[-1].end_s == pytest.approx(12.0)
    assert all(a.end_s == b.start_s for a, b in pairwise(film))
    assert [p.start_s for p in film if p.opens_shot] == [0.0, 2.5, 3.5, 5.5, 8.0, 10.0]
    assert sum(len(p.jpeg) for p in film) < 300_000
    picture = Image.open(BytesIO(film[5].jpeg)).convert("RGB")
    assert picture.height > picture.width
    page = Page(render_page(example_report(), film=film))
    assert len(page.with_class("cell")) == len(film)
    assert len(page.with_class("opens")) == 6
