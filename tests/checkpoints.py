"""Tiny models in their library's own format, with random weights: what loads, prepares and decodes them is the real
thing. Each function installs one into `analyzers.weights.weights_root()`, `installed.json` included."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from analyzers.weights import REGISTRY, Installed, folder_of, registered, write_record

REVISION = "tiny"
YOLO_CLASS, YOLO_SCORE_LOGIT = 16, 2.0
"""What the detector below sees everywhere: "dog" with a score of sigmoid(2) = 0.881."""
YOLO_REACH_CELLS = 12
"""From the middle of a cell of 32 px to each side of its box, in such cells."""


def install_yolo(name: str = "yolo_detection_nano") -> Installed:
    """YOLOv8 at a sixteenth of its width, whose head says the same of every cell of the coarsest grid: a dog, in a box
    of fixed size around the cell's middle, so that tests know what comes out."""
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    os.environ.setdefault("YOLO_VERBOSE", "false")
    import torch
    import ultralytics
    import yaml
    from ultralytics import YOLO

    folder = _folder(name)
    config = Path(ultralytics.__file__).parent / "cfg" / "models" / "v8" / "yolov8.yaml"
    plan = yaml.safe_load(config.read_text("utf-8"))
    plan["scales"], plan["scale"] = {"n": [0.33, 0.0625, 1024]}, "n"
    plan_file = folder / "yolov8pico.yaml"
    plan_file.write_text(yaml.safe_dump(plan), "utf-8")
    torch.manual_seed(0)
    model: Any = YOLO(str(plan_file), task="detect", verbose=False)
    head = model.model.model[-1]
    with torch.no_grad():
        for level, (box, kind) in enumerate(zip(head.cv2, head.cv3, strict=True)):
            box[-1].weight.zero_()
            box[-1].bias.zero_()
            box[-1].bias.view(4, -1)[:, YOLO_REACH_CELLS] = (
                30.0  # the distance to each side, as a softmax over 16 distances
            )
            kind[-1].weight.zero_()
            kind[-1].bias.fill_(-12.0)
            if level == len(head.cv2) - 1:
                kind[-1].bias[YOLO_CLASS] = YOLO_SCORE_LOGIT
    model.model.names = dict(enumerate(_coco_names(Path(ultralytics.__file__).parent)))
    file = REGISTRY[name].files[0].name
    model.save(str(folder / file))
    plan_file.unlink()
    return write_record(name, REVISION, (file,))


def _coco_names(package: Path) -> list[str]:
    import yaml

    return list(yaml.safe_load((package / "cfg" / "datasets" / "coco.yaml").read_text("utf-8"))["names"].values())


CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def install_vision_language() -> Installed:
    """Qwen2-VL with two layers of 64 values, a tokenizer of bytes, and its real processors. It writes random letters:
    other tokens have no chance."""
    import torch
    import transformers
    from tokenizers import pre_tokenizers

    folder = _folder("vision_language")
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL),
    )
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    common = {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    config = transformers.Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 8192,
            "initializer_range": 0.5,  # large, so that what is seen changes what is written
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
            **common,
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = transformers.Qwen2VLForConditionalGeneration(config)
    letters = [vocabulary[c] for c in "abcdefghijklmnopqrstuvwxyz"]
    with torch.no_grad():
        silent = torch.ones(len(tokenizer), dtype=torch.bool)
        silent[letters] = False
        model.lm_head.weight[silent] = 0.0
        model.lm_head.weight[letters] = torch.randn(len(letters), 64)
    model = model.to(torch.bfloat16)
    model.generation_config.update(eos_token_id=ids["<|im_end|>"], pad_token_id=ids["<|endoftext|>"])
    model.save_pretrained(folder)
    processor = transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )
    processor.save_pretrained(folder)
    return write_record("vision_language", REVISION, tuple(p.name for p in folder.iterdir()))


def _folder(name: str) -> Path:
    assert registered(name)
    folder = folder_of(name)
    folder.mkdir(parents=True)
    return folder
