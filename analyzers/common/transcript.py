"""The words of speech_transcription, for the analyses that build on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analyzers.contract import Analysis


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word."""

    word: str
    """As written, with its punctuation."""
    start_s: float
    end_s: float
    probability: float
    """Of the speech model, 0-1."""

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def words_in(results: Mapping[str, Analysis]) -> list[Word]:
    """All words in order; none without a transcript, or where nothing was understood."""
    spoken = results.get("speech_transcription")
    return [Word(**w) for s in spoken.segments for w in s.data.get("words", ())] if spoken else []


def spoken_language(results: Mapping[str, Analysis]) -> str | None:
    """Code of the language such as "de"; None if it is not known."""
    spoken = results.get("speech_transcription")
    return spoken.summary.get("language") if spoken else None
