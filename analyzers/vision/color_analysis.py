"""Colours of a video: palettes with names and shares, brightness, contrast, saturation, warmth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

GRAY_CHROMA = 8.0
"""Lab chroma that footage without colour stays below; compression leaves up to about 6."""
NEUTRAL_CHROMA = 10.0
"""Lab chroma below which a palette entry is called by a name of gray."""
TOO_DARK_L = 4.0
"""Mean lightness below which a picture counts as black, so that nothing can be said about its colours."""
BAR_MAX_LEVEL = 24
"""Brightest 8-bit value of a letterbox bar: limited-range black plus what compression adds."""
MIN_SHARE = 0.02
SEED_RADIUS = 30.0
"""How far, in Lab units, a palette seed pushes the next one away."""
SAME_COLOR = 12.0
"""Lab distance below which two palette entries are one colour to a viewer."""

HUES = (
    # up to this Lab hue angle in degrees: name when dark, when of middle lightness, when light
    (20.0, "dark red", "red", "pink"),
    (48.0, "dark red", "red", "pink"),
    (84.0, "brown", "orange", "beige"),
    (112.0, "olive", "yellow", "yellow"),
    (165.0, "dark green", "green", "light green"),
    (218.0, "teal", "turquoise", "turquoise"),
    (308.0, "dark blue", "blue", "light blue"),
    (345.0, "purple", "magenta", "pink"),
    (360.0, "dark red", "magenta", "pink"),
)
DARK_BELOW_L = {"brown": 58.0, "olive": 65.0, "dark blue": 28.0, "purple": 48.0, "teal": 55.0}
LIGHT_FROM_L = {"beige": 76.0, "light blue": 68.0, "pink": 65.0}
GRAYS = ((18.0, "black"), (45.0, "dark gray"), (70.0, "gray"), (90.0, "light gray"), (101.0, "white"))


@dataclass
class ColorAnalysis(Analyzer):
    """Palette and tone of each shot, and of the whole video.

    Every picture is read at thumbnail size (so colours of very small details are mixed with what surrounds them), black
    letterbox bars are cut off, and the pixels are counted in CIELAB bins of 8 units. The palette is found by weighted
    k-means over the bins, seeded without randomness as in Chang et al., "Palette-based Photo Recoloring" (SIGGRAPH
    2015); entries that a viewer would call one colour are joined.

    Segments: one per shot of `cut_analysis`, or per `window_s` where that analysis is
    not there. The label is the name of the colour with the largest share, in a fixed vocabulary (`HUES`, `GRAYS`).
    data: `palette` (list of hex, name, share 0-1, largest first; shares of what is below 2 % are left out),
    `brightness` (mean L*, 0-100), `contrast` (standard deviation of L*), `saturation` (0-1; Luebbe 2010:
    C* / sqrt(C*^2 + L*^2)), `warmth` (warm > 0 > cool; the hue term of Ou et al. 2004, 0.02 C*^1.07 cos(h - 50 deg),
    about -1.5..2), `colorfulness` (Hasler & Suesstrunk 2003; 0 none, 15 slight, 45 average, 80 strong),
    `is_grayscale` (None in black pictures).
    Summary: the same over the whole video, and `content_box` (xyxy 0-1, what is left without the bars).
    Tracks: `brightness`, `saturation`, `warmth` of each sampled picture, with their times.

    Empty result: never for a clip with pictures. Gets wrong: lit colour is what is measured, not paint (a white wall in
    evening light is orange); a tinted black-and-white film counts as colour; bars of another colour, blurred bars and
    bars with text on them are taken for content; names are for people, not exact.
    """

    spec = AnalyzerSpec(
        name="color_analysis",
        version="1",
        lane="gpu_worker_3",
        needs={Need.THUMBS},
        uses=("cut_analysis",),
        gives="palette with shares and names, brightness, contrast, saturation, warmth of each shot",
    )
    colors: int = 8
    sample_hz: float = 4.0
    window_s: float = 2.0

    def load(self) -> None:
        import cv2  # noqa: F401

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        picked = sample_indices(clip.times_s, self.sample_hz)
        times_s = np.array(clip.times_s[picked])
        rgb = np.array(clip.thumbs[picked])
        top, bottom, left, right = content_rows_and_columns(rgb)
        height, width = rgb.shape[1:3]
        rgb = rgb[:, top:bottom, left:right]
        lab = to_lab(rgb)
        cuts = results.get("cut_analysis")
        shots = [(s.start_s, s.end_s) for s in cuts.segments if s.label == "shot"] if cuts else []
        segments = []
        for start_s, end_s in shots or windows(clip.video_end_s, self.window_s):
            inside = (times_s >= start_s) & (times_s < end_s)
            if not inside.any():  # a shot that fell between two samples
                inside[np.abs(times_s - (start_s + end_s) / 2).argmin()] = True
            data = describe(lab[inside], rgb[inside], self.colors)
            segments.append(Segment(round(start_s, 3), round(end_s, 3), data["palette"][0]["name"], data=data))
        tones = {
            "brightness": lab[..., 0].mean(axis=(1, 2)),
            "saturation": saturation(lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])).mean(axis=(1, 2)),
            "warmth": warmth(lab[..., 1], lab[..., 2]).mean(axis=(1, 2)),
        }
        box = (left / width, top / height, right / width, bottom / height)
        return Analysis(
            segments=segments,
            summary=describe(lab, rgb, self.colors)
            | {
                "content_box": [round(v, 4) for v in box],
                "segments_are": "shots" if shots else f"windows of {self.window_s:g} s",
            },
            backend="CIELAB histogram and k-means (numpy, OpenCV colour conversion)",
            coverage=min(1.0, clip.video_end_s / clip.duration_s) if clip.duration_s else 1.0,
            tracks={k: v.astype(np.float32) for k, v in tones.items()} | {f"{k}_times_s": times_s for k in tones},
        )


def sample_indices(times_s: np.ndarray, hz: float) -> np.ndarray:
    """Indices of at most `hz` pictures per second, evenly by time; always the first picture."""
    ticks = np.floor(np.asarray(times_s) * hz + 1e-6)
    return np.flatnonzero(np.diff(ticks, prepend=-1) > 0)


def windows(end_s: float, window_s: float) -> list[tuple[float, float]]:
    """Equal stretches of about `window_s` seconds that fill 0..end_s."""
    edges = np.linspace(0.0, end_s, max(1, round(end_s / window_s)) + 1)
    return [(float(a), float(b)) for a, b in pairwise(edges)]


def content_rows_and_columns(rgb: np.ndarray) -> tuple[int, int, int, int]:
    """What is left of pictures without letterbox or pillarbox bars.

    Args:
        rgb: (pictures, height, width, 3) uint8.

    Returns:
        top, bottom, left, right: rows top..bottom and columns left..right (exclusive). Bars are black in every
        picture and about equally wide on both sides; all of the picture where that is not so.
    """
    brightest = rgb.max(axis=(0, 3))
    rows = _without_bars(np.quantile(brightest, 0.98, axis=1, method="lower"))
    columns = _without_bars(np.quantile(brightest, 0.98, axis=0, method="lower"))
    return (*rows, *columns)


def _without_bars(levels: np.ndarray) -> tuple[int, int]:
    lit = np.flatnonzero(levels > BAR_MAX_LEVEL)
    length = len(levels)
    if not len(lit):
        return 0, length
    before, after = int(lit[0]), length - 1 - int(lit[-1])
    if min(before, after) < 2 or abs(before - after) > max(2, 0.1 * length) or lit[-1] - lit[0] < 0.1 * length:
        return 0, length
    return before + 1, length - after - 1  # shrinking mixed a little of the bar into the first row of content


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of sRGB pictures: (..., 3) uint8 -> (..., 3) float32, L* 0-100."""
    import cv2

    flat = rgb.reshape(1, -1, 3).astype(np.float32) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2Lab).reshape(rgb.shape)


def describe(lab: np.ndarray, rgb: np.ndarray, colors: int) -> dict[str, Any]:
    """All values of a stretch of pictures; see `ColorAnalysis` for their meaning."""
    lightness, a, b = (lab[..., i].ravel() for i in range(3))
    chroma = np.hypot(a, b)
    dark = lightness.mean() < TOO_DARK_L
    return {
        "palette": palette(lab.reshape(-1, 3), colors),
        "brightness": round(float(lightness.mean()), 1),
        "contrast": round(float(lightness.std()), 1),
        "saturation": round(float(saturation(lightness, chroma).mean()), 3),
        "warmth": round(float(warmth(a, b).mean()), 3),
        "colorfulness": round(colorfulness(rgb), 1),
        "is_grayscale": None if dark else bool(np.quantile(chroma, 0.999) < GRAY_CHROMA),
    }


def saturation(lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Luebbe 2010: share of colour in what is seen, 0-1; 0 where it is too dark to say."""
    return np.where(lightness < TOO_DARK_L, 0.0, chroma / np.sqrt(chroma**2 + lightness**2 + 1e-6))


def warmth(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Ou et al. 2004: warm > 0 > cool, 0 for grays; strongest at a Lab hue of 50 and of 230 degrees."""
    return 0.02 * np.hypot(a, b) ** 1.07 * np.cos(np.arctan2(b, a) - np.deg2rad(50))


def colorfulness(rgb: np.ndarray) -> float:
    """Hasler & Suesstrunk 2003, "Measuring colourfulness in natural images", metric M3."""
    r, g, b = (rgb[..., i].astype(np.float32) for i in range(3))
    rg, yb = r - g, (r + g) / 2 - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def palette(lab: np.ndarray, colors: int) -> list[dict[str, Any]]:
    """At most `colors` colours of (pixels, 3) Lab values, largest share first: hex, name, share (0-1)."""
    bins = np.floor((lab + np.array([0, 128, 128], np.float32)) / 8).astype(np.int64)
    keys, where = np.unique(bins @ np.array([1, 32, 1024]), return_inverse=True)
    weights = np.bincount(where).astype(float)
    points = np.stack([np.bincount(where, lab[:, i]) / weights for i in range(3)], axis=1)
    centers = _k_means(points, weights, min(colors, len(keys)))
    nearest = np.linalg.norm(points[:, None] - centers[None], axis=2).argmin(axis=1)
    shares = np.bincount(nearest, weights, len(centers)) / weights.sum()
    centers, shares = _join_similar(centers, shares)
    entries = [
        {"hex": to_hex(center), "name": color_name(*center), "share": round(float(share), 3)}
        for center, share in zip(centers, shares, strict=True)
        if share >= MIN_SHARE
    ]
    return sorted(entries, key=lambda e: (-e["share"], e["hex"]))


def _k_means(points: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Weighted k-means, seeded at the heaviest points that are apart from each other (Chang et al. 2015)."""
    left = weights.copy()
    seeds = []
    for _ in range(count):
        seed = points[left.argmax()]
        seeds.append(seed)
        left = left * (1 - np.exp(-((points - seed) ** 2).sum(axis=1) / SEED_RADIUS**2))
    centers = np.array(seeds)
    for _ in range(20):
        nearest = np.linalg.norm(points[:, None] - centers[None], axis=2).argmin(axis=1)
        total = np.bincount(nearest, weights, count)
        sums = np.stack([np.bincount(nearest, weights * points[:, i], count) for i in range(3)], axis=1)
        moved = np.where(total[:, None] > 0, sums / np.maximum(total, 1e-9)[:, None], centers)
        if np.abs(moved - centers).max() < 0.1:
            break
        centers = moved
    return centers


def _join_similar(centers: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join the two nearest colours until all are at least `SAME_COLOR` apart."""
    while len(centers) > 1:
        apart = np.linalg.norm(centers[:, None] - centers[None], axis=2) + np.eye(len(centers)) * 1e3
        i, j = sorted(divmod(int(apart.argmin()), len(centers)))
        if apart[i, j] >= SAME_COLOR:
            break
        both = shares[i] + shares[j]
        if both > 0:
            centers[i] = (centers[i] * shares[i] + centers[j] * shares[j]) / both
        shares[i] = both
        centers, shares = np.delete(centers, j, axis=0), np.delete(shares, j)
    return centers, shares


def color_name(lightness: float, a: float, b: float) -> str:
    """A plain English name for a Lab colour, from `GRAYS` where there is next to no chroma, else from `HUES`."""
    chroma = float(np.hypot(a, b))
    if chroma < NEUTRAL_CHROMA or lightness < 3 or (lightness < 15 and chroma < 20):
        return next(name for limit, name in GRAYS if lightness < limit)
    hue_deg = float(np.rad2deg(np.arctan2(b, a))) % 360
    _, dark, middle, light = next(row for row in HUES if hue_deg <= row[0])
    if 20 < hue_deg <= 112 and chroma < (35 if hue_deg > 48 else 20):
        return "beige" if lightness >= 60 else "brown"
    if lightness < DARK_BELOW_L.get(dark, 35.0):
        return dark
    return light if lightness >= LIGHT_FROM_L.get(light, 70.0) and chroma < 90 else middle


def to_hex(lab: np.ndarray) -> str:
    """The sRGB colour of a Lab value such as "#1e90ff"."""
    import cv2

    rgb = cv2.cvtColor(np.asarray(lab, np.float32).reshape(1, 1, 3), cv2.COLOR_Lab2RGB).ravel()
    return "#" + "".join(f"{round(float(v) * 255):02x}" for v in np.clip(rgb, 0, 1))
