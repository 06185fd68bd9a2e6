"""How right the analyzers are on the footage in ../shared/media, of which the truth is known.

    python bench/accuracy.py            # every topic
    python bench/accuracy.py cuts       # one

One function a topic: it prints a table and nothing else. Clips that are not there are left out and named.
"""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from analyzers.catalogue import analyzer_class, with_upstream
from analyzers.clip import Clip
from analyzers.contract import Analysis, Outcome
from analyzers.decode import decode
from analyzers.run import examine

REPOSITORY = Path(__file__).resolve().parent.parent
MEDIA = REPOSITORY.parent / "shared" / "media"
BLEND_TOLERANCE_S = 0.4


@cache
def truths() -> dict[str, dict[str, Any]]:
    """What is known, by file name relative to the media folder."""
    files = json.loads((MEDIA / "truth.json").read_text("utf-8"))["files"]
    return {f["file"]: f["truth"] for f in files if (MEDIA / f["file"]).exists()}


@cache
def opened(name: str) -> Clip:
    folder = scratch() / name.replace("/", "_")
    decode(MEDIA / name, folder)
    return Clip.open(folder, MEDIA / name)


@cache
def scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="accuracy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def outcomes(name: str) -> dict[str, Outcome]:
    """Outcomes of a clip so far, by analyzer; `analysis_of` adds to them."""
    return {}


def analysis_of(analyzer: str, name: str) -> Analysis:
    known = outcomes(name)
    for step in with_upstream((analyzer,)):
        if step not in known:
            known[step] = examine(analyzer_class(step), opened(name), known)
    analysis = known[analyzer].analysis
    if analysis is None:
        raise RuntimeError(f"{analyzer} on {name}: {known[analyzer].reason}")
    return analysis


def table(title: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    cells = [columns, *[tuple(f"{c:.3f}" if isinstance(c, float) else str(c) for c in row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def share(part: int, whole: int) -> str:
    return f"{part}/{whole}" + (f" = {part / whole:.2f}" if whole else "")


def matched(found: list[float], true: list[float], within: float) -> list[tuple[float, float]]:
    """Pairs of a found and a true time, nearest first, each used once."""
    pairs = sorted((abs(f - t), f, t) for f in found for t in true if abs(f - t) <= within)
    taken: list[tuple[float, float]] = []
    for _, f, t in pairs:
        if all(f != a and t != b for a, b in taken):
            taken.append((f, t))
    return taken


def cuts() -> None:
    """Hard cuts within one frame; dissolves and fades by both of their ends."""
    rows: list[tuple[object, ...]] = []
    right = claimed = known = 0
    for name, truth in truths().items():
        if "cuts_s" not in truth:
            continue
        found = [s.start_s for s in analysis_of("cut_analysis", name).segments if s.label == "cut"]
        hits = matched(found, truth["cuts_s"], 1.5 / opened(name).fps)
        right, claimed, known = right + len(hits), claimed + len(found), known + len(truth["cuts_s"])
        worst_ms = max((1000 * abs(f - t) for f, t in hits), default=0.0)
        rows.append((name, len(truth["cuts_s"]), len(found), len(hits), round(worst_ms, 1)))
    table("Hard cuts", ("clip", "true", "found", "right", "worst error, ms"), rows)
    print(f"  precision {share(right, claimed)}, recall {share(right, known)}")
    for label, key in (("dissolve", "dissolves_s"), ("fade_in", "fade_in_s"), ("fade_out", "fade_out_s")):
        blends(label, key)


def blends(label: str, key: str) -> None:
    rows: list[tuple[object, ...]] = []
    right = claimed = known = 0
    for name, truth in truths().items():
        if "cuts_s" not in truth:
            continue
        true = truth.get(key, [])
        found = [s for s in analysis_of("cut_analysis", name).segments if s.label == label]
        claimed, known = claimed + len(found), known + len(true)
        for start_s, end_s in true:
            near = [s for s in found if s.start_s < end_s and s.end_s > start_s]
            errors_s = [max(abs(s.start_s - start_s), abs(s.end_s - end_s)) for s in near]
            right += any(e <= BLEND_TOLERANCE_S for e in errors_s)
            spans = ", ".join(f"{s.start_s:.2f}-{s.end_s:.2f}" for s in near) or "missed"
            rows.append((name, f"{start_s:.2f}-{end_s:.2f}", spans, round(min(errors_s), 2) if errors_s else "-"))
    table(label, ("clip", "true, s", "found, s", "worst error, s"), rows)
    print(f"  precision {share(right, claimed)}, recall {share(right, known)} (within {BLEND_TOLERANCE_S} s)")


def camera() -> None:
    """What the camera does for most of a clip, where the truth says it."""
    rows: list[tuple[object, ...]] = []
    for name, truth in truths().items():
        if "camera" not in truth:
            continue
        summary = analysis_of("camera_analysis", name).summary
        agrees = truth["camera"].replace(" ", "_").startswith(summary["camera"])
        rows.append((name, truth["camera"], summary["camera"], summary["shares"], "yes" if agrees else "NO"))
    table("Camera", ("clip", "true", "found", "shares", "agrees"), rows)
    print(f"  agreement {share(sum(row[-1] == 'yes' for row in rows), len(rows))}")


TOPICS = {"cuts": cuts, "camera": camera}


def main() -> int:
    asked = sys.argv[1:] or list(TOPICS)
    if unknown := [topic for topic in asked if topic not in TOPICS]:
        print(f"There is no topic {', '.join(unknown)}. There are: {', '.join(TOPICS)}.", file=sys.stderr)
        return 2
    if not (MEDIA / "truth.json").exists():
        print("../shared/media is not on this machine.", file=sys.stderr)
        return 2
    for topic in asked:
        TOPICS[topic]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
