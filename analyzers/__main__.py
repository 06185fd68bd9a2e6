"""Run one analyzer on one file: `python -m analyzers cut_analysis clip.mp4`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from analyzers.catalogue import CATALOGUE, analyzer_class, with_upstream
from analyzers.clip import Clip
from analyzers.contract import Outcome
from analyzers.decode import decode
from analyzers.errors import AnalysisError
from analyzers.process import prepare_process
from analyzers.run import examine


def main(arguments: list[str] | None = None) -> int:
    """Decode the file, run the analyzer after those that it builds on, print what it found."""
    parser = argparse.ArgumentParser(
        prog="python -m analyzers",
        description="Run one analyzer on one video, without Dagster.",
        epilog=f"Analyzers: {', '.join(CATALOGUE)}.",
    )
    parser.add_argument("name", help="an analyzer, e.g. cut_analysis")
    parser.add_argument("file", type=Path, help="a video or sound file")
    parser.add_argument("--json", action="store_true", help="print the whole outcome as JSON")
    asked = parser.parse_args(arguments)
    prepare_process()
    try:
        names = with_upstream((asked.name,))
        with tempfile.TemporaryDirectory() as folder:
            outcome = _run(names, asked.file, Path(folder) / "media")
    except AnalysisError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(outcome.to_json(), indent=1, ensure_ascii=False) if asked.json else _text(asked.name, outcome))
    return 0 if outcome.succeeded else 1


def _run(names: tuple[str, ...], file: Path, folder: Path) -> Outcome:
    decode(file, folder)
    clip = Clip.open(folder, file)
    outcomes: dict[str, Outcome] = {}
    for name in names:
        outcomes[name] = examine(analyzer_class(name), clip, outcomes)
    return outcomes[names[-1]]


def _text(name: str, outcome: Outcome) -> str:
    lines = [f"{name}: {outcome.status}, {outcome.seconds:.2f} s" + (f" - {outcome.reason}" if outcome.reason else "")]
    if outcome.analysis:
        for s in outcome.analysis.segments:
            sure = f"{s.confidence:.2f}" if s.confidence is not None else "   -"
            evidence = json.dumps(s.data, ensure_ascii=False)
            lines.append(f"  {s.start_s:8.3f} - {s.end_s:8.3f} s  {sure}  {s.label:<18} {evidence}")
        lines.append(f"  summary: {json.dumps(outcome.analysis.summary, ensure_ascii=False)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
