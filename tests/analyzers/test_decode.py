"""The decode pass: right sizes, times and sound from anything a phone or a site may send, or a clear error."""

import shutil
from fractions import Fraction

import numpy as np
import pytest

from analyzers.clip import Clip
from analyzers.decode import decode
from analyzers.errors import MediaError
from tests.media import (
    SHARED_MEDIA,
    open_clip,
    shared_clip,
    shared_file,
    still,
    synthetic_clip,
    texture,
    write_video,
)

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(96_000) / 48_000)).astype(np.float32)


def numbered(count: int, height: int = 120, width: int = 80) -> list[np.ndarray]:
    """Grey pictures whose brightness tells their number."""
    return [np.full((height, width, 3), 20 + 5 * i, np.uint8) for i in range(count)]


def test_sizes_times_and_sound_of_a_plain_clip():
    clip = synthetic_clip(still(texture(1024, 576), 2.0), sound=TONE)
    assert (clip.width, clip.height, clip.fps) == (576, 1024, 30.0)
    assert clip.luma.shape == (60, 284, 160)
    assert clip.thumbs.shape == (60, 96, 54, 3)
    assert clip.frames.shape == (8, 640, 360, 3)
    np.testing.assert_allclose(clip.times_s, np.arange(60) / 30, atol=1e-4)
    np.testing.assert_allclose(clip.frame_times_s, np.arange(8) / 4, atol=0.034)
    assert abs(clip.duration_s - 2.0) < 0.05
    assert abs(len(clip.audio) / 16_000 - 2.0) < 0.05
    spectrum = np.abs(np.fft.rfft(clip.audio[4000:20_000]))
    assert abs(np.argmax(spectrum) - 440) <= 1
    assert not clip.luma.flags.writeable
    assert type(clip.frames) is np.ndarray, "mediapipe on Python 3.12 crashes on numpy.memmap"


def test_pictures_keep_their_order_brightness_and_colour():
    clip = synthetic_clip(numbered(40))
    assert (np.diff(clip.luma.mean(axis=(1, 2))) > 2).all()
    red = np.zeros((80, 120, 3), np.uint8)
    red[..., 0] = 220
    assert synthetic_clip(still(red, 0.2)).frames[0].mean(axis=(0, 1)) == pytest.approx([220, 0, 0], abs=12)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "libsvtav1", "mpeg1video"])
def test_codecs(codec, tmp_path):
    extension = {"libvpx-vp9": "webm", "mpeg1video": "mpg"}.get(codec, "mp4")
    pictures = [texture(144, 176, scale_px=24)] * 25
    clip = open_clip(write_video(tmp_path / f"clip.{extension}", pictures, 25, codec=codec))
    assert (clip.width, clip.height, len(clip.luma)) == (176, 144, 25)
    assert np.abs(clip.frames[0].astype(int) - pictures[0]).mean() < 12
    assert clip.duration_s == pytest.approx(1.0, abs=0.05)


def test_variable_frame_rate_is_kept_as_times(tmp_path):
    times_s = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.3, 30))
    clip = open_clip(write_video(tmp_path / "clip.mp4", numbered(30), times_s=times_s))
    assert clip.manifest["video"]["variable_frame_rate"]
    np.testing.assert_allclose(clip.times_s, times_s - times_s[0], atol=1e-3)
    assert (np.diff(clip.frame_times_s) > 0).all()


def test_anamorphic_pixels_are_squared(tmp_path):
    import av

    file = tmp_path / "clip.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 352, 288, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(12, 11)
        for picture in still(texture(288, 352), 0.4, 25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    clip = open_clip(file)
    assert (clip.width, clip.height) == (384, 288)
    assert clip.luma.shape[1:] == (160, 213)


def test_sound_that_starts_later_than_the_pictures_stays_in_time(tmp_path):
    import av

    file = tmp_path / "clip.mkv"
    with av.open(str(file), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for picture in still(texture(64, 64), 2.0):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(np.full((1, 8000), 8000, np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 8000, Fraction(1, 16_000)
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    sound = open_clip(file).audio
    assert np.abs(sound[:7900]).max() == 0
    assert np.abs(sound[8100:15_900]).min() > 0.2


def test_sound_only_and_pictures_only(tmp_path):
    sound = open_clip(write_video(tmp_path / "sound.mp4", None, sound=TONE))
    assert (sound.has_video, sound.has_audio, sound.width) == (False, True, 0)
    assert sound.manifest["no_video"] == "the file has no video track"
    pictures = synthetic_clip(numbered(5))
    assert (pictures.has_video, pictures.has_audio) == (True, False)
    with pytest.raises(MediaError, match="no sound"):
        _ = pictures.audio


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 200), (200, 2), (75, 101), (160, 4000)])
def test_odd_sizes(height, width):
    clip = synthetic_clip(still(texture(height, width, scale_px=2), 0.2))
    assert (clip.height, clip.width) == (height, width)
    assert min(clip.luma.shape[1:]) >= 1
    assert max(clip.frames.shape[1:3]) <= 640
    assert max(clip.thumbs.shape[1:3]) <= 96


def test_one_picture_is_a_clip():
    clip = synthetic_clip(numbered(1))
    assert len(clip.luma) == len(clip.frames) == 1
    assert clip.times_s.tolist() == [0.0]
    assert clip.duration_s > 0


def test_low_and_high_frame_rates():
    slow = synthetic_clip(numbered(4), fps=1)
    assert len(slow.frames) == 4
    fast = synthetic_clip(numbered(40), fps=120)
    assert len(fast.luma) == 40
    assert len(fast.frames) == 2


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_what_decodes_of_a_cut_off_file_is_kept_and_marked(kept, tmp_path):
    pictures = [texture(160, 120, seed=i) for i in range(90)]
    whole = write_video(tmp_path / "whole.mkv", pictures)
    damaged = tmp_path / "damaged.mkv"
    data = whole.read_bytes()
    damaged.write_bytes(data[: int(len(data) * kept)])
    clip = open_clip(damaged)
    assert clip.manifest["truncated"]
    assert len(clip.luma) == pytest.approx(90 * kept, abs=12)
    assert not open_clip(whole).manifest["truncated"]


def test_targeted_decode_gives_rate_size_and_stretch():
    clip = synthetic_clip(still(texture(320, 240), 6.0))
    found = list(clip.pictures(fps=10, long_side_px=160, start_s=3.0, end_s=4.0))
    assert len(found) == 10
    assert found[0][1].shape == (160, 120, 3)
    np.testing.assert_allclose([t for t, _ in found], np.arange(3, 4, 0.1), atol=0.04)
    assert next(clip.pictures(fps=1))[1].shape == (320, 240, 3)


def test_a_targeted_decode_of_a_file_without_index_begins_where_asked(tmp_path):
    file = write_video(tmp_path / "clip.mpg", [texture(96, 128, seed=i) for i in range(100)], 25, codec="mpeg1video")
    clip = open_clip(file)
    for start_s in (2.2, 2.6, 3.4):
        times_s = [t for t, _ in clip.pictures(fps=25, start_s=start_s)]
        assert times_s[0] == pytest.approx(start_s, abs=0.04)


def test_a_longer_file_than_allowed_is_refused(tmp_path):
    file = write_video(tmp_path / "clip.mp4", numbered(30))
    with pytest.raises(MediaError, match=r"clip.mp4 is .* s long; the limit is 0 s"):
        decode(file, tmp_path / "media", max_duration_s=0.4)
    assert not (tmp_path / "media").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_decoding_again_replaces_the_arrays(tmp_path):
    file = write_video(tmp_path / "clip.mp4", numbered(5))
    decode(file, tmp_path / "media")
    decode(file, tmp_path / "media")
    assert len(Clip.open(tmp_path / "media", file).luma) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "media"]


@pytest.mark.parametrize("content", [b"", b"not a video", bytes(5000), b"<html><body>login</body></html>"])
def test_what_is_no_video_gives_a_clear_error_and_leaves_nothing(content, tmp_path):
    file = tmp_path / "clip.mp4"
    file.write_bytes(content)
    with pytest.raises(MediaError, match=r"clip\.mp4"):
        decode(file, tmp_path / "media")
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_missing_arrays_are_a_clear_error(tmp_path):
    file = write_video(tmp_path / "clip.mp4", numbered(5))
    decode(file, tmp_path / "media")
    clip = Clip.open(tmp_path / "media", file)
    (tmp_path / "media" / "luma.npy").unlink()
    with pytest.raises(MediaError, match="decode it again"):
        _ = clip.luma
    shutil.rmtree(tmp_path / "media")
    with pytest.raises(MediaError, match="decode it again"):
        Clip.open(tmp_path / "media", file)


SIZES = {
    "video/nasa_13013.mp4": (320, 180, 325),
    "video/grid_bbaf2n.mpg": (360, 288, 75),
    "video/face_noface.mov": (960, 540, 169),
    "video/big_buck_bunny_0_30.webm": (1280, 720, 720),
    "video/awesome_movie.mov": (640, 480, 123),
    "video/sideways_movie.mov": (480, 640, 25),
    "video/emulator_270_rotated.mp4": (720, 1280, 149),
    "video/hdr10-av1.mp4": (720, 1280, 127),
    "broken/corrupted_frame.mp4": (1280, 720, 49),
    "broken/non_utf8_metadata.3gp": (384, 288, 71),
    "broken/no_duration.webm": (1280, 720, 74),
}


@pytest.mark.parametrize("name", SIZES)
def test_real_files_have_the_right_size_and_number_of_pictures(name):
    clip = shared_clip(name)
    assert (clip.width, clip.height, len(clip.luma)) == SIZES[name]
    assert len(clip.times_s) == len(clip.luma)
    assert (np.diff(clip.times_s) >= 0).all()


@pytest.mark.parametrize("name", sorted(p.name for p in (SHARED_MEDIA / "video").glob("*")) or ["none"])
def test_real_files_have_the_duration_that_was_measured(name):
    import json

    facts = json.loads(shared_file("truth.json").read_text("utf-8"))["files"]
    measured = next(f["measured"] for f in facts if f["file"] == f"video/{name}")
    clip = shared_clip(f"video/{name}")
    assert clip.duration_s == pytest.approx(measured["duration_s"], abs=0.06)
    assert not clip.manifest["truncated"]


def test_a_damaged_real_file_is_marked():
    assert shared_clip("broken/corrupted_frame.mp4").manifest["truncated"]


@pytest.mark.parametrize("name", ["zero_bytes.webm", "broken.mp4", "malformed_free_box.mp4", "broken_data_stream.png"])
def test_broken_real_files_give_a_clear_error(name, tmp_path):
    with pytest.raises(MediaError, match=name) as raised:
        decode(shared_file(f"broken/{name}"), tmp_path / "media")
    assert len(str(raised.value)) < 120


def test_rotation_is_applied_upright():
    """The face in the phone clip is upright: brighter in the middle than at the lower corners, eyes above the mouth."""
    clip = shared_clip("video/sideways_movie.mov")
    turned = next(clip.pictures(fps=1, long_side_px=64))[1]
    assert turned.shape[:2] == (64, 48)
    assert np.abs(turned.mean(axis=2) - _shrunk(clip.frames[0], 64, 48)).mean() < 6


def _shrunk(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    import cv2

    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).mean(axis=2)
