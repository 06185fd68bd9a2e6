"""One pass over a video file: the arrays that `analyzers.clip.Clip` maps.

Writes into a folder `luma.npy`, `thumbs.npy`, `times_s.npy`, `frames.npy`, `frame_times_s.npy`, `audio.npy` and, last,
`manifest.json`. Rotation in the metadata is applied, anamorphic pixels are squared, variable frame rates are kept as
times. What decodes of a damaged file is kept, and the manifest says `truncated`.

Not done: HDR is not tone-mapped (colours of an HDR clip are flat), interlacing is left as it is, and of several video
or audio streams the first is taken, as players do.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.clip import AUDIO_HZ, MANIFEST
from analyzers.errors import MediaError

DECODER_VERSION = "1"
"""Raised whenever the same file may give other arrays."""

LUMA_SHORT_SIDE_PX = 160
LUMA_LONG_SIDE_PX = 1280
THUMB_LONG_SIDE_PX = 96
FRAME_LONG_SIDE_PX = 640
FRAMES_HZ = 4.0
MAX_AUDIO_GAP_S = 0.1
"""Sound that starts this much later than the samples before it end is moved to its time by silence."""
SEEK_FROM_S = 2.0
"""Up to here decoding from the beginning is as fast as a seek."""
MAX_SHORT_BY_S = 0.2
"""A file that ends this much (or 2 %) earlier than its header says counts as truncated."""
MAX_ERRORS_IN_A_ROW = 200
"""After so many undecodable packets in a row the rest of a file is given up."""


def decode(file: Path, folder: Path, max_duration_s: float = math.inf) -> dict[str, Any]:
    """Decode a file into a folder; the folder appears complete or not at all, and replaces an earlier one.

    Args:
        file: any container and codec that the bundled FFmpeg reads.
        folder: where the arrays go; its parent must exist.
        max_duration_s: a longer file is refused before it fills the disk.

    Returns:
        The manifest: `duration_s`, `truncated`, `video` and `audio` (None where there is none, with `no_video` and
        `no_audio` saying why).

    Raises:
        MediaError: not a media file, nothing in it decodes, or it is too long.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        manifest = _decode_into(file, partial, max_duration_s)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
        replaced = partial.with_suffix(".replaced")
        with suppress(FileNotFoundError):
            folder.rename(replaced)
        with suppress(OSError):  # another process was faster; what it put there is the same
            partial.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
        return manifest
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def file_stamp(file: Path) -> dict[str, int]:
    """What tells whether a file is still the one that was decoded: its size and time of change."""
    status = file.stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def read_pictures(
    file: Path, video: dict[str, Any], fps: float, long_side_px: int | None, start_s: float, end_s: float
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time_s, RGB picture) from a file whose manifest says `video`; see `Clip.pictures`."""
    grid = _Grid(fps, start_s)
    scaled = _Scaler(video["rotation_deg"], *_scale(video["width"], video["height"], long_side_px or math.inf))
    for time_s, frame in _frames_from(file, video["first_s"], start_s, seek=start_s > SEEK_FROM_S):
        if time_s >= end_s:
            return
        if grid.takes(time_s):
            yield time_s, scaled(frame)


def _frames_from(file: Path, first_s: float, start_s: float, seek: bool) -> Iterator[tuple[float, Any]]:
    """Video frames with their times, from `start_s` or somewhat earlier on."""
    with _opened(file) as container:
        stream = _first_video(container)
        if seek:
            container.seek(int((start_s + first_s) / stream.time_base), stream=stream)
        clock = _Clock(stream, first_s)
        timed = ((clock.time_of(frame), frame) for frame in _frames(container, [stream]))
        first = next(timed, None)
        late = seek and (first is None or first[0] > start_s)
        if not late and first is not None:
            yield first
            yield from timed
    if late:  # MPEG program streams have no index: FFmpeg's seek lands on a later key frame
        yield from _frames_from(file, first_s, start_s, seek=False)


def _decode_into(file: Path, folder: Path, max_duration_s: float) -> dict[str, Any]:
    errors = _Errors()
    with _opened(file) as container:
        video_stream, audio_stream = _first_video(container), _first_audio(container)
        if video_stream is None and audio_stream is None:
            raise MediaError(f"{file.name} holds neither pictures nor sound.")
        promised_s = _promised_s(container, [s for s in (video_stream, audio_stream) if s is not None])
        if promised_s and promised_s > max_duration_s:
            raise MediaError(f"{file.name} is {promised_s:.0f} s long; the limit is {max_duration_s:.0f} s.")
        video = _VideoSink(folder, video_stream) if video_stream else None
        audio = _AudioSink(audio_stream) if audio_stream else None
        streams = [s for s in (video_stream, audio_stream) if s is not None]
        for frame in _frames(container, streams, errors):
            if hasattr(frame, "samples"):
                audio.take(frame)  # type: ignore[union-attr]
            else:
                video.take(frame)  # type: ignore[union-attr]
            if video and video.end_s > max_duration_s:
                raise MediaError(f"{file.name} is longer than the limit of {max_duration_s:.0f} s.")
        about_video = video.close() if video and video.count else None
        first_s = video.clock.first_s if about_video else None  # type: ignore[union-attr]
        about_audio = audio.close(folder, first_s) if audio and audio.samples else None
        stream_count = len(container.streams)
    if about_video is None and about_audio is None:
        raise MediaError(f"{file.name}: nothing in it decodes; the file is damaged or not complete.")
    duration_s = max(about_video["end_s"] if about_video else 0.0, about_audio["end_s"] if about_audio else 0.0)
    short_by_s = (promised_s or 0.0) - duration_s
    return {
        "decoder_version": DECODER_VERSION,
        "file": file_stamp(file),
        "duration_s": round(duration_s, 6),
        "promised_duration_s": promised_s,
        "streams": stream_count,
        "decode_errors": errors.count,
        "truncated": errors.count > 0 or short_by_s > max(MAX_SHORT_BY_S, 0.02 * duration_s),
        "video": about_video,
        "no_video": None if about_video else _why_none("video", video_stream),
        "audio": about_audio,
        "no_audio": None if about_audio else _why_none("audio", audio_stream),
    }


def _promised_s(container: Any, streams: list[Any]) -> float | None:
    """The duration that the header states, of the streams that are decoded where it says so."""
    of_streams = [float(s.duration * s.time_base) for s in streams if s.duration]
    if of_streams:
        return max(of_streams)
    return container.duration / 1_000_000 if container.duration else None


def _why_none(kind: str, stream: Any) -> str:
    return f"the file has no {kind} track" if stream is None else f"nothing in the {kind} track decodes"


def _opened(file: Path) -> Any:
    """Open a container for reading. Metadata that is not UTF-8 would otherwise raise at open."""
    import av

    try:
        return av.open(str(file), metadata_errors="ignore")
    except FileNotFoundError as error:
        raise MediaError(f"{file.name}: there is no such file.") from error
    except (av.FFmpegError, UnicodeDecodeError) as error:
        empty = file.stat().st_size == 0
        what = "the file is empty" if empty else "it is damaged, not complete, or not a video at all"
        raise MediaError(f"{file.name} does not open as video or sound: {what}.") from error


def _first_video(container: Any) -> Any:
    from av.stream import Disposition

    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not pictures:
        return None
    pictures[0].thread_type = "AUTO"
    return pictures[0]


def _first_audio(container: Any) -> Any:
    return container.streams.audio[0] if container.streams.audio else None


@dataclass
class _Errors:
    count: int = 0
    in_a_row: int = 0


def _frames(container: Any, streams: list[Any], errors: _Errors | None = None) -> Iterator[Any]:
    """Decoded frames of the streams in file order, past every packet that does not decode."""
    import av

    errors = errors or _Errors()
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
            decoded = packet.decode()
            errors.in_a_row = 0
        except StopIteration:
            return
        except (av.FFmpegError, ValueError):
            errors.count += 1
            errors.in_a_row += 1
            if errors.in_a_row > MAX_ERRORS_IN_A_ROW:
                return
            continue
        yield from decoded


@dataclass
class _Clock:
    """Times of pictures: seconds from the first one, never decreasing, even where the file gives none."""

    stream: Any
    first_s: float | None = None
    last_s: float = 0.0

    def time_of(self, frame: Any) -> float:
        step_s = 1 / float(self.stream.average_rate or self.stream.guessed_rate or 25)
        if frame.pts is None:
            if self.first_s is None:
                self.first_s = 0.0
                return 0.0
            self.last_s += step_s
            return self.last_s
        at_s = float(frame.pts * (frame.time_base or self.stream.time_base))
        if self.first_s is None:
            self.first_s = at_s
        self.last_s = max(self.last_s, at_s - self.first_s)
        return self.last_s


@dataclass
class _Grid:
    """Thins pictures out to a rate: the first one at or after each tick."""

    hz: float
    start_s: float = 0.0
    tick: int = 0

    def takes(self, time_s: float) -> bool:
        ticks = (time_s - self.start_s) * self.hz + 1e-6
        if ticks < self.tick:
            return False
        self.tick = math.floor(ticks) + 1
        return True


def _scale(width: int, height: int, long_side_px: float, short_side_px: float = math.inf) -> tuple[int, int]:
    """The size that fits both limits, never larger than given, at least 1 px."""
    factor = min(1.0, long_side_px / max(width, height), short_side_px / min(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


class _Scaler:
    """Makes upright RGB pictures of one size of frames: (height, width, 3) uint8, contiguous.

    Its tables are made once, and on one thread: asking each frame anew, on several, takes twice as long.
    """

    def __init__(self, rotation_deg: int, width: int, height: int) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._quarter_turns = (rotation_deg // 90) % 4
        self._size = (height, width) if self._quarter_turns % 2 else (width, height)

    def __call__(self, frame: Any) -> np.ndarray:
        width, height = self._size
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="AREA", threads=1).to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb, self._quarter_turns)) if self._quarter_turns else rgb


@dataclass
class _VideoSink:
    """Takes the pictures of a stream and writes the arrays as they come, so that memory does not grow with length."""

    folder: Path
    stream: Any
    count: int = 0
    end_s: float = 0.0
    times_s: list[float] = field(default_factory=list)
    frame_times_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = _Clock(self.stream)
        self.grid = _Grid(FRAMES_HZ)

    def _begin(self, frame: Any) -> None:
        aspect = Fraction(self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio or 1)
        if not Fraction(1, 10) <= aspect <= 10:
            aspect = Fraction(1)
        width, height = max(1, round(frame.width * aspect)), frame.height
        self.rotation_deg = round(getattr(frame, "rotation", 0) / 90) * 90 % 360
        if self.rotation_deg % 180:
            width, height = height, width
        self.size = (width, height)
        self.luma_size = _scale(width, height, LUMA_LONG_SIDE_PX, LUMA_SHORT_SIDE_PX)
        self.thumb_size = _scale(width, height, THUMB_LONG_SIDE_PX)
        self.frame_size = _scale(width, height, FRAME_LONG_SIDE_PX)
        self.small = _Scaler(self.rotation_deg, *self.luma_size)
        self.large = _Scaler(self.rotation_deg, *self.frame_size)
        self.pixel_format = frame.format.name
        self.luma = _ArrayWriter(self.folder / "luma.npy", self.luma_size[::-1])
        self.thumbs = _ArrayWriter(self.folder / "thumbs.npy", (*self.thumb_size[::-1], 3))
        self.frames = _ArrayWriter(self.folder / "frames.npy", (*self.frame_size[::-1], 3))

    def take(self, frame: Any) -> None:
        import cv2

        if not self.count:
            self._begin(frame)
        time_s = self.clock.time_of(frame)
        small = self.small(frame)
        self.luma.append(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        self.thumbs.append(cv2.resize(small, self.thumb_size, interpolation=cv2.INTER_AREA))
        self.times_s.append(time_s)
        if self.grid.takes(time_s):
            self.frames.append(self.large(frame))
            self.frame_times_s.append(time_s)
        self.count += 1
        self.end_s = time_s

    def close(self) -> dict[str, Any]:
        for writer in (self.luma, self.thumbs, self.frames):
            writer.close()
        times_s = np.array(self.times_s)
        np.save(self.folder / "times_s.npy", times_s)
        np.save(self.folder / "frame_times_s.npy", np.array(self.frame_times_s))
        steps_s = np.diff(times_s)
        step_s = float(np.median(steps_s)) if len(steps_s) else 1 / float(self.stream.average_rate or 25)
        end_s = float(times_s[-1]) + step_s
        codec = self.stream.codec_context
        return {
            "width": self.size[0],
            "height": self.size[1],
            "rotation_deg": self.rotation_deg,
            "codec": codec.name,
            "pixel_format": self.pixel_format,
            "fps": round(self.count / end_s, 4),
            "variable_frame_rate": bool(len(steps_s) and np.ptp(steps_s) > 0.25 * step_s + 0.002),
            "pictures": self.count,
            "first_s": self.clock.first_s,
            "end_s": round(end_s, 6),
        }


@dataclass
class _AudioSink:
    """Takes the sound of a stream, resampled to 16 kHz mono."""

    stream: Any
    samples: int = 0
    first_s: float | None = None
    chunks: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        from av import AudioResampler

        self.resampler = AudioResampler(format="flt", layout="mono", rate=AUDIO_HZ)

    def take(self, frame: Any) -> None:
        if frame.pts is not None:
            at_s = float(frame.pts * (frame.time_base or self.stream.time_base))
            if self.first_s is None:
                self.first_s = at_s
            gap_s = at_s - self.first_s - self.samples / AUDIO_HZ
            if MAX_AUDIO_GAP_S < gap_s < 3600:
                self._append(np.zeros(round(gap_s * AUDIO_HZ), np.float32))
        frame.pts = None  # the resampler would otherwise fail on timestamps that jump back
        for resampled in self.resampler.resample(frame):
            self._append(resampled.to_ndarray().reshape(-1))

    def _append(self, samples: np.ndarray) -> None:
        self.chunks.append(samples)
        self.samples += len(samples)

    def close(self, folder: Path, video_first_s: float | None) -> dict[str, Any]:
        for resampled in self.resampler.resample(None):
            self._append(resampled.to_ndarray().reshape(-1))
        samples = np.concatenate(self.chunks).astype(np.float32)
        np.nan_to_num(samples, copy=False)
        np.clip(samples, -1.0, 1.0, out=samples)
        offset = round(((self.first_s or 0.0) - video_first_s) * AUDIO_HZ) if video_first_s is not None else 0
        samples = np.concatenate([np.zeros(offset, np.float32), samples]) if offset > 0 else samples[-offset:]
        np.save(folder / "audio.npy", samples)
        codec = self.stream.codec_context
        return {
            "codec": codec.name,
            "sample_rate_hz": codec.sample_rate,
            "channels": codec.channels,
            "end_s": round(len(samples) / AUDIO_HZ, 6),
        }


class _ArrayWriter:
    """Appends pictures to a .npy file whose length is known only at the end.

    numpy leaves room in the header for the first axis to grow, so that the header written again has the same length.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape, self.count = shape, 0
        self.file = path.open("wb+")
        self._write_header()
        self.header_bytes = self.file.tell()

    def append(self, picture: np.ndarray) -> None:
        self.file.write(np.ascontiguousarray(picture).data)
        self.count += 1

    def close(self) -> None:
        self.file.seek(0)
        self._write_header()
        assert self.file.tell() == self.header_bytes, "numpy changed the room it leaves in the header"
        self.file.close()

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)
