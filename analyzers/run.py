"""Runs an analyzer on a clip and turns whatever happens into an `Outcome`."""

from __future__ import annotations

import errno
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from analyzers.clip import Clip
from analyzers.common.devices import is_out_of_memory
from analyzers.contract import Analysis, Analyzer, Failure, Need, Outcome
from analyzers.errors import AnalysisError, InputsMissing, MediaError, WeightsMissing

log = logging.getLogger(__name__)
_loaded: dict[tuple[type, str], Analyzer] = {}


def loaded(analyzer_class: type[Analyzer]) -> Analyzer:
    """An analyzer with default settings whose `load` has run; one per class and process."""
    analyzer = analyzer_class()
    key = (analyzer_class, analyzer.code_version())
    if key not in _loaded:
        started = time.perf_counter()
        analyzer.load()
        log.info("%s loaded in %.2f s", analyzer.spec.name, time.perf_counter() - started)
        _loaded[key] = analyzer
    return _loaded[key]


def examine(analyzer_class: type[Analyzer], clip: Clip, outcomes: Mapping[str, Outcome]) -> Outcome:
    """Measure one clip. Never raises for what is wrong with the video, the analyzer or its models.

    Args:
        analyzer_class: from the catalogue.
        clip: the decoded video.
        outcomes: how the analyses ended that this one needs or uses, by name.
    """
    started = time.perf_counter()

    def ended(outcome: Outcome) -> Outcome:
        return replace(outcome, seconds=time.perf_counter() - started)

    spec = analyzer_class.spec
    if reason := _missing_part(clip, frozenset(spec.needs)):
        return ended(Outcome("no_signal", 0.0, reason, Analysis.nothing(reason, backend="none needed")))
    for name in spec.after:
        if name not in outcomes or not outcomes[name].succeeded:
            how = outcomes[name].status if name in outcomes else "was not run"
            return ended(Outcome("upstream_missing", 0.0, f"it needs {name}, which has no result ({how})"))
    results = {
        name: outcomes[name].analysis
        for name in (*spec.after, *spec.uses)
        if name in outcomes and outcomes[name].succeeded
    }
    try:
        analysis = loaded(analyzer_class).analyze(clip, {k: v for k, v in results.items() if v is not None})
        return ended(_checked(analysis, clip))
    except InputsMissing as missing:
        return ended(Outcome("upstream_missing", 0.0, str(missing)))
    except WeightsMissing as missing:
        return ended(Outcome("weights_missing", 0.0, str(missing), missing.found))
    except Exception as error:
        failure = Failure(type(error).__name__, _one_line(error), _may_work_later(error))
        return ended(Outcome("failed", 0.0, failure.message, failure=failure))


def _missing_part(clip: Clip, needs: frozenset[Need]) -> str | None:
    if needs & {Need.FRAMES, Need.LUMA, Need.THUMBS, Need.PICTURES} and not clip.has_video:
        return str(clip.manifest["no_video"])
    if Need.AUDIO in needs and not clip.has_audio:
        return str(clip.manifest["no_audio"])
    return None


def _checked(analysis: Analysis, clip: Clip) -> Outcome:
    """Refuse what no reader could use: segments outside the clip, out of order, boxes off the picture."""
    if not analysis.segments and not analysis.reason:
        raise AnalysisError("it gave no segments and no reason why.")
    last_s = 0.0
    for s in analysis.segments:
        if not -1e-6 <= s.start_s <= s.end_s <= clip.duration_s + 1e-3:
            where = f"{s.start_s:.3f}-{s.end_s:.3f} s"
            raise AnalysisError(f"it gave a segment {where} in a clip of {clip.duration_s:.3f} s.")
        if s.start_s < last_s:
            raise AnalysisError("it gave segments out of order.")
        if s.confidence is not None and not 0.0 <= s.confidence <= 1.0:
            raise AnalysisError(f"it gave a confidence of {s.confidence}.")
        if s.box and not (0 <= s.box[0] <= s.box[2] <= 1 and 0 <= s.box[1] <= s.box[3] <= 1):
            raise AnalysisError(f"it gave a box {s.box} off the picture.")
        last_s = s.start_s
    try:
        json.dumps([analysis.summary, [s.data for s in analysis.segments]], allow_nan=False)
    except ValueError as error:
        raise AnalysisError("it gave a value that is no number (NaN or infinite).") from error
    except TypeError as error:
        raise AnalysisError(f"it gave a value that is not plain JSON: {error}.") from error
    return Outcome("ok" if analysis.segments else "no_signal", 0.0, analysis.reason, analysis)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, AnalysisError) else f"{type(error).__name__}: {text}"[:300]


def _may_work_later(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ESTALE)
    return isinstance(error, MediaError) or is_out_of_memory(error)
