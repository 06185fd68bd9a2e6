"""Rendered text at known times and places; then the pictures and clips whose lettering is known."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from analyzers.contract import Analysis, Segment
from tests.known import letter_errors, letters
from tests.media import (
    run_analyzer,
    sample_clip,
    sample_truth,
    shared_clip,
    shared_file,
    shared_truth,
    still,
    synthetic_clip,
    texture,
)

HEIGHT, WIDTH, FPS = 640, 360, 20.0


@cache
def font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(files("matplotlib") / "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"), size_px)


def write(picture: np.ndarray, text: str, x: float, y: float, size_px: int = 30) -> np.ndarray:
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((x, y), text, "white", font(size_px), anchor="mm", stroke_width=3, stroke_fill="black")
    return np.asarray(image)


def pan(seconds: float, wide: np.ndarray, px: int = 4) -> list[np.ndarray]:
    return [wide[:, i * px : i * px + WIDTH] for i in range(round(seconds * FPS))]


def measured(clip: object) -> Analysis:
    outcome = run_analyzer("text_overlay", clip)
    assert outcome.status in ("ok", "no_signal"), outcome.reason
    assert outcome.analysis is not None
    return outcome.analysis


def one(segments: list[Segment], text: str) -> Segment:
    found = [s for s in segments if s.data["text"] == text]
    assert len(found) == 1, f"{text!r} among {[s.data['text'] for s in segments]}"
    return found[0]


@cache
def two_captions() -> Analysis:
    """A German caption at 1.0-2.5 s and an English one at 3.0-4.5 s in the same place, over a moving picture."""
    frames = pan(5, np.asarray(texture(HEIGHT, WIDTH + 400, scale_px=40) // 2))
    for i, frame in enumerate(frames):
        if 20 <= i < 50:
            frames[i] = write(write(frame, "Schöne Grüße", 180, 480), "aus der Straße!", 180, 530)
        if 60 <= i < 90:
            frames[i] = write(frame, "Wait for the end", 180, 500)
    return measured(synthetic_clip(frames, FPS))


@pytest.mark.parametrize(
    ("text", "language", "start_s", "end_s"),
    [("Schöne Grüße", "de", 1.0, 2.5), ("aus der Straße!", "de", 1.0, 2.5), ("Wait for the end", "en", 3.0, 4.5)],
)
def test_captions_over_a_moving_picture_are_overlays_with_text_language_and_times(text, language, start_s, end_s):
    caption = one(list(two_captions().segments), text)
    assert caption.label == "overlay"
    assert caption.data["is_overlay"] is True
    assert caption.data["language"] == language
    assert caption.start_s == pytest.approx(start_s, abs=2 / FPS)
    assert caption.end_s == pytest.approx(end_s, abs=2 / FPS)
    assert caption.box is not None
    x0, y0, x1, y1 = caption.box
    assert (x0 + x1) / 2 == pytest.approx(0.5, abs=0.02)
    assert 450 / HEIGHT < y0 < y1 < 560 / HEIGHT


def test_lines_of_one_caption_share_a_block():
    blocks = {s.data["text"]: s.data["block"] for s in two_captions().segments}
    assert blocks["Schöne Grüße"] == blocks["aus der Straße!"] != blocks["Wait for the end"]


def test_lettering_that_moves_with_the_scene_is_no_overlay():
    wall = write(np.asarray(texture(HEIGHT, WIDTH + 400, scale_px=40) // 2), "BAKERY", 420, 300, 40)
    sign = one(list(measured(synthetic_clip(pan(3, wall), FPS)).segments), "BAKERY")
    assert sign.label == "scene_text"
    assert sign.data["is_overlay"] is False


def test_a_sign_in_a_shaky_shot_is_no_overlay():
    wall = write(np.asarray(texture(HEIGHT + 80, WIDTH + 80, scale_px=40) // 2), "BAKERY", 220, 340, 40)
    shaken = np.clip(np.random.default_rng(1).normal(40, 6, (60, 2)), 0, 79).astype(int)
    sign = one(
        list(measured(synthetic_clip([wall[y:, x:][:HEIGHT, :WIDTH] for x, y in shaken], FPS)).segments), "BAKERY"
    )
    assert sign.data["is_overlay"] is not True


def test_somebody_who_passes_a_sign_does_not_make_it_an_overlay():
    wall = write(np.asarray(texture(HEIGHT, WIDTH, scale_px=40) // 2), "BAKERY", 180, 300, 40)
    body = texture(500, 110, seed=9, scale_px=12)
    frames = []
    for i in range(60):
        frame, x = np.concatenate([wall, np.zeros((HEIGHT, 110, 3), np.uint8)], axis=1), min(WIDTH, i * 8)
        frame[140:, x : x + 110] = body
        frames.append(frame[:, :WIDTH])
    sign = one(list(measured(synthetic_clip(frames, FPS)).segments), "BAKERY")
    assert sign.data["is_overlay"] is not True


def test_in_a_still_shot_nobody_can_tell():
    picture = write(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "Hello there", 180, 320)
    text = one(list(measured(synthetic_clip(still(picture, 2, FPS), FPS)).segments), "Hello there")
    assert text.label == "text"
    assert text.data["is_overlay"] is None
    assert (text.start_s, text.end_s) == (0.0, pytest.approx(2.0, abs=0.01))


def test_a_caption_that_pops_up_in_a_still_shot_is_an_overlay():
    wall = texture(HEIGHT, WIDTH, scale_px=60) // 2
    frames = [*still(wall, 1, FPS), *still(write(wall, "Surprise", 180, 320), 2, FPS)]
    text = one(list(measured(synthetic_clip(frames, FPS)).segments), "Surprise")
    assert text.label == "overlay"
    assert text.start_s == pytest.approx(1.0, abs=1 / FPS)


def test_small_text_in_a_shot_without_any_is_found_from_its_first_picture_on():
    wall = texture(HEIGHT, WIDTH, scale_px=60) // 2
    body = texture(120, 120, seed=9, scale_px=12)
    frames = [np.array(wall) for _ in range(90)]
    for i, frame in enumerate(frames):
        frame[400:520, 2 * i : 2 * i + 120] = body  # what moves keeps it looking, with too little change for a cut
        frames[i] = write(frame, "filmed in Hamburg", 180, 60, 9) if i >= 24 else frame
    text = one(list(measured(synthetic_clip(frames, FPS)).segments), "filmed in Hamburg")
    assert text.start_s == pytest.approx(1.2, abs=2 / FPS)


def test_mirrored_lettering_that_wanders_is_read_and_marked():
    wide = np.asarray(texture(HEIGHT, WIDTH + 400, scale_px=40) // 2)
    wall = write(write(wide, "BAKERY", 420, 300, 40), "COFFEE", 420, 360, 40)[:, ::-1]
    signs = measured(synthetic_clip(pan(3, wall), FPS)).segments
    assert {s.data["text"] for s in signs} == {"BAKERY", "COFFEE"}
    assert all(s.data["mirrored"] and s.label == "scene_text" for s in signs)


def test_an_upright_caption_beside_mirrored_lettering_is_not_taken_for_mirrored():
    wall = write(np.asarray(texture(HEIGHT, WIDTH, scale_px=60) // 2), "BAKERY", 180, 300, 40)[:, ::-1]
    frames = [*still(wall, 1, FPS), *still(write(wall, "Wait for the end", 180, 500), 2, FPS)]
    segments = list(measured(synthetic_clip(frames, FPS)).segments)
    assert one(segments, "BAKERY").data["mirrored"]
    assert "mirrored" not in one(segments, "Wait for the end").data


def test_a_counter_is_one_text_with_a_reading_each_second():
    frames = [write(np.full((HEIGHT, WIDTH, 3), 60, np.uint8), f"{i:05d}", 180, 320, 48) for i in range(80)]
    counter = one(list(measured(synthetic_clip(frames, FPS)).segments), "00000")
    assert counter.data["readings"] == [[0.0, "00000"], [1.0, "00020"], [2.0, "00040"], [3.0, "00060"]]


LARGE_HEIGHT, LARGE_WIDTH, LARGE_FPS = 1920, 1080, 8.0
HANDLE = "@anna.kocht in Bremen"


def small_text_over_a_moving_picture(text: str, until_s: float) -> Analysis:
    """Text 14 px high, which is 5 px in `clip.frames`, in a clip of 2 s."""
    wide = texture(LARGE_HEIGHT, LARGE_WIDTH + 200, scale_px=120) // 2
    frames = [wide[:, 12 * i : 12 * i + LARGE_WIDTH] for i in range(round(2 * LARGE_FPS))]
    for i in range(round(until_s * LARGE_FPS)):
        frames[i] = write(frames[i], text, 540, 300, 14)
    return measured(synthetic_clip(frames, LARGE_FPS))


@pytest.mark.parametrize("until_s", [1.0, 2.0])
def test_small_text_is_read_at_native_size_and_followed_to_its_end(until_s):
    handle = one(list(small_text_over_a_moving_picture(HANDLE, until_s).segments), HANDLE)
    assert handle.data["close_look"] is True
    assert handle.label == "overlay"
    assert handle.start_s == 0
    assert handle.end_s == pytest.approx(until_s, abs=0.01)


def test_a_small_number_that_may_count_is_not_claimed_by_a_close_look():
    assert not [s for s in small_text_over_a_moving_picture("20:14:36", 2.0).segments if "close_look" in s.data]


def test_a_small_text_that_small_pictures_miss_is_found():
    picture = np.asarray(Image.open(shared_file("image/street_bus.jpg")).convert("RGB"))
    segments = measured(synthetic_clip(still(picture, 0.5, 4.0), 4.0)).segments
    line = shared_truth("image/street_bus.jpg")["text_contains"][1]
    found = [s for s in segments if letter_errors(s.data["text"], line) <= 0.1 * len(letters(line))]
    assert [s.data["close_look"] for s in found] == [True]


def scratches() -> np.ndarray:
    rng = np.random.default_rng(3)
    picture = np.full((LARGE_HEIGHT, LARGE_WIDTH, 3), 30, np.uint8)
    for y, x in rng.integers(0, (LARGE_HEIGHT, LARGE_WIDTH), (4000, 2)):
        picture[y : y + rng.integers(2, 9), x : x + rng.integers(2, 5)] = 220
    return picture


LARGE_PATTERNS = {
    "fine": lambda: texture(LARGE_HEIGHT, LARGE_WIDTH, scale_px=3),
    "coarse": lambda: texture(LARGE_HEIGHT, LARGE_WIDTH, scale_px=16),
    "scratches": scratches,
}


@pytest.mark.parametrize("pattern", LARGE_PATTERNS)
def test_a_close_look_takes_no_pattern_for_text(pattern):
    analysis = measured(synthetic_clip(still(LARGE_PATTERNS[pattern](), 0.5, 4.0), 4.0))
    assert not analysis.segments
    assert analysis.summary["detections"] == 2, "there was no close look"


@pytest.mark.parametrize("picture", [np.zeros((64, 64, 3), np.uint8), texture(HEIGHT, WIDTH)], ids=["black", "pattern"])
def test_no_text_says_so(picture):
    analysis = measured(synthetic_clip(still(picture, 1, FPS), FPS))
    assert not analysis.segments
    assert analysis.reason


def test_a_picture_that_does_not_change_is_looked_at_once():
    picture = write(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "Hello there", 180, 320)
    assert measured(synthetic_clip(still(picture, 3, FPS), FPS)).summary["detections"] == 1


def test_the_captions_of_the_sample_to_the_picture():
    segments = measured(sample_clip()).segments
    for caption in sample_truth()["text"]:
        lines = [s for s in segments if any(letter_errors(s.data["text"], line) <= 1 for line in caption["lines"])]
        assert len(lines) == len(caption["lines"])
        for s in lines:
            assert s.label == "overlay"
            assert s.data["language"] == caption["language"]
            assert s.start_s == pytest.approx(caption["start_s"], abs=0.04)
            assert s.end_s == pytest.approx(caption["end_s"], abs=0.04)


PICTURES = (
    "german_buelowstrasse.png",
    "german_word_leider.jpg",
    "sign_epping.jpg",
    "english_who_poster.png",
    "book_acknowledgements.jpg",
    "number_8055.png",
)


@pytest.mark.parametrize("name", PICTURES)
def test_known_pictures_are_read(name):
    picture = np.asarray(Image.open(shared_file(f"image/{name}")).convert("RGB"))
    read = [s.data["text"] for s in measured(synthetic_clip(still(picture, 0.5, 4.0), 4.0)).segments]
    for line in shared_truth(f"image/{name}")["lines"]:
        assert min(letter_errors(text, line) for text in read) <= 0.1 * len(letters(line)), f"{line!r} among {read}"


@pytest.mark.parametrize("name", ["coffee_no_people.png", "five_friends.jpg", "man_portrait.png"])
def test_pictures_without_text_have_none(name):
    picture = np.asarray(Image.open(shared_file(f"image/{name}")).convert("RGB"))
    assert not measured(synthetic_clip(still(picture, 0.5, 4.0), 4.0)).segments


@pytest.mark.parametrize("name", ["bikes.mp4", "testvideo.mp4", "face_noface.mov", "big_buck_bunny_0_30.webm"])
def test_known_clips_are_read_at_the_known_times(name):
    segments = measured(shared_clip(f"video/{name}")).segments
    captions: dict[int, list[Segment]] = {}
    for s in segments:
        captions.setdefault(s.data["block"], []).append(s)
    read = {" ".join(s.data["text"] for s in lines): lines for lines in captions.values()}
    for truth in shared_truth(f"video/{name}")["visible_text"]:
        best = min(read, key=lambda text: letter_errors(text, truth["text"]))
        assert letter_errors(best, truth["text"]) <= 0.1 * len(letters(truth["text"])), (
            f"{truth['text']!r} among {list(read)}"
        )
        start_s, end_s = truth["t"]
        assert min(s.start_s for s in read[best]) == pytest.approx(start_s, abs=0.6)
        assert max(s.end_s for s in read[best]) == pytest.approx(end_s, abs=0.7)


def test_a_watermark_over_changing_pictures_is_an_overlay_and_a_taxi_sign_is_not():
    assert {s.label for s in measured(shared_clip("video/testvideo.mp4")).segments} == {"overlay"}
    assert {s.label for s in measured(shared_clip("video/bikes.mp4")).segments} == {"scene_text"}


def test_mirrored_handwriting_is_read_and_marked():
    segments = measured(shared_clip("video/awesome_movie.mov")).segments
    assert [s.data["text"] for s in sorted(segments, key=lambda s: s.data["text"])] == ["AWESOME", "FIXTURE", "MOVIE"]
    assert all(s.data["mirrored"] and s.label == "scene_text" for s in segments)


def test_burned_in_counters_are_read_at_the_known_times():
    segments = measured(shared_clip("video/smpte-2997.mp4")).segments
    for truth in shared_truth("video/smpte-2997.mp4")["visible_text_at"]:
        at = [text for s in segments for time_s, text in s.data["readings"] if abs(time_s - truth["t"]) < 0.02]
        assert sorted(at) == sorted(truth["text"])


WITHOUT_TEXT = (
    "nasa_13013.mp4",
    "friday.mp4",
    "grid_bbaf2n.mpg",
    "grid_lbbc2a.mpg",
    "sideways_movie.mov",
    "hdr10-av1.mp4",
    "WolfgangLanger_Pexels.mp4",
    "car-detection.mp4",
)


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_clips_without_text_have_none(name):
    assert shared_truth(f"video/{name}")["visible_text"] == []
    assert not measured(shared_clip(f"video/{name}")).segments
