"""What kinds of sound a track holds: silence, speech, music-like, noise-like. Its speech regions are everyone's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from analyzers.clip import AUDIO_HZ, Clip
from analyzers.common.spectra import HOP_S, moving_mean, runs, to_dbfs
from analyzers.common.transformers_models import AudioClassifier, half_fetched
from analyzers.common.voice import FRAME_S, find_voice_regions, session, voice_probability
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.sound.audio_analysis import measure
from analyzers.sound.audio_tags import tagged_windows, usual_tags
from analyzers.sound.loudness import silent_frames
from analyzers.sound.rhythm import ACCENT_RANGE_DB, band_rises, find_tempo
from analyzers.sound.tonality import MIN_PITCH_CLASSES, tuned_over_time
from analyzers.weights import installed

WINDOW_S, STEP_S = 3.0, 0.5
PULSE_WINDOW_S = 8.0
MIN_TUNED = 0.25
"""Within 3 s speech and rain reach 0.16, held notes 5 dB below speech 0.28, music alone 0.4 and more (measured)."""
MAX_MUSIC_GAP_S = 4.0
"""Speech over music hides its scale for about as long as a sentence."""
MIN_MUSIC_S = 2.0
MIN_REST_S = 0.3
LABELS = ("speech", "music_like", "noise_like", "sound", "silence")
STEADY_DB = 8.0
"""How much the level of 10 ms frames jumps: rain and rooms stay below 6, speech and knocks lie above 10 (measured)."""


@dataclass
class AudioEnvironment(Analyzer):
    """Tags stretches of the sound track as silence, speech, music-like, noise-like or other sound.

    Speech: silero-vad 6.2 (MIT) through onnxruntime, with its authors' thresholds. Music-like: spectral peaks keep to
    one chromatic scale with at least three pitch classes (within 3 s), or there is a steady pulse (within 8 s, as
    in `audio_analysis`). Silence: below -60 dBFS for 0.25 s and more.

    Segments may overlap: speech over music is both. "silence"; "speech" (confidence: mean speech probability);
    "music_like" (confidence: the stronger of scale and pulse, 0-1; data: basis "scale" and/or "pulse", tuned, tempo_bpm
    or None); "noise_like" (a steady rest without a scale: rain, hiss, a room); "sound" (any other rest). data of all:
    level_dbfs (mean level); of the last two also level_deviation_db (of 10 ms frames, from the mean over 1 s).
    Summary: silence_share, speech_share, music_like_share, noise_like_share, sound_share (0-1 of the track), speech_s,
    main (label with the largest share), speech_to_background_db (level in speech regions minus level of what sounds
    between them; None without speech, or with less than 0.3 s between).
    With the model audio_events (AST, Gong et al. 2021, arXiv:2104.01778; classes of AudioSet) also "tags" for each
    10 s. data: tags, up to 5 of the 527 classes with a probability of 0.1 and more, each with its own probability, for
    many sound at once (an empty dict if there are none); confidence: the largest. Summary then: tags (mean over time,
    of those that some window has). They are the model's words; nothing of them is told from levels.
    Tracks: voice_probability (each 32 ms), tuned (each 0.5 s), with their times.

    Empty result: only for a track without samples.
    What it gets wrong: singing may count as speech or not; a ticking clock is music-like, for it keeps a pulse; music
    without fixed pitches and pulse is "sound"; the ends of music are known to about 1 s, of a pulse alone to 3 s; music
    that is turned down under speech makes the background look too loud. It measures signals and cannot know a place:
    never "street".
    """

    spec = AnalyzerSpec(
        name="audio_environment",
        version="2",
        lane="cpu_parallel",
        needs={Need.AUDIO},
        weights=("audio_events",),
        gives="silence, speech, music_like, noise_like or other sound; speech against background; with weights tags",
    )

    def load(self) -> None:
        session()
        there = installed("audio_events")
        self._tagger = AudioClassifier.load("audio_events", self.spec.lane) if there else None

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        audio = np.asarray(clip.audio)
        backend = f"silero-vad {version('silero-vad')} in onnxruntime, numpy"
        if not len(audio):
            return Analysis.nothing("the sound track ends before the first picture", backend=backend)
        length_s = len(audio) / AUDIO_HZ
        probability = voice_probability(audio)
        voices = find_voice_regions(probability, length_s)
        frames = measure(audio)
        power = frames.power
        silent = silent_frames(power)
        spoken = frames_of([(v.start_s, v.end_s) for v in voices], len(power))
        tuned_times_s, tuned, notes = tuned_over_time(audio, WINDOW_S, STEP_S)
        on_scale = stretched((tuned >= MIN_TUNED) & (notes >= MIN_PITCH_CLASSES), len(power))
        tuned_frames = stretched(tuned, len(power))
        accents = band_rises(frames.bands, ACCENT_RANGE_DB)
        tempo = find_tempo(accents)
        on_pulse = pulse_frames(accents)
        music = music_frames(on_scale, on_pulse, silent)
        rest = ~(silent | spoken | music)

        def segment(part: tuple[int, int], label: str, confidence: float | None = None, **data: Any) -> Segment:
            level_dbfs = round(float(to_dbfs(power[slice(*part)].mean())), 1)
            start_s, end_s = part[0] * HOP_S, min(length_s, part[1] * HOP_S)
            return Segment(
                round(start_s, 3), round(end_s, 3), label, confidence, data={"level_dbfs": level_dbfs} | data
            )

        segments = [segment(part, "silence") for part in true_runs(silent)]
        for voice in voices:
            part = (int(voice.start_s / HOP_S), max(int(voice.end_s / HOP_S), int(voice.start_s / HOP_S) + 1))
            exact = {"start_s": round(voice.start_s, 3), "end_s": round(voice.end_s, 3)}
            segments.append(replace(segment(part, "speech", round(voice.probability, 3)), **exact))
        for part in true_runs(music):
            scale, pulse = on_scale[slice(*part)].mean() >= 0.3, on_pulse[slice(*part)].mean() >= 0.5
            keeps = round(float(tuned_frames[slice(*part)].mean()), 2)
            strength = max(keeps, round(tempo.strength, 2)) if pulse else keeps
            basis = [name for name, there in (("scale", scale), ("pulse", pulse)) if there]
            bpm = round(tempo.bpm, 1) if pulse and tempo.bpm else None
            segments.append(segment(part, "music_like", strength, basis=basis, tuned=keeps, tempo_bpm=bpm))
        for part in true_runs(rest):
            if (part[1] - part[0]) * HOP_S >= min(MIN_REST_S, length_s):
                deviation_db = round(level_deviation_db(power[slice(*part)]), 1)
                steady = deviation_db < STEADY_DB and tuned_frames[slice(*part)].max() < MIN_TUNED
                segments.append(segment(part, "noise_like" if steady else "sound", level_deviation_db=deviation_db))
        windows = tagged_windows(self._tagger, audio) if self._tagger else []
        segments = sorted([*segments, *windows], key=lambda s: (s.start_s, s.label))
        shares = {label: _share(segments, label, length_s) for label in LABELS}
        return Analysis(
            segments=segments,
            summary={f"{label}_share": share for label, share in shares.items()}
            | {
                "speech_s": round(sum(v.end_s - v.start_s for v in voices), 2),
                "main": max(LABELS, key=lambda label: shares[label]),
                "speech_to_background_db": speech_to_background_db(power, spoken & ~silent, ~spoken & ~silent),
            }
            | ({"tags": usual_tags(windows)} if self._tagger else half_fetched("audio_events")),
            backend=f"AST; {backend}" if self._tagger else backend,
            model=self._tagger.id if self._tagger else None,
            coverage=min(1.0, length_s / clip.duration_s),
            tracks={
                "voice_probability": probability,
                "voice_probability_times_s": (np.arange(len(probability)) + 0.5) * FRAME_S,
                "tuned": tuned.astype(np.float32),
                "tuned_times_s": tuned_times_s,
            },
        )


def true_runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Stretches where a mask holds: (first, end) frames."""
    return [(first, end) for first, end in runs(mask) if mask[first]]


def frames_of(stretches_s: list[tuple[float, float]], count: int) -> np.ndarray:
    """Which of `count` frames lie inside stretches given in seconds: (count,) bool."""
    mask = np.zeros(count, bool)
    for start_s, end_s in stretches_s:
        mask[round(start_s / HOP_S) : round(end_s / HOP_S)] = True
    return mask


def stretched(values: np.ndarray, count: int) -> np.ndarray:
    """Values every `STEP_S`, each held until midway to the next, as one value per frame."""
    at = np.round(np.arange(count) * HOP_S / STEP_S).astype(np.int64)
    return values[np.minimum(at, len(values) - 1)]


def pulse_frames(accents: np.ndarray) -> np.ndarray:
    """Which frames lie in a steady pulse: more than half of the windows of `PULSE_WINDOW_S` around them say so."""
    length, step = round(PULSE_WINDOW_S / HOP_S), round(1.0 / HOP_S)
    votes, windows = np.zeros(len(accents)), np.zeros(len(accents))
    for first in range(0, max(1, len(accents) - length + step), step):
        part = slice(first, first + length)
        votes[part] += find_tempo(accents[part]).bpm is not None
        windows[part] += 1
    return 2 * votes > windows


def music_frames(on_scale: np.ndarray, on_pulse: np.ndarray, silent: np.ndarray) -> np.ndarray:
    """Which frames are music-like: scale or pulse, over gaps of `MAX_MUSIC_GAP_S`, for at least `MIN_MUSIC_S`."""
    music = on_scale | on_pulse
    for first, end in runs(music):
        if not music[first] and first > 0 and end < len(music) and (end - first) * HOP_S <= MAX_MUSIC_GAP_S:
            music[first:end] = True
    music &= ~silent
    for first, end in true_runs(music):
        if (end - first) * HOP_S < MIN_MUSIC_S:
            music[first:end] = False
    return music


def level_deviation_db(power: np.ndarray) -> float:
    """Standard deviation of the level of 10 ms frames from its own mean over 1 s, so that a slow swell is steady."""
    level_db = to_dbfs(power)
    return float((level_db - moving_mean(level_db, round(1 / HOP_S))).std())


def speech_to_background_db(power: np.ndarray, speech: np.ndarray, background: np.ndarray) -> float | None:
    """Level of frames with speech minus that of frames between them, in dB; None without one of the two."""
    if not speech.any() or background.sum() * HOP_S < MIN_REST_S:
        return None
    return round(float(to_dbfs(power[speech].mean()) - to_dbfs(power[background].mean())), 1)


def _share(segments: list[Segment], label: str, length_s: float) -> float:
    return round(min(1.0, sum(s.end_s - s.start_s for s in segments if s.label == label) / length_s), 3)
