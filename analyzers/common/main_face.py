"""The face that counts at each time of a video, out of those that face_detection found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analyzers.contract import Analysis, Box


@dataclass(frozen=True)
class MainFace:
    """The most prominent face at each time: of those in the picture, the one that takes the most room in the clip."""

    faces: Analysis
    """What face_detection found; at least one face."""

    @cached_property
    def ranked(self) -> list[int]:
        """The tracks, the most prominent first: by the sum of the areas of their boxes."""
        rows = self.faces.tracks["faces"]
        areas = (rows[:, 3] - rows[:, 1]) * (rows[:, 4] - rows[:, 2])
        room = {int(i): float(areas[rows[:, 0] == i].sum()) for i in np.unique(rows[:, 0])}
        return sorted(room, key=lambda i: (-room[i], i))

    def at(self, time_s: float) -> tuple[int, Box] | None:
        """(track, box) of the main face, its box between two pictures interpolated; None where there is no face."""
        for track in self.ranked:
            if any(s.data["track"] == track and s.start_s <= time_s < s.end_s for s in self.faces.segments):
                rows, times_s = self.faces.tracks["faces"], self.faces.tracks["faces_times_s"]
                own = rows[:, 0] == track
                x0, y0, x1, y1 = (float(np.interp(time_s, times_s[own], edge)) for edge in rows[own, 1:5].T)
                return track, (x0, y0, x1, y1)
        return None

    def stretches(self, max_gap_s: float = 1.0) -> list[tuple[float, float]]:
        """When there is any face, in seconds; shorter gaps are bridged."""
        parts: list[tuple[float, float]] = []
        for s in self.faces.segments:
            if parts and s.start_s - parts[-1][1] <= max_gap_s:
                parts[-1] = (parts[-1][0], max(parts[-1][1], s.end_s))
            else:
                parts.append((s.start_s, s.end_s))
        return parts
