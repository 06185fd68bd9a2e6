"""Linking boxes to tracks, on boxes made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.tracks import Hit, clipped, link, mean_box, overlap, rejoin, stretch_end_s, stretches


def hit(time_s: float, left: float, size: float = 0.1) -> Hit:
    return Hit(time_s, (left, 0.4, left + size, 0.4 + size), 0.9)


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        pytest.param((0.0, 0.0, 0.2, 0.2), 1.0, id="equal"),
        pytest.param((0.1, 0.0, 0.3, 0.2), 1 / 3, id="half on the other"),
        pytest.param((0.2, 0.0, 0.4, 0.2), 0.0, id="side by side"),
        pytest.param((0.1, 0.1, 0.1, 0.1), 0.0, id="no area"),
    ],
)
def test_overlap(b, expected):
    assert overlap((0.0, 0.0, 0.2, 0.2), b) == pytest.approx(expected)
    assert overlap(b, (0.0, 0.0, 0.2, 0.2)) == pytest.approx(expected)


def test_two_things_that_come_close_stay_apart():
    hits = [h for i in range(9) for h in (hit(i / 4, 0.10 + 0.03 * i), hit(i / 4, 0.75 - 0.03 * i))]
    tracks = link(hits, max_gap_s=1.0)
    assert [len(t) for t in tracks] == [9, 9]
    assert [round(t[-1].box[0], 2) for t in tracks] == [0.34, 0.51]


@pytest.mark.parametrize(
    ("hits", "options", "lengths"),
    [
        pytest.param([hit(0.0, 0.1), hit(0.9, 0.1)], {}, [2], id="seen again within the gap"),
        pytest.param([hit(0.0, 0.1), hit(1.1, 0.1)], {}, [1, 1], id="gone for longer"),
        pytest.param([hit(0.0, 0.1), hit(0.25, 0.1)], {"breaks_s": [0.2]}, [1, 1], id="a cut between"),
        pytest.param([hit(0.0, 0.1), hit(0.25, 0.1)], {"breaks_s": [0.25]}, [1, 1], id="a cut at the second"),
        pytest.param([hit(0.0, 0.1), hit(0.25, 0.1)], {"breaks_s": [0.0, 0.5]}, [2], id="cuts before and after"),
        pytest.param([hit(0.0, 0.1), hit(0.25, 0.3)], {}, [2], id="a leap of two sizes"),
        pytest.param([hit(0.0, 0.1), hit(0.25, 0.4)], {}, [1, 1], id="a leap of three sizes"),
        pytest.param([hit(0.0, 0.1), hit(0.5, 0.3)], {}, [1, 1], id="a slow leap"),
        pytest.param([hit(0.0, 0.1), hit(0.25, 0.3, 0.2)], {}, [1, 1], id="a leap to another size"),
        pytest.param([hit(0.0, 0.3), hit(0.25, 0.1), hit(0.25, 0.5)], {}, [1, 1, 1], id="a leap that could be two"),
    ],
)
def test_what_is_joined(hits, options, lengths):
    assert [len(t) for t in link(hits, max_gap_s=1.0, **options)] == lengths


def test_no_hits_no_tracks():
    assert link([], max_gap_s=1.0) == []


def looks(alike: dict[tuple[float, float], float]):
    """Likeness by the first time of the earlier and that of the later track; 0 for all others."""
    return lambda before, after: alike.get((before[0].time_s, after[0].time_s), 0.0)


@pytest.mark.parametrize(
    ("tracks", "alike", "options", "lengths"),
    [
        pytest.param([[hit(0, 0.1)], [hit(4, 0.15)]], {(0, 4): 0.9}, {}, [2], id="back in its place"),
        pytest.param([[hit(0, 0.1)], [hit(4, 0.15)]], {(0, 4): 0.7}, {}, [1, 1], id="somebody else"),
        pytest.param([[hit(0, 0.1)], [hit(4, 0.25)]], {(0, 4): 0.9}, {}, [1, 1], id="elsewhere"),
        pytest.param([[hit(0, 0.1)], [hit(4, 0.1, 0.2)]], {(0, 4): 0.9}, {}, [1, 1], id="of another size"),
        pytest.param([[hit(0, 0.1)], [hit(11, 0.1)]], {(0, 11): 0.9}, {}, [1, 1], id="too late"),
        pytest.param([[hit(0, 0.1)], [hit(4, 0.1)]], {(0, 4): 0.9}, {"breaks_s": [2.0]}, [1, 1], id="after a cut"),
        pytest.param([[hit(0, 0.1), hit(5, 0.1)], [hit(4, 0.1)]], {(0, 4): 0.9}, {}, [2, 1], id="seen at once"),
        pytest.param(
            [[hit(0, 0.1)], [hit(1, 0.15)], [hit(4, 0.1)]], {(0, 4): 0.9, (1, 4): 0.95}, {}, [1, 2], id="the more alike"
        ),
        pytest.param(
            [[hit(0, 0.1)], [hit(4, 0.1)], [hit(8, 0.1)]], {(0, 4): 0.9, (4, 8): 0.9}, {}, [3], id="hidden twice"
        ),
    ],
)
def test_what_is_joined_again(tracks, alike, options, lengths):
    assert [len(t) for t in rejoin(tracks, looks(alike), 0.8, max_gap_s=10.0, **options)] == lengths


def test_stretches_are_cut_at_gaps():
    track = [hit(t, 0.1) for t in (0.0, 0.25, 1.25, 1.5)]
    assert [[h.time_s for h in part] for part in stretches(track, max_gap_s=0.8)] == [[0.0, 0.25], [1.25, 1.5]]


@pytest.mark.parametrize(
    ("last_s", "breaks_s", "end_s", "expected"),
    [
        pytest.param(0.25, [], 0.9, 0.5, id="the next picture"),
        pytest.param(0.75, [], 0.9, 0.9, id="the end of the clip"),
        pytest.param(0.75, [], 2.0, 1.0, id="one step after the last picture"),
        pytest.param(0.25, [0.1, 0.4], 0.9, 0.4, id="a cut"),
    ],
)
def test_end_of_a_stretch(last_s, breaks_s, end_s, expected):
    assert stretch_end_s(last_s, np.array([0.0, 0.25, 0.5, 0.75]), breaks_s, end_s) == pytest.approx(expected)


def test_boxes_stay_on_the_picture():
    assert clipped((-0.1, 0.2, 1.3, 0.4)) == (0.0, 0.2, 1.0, 0.4)
    assert mean_box([(0.0, 0.2, 0.4, 0.6), (0.2, 0.2, 0.6, 0.8)]) == (0.1, 0.2, 0.5, 0.7)
