"""Names of what sounds, by a model that knows the classes of AudioSet: over windows, and around single events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analyzers.clip import AUDIO_HZ
from analyzers.common.transformers_models import AudioClassifier
from analyzers.contract import Segment

WINDOW_S = 10.0
"""AudioSet's clips are 10 s long, and so is what the model was trained with."""
MIN_WINDOW_S = 1.0
"""A shorter rest at the end belongs to the window before."""
BEFORE_S, AFTER_S = 0.5, 1.5
TAGS = 5
MIN_PROBABILITY, MIN_KIND = 0.1, 0.2
EVENTS = 24
"""Each costs as much as a window: 3 s on one core."""
MIN_SAMPLES = 1600
"""A tenth of a second: the model's spectrogram needs a few frames."""
NO_EVENTS = frozenset({"Speech", "Music", "Silence"})


def tagged_windows(tagger: AudioClassifier, audio: np.ndarray) -> list[Segment]:
    """One segment "tags" per `WINDOW_S` of mono sound at 16 kHz; none of less than a tenth of a second."""
    stretches_s = windows(len(audio) / AUDIO_HZ) if len(audio) >= MIN_SAMPLES else []
    sounds = [audio[round(a * AUDIO_HZ) : round(b * AUDIO_HZ)] for a, b in stretches_s]
    segments = []
    for (start_s, end_s), row in zip(stretches_s, tagger.each_probability(sounds), strict=True):
        data = {"tags": likely(tagger.labels, row)}
        segments.append(Segment(start_s, round(end_s, 3), "tags", round(float(row.max()), 4), data=data))
    return segments


def usual_tags(tagged: Sequence[Segment]) -> dict[str, float]:
    """Mean probability over time of each tag that a window has, the most likely first; a window without it counts 0."""
    total_s = sum(s.end_s - s.start_s for s in tagged)
    sums: dict[str, float] = {}
    for s in tagged:
        for tag, probability in s.data["tags"].items():
            sums[tag] = sums.get(tag, 0.0) + probability * (s.end_s - s.start_s)
    return {tag: round(sums[tag] / total_s, 4) for tag in sorted(sums, key=lambda t: (-sums[t], t))}


def tagged_events(tagger: AudioClassifier, audio: np.ndarray, events: Sequence[Segment]) -> list[Segment]:
    """The same events, the `EVENTS` loudest of them with what they may be; their data holds `level_dbfs`."""
    loudest = sorted(range(len(events)), key=lambda i: (-events[i].data["level_dbfs"], i))[:EVENTS]
    rows = tagger.each_probability([around(audio, events[i].start_s) for i in loudest])
    named = list(events)
    for i, row in zip(loudest, rows, strict=True):
        tags = likely(tagger.labels, row)
        kind = next((tag for tag, p in tags.items() if p >= MIN_KIND and tag not in NO_EVENTS), None)
        data = {**events[i].data, "kind": kind, "tags": tags}
        named[i] = replace(events[i], confidence=tags[kind] if kind else None, data=data)
    return named


def windows(length_s: float) -> list[tuple[float, float]]:
    """Stretches of `WINDOW_S` that cover a length; the last is shorter, or longer by less than `MIN_WINDOW_S`."""
    starts_s = [WINDOW_S * i for i in range(int(length_s // WINDOW_S) + 1)]
    if len(starts_s) > 1 and length_s - starts_s[-1] < MIN_WINDOW_S:
        starts_s.pop()
    return list(zip(starts_s, [*starts_s[1:], length_s], strict=True))


def around(audio: np.ndarray, time_s: float) -> np.ndarray:
    """The sound from `BEFORE_S` before a time to `AFTER_S` after it, with silence beyond the ends."""
    first, length = round((time_s - BEFORE_S) * AUDIO_HZ), round((BEFORE_S + AFTER_S) * AUDIO_HZ)
    sound = np.zeros(length, np.float32)
    part = audio[max(0, first) : first + length]
    sound[max(0, -first) : max(0, -first) + len(part)] = part
    return sound


def likely(labels: Sequence[str], probabilities: np.ndarray) -> dict[str, float]:
    """The most likely classes of at least `MIN_PROBABILITY`, the most likely first, `TAGS` at most."""
    order = np.argsort(-probabilities, kind="stable")[:TAGS]
    return {labels[i]: round(float(probabilities[i]), 4) for i in order if probabilities[i] >= MIN_PROBABILITY}
