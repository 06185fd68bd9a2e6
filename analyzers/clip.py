"""A decoded video as analyzers see it: read-only maps of arrays, and a way back to the file for more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.errors import MediaError

MANIFEST = "manifest.json"
AUDIO_HZ = 16_000


@dataclass(frozen=True)
class Clip:
    """One decoded video. All times are seconds from its first picture; intervals are half-open."""

    folder: Path
    """Where `analyzers.decode` wrote the arrays."""
    file: Path
    """The video file itself."""
    manifest: dict[str, Any]
    """What the decoder wrote about the file: sizes, codecs, rates, damage."""
    published: Mapping[str, Any] = field(default_factory=dict)
    """What the publisher wrote: `title`, `description` and more, as yt-dlp names them. Empty for a bare file."""

    @classmethod
    def open(cls, folder: Path, file: Path, published: Mapping[str, Any] | None = None) -> Clip:
        """Open what `analyzers.decode.decode` wrote. Costs a file read; arrays are mapped when first used.

        Raises:
            MediaError: the folder holds no complete decode.
        """
        try:
            manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise MediaError(f"{file.name}: its decoded arrays are not there; decode it again.") from error
        return cls(folder, file, manifest, published or {})

    @property
    def duration_s(self) -> float:
        """Length in seconds: the end of the last picture or of the sound, whichever is later."""
        return float(self.manifest["duration_s"])

    @property
    def has_video(self) -> bool:
        return self.manifest["video"] is not None

    @property
    def has_audio(self) -> bool:
        return self.manifest["audio"] is not None

    @property
    def width(self) -> int:
        """Width in pixels as shown: upright, pixels squared. 0 without pictures."""
        return int(self.manifest["video"]["width"]) if self.has_video else 0

    @property
    def height(self) -> int:
        """Height in pixels as shown. 0 without pictures."""
        return int(self.manifest["video"]["height"]) if self.has_video else 0

    @property
    def fps(self) -> float:
        """Mean pictures per second; use the times for anything exact. 0 without pictures."""
        return float(self.manifest["video"]["fps"]) if self.has_video else 0.0

    @property
    def video_end_s(self) -> float:
        """End of the last picture. 0 without pictures."""
        return float(self.manifest["video"]["end_s"]) if self.has_video else 0.0

    @cached_property
    def luma(self) -> np.ndarray:
        """Brightness of every picture: (pictures, height, width) uint8, short side at most 160 px."""
        return self._array("luma")

    @cached_property
    def thumbs(self) -> np.ndarray:
        """Every picture, small: (pictures, height, width, 3) uint8 RGB, long side at most 96 px."""
        return self._array("thumbs")

    @cached_property
    def times_s(self) -> np.ndarray:
        """When each picture of `luma` and `thumbs` is shown: (pictures,) float64, never decreasing, starts at 0."""
        return self._array("times_s")

    @cached_property
    def frames(self) -> np.ndarray:
        """At most 4 pictures a second: (frames, height, width, 3) uint8 RGB, long side at most 640 px."""
        return self._array("frames")

    @cached_property
    def frame_times_s(self) -> np.ndarray:
        """When each of `frames` is shown: (frames,) float64."""
        return self._array("frame_times_s")

    @cached_property
    def audio(self) -> np.ndarray:
        """Mono sound at 16 kHz: (samples,) float32 in -1..1; sample i belongs to second i / 16000 of the clip."""
        return self._array("audio")

    def pictures(
        self, fps: float, long_side_px: int | None = None, start_s: float = 0.0, end_s: float | None = None
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Decode the file once more for what the arrays do not hold: higher rates, native size.

        Args:
            fps: at most so many pictures per second.
            long_side_px: shrink to this long side; None keeps the native size.
            start_s, end_s: only this stretch.

        Yields:
            (time_s, picture): seconds, and (height, width, 3) uint8 RGB, upright.
        """
        from analyzers.decode import read_pictures

        end_s = self.video_end_s if end_s is None else end_s
        return read_pictures(self.file, self.manifest["video"], fps, long_side_px, start_s, end_s)

    def _array(self, name: str) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        try:
            # Plain arrays over the maps: mediapipe on Python 3.12 crashes on the subclass numpy.memmap.
            return np.asarray(np.load(path, mmap_mode="r"))
        except (OSError, ValueError) as error:
            if self.folder.exists() and (self.has_video if name != "audio" else self.has_audio):
                raise MediaError(f"{self.file.name}: the decoded array {name} is gone; decode it again.") from error
            raise MediaError(f"{self.file.name} has no {'sound' if name == 'audio' else 'pictures'}.") from error
