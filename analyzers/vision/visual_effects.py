"""Effects that can be seen in the pictures themselves: flashes, freezes, blur, punch zooms, split screens, bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analyzers.clip import Clip
from analyzers.common.blends import picture_cells
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.vision import effect_rules as rules

SAMPLES_HZ = 8.0
LAYOUT_HZ = 4.0


@dataclass
class VisualEffects(Analyzer):
    """Looks for what editing leaves in the pictures, with one rule for each effect (analyzers.vision.effect_rules).

    None of them proves an edit: a camera flash in the room is a flash as well, and a lens out of focus a blur. What a
    beauty or colour filter did cannot be seen without the original and is never claimed.

    Segments, by start; label and data:
        "flash": brightness jumps up and is back within half a second; rise_levels (of 255).
        "strobe": three or more flashes in a row; flashes, rate_hz, rise_levels.
        "freeze": a moving shot stands still to the pixel; held_s.
        "blur": sharpness (variance of the Laplacian, of brightness) falls below a fifth of the shot's while the camera
            is steady; sharpness_left (0-1).
        "zoom_punch": a zoom faster than a lens; log_scale (natural logarithm; positive: in).
        "look_change": light or colour change at once inside a shot; brightness_levels, color_levels (of 255).
        "monochrome": a shot without colour in a clip with colour; color_levels.
        "split_screen": a fixed straight border at a half or third, and different motion beside it; sides, position
            (0-1).
        "mirror": one half of the picture is the other mirrored; sides.
        "bars": black bands or a blurred copy around the picture; kind, sides, first, last (where the picture begins and
            ends, 0-1).
    Confidence: none; the rules have no scale of their own. `possible` in data is always true, as a reminder.
    Summary: how often each label was found.

    Nothing: none of these was seen.
    What it gets wrong: lightning and passing headlights are flashes; a drawn scene that holds still is a freeze; door
    frames at exactly a half or third may pass for a split screen, and one with a still photograph on a side is missed;
    symmetric drawings are mirrors; without camera_analysis motion blur may pass for blur and no punch zoom is found.
    """

    spec = AnalyzerSpec(
        name="visual_effects",
        version="2",
        lane="gpu_worker_2",
        needs={Need.THUMBS, Need.LUMA},
        after=("cut_analysis",),
        uses=("camera_analysis",),
        gives="possible flash, freeze, blur, punch zoom, split screen, mirror, bars",
    )
    flash_rise_levels: float = 25.0
    freeze_s: float = 0.4
    blur_s: float = 0.25
    punch_log_scale: float = 0.12
    punch_longest_s: float = 0.7
    look_change_levels: float = 8.0
    layout_s: float = 0.5
    """Split screens, mirrors and bars that hold for less are not claimed."""

    def load(self) -> None:
        import cv2  # noqa: F401

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        cuts, camera = results["cut_analysis"], results.get("camera_analysis")
        shots = [s for s in cuts.segments if s.label == "shot"]
        blends = [s for s in cuts.segments if s.label in ("dissolve", "fade_in", "fade_out")]
        times_s, steps = np.asarray(clip.times_s), cuts.tracks["change_levels"]
        cells = picture_cells(clip.thumbs, 24)
        flashes = rules.strobes(
            rules.flashes(cells[..., 0].mean(axis=(1, 2)), times_s, self.flash_rise_levels), times_s
        )
        found = [_segment(label, s, times_s, clip.video_end_s) for label, s in flashes]
        for shot in shots:
            first, end = shot.data["start_frame"], shot.data["end_frame"]
            shaped = [("freeze", s) for s in rules.freezes(steps, times_s, first, end, self.freeze_s)]
            shaped += [
                ("look_change", s) for s in rules.look_changes(cells, steps, first, end, self.look_change_levels)
            ]
            found += [_segment(label, s, times_s, shot.end_s) for label, s in shaped]
            found += self._blurs(clip, shot, camera)
            found += self._layout(clip, shot)
        found += _monochrome(cells, shots)
        if camera is not None and "zoom" in camera.tracks:
            at_s = camera.tracks["camera_times_s"]
            punches = rules.zoom_punches(
                camera.tracks["zoom"], camera.tracks["inlier_share"], at_s, self.punch_log_scale, self.punch_longest_s
            )
            found += [_segment("zoom_punch", s, at_s, clip.video_end_s) for s in punches]
        found = [
            s for s in found if s.label not in ("freeze", "blur", "look_change", "zoom_punch") or not _inside(s, blends)
        ]
        found = [s for s in found if s.label not in ("look_change", "blur") or not _beside_flash(s, found)]
        if not found:
            return Analysis.nothing("no flash, freeze, blur, punch zoom, split screen, mirror or bars", backend=BACKEND)
        segments = sorted(found, key=lambda s: (s.start_s, s.label))
        return Analysis(segments=segments, summary=dict(Counter(s.label for s in segments)), backend=BACKEND)

    def _blurs(self, clip: Clip, shot: Segment, camera: Analysis | None) -> list[Segment]:
        import cv2

        frames = _sampled(clip.times_s, shot, SAMPLES_HZ)
        times_s = np.asarray(clip.times_s)[frames]
        luma = [clip.luma[i] for i in frames]
        sharpness = np.array([float(cv2.Laplacian(y, cv2.CV_32F).var()) if y.std() > 10 else np.nan for y in luma])
        steady = np.ones(len(frames), bool)
        if camera is not None and "pan" in camera.tracks:
            speed = np.nan_to_num(np.hypot(camera.tracks["pan"], camera.tracks["tilt"]))
            steady = np.interp(times_s, camera.tracks["camera_times_s"], speed) < 0.15
        stretches = rules.blurs(sharpness, steady, times_s, self.blur_s)
        return [_segment("blur", s, times_s, shot.end_s) for s in stretches]

    def _layout(self, clip: Clip, shot: Segment) -> list[Segment]:
        """What holds for a whole shot: a split screen, a mirror, bars."""
        if shot.end_s - shot.start_s < self.layout_s:
            return []
        frames = _sampled(clip.times_s, shot, LAYOUT_HZ)
        # The last picture of a shot may already be a mixture with the next.
        luma = clip.luma[frames[:-1] if len(frames) > 2 else frames]
        found: list[tuple[str, dict[str, object]]] = []
        if (border := rules.seam(luma)) and len(luma) > 2:
            found.append(("split_screen", {"sides": border[0], "position": border[1]}))
        mirrors = {rules.mirrored(picture) for picture in luma}
        if len(mirrors) == 1 and (sides := mirrors.pop()):
            found.append(("mirror", {"sides": sides}))
        if band := rules.bars(luma):
            found.append(("bars", dict(band)))
        return [Segment(shot.start_s, shot.end_s, label, data={"possible": True} | data) for label, data in found]


BACKEND = "rules on brightness, sharpness and structure (numpy, OpenCV)"


def _sampled(times_s: np.ndarray, shot: Segment, hz: float) -> np.ndarray:
    first, end = shot.data["start_frame"], shot.data["end_frame"]
    ticks = np.floor((np.asarray(times_s[first:end]) - times_s[first]) * hz + 1e-6)
    return first + np.flatnonzero(np.diff(ticks, prepend=-1) > 0)


def _segment(label: str, stretch: rules.Stretch, times_s: np.ndarray, limit_s: float) -> Segment:
    start_s = float(times_s[stretch.first])
    end_s = float(times_s[stretch.end]) if stretch.end < len(times_s) else limit_s
    return Segment(start_s, max(start_s, min(end_s, limit_s)), label, data={"possible": True} | stretch.data)


def _monochrome(cells: np.ndarray, shots: list[Segment]) -> list[Segment]:
    levels = [float(np.abs(cells[s.data["start_frame"] : s.data["end_frame"], ..., 1:] - 128).mean()) for s in shots]
    lit = [float(cells[s.data["start_frame"] : s.data["end_frame"], ..., 0].std()) > 10 for s in shots]
    if max(levels) < 6:
        return []
    return [
        Segment(s.start_s, s.end_s, "monochrome", data={"possible": True, "color_levels": round(level, 2)})
        for s, level, visible in zip(shots, levels, lit, strict=True)
        if level < 1.5 and visible
    ]


def _inside(segment: Segment, blends: list[Segment]) -> bool:
    return any(segment.start_s <= b.end_s and segment.end_s >= b.start_s for b in blends)


def _beside_flash(segment: Segment, found: list[Segment]) -> bool:
    flashes = [s for s in found if s.label in ("flash", "strobe")]
    return any(segment.start_s < f.end_s + 0.2 and segment.end_s > f.start_s - 0.2 for f in flashes)
