"""Written text in the picture, followed over time; whether it lies on top of the picture or belongs to the scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.languages import language_of
from analyzers.common.text_close_looks import CLOSE_PX, CloseLooks
from analyzers.common.text_evidence import Stay, overlay_evidence, strokes_in_place
from analyzers.common.text_readers import SURE, chosen_ocr, detect_at, load_reader, read_lines
from analyzers.common.text_tracks import (
    NEW_STROKES,
    SAME_PATCH,
    SAME_PLACE,
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
"""Between thorough looks while there is text or right after a cut; twice that elsewhere."""
COARSE_EVERY_S = 0.5
COUNT_GONE_S = 2.0
"""A counter that was not read for so long is gone; its digits alone say nothing, since they change."""
MIN_SIDE_PX = 24
"""Pictures with a shorter side hold nothing that can be read."""
CUT_SHARE = 0.2
"""Share of the picture with new strokes from which on it is another one, or moves as a whole."""
MISSES = 2
"""Pictures in a row in which a text may be hidden or blurred before it counts as gone."""
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
    detects text in pictures at 4 per second: thoroughly each second while there is text (without, each two seconds and
    after cuts), quickly each half second where new strokes appeared or a text was lost, not at all where the picture
    did not change. Between detections a text counts as there while the strokes at its place stay alike (normalised
    correlation weighted by steepness). It is read when it is new and again each second while it looks different or is a
    number; the reading with most weight wins. Start and end are then refined to the picture on the small brightness
    pictures where the text is large enough to be seen there. Where the file is much larger than these pictures, small
    text is read at native size at key pictures of the file, and looked for there every 8 s
    (`analyzers.common.text_close_looks`). With TIKTOK_ASSETS_OCR=easyocr, EasyOCR (Apache-2.0) detects and reads
    instead, which asks for its weights and a GPU.

    Segments, one per text line: `label` is "overlay" (lies on the picture), "scene_text" (moves with the scene) or
    "text" (cannot be told: too little moved). `confidence` is the recogniser's score of the reading, `box` where it was
    last. `data`: `text`; `language` "de", "en" or None; `is_overlay` True, False or None with `evidence`, the reason,
    and the numbers behind it: `in_place` (share of the looks at which its strokes are where they were last),
    `ring_change` (brightness around it, levels 0-255), `picture_change` (share of the picture, 0-1); `hits`, the
    pictures (of 4 per second) that show it; `block`, one number for all lines of a caption; `mirrored` where it reads
    as in a mirror; `close_look` where only native size shows what it says: it was read once, and is claimed for as long
    as its strokes stay alike at 640 px (`hits` 1 where they are too faint for that); for counters and clocks
    `readings`, a list of [time_s, text], one each second.

    Summary: `texts`, `overlays`, `languages` (count by language), `detections` (pictures looked at).
    Empty: no text was found with a score of `min_score` in two pictures (or a long, sure one in a single picture).

    Gets wrong: a text that comes and goes within half a second beside others that stay, or within two seconds if only a
    thorough look sees it; text smaller than about 9 px in a picture of 640 px, unless it is 12 px high at native size
    and there at a key picture, and then a number, a very short text, or one that is replaced by another with like
    strokes; decorated, hand-written or strongly tilted lettering; signs of light dots whose letters look alike (a V
    that is drawn as a U); animated captions that slide (called scene_text) and signs that are switched on in a still
    shot (called overlay). Spaces in narrow or large type may be missing.
    """

    spec = AnalyzerSpec(
        name="text_overlay",
        version="2",
        lane="gpu_worker_1",
        needs={Need.FRAMES, Need.LUMA, Need.PICTURES},
        weights=("easyocr_de_en",),
        gives="text, language, overlay or lettering in the scene, from-to",
    )
    min_score: float = 0.8
    ocr: str = field(default_factory=chosen_ocr)
    """"rapidocr" or "easyocr"."""

    def load(self) -> None:
        self._reader = load_reader(self.ocr, self.spec.lane, CLOSE_PX)

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
        close_looks = CloseLooks(clip, self._reader)
        fine_tick, looked_s, detections = -1, -1.0, 0
        times_s = clip.frame_times_s.tolist()
        for i, time_s in enumerate(times_s):
            look = _Look(i, time_s, clip.frames[i], cv2.cvtColor(clip.frames[i], cv2.COLOR_RGB2GRAY))
            seen = [t for t in open_tracks if t.likeness(look.gray) >= SAME_PATCH]
            for track in seen:
                track.last = i
            texts = [t for t in open_tracks if self._reads(t) and not t.close]
            lost = [t for t in texts if looked_s <= times_s[t.last] < time_s and not t.counts]
            fleeting = any(t.first == t.last == i - 1 for t in lost)  # it moves fast and may be gone by the next look
            strokes = stroke_map(look.gray)
            risen = strokes - strokes_then > NEW_STROKES if strokes_then is not None else np.ones_like(strokes, bool)
            new = bool(risen.any())
            tick = int(time_s / FINE_EVERY_S + 1e-6)
            count = any(
                t.counts or (is_count(t.best.text) and t.likeness(look.gray) < SAME_NUMBER) for t in open_tracks
            )
            calm = risen.mean() < CUT_SHARE and not texts
            fine = tick > fine_tick and not (calm and tick % 2) and bool(new or lost or count)
            if fine or fleeting or ((new or lost) and time_s - looked_s >= COARSE_EVERY_S - 1e-6):
                found = detect_at(self._reader, look.rgb, FINE_PX if fine else COARSE_PX)
                fresh = self._match(found, open_tracks, seen, look, again=fine)
                for track in fresh:
                    look_back(track, clip.frames)
                open_tracks += fresh
                strokes_then, looked_s, detections = strokes, time_s, detections + 1
                fine_tick = tick if fine else fine_tick
            open_tracks += close_looks.at(i, look.gray, strokes, open_tracks)
            over = [t for t in open_tracks if t.replaced or not _may_return(t, look)]
            done += over
            open_tracks = [t for t in open_tracks if t not in over]
        return done + open_tracks, detections + close_looks.detections

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
                if here.close or not (again and looks_new):
                    if same_height(here.box, box):
                        here.boxes.append(box)
                    continue
            elif moved := next((t for t in tracks if overlap(t.box, box)[1] and t.found_again(look.gray, box)), None):
                moved.last = look.index
                continue
            mirror = any(t.best.mirrored for t in tracks)
            for reading, part in read_lines(self._reader, look.rgb, quad, look.time_s, mirror):
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
    if track.close:
        data["close_look"] = True
    if track.counts:
        data["readings"] = [[round(r.time_s, 3), r.text] for r in track.readings]
    label = {True: "overlay", False: "scene_text", None: "text"}[found.is_overlay]
    rounded = tuple(round(v, 4) for v in box)
    score = round(min(1.0, track.best.score), 3)
    return Segment(round(stay.start_s, 3), round(stay.end_s, 3), label, score, rounded, data)
