"""Where somebody speaks: silero-vad's model through onnxruntime alone, without torch.

`audio_environment` runs it once a video; what builds on voice regions takes them from that analysis by
`voice_regions_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.clip import AUDIO_HZ
from analyzers.common.spectra import runs
from analyzers.contract import Analysis
from analyzers.errors import WeightsMissing

MODEL_FILE = "silero_vad_16k_sequence.onnx"
"""The variant that takes many frames in one call (silero-vad 6.2; MIT licence)."""
FRAME = 512
"""Samples that one probability stands for: 32 ms."""
FRAME_S = FRAME / AUDIO_HZ
CONTEXT = 64
"""Samples before a frame that the model sees as well."""
FRAMES_AT_ONCE = 512
LEAD_FRAMES = 62
"""Two seconds. The model begins deaf: of speech cut off in mid-word it hears 97 % in the first second, after a lead-in
of the same sound played backwards 99 %, and what sounds like speech to it in the first frames of rain is gone."""
START_PROBABILITY, STOP_PROBABILITY = 0.5, 0.35
MIN_SPEECH_S, MIN_GAP_S, PAD_S = 0.25, 0.1, 0.03
"""The thresholds and times of silero-vad's own get_speech_timestamps."""
MIN_MEAN_PROBABILITY = 0.6
"""A region of real speech has 0.9 and more; a gliding tone crosses `START_PROBABILITY` now and then."""


@dataclass(frozen=True, slots=True)
class VoiceRegion:
    """A stretch in which somebody speaks."""

    start_s: float
    end_s: float
    probability: float
    """Mean of the model's speech probability, 0-1."""


@cache
def session() -> Any:
    """The model, loaded once a process.

    Raises:
        WeightsMissing: the silero-vad package is not installed or no longer carries this file.
    """
    spec = find_spec("silero_vad")  # importing it would import torch
    folder = Path(spec.submodule_search_locations[0]) / "data" if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / MODEL_FILE).is_file():
        raise WeightsMissing(f"{MODEL_FILE} is not there; it comes with the Python package silero-vad 6.2.")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"])


def voice_probability(audio: np.ndarray) -> np.ndarray:
    """Probability that somebody speaks in each 32 ms of 16 kHz mono sound: (frames,) float32, 0-1.

    The model hears the beginning backwards first, so that it knows the level and the voice of a clip that was cut out
    of the middle of a sentence; what it says of that is dropped.
    """
    if not len(audio):
        return np.zeros(0, np.float32)
    lead = min(LEAD_FRAMES, len(audio) // FRAME)
    count = lead - (-len(audio) // FRAME)
    padded = np.zeros(CONTEXT + count * FRAME, np.float32)
    begins = CONTEXT + lead * FRAME
    padded[CONTEXT:begins] = audio[: lead * FRAME][::-1]
    padded[begins : begins + len(audio)] = audio
    frames = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
    hidden = cell = np.zeros((1, 1, 128), np.float32)
    found = []
    for start in range(0, count, FRAMES_AT_ONCE):
        block = np.ascontiguousarray(frames[start : start + FRAMES_AT_ONCE])
        values, hidden, cell = session().run(["speech_probs", "hn", "cn"], {"input": block, "h": hidden, "c": cell})
        found.append(values.reshape(-1))
    return np.concatenate(found)[lead:]


def find_voice_regions(probability: np.ndarray, length_s: float) -> list[VoiceRegion]:
    """Stretches of speech in order, from the probabilities of `voice_probability`.

    Speech begins at `START_PROBABILITY` and ends where the probability stays below `STOP_PROBABILITY` for `MIN_GAP_S`;
    what is shorter than `MIN_SPEECH_S` or doubtful throughout is dropped, the rest padded by `PAD_S` inside the sound.
    """
    speaking = np.zeros(len(probability), bool)
    on = False
    for i, p in enumerate(probability):
        on = p >= START_PROBABILITY or (on and p >= STOP_PROBABILITY)
        speaking[i] = on
    for first, end in runs(speaking):
        if not speaking[first] and first > 0 and end < len(speaking) and (end - first) * FRAME_S < MIN_GAP_S:
            speaking[first:end] = True
    regions: list[VoiceRegion] = []
    for first, end in runs(speaking):
        if not speaking[first] or (end - first) * FRAME_S < MIN_SPEECH_S:
            continue
        mean = float(probability[first:end].mean())
        if mean >= MIN_MEAN_PROBABILITY:
            start_s, end_s = max(0.0, first * FRAME_S - PAD_S), min(length_s, end * FRAME_S + PAD_S)
            regions.append(VoiceRegion(start_s, end_s, mean))
    return regions


def voice_regions_of(environment: Analysis) -> list[VoiceRegion]:
    """The voice regions in an analysis of `audio_environment`."""
    return [VoiceRegion(s.start_s, s.end_s, s.confidence or 0.0) for s in environment.segments if s.label == "speech"]
