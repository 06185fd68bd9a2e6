"""What is said. Without a speech model: where something is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analyzers.clip import Clip
from analyzers.common.voice import voice_regions_of
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.errors import WeightsMissing


@dataclass
class SpeechTranscription(Analyzer):
    """Where somebody speaks; the words need the weights of a speech model, which are not installed.

    Segments: "speech", one per speech region of `audio_environment` (silero-vad), confidence: mean speech probability.
    data: text (None: not transcribed), language (None). They come with the outcome `weights_missing`; a clip without
    speech gives `no_signal`, since there is nothing to transcribe whether or not the model is there.
    Summary: speech_s.

    Empty result: nobody speaks.
    What it gets wrong: what the voice detector does, see `audio_environment`.

    Raises:
        WeightsMissing: somebody speaks.
    """

    spec = AnalyzerSpec(
        name="speech_transcription",
        version="1",
        lane="cpu_parallel",
        needs={Need.AUDIO},
        after=("audio_environment",),
        gives="what is said, with times; without weights only where",
    )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        backend = "silero-vad regions of audio_environment"
        voices = voice_regions_of(results["audio_environment"])
        if not voices:
            return Analysis.nothing("nobody speaks", backend=backend)
        found = Analysis(
            segments=[
                Segment(v.start_s, v.end_s, "speech", v.probability, data={"text": None, "language": None})
                for v in voices
            ],
            summary={"speech_s": round(sum(v.end_s - v.start_s for v in voices), 2)},
            backend=backend,
            coverage=results["audio_environment"].coverage,
        )
        raise WeightsMissing("the whisper model is not installed: speech is found, but not transcribed", found)
