"""What a sound track measures: loudness, dynamics, tempo, key, onsets, timbre, silences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analyzers.clip import AUDIO_HZ, Clip
from analyzers.common.spectra import HOP, bin_hz, frame_times_s, mel_matrix, power_frames, to_dbfs
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.sound.loudness import active_level_dbfs, k_weights, level_regions, loudness, silent_frames
from analyzers.sound.rhythm import ACCENT_RANGE_DB, EVENT_RANGE_DB, band_rises, find_beats, find_onsets, find_tempo
from analyzers.sound.tonality import find_key

BANDS = 30
ROLLOFF_SHARE = 0.85


@dataclass
class AudioAnalysis(Analyzer):
    """Level, loudness, tempo, key, onsets and timbre of the sound track.

    All in numpy, on the 16 kHz mono mix: nothing above 8 kHz is heard. Loudness is ITU-R BS.1770-4 (gated, K-weighted)
    of that mix; a file with two like channels measures 3 dB more when its channels are summed as the standard does,
    hence the name `mono_loudness_lufs`. Loudness range: EBU Tech 3342. Onsets: peaks of the spectral flux (Boeck et al.
    2012). Tempo: autocorrelation of the flux (Ellis 2007, Scheirer 1998), told apart between 70 and 180 BPM, so that
    60 reads as 120. Beats: Ellis 2007. Key: pitch classes of spectral peaks (Gomez 2006) against the profiles of
    Temperley (1999).

    Segments fill the sound: "silent" (below -60 dBFS for 0.25 s and more), "quiet" (10 dB and more below the mean level
    of what is not silent), "medium", "loud" (4 dB and more above it). data: level_dbfs, peak_dbfs, onsets,
    centroid_hz (centre of the power spectrum; None in silence).
    Summary: level_dbfs (of all that is not silent), peak_dbfs, crest_db (peak above level), mono_loudness_lufs and
    loudness_range_lu (None in sounds shorter than 0.4 and 6 s), dynamics_db (between the 10th and 95th percentile of
    the level of 10 ms frames that are not silent), silent_share (0-1), onsets, onsets_per_s, tempo_bpm (None without a
    steady pulse), tempo_strength (0-1), beats, key such as "A minor" (None where weak), key_fit (-1..1), key_margin,
    tuned (0-1: how closely the sound keeps to one scale), tuning_cents, centroid_hz, rolloff_hz (85 % of the power lies
    below), flatness (0 tone .. 1 white noise; geometric over arithmetic mean of the power spectrum).
    Tracks: level_dbfs, onset_strength (dB), centroid_hz, each with its times; onset_times_s and beat_times_s.

    Empty result: the sound track is digital silence, or quieter than -60 dBFS throughout.
    Gets wrong: a tempo may be double or half of what a listener taps; free tempo, tempo changes and music without
    struck notes have none; a key needs three pitch classes, and a piece that changes key gets one or none; a level says
    nothing about how loud a phone played it.
    """

    spec = AnalyzerSpec(
        name="audio_analysis",
        version="1",
        lane="cpu_parallel",
        needs={Need.AUDIO},
        gives="level regions; loudness, tempo, key, onsets and timbre with the strength of evidence",
    )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        audio = np.asarray(clip.audio)
        backend = "numpy: BS.1770-4 loudness, spectral flux, autocorrelation, key profiles"
        if not len(audio):
            return Analysis.nothing("the sound track ends before the first picture", backend=backend)
        frames = measure(audio)
        power, spectrum = frames.power, frames.spectrum
        peak_dbfs = float(to_dbfs(float(np.abs(audio).max()) ** 2))
        silent = silent_frames(power)
        level_dbfs = active_level_dbfs(audio, silent)
        if level_dbfs is None:
            reason = f"the sound track is silent (its peak is {peak_dbfs:.0f} dBFS)"
            return Analysis.nothing(reason, backend=backend, summary={"peak_dbfs": round(peak_dbfs, 1)})
        strength = band_rises(frames.bands, EVENT_RANGE_DB).mean(axis=1)
        onsets = find_onsets(strength)
        onsets = onsets[~silent[onsets]]
        accents = band_rises(frames.bands, ACCENT_RANGE_DB)
        tempo = find_tempo(accents)
        beats = find_beats(accents, tempo.bpm) if tempo.bpm else np.zeros(0, np.int64)
        beats = beats[~silent[beats]]
        integrated_lufs, range_lu = loudness(frames.k_power)
        tonality = find_key(audio)
        times_s = frame_times_s(len(power))
        length_s = len(audio) / AUDIO_HZ
        return Analysis(
            segments=[
                _region_segment(audio, frames, onsets, first, end, label)
                for first, end, label in level_regions(power, silent)
            ],
            summary={
                "level_dbfs": round(level_dbfs, 1),
                "peak_dbfs": round(peak_dbfs, 1),
                "crest_db": round(peak_dbfs - level_dbfs, 1),
                "mono_loudness_lufs": _rounded(integrated_lufs, 1),
                "loudness_range_lu": _rounded(range_lu, 1),
                "dynamics_db": round(float(np.subtract(*np.percentile(to_dbfs(power[~silent]), (95, 10)))), 1),
                "silent_share": round(float(silent.mean()), 3),
                "onsets": len(onsets),
                "onsets_per_s": round(len(onsets) / length_s, 2),
                "tempo_bpm": _rounded(tempo.bpm, 1),
                "tempo_strength": round(tempo.strength, 2),
                "beats": len(beats),
                "key": tonality.key,
                "key_fit": round(tonality.fit, 2),
                "key_margin": round(tonality.margin, 2),
                "tuned": round(tonality.tuned, 2),
                "tuning_cents": round(tonality.tuning_cents) if tonality.key else None,
                "centroid_hz": round(_centroid_hz(spectrum)),
                "rolloff_hz": round(_rolloff_hz(spectrum)),
                "flatness": round(_flatness(spectrum), 3),
            },
            backend=backend,
            coverage=min(1.0, length_s / clip.duration_s),
            tracks={
                "level_dbfs": to_dbfs(power).astype(np.float32),
                "level_dbfs_times_s": times_s,
                "onset_strength": strength.astype(np.float32),
                "onset_strength_times_s": times_s,
                "centroid_hz": np.where(silent, np.nan, frames.centroid_hz).astype(np.float32),
                "centroid_hz_times_s": times_s,
                "onset_times_s": times_s[onsets],
                "beat_times_s": times_s[beats],
            },
        )


@dataclass(frozen=True)
class Frames:
    """What is measured of each 10 ms frame, and the spectrum over all of them."""

    power: np.ndarray
    """Mean square: (frames,)."""
    k_power: np.ndarray
    """K-weighted mean square: (frames,)."""
    bands: np.ndarray
    """Power in mel bands, lowest first: (frames, bands)."""
    centroid_hz: np.ndarray
    """Centre of the power spectrum: (frames,)."""
    spectrum: np.ndarray
    """Sum of the power spectra: (bins,)."""


def measure(audio: np.ndarray) -> Frames:
    """One pass over the spectra of 16 kHz mono sound."""
    weights = np.column_stack([np.ones(len(bin_hz())), k_weights(), bin_hz(), mel_matrix(BANDS)]).astype(np.float32)
    columns, spectrum = [], np.zeros(len(weights))
    for power in power_frames(audio):
        columns.append(power @ weights)
        spectrum += power.sum(axis=0)
    all_columns = np.concatenate(columns)
    total = all_columns[:, 0]
    return Frames(total, all_columns[:, 1], all_columns[:, 3:], all_columns[:, 2] / np.maximum(total, 1e-12), spectrum)


def _region_segment(audio: np.ndarray, frames: Frames, onsets: np.ndarray, first: int, end: int, label: str) -> Segment:
    """A stretch of frames as a segment; a frame stands for the 10 ms around its middle."""
    start, stop = (max(0, i * HOP - HOP // 2) for i in (first, end))
    stop = len(audio) if end == len(frames.power) else stop
    samples = audio[start:stop]
    centroid_hz = np.average(frames.centroid_hz[first:end], weights=np.maximum(frames.power[first:end], 1e-12))
    data = {
        "level_dbfs": round(float(to_dbfs(np.square(samples).mean())), 1),
        "peak_dbfs": round(float(to_dbfs(np.square(samples).max())), 1),
        "onsets": int(((onsets >= first) & (onsets < end)).sum()),
        "centroid_hz": None if label == "silent" else round(float(centroid_hz)),
    }
    return Segment(round(start / AUDIO_HZ, 3), round(stop / AUDIO_HZ, 3), label, data=data)


def _centroid_hz(spectrum: np.ndarray) -> float:
    return float(spectrum @ bin_hz() / spectrum.sum())


def _rolloff_hz(spectrum: np.ndarray) -> float:
    total = np.cumsum(spectrum)
    return float(bin_hz()[np.searchsorted(total, ROLLOFF_SHARE * total[-1])])


def _flatness(spectrum: np.ndarray) -> float:
    audible = np.maximum(spectrum[1:], 1e-12 * spectrum.max())
    return float(np.exp(np.log(audible).mean()) / audible.mean())


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
