"""The fields of a report for people, made from the schema: `python -m tiktok_assets.report.fields docs/report.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("report.schema.json")
BEGIN, END = "<!-- fields: made by python -m tiktok_assets.report.fields -->", "<!-- /fields -->"


def markdown() -> str:
    """A table of fields for each level of the report."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    levels = {
        "The whole": schema,
        "metadata": schema["properties"]["metadata"],
        "Each of analyzer_results": schema["$defs"]["result"],
        "Each of segments": schema["$defs"]["segment"],
    }
    head = "| field | type | what |\n|---|---|---|\n"
    return "\n\n".join(f"## {title}\n\n{head}" + "\n".join(_rows(level)) for title, level in levels.items())


def _rows(level: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in level["properties"].items():
        what = field.get("description", "").replace("|", "\\|")
        yield f"| `{prefix}{name}` | {_kind(field)} | {what} |"
        if "$defs" not in level and "properties" in field:  # the parts of the whole have tables of their own
            yield from _rows(field, f"{prefix}{name}.")


def _kind(field: Mapping[str, Any]) -> str:
    """Type, with its limits and whether it may be null."""
    if "const" in field:
        return f'"{field["const"]}"'
    if "enum" in field:
        return " or ".join(field["enum"])
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    return " or ".join(_limited(kind, field) for kind in kinds)


def _limited(kind: str, field: Mapping[str, Any], ending: str = "") -> str:
    if kind == "array":
        items = field["items"]
        count = f"{field['maxItems']} " if "maxItems" in field else ""
        return f"array of {count}{_limited(items.get('type', 'object'), items, 's')}"
    least, most = field.get("minimum"), field.get("maximum")
    if kind not in ("number", "integer") or least is None:
        return kind + ending
    return f"{kind}{ending} {least}-{most}" if most is not None else f"{kind}{ending} ≥ {least}"


def with_fields(text: str) -> str:
    """A document with the tables between its marks replaced by the present ones."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown()}\n{END}{after}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        document = Path(name)
        document.write_text(with_fields(document.read_text("utf-8")), "utf-8")
