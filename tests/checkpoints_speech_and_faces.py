"""Tiny speech, face, sound, image-text and lettering models in their library's own format, with random weights: what
loads, prepares and decodes them is the real thing. Each function installs one into `weights_root()`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analyzers.weights import Installed, folder_of, write_record

REVISION = "tiny"
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
EMOTIONS = ("neu", "hap", "ang", "sad")
EVENTS = ("Speech", "Music", "Silence", "Knock", "Glass", "Dog", "Whoosh, swoosh, swish", "Wind")
SPOKEN = " Well, um, this goes to the stars."
"""What the whisper below hears in any sound."""


def install_whisper(
    text: str = SPOKEN,
    language: str = "en",
    certainty: float = 1.0,
    sizes: Sequence[int] = (80, 1500, 64, 2, 1, 51865, 448, 64, 2, 1),
) -> Installed:
    """Whisper with one layer, which says the same text (up to 2.00 s) in the same language whatever it hears.

    Its layers pass on what they get; its embedding of each position points at the token that comes next.

    Args:
        certainty: gain of the output. At 1 each token has a probability of nearly 1, at 0.14 of about 0.07.
        sizes: of `whisper.model.ModelDimensions`, in its order.
    """
    import torch
    from whisper.model import ModelDimensions, Whisper
    from whisper.tokenizer import get_tokenizer

    torch.manual_seed(0)
    dims = ModelDimensions(*sizes)
    model = Whisper(dims)
    tokens = get_tokenizer(True, num_languages=model.num_languages, language=language, task="transcribe")
    begin = tokens.timestamp_begin
    says = [tokens.to_language_token(language), tokens.transcribe, begin, *tokens.encode(text), begin + 100, tokens.eot]
    decoder = model.decoder
    with torch.no_grad():
        torch.nn.init.normal_(decoder.token_embedding.weight)
        for block in decoder.blocks:
            for passed_on in (block.attn.out, block.cross_attn.out, block.mlp[2]):
                passed_on.weight.zero_()
                passed_on.bias.zero_()
        following = torch.tensor(says + [tokens.eot] * (dims.n_text_ctx - len(says)))
        decoder.positional_embedding.copy_(20 * decoder.token_embedding.weight[following])
        decoder.ln.weight.fill_(certainty)
    folder = _folder("whisper")
    torch.save({"dims": asdict(dims), "model_state_dict": model.half().state_dict()}, folder / "small.pt")
    return write_record("whisper", REVISION, ("small.pt",))


def install_image_classifier(name: str, labels: Sequence[str]) -> Installed:
    """A vision transformer: face_age, face_expression."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(image_size=224, patch_size=32, **_layers(), **_labels(labels))
    return _saved(name, ViTForImageClassification(config), ViTImageProcessor(size={"height": 224, "width": 224}))


def install_speech_emotion(labels: Sequence[str] = EMOTIONS) -> Installed:
    """wav2vec2 with a classifier, its positional convolution under the names of the published checkpoint."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        **_layers(),
        **_labels(labels),
    )
    network = Wav2Vec2ForSequenceClassification(config)
    installed = _saved("speech_emotion", network, Wav2Vec2FeatureExtractor())
    (installed.folder / "model.safetensors").unlink()
    state = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for key, tensor in network.state_dict().items()
    }
    torch.save(state, installed.folder / "pytorch_model.bin")
    return _recorded("speech_emotion")


def install_audio_events(labels: Sequence[str] = EVENTS) -> Installed:
    """An audio spectrogram transformer."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(0)
    return _saved(
        "audio_events", ASTForAudioClassification(ASTConfig(**_layers(), **_labels(labels))), ASTFeatureExtractor()
    )


def install_image_text() -> Installed:
    """CLIP with a tokenizer that knows single bytes."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    torch.manual_seed(0)
    letters = sorted(ByteLevel.alphabet())
    entries = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    text = {
        "vocab_size": len(entries),
        "bos_token_id": len(entries) - 2,
        "eos_token_id": len(entries) - 1,
        "pad_token_id": len(entries) - 1,
        **_layers(),
    }
    vision = {"image_size": 224, "patch_size": 32, **_layers()}
    network = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    return _saved(
        "image_text", network, CLIPProcessor(CLIPImageProcessor(), CLIPTokenizer(vocab=vocabulary, merges=[]))
    )


def install_easyocr() -> dict[str, str]:
    """CRAFT and the Latin reader at their published size (the library builds no other); MD5 by file.

    The library compares them with MD5 sums in its own tables, which a test must set to these.
    """
    import torch
    from easyocr.config import recognition_models
    from easyocr.craft import CRAFT
    from easyocr.model.vgg_model import Model

    torch.manual_seed(0)
    folder = _folder("easyocr_de_en")
    torch.save(CRAFT(pretrained=False).half().state_dict(), folder / "craft_mlt_25k.pth")
    classes = len(recognition_models["gen2"]["latin_g2"]["characters"]) + 1
    reader = Model(input_channel=1, output_channel=256, hidden_size=256, num_class=classes)
    torch.save({f"module.{k}": v for k, v in reader.state_dict().items()}, folder / "latin_g2.pth")
    recorded = _recorded("easyocr_de_en")
    return {f.name: hashlib.md5((folder / f.name).read_bytes()).hexdigest() for f in recorded.files}


def install_all() -> None:
    """All of them but EasyOCR, which has to be asked for."""
    install_whisper()
    install_image_classifier("face_age", AGES)
    install_image_classifier("face_expression", EXPRESSIONS)
    install_speech_emotion()
    install_audio_events()
    install_image_text()


def _layers() -> dict[str, int]:
    return {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def _labels(labels: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


def _folder(name: str) -> Path:
    folder = folder_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _saved(name: str, *parts: Any) -> Installed:
    for part in parts:
        part.save_pretrained(_folder(name))
    return _recorded(name)


def _recorded(name: str) -> Installed:
    folder = folder_of(name)
    return write_record(name, REVISION, tuple(p.name for p in folder.iterdir() if p.name != "installed.json"))
