"""Descriptions: what happens in each 2 seconds, in a sentence, by a vision-language model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.common.devices import device_of, in_batches, require_memory
from analyzers.common.transformers_models import load_pretrained
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.errors import AnalysisError
from analyzers.weights import installed, loading, require, revision_of

MODEL = "vision_language"
BATCH = {"cpu": 1, "gpu": 8}
"""Windows at once. On a CPU larger batches are not faster."""
SHORTEST_WINDOW_S = 0.5
"""A rest at the end that is shorter belongs to the window before."""
GRID_PX = 28
"""Sides are multiples of this: 2 x 2 patches of 14 px are one visual token of Qwen2-VL."""


@dataclass(frozen=True)
class Window:
    """A stretch of a clip and the pictures that stand for it."""

    start_s: float
    end_s: float
    picks: tuple[int, ...]
    """Indices into `clip.frames`, at least one."""


@dataclass(frozen=True)
class Description:
    """What the model wrote about a window."""

    text: str
    tokens: int
    truncated: bool
    """It ran into the limit of tokens."""


@dataclass
class Qwen2VlTemporal(Analyzer):
    """A sentence about each window of 2 s, from 4 of its pictures.

    Qwen2-VL-7B-Instruct (Wang et al. 2024, arXiv:2409.12191; Apache-2.0) through the transformers library, or any
    other image-text-to-text model in its format, named by TIKTOK_ASSETS_VISION_LANGUAGE_MODEL. Decoding is greedy, so
    that the same pictures give the same words, and ends after 64 tokens. Pictures are shrunk to at most 280 x 504 px,
    which is 180 visual tokens for each two of them. Windows are described in batches, and the next batch is prepared
    while one is computed.

    Segments: one per window. label "description", or "no_description" where the model wrote nothing. data: `text`
    (English, None where it wrote nothing), `tokens` (written), `truncated` (it was cut off at the limit),
    `frame_times_s` (of the pictures it saw: the evidence).

    summary: `windows`, `described`, `truncated` (how many of each).

    An empty result: the model wrote nothing about any window.

    Gets wrong: invents: hands, objects, intentions that are not there, and reads what is written wrongly; knows nothing
    of other windows, so that one person may be a man here and a woman there; says nothing of the sound. It has no
    measure of confidence.

    Raises:
        WeightsMissing: the model is not installed.
        AnalysisError: memory does not suffice for a single window, or the files are another kind of model.
    """

    spec = AnalyzerSpec(
        name="qwen2_vl_temporal",
        version="1",
        lane="gpu_worker_0",
        needs={Need.FRAMES},
        weights=(MODEL,),
        gives="what happens in each 2 s, in a sentence",
    )
    window_s: float = 2.0
    frames_per_window: int = 4
    max_frame_px: int = 280 * 504
    """Area of a picture as the model sees it."""
    max_tokens: int = 64
    prompt: str = (
        "These are pictures from two seconds of a video. Say in one sentence what happens: who is seen, what they do, "
        "and where. Say only what is visible."
    )

    def load(self) -> None:
        require(MODEL)
        found = installed(MODEL)
        # Stored in 16 bits, computed in 32 on the CPU, and both are held for a moment.
        require_memory(device_of(self.spec.lane), 3 * (found.bytes if found else 0), f"the model {MODEL}")
        import transformers

        self._network, self._processor, self._device = load_pretrained(
            MODEL, self.spec.lane, transformers.AutoModelForImageTextToText, transformers.AutoProcessor
        )
        self._model_id = revision_of(MODEL)
        self._backend = f"transformers {transformers.__version__}"
        with loading(MODEL):
            self._processor.tokenizer.padding_side = "left"  # text goes on at the right end
            if self._processor.tokenizer.pad_token is None:
                self._processor.tokenizer.pad_token = self._processor.tokenizer.eos_token
            self._takes_videos = getattr(self._processor, "video_processor", None) is not None
            self._question = self._processor.apply_chat_template(
                chat(self.prompt, self._takes_videos, self.frames_per_window),
                tokenize=False,
                add_generation_prompt=True,
            )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        windows = windows_of(clip.frame_times_s, clip.video_end_s, self.window_s, self.frames_per_window)
        size_px = fitted_size_px(clip.frames.shape[2], clip.frames.shape[1], self.max_frame_px)

        def prepare(part: Sequence[Window]) -> Any:
            return self._tensors([shrunk(clip.frames, w.picks, size_px) for w in part])

        at_once = BATCH["cpu" if self._device == "cpu" else "gpu"]
        described = list(in_batches(windows, at_once, prepare, self._generate))
        about: dict[str, Any] = {"backend": self._backend, "model": self._model_id}
        if not any(d.text for d in described):
            return Analysis.nothing("the model wrote nothing about any window", **about)
        return Analysis(
            segments=[segment(w, d, clip.frame_times_s) for w, d in zip(windows, described, strict=True)],
            summary={
                "windows": len(windows),
                "described": sum(bool(d.text) for d in described),
                "truncated": sum(d.truncated for d in described),
            },
            coverage=min(1.0, clip.video_end_s / clip.duration_s),
            **about,
        )

    def _tensors(self, videos: Sequence[np.ndarray]) -> Any:
        """What the model takes for some windows, each (pictures, height, width, 3) uint8 RGB."""
        questions = [self._question] * len(videos)
        if not self._takes_videos:
            # One question names a fixed number of pictures: a window that has fewer shows its last one again.
            pictures = [[v[min(i, len(v) - 1)] for i in range(self.frames_per_window)] for v in videos]
            return self._processor(text=questions, images=pictures, padding=True, return_tensors="pt")
        from transformers.video_utils import VideoMetadata

        options: dict[str, Any] = {}
        if "longest_edge" in dict(self._processor.video_processor.size or {}):
            # Both are areas, of a picture or (Qwen3-VL) of all pictures together. Pictures have their size already;
            # the defaults, which changed between versions of transformers, would enlarge small ones.
            most_px = self.max_frame_px * self.frames_per_window
            options["size"] = {"shortest_edge": GRID_PX * GRID_PX, "longest_edge": most_px}
        return self._processor(
            text=questions,
            videos=list(videos),
            video_metadata=[
                VideoMetadata(
                    total_num_frames=len(v),
                    fps=self.frames_per_window / self.window_s,
                    frames_indices=list(range(len(v))),
                )
                for v in videos
            ],
            do_sample_frames=False,
            padding=True,
            return_tensors="pt",
            **options,
        )

    def _generate(self, tensors: Any) -> list[Description]:
        import torch

        placed = {
            key: t.to(self._device, self._network.dtype if t.is_floating_point() else t.dtype)
            for key, t in tensors.items()
        }
        with torch.inference_mode():
            written = self._network.generate(
                **placed,
                max_new_tokens=self.max_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self._processor.tokenizer.pad_token_id,
                logits_processor=[only_numbers],
            )
        new = written[:, placed["input_ids"].shape[1] :].cpu()
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        ends = self._network.generation_config.eos_token_id
        end_ids = set(ends if isinstance(ends, list) else [ends])
        return [
            description(text, tokens, end_ids, self.max_tokens)
            for text, tokens in zip(texts, new.tolist(), strict=True)
        ]


def only_numbers(_input_ids: Any, scores: Any) -> Any:
    """The scores of the next token, as they are. Without this, a model that overflows writes "!!!!": token 0.

    Raises:
        AnalysisError: some of them are no numbers.
    """
    if scores.isnan().any():
        raise AnalysisError(f"the model {MODEL} gave values that are no numbers, computing in {scores.dtype}")
    return scores


def chat(prompt: str, as_video: bool, pictures: int) -> list[dict[str, Any]]:
    """The conversation that asks about one window, for a processor's chat template."""
    shown = [{"type": "video"}] if as_video else [{"type": "image"}] * pictures
    return [{"role": "user", "content": [*shown, {"type": "text", "text": prompt}]}]


def windows_of(times_s: np.ndarray, end_s: float, window_s: float, pictures: int) -> list[Window]:
    """Windows that cover a clip from 0 to `end_s`, each with at most so many pictures, spread evenly.

    A window in which no new picture is shown gets the one that still stands.
    """
    count = max(1, math.ceil((end_s - SHORTEST_WINDOW_S) / window_s))
    edges = [*(i * window_s for i in range(count)), end_s]
    windows = []
    for start_s, stop_s in pairwise(edges):
        first, last = (int(i) for i in np.searchsorted(times_s, [start_s, stop_s]))
        if first == last:
            first = max(0, last - 1)
        held = max(1, last - first)
        wanted = min(pictures, held)
        picks = tuple(first + int((i + 0.5) * held / wanted) for i in range(wanted))
        windows.append(Window(float(start_s), float(stop_s), picks))
    return windows


def fitted_size_px(width_px: int, height_px: int, max_px: int) -> tuple[int, int]:
    """(width, height) on the model's grid, near the given shape, with at most `max_px` pixels and never enlarged
    beyond one step of the grid."""
    scale = min(1.0, math.sqrt(max_px / (width_px * height_px)))
    width, height = (max(1, round(side * scale / GRID_PX)) for side in (width_px, height_px))
    while width * height * GRID_PX**2 > max_px and max(width, height) > 1:
        width, height = (width - 1, height) if width >= height else (width, height - 1)
    return width * GRID_PX, height * GRID_PX


def shrunk(frames: np.ndarray, picks: Sequence[int], size_px: tuple[int, int]) -> np.ndarray:
    """Some of the pictures at another size: (picks, height, width, 3) uint8."""
    import cv2

    return np.stack([cv2.resize(frames[i], size_px, interpolation=cv2.INTER_AREA) for i in picks])


def description(text: str, tokens: Sequence[int], end_ids: set[int | None], max_tokens: int) -> Description:
    """What was written, from the decoded text and the tokens, which are padded after the end."""
    length = next((i for i, token in enumerate(tokens) if token in end_ids), len(tokens))
    return Description(" ".join(text.split()), length, length >= max_tokens)


def segment(window: Window, described: Description, times_s: np.ndarray) -> Segment:
    """The claim about a window."""
    return Segment(
        start_s=round(window.start_s, 3),
        end_s=round(window.end_s, 3),
        label="description" if described.text else "no_description",
        data={
            "text": described.text or None,
            "tokens": described.tokens,
            "truncated": described.truncated,
            "frame_times_s": [round(float(times_s[i]), 3) for i in window.picks],
        },
    )
