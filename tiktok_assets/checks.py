"""Judges a finished report: are enough analyzers there, was it fast enough, is it like what came before?

The result of a judgement is a warning at most; that there is a report at all is the check `outcome`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from analyzers.catalogue import analyzer_class, with_upstream
from analyzers.contract import SUCCESS
from tiktok_assets.library import RECENT_VIDEOS, recent_videos
from tiktok_assets.store import Store

Report = Mapping[str, Any]
"""As report.schema.json describes it."""

MIN_SUCCESS_RATE = 0.9
MAX_REALTIME_FACTOR = float(os.environ.get("TIKTOK_ASSETS_MAX_REALTIME_FACTOR", "1.0"))
MIN_COVERAGE_PERCENT = 80.0

HISTORY_VIDEOS = RECENT_VIDEOS - 1
"""So many of the newest videos say what is usual."""
MIN_HISTORY = 20
"""Fewer earlier videos tell nothing about what is usual."""
MAX_ROBUST_Z = 6.0
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""

DESCRIPTIONS = {
    "success_rate": f"At least {MIN_SUCCESS_RATE:.0%} of the analyzers that could run have a result (ok or no_signal). "
    "Those that lack weights, were not asked for, or build on such a one could not run.",
    "realtime_factor": f"Decoding and all analyzers took at most {MAX_REALTIME_FACTOR:g} times the video's length "
    "(TIKTOK_ASSETS_MAX_REALTIME_FACTOR).",
    "coverage": f"The analyzers that have a result looked at {MIN_COVERAGE_PERCENT:g} % of the video in the mean.",
    "drift": "No analyzer gives many more or fewer segments per minute than for the last "
    f"{HISTORY_VIDEOS} videos of the library (robust z-score of at most {MAX_ROBUST_Z:g}).",
}
"""Per check what it says when it passes."""


@dataclass(frozen=True)
class Judgement:
    """Whether a check passes, and the numbers behind it."""

    passed: bool
    shown: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """What the library holds of the newest videos."""

    rates_per_min: Mapping[str, Mapping[str, float]]
    """Per analyzer and video, newest last, segments per minute; only where it has a result."""
    missing: str | None = None
    """Why there is nothing, or None."""


def read_history(store: Store) -> History:
    """History from what the library keeps of its newest videos: one small file, read once for a whole step."""
    try:
        newest = recent_videos(store)
    except (OSError, ValueError) as error:
        return History({}, f"the library cannot be read: {error}")
    rates_per_min: dict[str, dict[str, float]] = {}
    for found in newest:
        for name, count in found.segments.items():
            rates_per_min.setdefault(name, {})[found.video] = count * 60 / found.duration_s
    return History(rates_per_min, None if newest else "the library is empty: materialize `library`")


def judge(report: Report, history: History) -> dict[str, Judgement]:
    """All checks of a report, by name."""
    return {
        "success_rate": success_rate(report),
        "realtime_factor": realtime_factor(report),
        "coverage": coverage(report),
        "drift": drift(report, history),
    }


def could_run(report: Report) -> list[str]:
    """Analyzers that were asked for and had the models that they and those before them need."""
    results = report["analyzer_results"]
    unable: set[str] = set()
    for name in with_upstream(tuple(results)):  # each behind all that it needs
        status, never_run = results[name]["status"], results[name]["version"] is None
        waits = status == "upstream_missing" and unable.intersection(analyzer_class(name).spec.after)
        if never_run or waits or status == "weights_missing":
            unable.add(name)
    return [name for name in results if name not in unable]


def success_rate(report: Report) -> Judgement:
    """Share of the analyzers that could run whose status is ok or no_signal; passes where none could."""
    able = could_run(report)
    if not able:
        return Judgement(True, {"note": "no analyzer could run"})
    bad = [name for name in able if report["analyzer_results"][name]["status"] not in SUCCESS]
    rate = 1 - len(bad) / len(able)
    shown: dict[str, str | int | float] = {"success_rate": round(rate, 4), "could_run": len(able)}
    if bad:
        shown["without_result"] = ", ".join(bad)
    return Judgement(rate >= MIN_SUCCESS_RATE, shown)


def realtime_factor(report: Report, most: float = MAX_REALTIME_FACTOR) -> Judgement:
    """Seconds of work per second of video; passes where the length is not known."""
    factor = report["metadata"]["realtime_factor"]
    if factor is None:
        return Judgement(True, {"note": "the length of the video is not known"})
    results = report["analyzer_results"]
    slowest = max(results, key=lambda name: results[name]["seconds"])
    shown = {"realtime_factor": factor, "most": most, "slowest": slowest, "its_seconds": results[slowest]["seconds"]}
    return Judgement(factor <= most, shown)


def coverage(report: Report) -> Judgement:
    """The reconstruction score (0-100) over those that have a result; passes where none has."""
    covered = {n: r["coverage"] for n, r in report["analyzer_results"].items() if r["status"] in SUCCESS}
    if not covered:
        return Judgement(True, {"note": "no analyzer has a result"})
    percent = 100 * sum(covered.values()) / len(covered)
    least = min(covered, key=lambda name: covered[name])
    shown = {"coverage_percent": round(percent, 1), "least": least, "its_percent": round(100 * covered[least], 1)}
    return Judgement(percent >= MIN_COVERAGE_PERCENT, shown)


def drift(report: Report, history: History) -> Judgement:
    """Whether an analyzer gives far more or fewer segments per minute than usual.

    Usual is what the newest other videos have. Says nothing of analyzers with fewer than `MIN_HISTORY` of them.
    A collection of very unlike videos has a wide spread, in which only much is noticed; after an analyzer has changed
    or got its weights, all videos are flagged until the newest ones in the library are its work.
    """
    if history.missing:
        return Judgement(True, {"note": f"not judged: {history.missing}"})
    facts = report["metadata"]
    if not facts["duration_s"]:
        return Judgement(True, {"note": "not judged: the length of the video is not known"})
    minutes = facts["duration_s"] / 60
    scores: dict[str, float] = {}
    for name, result in report["analyzer_results"].items():
        before = [r for key, r in history.rates_per_min.get(name, {}).items() if key != facts["video_key"]]
        before = before[-HISTORY_VIDEOS:]
        if result["status"] in SUCCESS and len(before) >= MIN_HISTORY:
            scores[name] = robust_z(len(result["segments"]) / minutes, before, minutes)
    if not scores:
        return Judgement(True, {"note": f"not judged: fewer than {MIN_HISTORY} videos are in the library"})
    furthest = max(scores, key=lambda name: abs(scores[name]))
    shown: dict[str, str | int | float] = {"judged": len(scores), "furthest": furthest}
    shown["its_robust_z"] = round(scores[furthest], 2)
    if flagged := [f"{name} ({z:+.1f})" for name, z in scores.items() if abs(z) > MAX_ROBUST_Z]:
        shown["flagged"] = ", ".join(flagged)
    return Judgement(not flagged, shown)


def robust_z(rate_per_min: float, before_per_min: Sequence[float], minutes: float) -> float:
    """How many spreads a rate lies from the median of earlier ones.

    The spread is the scaled median absolute deviation (Leys et al. 2013, doi 10.1016/j.jesp.2013.03.013), but at least
    the chance of counting: in so short a time as `minutes` even a steady process gives a count that varies by the root
    of what is expected. Without that, one segment would be an outlier where most videos have none.
    """
    usual = median(before_per_min)
    spread = MAD_TO_SIGMA * median(abs(rate - usual) for rate in before_per_min)
    by_chance = (usual * minutes + 1) ** 0.5 / minutes
    return (rate_per_min - usual) / max(spread, by_chance)
