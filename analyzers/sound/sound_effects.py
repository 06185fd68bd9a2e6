"""Sudden sounds that are neither speech nor the beat of the music."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from analyzers.clip import AUDIO_HZ, Clip
from analyzers.common.spectra import HOP, HOP_S
from analyzers.common.transformers_models import AudioClassifier, half_fetched
from analyzers.common.voice import voice_regions_of
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.sound.audio_tags import tagged_events
from analyzers.weights import installed

NEAR_SPEECH_S = 0.2
"""Breath and plosives lie outside of what the voice detector marks."""
NEAR_BEAT_S = 0.045
SUBDIVISIONS = 2
"""Beats and the eighth notes between them are the music's own."""
PROMINENCE_DB = 3.0
"""How much louder than nine tenths of the two seconds around it an effect is."""
TRACK_START_S = 0.15
"""A track that begins with sound has an onset there that is no event."""
MAX_LENGTH_S = 2.0
FADED_DB = 15.0
TRANSIENT_S = 0.35


@dataclass
class SoundEffects(Analyzer):
    """Sudden sounds that are neither speech nor beats: knocks, pops, clicks, whooshes.

    Takes the onsets of `audio_analysis` (spectral flux, Boeck et al. 2012) and leaves out those in or beside the speech
    regions of `audio_environment`, those on the beats or half-way between them, and those that are not 3 dB louder than
    nine tenths of what sounds within a second of them.

    Segments: "transient" (fades by 15 dB within 0.35 s) or "sustained"; without a model that knows sounds nothing is
    said about what it was. No confidence. data: rise_db (mean rise of the bands at the onset), level_dbfs (loudest 50
    ms), centroid_hz, over ("music_like", "noise_like", "sound"), from_beat_s (distance to the nearest beat; None
    without beats).
    With the model audio_events (AST, Gong et al. 2021, arXiv:2104.01778; classes of AudioSet) the 24 loudest are also
    named from the sound around them (0.5 s before to 1.5 s after, so that neighbours blur): data: kind (the most likely
    class from 0.2 on that is not speech, music or silence; None if there is none), tags (up to 5 classes from 0.1 on,
    each with its own probability); confidence: that of the kind.
    Summary: effects, effects_per_minute, onsets, onsets_in_speech, onsets_on_beats.

    Empty result: no onset is left, or the track is silent.
    What it gets wrong: an effect on a beat is taken for the beat, one under speech for speech; music without a steady
    beat leaves some of its loud notes here; a slow riser has no onset.
    """

    spec = AnalyzerSpec(
        name="sound_effects",
        version="1",
        lane="gpu_worker_3",
        needs={Need.AUDIO},
        after=("audio_analysis", "audio_environment"),
        weights=("audio_events",),
        gives="sudden sounds beside speech and beats, with strength; with weights what they may be",
    )
    min_level_dbfs: float = -45.0

    def load(self) -> None:
        there = installed("audio_events")
        self._tagger = AudioClassifier.load("audio_events", self.spec.lane) if there else None

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        backend = "spectral flux of audio_analysis, silero-vad regions of audio_environment"
        measured, environment = results["audio_analysis"], results["audio_environment"]
        if measured.reason:
            return Analysis.nothing(measured.reason, backend=backend)
        tracks = measured.tracks
        onsets_s, level_dbfs = tracks["onset_times_s"], tracks["level_dbfs"]
        spoken = in_stretches(onsets_s, [(v.start_s, v.end_s) for v in voice_regions_of(environment)], NEAR_SPEECH_S)
        distance_s = distance_to(onsets_s, tracks["beat_times_s"])
        on_grid = distance_to(onsets_s, beat_grid_s(tracks["beat_times_s"])) <= NEAR_BEAT_S
        audio = np.asarray(clip.audio)
        left = ~spoken & ~on_grid & (onsets_s >= TRACK_START_S)
        segments = []
        for onset_s, beat_s in zip(onsets_s[left], distance_s[left], strict=True):
            frame = round(float(onset_s) / HOP_S)
            loudest_dbfs = float(level_dbfs[frame : frame + 5].max())
            if loudest_dbfs < max(self.min_level_dbfs, usual_level_dbfs(level_dbfs, frame) + PROMINENCE_DB):
                continue
            length_s = fade_s(level_dbfs, frame)
            end_s = min(float(onset_s) + length_s, len(audio) / AUDIO_HZ)
            data = {
                "rise_db": round(float(tracks["onset_strength"][frame]), 1),
                "level_dbfs": round(loudest_dbfs, 1),
                "centroid_hz": round(float(np.nan_to_num(tracks["centroid_hz"][frame : frame + 5]).max())),
                "over": kind_at(environment, float(onset_s)),
                "from_beat_s": round(float(beat_s), 3) if np.isfinite(beat_s) else None,
            }
            label = "transient" if length_s <= TRANSIENT_S else "sustained"
            segments.append(Segment(round(float(onset_s), 3), round(end_s, 3), label, data=data))
        found = Analysis(
            segments=segments,
            summary={
                "effects": len(segments),
                "effects_per_minute": round(60 * len(segments) / (len(audio) / AUDIO_HZ), 1),
                "onsets": len(onsets_s),
                "onsets_in_speech": int(spoken.sum()),
                "onsets_on_beats": int((on_grid & ~spoken).sum()),
                **half_fetched("audio_events"),
            },
            backend=backend,
            reason=None if segments else "no sudden sound stands out beside speech and beats",
            coverage=measured.coverage,
        )
        if self._tagger is None or not segments:
            return found
        named = tagged_events(self._tagger, audio, segments)
        return replace(found, segments=named, backend=f"AST; {backend}", model=self._tagger.id)


def in_stretches(times_s: np.ndarray, stretches_s: list[tuple[float, float]], margin_s: float) -> np.ndarray:
    """Which times lie in one of the stretches or within a margin of it: (times,) bool."""
    inside = np.zeros(len(times_s), bool)
    for start_s, end_s in stretches_s:
        inside |= (times_s >= start_s - margin_s) & (times_s <= end_s + margin_s)
    return inside


def beat_grid_s(beats_s: np.ndarray) -> np.ndarray:
    """Beats and equal parts between neighbours, and one beat on before the first and after the last."""
    if len(beats_s) < 2:
        return beats_s
    steps_s = np.diff(beats_s)
    beats_s = np.concatenate([[beats_s[0] - steps_s[0]], beats_s, [beats_s[-1] + steps_s[-1]]])
    at = np.arange((len(beats_s) - 1) * SUBDIVISIONS + 1) / SUBDIVISIONS
    return np.interp(at, np.arange(len(beats_s)), beats_s)


def distance_to(times_s: np.ndarray, marks_s: np.ndarray) -> np.ndarray:
    """Seconds from each time to the nearest mark: (times,); infinite without marks."""
    if not len(marks_s):
        return np.full(len(times_s), np.inf)
    return np.abs(times_s[:, None] - marks_s[None]).min(axis=1)


def kind_at(environment: Analysis, time_s: float) -> str:
    """What `audio_environment` says sounds at a time beside speech."""
    kinds = [s.label for s in environment.segments if s.start_s <= time_s < s.end_s]
    return next((k for k in ("music_like", "noise_like") if k in kinds), "sound")


def usual_level_dbfs(level_dbfs: np.ndarray, frame: int) -> float:
    """The level that nine tenths of the frames within a second stay below, without the 0.3 s from the frame on."""
    second = round(1 / HOP_S)
    around = np.concatenate(
        [level_dbfs[max(0, frame - second) : max(0, frame - 3)], level_dbfs[frame + 30 : frame + second]]
    )
    return float(np.quantile(around, 0.9)) if len(around) else -np.inf


def fade_s(level_dbfs: np.ndarray, frame: int) -> float:
    """Seconds from an onset until the sound is `FADED_DB` below its loudest, or back to where it began."""
    after = level_dbfs[frame : frame + round(MAX_LENGTH_S / HOP_S)]
    loudest = int(after[:10].argmax())
    before = float(level_dbfs[max(0, frame - 5)])
    faded = after[loudest:] <= max(float(after[loudest]) - FADED_DB, before)
    steps = loudest + int(faded.argmax()) if faded.any() else len(after)
    return max(steps, 1) * (HOP / AUDIO_HZ)
