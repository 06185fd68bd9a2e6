"""The table of analyzers for people, made from the specs: `python -m analyzers.table README.md` writes it there."""

from __future__ import annotations

import sys
from pathlib import Path

from analyzers.catalogue import CATALOGUE, analyzer_class

BEGIN, END = "<!-- analyzers: made by python -m analyzers.table -->", "<!-- /analyzers -->"


def markdown_table() -> str:
    """One row per analyzer: name, what a segment tells, what it builds on, lane."""
    rows = ["| analyzer | gives | builds on | lane |", "|---|---|---|---|"]
    for name in CATALOGUE:
        spec = analyzer_class(name).spec
        upstream = ", ".join([*spec.after, *(f"({n})" for n in spec.uses)])
        rows.append(f"| {name} | {spec.gives} | {upstream} | {spec.lane} |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    """A document with the table between its marks replaced by the present one."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown_table()}\n{END}{after}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        document = Path(name)
        document.write_text(with_table(document.read_text("utf-8")), "utf-8")
