"""How speech flows: phrases, pauses, pitch, and fillers where there is a transcript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.pitch import pitch_hz
from analyzers.common.spectra import HOP_S, frame_count, frame_times_s
from analyzers.common.transcript import Word, spoken_language, words_in
from analyzers.common.voice import PAD_S, VoiceRegion, voice_regions_of
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment

MIN_PAUSE_S = 0.25
"""Shorter gaps belong to articulation, e.g. the closure of a plosive (Goldman-Eisler 1968)."""
MAX_PAUSE_S = 3.0
"""A longer gap is no pause in somebody's speech but its end."""
MIN_VOICED_S = 0.2
"""With less pitch than this, nothing is said about it."""

PUNCTUATION = ",.;:!?…-–—\"'„“”«»()"
HESITATIONS = frozenset(("äh", "ähm", "ähem", "öh", "öhm", "ehm", "hm", "hmm", "mhm", "uhm", "erm"))
ENGLISH_HESITATIONS = frozenset(("um", "umm", "uh", "uhh", "er", "eh"))
ENGLISH_PHRASES = frozenset(("you know", "i mean"))


@dataclass
class SpeechFlow(Analyzer):
    """Phrases and the pauses between them, and the pitch of the voice.

    Phrases are the speech regions of `audio_environment`, joined over gaps below 0.25 s (Goldman-Eisler 1968). Pitch:
    YIN (de Cheveigne & Kawahara 2002) at 100 Hz inside them, 65-500 Hz.

    Segments: "phrase" (confidence: speech probability; data: pitch_hz median, pitch_range_semitones between the 10th
    and 90th percentile, pitch_deviation_semitones, final_pitch_semitones: mean of the last 0.3 s of pitch against the
    phrase's median, so that > 0 rises as a question may; voiced_share 0-1; pitch values are None with less than 0.2 s
    of pitch) and "pause" (0.25-3 s between two phrases; no confidence; data: length_s).
    With the words of `speech_transcription` also "filler" (confidence: the model's probability of the word; data:
    word): hesitations ("äh", "ähm", "hm", in English "um", "uh", "er"), and in English "like", "you know" and "I mean"
    where commas set them apart.
    Summary: phrases, pauses, speech_s, pause_s, pause_ratio (pause seconds over pause and speech seconds),
    mean_pause_s, longest_pause_s (None without pauses), the pitch values over all phrases, voiced_share, fillers
    (how many; None without a transcript) with fillers_reason.
    Tracks: pitch_hz (NaN where nobody speaks or the voice has no pitch) with its times.

    Empty result: nobody speaks.
    What it gets wrong: several voices are taken for one; a filled pause is part of a phrase; speech models leave
    many fillers out, so that their count is a lower bound; under loud music pitch may be that of an instrument; creaky
    voice has none or half of it.
    """

    spec = AnalyzerSpec(
        name="speech_flow",
        version="1",
        lane="cpu_parallel",
        needs={Need.AUDIO},
        after=("audio_environment",),
        uses=("speech_transcription",),
        gives="phrases with pitch, pauses between them; with a transcript fillers",
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
        words = words_in(results)
        fillers = find_fillers(words, spoken_language(results))
        segments += [Segment(w.start_s, w.end_s, "filler", w.probability, data={"word": w.word}) for w in fillers]
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
                "fillers": len(fillers) if words else None,
                "fillers_reason": "a lower bound: speech models leave many out"
                if words
                else "fillers are words; they need a transcript",
            },
            backend=backend,
            coverage=results["audio_environment"].coverage,
            tracks={"pitch_hz": pitch.astype(np.float32), "pitch_hz_times_s": times_s},
        )


def find_fillers(words: Sequence[Word], language: str | None) -> list[Word]:
    """The words, or pairs of words as one, that only fill time.

    Args:
        words: in order, with their punctuation.
        language: of the words; German "um" and "er" are words of their own.
    """
    plain = [w.word.strip(PUNCTUATION).lower() for w in words]
    english, found, taken = language == "en", [], -1
    for i, word in enumerate(words):
        if i <= taken:
            continue
        pair = " ".join(plain[i : i + 2])
        hesitates = plain[i] in HESITATIONS or (english and plain[i] in ENGLISH_HESITATIONS)
        if hesitates or (english and plain[i] == "like" and _set_apart(words, i, i)):
            found.append(word)
        elif english and pair in ENGLISH_PHRASES and _set_apart(words, i, i + 1):
            last, taken = words[i + 1], i + 1
            found.append(
                Word(f"{word.word} {last.word}", word.start_s, last.end_s, min(word.probability, last.probability))
            )
    return found


def _set_apart(words: Sequence[Word], first: int, last: int) -> bool:
    """Whether punctuation stands before and behind some of the words."""
    before = first == 0 or words[first - 1].word[-1:] in PUNCTUATION
    return before and words[last].word[-1:] in PUNCTUATION


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
