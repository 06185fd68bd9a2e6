"""What an analyzer is, what it may ask for, and what it gives back.

An analyzer is a dataclass with a `spec` and one required method:

    @dataclass
    class LoudnessAnalysis(Analyzer):
        '''What it measures, how, from which source, and what it gets wrong.'''

        spec = AnalyzerSpec(name="loudness_analysis", version="1", lane="cpu_parallel", needs={Need.AUDIO})
        window_s: float = 0.4          # a setting: part of the code version

        def analyze(self, clip, results):
            return Analysis(segments=..., backend="...")

`__init__` does no work. `load()` does the heavy imports and loads models, once a process. `analyze()` is called once a
video. The algorithm itself stands in pure functions beside the class.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from analyzers import weights
from analyzers.clip import Clip
from analyzers.errors import SpecError

LANES = ("gpu_worker_0", "gpu_worker_1", "gpu_worker_2", "gpu_worker_3", "cpu_parallel")
"""Where analyzers queue: four groups that want a GPU to themselves, and one that never does."""

Status = Literal["ok", "no_signal", "weights_missing", "upstream_missing", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
SUCCESS: frozenset[str] = frozenset({"ok", "no_signal"})
"""The statuses that count as success: it ran, and what it says is true of the video."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in fractions of the picture's width and height (0-1), origin at the top left."""


class Need(StrEnum):
    """Parts of a clip that an analyzer may ask for. A clip without one gives `no_signal`."""

    FRAMES = "frames"
    """RGB pictures at 4 per second, long side at most 640 px."""
    LUMA = "luma"
    """Brightness of every picture, short side at most 160 px."""
    THUMBS = "thumbs"
    """RGB of every picture, long side at most 96 px."""
    PICTURES = "pictures"
    """A second, targeted decode of the file through `Clip.pictures`."""
    AUDIO = "audio"
    """Mono sound at 16 kHz."""
    METADATA = "metadata"
    """What the publisher wrote about it, `Clip.published`. No clip is without: where nothing is known it is empty."""


@dataclass(frozen=True, slots=True)
class AnalyzerSpec:
    """What an analyzer declares about itself."""

    name: str
    """Name of the analyzer, its file, its asset and its test; in the field's standard terms."""
    version: str
    """Raised whenever the same video may give another result."""
    lane: str
    """One of `LANES`."""
    needs: frozenset[Need] | set[Need]
    """Parts of the clip that it reads; empty if it works on other analyses alone."""
    after: tuple[str, ...] = ()
    """Analyses that it cannot do without."""
    uses: tuple[str, ...] = ()
    """Analyses that make its result better when they are there."""
    weights: tuple[str, ...] = ()
    """Names of all models (in `analyzers.weights`) that it can use; each may be missing."""
    gives: str = ""
    """One line: what a segment tells. Shown in tables and in the UI."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One claim about a stretch of a video."""

    start_s: float
    """Start in seconds from the first picture, inside the clip."""
    end_s: float
    """End in seconds, exclusive; not before `start_s`. An event without length has end = start."""
    label: str
    """What is claimed, in a few fixed words an analyzer documents."""
    confidence: float | None = None
    """0-1, or None where the method has no such measure."""
    box: Box | None = None
    """Where in the picture, or None."""
    data: dict[str, Any] = field(default_factory=dict)
    """The evidence: plain JSON values with their unit in the key."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analyzer found in one video."""

    segments: Sequence[Segment] = ()
    """Claims, ordered by start. Empty only with a `reason`."""
    summary: dict[str, Any] = field(default_factory=dict)
    """A few values about the whole video, plain JSON."""
    backend: str = ""
    """What did the work, e.g. "PySceneDetect 0.7.2"."""
    model: str | None = None
    """Id and revision of the model that was used, if any."""
    reason: str | None = None
    """Why there is nothing, in plain words; required when `segments` is empty."""
    coverage: float = 1.0
    """Share of the video's timeline (0-1) that was looked at, whether or not something was found there."""
    tracks: dict[str, np.ndarray] = field(default_factory=dict)
    """Long per-frame series by name; stored beside the result, not in it."""

    @classmethod
    def nothing(cls, reason: str, **values: Any) -> Self:
        """An analysis that looked and found nothing, with the reason."""
        return cls(reason=reason, **values)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an outcome is `failed`."""

    kind: str
    """Short machine-readable name, e.g. "MemoryError" or "timed_out"."""
    message: str
    """One line for people."""
    retryable: bool
    """Whether the same again may work (a full disk, too little memory), or the video or the code must change."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to measure one video ended. Always written, whatever happened."""

    status: Status
    seconds: float
    """Wall-clock seconds that it took."""
    reason: str | None = None
    """In plain words, for every status but ok."""
    analysis: Analysis | None = None
    """There for ok and no_signal; for weights_missing when something could be said without the weights."""
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return self.status in SUCCESS

    def to_json(self) -> dict[str, Any]:
        """Plain values; `Analysis.tracks` are left out (they are stored as arrays)."""
        analysis = None
        if self.analysis is not None:
            a = self.analysis
            analysis = {
                "segments": [dataclasses.asdict(s) | {"box": list(s.box) if s.box else None} for s in a.segments],
                "summary": a.summary,
                "backend": a.backend,
                "model": a.model,
                "coverage": a.coverage,
            }
        return {
            "status": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 4),
            "failure": dataclasses.asdict(self.failure) if self.failure else None,
            "analysis": analysis,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], tracks: Mapping[str, np.ndarray] | None = None) -> Outcome:
        """The inverse of `to_json`, with the tracks put back."""
        analysis = None
        if (stored := data["analysis"]) is not None:
            analysis = Analysis(
                segments=tuple(_segment_from_json(s) for s in stored["segments"]),
                summary=stored["summary"],
                backend=stored["backend"],
                model=stored["model"],
                reason=data["reason"] if data["status"] == "no_signal" else None,
                coverage=stored["coverage"],
                tracks=dict(tracks or {}),
            )
        failure = Failure(**data["failure"]) if data["failure"] else None
        return cls(data["status"], data["seconds"], data["reason"], analysis, failure)


class Analyzer(ABC):
    """Base class of all analyzers; see the module docstring for its form."""

    spec: ClassVar[AnalyzerSpec]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        spec = cls.__dict__.get("spec")
        if not isinstance(spec, AnalyzerSpec):
            raise SpecError(f"{cls.__name__} has no `spec = AnalyzerSpec(...)`.")
        _check_spec(cls, spec)

    def load(self) -> None:  # noqa: B027 - most analyzers have nothing to load
        """Import heavy libraries and load models. Called once a process, before the first `analyze`.

        Raises:
            WeightsMissing: model files are not installed and nothing can be said without them.
        """

    @abstractmethod
    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        """Measure one video.

        Args:
            clip: the decoded video; what the spec `needs` is there.
            results: analyses by name: all of `spec.after`, those of `spec.uses` that succeeded. One that found
                nothing is there with no segments and a reason.

        Returns:
            What was found; `Analysis.nothing(reason)` if there is nothing of that kind.

        Raises:
            InputsMissing: none of `spec.uses` is there, and it has nothing else to work from.
            WeightsMissing: model files are not installed; with what can be said without them.
        """

    def settings(self) -> dict[str, Any]:
        """The values of this analyzer's settings (its dataclass fields)."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}  # type: ignore[arg-type]

    def code_version(self) -> str:
        """Version, settings and models in a short word such as "1-5f0c2a7e"; equal words promise equal results.

        Installing a model that the analyzer can use, or another revision of it, changes the word.
        """
        models = {name: weights.revision_of(name) for name in self.spec.weights}
        counted = [self.settings(), models] if models else self.settings()
        digest = hashlib.sha256(json.dumps(counted, sort_keys=True, default=str).encode()).hexdigest()
        return f"{self.spec.version}-{digest[:8]}"


def _segment_from_json(data: Mapping[str, Any]) -> Segment:
    return Segment(**{**data, "box": tuple(data["box"]) if data["box"] else None})


def _check_spec(cls: type, spec: AnalyzerSpec) -> None:
    where = f"{cls.__module__}.{cls.__name__}"
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", spec.name):
        raise SpecError(f"{where}: the name {spec.name!r} is not in snake_case.")
    if spec.lane not in LANES:
        raise SpecError(f"{where}: the lane {spec.lane!r} is not one of {', '.join(LANES)}.")
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", spec.version):
        raise SpecError(f"{where}: the version {spec.version!r} is not a number such as 1 or 1.2.")
    if unknown := [n for n in spec.needs if not isinstance(n, Need)]:
        raise SpecError(f"{where}: unknown needs {unknown}.")
    if unregistered := [n for n in spec.weights if n not in weights.REGISTRY]:
        raise SpecError(f"{where}: there are no weights {', '.join(unregistered)} in analyzers.weights.")
    if not spec.needs and not spec.after and not spec.uses:
        raise SpecError(f"{where}: needs neither a part of the clip nor another analysis.")
    if spec.name in (*spec.after, *spec.uses):
        raise SpecError(f"{where}: depends on itself.")
    if not (cls.__doc__ or "").strip():
        raise SpecError(f"{where}: has no docstring.")
