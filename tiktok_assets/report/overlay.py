"""What can be drawn over the picture: boxes, skeletons, hands and looks, as whole numbers for the page's script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analyzers.common.body import seen_keypoints
from analyzers.common.face_mesh import MEASURES

KINDS = {
    "faces": "Faces",
    "poses": "Poses",
    "hands": "Hands",
    "objects": "Objects",
    "text": "Text",
    "areas": "Areas",
}
"""What can be switched on apart, in the order in which labels get their places."""
KIND_OF = {
    "face_detection": "faces",
    "eye_tracking": "faces",
    "body_pose": "poses",
    "hand_gesture": "hands",
    "object_detection": "objects",
    "text_overlay": "text",
}
"""Boxes of every other analyzer are areas."""
FACE_WORDS = ("face_emotion", "age_estimation")
"""Analyzers whose labels stand beside the face with the same `track`; a box of their own would repeat it."""
SCALE = 1000
"""Whole numbers are thousandths of the picture: 2 px at most on a 4K screen."""
MAX_NUMBERS = 24_000
"""Per series, about 100 kB; a longer one is thinned evenly. Two hands in each of 240 pictures need 21,000."""
BODY_POINTS = (0, 2, 5, 7, 8, *range(11, 17), *range(23, 29), 31, 32)
"""Of the 33 keypoints of BlazePose those that show how a body stands: nose, eyes, ears, limbs, toes."""
BODY_CHAINS = (
    (7, 2, 0, 5, 8),
    (11, 12),
    (23, 24),
    (11, 13, 15),
    (12, 14, 16),
    (11, 23, 25, 27, 31),
    (12, 24, 26, 28, 32),
)
HAND_POINTS = 21
HAND_CHAINS = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (0, 17, 18, 19, 20), (5, 9, 13, 17))
CHAINS = {
    "body": [[BODY_POINTS.index(point) for point in chain] for chain in BODY_CHAINS],
    "hand": [list(chain) for chain in HAND_CHAINS],
}
"""Which points of a shape are joined by lines, in the order of its rows."""


Row = list[Any]
"""Time in ms, a number that tells things of a series apart, then thousandths of the picture, None where not seen."""


def overlay(results: Mapping[str, Any], tracks: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Everything that the script needs to draw over the picture.

    Args:
        results: `analyzer_results` of a report.
        tracks: per-frame series by analyzer.

    Returns:
        `series`: what moves, each with analyzer, kind, shape and rows. A row is the time in ms and a number that tells
        things of its series apart, then thousandths of the picture; None is a point that is not seen. Shape "box": x0,
        y0, x1, y1. "body", "hand": x, y of each point. "gaze" of the face with that number: yaw and pitch in degrees.
        `still`: kind by analyzer whose segments have boxes, but no series. `cuts`: their times in ms, which nothing is
        drawn across. `chains`, `words`: see `CHAINS`, `FACE_WORDS`. `kinds`: titles of the kinds that there are.
    """
    series: list[dict[str, Any]] = [
        {"analyzer": name, "kind": KIND_OF.get(name, "areas"), "shape": shape, "rows": thinned(rows)}
        for name, arrays in tracks.items()
        if name in results
        for shape, rows in _shapes(arrays)
        if rows
    ]
    series.sort(key=lambda s: s["shape"] == "gaze")  # drawn from the face that was drawn before it
    moving = {s["analyzer"] for s in series}
    still = {
        name: KIND_OF.get(name, "areas")
        for name, result in results.items()
        if name not in moving and name not in FACE_WORDS and any(s["box"] for s in result["segments"])
    }
    found = {s["kind"] for s in series if s["shape"] != "gaze"} | set(still.values())
    cuts = results.get("cut_analysis", {}).get("segments", ())
    return {
        "series": [s for s in series if s["kind"] in found],
        "still": still,
        "cuts": sorted({round(1000 * s["start_s"]) for s in cuts if s["label"] == "cut"}),
        "chains": {shape: CHAINS[shape] for shape in {s["shape"] for s in series} & CHAINS.keys()},
        "words": [name for name in FACE_WORDS if name in results],
        "kinds": {kind: title for kind, title in KINDS.items() if kind in found},
    }


def thinned(rows: Sequence[Row]) -> list[Row]:
    """The same or, where it is too much for the page, every n-th moment of it, all things of a moment together."""
    if not rows:
        return []
    times = sorted({row[0] for row in rows})
    kept = set(times[:: -(-len(rows) * len(rows[0]) // MAX_NUMBERS)])
    return [row for row in rows if row[0] in kept]


def _shapes(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, list[Row]]]:
    """Shape and rows of each array of an analyzer that can be drawn, by its name and form."""
    for name, values in arrays.items():
        times_s = arrays.get(f"{name}_times_s")
        if times_s is None or len(times_s) != len(values):
            continue
        if name == "pose" and values.shape[1:] == (33, 3):
            points = np.where(seen_keypoints(values)[..., None], values[..., :2], np.nan)[:, BODY_POINTS]
            seen = np.isfinite(points).any(axis=(1, 2))
            numbers = np.column_stack([np.zeros(len(values)), SCALE * points.reshape(len(values), -1)])
            yield "body", _rows(times_s[seen], numbers[seen])
        elif name == "hands" and values.ndim == 2 and values.shape[1] == 7 + 2 * HAND_POINTS:
            yield "hand", _rows(times_s, np.column_stack([values[:, 0], SCALE * values[:, 7:]]))
        elif name == "mesh" and values.shape[1:] == (len(MEASURES),):
            looks = values[:, [MEASURES.index(c) for c in ("track", "gaze_yaw_deg", "gaze_pitch_deg")]]
            seen = np.isfinite(looks).all(axis=1)  # not with closed eyes
            yield "gaze", _rows(times_s[seen], looks[seen])
        elif values.ndim == 2 and values.shape[1] == 6:
            seen = np.isfinite(values).all(axis=1)
            yield "box", _rows(times_s[seen], np.column_stack([values[seen, 0], SCALE * values[seen, 1:5]]))


def _rows(times_s: np.ndarray, numbers: np.ndarray) -> list[Row]:
    """Rows of whole numbers in order of time, with the time in ms before them; None for what is not finite."""
    table = np.column_stack([1000 * np.asarray(times_s, float), numbers])
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return [[round(v) if np.isfinite(v) else None for v in row] for row in table.tolist()]
