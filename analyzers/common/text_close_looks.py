"""Text that is too small for `clip.frames`, read in pictures of native size at the few times where these are cheap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analyzers.clip import Clip
from analyzers.common.text_readers import SURE, TextReader, detect_at, read_close
from analyzers.common.text_tracks import (
    NEW_STROKES,
    SAME_PLACE,
    Pixels,
    Reading,
    TextTrack,
    box_of,
    continued,
    cut_out,
    is_count,
    look_back,
    overlap,
    plain,
)
from analyzers.errors import MediaError

MIN_GAIN = 1.4
"""Native size through that of `clip.frames` from which on a close look shows enough more."""
CLOSE_PX = 1088
"""Long side of the picture in which a close look detects: 0.2 s on one core at 9:16. It reads at native size."""
CLOSE_EVERY_S = 8.0
"""Least time between two such detections."""
MIN_LETTERS, MIN_SCORE = 4, 0.9
"""Of a text that only a close look reads: shorter ones are mostly patterns, less sure ones are misread."""
SURE_SMALL = 0.98
"""Score below which a reading from `clip.frames` is tried again: at 0.96 the @ of a name may be missing."""
SAME_TIME_S = 1e-3


@dataclass
class CloseLooks:
    """The close looks at one clip: where `clip.frames` begin to show another key picture of the file, which encoders
    put at cuts and every few seconds. There a seek costs little, and the picture is sharpest.

    At each of them, texts that were detected but not read surely are read again. At most every `CLOSE_EVERY_S`, and
    only if there are new strokes, others are looked for. Such a text is followed in `clip.frames` as any other; where
    its strokes are too faint there for that, it is claimed for the one picture in which it was read. Numbers are left
    out: they may count, which the small pictures do not show. A file that is hardly larger than `clip.frames` has none.
    """

    clip: Clip
    reader: TextReader
    detections: int = 0
    """Pictures in which text was looked for so far."""
    frames: set[int] = field(init=False)
    """Indices of `clip.frames`."""

    def __post_init__(self) -> None:
        self.frames = key_frames(self.clip)
        self._looked_s = -CLOSE_EVERY_S
        self._strokes: np.ndarray | None = None

    def at(self, index: int, gray: np.ndarray, strokes: np.ndarray, tracks: Sequence[TextTrack]) -> list[TextTrack]:
        """Improve the readings of open tracks, and return those that begin with this look.

        Args:
            index: of the picture in `clip.frames`.
            gray: its brightness, (height, width) uint8.
            strokes: its `stroke_map`.
            tracks: all open ones; those whose `last` is `index` are in place in it.
        """
        if index not in self.frames:
            return []
        here = [t for t in tracks if t.last == index]
        unread = [t for t in here if _may_be_read(t)]
        time_s = float(self.clip.frame_times_s[index])
        new = strokes - (0 if self._strokes is None else self._strokes) > NEW_STROKES
        wide = time_s - self._looked_s >= CLOSE_EVERY_S and bool(new.any())
        picture = native_picture(self.clip, index) if unread or wide else None
        if picture is None:
            return []
        scale = np.array([picture.shape[1] / gray.shape[1], picture.shape[0] / gray.shape[0]], np.float32)
        for track in unread:
            lines = read_close(self.reader, picture, corners(track.box) * scale, time_s)
            if len(lines) == 1:
                _improve(track, lines[0][0])
            track.tried = True
        if not wide:
            return []
        self._looked_s, self._strokes, self.detections = time_s, strokes, self.detections + 1
        fresh: list[TextTrack] = []
        for quad in detect_at(self.reader, picture, CLOSE_PX):
            box = box_of(quad / scale, gray)
            if not box or any(overlap(t.box, box)[1] >= SAME_PLACE and (t.close or _is_read(t)) for t in here):
                continue
            for reading, part in read_close(self.reader, picture, quad, time_s):
                box = box_of(part / scale, gray)
                if not box or not holds(reading):
                    continue
                place = (t for t in here if overlap(t.box, box)[0] >= SAME_PLACE)
                if known := continued(tracks, reading, box) or next(place, None):
                    if known in unread:
                        _improve(known, reading)
                    continue
                track = TextTrack(box, cut_out(gray, box), index, index, [reading], close=True)
                look_back(track, self.clip.frames)
                fresh.append(track)
        return fresh


def holds(reading: Reading) -> bool:
    """Whether what a close look read is a text."""
    long = len(plain(reading.text)) >= MIN_LETTERS
    return long and reading.score >= MIN_SCORE and not is_count(reading.text)


def _may_be_read(track: TextTrack) -> bool:
    unsure = track.best.score < SURE_SMALL and len(plain(track.best.text)) >= MIN_LETTERS
    return unsure and not (track.close or track.tried or track.counts or is_count(track.best.text))


def _improve(track: TextTrack, reading: Reading) -> None:
    if holds(reading) and reading.score > track.best.score:
        track.readings, track.close = [reading], track.best.score < SURE


def _is_read(track: TextTrack) -> bool:
    return track.counts or track.best.score >= SURE or is_count(track.best.text)


def corners(box: Pixels) -> np.ndarray:
    """(4, 2) float32, clockwise from the top left."""
    x0, y0, x1, y1 = box
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)


def key_frames(clip: Clip) -> set[int]:
    """Indices of the first of `clip.frames` after each key picture; none if the file has no much larger pictures."""
    if max(clip.width, clip.height) < MIN_GAIN * max(clip.frames.shape[1:3]):
        return set()
    after = np.searchsorted(clip.frame_times_s, np.array(key_times_s(clip)) - SAME_TIME_S).tolist()
    return {i for i in after if i < len(clip.frame_times_s)}


def key_times_s(clip: Clip) -> list[float]:
    """When the key pictures of the file are shown, in seconds of the clip; from its packets alone, in 2-10 ms.

    Raises:
        MediaError: the file is gone.
    """
    import av
    from av.stream import Disposition

    first_s = clip.manifest["video"]["first_s"]
    times_s: list[float] = []
    try:
        with av.open(str(clip.file), metadata_errors="ignore") as container:
            stream = next(s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
            for packet in container.demux(stream):
                if packet.is_keyframe and packet.pts is not None:
                    times_s.append(float(packet.pts * packet.time_base) - first_s)
    except FileNotFoundError as error:
        raise MediaError(f"{clip.file.name}: there is no such file.") from error
    except av.FFmpegError:
        pass  # the packets before the damage are enough
    return sorted(t for t in times_s if -SAME_TIME_S <= t < clip.video_end_s)


def native_picture(clip: Clip, index: int) -> np.ndarray | None:
    """The picture that `clip.frames[index]` was made from: (height, width, 3) uint8 RGB; None if it does not decode."""
    # A seek goes to the last key picture before, and rounds down: exactly at one it would find the one before that.
    at_s = float(clip.frame_times_s[index]) + 5e-7
    return next((p for _, p in clip.pictures(1.0, start_s=at_s, end_s=at_s + SAME_TIME_S)), None)
