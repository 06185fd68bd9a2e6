"""Onsets, tempo and beats of a sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.common.spectra import HOP_S, moving_mean

MIN_BPM, MAX_BPM = 70.0, 180.0
"""Tempi that are told apart. A slower or faster pulse is given as the double or half that lies in here."""
PREFERRED_BPM = 120.0
"""Of tempi with equal evidence the one nearest to it is taken, as listeners do (Ellis 2007)."""
COMB_BEATS = 4
"""A steady pulse repeats after one, two, three and four beats."""
MIN_TEMPO_STRENGTH = 0.3
"""Speech stays below 0.2, music with drums or struck notes above 0.4 (measured; see the tests)."""
MIN_BEATS = 8
ONSET_RISE_DB = 3.0
"""How much louder than around it, in the mean over the bands, a sound starts."""
ONSET_APART_S = 0.06
BAND_RANGE_DB = 60.0
"""Bands are compared down to so far below the loudest, so that hiss in near silence is no event."""
BAND_FLOOR_DBFS = -75.0


@dataclass(frozen=True)
class Tempo:
    """A steady pulse, or how near to one it came."""

    bpm: float | None
    strength: float
    """Mean autocorrelation of the onset strength after 1-4 beats: 0 no pulse, 1 a perfect one."""


def onset_strength(band_powers: np.ndarray) -> np.ndarray:
    """Spectral flux: mean rise of the bands in dB against the frame 20 ms before.

    Args:
        band_powers: (frames, bands), one frame per `HOP_S`.

    Returns:
        (frames,) float64 >= 0.
    """
    floor_dbfs = max(10 * np.log10(max(float(band_powers.max(initial=0.0)), 1e-12)) - BAND_RANGE_DB, BAND_FLOOR_DBFS)
    bands_db = 10 * np.log10(np.maximum(band_powers, 10 ** (floor_dbfs / 10)))
    strength = np.zeros(len(bands_db))
    strength[2:] = np.maximum(bands_db[2:] - bands_db[:-2], 0).mean(axis=1)
    return strength


def find_onsets(strength: np.ndarray) -> np.ndarray:
    """Frames where a sound starts: peaks of the onset strength well above its surroundings (Boeck et al. 2012)."""
    above = strength - moving_mean(strength, round(0.3 / HOP_S))
    reach = round(0.03 / HOP_S)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(strength, reach, constant_values=-1), 2 * reach + 1)
    peaks = np.flatnonzero((strength >= windows.max(axis=1)) & (above > ONSET_RISE_DB))
    kept: list[int] = []
    for peak in peaks:
        if not kept or (peak - kept[-1]) * HOP_S >= ONSET_APART_S:
            kept.append(int(peak))
    return np.array(kept, np.int64)


def find_tempo(strength: np.ndarray) -> Tempo:
    """The tempo of an onset strength: the pulse after whose 1-4 beats it looks most like itself.

    Autocorrelation with a preference for moderate tempi after Ellis, "Beat Tracking by Dynamic Programming" (2007),
    summed over multiples of the beat so that the estimate is finer than one frame. `bpm` is None where the strength is
    below `MIN_TEMPO_STRENGTH` or the sound shorter than `MIN_BEATS` beats.
    """
    bpm = MIN_BPM * (MAX_BPM / MIN_BPM) ** np.linspace(0, 1, 400)
    lags = 60 / bpm / HOP_S
    if len(strength) < MIN_BEATS * lags.min():
        return Tempo(None, 0.0)
    smooth = moving_mean(np.minimum(strength, 20.0), 5)
    centered = smooth - moving_mean(smooth, round(1.0 / HOP_S))
    length = 1 << (2 * len(centered) - 1).bit_length()
    spectrum = np.fft.rfft(centered, length)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)), length)[: len(centered)]
    correlation /= np.maximum(len(centered) - np.arange(len(centered)), 1)
    if correlation[0] < 1e-6:
        return Tempo(None, 0.0)
    correlation /= correlation[0]
    at = np.arange(len(correlation))
    comb = np.mean([np.interp(lags * k, at, correlation) for k in range(1, COMB_BEATS + 1)], axis=0)
    preference = np.exp(-0.5 * np.square(np.log2(bpm / PREFERRED_BPM)))
    best = int((comb * preference).argmax())
    strength_of_best = float(np.clip(comb[best], 0, 1))
    steady = strength_of_best >= MIN_TEMPO_STRENGTH and len(strength) >= MIN_BEATS * lags[best]
    return Tempo(float(bpm[best]) if steady else None, strength_of_best)


def find_beats(strength: np.ndarray, bpm: float, tightness: float = 100.0) -> np.ndarray:
    """Frames of the beats of a known tempo: the chain of onsets that is both strong and evenly spaced (Ellis 2007)."""
    lag = 60 / bpm / HOP_S
    score = moving_mean(strength / max(float(strength.std()), 1e-6), 3)
    back = np.arange(round(lag / 2), round(2 * lag) + 1)
    penalty = -tightness * np.square(np.log(back / lag))
    total, previous = score.copy(), np.full(len(score), -1)
    for i in range(int(back[0]), len(score)):
        reach = back[: np.searchsorted(back, i, side="right")]
        chained = total[i - reach] + penalty[: len(reach)]
        best = int(chained.argmax())
        if chained[best] > 0:
            total[i] = score[i] + chained[best]
            previous[i] = i - reach[best]
    beats = [len(score) - round(lag) + int(total[len(score) - round(lag) :].argmax())]
    while previous[beats[-1]] >= 0:
        beats.append(int(previous[beats[-1]]))
    return np.array(beats[::-1], np.int64)
