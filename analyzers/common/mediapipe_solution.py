"""Opening a mediapipe solution for one video: closed again whatever happens, and without its chatter on stderr."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any


def backend(solution: str) -> str:
    """What to name as the backend of an analysis, e.g. "mediapipe 0.10.21 Pose"."""
    return f"mediapipe {version('mediapipe')} {solution}"


@contextmanager
def opened(make: Callable[[], Any]) -> Iterator[Any]:
    """Make a solution, hand it out, close it.

    A solution serves one video: its graph cannot be opened again after it was closed, all its pictures must
    have one size, and one that is not closed keeps up to 94 MB.

    Args:
        make: builds the solution, e.g. `lambda: FaceDetection(0.5, model_selection=1)`.
    """
    with _quiet_stderr():
        solution = make()
        # The models load on the graph's own threads after the constructor has returned, and that is where they talk.
        solution._graph.wait_until_idle()
    with solution:
        yield solution


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Send the process's stderr nowhere for a moment.

    The wheel writes past Python, and neither GLOG_minloglevel nor TF_CPP_MIN_LOG_LEVEL keeps it from it (0.10.21).
    """
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
