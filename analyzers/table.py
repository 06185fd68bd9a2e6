"""Tables for people, from specs and registry: `python -m analyzers.table README.md docs/weights.md` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

from analyzers.catalogue import CATALOGUE, analyzer_class
from analyzers.weights import REGISTRY

BEGIN, END = "<!-- analyzers: made by python -m analyzers.table -->", "<!-- /analyzers -->"
WEIGHTS_BEGIN, WEIGHTS_END = "<!-- weights: made by python -m analyzers.table -->", "<!-- /weights -->"


def markdown_table() -> str:
    """One row per analyzer: name, what a segment tells, what it builds on, lane."""
    rows = ["| analyzer | gives | builds on | lane |", "|---|---|---|---|"]
    for name in CATALOGUE:
        spec = analyzer_class(name).spec
        upstream = ", ".join([*spec.after, *(f"({n})" for n in spec.uses)])
        rows.append(f"| {name} | {spec.gives} | {upstream} | {spec.lane} |")
    return "\n".join(rows)


def weights_table() -> str:
    """One row per model: name, id, size, licence, the analyzers that can use it."""
    rows = ["| name | model | size | licence | used by |", "|---|---|---|---|---|"]
    for name, weights in REGISTRY.items():
        users = ", ".join(n for n in CATALOGUE if name in analyzer_class(n).spec.weights)
        licence = f"{weights.licence}: {weights.licence_note}" if weights.licence_note else weights.licence
        rows.append(f"| {name} | {weights.model} | {weights.size} | {licence} | {users} |")
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """A document with the tables between its marks replaced by the present ones."""
    for begin, end, table in ((BEGIN, END, markdown_table), (WEIGHTS_BEGIN, WEIGHTS_END, weights_table)):
        before, mark, rest = text.partition(begin)
        if mark:
            text = f"{before}{begin}\n{table()}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    for name in sys.argv[1:]:
        document = Path(name)
        document.write_text(with_tables(document.read_text("utf-8")), "utf-8")
