"""What the forkserver holds ready for its step processes; see `tiktok_assets.faster_start`.

Imports only: nothing here computes, starts a thread or touches a GPU, since the children are forks of it.
"""

import contextlib
import gc
import importlib

from analyzers.weights import REGISTRY, installed
from tiktok_assets.automation import ANALYZE_JOB
from tiktok_assets.definitions import defs
from tiktok_assets.faster_start import read_migration_scripts

HEAVY = ("numpy", "cv2", "av", "scenedetect", "onnxruntime", "rapidocr", "mediapipe")
"""Libraries that analyzers import in `load` or later. One that fails to import fails there, with its message."""

WITH_MODELS = ("torch", "transformers")
"""Libraries that every step of an analyzer with an installed model would import for itself: seconds each time."""

for name in (*HEAVY, *(WITH_MODELS if any(map(installed, REGISTRY)) else ())):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)

read_migration_scripts()
defs.get_repository_def().get_job(ANALYZE_JOB)  # kept by the repository: children need not build it

# A child's first full garbage collection would walk, and so copy, all that was imported here: 0.2 s a step.
gc.collect()
gc.freeze()
