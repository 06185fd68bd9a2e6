"""What can go wrong in here.

    AnalysisError
    ├── SpecError          an analyzer class breaks the contract; raised where the class is defined
    ├── UnknownAnalyzer    no analyzer of that name is in the catalogue
    ├── MediaError         a file is not readable as video or sound; says why
    ├── InputsMissing      none of the analyses that an analyzer could work from has a result
    └── WeightsMissing     model files are not installed; says which, how large, and how to get them

Anything else that an analyzer raises becomes a `failed` outcome in `analyzers.run.examine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzers.contract import Analysis


class AnalysisError(Exception):
    """Base of every error that this package raises on purpose. Its text is one short sentence for people."""


class SpecError(AnalysisError, TypeError):
    """An analyzer class breaks the contract."""


class UnknownAnalyzer(AnalysisError, KeyError):
    """No analyzer of that name is in the catalogue."""

    def __str__(self) -> str:
        return str(self.args[0])


class MediaError(AnalysisError, ValueError):
    """A file is not readable as video or sound."""


class InputsMissing(AnalysisError):
    """None of the analyses that an analyzer could work from has a result; each alone would do."""


class WeightsMissing(AnalysisError):
    """Model files that an analyzer needs are not installed.

    `found` is what could be said without them (faces without ages, voice regions without words), or None.
    """

    def __init__(self, message: str, found: Analysis | None = None) -> None:
        super().__init__(message)
        self.found = found
