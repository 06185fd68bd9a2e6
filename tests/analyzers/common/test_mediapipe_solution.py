"""Importing mediapipe: what it would import for drawings is left out, and is there for whoever asks for it."""

import subprocess
import sys

LOOK = """
import sys
from analyzers.common.mediapipe_solution import solutions
assert {cls.__name__ for cls in (solutions().pose.Pose, solutions().face_mesh.FaceMesh)} == {"Pose", "FaceMesh"}
assert not [name for name in sys.modules if name.startswith("matplotlib")]
import matplotlib.pyplot
assert callable(matplotlib.pyplot.figure)
solutions()
assert sys.modules["matplotlib.pyplot"] is matplotlib.pyplot
"""


def test_mediapipe_comes_without_matplotlib_and_does_not_get_in_its_way():
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
