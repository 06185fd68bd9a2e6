"""What Dagster's UI shows of a report: a sheet of its shots, a summary that no text can turn into something else."""

from __future__ import annotations

import copy
import re
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from analyzers.contract import Analysis, Outcome
from tests.media import SAMPLE
from tests.report.example import example_report, missing, report_of, result
from tests.report.test_page import HOSTILE, everywhere
from tiktok_assets.assets.report import CONTACT_SHEET, report
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.report.drawing import FilmPicture
from tiktok_assets.store import Store
from tiktok_assets.ui_metadata import (
    CAPTION_PX,
    GAP_PX,
    MAX_MARKDOWN_CHARACTERS,
    MAX_PICTURES,
    MAX_SHEET_BYTES,
    contact_sheet,
    numbers,
    plain,
    summary_markdown,
)

WIDTH_PX, HEIGHT_PX = 80, 144


def film(grays: list[int], opening: set[int], noise: int = 0) -> list[FilmPicture]:
    """Pictures of one gray value each, a second apart; those at `opening` begin a shot."""
    rng = np.random.default_rng(0)
    pictures = []
    for i, gray in enumerate(grays):
        out = BytesIO()
        pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), gray) + rng.integers(0, noise + 1, (HEIGHT_PX, WIDTH_PX, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=95)
        pictures.append(FilmPicture(float(i), i + 1.0, out.getvalue(), i in opening))
    return pictures


def shown_grays(sheet: bytes) -> list[int]:
    """Gray values of the pictures of a sheet, row by row, to the nearest ten."""
    pixels = np.asarray(Image.open(BytesIO(sheet)).convert("L")).astype(int)
    columns, rows = (pixels.shape[1] + GAP_PX) // (WIDTH_PX + GAP_PX), pixels.shape[0] // (HEIGHT_PX + CAPTION_PX)
    centers = [
        pixels[r * (HEIGHT_PX + CAPTION_PX) :, c * (WIDTH_PX + GAP_PX) :][20:120, 10:70].mean()
        for r in range(rows)
        for c in range(columns)
    ]
    return [round(gray / 10) * 10 for gray in centers if gray < 250]


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        ({0, 5}, [10 * i for i in range(12)]),
        (set(range(12)) - {2, 3}, [0, 10, 40, 50, 60, 70, 80, 90, 100, 110]),
    ],
    ids=["few shots: all pictures", "ten shots: one of each"],
)
def test_the_sheet_shows_each_shot_in_order(opening: set[int], expected: list[int]) -> None:
    sheet = contact_sheet(film([10 * i for i in range(12)], opening), 12.0)
    assert sheet is not None
    assert shown_grays(sheet) == expected


def test_a_long_video_gives_a_sheet_of_limited_size_from_end_to_end() -> None:
    many = film(list(range(200)), set(range(200)), noise=50)
    sheet = contact_sheet(many, 200.0)
    assert sheet is not None
    assert len(sheet) <= MAX_SHEET_BYTES
    found = shown_grays(sheet)
    assert len(found) == MAX_PICTURES
    assert found == sorted(found)
    assert found[-1] - found[0] > 170
    assert contact_sheet([], 0.0) is None


def test_the_summary_says_what_is_known_in_place() -> None:
    text = summary_markdown(example_report())
    assert len(text) <= MAX_MARKDOWN_CHARACTERS
    for line in (
        "**From the city to the stars**",
        "- 25 cuts per minute",
        "- at most 1 face(s) at a time, one 17 %",
    ):
        assert line in text
    assert "follow (8.4 s)" in text


def test_the_summary_and_the_numbers_say_nothing_of_what_nobody_knows() -> None:
    bare = report_of(
        {"face_detection": missing("faces", "1 MiB"), "cut_analysis": result(status="failed", reason="no")}
    )
    bare["metadata"] |= dict.fromkeys(("title", "uploader", "upload_date", "duration_s", "width", "height"))
    text = summary_markdown(bare)
    assert "None" not in text
    assert [line for line in text.splitlines() if line.startswith("- ")] == [text.splitlines()[4]]
    assert numbers(bare) == {"segments": 0}
    nothing = report_of({"face_detection": result(status="no_signal", reason="no face")})
    assert numbers(nothing)["people_max"] == 0


@pytest.mark.parametrize("text", [*HOSTILE, "![x](http://example.org/x.png)", "a\n# b\n\n- c", "https://example.org"])
def test_no_text_becomes_markup_and_the_summary_stays_short(text: str) -> None:
    found = summary_markdown(everywhere(copy.deepcopy(example_report()), lambda _: text))
    assert len(found) <= MAX_MARKDOWN_CHARACTERS
    lines = re.sub(r"\\[!-~]", "", found).splitlines()  # what is escaped is text
    assert not re.search(r"[<\[`_#]|://", "".join(lines))
    assert (lines[0][:2], lines[0][-2:]) == ("**", "**")
    assert lines[1::2][:2] == ["", ""]
    assert all(line.startswith("- ") and "*" not in line for line in lines[4:])


def test_plain_text_is_escaped_and_on_one_line() -> None:
    assert plain("a *b*\n[c](d) 1. ünï") == r"a \*b\* \[c\]\(d\) 1\. ünï"


def test_the_report_asset_attaches_sheet_summary_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(tmp_path))
    video = Store.from_environment().video("clip")
    video.path.mkdir(parents=True)
    (video.path / "video.mp4").write_bytes(SAMPLE.read_bytes())
    decoded = Analysis(summary={"duration_s": 12.0, "width": 576, "height": 1024, "truncated": False})
    video.write("decoded_frames", "1", Outcome("ok", 1.0, None, decoded), "")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(VIDEOS, ["clip"])
        done = dg.materialize([report], instance=instance, selection=[report], partition_key="clip")
    metadata = done.asset_materializations_for_node("report")[0].metadata
    sheet = (video.path / CONTACT_SHEET).read_bytes()
    assert metadata["contact_sheet"].value == f"![contact sheet](data:image/jpeg;base64,{b64encode(sheet).decode()})"
    assert Image.open(BytesIO(sheet)).width > 400
    assert "12 s · 576 × 1024" in metadata["summary"].value
    assert metadata["segments"].value == 0
    assert Path(metadata["page"].value).is_file()
