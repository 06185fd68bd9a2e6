"""What the forkserver holds ready for its step processes; see `tiktok_assets.faster_start`.

Imports only: nothing here computes, starts a thread or touches a GPU, since the children are forks of it.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
from itertools import chain

from PIL import Image

from analyzers.common.mediapipe_solution import solutions
from analyzers.vision.object_detection import settle_ultralytics
from analyzers.weights import REGISTRY, recorded
from tiktok_assets.automation import ANALYZE_JOB
from tiktok_assets.definitions import defs
from tiktok_assets.faster_start import read_migration_scripts

HEAVY = ("numpy", "cv2", "av", "scenedetect", "onnxruntime", "rapidocr.main")
"""Libraries that analyzers import in `load` or later. One that fails to import fails there, with its message."""

WITH_MODELS = {
    "ultralytics": ("torch", "torchvision", "ultralytics.models.yolo.detect"),
    "openai-whisper": (
        *("torch", "whisper", "whisper.transcribe", "whisper.timing"),
        *("numba.core.cpu", "numba.np.arraymath", "numba.np.linalg", "numba.np.random.generator_methods"),
        *("numba.cpython.numbers", "numba.typed", "numba.parfors.parfor", "numba.experimental.function_type"),
    ),
    "transformers": ("torch", "torchvision", "transformers"),
    "easyocr": ("easyocr",),
}
"""By the library of an installed model, what every step that uses it would import for itself: seconds each time."""

CLASSES = (
    *("AutoModelForImageTextToText", "AutoProcessor", "AutoModelForImageClassification", "AutoImageProcessor"),
    *("AutoModelForAudioClassification", "AutoFeatureExtractor"),
)
"""Of transformers, which finds its modules only when one of their names is asked for."""


def classes_of(name: str) -> set[str]:
    """Names of the classes of transformers that an installed model is made of, as its configuration states them."""
    found, names = recorded(name), set[str]()
    for file in found.folder.glob("*config.json") if found else ():
        with contextlib.suppress(Exception):  # a file that is not what it should be is told of where it is loaded
            settings = json.loads(file.read_text("utf-8"))
            for part in (settings, *(part for part in settings.values() if isinstance(part, dict))):
                said = [part[key] for key in part if key.endswith(("_class", "_processor_type", "_extractor_type"))]
                names |= {name for name in (*said, *(part.get("architectures") or ())) if isinstance(name, str)}
    return names


def chosen(name: str) -> bool:
    """Whether steps would use a model now."""
    asked_for = name != "easyocr_de_en" or os.environ.get("TIKTOK_ASSETS_OCR") == "easyocr"
    return asked_for and recorded(name) is not None


# A library that asks whether there is a GPU would otherwise start CUDA here, and no fork could use it any more.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
settle_ultralytics()
open_image = Image.open
models = [name for name in REGISTRY if chosen(name)]
modules = [*HEAVY, *(module for name in models for module in WITH_MODELS[REGISTRY[name].library])]
for module in dict.fromkeys(modules):
    with contextlib.suppress(Exception):  # any that escaped would end the forkserver
        importlib.import_module(module)
with contextlib.suppress(Exception):
    solutions()
Image.open = open_image  # ultralytics puts one in its place that wants to install a decoder for what is no picture
if of_transformers := [name for name in models if REGISTRY[name].library == "transformers"]:
    transformers = importlib.import_module("transformers")
    for wanted in {*CLASSES, *chain.from_iterable(map(classes_of, of_transformers))}:
        with contextlib.suppress(Exception):
            getattr(transformers, wanted)

read_migration_scripts()
defs.get_repository_def().get_job(ANALYZE_JOB)  # kept by the repository: children need not build it

# A child's first full garbage collection would walk, and so copy, all that was imported here: 0.2 s a step.
gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)  # what is frozen is not freed at the end either, which triton calls a leak, aloud
