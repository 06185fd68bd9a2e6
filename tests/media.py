"""Clips for tests: synthetic ones with a known answer, the committed sample, and real footage where it is there."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyzers.catalogue import analyzer_class, with_upstream
from analyzers.clip import Clip
from analyzers.contract import Outcome
from analyzers.decode import decode
from analyzers.run import examine

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLE = REPOSITORY / "samples" / "sample.mp4"
SHARED_MEDIA = REPOSITORY.parent / "shared" / "media"


@functools.cache
def scratch() -> Path:
    """A folder that lives as long as the test process."""
    folder = Path(tempfile.mkdtemp(prefix="tiktok-assets-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray] | None,
    fps: float = 30.0,
    sound: np.ndarray | None = None,
    sound_hz: int = 48_000,
    times_s: Sequence[float] | None = None,
    codec: str = "libx264",
    crf: int = 12,
) -> Path:
    """Encode RGB pictures ((height, width, 3) uint8) and mono float sound; `times_s` makes the rate variable."""
    import av

    with av.open(str(path), "w") as container:
        video = None
        if pictures is not None:
            pictures = iter(pictures)
            first = next(pictures)
            video = container.add_stream(
                codec, rate=Fraction(fps).limit_denominator(1001), options=_quality(codec, crf)
            )
            video.width, video.height = first.shape[1], first.shape[0]
            odd = first.shape[0] % 2 or first.shape[1] % 2
            video.pix_fmt = "yuv444p" if odd else "yuv420p"
            if codec != "mpeg1video":  # which knows fixed rates only
                video.codec_context.time_base = Fraction(1, 90_000)
        audio = container.add_stream("aac", rate=sound_hz, layout="mono") if sound is not None else None
        if video is not None:
            for i, picture in enumerate(chain([first], pictures)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.time_base = Fraction(1, 90_000)
                frame.pts = round((times_s[i] if times_s is not None else i / fps) * 90_000)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                chunk = np.ascontiguousarray(sound[start : start + 1024], np.float32)[None]
                frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = sound_hz, start, Fraction(1, sound_hz)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def _quality(codec: str, crf: int) -> dict[str, str]:
    return {"qmin": "2", "qmax": "4"} if codec == "mpeg1video" else {"crf": str(crf)}


def open_clip(file: Path) -> Clip:
    """Decode a file (once a process) and open it."""
    folder = scratch() / f"{file.stem}-{abs(hash((str(file), file.stat().st_mtime_ns))):x}"
    if not folder.exists():
        decode(file, folder)
    return Clip.open(folder, file)


def synthetic_clip(
    pictures: Iterable[np.ndarray] | None, fps: float = 30.0, sound: np.ndarray | None = None, **options: Any
) -> Clip:
    """A clip made of pictures and sound; see `write_video`."""
    file = Path(tempfile.mkdtemp(dir=scratch())) / "clip.mp4"
    return open_clip(write_video(file, pictures, fps, sound, **options))


def still(picture: np.ndarray, seconds: float, fps: float = 30.0) -> list[np.ndarray]:
    """One picture, shown for a while."""
    return [picture] * round(seconds * fps)


def texture(height: int, width: int, seed: int = 0, scale_px: int = 8) -> np.ndarray:
    """A random but smooth RGB picture that trackers can hold on to."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (height // scale_px + 2, width // scale_px + 2, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def run_analyzer(name: str, clip: Clip) -> Outcome:
    """Run an analyzer after all that it builds on."""
    outcomes: dict[str, Outcome] = {}
    for step in with_upstream((name,)):
        outcomes[step] = examine(analyzer_class(step), clip, outcomes)
    return outcomes[name]


def shared_file(name: str) -> Path:
    """A file of ../shared/media such as "video/bikes.mp4"; skips the test where it is not there."""
    path = SHARED_MEDIA / name
    if not path.exists():
        pytest.skip(f"../shared/media/{name} is not on this machine")
    return path


def shared_clip(name: str) -> Clip:
    return open_clip(shared_file(name))


def shared_truth(name: str) -> dict[str, Any]:
    """What is known about a file of ../shared/media."""
    facts = json.loads(shared_file("truth.json").read_text("utf-8"))["files"]
    return next(f["truth"] for f in facts if f["file"] == name)


def sample_clip() -> Clip:
    """The clip that the project made itself."""
    return open_clip(SAMPLE)


def sample_truth() -> dict[str, Any]:
    return json.loads(SAMPLE.with_name("sample.truth.json").read_text("utf-8"))
