"""Sounds with a known answer, as (samples,) float32 at 16 kHz."""

from __future__ import annotations

import numpy as np

from analyzers.clip import AUDIO_HZ

C_MAJOR, A_MINOR, F_MAJOR, G_MAJOR, E_MAJOR = (60, 64, 67), (57, 60, 64), (53, 57, 60), (55, 59, 62), (52, 56, 59)
"""Chords as MIDI notes."""


def clock_s(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * AUDIO_HZ)) / AUDIO_HZ


def sine(hz: float, seconds: float, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * clock_s(seconds))).astype(np.float32)


def noise(seconds: float, amplitude: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, amplitude, round(seconds * AUDIO_HZ)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * AUDIO_HZ), np.float32)


def pulses(bpm: float, seconds: float, first_s: float = 0.2, amplitude: float = 0.5) -> np.ndarray:
    """Short knocks at an even rate."""
    sound = silence(seconds)
    t = clock_s(0.08)
    knock = (amplitude * np.exp(-60 * t) * np.sin(2 * np.pi * 900 * t)).astype(np.float32)
    for at_s in np.arange(first_s, seconds - 0.1, 60 / bpm):
        start = round(at_s * AUDIO_HZ)
        sound[start : start + len(knock)] += knock[: len(sound) - start]
    return sound


def drums(bpm: float, seconds: float, amplitude: float = 0.6) -> np.ndarray:
    """Bass drum and snare in turn on the beats, the first at 0 s, a hi-hat on and between them."""
    sound = np.zeros(round(seconds * AUDIO_HZ))
    t = clock_s(0.15)
    hiss = np.random.default_rng(1).normal(0, 1, len(t))
    kick = np.exp(-20 * t) * np.sin(2 * np.pi * (60 * t + 1.3 * np.exp(-30 * t)))
    snare, hat = 0.4 * hiss * np.exp(-25 * t), 0.12 * hiss * np.exp(-80 * t)
    for half_beat in range(int(seconds / (30 / bpm))):
        start = round(half_beat * 30 / bpm * AUDIO_HZ)
        hit = hat if half_beat % 2 else hat + (snare if half_beat % 4 else kick)
        sound[start : start + len(hit)] += hit[: len(sound) - start]
    return (amplitude * sound).astype(np.float32)


def chord(notes: tuple[int, ...], seconds: float, harmonics: int = 4, amplitude: float = 0.2) -> np.ndarray:
    """Notes (MIDI) that sound together."""
    t = clock_s(seconds)
    tones = [np.sin(2 * np.pi * 440 * 2 ** ((n - 69) / 12) * h * t) / h for n in notes for h in range(1, harmonics + 1)]
    return (amplitude * np.sum(tones, axis=0) / len(notes)).astype(np.float32)


def progression(*chords: tuple[int, ...], seconds: float = 2.0, transpose: int = 0) -> np.ndarray:
    """Chords one after the other, moved by so many semitones."""
    return np.concatenate([chord(tuple(n + transpose for n in notes), seconds) for notes in chords])
