"""Written text in the picture, followed over time, and whether it lies on top of the picture or belongs to the scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.text_evidence import Stay, overlay_evidence
from analyzers.common.text_tracks import (
    SAME_PATCH,
    Pixels,
    Reading,
    TextTrack,
    cut_out,
    is_count,
    language_of,
    overlap,
    plain,
    same_text,
)
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment

FINE_PX, COARSE_PX = 640, 448
"""Long side of the picture for a thorough and for a quick detection: 40 and 20 ms on one core at 640 x 360."""
FINE_EVERY_S = 1.0
COARSE_EVERY_S = 0.5
MIN_SIDE_PX = 24
"""Pictures with a shorter side hold nothing that can be read."""
BLOCK_PX = 16
NEW_STROKES = 5.0
"""Rise of the steepness of brightness (levels over two pixels, mean of a block) that lettering may have caused."""
SURE = 0.95
"""Score from which a first reading needs no second opinion."""
SAME_PLACE = 0.5
MAX_SHARE = 0.6
"""What fills more of the picture than this is a pattern that the detector took for a letter."""


@dataclass
class TextOverlay(Analyzer):
    """Reads text in the picture, follows each one over time, and tells overlays from lettering in the scene.

    How: PP-OCRv6 small (PaddleOCR, Apache-2.0; bundled with RapidOCR; its alphabet has German umlauts and sharp s)
    detects text in pictures at 4 per second: thoroughly each second, quickly in between where new strokes appeared or
    a text was lost, not at all where the picture did not change. Between detections a text counts as there while the
    strokes at its place stay alike (normalised correlation weighted by steepness). It is read when it is new and again
    each second while it looks different or is a number; the reading with most weight wins. Start and end are then
    refined to the picture on the small brightness pictures where the text is large enough to be seen there.

    Segments, one per text line: `label` is "overlay" (lies on the picture), "scene_text" (moves with the scene) or
    "text" (cannot be told: nothing moved). `confidence` is the recogniser's score of the reading. `data`: `text`;
    `language` "de", "en" or None; `is_overlay` True, False or None, with `evidence` saying why and the numbers
    `stands` (share of its time in
    which its strokes are in place), `ring_change` (levels of brightness 0-255), `picture_change` (share of the picture 0-1) it rests on;
    `hits`, the pictures (of 4 per second) that show it; `block`, the same number for lines of one caption; `mirrored`
    where it reads as in a mirror; for counters and clocks `readings`, a list of [time_s, text], one each second.

    Summary: `texts`, `overlays`, `languages` (count by language), `detections` (pictures looked at).
    Empty: no text was found with a score of `min_score` in two pictures (or a long, sure one in a single picture).

    Gets wrong: a text that comes and goes within half a second beside others that stay; text smaller than about 9 px in
    a picture of 640 px; decorated, hand-written or strongly tilted lettering; animated captions that slide (called
    scene_text) and signs that are switched on in a still shot (called overlay). Spaces in large type may be missing.
    """

    spec = AnalyzerSpec(
        name="text_overlay",
        version="1",
        lane="gpu_worker_1",
        needs={Need.FRAMES, Need.LUMA},
        gives="text, language, overlay or lettering in the scene, from-to",
    )
    min_score: float = 0.8

    def load(self) -> None:
        from rapidocr import RapidOCR

        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        limits = {"Det.limit_type": "max", "Det.limit_side_len": FINE_PX}
        self._engine = RapidOCR(params={"Global.log_level": "critical", **limits, **threads})

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        from importlib.metadata import version

        backend = f"RapidOCR {version('rapidocr')}"
        if min(clip.frames.shape[1:3]) < MIN_SIDE_PX:
            return Analysis.nothing("the picture is too small to hold text", backend=backend)
        tracks, detections = self._follow(clip)
        kept = sorted((t for t in tracks if self._holds(t, clip)), key=lambda t: (t.first, t.box[1], t.box[0]))
        summary: dict[str, Any] = {"texts": len(kept), "detections": detections}
        if not kept:
            return Analysis.nothing("no text was found in the picture", backend=backend, summary=summary)
        blocks = caption_blocks(kept)
        words = {n: " ".join(t.best.text for t, b in zip(kept, blocks, strict=True) if b == n) for n in blocks}
        segments = [_segment(t, b, language_of(words[b]), clip) for t, b in zip(kept, blocks, strict=True)]
        segments.sort(key=lambda s: s.start_s)
        summary["overlays"] = sum(s.label == "overlay" for s in segments)
        languages = [language_of(text) or "unknown" for text in words.values()]
        summary["languages"] = {name: languages.count(name) for name in sorted(set(languages))}
        return Analysis(segments, summary, backend, model="PP-OCRv6 small, bundled")

    def _follow(self, clip: Clip) -> tuple[list[TextTrack], int]:
        """All that looks like text, over the pictures of the clip, and in how many of them it was looked for."""
        import cv2

        done: list[TextTrack] = []
        open_tracks: list[TextTrack] = []
        strokes_then: np.ndarray | None = None
        fine_tick, looked_s, detections = -1, -1.0, 0
        for i, time_s in enumerate(clip.frame_times_s):
            gray = cv2.cvtColor(clip.frames[i], cv2.COLOR_RGB2GRAY)
            seen = [t for t in open_tracks if t.likeness(gray) >= SAME_PATCH]
            lost = [t for t in open_tracks if t not in seen]
            for track in seen:
                track.last = i
            strokes = stroke_map(gray)
            new = strokes_then is None or float((strokes - strokes_then).max()) > NEW_STROKES
            counting = any(t.counts for t in open_tracks)
            tick = int(time_s / FINE_EVERY_S + 1e-6)
            fine = tick > fine_tick and (new or counting or bool(lost))
            gone = any(self._reads(t) and not t.counts for t in lost)
            coarse = gone or (new and time_s - looked_s >= COARSE_EVERY_S - 1e-6)
            if fine or coarse:
                found = self._detect(clip.frames[i], FINE_PX if fine else COARSE_PX)
                fresh = self._match(found, open_tracks, seen, i, float(time_s), clip.frames[i], gray, fine)
                for track in fresh:
                    _look_back(track, clip)
                open_tracks += fresh
                strokes_then, looked_s, detections = strokes, float(time_s), detections + 1
                fine_tick = tick if fine else fine_tick
            done += [t for t in open_tracks if t.last < i and not t.counts]
            open_tracks = [t for t in open_tracks if t.last == i or t.counts]
        return done + open_tracks, detections

    def _detect(self, picture: np.ndarray, long_side_px: int) -> list[np.ndarray]:
        """Corners of what looks like text: (4, 2) float32 pixels each, clockwise from the top left."""
        import cv2

        factor = min(1.0, long_side_px / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else picture
        bgr = np.ascontiguousarray(small[..., ::-1])
        # the flags stay as they were in the call before unless all are given
        found = self._engine(bgr, use_det=True, use_cls=False, use_rec=False)
        return [] if found.boxes is None else [np.asarray(q, np.float32) / factor for q in found.boxes]

    def _match(
        self,
        found: Sequence[np.ndarray],
        open_tracks: Sequence[TextTrack],
        seen: list[TextTrack],
        i: int,
        time_s: float,
        picture: np.ndarray,
        gray: np.ndarray,
        again: bool,
    ) -> list[TextTrack]:
        """Continue open tracks with what was detected in picture `i`; return the tracks that begin with it."""
        fresh: list[TextTrack] = []
        for quad in found:
            box = _box_of(quad, gray)
            if box is None:
                continue
            here = max(seen, key=lambda t: overlap(t.box, box)[0], default=None)
            if here and overlap(here.box, box)[0] >= SAME_PLACE:
                look_again = is_count(here.best.text) or here.best.score < SURE or here.likeness(gray) < 0.9
                if not (again and look_again):
                    here.boxes.append(box)
                    continue
            elif moved := next((t for t in open_tracks if overlap(t.box, box)[1] and t.found_again(gray, box)), None):
                moved.last = i
                continue
            for reading, part in self._read(picture, quad, time_s):
                part_box = _box_of(part, gray)
                if part_box is None:
                    continue
                track = _continued(open_tracks, reading, part_box, i)
                if track:
                    track.readings.append(reading)
                    track.last = i
                    track.move_to(part_box, gray)
                    continue
                for replaced in [t for t in seen if overlap(t.box, part_box)[1] >= SAME_PLACE]:
                    # its place is taken by another text, however alike the strokes
                    replaced.last = i - 1 if replaced.last == i else replaced.last
                fresh.append(TextTrack(part_box, cut_out(gray, part_box), i, i, [reading]))
        return fresh

    def _read(self, picture: np.ndarray, quad: np.ndarray, time_s: float) -> Iterator[tuple[Reading, np.ndarray]]:
        """What stands inside the corners, and which corners each line has."""
        crop = _upright(picture, quad)
        text, score = self._recognise(crop)
        if score < SURE:
            halves = [self._recognise(h) for h in np.array_split(crop, 2)] if crop.shape[1] < 4 * crop.shape[0] else []
            if halves and min(s for _, s in halves) >= SURE and all(len(plain(t)) >= 3 for t, _ in halves):
                for (line, sure), corners in zip(halves, _upper_and_lower(quad), strict=True):
                    yield Reading(time_s, line, sure), corners
                return
            flipped, sure = self._recognise(crop[:, ::-1])
            if sure >= SURE and len(plain(flipped)) >= 4:
                yield Reading(time_s, flipped, sure, mirrored=True), quad
                return
        yield Reading(time_s, text, score), quad

    def _recognise(self, crop: np.ndarray) -> tuple[str, float]:
        if min(crop.shape[:2]) < 4:
            return "", 0.0
        read = self._engine(np.ascontiguousarray(crop), use_det=False, use_cls=False, use_rec=True)
        return (read.txts[0].strip(), round(float(read.scores[0]), 4)) if read.txts else ("", 0.0)

    def _reads(self, track: TextTrack) -> bool:
        return track.best.score >= self.min_score and len(plain(track.best.text)) >= 2

    def _holds(self, track: TextTrack, clip: Clip) -> bool:
        """Whether a track is text rather than a pattern that the detector took for some."""
        height, width = clip.frames.shape[1:3]
        share = (track.box[2] - track.box[0]) * (track.box[3] - track.box[1]) / (height * width)
        if not self._reads(track) or share > MAX_SHARE:
            return False
        only_one_picture = track.last == track.first and len(clip.frame_times_s) > 1
        return not only_one_picture or (len(plain(track.best.text)) >= 4 and track.best.score >= SURE)


def stroke_map(gray: np.ndarray) -> np.ndarray:
    """Mean steepness of brightness from left to right per block of 16 px: (rows, columns) float32."""
    import cv2

    steep = cv2.absdiff(gray[:, 2:], gray[:, :-2])
    size = (max(1, steep.shape[1] // BLOCK_PX), max(1, steep.shape[0] // BLOCK_PX))
    return cv2.resize(steep, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _continued(tracks: Sequence[TextTrack], reading: Reading, box: Pixels, i: int) -> TextTrack | None:
    """The open track that a new reading continues: the same text near by, or a counter in the same place."""
    for track in tracks:
        in_place, on_top = overlap(track.box, box)
        if is_count(reading.text) and is_count(track.best.text) and in_place >= SAME_PLACE:
            track.counts = track.counts or reading.text != track.readings[-1].text
            return track
        height = max(box[3] - box[1], track.box[3] - track.box[1])
        moved_px = np.hypot(*(np.add(box[:2], box[2:]) / 2 - np.add(track.box[:2], track.box[2:]) / 2))
        near = on_top >= SAME_PLACE or moved_px < 3 * height
        if near and track.last >= i - 2 and any(same_text(r.text, reading.text) for r in track.readings[-3:]):
            return track
    return None


def _look_back(track: TextTrack, clip: Clip) -> None:
    """Move the start of a new track back over the pictures before that show the same strokes already."""
    import cv2

    while track.first > 0:
        before = cv2.cvtColor(clip.frames[track.first - 1], cv2.COLOR_RGB2GRAY)
        if track.likeness(before) < SAME_PATCH:
            return
        track.first -= 1


def _box_of(quad: np.ndarray, gray: np.ndarray) -> Pixels | None:
    height, width = gray.shape
    x0, y0 = np.clip(np.floor(quad.min(axis=0)), 0, (width, height)).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(quad.max(axis=0)), 0, (width, height)).astype(int).tolist()
    return (x0, y0, x1, y1) if x1 - x0 >= 4 and y1 - y0 >= 4 else None


def _upright(picture: np.ndarray, quad: np.ndarray) -> np.ndarray:
    """The text inside the corners as a straight BGR picture; tall ones are turned to be read as lines."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    return get_rotate_crop_image(np.ascontiguousarray(picture[..., ::-1]), quad)


def _upper_and_lower(quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    top_left, top_right, low_right, low_left = quad
    left, right = (top_left + low_left) / 2, (top_right + low_right) / 2
    return np.stack([top_left, top_right, right, left]), np.stack([left, right, low_right, low_left])


def caption_blocks(tracks: Sequence[TextTrack]) -> list[int]:
    """For each text the number of the caption it is a line of: lines below each other, of like height, at one time."""
    blocks = list(range(len(tracks)))
    for i, a in enumerate(tracks):
        for j, b in enumerate(tracks[:i]):
            if _lines_of_one(a, b):
                old, new = blocks[i], blocks[j]
                blocks = [new if n == old else n for n in blocks]
    order = {n: k for k, n in enumerate(dict.fromkeys(blocks))}
    return [order[n] for n in blocks]


def _lines_of_one(a: TextTrack, b: TextTrack) -> bool:
    upper, lower = sorted((a.box, b.box), key=lambda box: box[1])
    heights = (upper[3] - upper[1], lower[3] - lower[1])
    together = min(a.last, b.last) - max(a.first, b.first) + 1
    across = min(upper[2], lower[2]) - max(upper[0], lower[0])
    return (
        together >= 0.5 * min(a.last - a.first + 1, b.last - b.first + 1)
        and max(heights) <= 1.8 * min(heights)
        and lower[1] - upper[3] < 0.8 * min(heights)
        and across >= 0.3 * min(upper[2] - upper[0], lower[2] - lower[0])
    )


def _segment(track: TextTrack, block: int, language: str | None, clip: Clip) -> Segment:
    stay = Stay.of(track, clip)
    found = overlay_evidence(track, stay, clip)
    height, width = clip.frames.shape[1:3]
    box: Box = (track.box[0] / width, track.box[1] / height, track.box[2] / width, track.box[3] / height)
    data: dict[str, Any] = {
        "text": track.readings[0].text if track.counts else track.best.text,
        "language": language,
        "is_overlay": found.is_overlay,
        "evidence": found.reason,
        "stands": found.stands,
        "ring_change": found.ring_change,
        "picture_change": found.picture_change,
        "hits": track.last - track.first + 1,
        "block": block,
    }
    if track.best.mirrored:
        data["mirrored"] = True
    if track.counts:
        data["readings"] = [[round(r.time_s, 3), r.text] for r in track.readings]
    label = {True: "overlay", False: "scene_text", None: "text"}[found.is_overlay]
    rounded = tuple(round(v, 4) for v in box)
    score = round(min(1.0, track.best.score), 3)
    return Segment(round(stay.start_s, 3), round(stay.end_s, 3), label, score, rounded, data)
