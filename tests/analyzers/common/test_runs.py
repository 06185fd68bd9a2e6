"""Joining labels, on letters."""

from __future__ import annotations

import pytest

from analyzers.common.runs import steady_runs


@pytest.mark.parametrize(
    ("labels", "groups", "expected"),
    [
        pytest.param("aaaaa", "00000", [("a", 0, 5)], id="one"),
        pytest.param("aaabaaa", "0000000", [("a", 0, 7)], id="a flicker belongs to what surrounds it"),
        pytest.param("baaaa", "00000", [("a", 0, 5)], id="a flicker at the start"),
        pytest.param("aaabbb", "000000", [("a", 0, 3), ("b", 3, 6)], id="two"),
        pytest.param("aa--aaa", "0000000", [("a", 4, 7)], id="together too short"),
        pytest.param("aaaaaa", "000111", [("a", 0, 3), ("a", 3, 6)], id="another group"),
    ],
)
def test_runs(labels, groups, expected):
    runs = steady_runs([None if c == "-" else c for c in labels], [int(c) for c in groups], min_samples=3)
    assert [(label, rows[0], rows[-1] + 1) for label, rows in runs] == expected
