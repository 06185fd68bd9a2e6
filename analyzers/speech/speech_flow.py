"""How speech flows: phrases, pauses, pitch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.pitch import pitch_hz
from analyzers.common.spectra import HOP_S, frame_count, frame_times_s
from analyzers.common.voice import PAD_S, VoiceRegion, voice_regions_of
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

MIN_PAUSE_S = 0.25
"""Shorter gaps belong to articulation, e.g. the closure of a plosive (Goldman-Eisler 1968)."""
MAX_PAUSE_S = 3.0
"""A longer gap is no pause in somebody's speech but its end."""
MIN_VOICED_S = 0.2
"""With less pitch than this, nothing is said about it."""


@dataclass
class SpeechFlow(Analyzer):
    """Phrases and the pauses between them, and the pitch of the voice.

    Phrases are the speech regions of `audio_environment`, joined over gaps below 0.25 s (Goldman-Eisler 1968). Pitch:
    YIN (de Cheveigne & Kawahara 2002) at 100 Hz inside them, 65-500 Hz.

    Segments: "phrase" (confidence: speech probability; data: pitch_hz median, pitch_range_semitones between the 10th
    and 90th percentile, pitch_deviation_semitones, final_pitch_semitones: mean of the last 0.3 s of pitch against the
    phrase's median, so that > 0 rises as a question may; voiced_share 0-1; pitch values are None with less than 0.2 s
    of pitch) and "pause" (0.25-3 s between two phrases; no confidence; data: length_s).
    Summary: phrases, pauses, speech_s, pause_s, pause_ratio (pause seconds over pause and speech seconds),
    mean_pause_s, longest_pause_s (None without pauses), the pitch values over all phrases, voiced_share, fillers
    (always None: "um" and "äh" need a transcript) with fillers_reason.
    Tracks: pitch_hz (NaN where nobody speaks or the voice has no pitch) with its times.

    Empty result: nobody speaks.
    What it gets wrong: several voices are taken for one; a filled pause is part of a phrase; under loud music pitch may
    be that of an instrument; creaky voice has none or half of it.
    """

    spec = AnalyzerSpec(
        name="speech_flow",
        version="1",
        lane="cpu_parallel",
        needs={Need.AUDIO},
        after=("audio_environment",),
        gives="phrases with pitch, pauses between them",
    )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        backend = "silero-vad regions of audio_environment, YIN in numpy"
        voices = voice_regions_of(results["audio_environment"])
        if not voices:
            return Analysis.nothing("nobody speaks", backend=backend)
        audio = np.asarray(clip.audio)
        phrases = join_phrases(voices)
        times_s = frame_times_s(frame_count(len(audio)))
        pitch = pitch_hz(audio, np.any([(times_s >= p.start_s) & (times_s < p.end_s) for p in phrases], axis=0))
        gaps = [(a.end_s, b.start_s) for a, b in pairwise(phrases) if b.start_s - a.end_s <= MAX_PAUSE_S]
        segments = [
            Segment(
                round(p.start_s, 3),
                round(p.end_s, 3),
                "phrase",
                round(p.probability, 3),
                data=describe_pitch(pitch[(times_s >= p.start_s) & (times_s < p.end_s)]),
            )
            for p in phrases
        ]
        segments += [
            Segment(round(a, 3), round(b, 3), "pause", data={"length_s": round(b - a + 2 * PAD_S, 2)}) for a, b in gaps
        ]
        lengths_s = [b - a + 2 * PAD_S for a, b in gaps]
        speech_s = sum(p.end_s - p.start_s for p in phrases)
        spoken = pitch[np.any([(times_s >= p.start_s) & (times_s < p.end_s) for p in phrases], axis=0)]
        return Analysis(
            segments=sorted(segments, key=lambda s: s.start_s),
            summary={
                "phrases": len(phrases),
                "pauses": len(gaps),
                "speech_s": round(speech_s, 2),
                "pause_s": round(sum(lengths_s), 2),
                "pause_ratio": round(sum(lengths_s) / (sum(lengths_s) + speech_s), 3),
                "mean_pause_s": round(float(np.mean(lengths_s)), 2) if gaps else None,
                "longest_pause_s": round(max(lengths_s), 2) if gaps else None,
                **{k: v for k, v in describe_pitch(spoken).items() if k != "final_pitch_semitones"},
                "fillers": None,
                "fillers_reason": "fillers are words; they need a transcript",
            },
            backend=backend,
            coverage=results["audio_environment"].coverage,
            tracks={"pitch_hz": pitch.astype(np.float32), "pitch_hz_times_s": times_s},
        )


def join_phrases(voices: Sequence[VoiceRegion]) -> list[VoiceRegion]:
    """Speech regions in order, joined where the gap between what is spoken is below `MIN_PAUSE_S`."""
    phrases: list[VoiceRegion] = []
    for voice in voices:
        if phrases and voice.start_s - phrases[-1].end_s + 2 * PAD_S < MIN_PAUSE_S:
            last = phrases.pop()
            a, b = last.end_s - last.start_s, voice.end_s - voice.start_s
            mean = (last.probability * a + voice.probability * b) / (a + b)
            voice = VoiceRegion(last.start_s, voice.end_s, mean)
        phrases.append(voice)
    return phrases


def describe_pitch(hz: np.ndarray) -> dict[str, Any]:
    """Level, spread and ending of a stretch of pitch (NaN where there is none); None with too little of it."""
    known = hz[np.isfinite(hz)]
    voiced_share = round(len(known) / len(hz), 2) if len(hz) else 0.0
    if len(known) * HOP_S < MIN_VOICED_S:
        nothing = ("pitch_hz", "pitch_range_semitones", "pitch_deviation_semitones", "final_pitch_semitones")
        return dict.fromkeys(nothing, None) | {"voiced_share": voiced_share}
    median_hz = float(np.median(known))
    semitones = 12 * np.log2(known / median_hz)
    low, high = np.percentile(semitones, (10, 90))
    return {
        "pitch_hz": round(median_hz, 1),
        "pitch_range_semitones": round(float(high - low), 1),
        "pitch_deviation_semitones": round(float(semitones.std()), 2),
        "final_pitch_semitones": round(float(semitones[-round(0.3 / HOP_S) :].mean()), 1),
        "voiced_share": voiced_share,
    }
