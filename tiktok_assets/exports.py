"""Results of one video in forms that other tools read: subtitles, chapters, a table, boxes, tiers."""

from __future__ import annotations

import csv
import io
import json
import mimetypes
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.contract import SUCCESS
from tiktok_assets.library_tables import COLUMNS, text_rows
from tiktok_assets.report.wording import words_of
from tiktok_assets.store import Store, VideoFolder, written_atomically

FORMATS = ("vtt", "srt", "chapters", "csv", "coco", "elan")
MIN_CUE_S = 0.001
"""A cue must end after it starts, also in milliseconds."""
SUBTITLES = {"speech": "speech_transcription", "overlay": "text_overlay"}
"""Channels that are exported as subtitles, each to its own file, and the analyzer that gives them."""
FORMULA = re.compile(r"[=+\-@\t\r]")
"""What a spreadsheet takes for a formula when a field begins with it."""
NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""Not in any text file; line breaks may stand in a field."""
UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
LIKE_A_TAG = re.compile(r"<(?=[/a-zA-Z])")
MIN_ANNOTATION_MS = 40
"""What has no length is given one in ELAN, or nobody could see or select it: a picture at 25 a second."""

Report = Mapping[str, Any]
Tracks = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Cue:
    """A text and the stretch of the video in which it holds."""

    start_s: float
    end_s: float
    text: str
    top: float | None = None
    """Where it begins in the picture, 0 (top) to 1, or None."""


def subtitle_cues(report: Report, channel: str) -> list[Cue]:
    """What was said ("speech") or shown ("overlay"), in order of time; empty where nobody knows of any.

    Lines that come and go together are one cue.
    """
    name = SUBTITLES[channel]
    tops = {
        (s["start_s"], words_of(s)): s["box"][1]
        for s in report["analyzer_results"].get(name, {}).get("segments", [])
        if s["box"]
    }
    cues: dict[tuple[float, float], list[Cue]] = {}
    for row in text_rows(report["analyzer_results"]):
        if row["channel"] == channel:
            cue = Cue(row["start_s"], row["end_s"], row["text"], tops.get((row["start_s"], row["text"])))
            cues.setdefault((cue.start_s, cue.end_s), []).append(cue)
    return [_joined(lines) for lines in cues.values()]


def chapter_cues(report: Report) -> list[Cue]:
    """Scenes of scene_segmentation, else shots of cut_analysis, without gaps; empty where there is neither."""
    results = report["analyzer_results"]
    duration_s = report["metadata"]["duration_s"]
    for name, label, title in (("scene_segmentation", "scene", "Scene"), ("cut_analysis", "shot", "Shot")):
        found = [s for s in results.get(name, {}).get("segments", []) if s["label"] == label]
        starts = sorted({s["start_s"] for s in found})
        if starts:
            ends = [*starts[1:], duration_s or max(s["end_s"] for s in found)]
            return [Cue(a, b, f"{title} {i}") for i, (a, b) in enumerate(zip(starts, ends, strict=True), 1)]
    return []


def web_vtt(cues: Iterable[Cue], note: str = "") -> str:
    """A WebVTT file. https://www.w3.org/TR/webvtt1/ Cues with a place in the picture say so."""
    blocks = ["WEBVTT"] + ([f"NOTE {_one_line(note)}"] if note else [])
    for number, cue in enumerate(cues, 1):
        text = _lines(cue.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        place = "" if cue.top is None else f" line:{round(100 * min(1.0, max(0.0, cue.top)))}%"
        blocks.append(f"{number}\n{_times(cue, '.')}{place}\n{text}")
    return "\n\n".join(blocks) + "\n"


def sub_rip(cues: Iterable[Cue]) -> str:
    """A SubRip (.srt) file.

    It knows no escapes: an arrow of the time line within a text is written as "→", and what players would take for
    formatting ("<b>", "{\\an8}") as "‹b>" and "(\\an8}"; "<3" stays.
    """
    blocks = []
    for number, cue in enumerate(cues, 1):
        text = _lines(cue.text).replace("-->", "→").replace("{\\", "(\\")
        blocks.append(f"{number}\n{_times(cue, ',')}\n{LIKE_A_TAG.sub('‹', text)}\n\n")
    return "".join(blocks)


def segments_csv(report: Report) -> str:
    """All segments, one a row: the columns of the library's table of segments.

    Args:
        report: as report.schema.json describes it.

    Returns:
        RFC 4180. A text that a spreadsheet would take for a formula begins with "'"; `data` has it as it was.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS["segments"])
    for name, result in report["analyzer_results"].items():
        for s in result["segments"]:
            box = s["box"] or ("",) * 4
            fields = (name, s["start_s"], s["end_s"], s["label"], s["confidence"], *box, words_of(s))
            row = [report["metadata"]["video_key"], *fields, json.dumps(s["data"], ensure_ascii=False)]
            writer.writerow([_harmless(value) if isinstance(value, str) else value for value in row])
    return out.getvalue()


def coco(report: Report, tracks: Tracks) -> dict[str, Any]:
    """Boxes in the form of COCO's object detection, with `videos` and `track_id` as video data sets have them.

    An image stands for a moment of the video; its `time_s` says which, its `file_name` is what a picture taken there
    may be called. Boxes of every sampled picture are taken where an analyzer keeps them, else the box of a segment at
    its middle. Boxes are x, y, width, height in pixels of the upright picture. A category is called after its analyzer
    and label, "face_detection/face": two analyzers may have a label in common, and tools tell categories by name.

    Args:
        report: as report.schema.json describes it.
        tracks: per-frame series by analyzer: arrays (hits, 6) of track, x0, y0, x1, y1, score (fractions) beside one
            `<name>_times_s`.

    Returns:
        No annotations where there are no boxes, or the size of the picture is not known.
    """
    meta = report["metadata"]
    width, height = meta["width"] or 0, meta["height"] or 0
    found: list[tuple[float, str, str, int | None, Sequence[float], float | None]] = []
    for name, result in report["analyzer_results"].items():
        hits = list(_hits(tracks.get(name, {})))
        boxed = [s for s in result["segments"] if s["box"]]
        if hits:
            label = boxed[0]["label"] if boxed else name
            of_track = {s["data"]["track"]: s["label"] for s in boxed if isinstance(s["data"].get("track"), int)}
            found += [(t, name, of_track.get(track, label), track, box, score) for t, track, box, score in hits]
        else:
            found += [
                ((s["start_s"] + s["end_s"]) / 2, name, s["label"], s["data"].get("track"), s["box"], s["confidence"])
                for s in boxed
            ]
    found = sorted(found, key=lambda f: f[0]) if width and height else []
    images = {t: i for i, t in enumerate(sorted({round(f[0], 3) for f in found}), 1)}
    categories = {c: i for i, c in enumerate(sorted({(f[1], f[2]) for f in found}), 1)}
    annotations = []
    for number, (time_s, name, label, track, (x0, y0, x1, y1), score) in enumerate(found, 1):
        box = [round(v, 2) for v in (x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height)]
        about: dict[str, Any] = {
            "id": number,
            "image_id": images[round(time_s, 3)],
            "category_id": categories[name, label],
        }
        about |= {"bbox": box, "area": round(box[2] * box[3], 2), "iscrowd": 0}
        about |= {} if score is None else {"score": round(score, 4)}
        annotations.append(about | ({"track_id": track} if isinstance(track, int) else {}))
    return {
        "info": {"description": f"Boxes of {meta['video_key']}", "date_created": meta["created_at"]},
        "licenses": [],
        "videos": [{"id": 1, "name": meta["video_path"] or meta["video_key"], "width": width, "height": height}],
        "images": [
            {"id": i, "video_id": 1, "file_name": f"{round(1000 * t):09d}.jpg", "width": width, "height": height}
            | {"time_s": t}
            for t, i in images.items()
        ],
        "categories": [
            {"id": i, "name": f"{name}/{label}", "supercategory": name} for (name, label), i in categories.items()
        ],
        "annotations": annotations,
    }


def elan(report: Report, video: Path | None, folder: Path) -> str:
    """An annotation document of ELAN (.eaf), format 3.0: a tier per analyzer.

    Annotations of a tier may not overlap, so what overlaps stands in further tiers, "name 2" and so on. An annotation
    is the label of a segment and its words; subtitles are the words alone.

    Args:
        report: as report.schema.json describes it.
        video: the file to play, or None.
        folder: where the document goes; it also names the video relative to there.
    """
    import xml.etree.ElementTree as ET

    root = ET.Element("ANNOTATION_DOCUMENT", AUTHOR="tiktok-assets", DATE=report["metadata"]["created_at"])
    root.attrib |= {"FORMAT": "3.0", "VERSION": "3.0", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"}
    root.set("xsi:noNamespaceSchemaLocation", "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if video:
        relative = Path(os.path.relpath(video, folder)).as_posix()
        media = {"MEDIA_URL": video.resolve().as_uri(), "RELATIVE_MEDIA_URL": f"./{relative}"}
        kind = mimetypes.guess_type(video.name)[0] or "video/mp4"
        ET.SubElement(header, "MEDIA_DESCRIPTOR", media, MIME_TYPE=kind)
    order = ET.SubElement(root, "TIME_ORDER")
    slots: list[tuple[int, str]] = []
    for name, result in report["analyzer_results"].items():
        for row, places in enumerate(_without_overlaps(name, result["segments"]), 1):
            tier = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF="segments")
            tier.set("TIER_ID", name if row == 1 else f"{name} {row}")
            for start_ms, end_ms, text in places:
                first, last = f"ts{len(slots) + 1}", f"ts{len(slots) + 2}"
                slots += [(start_ms, first), (end_ms, last)]
                about = {"TIME_SLOT_REF1": first, "TIME_SLOT_REF2": last}
                part = ET.SubElement(ET.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", about)
                part.set("ANNOTATION_ID", f"a{len(slots) // 2}")
                ET.SubElement(part, "ANNOTATION_VALUE").text = text
    for time_ms, slot in sorted(slots, key=lambda s: s[0]):
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time_ms))
    last_id = ET.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    last_id.text = str(len(slots) // 2)
    ET.SubElement(
        root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID="segments", TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false"
    )
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, "unicode")}\n'


def export(video: VideoFolder, form: str, out: Path) -> tuple[list[Path], list[str]]:
    """Write a video's results in one of `FORMATS` into a folder.

    Returns:
        The files, and why others are not there, in plain words.

    Raises:
        FileNotFoundError: the video has no report.
    """
    report = json.loads(video.report_json.read_text("utf-8"))
    results = report["analyzer_results"]
    files: dict[str, str] = {}
    missing = []
    if form in ("vtt", "srt"):
        for channel, name in SUBTITLES.items():
            if cues := subtitle_cues(report, channel):
                files[f"{channel}.{form}"] = sub_rip(cues) if form == "srt" else web_vtt(cues, video.key)
            else:
                missing.append(f"no {channel} text: {_why(results, name)}")
    elif form == "chapters":
        if cues := chapter_cues(report):
            files["chapters.vtt"] = web_vtt(cues, video.key)
        else:
            missing.append(f"no chapters: {_why(results, 'cut_analysis')}")
    elif form == "csv":
        files["segments.csv"] = segments_csv(report)
    elif form == "elan":
        if any(result["segments"] for result in results.values()):
            files["eaf"] = elan(report, video.file, out)
        else:
            missing.append("no tiers: no analyzer found anything")
    else:
        stored = video.stored()
        read = {name: video.read(stored[name]).analysis for name in results if name in stored}
        boxes = coco(report, {name: analysis.tracks for name, analysis in read.items() if analysis})
        if boxes["annotations"]:
            files["coco.json"] = json.dumps(boxes, ensure_ascii=True, indent=1)
        else:
            missing.append("no boxes: no analyzer found anything with a place in the picture")
    paths = []
    for name, text in files.items():
        paths.append(out / f"{video.path.name}.{name}")
        with written_atomically(paths[-1], "wb") as file:
            file.write(text.encode("utf-8", "replace"))
    return paths, missing


def export_video(video: str, form: str, out: str) -> int:
    """`tiktok-assets export`: returns the exit code."""
    from rich.console import Console
    from rich.markup import escape

    from tiktok_assets.download import DownloadError, source_key

    said = Console(stderr=True, highlight=False, soft_wrap=True)
    store = Store.from_environment()
    folder = store.video(video)
    try:
        if not folder.report_json.is_file():
            folder = store.video(source_key(video))
        paths, missing = export(folder, form, Path(out))
    except (DownloadError, FileNotFoundError):
        said.print(f"[red]✗[/red] There is no report of {escape(video)}. Make one: tiktok-assets analyze VIDEO")
        return 1
    for path in paths:
        Console(highlight=False, soft_wrap=True).print(escape(str(path)))
    for why in missing:
        said.print(escape(why))
    return 0 if paths else 1


def _why(results: Mapping[str, Any], name: str) -> str:
    result = results.get(name)
    if result is None:
        return f"{name} is not in the report"
    found_nothing = result["status"] in SUCCESS and not result["reason"]
    return f"{name} found none" if found_nothing else f"{name}: {result['reason']}"


def _joined(cues: list[Cue]) -> Cue:
    """Lines that come and go together, the upper one first."""
    cues = sorted(cues, key=lambda cue: cue.top if cue.top is not None else 0.0)
    return replace(cues[0], text="\n".join(cue.text for cue in cues))


def _without_overlaps(name: str, segments: Iterable[Mapping[str, Any]]) -> list[list[tuple[int, int, str]]]:
    """From-to in ms and text of segments, in as few rows as leave no two of a row at the same time."""
    rows: list[list[tuple[int, int, str]]] = []
    for s in sorted(segments, key=lambda s: (s["start_s"], s["end_s"])):
        start_ms = round(1000 * s["start_s"])
        end_ms = max(round(1000 * s["end_s"]), start_ms + MIN_ANNOTATION_MS)
        words = _lines(words_of(s) or "")
        parts = (words,) if words and name in SUBTITLES.values() else (_one_line(s["label"]), words)
        row = next((row for row in rows if row[-1][1] <= start_ms), None)
        if row is None:
            rows.append(row := [])
        row.append((start_ms, end_ms, ": ".join(part for part in parts if part)))
    return rows


def _times(cue: Cue, point: str) -> str:
    start_ms = round(1000 * cue.start_s)
    end_ms = max(round(1000 * cue.end_s), start_ms + round(1000 * MIN_CUE_S))
    return " --> ".join(
        f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"
        for ms in (start_ms, end_ms)
    )


def _lines(text: str) -> str:
    """The text without blank lines, which would end a cue, and without what no text file holds."""
    lines = re.split(r"[\r\n\u2028\u2029\x0b\x0c\x85]+", text)
    return "\n".join(UNWRITABLE.sub("\ufffd", line.strip()) for line in lines if line.strip())


def _one_line(text: str) -> str:
    return " ".join(_lines(text).split()).replace("-->", "→")


def _harmless(text: str) -> str:
    text = NO_TEXT.sub("\ufffd", text)
    return f"'{text}" if FORMULA.match(text) else text


def _hits(tracks: Mapping[str, np.ndarray]) -> Iterable[tuple[float, int, list[float], float]]:
    for name, hits in tracks.items():
        times_s = tracks.get(f"{name}_times_s")
        if times_s is None or np.ndim(hits) != 2 or hits.shape[1] != 6 or len(times_s) != len(hits):
            continue
        for time_s, hit in zip(times_s.tolist(), hits.tolist(), strict=True):
            if all(np.isfinite(hit)):
                yield time_s, int(hit[0]), hit[1:5], hit[5]
