"""How fast the models are: all 28 analyzers and each model alone, with random weights at the size of the true ones.

Random weights measure speed and memory, nothing else: what the analyzers say here means nothing. Token counts are
fixed. The clip is the sample, repeated.

    .venv/bin/python bench/gpu.py               a GPU: true sizes, 60 s of video
    .venv/bin/python bench/gpu.py --small       anywhere (the default without a GPU): tiny sizes, 12 s of video; shows
                                                that the script works, and says nothing about the true models
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from analyzers import weights  # noqa: E402
from analyzers.catalogue import analyzer_class, run_order  # noqa: E402
from analyzers.clip import AUDIO_HZ, Clip  # noqa: E402
from analyzers.common.devices import dtype_on, gpus, is_out_of_memory  # noqa: E402
from analyzers.common.transformers_models import AudioClassifier, ImageClassifier, ImageText  # noqa: E402
from analyzers.contract import LANES, Outcome  # noqa: E402
from analyzers.decode import decode  # noqa: E402
from analyzers.language import qwen2_vl_temporal as vision_language  # noqa: E402
from analyzers.run import examine, loaded  # noqa: E402
from analyzers.vision.object_detection import as_bgr  # noqa: E402
from tests import checkpoints, checkpoints_speech_and_faces  # noqa: E402
from tests.media import SAMPLE, sample_clip, write_video  # noqa: E402

BASE_MODELS = ("face_age", "face_expression", "speech_emotion", "audio_events", "image_text")
"""Of them, transformers' configuration has the sizes of the published base model as its defaults."""
WHISPER_LARGE_V3 = (128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32)
QWEN2_VL_7B = {
    "text_config": {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
    | {"layer_types": ["full_attention"] * 28, "num_attention_heads": 28, "num_key_value_heads": 4}
    | {
        "initializer_range": 0.02,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
    },
    "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4},
}
SPEECH = checkpoints_speech_and_faces.SPOKEN * 5
WINDOW_BATCHES, LANE = (1, 8, 32), "gpu_worker_3"


def install(small: bool) -> None:
    """Every model as a random checkpoint. The vision-language model stays tiny on disk: see `use_network`."""
    import torch
    import transformers
    from ultralytics import YOLO

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    checkpoints.install_yolo()
    checkpoints.install_yolo("yolo_detection_large")
    checkpoints.install_vision_language()
    checkpoints_speech_and_faces.install_all()
    if small:
        checkpoints_speech_and_faces.install_whisper(SPEECH)
        return
    checkpoints_speech_and_faces.install_whisper(SPEECH, sizes=WHISPER_LARGE_V3)
    torch.manual_seed(0)
    for name in BASE_MODELS:
        folder = weights.folder_of(name)
        tiny = transformers.AutoConfig.from_pretrained(folder)
        kept: dict[str, Any] = {"id2label": tiny.id2label, "label2id": tiny.label2id}
        if name == "image_text":
            text = tiny.text_config
            kept = {
                "text_config": {key: getattr(text, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
            }
        network = getattr(transformers, tiny.architectures[0])(type(tiny)(**kept))
        (folder / "pytorch_model.bin").unlink(missing_ok=True)
        network.save_pretrained(folder)
        weights.write_record(name, "random", tuple(p.name for p in folder.iterdir() if p.name != weights.RECORD))
    file = weights.REGISTRY["yolo_detection_large"].files[0].name
    YOLO("yolov8l.yaml", task="detect").save(weights.folder_of("yolo_detection_large") / file)
    weights.write_record("yolo_detection_large", "random", (file,))


def use_network(analyzer: Any, small: bool, device: str) -> None:
    """Give the loaded vision-language analyzer a network that was made on the device: 16 GB need not go over a disk.

    Its tokenizer knows single bytes; only letters have a chance to be written, so that no text ends early.
    """
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(weights.folder_of("vision_language"))
    if not small:
        plain = config.to_dict()
        config = type(config).from_dict(plain | {part: plain[part] | sizes for part, sizes in QWEN2_VL_7B.items()})
    generation = analyzer._network.generation_config
    with torch.device(device):
        network = transformers.AutoModelForImageTextToText.from_config(config, dtype=dtype_on(device)).eval()
    vocabulary = analyzer._processor.tokenizer.get_vocab()
    letters = [vocabulary[c] for c in "abcdefghijklmnopqrstuvwxyz"]
    with torch.no_grad():
        head = network.lm_head.weight
        rows = torch.randn(len(letters), head.shape[1], device=device, dtype=head.dtype)
        head.zero_()
        head[letters] = rows
    network.generation_config = generation
    analyzer._network = network


def compose(path: Path, seconds: float) -> Path:
    """The sample, repeated and cut to a length: 576x1024, 30 fps, with its sound."""
    import av

    def pictures() -> Iterator[np.ndarray]:
        while True:
            with av.open(str(SAMPLE)) as container:
                for frame in container.decode(video=0):
                    yield frame.to_ndarray(format="rgb24")

    sound = np.resize(np.asarray(sample_clip().audio), int(seconds * AUDIO_HZ))
    return write_video(path, islice(pictures(), round(seconds * 30)), 30.0, sound, AUDIO_HZ, crf=23)


def measure(device: str, work: Callable[[], object]) -> tuple[float, str, str]:
    """(seconds, peak memory that torch allocated, mean utilisation of the GPU), the latter two "-" where not known."""
    import torch

    if device == "cpu":
        started = time.perf_counter()
        work()
        return time.perf_counter() - started, "-", "-"
    done, seen = threading.Event(), list[int]()

    def watch() -> None:
        with contextlib.suppress(ImportError, RuntimeError):  # without nvidia-ml-py, or where the driver has no such
            while not done.wait(0.1):
                seen.append(torch.cuda.utilization(device))

    watcher = threading.Thread(target=watch, daemon=True)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    watcher.start()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    peak = f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f} GB"
    return seconds, peak, f"{np.mean(seen):.0f} %" if seen else "-"


def print_models(clip: Clip, device: str) -> None:
    """Each model but the vision-language one alone, on a fixed amount of work, the second time that it is asked."""
    frames = [np.asarray(f) for f in clip.frames[:32]]
    faces, sound = [f[:224, :224] for f in frames] * 2, np.resize(np.asarray(clip.audio), 29 * AUDIO_HZ)
    fives, tens = [sound[: 5 * AUDIO_HZ]] * 8, [sound[: 10 * AUDIO_HZ]] * 8
    detector: Any = loaded(analyzer_class("object_detection"))
    hearer: Any = loaded(analyzer_class("speech_transcription"))
    age, image_text = ImageClassifier.load("face_age", LANE), ImageText.load("image_text", LANE)
    emotion, events = AudioClassifier.load("speech_emotion", LANE), AudioClassifier.load("audio_events", LANE)
    rows: list[tuple[str, Callable[[], object]]] = [
        ("YOLO, 32 pictures", lambda: detector._detect(as_bgr(frames))),
        ("whisper, 29 s, 70 tokens or so", lambda: hearer._passages(sound, 0.0, 29.0, "en")),
        ("wav2vec2, 8 x 5 s", lambda: emotion.probabilities(fives)),
        ("AST, 8 x 10 s", lambda: events.each_probability(tens)),
        ("ViT, 64 faces", lambda: age.probabilities(faces)),
        ("CLIP, 32 pictures", lambda: image_text.embed_pictures(frames)),
    ]
    print(f"\n{'model':<34}{'seconds':>10}{'peak':>12}{'GPU used':>10}")
    for title, work in rows:
        work()
        seconds, peak, used = measure(device, work)
        print(f"{title:<34}{seconds:>10.3f}{peak:>12}{used:>10}")


def print_windows(clip: Clip, device: str, analyzer: Any) -> None:
    """Seconds per window of 2 s of the vision-language model, and what the CPU needs to prepare one."""
    found = vision_language.windows_of(clip.frame_times_s, clip.video_end_s, 2.0, analyzer.frames_per_window)
    size_px = vision_language.fitted_size_px(clip.frames.shape[2], clip.frames.shape[1], analyzer.max_frame_px)
    title = f"vision-language, {analyzer.max_tokens} tokens a window"
    print(f"\n{title:<40}{'s per window':>14}{'preparing':>11}{'peak':>12}{'GPU used':>10}")
    for count in WINDOW_BATCHES:
        batch = list(islice(cycle(found), count))
        started = time.perf_counter()
        tensors = analyzer._tensors([vision_language.shrunk(clip.frames, w.picks, size_px) for w in batch])
        preparing_s = (time.perf_counter() - started) / count
        try:
            analyzer._generate(tensors)
            seconds, peak, used = measure(device, lambda given=tensors: analyzer._generate(given))  # type: ignore[misc]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            print(f"batch {count:<34}{'out of memory':>14}")
            continue
        print(f"batch {count:<34}{seconds / count:>14.3f}{preparing_s:>11.3f}{peak:>12}{used:>10}")


def print_whole(clip: Clip, device: str, decode_s: float) -> None:
    """All analyzers one after the other in this process; in a run, lanes work beside each other."""
    outcomes: dict[str, Outcome] = {}
    rows = [("decode", decode_s, "-", "-", "")]
    for name in run_order():

        def work(name: str = name) -> None:
            outcomes[name] = examine(analyzer_class(name), clip, outcomes)

        rows.append((name, *measure(device, work), outcomes[name].status))
    print(f"\n{'analyzer (models loaded before)':<34}{'seconds':>10}{'x real time':>13}{'peak':>12}{'GPU used':>10}")
    for title, seconds, peak, used, status in sorted(rows, key=lambda row: -row[1]):
        print(f"{title:<34}{seconds:>10.3f}{seconds / clip.duration_s:>13.4f}{peak:>12}{used:>10}  {status}")
    total_s = sum(row[1] for row in rows)
    print(f"{'all, one after the other':<34}{total_s:>10.3f}{total_s / clip.duration_s:>13.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny sizes; the default without a GPU")
    parser.add_argument("--seconds", type=float, help="length of the clip")
    options = parser.parse_args()
    device = "cuda:0" if gpus() else "cpu"
    small = options.small or device == "cpu"
    os.environ["TIKTOK_ASSETS_DEVICES"] = ",".join(f"{lane}={device}" for lane in LANES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["TIKTOK_ASSETS_WEIGHTS"] = str(folder / "weights")
        install(small)
        file = compose(folder / "clip.mp4", options.seconds or (12.0 if small else 60.0))
        started = time.perf_counter()
        decode(file, folder / "media")
        decode_s = time.perf_counter() - started
        clip = Clip.open(folder / "media", file)
        import torch

        name = torch.cuda.get_device_name(device) if device != "cpu" else f"the CPU, {os.cpu_count()} cores"
        sizes = "TINY sizes: only shows that this script works" if small else "true sizes"
        print(f"Random weights, {sizes}; they measure speed and memory, not what is found. Device: {name}.")
        started = time.perf_counter()
        for each in run_order():
            loaded(analyzer_class(each))
        analyzer: Any = loaded(analyzer_class("qwen2_vl_temporal"))
        analyzer.max_tokens = 8 if small else analyzer.max_tokens
        use_network(analyzer, small, device)
        print(f"{clip.duration_s:.1f} s of 576x1024 video. Loading all models: {time.perf_counter() - started:.1f} s.")
        print_windows(clip, device, analyzer)
        print_models(clip, device)
        print_whole(clip, device, decode_s)


if __name__ == "__main__":
    main()
