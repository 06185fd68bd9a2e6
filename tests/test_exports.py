"""Exports, read back the way other tools read them."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner

from analyzers.contract import Analysis, Outcome, Segment
from tests.library_store import put_report
from tests.media import SAMPLE
from tests.report.example import CAPTIONS, FACE_BOX, example_report, example_tracks, report_of, result, segment
from tests.report.test_page import HOSTILE
from tiktok_assets.cli import main
from tiktok_assets.download import source_key
from tiktok_assets.exports import (
    FORMATS,
    Cue,
    chapter_cues,
    coco,
    elan,
    export,
    segments_csv,
    sub_rip,
    subtitle_cues,
    web_vtt,
)
from tiktok_assets.library_tables import COLUMNS
from tiktok_assets.store import Store

TIME = r"(\d\d+):([0-5]\d):([0-5]\d)[.,](\d{3})"


@dataclass
class Read:
    start_s: float
    end_s: float
    settings: str
    text: str


def read_cues(blocks: list[str]) -> list[Read]:
    found = []
    for number, block in enumerate(blocks, 1):
        name, times, *lines = block.split("\n")
        assert name == str(number)
        match = re.fullmatch(rf"{TIME} --> {TIME}( .*)?", times)
        assert match, times
        h, m, s, ms, h2, m2, s2, ms2 = map(int, match.groups()[:8])
        assert lines
        start_s, end_s = h * 3600 + m * 60 + s + ms / 1000, h2 * 3600 + m2 * 60 + s2 + ms2 / 1000
        assert start_s < end_s
        found.append(Read(start_s, end_s, (match[9] or "").strip(), "\n".join(lines)))
    return found


def read_vtt(text: str) -> list[Read]:
    """As https://www.w3.org/TR/webvtt1/#file-parsing has it: blocks between blank lines, notes left out."""
    head, *blocks = re.split(r"\n{2,}", text.rstrip("\n"))
    assert head == "WEBVTT"
    cues = read_cues([b for b in blocks if not b.startswith("NOTE")])
    for cue in cues:
        assert not re.search(r"<|&(?!(amp|lt|gt);)", cue.text)
        cue.text = html.unescape(cue.text)
    return cues


def read_srt(text: str) -> list[Read]:
    assert text.endswith("\n\n")
    return read_cues(text[:-2].split("\n\n"))


def example_with_speech() -> dict[str, Any]:
    words = [
        segment(0.5, 2.0, "speech", 0.9, text="Hallo & <b>tschüss</b>"),
        segment(3700.25, 3701.0, "speech", text="z"),
    ]
    report = example_report(video_key="sample")
    report["analyzer_results"]["speech_transcription"] = result(words)
    return report


def test_subtitles_say_what_was_said_and_when() -> None:
    cues = subtitle_cues(example_with_speech(), "speech")
    shown = ("Hallo & <b>tschüss</b>", "Hallo & ‹b>tschüss‹/b>")  # SubRip cannot say that "<b>" is no formatting
    for read, text in zip((read_vtt(web_vtt(cues, "a --> b")), read_srt(sub_rip(cues))), shown, strict=True):
        assert [(c.start_s, c.end_s) for c in read] == [(0.5, 2.0), (3700.25, 3701.0)]
        assert read[0].text == text


def decoded(path: Path) -> list[tuple[float, float, str]]:
    """From, to and text of cues as PyAV's subtitle decoders (ffmpeg's) have them, without their line break marks."""
    found = []
    with av.open(str(path)) as file:
        for packet in file.demux(subtitles=0):
            for subtitle in packet.decode():
                start_s = float(packet.pts * packet.time_base)
                words = subtitle.dialogue.decode("utf-8").replace("\\N", "\n")
                found.append((start_s, start_s + float(packet.duration * packet.time_base), words))
    return found


@pytest.mark.parametrize("form", ["vtt", "srt"])
def test_ffmpeg_reads_the_subtitles(form: str, tmp_path: Path) -> None:
    texts = ["I <3 you", "up <i>there</i>", "two\nlines", "a --> b", "Grüße 🎉"]
    texts += ["{\\an8}up"] if form == "srt" else []
    written = [Cue(i, i + 0.5, text) for i, text in enumerate(texts)]
    path = tmp_path / f"v.{form}"
    path.write_text(sub_rip(written) if form == "srt" else web_vtt(written), "utf-8")
    read = decoded(path)
    assert [(a, b) for a, b, _ in read] == [(c.start_s, c.end_s) for c in written]
    stand_ins = {"\u2060": "", "‹": "<", "→": "-->", "(\\": "{\\"} if form == "srt" else {}
    for stand_in, meant in stand_ins.items():
        read = [(a, b, text.replace(stand_in, meant)) for a, b, text in read]
    assert [text for *_, text in read] == texts


def test_elan_has_every_segment_and_no_two_of_a_tier_at_once(tmp_path: Path) -> None:
    report = example_with_speech()
    report["analyzer_results"]["face_detection"] = result(
        [segment(1, 4, "face"), segment(2, 3, "face"), segment(3, 5, "face")]
    )
    video = tmp_path / "store" / "über 1.mp4"
    root = ET.fromstring(elan(report, video, tmp_path / "exports").encode())
    assert [part.tag for part in root][:2] == ["HEADER", "TIME_ORDER"]
    assert root[-1].attrib["LINGUISTIC_TYPE_ID"] == "segments"
    media = root.find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None
    assert media.attrib == {
        "MEDIA_URL": video.as_uri(),
        "RELATIVE_MEDIA_URL": "./../store/über 1.mp4",
        "MIME_TYPE": "video/mp4",
    }
    slots = {s.attrib["TIME_SLOT_ID"]: int(s.attrib["TIME_VALUE"]) for s in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    tiers: dict[str, list[tuple[int, int, str | None]]] = {}
    ids = []
    for tier in root.iter("TIER"):
        for part in tier.iter("ALIGNABLE_ANNOTATION"):
            ids.append(part.attrib["ANNOTATION_ID"])
            ends = slots[part.attrib["TIME_SLOT_REF1"]], slots[part.attrib["TIME_SLOT_REF2"]]
            tiers.setdefault(tier.attrib["TIER_ID"], []).append((*ends, part.findtext("ANNOTATION_VALUE")))
    assert len(ids) == len(set(ids)) == sum(len(r["segments"]) for r in report["analyzer_results"].values())
    assert root.findtext("HEADER/PROPERTY") == str(len(ids))
    for found in tiers.values():
        assert all(start < end for start, end, _ in found)
        assert all(one[1] <= other[0] for one, other in pairwise(found))
    assert tiers["face_detection"] == [(1000, 4000, "face")]
    assert tiers["face_detection 2"] == [(2000, 3000, "face"), (3000, 5000, "face")]
    assert tiers["speech_transcription"][0] == (500, 2000, "Hallo & <b>tschüss</b>")
    assert (2500, 2540, "cut") in tiers["cut_analysis"] + tiers["cut_analysis 2"]
    assert (8400, 9900, "follow: Für mehr Tipps folgen!") in tiers["comment_cta_detection"]


def test_shown_text_stands_where_it_stood() -> None:
    read = read_vtt(web_vtt(subtitle_cues(example_report(), "overlay")))
    assert [(c.start_s, c.end_s, c.text) for c in read] == [caption[:3] for caption in CAPTIONS]
    assert [c.settings for c in read] == [f"line:{round(100 * caption[4][1])}%" for caption in CAPTIONS]


def test_lines_that_come_together_are_one_cue() -> None:
    lines = [segment(1, 2, "overlay", box=(0, 0.6, 1, 0.7), text="below")]
    lines += [
        segment(1, 2, "overlay", box=(0, 0.5, 1, 0.6), text="above"),
        segment(1, 2, "scene", text="a shop's sign"),
    ]
    cues = subtitle_cues(report_of({"text_overlay": result(lines)}), "overlay")
    assert [(c.text, c.top) for c in cues] == [("above\nbelow", 0.5)]


def test_chapters_have_no_gaps() -> None:
    report = example_report()
    read = read_vtt(web_vtt(chapter_cues(report)))
    assert [(c.start_s, c.end_s, c.text) for c in read] == [
        (0.0, 3.5, "Scene 1"),
        (3.5, 8.0, "Scene 2"),
        (8.0, 12.0, "Scene 3"),
    ]
    report["analyzer_results"]["scene_segmentation"] = result(status="failed", reason="no")
    assert [c.text for c in chapter_cues(report)] == [f"Shot {i}" for i in range(1, 7)]


def test_the_csv_has_every_segment() -> None:
    report = example_report(video_key="sample")
    rows = list(csv.DictReader(io.StringIO(segments_csv(report), newline="")))
    wanted = [(n, s) for n, r in report["analyzer_results"].items() for s in r["segments"]]
    assert list(rows[0]) == list(COLUMNS["segments"])
    for row, (name, s) in zip(rows, wanted, strict=True):
        assert (row["video"], row["analyzer"], row["label"]) == ("sample", name, s["label"])
        assert (float(row["start_s"]), float(row["end_s"])) == (s["start_s"], s["end_s"])
        assert [row[c] for c in ("x0", "y0", "x1", "y1")] == [str(v) for v in s["box"] or [""] * 4]
        assert json.loads(row["data"]) == s["data"]


@pytest.mark.parametrize("text", ["=1+1", "+49", "-x", "@SUM(A1)", "\t=1"])
def test_no_spreadsheet_takes_a_text_for_a_formula(text: str) -> None:
    words = result([segment(0, 1, "overlay", text=f"{text}x")])
    words["segments"][0]["label"] = text
    row = next(csv.DictReader(io.StringIO(segments_csv(report_of({"text_overlay": words})), newline="")))
    assert row["label"] == f"'{text}"
    assert row["text"][0] not in "=+-@\t"
    assert json.loads(row["data"])["text"] == f"{text}x"


def test_boxes_of_every_picture_are_taken_where_there_are_such() -> None:
    report = example_report()
    found = coco(report, example_tracks())
    categories = {c["id"]: (c["supercategory"], c["name"]) for c in found["categories"]}
    images = {i["id"]: i for i in found["images"]}
    assert len(images) == len(found["images"]) == len({i["file_name"] for i in found["images"]})
    assert len({a["id"] for a in found["annotations"]}) == len(found["annotations"])
    faces = [
        a for a in found["annotations"] if categories[a["category_id"]] == ("face_detection", "face_detection/face")
    ]
    assert [images[a["image_id"]]["time_s"] for a in faces] == list(np.arange(3.5, 5.5, 0.25))
    for a in faces:
        x, y, w, h = a["bbox"]
        assert [x / 576, y / 1024, (x + w) / 576, (y + h) / 1024] == pytest.approx(list(FACE_BOX), abs=0.011)
        assert a["area"] == pytest.approx(w * h, abs=0.01)
        assert (a["track_id"], a["iscrowd"]) == (0, 0)
    shown = [a for a in found["annotations"] if categories[a["category_id"]][0] == "text_overlay"]
    assert [images[a["image_id"]]["time_s"] for a in shown] == pytest.approx([(a + b) / 2 for a, b, *_ in CAPTIONS])


def test_without_a_picture_there_are_no_boxes() -> None:
    assert coco(example_report(width=None, height=None), example_tracks())["annotations"] == []


@pytest.mark.parametrize("text", [*HOSTILE, "a --> b", "one\n\ntwo\r\n\r\n00:00:01.000 --> 00:00:02.000\nthree"])
def test_hostile_texts_break_no_file(text: str, tmp_path: Path) -> None:
    segments = [segment(0, 0, "overlay", 0.5, (0, 0.1, 1, 0.2), text=text), segment(3, 4, "overlay", text="after")]
    report = report_of({"text_overlay": result(segments)}, video_key="v")
    folder = put_report(Store(tmp_path), "v", report)
    for form in FORMATS:
        if form != "chapters":
            assert export(folder, form, tmp_path / form)[0]
    for form, read in (("vtt", read_vtt), ("srt", read_srt)):
        written = (tmp_path / form / f"v.overlay.{form}").read_text("utf-8")
        assert [(c.start_s, c.text == "after") for c in read(written)] == [(0, False), (3, True)]
        assert written.count("-->") == 2
    rows = list(csv.DictReader((tmp_path / "csv" / "v.segments.csv").open(encoding="utf-8", newline="")))
    assert [row["text"] for row in rows][1] == "after"
    assert len(json.loads((tmp_path / "coco" / "v.coco.json").read_text("utf-8"))["annotations"]) == 1
    tiers = ET.parse(tmp_path / "elan" / "v.eaf").getroot()
    assert [v.text for v in tiers.iter("ANNOTATION_VALUE")][1] == "after"


def test_the_command_writes_and_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(tmp_path / "data"))
    folder = put_report(Store(tmp_path / "data"), source_key(str(SAMPLE)))
    face = Segment(3.5, 5.5, "face", 0.87, FACE_BOX, {"track": 0})
    tracks = example_tracks()["face_detection"]
    folder.write("face_detection", "1", Outcome("ok", 0.1, None, Analysis([face], {}, "x", tracks=tracks)))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["export", *arguments, "--out", str(tmp_path / "out")])

    done = run(str(SAMPLE), "--format", "vtt")
    assert done.exit_code == 0
    assert done.stdout.split() == [str(tmp_path / "out" / f"{folder.path.name}.overlay.vtt")]
    assert "speech_transcription: whisper-base (139 MiB) is not installed" in done.stderr
    assert run(folder.key, "--format", "coco").exit_code == 0
    boxes = json.loads((tmp_path / "out" / f"{folder.path.name}.coco.json").read_text())
    assert sum("track_id" in a for a in boxes["annotations"]) >= 8
    unknown = run("nothing.mp4", "--format", "csv")
    assert unknown.exit_code == 1
    assert "There is no report of nothing.mp4" in unknown.stderr
    empty = put_report(Store(tmp_path / "data"), "empty", report_of({"cut_analysis": result([])}, video_key="empty"))
    assert run(empty.key, "--format", "coco").exit_code == 1
