"""How aroused a voice sounds, from its prosody; which emotion it is like, only with a model for that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from analyzers.clip import AUDIO_HZ, Clip
from analyzers.common.spectra import HOP_S, bin_hz, frame_times_s, power_frames
from analyzers.common.transcript import spoken_language
from analyzers.common.transformers_models import AudioClassifier, half_fetched, margin, named
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.weights import installed

MIN_PART_S, MAX_PART_S = 1.0, 6.0
"""A tone of voice needs about a second to show, and may change within a few."""
MIN_VOICED_S = 0.3
USUAL_ALPHA_DB, SPREAD_ALPHA_DB = -15.0, 6.0
USUAL_PITCH_HZ, SPREAD_PITCH_SEMITONES = 150.0, 7.0
USUAL_RATE, SPREAD_RATE = 4.3, 1.2
"""Calm reading and how far voices lie around it, for each cue: set from 9 recordings of read speech, film dialogue and
oratory; no emotion corpus was used."""
WEIGHTS = {"effort": 0.5, "pitch": 0.3, "rate": 0.2}
STEEPNESS = 1.5
LOW_BELOW, HIGH_FROM = 0.36, 0.64
MIN_MODEL_S, MODEL_STEP_S = 2.0, 0.5
"""The model is given at least so much, and whole steps of length, so that parts of equal length make a batch."""
MIN_MARGIN = 0.15
EMOTIONS = {"neu": "neutral", "hap": "happy", "ang": "angry", "sad": "sad"}
"""The classes of superb-er in words; classes of other models keep their names."""


@dataclass
class SpeechEmotion(Analyzer):
    """A cue for vocal arousal from three measures of prosody; by itself it names no emotion.

    Arousal, of all dimensions of emotion, is the one that prosody carries: louder effort (less steep spectrum), higher
    pitch and faster speech (Juslin & Laukka 2003; Eyben et al., "GeMAPS", 2016, whose alpha ratio is used). Each cue is
    measured against calm reading, the weighted sum (0.5 effort, 0.3 pitch, 0.2 rate) goes through a logistic function.
    Valence (glad or sad) and emotions need a model and are not guessed.

    Segments: phrases of `speech_flow` of 1 s and more, in parts of at most 6 s: "arousal_low" (below 0.36),
    "arousal_medium", "arousal_high" (0.64 and more), or "uncertain" where more than half of the part lies over music or
    the voice has too little pitch. No confidence. data: arousal (0-1, None if uncertain), alpha_ratio_db (power in
    1-5 kHz against 50-1000 Hz in voiced frames), pitch_hz (median), syllables_per_s, cues (each in spreads from calm
    reading, > 0 more aroused), why (only if uncertain).
    Summary: arousal (mean over time, None if all is uncertain), label, emotion (always None), emotion_reason.

    With the model speech_emotion (wav2vec2-base fine-tuned on IEMOCAP, Yang et al., "SUPERB", 2021: acted English
    dialogue), parts of 2 s and more are labelled by it: "neutral", "happy", "angry" or "sad" (confidence: the model's
    probability), or "uncertain" where the two most likely lie within 0.15 or there is a reason as above. Their data has
    also: emotion (None if uncertain), probabilities (by class, sum 1), margin, out_of_domain (True where
    `speech_transcription` heard another language than English, None where the language is not known). Summary then:
    emotion (of the mean over time, None if uncertain), probabilities, out_of_domain, emotion_reason (None if there is
    an emotion). It is what the voice sounds like to a model, not what a person feels.

    Empty result: nobody speaks, or no phrase is as long as a second.
    What it gets wrong: women's and children's voices lie higher and so count as more aroused by up to 0.15; a bright
    microphone or a phone call sounds like effort; an excited whisper counts as calm. Compare parts of one video rather
    than speakers.
    """

    spec = AnalyzerSpec(
        name="speech_emotion",
        version="1",
        lane="cpu_parallel",
        needs={Need.AUDIO},
        after=("audio_environment", "speech_flow", "speech_rate"),
        uses=("speech_transcription",),
        weights=("speech_emotion",),
        gives="vocal arousal cue from effort, pitch and rate; with weights an emotion with probabilities",
    )

    def load(self) -> None:
        there = installed("speech_emotion")
        self._model = AudioClassifier.load("speech_emotion", self.spec.lane) if there else None

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        backend = "prosody in numpy: alpha ratio, YIN pitch, syllable nuclei"
        flow, rate = results["speech_flow"], results["speech_rate"]
        if flow.reason:
            return Analysis.nothing(flow.reason, backend=backend)
        parts = [part for s in flow.segments if s.label == "phrase" for part in parts_of(s.start_s, s.end_s)]
        if not parts:
            return Analysis.nothing("no phrase is as long as a second", backend=backend)
        alpha_db = alpha_ratios_db(np.asarray(clip.audio))
        times_s = frame_times_s(len(alpha_db))
        pitch_hz = flow.tracks["pitch_hz"]
        syllables_s = rate.tracks.get("syllable_times_s", np.zeros(0))
        music = [(s.start_s, s.end_s) for s in results["audio_environment"].segments if s.label == "music_like"]
        segments = []
        for start_s, end_s in parts:
            voiced = (times_s >= start_s) & (times_s < end_s) & np.isfinite(pitch_hz)
            measured = {
                "alpha_ratio_db": round(float(alpha_db[voiced].mean()), 1) if voiced.any() else None,
                "pitch_hz": round(float(np.median(pitch_hz[voiced])), 1) if voiced.any() else None,
                "syllables_per_s": round(count_in(syllables_s, start_s, end_s) / (end_s - start_s), 2),
            }
            why = None
            if overlap_s(start_s, end_s, music) > 0.5 * (end_s - start_s):
                why = "music sounds along"
            elif voiced.sum() * HOP_S < MIN_VOICED_S:
                why = "too little of the voice has a pitch"
            segments.append(part_segment(start_s, end_s, measured, why))
        known = [(s.data["arousal"], s.end_s - s.start_s) for s in segments if s.data["arousal"] is not None]
        mean = sum(a * length for a, length in known) / sum(length for _, length in known) if known else None
        found = Analysis(
            segments=segments,
            summary={
                "arousal": round(mean, 2) if mean is not None else None,
                "label": label_of(mean) if mean is not None else "uncertain",
                "emotion": None,
                "emotion_reason": "prosody shows arousal, not which emotion; that needs a model",
                **half_fetched("speech_emotion"),
            },
            backend=backend,
            coverage=flow.coverage,
        )
        return with_emotions(found, np.asarray(clip.audio), self._model, spoken_language(results))


def with_emotions(
    prosody: Analysis, audio: np.ndarray, model: AudioClassifier | None, language: str | None
) -> Analysis:
    """What prosody said of the parts, and what a model says of those that are long enough; as it is without a model."""
    rows = [i for i, s in enumerate(prosody.segments) if s.end_s - s.start_s >= MIN_MODEL_S - 1e-6]
    if model is None or not rows:
        return prosody
    parts = [prosody.segments[i] for i in rows]
    probabilities = model.probabilities([model_part(audio, s.start_s, s.end_s) for s in parts])
    labels = [EMOTIONS.get(label, label) for label in model.labels]
    foreign = None if language is None else language != "en"
    segments = list(prosody.segments)
    for i, part, row in zip(rows, parts, probabilities, strict=True):
        sure = margin(row) >= MIN_MARGIN and "why" not in part.data
        emotion = labels[int(row.argmax())] if sure else None
        data = {
            **part.data,
            "emotion": emotion,
            "probabilities": named(labels, row),
            "margin": round(margin(row), 3),
            "out_of_domain": foreign,
        }
        segments[i] = replace(
            part, label=emotion or "uncertain", confidence=round(float(row.max()), 3) if sure else None, data=data
        )
    mean = np.average(probabilities, axis=0, weights=[s.end_s - s.start_s for s in parts])
    emotion = labels[int(mean.argmax())] if margin(mean) >= MIN_MARGIN else None
    summary = {
        **prosody.summary,
        "emotion": emotion,
        "emotion_reason": None if emotion else "no emotion is clearly the most likely",
        "probabilities": named(labels, mean),
        "out_of_domain": foreign,
    }
    return replace(prosody, segments=segments, summary=summary, backend=f"wav2vec2; {prosody.backend}", model=model.id)


def model_part(audio: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """The middle of a part of the sound, in whole steps of `MODEL_STEP_S`, or in all that there is."""
    length_s = math.floor((end_s - start_s) / MODEL_STEP_S + 1e-6) * MODEL_STEP_S
    first = min(round(((start_s + end_s - length_s) / 2) * AUDIO_HZ), max(0, len(audio) - round(length_s * AUDIO_HZ)))
    return audio[first : first + round(length_s * AUDIO_HZ)]


def parts_of(start_s: float, end_s: float) -> list[tuple[float, float]]:
    """A phrase in equal parts of at most `MAX_PART_S`; none if it is shorter than `MIN_PART_S`."""
    if end_s - start_s < MIN_PART_S:
        return []
    edges = np.linspace(start_s, end_s, math.ceil((end_s - start_s) / MAX_PART_S) + 1)
    return [(float(a), float(b)) for a, b in pairwise(edges)]


def part_segment(start_s: float, end_s: float, measured: dict[str, Any], why: str | None) -> Segment:
    """The claim about a part, from what was measured of it; "uncertain" where there is a reason to doubt it."""
    if why:
        data = {"arousal": None, **measured, "cues": None, "why": why}
        return Segment(round(start_s, 3), round(end_s, 3), "uncertain", data=data)
    cues = prosody_cues(**measured)
    arousal = arousal_of(cues)
    data = {"arousal": round(arousal, 2), **measured, "cues": {k: round(v, 2) for k, v in cues.items()}}
    return Segment(round(start_s, 3), round(end_s, 3), label_of(arousal), data=data)


def count_in(times_s: np.ndarray, start_s: float, end_s: float) -> int:
    """How many events lie in a part."""
    return int(((times_s >= start_s) & (times_s < end_s)).sum())


def alpha_ratios_db(audio: np.ndarray) -> np.ndarray:
    """Power in 1-5 kHz against 50-1000 Hz in each 10 ms frame, in dB (GeMAPS, there inverted): (frames,)."""
    hz = bin_hz()
    high, low = (hz >= 1000) & (hz < 5000), (hz >= 50) & (hz < 1000)
    ratios = [p[:, high].sum(axis=1) / np.maximum(p[:, low].sum(axis=1), 1e-12) for p in power_frames(audio)]
    return 10 * np.log10(np.maximum(np.concatenate(ratios), 1e-6))


def overlap_s(start_s: float, end_s: float, stretches_s: list[tuple[float, float]]) -> float:
    """How many seconds of a part lie in other stretches that do not overlap each other."""
    return sum(max(0.0, min(end_s, b) - max(start_s, a)) for a, b in stretches_s)


def prosody_cues(alpha_ratio_db: float, pitch_hz: float, syllables_per_s: float) -> dict[str, float]:
    """Each measure in spreads from calm reading; > 0 is more aroused."""
    return {
        "effort": (alpha_ratio_db - USUAL_ALPHA_DB) / SPREAD_ALPHA_DB,
        "pitch": 12 * math.log2(pitch_hz / USUAL_PITCH_HZ) / SPREAD_PITCH_SEMITONES,
        "rate": (syllables_per_s - USUAL_RATE) / SPREAD_RATE,
    }


def arousal_of(cues: Mapping[str, float]) -> float:
    """One value from the cues: 0 calm, 0.5 like calm reading aloud, 1 shouting."""
    return 1 / (1 + math.exp(-STEEPNESS * sum(WEIGHTS[k] * v for k, v in cues.items())))


def label_of(arousal: float) -> str:
    """The word for an arousal."""
    return "arousal_low" if arousal < LOW_BELOW else "arousal_high" if arousal >= HIGH_FROM else "arousal_medium"
