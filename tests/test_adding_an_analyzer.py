"""docs/adding-an-analyzer.md, followed: its file is written, its line added, its test and the common suite run."""

import os
import re
import shutil
import subprocess
import sys

from tests.media import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "adding-an-analyzer.md"


def test_the_example_becomes_an_analyzer_by_what_the_document_says(tmp_path):
    for folder in ("analyzers", "tests", "tiktok_assets", "samples"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / file, tmp_path)
    analyzer, test = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "analyzers" / "vision" / "black_screen.py").write_text(analyzer)
    (tmp_path / "tests" / "analyzers" / "vision" / "test_black_screen.py").write_text(test)
    catalogue = tmp_path / "analyzers" / "catalogue.py"
    (line,) = re.findall(r'^    "black_screen": .*\n', DOCUMENT.read_text("utf-8"), re.MULTILINE)
    head = "CATALOGUE: dict[str, str] = {\n"
    assert head in catalogue.read_text()
    catalogue.write_text(catalogue.read_text().replace(head, head + line))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path), "TIKTOK_ASSETS_DATA": str(tmp_path / "data")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "analyzers.table", "README.md")
    assert "| black_screen | stretches of black picture |" in (tmp_path / "README.md").read_text("utf-8")
    run("-m", "pytest", "-p", "no:cacheprovider", "tests/analyzers/vision/test_black_screen.py")
    run("-m", "pytest", "-p", "no:cacheprovider", "tests/analyzers/test_catalogue.py", "-k", "black_screen")
    assert "black_screen:" in run("-m", "analyzers", "black_screen", "samples/sample.mp4")
    assets = "from tiktok_assets.definitions import defs; print(*defs.resolve_asset_graph().get_all_asset_keys())"
    assert "black_screen" in run("-c", assets)
