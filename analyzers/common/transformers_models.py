"""Classifiers and image-text models in the format of the transformers library: loaded offline, computed in batches."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyzers.clip import AUDIO_HZ
from analyzers.common.devices import device_of, dtype_on, in_batches
from analyzers.errors import AnalysisError
from analyzers.weights import complaint, folder_of, loading, require, revision_of

if TYPE_CHECKING:
    import torch


def half_fetched(*names: str) -> dict[str, str]:
    """{"model_problem": line} if files of one of these models are there and of no use, for a summary; else nothing.

    For analyzers that say something without the model as well: nobody who began to install it should miss that.
    """
    lines = [line for name in names if folder_of(name).is_dir() and (line := complaint(name))]
    return {"model_problem": "; ".join(lines)} if lines else {}


def load_pretrained(
    name: str, lane: str, network_class: Any, processor_class: Any, gpu_dtype: torch.dtype | None = None
) -> tuple[Any, Any, str]:
    """(network, processor, device): a model of `analyzers.weights`, in eval mode on the device of a lane.

    Args:
        name: of the registry.
        lane: of the analyzer.
        network_class, processor_class: of transformers, with `from_pretrained`.
        gpu_dtype: numbers to compute with on a GPU, those of `dtype_on` if None.

    Raises:
        WeightsMissing: the model is not installed, or its files are not what was fetched.
        AnalysisError: the files are another kind of model, or the lane's device is not there.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    device = device_of(lane)
    dtype = gpu_dtype if gpu_dtype and device != "cpu" else dtype_on(device)
    with loading(name) as folder:
        try:
            network, report = network_class.from_pretrained(
                folder, local_files_only=True, dtype=dtype, output_loading_info=True
            )
        except ValueError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
            raise AnalysisError("another kind of model, by its config.json") from error
        # transformers fills up what a checkpoint lacks with random numbers, and only warns.
        if lacking := sorted(report["missing_keys"]):
            raise AnalysisError(f"another kind of model: it has no {lacking[0]} (and lacks {len(lacking)} in all)")
        with warnings.catch_warnings():
            # AST was trained with mel filters of which one is empty; transformers warns of it every time.
            warnings.filterwarnings("ignore", message="At least one mel filter")
            processor = processor_class.from_pretrained(folder, local_files_only=True)
        return network.eval().to(device), processor, device


@dataclass(frozen=True)
class _Model:
    """A model in eval mode on its device, in the precision that suits it there."""

    id: str
    """Id and revision, for `Analysis.model`."""
    network: Any
    processor: Any
    device: str
    at_once: ClassVar[Mapping[str, int]]
    """Items in a batch at first, by kind of device. On a CPU larger batches are not faster."""

    @classmethod
    def _load(cls, name: str, lane: str, network_class: Any, processor_class: Any) -> Any:
        """
        Raises:
            WeightsMissing: the model is not installed, or its files are not what was fetched.
            AnalysisError: the files are another kind of model, or the lane's device is not there.
        """
        import torch

        # Half the error of bfloat16 in probabilities, a ninth in CLIP's likeness; none of them needs its range.
        network, processor, device = load_pretrained(name, lane, network_class, processor_class, torch.float16)
        return cls(revision_of(name), network, processor, device)

    def _rows(self, items: Sequence[Any], prepare: Any, forward: Any) -> np.ndarray:
        """(items, values) float32: what `forward` makes of the tensors that `prepare` makes of a batch of items."""
        import torch

        def compute(tensors: Any) -> np.ndarray:
            placed = {
                key: t.to(self.device, self.network.dtype if t.is_floating_point() else t.dtype)
                for key, t in tensors.items()
            }
            with torch.inference_mode():
                return forward(placed).float().cpu().numpy()

        size = self.at_once["cpu" if self.device == "cpu" else "gpu"]
        rows = np.stack(list(in_batches(items, size, prepare, compute)))
        if not np.isfinite(rows).all():
            raise AnalysisError(f"{self.id} gave values that are no numbers on {self.device}")
        return rows


@dataclass(frozen=True)
class _Classifier(_Model):
    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the columns of `probabilities`."""
        names = self.network.config.id2label
        return tuple(str(names[i]) for i in range(len(names)))

    def _logits(self, tensors: Mapping[str, Any]) -> Any:
        return self.network(**tensors).logits


@dataclass(frozen=True)
class ImageClassifier(_Classifier):
    """Gives each picture one probability per class."""

    at_once: ClassVar[Mapping[str, int]] = {"cpu": 8, "gpu": 64}

    @classmethod
    def load(cls, name: str, lane: str) -> ImageClassifier:
        """The model `name` of `analyzers.weights` on the device of a lane; raises as `_Model._load`."""
        require(name)  # before an import of seconds
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        return cls._load(name, lane, AutoModelForImageClassification, AutoImageProcessor)

    def probabilities(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(pictures, classes) float32, rows sum to 1, of (height, width, 3) uint8 RGB pictures."""
        if not len(pictures):
            return np.zeros((0, len(self.labels)), np.float32)
        return softmax(self._rows(pictures, lambda part: image_tensors(self.processor, part), self._logits))


@dataclass(frozen=True)
class AudioClassifier(_Classifier):
    """Gives each sound one probability per class."""

    at_once: ClassVar[Mapping[str, int]] = {"cpu": 4, "gpu": 32}

    @classmethod
    def load(cls, name: str, lane: str) -> AudioClassifier:
        """The model `name` of `analyzers.weights` on the device of a lane; raises as `_Model._load`."""
        require(name)  # before an import of seconds
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

        model = cls._load(name, lane, AutoModelForAudioClassification, AutoFeatureExtractor)
        if model.processor.sampling_rate != AUDIO_HZ:
            raise AnalysisError(f"{model.id} takes sound at {model.processor.sampling_rate} Hz, not at {AUDIO_HZ}")
        return model

    def probabilities(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """(sounds, classes) float32, rows sum to 1, of mono sounds at 16 kHz: of classes that exclude each other."""
        return softmax(self._all_logits(sounds))

    def each_probability(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """(sounds, classes) float32, each 0-1 by itself: of classes that may all be there at once."""
        return 1 / (1 + np.exp(-self._all_logits(sounds)))

    def _all_logits(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Sounds of one length go into a batch together: wav2vec2-base takes padding for a part of the sound."""
        logits = np.zeros((len(sounds), len(self.labels)), np.float32)
        for length in sorted({len(s) for s in sounds}):
            same = [i for i, s in enumerate(sounds) if len(s) == length]
            logits[same] = self._rows([np.asarray(sounds[i]) for i in same], self._tensors, self._logits)
        return logits

    def _tensors(self, sounds: Sequence[np.ndarray]) -> Any:
        return self.processor(list(sounds), sampling_rate=AUDIO_HZ, return_tensors="pt")


@dataclass(frozen=True)
class ImageText(_Model):
    """Puts pictures and texts into one space, in which what belongs together lies close (CLIP, Radford et al. 2021)."""

    at_once: ClassVar[Mapping[str, int]] = {"cpu": 8, "gpu": 64}

    @classmethod
    def load(cls, name: str, lane: str) -> ImageText:
        """The model `name` of `analyzers.weights` on the device of a lane; raises as `_Model._load`."""
        require(name)  # before an import of seconds
        from transformers import AutoProcessor, CLIPModel

        return cls._load(name, lane, CLIPModel, AutoProcessor)

    def embed_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(pictures, dimensions) float32 of length 1, of (height, width, 3) uint8 RGB pictures, at least one."""

        def forward(tensors: Mapping[str, Any]) -> Any:
            return self.network.get_image_features(**tensors).pooler_output

        squares = [middle_square(p) for p in pictures]
        return unit(self._rows(squares, lambda part: image_tensors(self.processor.image_processor, part), forward))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, dimensions) float32 of length 1."""

        def prepare(part: Sequence[str]) -> Any:
            return self.processor.tokenizer(list(part), padding=True, return_tensors="pt")

        def forward(tensors: Mapping[str, Any]) -> Any:
            return self.network.get_text_features(**tensors).pooler_output

        return unit(self._rows(list(texts), prepare, forward))

    def prefers(self, pictures: np.ndarray, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(pictures, pairs) 0-1: how much rather a picture fits the first text of a pair than the second.

        Args:
            pictures: from `embed_pictures`.
            pairs: opposite texts.
        """
        scale = float(self.network.logit_scale.detach().exp())
        texts = self.embed_texts([text for pair in pairs for text in pair])
        logits = scale * (pictures @ texts.T).reshape(len(pictures), len(pairs), 2)
        return softmax(logits)[..., 0]


def image_tensors(processor: Any, pictures: Sequence[np.ndarray]) -> Any:
    """What an image processor makes of RGB pictures of any sizes."""
    from PIL import Image

    return processor(images=[Image.fromarray(np.ascontiguousarray(p)) for p in pictures], return_tensors="pt")


def middle_square(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture, as CLIP cuts it out; before it enlarges the picture, not after: some are 2 px wide."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    return raised / raised.sum(axis=-1, keepdims=True)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def named(labels: Sequence[str], probabilities: np.ndarray) -> dict[str, float]:
    """Probabilities by class as plain values, to 4 digits, the most likely first."""
    order = np.argsort(-probabilities, kind="stable")
    return {labels[i]: round(float(probabilities[i]), 4) for i in order}


def margin(probabilities: np.ndarray) -> float:
    """How far the most likely of at least two classes lies before the next, 0-1."""
    first, second = np.sort(probabilities)[::-1][:2]
    return float(first - second)
