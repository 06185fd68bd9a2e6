"""Technical quality of the pictures: sharpness, exposure, contrast, noise, blockiness; with weights, looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.transformers_models import ImageText, half_fetched
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.vision.color_analysis import content_rows_and_columns
from analyzers.weights import installed

CLIPPED_DARK, CLIPPED_BRIGHT = 2, 253
"""8-bit luma that shows no detail any more."""
LOOKED_AT = (1 / 12, 1 / 2, 11 / 12)
"""Where in a shot the pictures for the aesthetic values are taken, as shares of its length."""
BLOCK_PX = 8
PATCH_PX = 16


@dataclass
class ContentQuality(Analyzer):
    """Measures what a camera and an encoder did to the pictures, and keeps that apart from whether they are beautiful.

    At native size, one picture each from the longest shots (others would cost a whole decode of the file):
        technical_sharpness: 1 - the no-reference blur of Crete et al. ("The Blur Effect", SPIE 2007), 0-1. Footage in
            focus reaches 0.55-0.8, footage enlarged to twice its size 0.3-0.5.
        technical_noise_levels: standard deviation of noise (of 255) after Immerkaer ("Fast Noise Variance Estimation",
            CVIU 1996), in the flattest tenth of the picture. None where all is clipped.
        technical_blockiness: step at the borders of 8 px blocks through steps elsewhere (after Wang, Sheikh and Bovik,
            ICIP 2002); 1 is none, above 1.5 is visible. Video that was enlarged after encoding hides its blocks.
    From `clip.frames`, twice a second:
        technical_brightness (mean luma, 0-1), technical_contrast (95th minus 5th percentile of luma, 0-1),
        technical_dark_share, technical_bright_share (pixels without detail, 0-1). Black bars are left out.

    Segments: one per shot; label "clean" or "flawed"; data: the values above (those at native size None for shots that
    were not read), technical_problems (list of "blurred", "dark", "overexposed", "low_contrast", "noisy", "blocky"),
    aesthetic_score (None without the model image_text). Confidence: none.
    Summary: medians over the shots, technical_problems of half of the time or more, technical_width_px,
    technical_height_px, technical_fps, aesthetic_score.
    With the model (CLIP ViT-B/32, Radford et al. 2021) three pictures of each shot are compared with pairs of
    opposite texts, after CLIP-IQA (Wang, Chan and Loy, AAAI 2023): aesthetic_score, aesthetic_quality,
    aesthetic_natural, aesthetic_calm (0-1; how much rather a picture fits the first text of a pair in `PROMPTS`; mean
    over its pictures). Summary: their means over time, and aesthetic_prompts, the pairs. They say nothing technical.
    Tracks: technical_brightness, technical_contrast; quality_times_s.

    Never empty for a clip with pictures.
    What it gets wrong: it cannot tell a dark or soft style from a mistake; fog, sky and skin look blurred, rain and
    gravel look noisy; noise that the encoder took out is not seen; the first picture of a shot is often encoded better
    than those after it. The aesthetic values order pictures of one video; by themselves they mean little, and share the
    tastes of the captions that CLIP learned from.
    """

    spec = AnalyzerSpec(
        name="content_quality",
        version="1",
        lane="gpu_worker_3",
        needs={Need.FRAMES, Need.PICTURES},
        uses=("cut_analysis",),
        weights=("image_text",),
        gives="sharpness, exposure, contrast, noise and blockiness of each shot; with weights how it looks",
    )
    native_pictures: int = 5
    sample_hz: float = 2.0
    min_sharpness: float = 0.35
    min_brightness: float = 0.18
    max_bright_share: float = 0.2
    min_contrast: float = 0.25
    max_noise_levels: float = 6.0
    max_blockiness: float = 1.5

    def load(self) -> None:
        import cv2  # noqa: F401

        self._clip = ImageText.load("image_text", self.spec.lane) if installed("image_text") else None

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        import cv2

        shots = _shots(clip, results.get("cut_analysis"))
        times_s, tones = self._tones(clip)
        native = self._native(clip, shots)
        looks = aesthetics(clip, shots, self._clip) if self._clip else [{} for _ in shots]
        segments = []
        for i, (start_s, end_s) in enumerate(shots):
            inside = (times_s >= start_s) & (times_s < end_s)
            if not inside.any():  # a shot between two samples
                inside[np.abs(times_s - (start_s + end_s) / 2).argmin()] = True
            data = {name: round(float(np.median(values[inside])), 4) for name, values in tones.items()} | native[i]
            data |= {"technical_problems": self.problems(data), "aesthetic_score": None} | looks[i]
            label = "flawed" if data["technical_problems"] else "clean"
            segments.append(Segment(start_s, end_s, label, data=data))
        return Analysis(
            segments=segments,
            summary=_summary(segments)
            | {
                "technical_width_px": clip.width,
                "technical_height_px": clip.height,
                "technical_fps": round(clip.fps, 3),
                "aesthetic_score": None,
            }
            | (_mean_looks(shots, looks) if self._clip else half_fetched("image_text")),
            backend=f"blur effect, noise and blockiness measures (OpenCV {cv2.__version__})",
            model=self._clip.id if self._clip else None,
            tracks={
                "quality_times_s": times_s,
                "technical_brightness": tones["technical_brightness"],
                "technical_contrast": tones["technical_contrast"],
            },
        )

    def problems(self, data: Mapping[str, Any]) -> list[str]:
        """Names of what is wrong by this analyzer's limits; a value of None is not a problem."""
        sharpness, noise, blocks = (data[f"technical_{name}"] for name in ("sharpness", "noise_levels", "blockiness"))
        tests = {
            "blurred": sharpness is not None and sharpness < self.min_sharpness,
            "dark": data["technical_brightness"] < self.min_brightness,
            "overexposed": data["technical_bright_share"] > self.max_bright_share,
            "low_contrast": data["technical_contrast"] < self.min_contrast,
            "noisy": noise is not None and noise > self.max_noise_levels,
            "blocky": blocks is not None and blocks > self.max_blockiness,
        }
        return [name for name, wrong in tests.items() if wrong]

    def _tones(self, clip: Clip) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        import cv2

        ticks = np.floor(np.asarray(clip.frame_times_s) * self.sample_hz + 1e-6)
        picked = np.flatnonzero(np.diff(ticks, prepend=-1) > 0)
        inside = _content(clip)
        rows = []
        for i in picked:
            luma = cv2.cvtColor(np.ascontiguousarray(clip.frames[i][inside]), cv2.COLOR_RGB2GRAY)
            shares = np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size
            low, high = np.searchsorted(shares, (0.05, 0.95))
            bright = 1 - shares[CLIPPED_BRIGHT - 1]
            rows.append((luma.mean() / 255, (high - low) / 255, shares[CLIPPED_DARK], bright))
        names = ("technical_brightness", "technical_contrast", "technical_dark_share", "technical_bright_share")
        columns = np.array(rows, np.float32).T
        return np.asarray(clip.frame_times_s)[picked], dict(zip(names, columns, strict=True))

    def _native(self, clip: Clip, shots: Sequence[tuple[float, float]]) -> list[dict[str, float | None]]:
        """Measures at native size for the longest shots, None for the others."""
        import cv2

        longest = sorted(range(len(shots)), key=lambda i: shots[i][0] - shots[i][1])[: self.native_pictures]
        found: list[dict[str, float | None]] = [dict.fromkeys(NATIVE) for _ in shots]
        top, bottom, left, right = _bounds(clip)
        for i in sorted(longest):
            start_s, end_s = shots[i]
            # Encoders put a key picture at the start of a shot, where reading is cheap.
            picture = next((p for _, p in clip.pictures(1.0, start_s=start_s, end_s=end_s)), None)
            if picture is None:
                continue
            height, width = picture.shape[:2]
            rows, columns = slice(int(top * height), int(bottom * height)), slice(int(left * width), int(right * width))
            luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            found[i] = dict(
                zip(
                    NATIVE,
                    (sharpness(luma[rows, columns]), noise_levels(luma[rows, columns]), blockiness(luma)),
                    strict=True,
                )
            )
        return found


PROMPTS = {
    "aesthetic_score": ("Beautiful photo.", "Ugly photo."),
    "aesthetic_quality": ("Good photo.", "Bad photo."),
    "aesthetic_natural": ("Natural photo.", "Synthetic photo."),
    "aesthetic_calm": ("Relaxing photo.", "Stressful photo."),
}
"""Pairs of opposite texts, in the form that CLIP-IQA gives them."""


def aesthetics(clip: Clip, shots: Sequence[tuple[float, float]], model: ImageText) -> list[dict[str, float]]:
    """For each shot, how much rather its pictures fit the first text of each pair in `PROMPTS`, 0-1."""
    times_s = [a + share * (b - a) for a, b in shots for share in LOOKED_AT]
    frames = np.abs(np.asarray(clip.frame_times_s)[None] - np.array(times_s)[:, None]).argmin(axis=1)
    shares = model.prefers(model.embed_pictures([clip.frames[i] for i in frames]), list(PROMPTS.values()))
    means = shares.reshape(len(shots), len(LOOKED_AT), len(PROMPTS)).mean(axis=1)
    return [{name: round(float(v), 4) for name, v in zip(PROMPTS, row, strict=True)} for row in means]


def _mean_looks(shots: Sequence[tuple[float, float]], looks: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    lengths_s = [max(b - a, 1e-3) for a, b in shots]
    means = {n: round(float(np.average([look[n] for look in looks], weights=lengths_s)), 4) for n in PROMPTS}
    return means | {"aesthetic_prompts": {name: list(pair) for name, pair in PROMPTS.items()}}


NATIVE = ("technical_sharpness", "technical_noise_levels", "technical_blockiness")


def sharpness(luma: np.ndarray) -> float | None:
    """1 - blur effect of Crete et al. of a (height, width) uint8 picture, 0-1; None for a plain or tiny one.

    Blurs the picture once more, and sees how much of the steps between neighbouring pixels goes: much where it was
    sharp, little where it was blurred already.
    """
    import cv2

    if min(luma.shape) < 16 or luma.std() < 4:
        return None
    y = luma.astype(np.float32)
    scores = []
    for axis, kernel in ((1, (9, 1)), (0, (1, 9))):
        steps = np.abs(np.diff(y, axis=axis))
        smooth_steps = np.abs(np.diff(cv2.blur(y, kernel), axis=axis))
        scores.append(float(np.maximum(0, steps - smooth_steps).sum() / max(float(steps.sum()), 1e-6)))
    return round(min(scores), 4)


def noise_levels(luma: np.ndarray) -> float | None:
    """Standard deviation of the noise of a (height, width) uint8 picture, in levels of 255; None if not measurable.

    Immerkaer's operator, whose response to a plane and to an edge is small, over patches; the quietest tenth of them
    has least of the picture in it. Patches that are clipped to black or white show no noise and are left out.
    """
    import cv2

    height, width = (n // PATCH_PX * PATCH_PX for n in luma.shape)
    if not height or not width:
        return None
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(luma.astype(np.float32), -1, kernel))

    def patches(values: np.ndarray) -> np.ndarray:
        grid = values[:height, :width].reshape(height // PATCH_PX, PATCH_PX, width // PATCH_PX, PATCH_PX)
        return grid.mean(axis=(1, 3)).ravel()

    brightness = patches(luma.astype(np.float32))
    sigma = patches(response)[(brightness > 16) & (brightness < 235)] * np.sqrt(np.pi / 2) / 6
    if len(sigma) < 20:
        return None
    return round(float(np.sort(sigma)[: max(2, len(sigma) // 10)].mean()), 3)


def blockiness(luma: np.ndarray) -> float | None:
    """Mean step between pixels at borders of 8 px blocks through the mean elsewhere; None without any steps.

    Args:
        luma: (height, width) uint8, all of the picture at the size it was encoded in.
    """
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(luma.astype(np.int16), axis=axis)).mean(axis=1 - axis)
        # A picture that was turned upright has its blocks start at the other end.
        starts = {0, luma.shape[axis] % BLOCK_PX}
        borders = [np.arange(1, len(steps) + 1) % BLOCK_PX == start for start in starts]
        if min(b.sum() for b in borders) < 3 or min(steps[~b].mean() for b in borders) < 0.05:
            return None
        ratios.append(max(float(steps[b].mean() / steps[~b].mean()) for b in borders))
    return round(float(np.mean(ratios)), 4)


def _shots(clip: Clip, cuts: Analysis | None) -> list[tuple[float, float]]:
    shots = [(s.start_s, s.end_s) for s in cuts.segments if s.label == "shot"] if cuts else []
    return shots or [(0.0, clip.video_end_s)]


def _bounds(clip: Clip) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of what is not black bars, in fractions of the frame."""
    frames = clip.frames[:: max(1, len(clip.frames) // 16), ::4, ::4]
    height, width = frames.shape[1:3]
    top, bottom, left, right = content_rows_and_columns(np.asarray(frames))
    return top / height, bottom / height, left / width, right / width


def _content(clip: Clip) -> tuple[slice, slice]:
    top, bottom, left, right = _bounds(clip)
    height, width = clip.frames.shape[1:3]
    return slice(int(top * height), max(1, int(bottom * height))), slice(int(left * width), max(1, int(right * width)))


def _summary(segments: Sequence[Segment]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in segments[0].data:
        known = [s.data[name] for s in segments if isinstance(s.data[name], (int, float))]
        if name.startswith("technical_") and name != "technical_problems":
            values[name] = round(float(np.median(known)), 4) if known else None
    total_s = sum(s.end_s - s.start_s for s in segments) or 1.0
    held_s: dict[str, float] = {}
    for s in segments:
        for problem in s.data["technical_problems"]:
            held_s[problem] = held_s.get(problem, 0.0) + s.end_s - s.start_s
    return values | {"technical_problems": [p for p, length_s in held_s.items() if length_s >= 0.5 * total_s]}
