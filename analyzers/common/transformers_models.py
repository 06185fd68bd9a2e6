"""Classifiers and image-text models in the format of the transformers library: loaded offline, computed in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analyzers.clip import AUDIO_HZ
from analyzers.common.devices import device_of, dtype_on, in_batches
from analyzers.errors import AnalysisError
from analyzers.weights import folder_of, installed, loading, revision_of
from analyzers.weights import complaint as weights_complaint

PICTURES_AT_ONCE = {"cpu": 8, "cuda": 64}
SOUNDS_AT_ONCE = {"cpu": 4, "cuda": 32}


@dataclass(frozen=True)
class Model:
    """A model on its device, ready to compute."""

    id: str
    """Id and revision, for `Analysis.model`."""
    network: Any
    """The torch module, in eval mode."""
    processor: Any
    """Turns pictures, sounds or texts into tensors as the model was trained with."""
    device: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of a classifier's classes, in the order of its outputs."""
        names = self.network.config.id2label
        return tuple(str(names[i]) for i in range(len(names)))

    def batch(self, at_once: dict[str, int]) -> int:
        return at_once["cpu" if self.device == "cpu" else "cuda"]

    def on_device(self, tensors: Any) -> Any:
        """A processor's tensors on the device, floats in the network's precision."""
        dtype = self.network.dtype
        return {k: t.to(self.device, dtype if t.is_floating_point() else t.dtype) for k, t in tensors.items()}

    def computed(
        self, items: Sequence[Any], at_once: int, prepare: Callable[[Sequence[Any]], Any], name: str = ""
    ) -> Iterator[Any]:
        """One float32 row of the network's output per item."""
        import torch

        def compute(tensors: Any) -> Any:
            with torch.inference_mode():
                return self.network(**self.on_device(tensors)).logits.float().cpu().numpy()

        return in_batches(items, at_once, prepare, compute)


def load_image_classifier(name: str, lane: str) -> ImageClassifier:
    """A picture classifier of `analyzers.weights`.

    Raises:
        WeightsMissing: it is not installed or damaged.
        AnalysisError: its files are of another kind of model.
    """
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    return ImageClassifier(**_load(name, lane, AutoModelForImageClassification, AutoImageProcessor))
