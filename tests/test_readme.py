"""The documents say what is there: the table of analyzers, pictures and links, make targets, subcommands."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from analyzers.catalogue import CATALOGUE
from analyzers.contract import Analyzer
from analyzers.table import BEGIN, END, with_tables
from tests.media import REPOSITORY
from tiktok_assets.cli import main
from tiktok_assets.definitions import defs

FAMILIES = ("vision", "people", "sound", "speech", "language", "joined")
README = REPOSITORY / "README.md"
DOCUMENTS = [README, *sorted((REPOSITORY / "docs").glob("*.md"))]


def code(text: str) -> str:
    """What a document shows as code: fenced blocks and what stands between backticks."""
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`]+)`", rest)])


def links(text: str) -> list[str]:
    """Targets inside the repository, without the part after #."""
    found = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [t.partition("#")[0] for t in found if not re.match(r"[a-z]+:|#", t)]


def analyzers_in_files() -> dict[str, str]:
    """Module and class of every analyzer in the folders of the families, by file name."""
    found: dict[str, str] = {}
    for family in FAMILIES:
        for file in sorted((REPOSITORY / "analyzers" / family).glob("*.py")):
            module = importlib.import_module(f"analyzers.{family}.{file.stem}")
            for name, member in inspect.getmembers(module, inspect.isclass):
                if issubclass(member, Analyzer) and member.__module__ == module.__name__:
                    found[file.stem] = f"{module.__name__}:{name}"
    return found


def test_the_readme_has_the_table_of_analyzers():
    text = README.read_text("utf-8")
    assert text.count(BEGIN) == text.count(END) == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_the_present_ones(document: Path):
    text = document.read_text("utf-8")
    assert text == with_tables(text), f"run `python -m analyzers.table {document.relative_to(REPOSITORY)}`"


def test_catalogue_files_assets_and_readme_name_the_same_analyzers():
    files = analyzers_in_files()
    assert files == CATALOGUE
    graph = defs.resolve_asset_graph()
    assets = {k.to_user_string() for k in graph.get_all_asset_keys() if graph.get(k).group_name in FAMILIES}
    assert assets == set(CATALOGUE)
    rows = re.findall(r"^\| (\w+) \|", README.read_text("utf-8").partition(BEGIN)[2].partition(END)[0], re.MULTILINE)
    assert [row for row in rows if row != "analyzer"] == list(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_analyzer_has_its_test_file(name):
    family = CATALOGUE[name].split(".")[1]
    assert (REPOSITORY / "tests" / "analyzers" / family / f"test_{name}.py").is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_pictures_exist(document: Path):
    missing = [t for t in links(document.read_text("utf-8")) if not (document.parent / t).exists()]
    assert not missing


def test_links_are_recognized():
    text = '[a](b.md) ![c](d/e.png "title") [f](https://g.h) [i](#j) [k](l.md#m) <img src="n.png">'
    assert links(text) == ["b.md", "d/e.png", "l.md", "n.png"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_exist(document: Path):
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE))
    mentioned = set(re.findall(r"\bmake ([a-z]+)", code(document.read_text("utf-8"))))
    assert mentioned <= targets
    assert {"demo", "test", "ui"} <= mentioned or document != README


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_subcommands_exist(document: Path):
    mentioned = set(re.findall(r"\btiktok-assets ([a-z]+)", code(document.read_text("utf-8"))))
    assert mentioned <= set(main.commands)
    assert mentioned or document != README
