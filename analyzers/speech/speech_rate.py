"""How fast somebody speaks, in syllables per second, and in words per minute where there is a transcript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.clip import Clip
from analyzers.common.spectra import HOP_S, frame_times_s, mel_matrix, power_frames
from analyzers.common.transcript import Word, words_in
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

BANDS = slice(2, 24)
"""Of 30 mel bands: 200-4700 Hz, where vowels are loud and rumble and hiss are not."""
LOUDNESS_EXPONENT = 1 / 3
SMOOTH = np.hanning(7)[1:-1] / np.hanning(7).sum()
MIN_DIP_DB = 0.5
"""A nucleus stands out by so much on both sides. The 2 dB of de Jong & Wempe are for raw intensity, which falls more
between syllables; with these values 9 recordings of 5-44 known syllables are counted within 24 % (mean error 8 %)."""
MAX_BELOW_DB = 25.0
"""Nuclei are at most so much softer than the loudest hundredth of the phrase (de Jong & Wempe)."""
NEAR_PITCH = 2
"""A nucleus is voiced when there is pitch within so many 10 ms frames."""
MIN_SPEECH_S = 1.0
SLOW_BELOW, FAST_FROM = 3.3, 5.3
"""Syllables per second: outside of it an ordinary listener calls speech slow or fast (conversation: 4-5)."""


@dataclass
class SpeechRate(Analyzer):
    """Syllables per second of each phrase, from syllable nuclei.

    After de Jong & Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically" (2009): peaks
    of loudness, with dips around them, that are voiced. Loudness here is the sum over mel bands between 200 and 4700 Hz
    of power to the third (Stevens), which shows dips that raw intensity hides. Phrases and pitch are those of
    `speech_flow`.

    Segments: one per phrase of 1 s and more: "slow" (below 3.3 syllables/s), "medium" or "fast" (5.3 and more). No
    confidence. data: syllables, syllables_per_s, basis ("syllable nuclei"); where `speech_transcription` has words in
    the phrase also words (those whose middle lies in it) and words_per_minute, and basis is "words". The label always
    goes by syllables: how many of them a word has depends on the language.
    Summary: syllables, syllables_per_s (over phrases: articulation), syllables_per_s_with_pauses (from the first phrase
    to the end of the last), words_per_minute (over the phrases with words, without pauses; None without a transcript),
    basis.
    Tracks: syllable_times_s.

    Empty result: nobody speaks, or for less than a second.
    What it gets wrong: fast or slurred speech is counted low (by a quarter in film dialogue with background voices),
    speech over loud drums high; a rolled r may count twice; music that the voice detector takes for speech is counted.
    """

    spec = AnalyzerSpec(
        name="speech_rate",
        version="1",
        lane="gpu_worker_3",
        needs={Need.AUDIO},
        after=("speech_flow",),
        uses=("speech_transcription",),
        gives="syllables per second of each phrase; with a transcript words per minute",
    )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        backend = "syllable nuclei in numpy"
        flow = results["speech_flow"]
        if flow.reason:
            return Analysis.nothing(flow.reason, backend=backend)
        phrases = [s for s in flow.segments if s.label == "phrase"]
        speech_s = sum(p.end_s - p.start_s for p in phrases)
        if speech_s < MIN_SPEECH_S:
            return Analysis.nothing(f"only {speech_s:.1f} s of speech: too short to speak of a rate", backend=backend)
        loudness_db = speech_loudness_db(np.asarray(clip.audio))
        times_s = frame_times_s(len(loudness_db))
        voiced = np.isfinite(flow.tracks["pitch_hz"])
        segments, syllables = [], []
        words = words_in(results)
        for phrase in phrases:
            first, end = np.searchsorted(times_s, [phrase.start_s, phrase.end_s])
            nuclei = first + syllable_nuclei(loudness_db[first:end], voiced[first:end])
            syllables += nuclei.tolist()
            length_s = phrase.end_s - phrase.start_s
            if length_s < MIN_SPEECH_S:
                continue
            rate = len(nuclei) / length_s
            label = "slow" if rate < SLOW_BELOW else "fast" if rate >= FAST_FROM else "medium"
            data = {"syllables": len(nuclei), "syllables_per_s": round(rate, 2), "basis": "syllable nuclei"}
            if said := count_in(phrase, words):
                data |= {"words": said, "words_per_minute": round(60 * said / length_s, 1), "basis": "words"}
            segments.append(Segment(phrase.start_s, phrase.end_s, label, data=data))
        counts = [(count_in(p, words), p.end_s - p.start_s) for p in phrases]
        heard_s = sum(length_s for count, length_s in counts if count)
        return Analysis(
            segments=segments,
            summary={
                "syllables": len(syllables),
                "syllables_per_s": round(len(syllables) / speech_s, 2),
                "syllables_per_s_with_pauses": round(len(syllables) / (phrases[-1].end_s - phrases[0].start_s), 2),
                "words_per_minute": round(60 * sum(n for n, _ in counts) / heard_s, 1) if heard_s else None,
                "basis": "words" if heard_s else "syllable nuclei",
            },
            backend=backend,
            reason=None if segments else "no phrase is as long as a second",
            coverage=flow.coverage,
            tracks={"syllable_times_s": np.asarray(syllables) * HOP_S},
        )


def count_in(phrase: Segment, words: Sequence[Word]) -> int:
    """How many words have their middle in a phrase."""
    return sum(phrase.start_s <= w.middle_s < phrase.end_s for w in words)


def speech_loudness_db(audio: np.ndarray) -> np.ndarray:
    """Loudness of the bands of speech in 10 ms frames, smoothed over 50 ms: (frames,) dB, of no absolute meaning."""
    bands = np.concatenate([power @ mel_matrix(30) for power in power_frames(audio)])[:, BANDS]
    loudness = np.power(bands, LOUDNESS_EXPONENT).mean(axis=1)
    loudness_db = 10 / LOUDNESS_EXPONENT * np.log10(loudness + 1e-4)
    return np.convolve(np.pad(loudness_db, len(SMOOTH) // 2, mode="edge"), SMOOTH, mode="valid")


def syllable_nuclei(loudness_db: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Frames of syllable nuclei in one phrase: voiced peaks with a dip of `MIN_DIP_DB` on both sides, loud enough.

    Args:
        loudness_db: (frames,) from `speech_loudness_db`.
        voiced: (frames,) bool.
    """
    if not len(loudness_db):
        return np.zeros(0, np.int64)
    peaks: list[int] = []
    lowest, peak = float(loudness_db[0]), None
    for i, level in enumerate(loudness_db):
        if peak is None:
            lowest = min(lowest, level)
            peak = i if level >= lowest + MIN_DIP_DB else None
        elif level > loudness_db[peak]:
            peak = i
        elif level <= loudness_db[peak] - MIN_DIP_DB:
            peaks.append(peak)
            lowest, peak = level, None
    if peak is not None:
        peaks.append(peak)
    floor_db = np.percentile(loudness_db, 99) - MAX_BELOW_DB
    near = np.convolve(voiced, np.ones(2 * NEAR_PITCH + 1), mode="same") > 0
    return np.array([p for p in peaks if loudness_db[p] > floor_db and near[p]], np.int64)
