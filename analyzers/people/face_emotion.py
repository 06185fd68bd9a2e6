"""Facial expression: what a face does, never what a person feels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from analyzers.clip import Clip
from analyzers.common.expressions import find_expressions
from analyzers.common.eyelids import closures, unbroken, usual_openness
from analyzers.common.face_mesh import MEASURES
from analyzers.common.runs import run_end_s, steady_runs
from analyzers.common.tracks import sample_step_s
from analyzers.common.transformers_models import ImageClassifier, half_fetched
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.weights import installed

CUES = ("smile", "mouth_open", "brow_raise", "eyes_closed")
TRACK, FACE_PX, EYE_PX, OPENNESS, MOUTH_OPEN, MOUTH_WIDTH, BROW_HEIGHT = (
    MEASURES.index(name)
    for name in ("track", "face_px", "eye_px", "eye_openness", "mouth_open", "mouth_width", "brow_height")
)


@dataclass
class FaceEmotion(Analyzer):
    """Expression cues of the main face, from the geometry of its mesh.

    It reads the measures that eye_tracking took (mediapipe FaceMesh); there is no second pass over the pictures. The
    cues follow action units of the Facial Action Coding System (Ekman and Friesen 1978): smile AU 12, mouth_open AU
    26/27, brow_raise AU 1+2, eyes_closed AU 43. They are movements, and name no emotion.

    Segments: label "smile" (mouth 0.69 eye distances wide or more), "mouth_open" (lips 0.28 or more apart),
    "brow_raise" (15 % over what is usual for this face), "eyes_closed" (longer than a blink), "neutral" (none of them,
    which is not to say that the face is at rest). Cues may overlap each other, never "neutral". confidence: None, the
    rules have no probability. data: `track` (of face_detection), `samples` (pictures), `face_px` (height of the face in
    the original), and the value that the cue rests on: `mouth_width`, `mouth_open` (in distances between the outer
    corners of the eyes), `brow_height_ratio`, `openness` (eye aspect ratio); "neutral" holds all of them, None where
    it could not be judged.

    summary: `<cue>_share` of the time watched (0-1; None where the face was too small or too short to judge it),
    `dominant` (the label that lasts longest), `watched_s`.

    With the model face_expression (a ViT, Dosovitskiy et al. 2021, trained on FER-2013-like pictures) also one segment
    per face track and 2 s of it: "expression_" and a class of the model such as "happy" or "neutral" (confidence: its
    probability), or "expression_uncertain" where the two most likely lie within 0.15. It judges the four best pictures
    (largest, sharpest, most frontal) of faces of 60 px and more, and averages. data: `track`, `probabilities` (by
    class, sum 1), `margin`, `crops_s` (when), `face_px`. summary: `expression` (of the mean over time; None if not
    clear), `expression_probabilities`, `expression_tracks` (both for each track). It too sees an expression, not a
    feeling: actors, smiles for politeness, and faces that look sad at rest.

    An empty result: no face, or none above 48 px.

    Gets wrong: a smile with closed lips and a narrow mouth is missed; a wide grimace with teeth reads as a smile; a
    hand before the mouth is guessed through; brows of a face that is turned up or down quickly.
    """

    spec = AnalyzerSpec(
        name="face_emotion",
        version="1",
        lane="gpu_worker_3",
        needs={Need.FRAMES, Need.PICTURES},
        after=("face_detection", "eye_tracking"),
        weights=("face_expression",),
        gives="expression cues: smile, open mouth, raised brows, closed eyes; with weights expressions",
    )
    min_face_px: float = 48.0
    min_eye_px: float = 20.0
    """Lids of smaller eyes cannot be told apart."""
    min_brow_face_px: float = 100.0
    smile_width: float = 0.69
    """Mouths at rest and in speech measured 0.45-0.66, smiles 0.69-0.85."""
    smile_width_closed: float = 0.74
    """With closed lips: pressed in crying they reached 0.68."""
    lips_apart: float = 0.05
    open_mouth: float = 0.28
    """Vowels reach 0.20, laughter 0.25."""
    brow_ratio: float = 1.15
    min_usual_s: float = 2.0
    """What is usual for a face is known after so long."""
    min_cue_s: float = 0.4
    max_blink_s: float = 0.5

    def load(self) -> None:
        there = installed("face_expression")
        self._model = ImageClassifier.load("face_expression", self.spec.lane) if there else None

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        cues = self._cues(clip, results)
        if self._model is None or not results["face_detection"].segments:
            return replace(cues, summary={**cues.summary, **half_fetched("face_expression")})
        seen = find_expressions(clip, results, self._model)
        segments = sorted([*cues.segments, *seen.segments], key=lambda s: (s.start_s, s.label))
        return replace(
            cues,
            segments=segments,
            summary=cues.summary | seen.summary,
            backend=f"vision transformer on crops; {cues.backend}",
            model=self._model.id,
            reason=None if segments else cues.reason,
        )

    def _cues(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        """What the mesh of the main face shows."""
        eyes = results["eye_tracking"]
        if "mesh" not in eyes.tracks:
            return Analysis.nothing(eyes.reason or "no face was measured", backend=eyes.backend)
        large = eyes.tracks["mesh"][:, FACE_PX] >= self.min_face_px
        mesh, times_s = eyes.tracks["mesh"][large], eyes.tracks["mesh_times_s"][large]
        if not len(mesh):
            return Analysis.nothing(f"no face is {self.min_face_px:.0f} px high or more", backend=eyes.backend)
        step_s = sample_step_s(times_s)
        groups = unbroken(times_s, mesh[:, TRACK], max(0.5, 3 * step_s))
        brow_ratios = self._brow_ratios(mesh, times_s, step_s)
        shown = {
            "smile": self._smiles(mesh),
            "mouth_open": mesh[:, MOUTH_OPEN] >= self.open_mouth,
            "brow_raise": brow_ratios >= self.brow_ratio,
            "eyes_closed": self._closed_eyes(mesh, times_s, groups, step_s),
        }
        min_samples = max(1, round(self.min_cue_s / step_s))
        runs = []
        for cue in CUES:
            labels = [cue if on else "" for on in shown[cue]]
            runs += [run for run in steady_runs(labels, groups, min_samples) if run[0] == cue]
        busy = {i for _, rows in runs for i in rows}
        idle = [None if i in busy else "neutral" for i in range(len(mesh))]
        runs += steady_runs(idle, groups, min_samples, max_missing=0)
        segments = [self._segment(label, rows, mesh, times_s, brow_ratios, step_s, clip) for label, rows in runs]
        if not segments:
            return Analysis.nothing("the faces were seen too briefly to judge", backend=eyes.backend)
        judged = {
            "smile": True,
            "mouth_open": True,
            "brow_raise": bool(np.isfinite(brow_ratios).any()),
            "eyes_closed": bool((mesh[:, EYE_PX] >= self.min_eye_px).any()),
        }
        samples = {label: sum(len(rows) for found, rows in runs if found == label) for label in (*CUES, "neutral")}
        return Analysis(
            segments=sorted(segments, key=lambda s: (s.start_s, s.label)),
            summary={
                **{f"{cue}_share": round(samples[cue] / len(mesh), 3) if judged[cue] else None for cue in CUES},
                "dominant": max(samples, key=lambda label: samples[label]),
                "watched_s": round(float(np.minimum(np.diff(times_s), step_s).sum() + step_s), 2),
            },
            backend=eyes.backend,
        )

    def _smiles(self, mesh: np.ndarray) -> np.ndarray:
        apart = mesh[:, MOUTH_OPEN] >= self.lips_apart
        return mesh[:, MOUTH_WIDTH] >= np.where(apart, self.smile_width, self.smile_width_closed)

    def _brow_ratios(self, mesh: np.ndarray, times_s: np.ndarray, step_s: float) -> np.ndarray:
        """Height of the brows by what is usual for this face: (pictures,), NaN where that is not known."""
        ratios = np.full(len(mesh), np.nan)
        for track in np.unique(mesh[:, TRACK]):
            own = (mesh[:, TRACK] == track) & (mesh[:, FACE_PX] >= self.min_brow_face_px)
            if own.sum() * step_s >= self.min_usual_s:
                ratios[own] = mesh[own, BROW_HEIGHT] / np.median(mesh[own, BROW_HEIGHT])
        return ratios

    def _closed_eyes(self, mesh: np.ndarray, times_s: np.ndarray, groups: list[int], step_s: float) -> np.ndarray:
        """(pictures,) bool: eyes closed for longer than a blink."""
        closed = np.zeros(len(mesh), bool)
        usual = usual_openness(times_s, mesh[:, OPENNESS])
        for rows in closures(mesh[:, OPENNESS], usual, groups, share=0.62):
            closed[rows] = times_s[rows[-1]] - times_s[rows[0]] + step_s > self.max_blink_s
        return closed & (mesh[:, EYE_PX] >= self.min_eye_px)

    def _segment(
        self,
        label: str,
        rows: list[int],
        mesh: np.ndarray,
        times_s: np.ndarray,
        brow_ratios: np.ndarray,
        step_s: float,
        clip: Clip,
    ) -> Segment:
        part, brows = mesh[rows], brow_ratios[rows]
        values = {
            "smile": {"mouth_width": _median(part[:, MOUTH_WIDTH])},
            "mouth_open": {"mouth_open": _median(part[:, MOUTH_OPEN])},
            "brow_raise": {"brow_height_ratio": _median(brows[np.isfinite(brows)])},
            "eyes_closed": {"openness": _median(part[part[:, EYE_PX] >= self.min_eye_px, OPENNESS])},
        }
        values["neutral"] = {name: value for of_cue in values.values() for name, value in of_cue.items()}
        return Segment(
            start_s=float(times_s[rows[0]]),
            end_s=run_end_s(rows, times_s, step_s, clip.video_end_s),
            label=label,
            data={
                "track": int(part[0, TRACK]),
                "samples": len(rows),
                "face_px": round(float(np.median(part[:, FACE_PX]))),
            }
            | values[label],
        )


def _median(values: np.ndarray) -> float | None:
    return round(float(np.median(values)), 3) if len(values) else None
