"""The contract: bad specs are refused where they are written, and whatever an analyzer does becomes an outcome."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from analyzers.catalogue import analyzer_class
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Outcome, Segment
from analyzers.errors import SpecError, UnknownAnalyzer, WeightsMissing
from analyzers.run import examine
from tests.media import synthetic_clip, texture

GOOD = {"name": "test_analysis", "version": "1", "lane": "cpu_parallel", "needs": {Need.LUMA}}


@pytest.fixture(scope="module")
def clip():
    return synthetic_clip([texture(64, 64)] * 30)


def define(answer, **spec):
    """An analyzer class that answers with a value, or raises it."""
    wanted = AnalyzerSpec(**{**GOOD, **spec})

    @dataclass
    class TestAnalysis(Analyzer):
        """For tests."""

        spec = wanted
        window_s: float = 0.5

        def analyze(self, clip, results):
            if isinstance(answer, BaseException):
                raise answer
            return answer(clip, results) if callable(answer) else answer

    return TestAnalysis


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"name": "Test Analysis"}, "snake_case"),
        ({"lane": "gpu_worker_9"}, "lane"),
        ({"version": "one"}, "version"),
        ({"needs": {"smell"}}, "unknown needs"),
        ({"needs": set()}, "needs neither"),
        ({"after": ("test_analysis",)}, "depends on itself"),
    ],
)
def test_a_bad_spec_is_refused_when_the_class_is_defined(spec, complaint):
    with pytest.raises(SpecError, match=complaint):
        define(None, **spec)


def test_a_class_without_spec_or_docstring_is_refused():
    with pytest.raises(SpecError, match="no `spec"):

        class NoSpec(Analyzer):
            """Text."""

    with pytest.raises(SpecError, match="docstring"):

        class NoText(Analyzer):
            spec = AnalyzerSpec(**GOOD)


def test_settings_change_the_code_version_and_nothing_else_does():
    kind = define(None)
    assert kind().code_version() == kind().code_version()
    assert kind().code_version() != kind(window_s=1.0).code_version()
    assert kind().code_version().startswith("1-")


def test_what_was_found_is_ok(clip):
    found = Analysis(segments=(Segment(0.0, 0.5, "thing", 0.5, (0, 0, 1, 1)),), backend="test")
    outcome = examine(define(found), clip, {})
    assert (outcome.status, outcome.reason) == ("ok", None)
    assert outcome.seconds > 0
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))).analysis == found


def test_nothing_of_that_kind_is_no_signal_with_a_reason(clip):
    outcome = examine(define(Analysis.nothing("no face anywhere")), clip, {})
    assert (outcome.status, outcome.reason) == ("no_signal", "no face anywhere")


def test_a_clip_without_the_part_that_is_needed_never_reaches_the_analyzer(clip):
    outcome = examine(define(AssertionError("was called"), needs={Need.AUDIO}), clip, {})
    assert (outcome.status, outcome.reason) == ("no_signal", "the file has no audio track")


def test_missing_weights_say_so_and_keep_what_was_found(clip):
    found = Analysis(segments=(Segment(0.0, 0.5, "voice"),), backend="test")
    outcome = examine(define(WeightsMissing("whisper is not installed", found)), clip, {})
    assert (outcome.status, outcome.reason) == ("weights_missing", "whisper is not installed")
    assert outcome.analysis == found
    assert not outcome.succeeded


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (ValueError("bad\nnumber"), "ValueError", False),
        (MemoryError(), "MemoryError", True),
        (OSError(28, "No space left on device"), "OSError", True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "RuntimeError", True),
    ],
)
def test_any_error_becomes_a_failed_outcome(clip, error, kind, retryable):
    outcome = examine(define(error), clip, {})
    assert outcome.status == "failed"
    assert (outcome.failure.kind, outcome.failure.retryable) == (kind, retryable)
    assert "\n" not in outcome.failure.message


@pytest.mark.parametrize(
    "answer",
    [
        Analysis(),
        Analysis(segments=(Segment(0.5, 0.2, "backwards"),)),
        Analysis(segments=(Segment(0.0, 99.0, "beyond the end"),)),
        Analysis(segments=(Segment(0.5, 0.6, "a"), Segment(0.1, 0.2, "out of order"))),
        Analysis(segments=(Segment(0.0, 0.1, "a", confidence=1.5),)),
        Analysis(segments=(Segment(0.0, 0.1, "a", data={"share": float("nan")}),)),
        Analysis(summary={"loudness_db": -float("inf")}, reason="silence"),
        Analysis(summary={"mean": np.float32(0.5)}, reason="not plain JSON"),
        Analysis(segments=(Segment(0.0, 0.1, "a", box=(0, 0, 2, 1)),)),
    ],
)
def test_a_result_that_no_reader_could_use_is_a_failure(clip, answer):
    assert examine(define(answer), clip, {}).status == "failed"


def test_hard_upstream_that_has_no_result_stops_it_and_soft_upstream_does_not(clip):
    def answer(clip, results):
        return Analysis(summary={"had": sorted(results)}, reason="only looked")

    kind = define(answer, after=("cut_analysis",), uses=("color_analysis",))
    failed = Outcome("failed", 0.1, "it broke")
    good = Outcome("no_signal", 0.1, "none", Analysis.nothing("none"))
    assert examine(kind, clip, {}).status == "upstream_missing"
    stopped = examine(kind, clip, {"cut_analysis": failed, "color_analysis": good})
    assert stopped.status == "upstream_missing"
    assert "cut_analysis" in stopped.reason
    went_on = examine(kind, clip, {"cut_analysis": good, "color_analysis": failed})
    assert went_on.analysis.summary == {"had": ["cut_analysis"]}


def test_an_unknown_analyzer_is_named_with_those_that_exist():
    with pytest.raises(UnknownAnalyzer, match=r"no analyzer 'nonsense'.*cut_analysis"):
        analyzer_class("nonsense")


def test_load_runs_once_a_process(clip):
    loads = []

    @dataclass
    class Loading(Analyzer):
        """For tests."""

        spec = AnalyzerSpec(**GOOD)

        def load(self):
            loads.append(np.zeros(1))

        def analyze(self, clip, results):
            return Analysis.nothing("nothing")

    for _ in range(3):
        examine(Loading, clip, {})
    assert len(loads) == 1
