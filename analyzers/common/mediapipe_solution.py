"""mediapipe without what it only draws with, and a solution of it opened for one video: closed again whatever happens,
and without its chatter on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np


def backend(solution: str) -> str:
    """What to name as the backend of an analysis, e.g. "mediapipe 0.10.21 Pose"."""
    return f"mediapipe {version('mediapipe')} {solution}"


def solutions() -> Any:
    """The module `mediapipe.python.solutions`, e.g. for `solutions().pose.Pose`.

    It imports matplotlib's pyplot to draw, which nobody here asks it to, and that is three quarters of the second that
    it takes: an empty module stands in for it meanwhile.
    """
    stand_ins = {name: ModuleType(name) for name in ("matplotlib", "matplotlib.pyplot") if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        from mediapipe.python import solutions as module

        return module
    finally:
        for name in stand_ins:
            del sys.modules[name]


@dataclass
class Solution:
    """A running mediapipe solution.

    The wheel writes warnings past Python to stderr when a model loads and when a graph projects its first result, and
    neither GLOG_minloglevel nor TF_CPP_MIN_LOG_LEVEL keeps it from it (0.10.21). Stderr is closed for these moments
    only, so that what a crash says later is not lost.
    """

    running: Any
    quiet: bool = False
    """Whether it has found something: from then on it says nothing any more."""

    def process(self, picture: np.ndarray) -> Any:
        """What the solution finds in a picture: (height, width, 3) uint8 RGB, the same size as the one before."""
        if self.quiet:
            return self.running.process(picture)
        with _closed_stderr():
            found = self.running.process(picture)
        self.quiet = any(getattr(found, name) is not None for name in found._fields)
        return found

    def reset(self) -> None:
        """Forget what was tracked so far."""
        with _closed_stderr():
            self.running.reset()
            self.running._graph.wait_until_idle()


@contextmanager
def opened(make: Callable[[], Any]) -> Iterator[Solution]:
    """Make a solution, hand it out, close it.

    A solution serves one video: its graph cannot be opened again after it was closed, all its pictures must have one
    size, and one that is not closed keeps up to 94 MB.

    Args:
        make: builds the solution, e.g. `lambda: FaceDetection(0.5, model_selection=1)`.
    """
    with _closed_stderr():
        running = make()
        # The models load on the graph's own threads after the constructor has returned.
        running._graph.wait_until_idle()
    with running:
        yield Solution(running)


@contextmanager
def _closed_stderr() -> Iterator[None]:
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
