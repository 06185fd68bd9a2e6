"""Written text in the picture, followed over time; whether it lies on top of the picture or belongs to the scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.languages import language_of
from analyzers.common.text_evidence import Stay, overlay_evidence, strokes_in_place
from analyzers.common.text_readers import chosen_ocr, load_reader
from analyzers.common.text_tracks import (
    SAME_PATCH,
    Reading,
    TextTrack,
    box_of,
    caption_blocks,
    continued,
    cut_out,
    is_count,
    look_back,
    overlap,
    plain,
    same_height,
    stroke_map,
)
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Box, Need, Segment

FINE_PX, COARSE_PX = 640, 448
"""Long side of the picture for a thorough and for a quick detection: 40 and 20 ms on one core at 640 x 360."""
FINE_EVERY_S = 1.0
COARSE_EVERY_S = 0.5
COUNT_GONE_S = 2.0
"""A counter that was not read for so long is gone; its digits alone say nothing, since they change."""
MIN_SIDE_PX = 24
"""Pictures with a shorter side hold nothing that can be read."""
NEW_STROKES = 5.0
"""Rise of the steepness of brightness (levels over two pixels, mean of a block) that lettering may have caused."""
SURE = 0.95
"""Score from which a first reading needs no second opinion."""
MISSES = 2
"""Pictures in a row in which a text may be hidden or blurred before it counts as gone."""
SAME_PLACE = 0.5
"""Overlap of two boxes (over union, or over the smaller) from which on they are one place."""
SAME_SURELY, SAME_NUMBER = 0.9, 0.985
"""Likeness below which a text in place is read again; one digit of many changes it little."""
MAX_SHARE = 0.6
"""A short text that fills more of the picture than this is a pattern that the detector took for one."""


@dataclass(frozen=True)
class _Look:
    """One picture."""

    index: int
    time_s: float
    rgb: np.ndarray
    gray: np.ndarray


@dataclass
class TextOverlay(Analyzer):
    """Reads text in the picture, follows each one over time, and tells overlays from lettering in the scene.

    How: PP-OCRv6 small (PaddleOCR, Apache-2.0; bundled with RapidOCR; its alphabet has German umlauts and sharp s)
    detects text in pictures at 4 per second: thoroughly each second, quickly in between where new strokes appeared or
    a text was lost, not at all where the picture did not change. Between detections a text counts as there while the
    strokes at its place stay alike (normalised correlation weighted by steepness). It is read when it is new and again
    each second while it looks different or is a number; the reading with most weight wins. Start and end are then
    refined to the picture on the small brightness pictures where the text is large enough to be seen there. With
    TIKTOK_ASSETS_OCR=easyocr, EasyOCR (Apache-2.0) detects and reads instead, which asks for its weights and a GPU.

    Segments, one per text line: `label` is "overlay" (lies on the picture), "scene_text" (moves with the scene) or
    "text" (cannot be told: too little moved). `confidence` is the recogniser's score of the reading, `box` where it was
    last. `data`: `text`; `language` "de", "en" or None; `is_overlay` True, False or None with `evidence`, the reason,
    and the numbers behind it: `in_place` (share of the looks at which its strokes are where they were last),
    `ring_change` (brightness around it, levels 0-255), `picture_change` (share of the picture, 0-1); `hits`, the
    pictures (of 4 per second) that show it; `block`, one number for all lines of a caption; `mirrored` where it reads
    as in a mirror; for counters and clocks `readings`, a list of [time_s, text], one each second.

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
        weights=("easyocr_de_en",),
        gives="text, language, overlay or lettering in the scene, from-to",
    )
    min_score: float = 0.8
    ocr: str = field(default_factory=chosen_ocr)
    """"rapidocr" or "easyocr"."""

    def load(self) -> None:
        self._reader = load_reader(self.ocr, self.spec.lane, FINE_PX)

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        backend = self._reader.backend
        if min(clip.frames.shape[1:3]) < MIN_SIDE_PX:
            return Analysis.nothing("the picture is too small to hold text", backend=backend)
        tracks, detections = self._follow(clip)
        kept = sorted((t for t in tracks if self._holds(t, clip)), key=lambda t: (t.first, t.box[1], t.box[0]))
        summary: dict[str, Any] = {"texts": len(kept), "detections": detections}
        if not kept:
            return Analysis.nothing("no text was found in the picture", backend=backend, summary=summary)
        blocks = caption_blocks(kept)
        words = {n: " ".join(t.best.text for t, b in zip(kept, blocks, strict=True) if b == n) for n in blocks}
        segments = [_segment(t, b, language_of(words[b]), kept, clip) for t, b in zip(kept, blocks, strict=True)]
        segments.sort(key=lambda s: s.start_s)
        summary["overlays"] = sum(s.label == "overlay" for s in segments)
        languages = [language_of(text) or "unknown" for text in words.values()]
        summary["languages"] = {name: languages.count(name) for name in sorted(set(languages))}
        return Analysis(segments, summary, backend, model=self._reader.model)

    def _follow(self, clip: Clip) -> tuple[list[TextTrack], int]:
        """All that looks like text, over the pictures of the clip, and in how many of them it was looked for."""
        import cv2

        done: list[TextTrack] = []
        open_tracks: list[TextTrack] = []
        strokes_then: np.ndarray | None = None
        fine_tick, looked_s, detections = -1, -1.0, 0
        for i, time_s in enumerate(clip.frame_times_s.tolist()):
            look = _Look(i, time_s, clip.frames[i], cv2.cvtColor(clip.frames[i], cv2.COLOR_RGB2GRAY))
            seen = [t for t in open_tracks if t.likeness(look.gray) >= SAME_PATCH]
            for track in seen:
                track.last = i
            lost = any(t.last == i - 1 and self._reads(t) and not t.counts for t in open_tracks)
            strokes = stroke_map(look.gray)
            new = strokes_then is None or float((strokes - strokes_then).max()) > NEW_STROKES
            tick = int(time_s / FINE_EVERY_S + 1e-6)
            count = any(
                t.counts or (is_count(t.best.text) and t.likeness(look.gray) < SAME_NUMBER) for t in open_tracks
            )
            fine = tick > fine_tick and (new or lost or count)
            if fine or lost or (new and time_s - looked_s >= COARSE_EVERY_S - 1e-6):
                found = self._detect(look.rgb, FINE_PX if fine else COARSE_PX)
                fresh = self._match(found, open_tracks, seen, look, again=fine)
                for track in fresh:
                    look_back(track, clip.frames)
                open_tracks += fresh
                strokes_then, looked_s, detections = strokes, time_s, detections + 1
                fine_tick = tick if fine else fine_tick
            over = [t for t in open_tracks if t.replaced or not _may_return(t, look)]
            done += over
            open_tracks = [t for t in open_tracks if t not in over]
        return done + open_tracks, detections

    def _detect(self, picture: np.ndarray, long_side_px: int) -> list[np.ndarray]:
        """Corners of what looks like text: (4, 2) float32 pixels each, clockwise from the top left."""
        import cv2

        factor = min(1.0, long_side_px / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else picture
        return [quad / np.float32(factor) for quad in self._reader.detect(np.ascontiguousarray(small[..., ::-1]))]

    def _match(
        self,
        found: Sequence[np.ndarray],
        tracks: Sequence[TextTrack],
        seen: Sequence[TextTrack],
        look: _Look,
        again: bool,
    ) -> list[TextTrack]:
        """Continue open tracks with what was detected in a picture; return the tracks that begin with it.

        Args:
            found: corners from `_detect`.
            tracks: all open ones.
            seen: those of them whose strokes are in place in this picture.
            again: whether to read again what looks different or is a number.
        """
        fresh: list[TextTrack] = []
        for quad in found:
            if not (box := box_of(quad, look.gray)):
                continue
            here = max(seen, key=lambda t: overlap(t.box, box)[0], default=None)
            if here and overlap(here.box, box)[0] >= SAME_PLACE:
                looks_new = is_count(here.best.text) or here.best.score < SURE or here.likeness(look.gray) < SAME_SURELY
                if not (again and looks_new):
                    if same_height(here.box, box):
                        here.boxes.append(box)
                    continue
            elif moved := next((t for t in tracks if overlap(t.box, box)[1] and t.found_again(look.gray, box)), None):
                moved.last = look.index
                continue
            for reading, part in self._read(look.rgb, quad, look.time_s):
                if not (box := box_of(part, look.gray)):
                    continue
                if track := continued(tracks, reading, box):
                    track.readings.append(reading)
                    track.last = look.index
                    track.move_to(box, look.gray)
                    continue
                for other in [t for t in seen if overlap(t.box, box)[1] >= SAME_PLACE]:
                    other.replaced, other.last = True, max(other.first, look.index - 1)
                fresh.append(TextTrack(box, cut_out(look.gray, box), look.index, look.index, [reading]))
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
        return self._reader.recognise(np.ascontiguousarray(crop))

    def _reads(self, track: TextTrack) -> bool:
        return track.best.score >= self.min_score and len(plain(track.best.text)) >= 2

    def _holds(self, track: TextTrack, clip: Clip) -> bool:
        """Whether a track is text rather than a pattern that the detector took for some."""
        height, width = clip.frames.shape[1:3]
        share = (track.box[2] - track.box[0]) * (track.box[3] - track.box[1]) / (height * width)
        long_and_sure = len(plain(track.best.text)) >= 4 and track.best.score >= SURE
        in_one_picture = track.last == track.first and len(clip.frame_times_s) > 1
        return self._reads(track) and (long_and_sure or not (in_one_picture or share > MAX_SHARE))


def _may_return(track: TextTrack, look: _Look) -> bool:
    if track.counts:
        return look.time_s - track.readings[-1].time_s < COUNT_GONE_S
    return track.last >= look.index - MISSES


def _upright(picture: np.ndarray, quad: np.ndarray) -> np.ndarray:
    """The text inside the corners as a straight BGR picture; tall ones are turned to be read as lines."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    return get_rotate_crop_image(np.ascontiguousarray(picture[..., ::-1]), quad)


def _upper_and_lower(quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    top_left, top_right, low_right, low_left = quad
    left, right = (top_left + low_left) / 2, (top_right + low_right) / 2
    return np.stack([top_left, top_right, right, left]), np.stack([left, right, low_right, low_left])


def _segment(track: TextTrack, block: int, language: str | None, kept: Sequence[TextTrack], clip: Clip) -> Segment:
    looks = strokes_in_place(track, clip)
    stay = Stay.of(track, looks, clip)
    texts = [t.box for t in kept if t.first <= track.last + 1 and track.first <= t.last + 1]
    found = overlay_evidence(track, stay, looks, texts, clip)
    height, width = clip.frames.shape[1:3]
    box: Box = (track.box[0] / width, track.box[1] / height, track.box[2] / width, track.box[3] / height)
    data: dict[str, Any] = {
        "text": track.readings[0].text if track.counts else track.best.text,
        "language": language,
        "is_overlay": found.is_overlay,
        "evidence": found.reason,
        "in_place": found.in_place,
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
