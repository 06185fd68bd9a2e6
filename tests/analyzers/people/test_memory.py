"""mediapipe objects are given back after each video: one that stays open keeps its threads and up to 94 MB."""

from __future__ import annotations

import psutil
import pytest

from analyzers.catalogue import analyzer_class, with_upstream
from analyzers.run import examine
from tests.analyzers.people.pictures import astronaut_close
from tests.media import still, synthetic_clip

VIDEOS = 8


@pytest.mark.parametrize("name", ["body_pose", "eye_tracking", "hand_gesture", "background_segmentation"])
def test_memory_does_not_grow_with_the_number_of_videos(name):
    clip = synthetic_clip(still(astronaut_close(), 0.5, fps=8), fps=8)
    outcomes = {}
    for step in with_upstream((name,)):
        outcomes[step] = examine(analyzer_class(step), clip, outcomes)
    process, used_mb, threads = psutil.Process(), [], []
    for _ in range(VIDEOS):
        assert examine(analyzer_class(name), clip, outcomes).succeeded
        used_mb.append(process.memory_info().rss / 2**20)
        threads.append(process.num_threads())
    # A closed one leaves pieces in the allocator: 120 MB over the first runs, 5 MB from the 25th to the 50th.
    assert used_mb[-1] - used_mb[1] < 40 * (VIDEOS - 2)
    assert threads[-1] == threads[0], "each graph has threads of its own"
