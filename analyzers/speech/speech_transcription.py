"""What is said, with the time of every word. Without a speech model: where something is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.clip import AUDIO_HZ, Clip
from analyzers.common.devices import device_of, in_batches
from analyzers.common.voice import VoiceRegion, voice_regions_of
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.errors import AnalysisError, WeightsMissing
from analyzers.weights import loading, revision_of

WINDOW_S = 29.0
"""The model looks at 30 s; a little less, so that its last time stamp lies inside."""
MAX_GAP_S = 2.0
"""Voice regions this close share a window: words make sense of each other."""
NEAR_VOICE_S = 0.2
"""Word times of the model are good to about so much."""
MAX_COMPRESSION, MIN_LOG_PROBABILITY, MAX_NO_SPEECH = 2.4, -1.0, 0.6
"""Whisper's own limits of what counts as failed."""
MIN_LANGUAGE_PROBABILITY = 0.5


@dataclass
class SpeechTranscription(Analyzer):
    """What is said, by openai-whisper (Radford et al. 2022, arXiv:2212.04356; MIT licence, weights too).

    The model hears the speech regions of `audio_environment` (silero-vad) only, in windows of up to 29 s, each without
    knowledge of the text before. Decoding is greedy and so repeatable. Language: of the 100 the model knows, the most
    likely in the mean over the first three windows.

    Text is often invented by such models, mostly in music and silence. So a passage counts only if it repeats itself no
    more than text does (compression ratio up to 2.4), the model is sure of its words (mean log probability from -1) or
    at least that somebody speaks (up to 0.6 for "no speech", with a log probability from -1.5), and a word only if its
    middle lies in a speech region or within 0.2 s of one.

    Segments: "speech". With text: one per passage, from its first word to its last; confidence: mean probability of its
    words; data: text, language, words ([{word, start_s, end_s, probability}]). Without: one per speech region of which
    no word was understood; confidence: mean speech probability; data: text None, language None, and why (only with the
    model). Summary: speech_s; with the model also text (all of it, None if there is none), language (such as "de";
    None below a probability of 0.5), language_probability, words, dropped (passages that did not count, by reason).

    Empty result: nobody speaks, which needs no model to say.
    What it gets wrong: several voices at once, names, sung text, dialects; it leaves out fillers and repetitions more
    often than not; one language is assumed for the whole clip, and parts in another come out translated or garbled.

    Raises:
        WeightsMissing: somebody speaks, and there is no model; `found` holds the speech regions.
    """

    spec = AnalyzerSpec(
        name="speech_transcription",
        version="1",
        lane="cpu_parallel",
        needs={Need.AUDIO},
        after=("audio_environment",),
        weights=("whisper",),
        gives="what is said, with times; without weights only where",
    )

    def load(self) -> None:
        self._missing: str | None = None
        try:
            self._model = load_whisper(self.spec.lane)
        except WeightsMissing as missing:
            self._missing = str(missing)

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        voices = voice_regions_of(results["audio_environment"])
        if not voices:
            return Analysis.nothing("nobody speaks", backend="silero-vad regions of audio_environment")
        speech_s = round(sum(v.end_s - v.start_s for v in voices), 2)
        coverage = results["audio_environment"].coverage
        if self._missing:
            found = Analysis(
                segments=[_without_text(v) for v in voices],
                summary={"speech_s": speech_s},
                backend="silero-vad regions of audio_environment",
                coverage=coverage,
            )
            raise WeightsMissing(f"speech is found, but not transcribed: {self._missing}", found)
        audio, stretches_s = np.asarray(clip.audio), windows(voices)
        language, sure = self._language(audio, stretches_s[:3])
        segments: list[Segment] = []
        dropped: dict[str, int] = {}
        for start_s, end_s in stretches_s:
            for passage in self._passages(audio, start_s, end_s, language):
                if why := doubt(passage):
                    dropped[why] = dropped.get(why, 0) + 1
                elif segment := _with_text(passage, start_s, end_s, voices, language, clip.duration_s):
                    segments.append(segment)
                else:
                    dropped["no voice under it"] = dropped.get("no voice under it", 0) + 1
        texts = [s.data["text"] for s in segments]
        words = [w for s in segments for w in s.data["words"]]
        heard = [(w["start_s"], w["end_s"]) for w in words]
        segments += [_without_text(v, why="no word was understood") for v in voices if not _any_in(v, heard)]
        from importlib.metadata import version

        return Analysis(
            segments=sorted(segments, key=lambda s: s.start_s),
            summary={
                "speech_s": speech_s,
                "text": " ".join(texts) or None,
                "language": language if sure >= MIN_LANGUAGE_PROBABILITY else None,
                "language_probability": round(sure, 3),
                "words": len(words),
                "dropped": dropped,
            },
            backend=f"openai-whisper {version('openai-whisper')} on silero-vad regions of audio_environment",
            model=revision_of("whisper"),
            coverage=coverage,
        )

    def _language(self, audio: np.ndarray, stretches_s: Sequence[tuple[float, float]]) -> tuple[str, float]:
        """Code of the most likely language, and how likely it is, 0-1."""
        import torch
        import whisper

        if not self._model.is_multilingual:
            return "en", 1.0

        def mels(part: Sequence[tuple[float, float]]) -> torch.Tensor:
            sounds = [whisper.pad_or_trim(np.array(_part(audio, a, b))) for a, b in part]
            return torch.stack([whisper.log_mel_spectrogram(s, self._model.dims.n_mels) for s in sounds])

        def detect(batch: torch.Tensor) -> list[dict[str, float]]:
            return self._model.detect_language(batch.to(self._model.device))[1]

        found = list(in_batches(stretches_s, len(stretches_s), mels, detect))
        means = {code: float(np.mean([one[code] for one in found])) for code in found[0]}
        best = max(means, key=lambda code: means[code])
        return best, means[best]

    def _passages(self, audio: np.ndarray, start_s: float, end_s: float, language: str) -> list[dict[str, Any]]:
        """Whisper's segments of a stretch of the clip; their times are seconds from its start."""
        import torch
        import whisper

        found = whisper.transcribe(
            self._model,
            # From where the sound lies its spectrogram is computed there, too: a GPU need not wait for the CPU's.
            torch.from_numpy(np.array(_part(audio, start_s, end_s))).to(self._model.device),
            language=language,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            # what failed is left out by `doubt`, which says why
            compression_ratio_threshold=None,
            logprob_threshold=None,
            no_speech_threshold=None,
            fp16=self._model.device.type == "cuda",
        )
        return found["segments"]


def load_whisper(lane: str) -> Any:
    """The whisper model on the device of a lane.

    Raises:
        WeightsMissing: it is not installed, or its file is not what was fetched.
        AnalysisError: the file is no whisper checkpoint.
    """
    with loading("whisper") as folder:
        files = sorted(folder.glob("*.pt"))
        if len(files) != 1:
            raise AnalysisError(f"there are {len(files)} .pt files in its folder, not one")
        import pickle

        import whisper

        try:
            model = whisper.load_model(str(files[0]), device=device_of(lane))
        except (pickle.UnpicklingError, KeyError, TypeError) as error:
            raise AnalysisError(f"{files[0].name} is no whisper checkpoint") from error
        set_alignment_heads(model, files[0])
        keep_compiled()
        return model.eval()


def keep_compiled() -> None:
    """Let numba keep on disk what it compiles for whisper's word times: 1.5 s in each process otherwise.

    The library does not ask for it. Numba keeps it beside the library or, where that may not be written, in the user's
    cache; `NUMBA_CACHE_DIR` names another folder.
    """
    from whisper import timing

    for compiled in (timing.backtrace, timing.dtw_cpu):
        compiled.enable_caching()


def set_alignment_heads(model: Any, file: Path) -> None:
    """Choose the attention heads that word times are read from: those that openai found best for each of its models.

    The library does so only for models that it downloads itself; otherwise it takes all heads of the upper half.
    """
    import base64
    import gzip

    import whisper

    heads = whisper._ALIGNMENT_HEADS.get(file.stem)
    shape = model.dims.n_text_layer * model.dims.n_text_head
    if heads and len(gzip.decompress(base64.b85decode(heads))) == shape:
        model.set_alignment_heads(heads)


def windows(voices: Sequence[VoiceRegion]) -> list[tuple[float, float]]:
    """Stretches (start_s, end_s) of at most `WINDOW_S` that hold all speech regions; a longer region is cut."""
    found: list[tuple[float, float]] = []
    for voice in voices:
        if found and voice.start_s - found[-1][1] <= MAX_GAP_S and voice.end_s - found[-1][0] <= WINDOW_S:
            found[-1] = (found[-1][0], voice.end_s)
            continue
        start_s = voice.start_s
        while voice.end_s - start_s > WINDOW_S:
            found.append((start_s, start_s + WINDOW_S))
            start_s += WINDOW_S
        found.append((start_s, voice.end_s))
    return found


def doubt(passage: Mapping[str, Any]) -> str | None:
    """Why a passage of whisper's is likely invented; None if it is not."""
    if passage["compression_ratio"] > MAX_COMPRESSION:
        return "repeats itself"
    if passage["avg_logprob"] < MIN_LOG_PROBABILITY:
        unsure = passage["no_speech_prob"] > MAX_NO_SPEECH or passage["avg_logprob"] < 1.5 * MIN_LOG_PROBABILITY
        return "the model is unsure" if unsure else None
    return None


def _with_text(
    passage: Mapping[str, Any],
    start_s: float,
    end_s: float,
    voices: Sequence[VoiceRegion],
    language: str,
    clip_end_s: float,
) -> Segment | None:
    """A passage with those of its words that somebody speaks; None if there are none."""
    words, text = [], ""
    for word in passage["words"]:
        first_s, last_s = (min(max(start_s + float(word[k]), start_s), end_s, clip_end_s) for k in ("start", "end"))
        middle_s = (first_s + last_s) / 2
        if word["word"].strip() and any(v.start_s - NEAR_VOICE_S <= middle_s <= v.end_s + NEAR_VOICE_S for v in voices):
            text += word["word"]
            words.append(
                {
                    "word": word["word"].strip(),
                    "start_s": round(first_s, 3),
                    "end_s": round(max(first_s, last_s), 3),
                    "probability": round(float(word["probability"]), 3),
                }
            )
    if not words:
        return None
    sure = float(np.mean([w["probability"] for w in words]))
    data = {"text": text.strip(), "language": language, "words": words}
    return Segment(words[0]["start_s"], words[-1]["end_s"], "speech", round(sure, 3), data=data)


def _without_text(voice: VoiceRegion, **why: str) -> Segment:
    data = {"text": None, "language": None, **why}
    return Segment(voice.start_s, voice.end_s, "speech", voice.probability, data=data)


def _any_in(voice: VoiceRegion, words_s: Sequence[tuple[float, float]]) -> bool:
    return any(a < voice.end_s and b > voice.start_s for a, b in words_s)


def _part(audio: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    return audio[round(start_s * AUDIO_HZ) : round(end_s * AUDIO_HZ)]
