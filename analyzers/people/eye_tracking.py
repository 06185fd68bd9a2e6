"""Eyes: where a person looks, whether into the camera, and when they blink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from analyzers.clip import Clip
from analyzers.common.eyelids import closures, is_enclosed, unbroken, usual_openness
from analyzers.common.face_mesh import CROP_PX, MEASURES, face_crop, measures
from analyzers.common.main_face import MainFace
from analyzers.common.mediapipe_solution import backend, opened, solutions
from analyzers.common.runs import run_end_s, steady_runs
from analyzers.common.tracks import sample_step_s
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

GAZES = ("looking_at_camera", "left", "right", "up", "down", "away")
TRACK, EYE_PX, OPENNESS, GAZE_YAW, GAZE_PITCH, HEAD_YAW, HEAD_PITCH = (
    MEASURES.index(name)
    for name in ("track", "eye_px", "eye_openness", "gaze_yaw_deg", "gaze_pitch_deg", "head_yaw_deg", "head_pitch_deg")
)


@dataclass
class EyeTracking(Analyzer):
    """Gaze, closed eyes and blinks of the most prominent face at each time.

    mediapipe FaceMesh with refined eyes (Kartynnik et al. 2019, arXiv:1907.06724; Grishchenko et al. 2020,
    arXiv:2006.10962; Apache-2.0, inside the wheel) on crops around the faces of face_detection, 15 pictures a second.
    Gaze is the turn of the head plus that of the eyes, from the place of the iris between the corners of the eye. A
    blink is a dip of the eye aspect ratio (Soukupová and Čech 2016) below 62 % of what is usual around it, for up to
    0.5 s. Not calibrated for a person: gaze is good to about 10 degrees.

    Segments: label "looking_at_camera", "left", "right", "up", "down" (where to in the picture, not for the person),
    "away" (head turned by more than 40 degrees); "eyes_closed" (longer than a blink); "blink". confidence: of gaze, the
    share (0-1) of its pictures that say the same by themselves. data: `track` (of face_detection), `eye_px` (width of
    the eye in the original); gaze: `gaze_yaw_deg` (positive to the right of the picture), `gaze_pitch_deg` (positive
    up), `head_yaw_deg`, `head_pitch_deg`; blink and eyes_closed: `openness` (lowest eye aspect ratio),
    `usual_openness`.

    summary: `looking_at_camera_share` (of the time with a gaze), `blinks` and `blinks_per_minute` (of the time watched;
    None below 10 pictures a second), `eyes_closed_s`, `eye_px` (median), `watched_s`.

    tracks: `mesh` (pictures, 12) float32, columns `analyzers.common.face_mesh.MEASURES`; `mesh_times_s`. It is there
    for faces with small eyes too, then at 4 pictures a second: face_emotion builds on it.

    An empty result: no face, or eyes below 20 px, of which nothing is claimed.

    Gets wrong: sunglasses (the model invents eyes behind them), a hand over the eyes, looking at something close to the
    camera, and narrow eyes in laughter, which may read as closed. A wink counts as a blink.
    """

    spec = AnalyzerSpec(
        name="eye_tracking",
        version="1",
        lane="gpu_worker_3",
        needs={Need.FRAMES, Need.PICTURES},
        after=("face_detection",),
        gives="gaze, looking at the camera, blinks",
    )
    pictures_hz: float = 15.0
    min_blink_hz: float = 10.0
    """Blinks last 0.1-0.4 s; with fewer pictures they fall between them."""
    min_eye_px: float = 20.0
    eye_per_face: float = 6.0
    """Height of a face box by the width of an eye, measured 5.0-6.4: tells beforehand that eyes are too small."""
    camera_yaw_deg: float = 12.0
    camera_pitch_deg: float = 17.0
    away_yaw_deg: float = 40.0
    blink_openness: float = 0.62
    max_blink_s: float = 0.5
    min_gaze_s: float = 0.3

    def load(self) -> None:
        self._solution = solutions().face_mesh.FaceMesh

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        name, faces = backend("FaceMesh, refined"), results["face_detection"]
        if not faces.segments:
            return Analysis.nothing("no face was found", backend=name)
        mesh, times_s = self._mesh(clip, faces)
        if not len(mesh):
            return Analysis.nothing("the faces that were found show no eyes", backend=name)
        tracks = {"mesh": mesh, "mesh_times_s": times_s}
        eye_px = {track: float(np.median(mesh[mesh[:, TRACK] == track, EYE_PX])) for track in np.unique(mesh[:, TRACK])}
        if max(eye_px.values()) < self.min_eye_px:
            reason = f"the eyes are {max(eye_px.values()):.0f} px wide, too small to tell where they look"
            return Analysis.nothing(reason, backend=name, tracks=tracks)
        large = [eye_px[track] >= self.min_eye_px for track in mesh[:, TRACK]]
        mesh, times_s = mesh[large], times_s[large]
        step_s = sample_step_s(times_s)
        counted = step_s <= 1 / self.min_blink_hz + 0.005
        groups = unbroken(times_s, mesh[:, TRACK], 3 * step_s)
        usual = usual_openness(times_s, mesh[:, OPENNESS])
        labels: list[str | None] = [self._gaze(row) for row in steadied(mesh, groups)]
        blinks: list[list[int]] = []
        for rows in closures(mesh[:, OPENNESS], usual, groups, self.blink_openness):
            short = times_s[rows[-1]] - times_s[rows[0]] + step_s <= self.max_blink_s
            labels[rows[0] : rows[-1] + 1] = [None if short else "eyes_closed"] * len(rows)
            if short and counted and is_enclosed(rows, groups):
                blinks.append(rows)
        runs = steady_runs(
            labels, groups, max(1, round(self.min_gaze_s / step_s)), max_missing=ceil(self.max_blink_s / step_s)
        )
        found = runs + [("blink", rows) for rows in blinks]
        segments = [self._segment(label, rows, mesh, times_s, usual, clip) for label, rows in found]
        seconds = {
            label: sum(s.end_s - s.start_s for s in segments if s.label == label) for label in (*GAZES, "eyes_closed")
        }
        gaze_s, watched_s = sum(seconds[g] for g in GAZES), float(np.minimum(np.diff(times_s), step_s).sum() + step_s)
        return Analysis(
            segments=sorted(segments, key=lambda s: (s.start_s, s.label)),
            summary={
                "looking_at_camera_share": round(seconds["looking_at_camera"] / gaze_s, 3) if gaze_s else None,
                "blinks": len(blinks) if counted else None,
                "blinks_per_minute": round(60 * len(blinks) / watched_s, 1) if counted else None,
                "eyes_closed_s": round(seconds["eyes_closed"], 2),
                "eye_px": round(float(np.median(mesh[:, EYE_PX])), 1),
                "watched_s": round(watched_s, 2),
            },
            backend=name,
            tracks=tracks,
        )

    def _mesh(self, clip: Clip, faces: Analysis) -> tuple[np.ndarray, np.ndarray]:
        """One pass over the main face: (pictures, len(MEASURES)) float32 and (pictures,) seconds."""
        main = MainFace(faces)
        rows, times_s = [], []
        with opened(lambda: self._solution(max_num_faces=1, refine_landmarks=True)) as model:
            for time_s, picture in self._pictures(clip, main, faces.summary["height_px_max"]):
                face = main.at(time_s)
                if face is None:
                    continue
                track, box = face
                crop, px = face_crop(picture, box)
                found = model.process(crop).multi_face_landmarks
                if not found:
                    continue
                px *= clip.width / picture.shape[1] * CROP_PX
                row = measures(np.array([(p.x, p.y, p.z) for p in found[0].landmark]) * px)
                row |= {"track": track, "face_px": (box[3] - box[1]) * clip.height}
                rows.append([row[name] for name in MEASURES])
                times_s.append(time_s)
        return np.array(rows, np.float32).reshape(-1, len(MEASURES)), np.array(times_s)

    def _pictures(self, clip: Clip, main: MainFace, face_px: int) -> Iterator[tuple[float, np.ndarray]]:
        """Pictures around faces: many and sharp where eyes are large enough, else what is decoded already."""
        if face_px < self.min_eye_px * self.eye_per_face:
            yield from zip(clip.frame_times_s.tolist(), clip.frames, strict=True)
            return
        long_px = max(clip.width, clip.height)
        long_px = min(long_px, max(640, ceil(long_px * CROP_PX / 2 / face_px)))
        for start_s, end_s in main.stretches():
            yield from clip.pictures(self.pictures_hz, long_px, start_s, end_s)

    def _gaze(self, row: np.ndarray) -> str | None:
        """What one row of `mesh` says; None where the eyes are closed."""
        yaw, pitch = row[GAZE_YAW], row[GAZE_PITCH]
        if abs(row[HEAD_YAW]) > self.away_yaw_deg:
            return "away"
        if np.isnan(yaw):
            return None
        if abs(yaw) <= self.camera_yaw_deg and abs(pitch) <= self.camera_pitch_deg:
            return "looking_at_camera"
        if abs(yaw) / self.camera_yaw_deg >= abs(pitch) / self.camera_pitch_deg:
            return "right" if yaw > 0 else "left"
        return "up" if pitch > 0 else "down"

    def _segment(
        self,
        label: str,
        rows: list[int],
        mesh: np.ndarray,
        times_s: np.ndarray,
        usual: np.ndarray,
        clip: Clip,
    ) -> Segment:
        part = mesh[rows]
        data = {"track": int(part[0, TRACK]), "eye_px": round(float(np.median(part[:, EYE_PX])), 1)}
        if label in GAZES:
            data |= {
                MEASURES[c]: None if np.isnan(part[:, c]).all() else round(float(np.nanmedian(part[:, c])), 1)
                for c in (GAZE_YAW, GAZE_PITCH, HEAD_YAW, HEAD_PITCH)
            }
        else:
            data |= {
                "openness": round(float(part[:, OPENNESS].min()), 3),
                "usual_openness": round(float(np.median(usual[rows])), 3),
            }
        return Segment(
            start_s=float(times_s[rows[0]]),
            end_s=run_end_s(rows, times_s, sample_step_s(times_s), clip.video_end_s),
            label=label,
            confidence=round(sum(self._gaze(row) == label for row in part) / len(rows), 3) if label in GAZES else None,
            data=data,
        )


def steadied(mesh: np.ndarray, groups: Sequence[int]) -> np.ndarray:
    """`mesh` with its gaze replaced by the median over five pictures of the same group with open eyes."""
    steady = mesh.copy()
    columns = [GAZE_YAW, GAZE_PITCH]
    for i in range(len(mesh)):
        near = [j for j in range(max(0, i - 2), min(len(mesh), i + 3)) if groups[j] == groups[i]]
        around = mesh[near][:, columns]
        around = around[~np.isnan(around).any(1)]
        if not np.isnan(mesh[i, GAZE_YAW]):
            steady[i, columns] = np.median(around, axis=0)
    return steady
