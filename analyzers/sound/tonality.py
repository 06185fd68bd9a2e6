"""The musical key of a sound, and how much it is made of notes at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.clip import AUDIO_HZ
from analyzers.common.spectra import bin_hz, power_frames

SIZE, HOP = 4096, 2048
"""256 ms frames: neighbouring semitones are apart from about 130 Hz upwards."""
LOW_HZ, HIGH_HZ = 100.0, 2000.0
PEAK_RANGE_DB = 35.0
QUIET_FRAME_DB = 40.0
"""Frames so far below the loudest are left out."""
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MAJOR = (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0)
MINOR = (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0)
"""How well each pitch class fits a key with tonic C: Temperley, "What's Key for Key?" (1999)."""
MIN_TUNED = 0.3
"""Speech and noise stay below 0.15, music with held notes above 0.4, even under speech (measured; see the tests)."""
MIN_FIT = 0.65
MIN_MARGIN = 0.04
MIN_PITCH_CLASSES = 3
PITCH_CLASS_SHARE = 0.06


@dataclass(frozen=True)
class Tonality:
    """A key, or how near to one the sound came."""

    key: str | None
    """Such as "A minor", or None where the evidence is weak."""
    best: str | None
    """The key that fits best, strong or not; None where no spectral peaks are."""
    fit: float
    """Correlation of the pitch classes with the key's profile, -1..1."""
    margin: float
    """How much worse the second-best key fits."""
    tuned: float
    """How closely spectral peaks keep to one chromatic scale: 0 anywhere, 1 exactly."""
    tuning_cents: float
    """How far that scale is above 440 Hz tuning, -50..50."""


def find_key(audio: np.ndarray) -> Tonality:
    """The key of 16 kHz mono sound, from the pitch classes of its spectral peaks (Gomez 2006) and key profiles.

    The key is None where peaks do not keep to a scale (speech, noise), where fewer than three pitch classes sound, or
    where no key fits clearly better than the others.
    """
    _, semitones, weights = spectral_peaks(audio)
    if not len(semitones):
        return Tonality(None, None, 0.0, 0.0, 0.0, 0.0)
    phase = np.average(np.exp(2j * np.pi * semitones), weights=weights)
    tuned, offset = float(np.abs(phase)), float(np.angle(phase) / (2 * np.pi))
    classes = np.round(semitones - offset).astype(np.int64) % 12
    chroma = np.bincount(classes, weights, 12) / weights.sum()
    fits = _fits(chroma)
    order = np.argsort(-fits)
    fit, margin = float(fits[order[0]]), float(fits[order[0]] - fits[order[1]])
    best = f"{NAMES[order[0] % 12]} {'major' if order[0] < 12 else 'minor'}"
    notes = int((chroma >= PITCH_CLASS_SHARE).sum())
    sure = tuned >= MIN_TUNED and fit >= MIN_FIT and margin >= MIN_MARGIN and notes >= MIN_PITCH_CLASSES
    return Tonality(best if sure else None, best, fit, margin, tuned, offset * 100)


def tuned_over_time(audio: np.ndarray, window_s: float, step_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How closely a sound keeps to one chromatic scale around each moment.

    Returns:
        times_s, tuned (0-1), notes (pitch classes with at least `PITCH_CLASS_SHARE`); each (windows,), and 0 where
        nothing sounds.
    """
    frames, semitones, weights = spectral_peaks(audio)
    peak_times_s = frames * (HOP / AUDIO_HZ)
    times_s = np.arange(0, len(audio) / AUDIO_HZ, step_s)
    tuned, notes = np.zeros(len(times_s)), np.zeros(len(times_s), np.int64)
    for i, time_s in enumerate(times_s):
        near = slice(*np.searchsorted(peak_times_s, [time_s - window_s / 2, time_s + window_s / 2]))
        if (total := weights[near].sum()) > 0:
            mean = (np.exp(2j * np.pi * semitones[near]) * weights[near]).sum() / total
            tuned[i] = np.abs(mean)
            classes = np.round(semitones[near] - np.angle(mean) / (2 * np.pi)).astype(np.int64) % 12
            notes[i] = (np.bincount(classes, weights[near], 12) >= PITCH_CLASS_SHARE * total).sum()
    return times_s, tuned, notes


def spectral_peaks(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Peaks of the spectrum in time order: frame, pitch in semitones above C (440 Hz is 9 modulo 12), amplitude."""
    hz = bin_hz(SIZE)
    low, high = np.searchsorted(hz, [LOW_HZ, HIGH_HZ])
    power = np.concatenate([p[:, low - 1 : high + 1] for p in power_frames(audio, SIZE, HOP)])
    db = 10 * np.log10(np.maximum(power, 1e-12))
    before, here, after = db[:, :-2], db[:, 1:-1], db[:, 2:]
    loudest = here.max(axis=1, keepdims=True)
    audible = (loudest > loudest.max() - QUIET_FRAME_DB) & (loudest > -80)
    frame, column = np.nonzero((here > before) & (here >= after) & (here > loudest - PEAK_RANGE_DB) & audible)
    left, middle, right = (side[frame, column] for side in (before, here, after))
    shift = 0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-6)
    peak_hz = (column + low + np.clip(shift, -0.5, 0.5)) * (hz[1] - hz[0])
    return frame, 12 * np.log2(peak_hz / 440.0) + 9, np.sqrt(power[:, 1:-1][frame, column])


def _fits(chroma: np.ndarray) -> np.ndarray:
    """Correlation with the 12 major keys, then the 12 minor ones."""
    profiles = np.array([np.roll(p, tonic) for p in (MAJOR, MINOR) for tonic in range(12)])
    profiles -= profiles.mean(axis=1, keepdims=True)
    centered = chroma - chroma.mean()
    return profiles @ centered / (np.linalg.norm(profiles, axis=1) * max(float(np.linalg.norm(centered)), 1e-9))
