"""Changed copies of footage whose truth is known, and that truth changed with them: nobody tuned a rule on these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.clip import AUDIO_HZ, Clip
from tests.media import write_video

NOISE_DBFS = -60.0
TEXT_KEYS = ("lines", "text_contains", "visible_text", "visible_text_at")
SEEN_KEYS = ("cuts_s", "fade_in_s", "fade_out_s", "dissolves_s")


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a file."""

    name: str
    says: str
    topics: tuple[str, ...] = ()
    """Topics of bench/accuracy.py that this change can make harder; all others stay as they are."""
    mirrored: bool = False
    """Left and right swapped."""
    shrunk: int = 1
    """Divides width and height."""
    crf: int = 16
    """Of x264; 34 is what is left of a clip after a few uploads."""
    speed: float = 1.0
    """Pictures and sound alike; the pitch rises with it."""
    gain_db: float = 0.0
    noise: bool = False
    """White noise of `NOISE_DBFS` over the sound."""


UNCHANGED = Change("unchanged", "as it is")
CHANGES = (
    Change("mirrored", "left and right swapped", ("cuts", "camera", "faces"), mirrored=True),
    Change("small", "half as wide and high, low bit rate", ("cuts", "camera", "faces", "text"), shrunk=2, crf=34),
    Change("fast", "1.12 times as fast", ("cuts", "camera", "faces", "text", "voice"), speed=1.12),
    Change("quiet", f"12 dB quieter, noise of {NOISE_DBFS:.0f} dBFS", ("voice",), gain_db=-12.0, noise=True),
)


def changed_picture(picture: np.ndarray, change: Change) -> np.ndarray:
    """(height, width, 3) uint8 RGB in and out; the sides are even after shrinking."""
    import cv2

    if change.mirrored:
        picture = np.ascontiguousarray(picture[:, ::-1])
    if change.shrunk > 1:
        height, width = (max(2, side // change.shrunk // 2 * 2) for side in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return picture


def changed_sound(sound: np.ndarray, change: Change) -> np.ndarray:
    """(samples,) float32 at 16 kHz in and out."""
    if change.speed != 1.0:
        from scipy.signal import resample_poly

        sound = resample_poly(sound, 100, round(100 * change.speed))
    sound = sound * 10 ** (change.gain_db / 20)
    if change.noise:
        sound = sound + np.random.default_rng(0).normal(0, 10 ** (NOISE_DBFS / 20), len(sound))
    return np.clip(sound, -1, 1).astype(np.float32)


def write_changed(source: Clip, path: Path, change: Change) -> Path:
    """Encode a changed copy of a clip. Without pictures where only the sound changes."""

    def pictures() -> Iterator[np.ndarray]:
        for _, picture in source.pictures(1000.0):
            yield changed_picture(picture, change)

    sound = changed_sound(np.asarray(source.audio), change) if source.has_audio else None
    if not source.has_video or change.topics == ("voice",):
        return write_video(path, None, sound=sound, sound_hz=AUDIO_HZ)
    times_s = (np.asarray(source.times_s) / change.speed).tolist()
    return write_video(path, pictures(), source.fps, sound, AUDIO_HZ, times_s=times_s, crf=change.crf)


def changed_truth(truth: dict[str, Any], change: Change) -> dict[str, Any]:
    """What is true of the changed copy. Text is left out where it is mirrored."""
    known = dict(truth)
    if change.mirrored:
        known = {key: value for key, value in known.items() if key not in TEXT_KEYS or value == []}
        if "camera" in known:
            swapped = {"left": "right", "right": "left"}
            known["camera"] = re.sub("left|right", lambda word: swapped[word[0]], known["camera"])
    if change.speed != 1.0:
        known |= {key: sooner(known[key], change.speed) for key in SEEN_KEYS if key in known}
        for key in ("faces", "visible_text", "visible_text_at"):
            if isinstance(known.get(key), list):
                known[key] = [entry | {"t": sooner(entry["t"], change.speed)} for entry in known[key]]
        if lines := known.get("transcript_segments"):
            known["transcript_segments"] = [[*sooner(line[:2], change.speed), *line[2:]] for line in lines]
    return known


def sooner(time_s: Any, speed: float) -> Any:
    """A time, or lists of times, in the faster copy."""
    return [sooner(t, speed) for t in time_s] if isinstance(time_s, list) else time_s / speed
