"""docs/report.md: the tables of fields are those of the schema, and leave nothing out."""

from analyzers.contract import Status
from tests.media import REPOSITORY
from tests.report.example import example_report
from tiktok_assets.report import fields

DOCUMENT = (REPOSITORY / "docs" / "report.md").read_text("utf-8")


def rows():
    lines = [line for line in fields.markdown().splitlines() if line.startswith("| `")]
    return {cells[1].strip(" `"): (cells[2].strip(), cells[3].strip()) for cells in (line.split("|") for line in lines)}


def test_the_document_is_up_to_date():
    assert fields.with_fields(DOCUMENT) == DOCUMENT, "run: python -m tiktok_assets.report.fields docs/report.md"


def test_every_field_of_a_report_is_explained():
    report = example_report()
    result = report["analyzer_results"]["cut_analysis"]
    names = {*report, *report["metadata"], *result, *result["segments"][0]}
    names |= {f"failure.{name}" for name in ("kind", "message", "retryable")}
    assert set(rows()) == names
    assert [name for name, (_, what) in rows().items() if not what.endswith(".")] == []


def test_types_are_said_with_their_limits():
    found = {name: kind for name, (kind, _) in rows().items()}
    assert found["tags"] == "array of strings or null"
    assert found["box"] == "array of 4 numbers 0-1 or null"
    assert found["reconstruction_score"] == "number 0-100"
    assert found["start_s"] == "number ≥ 0"
    assert found["status"].split(" or ") == list(Status.__args__)


def test_only_what_is_between_the_marks_is_replaced():
    text = f"before\n{fields.BEGIN}\nold\n{fields.END}\nafter\n"
    made = fields.with_fields(text)
    assert made.startswith(f"before\n{fields.BEGIN}\n## ")
    assert made.endswith(f"|\n{fields.END}\nafter\n")
    assert "old\n" not in made
