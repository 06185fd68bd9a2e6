"""Onsets, tempo and beats of a sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.common.spectra import HOP_S, moving_mean

MIN_BPM, MAX_BPM = 70.0, 180.0
"""Tempi that are told apart. A slower or faster pulse is given as the double or half that lies in here."""
PREFERRED_BPM = 120.0
"""Of tempi with equal evidence the one nearest to it is taken, as listeners do (Ellis 2007)."""
PREFERENCE_OCTAVES = 1.4
COMB_BEATS = 4
"""A steady pulse repeats after one, two, three and four beats."""
MIN_TEMPO_STRENGTH = 0.3
"""Speech and noise stay below 0.27, also in stretches of 5 s; drums under speech lie above 0.35 (measured)."""
MIN_BEATS = 8
TIGHTNESS = 400.0
"""How much an uneven beat costs against a strong one; librosa's 100 lets beats follow syllables of speech."""
MIN_VARIATION_DB = 0.4
"""Onset strengths that vary less are the slow beating of held notes, or nothing."""
ONSET_RISE_DB = 3.0
"""How much louder than around it, in the mean over the bands, a sound starts."""
ONSET_APART_S = 0.06
EVENT_RANGE_DB = 60.0
"""For onsets, bands are compared down to so far below the loudest, so that hiss in near silence is no event."""
ACCENT_RANGE_DB = 40.0
"""For the tempo, only what is near the loudest counts, so that a hi-hat weighs less than a drum."""
BAND_FLOOR_DBFS = -75.0


@dataclass(frozen=True)
class Tempo:
    """A steady pulse, or how near to one it came."""

    bpm: float | None
    strength: float
    """Mean autocorrelation of the onsets after 1-4 beats: 0 no pulse; about 0.87 for a perfect one in 10 s."""


def band_rises(band_powers: np.ndarray, range_db: float) -> np.ndarray:
    """Spectral flux of each band: how many dB it rose against the frame 20 ms before.

    Args:
        band_powers: (frames, bands) of a `mel_matrix`, lowest band first, one frame per `HOP_S`.
        range_db: powers further below the loudest are taken for equal.

    Returns:
        (frames, bands) float >= 0. Its mean over the bands is the onset strength.
    """
    floor_dbfs = max(10 * np.log10(max(float(band_powers.max(initial=0.0)), 1e-12)) - range_db, BAND_FLOOR_DBFS)
    bands_db = 10 * np.log10(np.maximum(band_powers, 10 ** (floor_dbfs / 10)))
    rises = np.zeros_like(bands_db)
    rises[2:] = np.maximum(bands_db[2:] - bands_db[:-2], 0)
    return rises


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


def find_tempo(rises: np.ndarray) -> Tempo:
    """The tempo of a sound: the pulse after whose 1-4 beats its onsets look most like themselves.

    Autocorrelation with a preference for moderate tempi after Ellis, "Beat Tracking by Dynamic Programming" (2007),
    summed over multiples of the beat so that the estimate is finer than one frame; the lowest and the highest bands
    count by themselves too (Scheirer 1998), because drums stay clear there when somebody speaks over them. `bpm` is
    None where the strength is below `MIN_TEMPO_STRENGTH` or the sound shorter than `MIN_BEATS` beats.

    Args:
        rises: (frames, bands) from `band_rises`.
    """
    bpm = MIN_BPM * (MAX_BPM / MIN_BPM) ** np.linspace(0, 1, 400)
    lags = 60 / bpm / HOP_S
    if len(rises) < MIN_BEATS * lags.min():
        return Tempo(None, 0.0)
    edge = rises.shape[1] // 6
    groups = (rises, rises[:, :edge], rises[:, -edge:])
    combs = np.stack([_comb(group.mean(axis=1), lags) for group in groups])
    preference = np.exp(-0.5 * np.square(np.log2(bpm / PREFERRED_BPM) / PREFERENCE_OCTAVES))
    best = int((combs.sum(axis=0) * preference).argmax())
    strength = float(np.clip(combs[:, best].max(), 0, 1))
    steady = strength >= MIN_TEMPO_STRENGTH and len(rises) >= MIN_BEATS * lags[best]
    return Tempo(float(bpm[best]) if steady else None, strength)


def _comb(strength: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Mean autocorrelation of an onset strength at 1-4 times each lag (in frames); 0 where nothing happens."""
    smooth = moving_mean(np.minimum(strength, 20.0), 5)
    centered = smooth - moving_mean(smooth, round(1.0 / HOP_S))
    if centered.std() < MIN_VARIATION_DB:
        return np.zeros(len(lags))
    length = 1 << (2 * len(centered) - 1).bit_length()
    # Not divided by the overlap, so that few repetitions in a short clip count less than many in a long one.
    correlation = np.fft.irfft(np.square(np.abs(np.fft.rfft(centered, length))), length)[: len(centered)]
    at = np.arange(len(correlation))
    beats = [np.interp(lags * k, at, correlation / correlation[0], right=0.0) for k in range(1, COMB_BEATS + 1)]
    return np.mean(beats, axis=0)


def find_beats(rises: np.ndarray, bpm: float) -> np.ndarray:
    """Frames of the beats of a known tempo: the evenly spaced chain of the strongest onsets (Ellis 2007).

    Low bands count double, because that is where the beat is struck (bass drum, bass) rather than what lies between.

    Args:
        rises: (frames, bands) from `band_rises`.
    """
    lag = 60 / bpm / HOP_S
    strength = moving_mean(rises.mean(axis=1) + rises[:, : rises.shape[1] // 6].mean(axis=1), 3)
    score = strength / max(float(strength.std()), 1e-6)
    back = np.arange(round(lag / 2), round(2 * lag) + 1)
    penalty = -TIGHTNESS * np.square(np.log(back / lag))
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
