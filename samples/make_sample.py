"""Makes sample.mp4, a 12 s vertical clip of which everything is known, and sample.truth.json, which says it.

    python samples/make_sample.py [--out DIR]

Needs the program espeak-ng (Debian package espeak-ng) for the two spoken sentences. The clip is committed, so this runs
only when the clip is to change. Pictures come with scikit-image, the font with matplotlib; licences in README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH_PX, HEIGHT_PX, FPS, FRAMES = 576, 1024, 30, 360
SAMPLE_RATE_HZ = 44_100
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
SEED = 20
# Of 255, in grains of 2x2 pixels: finer grain does not survive the encoder, and a static shot would be a frozen one.
SENSOR_NOISE_SD, GRAIN_PX = 2.0, 2
MAX_BYTES = 2_000_000

TEMPO_BPM = 120
MUSIC_END_S = 11.0
BEAT_S = 60 / TEMPO_BPM
BAR_S = 4 * BEAT_S
# One chord a bar, as MIDI notes. E major's G sharp is what tells A minor from C major.
CHORDS = {"Am": (57, 60, 64), "F": (53, 57, 60), "Dm": (50, 53, 57), "E": (52, 56, 59)}
BARS = ("Am", "F", "Dm", "E", "Am", "Am")
WINDOW_LIGHTS = ((255, 214, 120), (255, 236, 190), (170, 210, 255))
SPEECH_RATE_WPM = 155
DUCKING_DB = -11.0
DUCKING_RAMP_S = 0.1


@dataclass(frozen=True)
class Shot:
    """A picture seen through a window of the frame's shape that may move. Two shots that overlap in time dissolve."""

    start_frame: int
    end_frame: int
    picture: str
    left_px: float
    """Left edge of the window in the picture's own pixels, in the shot's first frame; so are the next two."""
    top_px: float
    height_px: float
    pan_px_per_frame: int = 0
    """How far the camera moves right, in pixels of the clip."""
    zoom_log_per_s: float = 0.0
    """Growth of ln(scale) about the middle of the frame."""
    face_px: tuple[int, int, int, int] | None = None
    """Hairline to chin, ear to ear, in the picture's pixels; judged by eye."""

    def window(self, frame: int) -> tuple[float, float, float, float]:
        """The window at a frame of the clip, xyxy in the picture's pixels."""
        since = frame - self.start_frame
        full_width_px = self.height_px * WIDTH_PX / HEIGHT_PX
        shrink = math.exp(-self.zoom_log_per_s * since / FPS)
        width, height = full_width_px * shrink, self.height_px * shrink
        left = self.left_px + (full_width_px - width) / 2
        left += since * self.pan_px_per_frame * self.height_px / HEIGHT_PX
        top = self.top_px + (self.height_px - height) / 2
        return left, top, left + width, top + height


@dataclass(frozen=True)
class Caption:
    start_frame: int
    end_frame: int
    language: str
    lines: tuple[str, ...]
    centre_y: float
    """Fraction of the frame's height."""
    size_px: int


@dataclass(frozen=True)
class Utterance:
    start_s: float
    language: str
    voice: str
    text: str


SHOTS = (
    Shot(0, 75, "city", 0, 0, 1024, pan_px_per_frame=6),
    Shot(75, 105, "rocket.jpg", 201, 0, 427),
    Shot(105, 165, "astronaut.png", 97, 2, 450, face_px=(176, 62, 274, 189)),
    Shot(165, 249, "hubble_deep_field.jpg", 250, 0, 872, zoom_log_per_s=0.15),
    Shot(231, 300, "coffee.png", 187, 0, 400),
    Shot(300, 360, "cat", 0, 0, 1024),
)
CAPTIONS = (
    Caption(111, 159, "en", ("First woman to", "pilot the Shuttle"), 0.70, 50),
    Caption(252, 297, "de", ("Für mehr Tipps", "folgen!"), 0.88, 60),
    Caption(306, 354, "en", ("Link in bio –", "follow for part 2"), 0.84, 54),
)
UTTERANCES = (
    Utterance(2.5, "en", "en-us", "Today we fly from the city to the stars."),
    Utterance(7.5, "de", "de", "Schreib mir in die Kommentare, wohin du fliegst!"),
)


@cache
def load_picture(name: str) -> Image.Image:
    if name == "city":
        pan = SHOTS[0]
        return draw_city(WIDTH_PX + pan.end_frame * pan.pan_px_per_frame, HEIGHT_PX)
    if name == "cat":
        return cat_card()
    return Image.open(str(files("skimage") / "data" / name)).convert("RGB")


def draw_city(width_px: int, height_px: int) -> Image.Image:
    """A skyline at dusk. Windows are lit at random, so that no shift but the true one matches the picture."""
    rng = np.random.default_rng(SEED)
    down = np.linspace(0, 1, height_px)[:, None, None]
    sky = np.array([18, 22, 62]) * (1 - down) + np.array([236, 120, 84]) * down**1.3
    image = Image.fromarray(np.broadcast_to(sky, (height_px, width_px, 3)).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for x, y, size in rng.integers((0, 0, 1), (width_px, 420, 4), (160, 3)).tolist():
        draw.ellipse((x, y, x + size, y + size), fill=(255, 250, 225))
    draw.ellipse((420, 70, 520, 170), fill=(255, 244, 214))
    layers = (((72, 50, 100), (300, 520), 0.25), ((44, 34, 76), (440, 680), 0.4), ((22, 20, 46), (620, 840), 0.5))
    for colour, tops_px, lit_share in layers:
        x = -int(rng.integers(0, 40))
        while x < width_px:
            building_width = int(rng.integers(56, 130))
            box = (x, int(rng.integers(*tops_px)), x + building_width, height_px)
            draw_building(draw, rng, box, colour, lit_share)
            x += building_width + int(rng.integers(0, 14))
    return image


def draw_building(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    box: tuple[int, int, int, int],
    colour: tuple[int, int, int],
    lit_share: float,
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, fill=colour)
    if rng.random() < 0.4:
        mast = (left + right) // 2
        draw.line((mast, top - 46, mast, top), fill=colour, width=4)
        draw.ellipse((mast - 4, top - 52, mast + 4, top - 44), fill=(255, 70, 60))
    step_x, step_y = int(rng.integers(15, 22)), int(rng.integers(20, 30))
    for y in range(top + 12, bottom, step_y):
        for x in range(left + 8, right - step_x + 4, step_x):
            if rng.random() < lit_share:
                light = rng.choice(WINDOW_LIGHTS) * rng.uniform(0.65, 1.0)
                draw.rectangle((x, y, x + step_x - 7, y + step_y - 10), fill=tuple(light.astype(int)))


def cat_card() -> Image.Image:
    """The cat as phone apps show a picture of another shape: over its own blurred enlargement."""
    cat = Image.open(str(files("skimage") / "data" / "chelsea.png")).convert("RGB")
    behind = cat.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC, box=(141, 0, 310, 300))
    card = behind.filter(ImageFilter.GaussianBlur(28)).point(lambda value: value * 0.6)
    card.paste(cat.resize((WIDTH_PX, 614), Image.Resampling.LANCZOS, box=(90, 10, 362, 300)), (0, 128))
    return card


@lru_cache(maxsize=2)
def see(picture: str, window: tuple[float, float, float, float]) -> np.ndarray:
    """The picture's part in the window at the clip's size: (1024, 576, 3) float32, 0-255."""
    image = load_picture(picture).resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.LANCZOS, box=window)
    return np.asarray(image, dtype=np.float32)


@cache
def caption_image(caption: Caption) -> Image.Image:
    """The caption alone, as RGBA on a transparent frame: bold white with a black outline, centred."""
    font = ImageFont.truetype(str(files("matplotlib") / "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"), caption.size_px)
    image = Image.new("RGBA", (WIDTH_PX, HEIGHT_PX))
    draw = ImageDraw.Draw(image)
    line_px = 1.25 * caption.size_px
    first_y = caption.centre_y * HEIGHT_PX - line_px * (len(caption.lines) - 1) / 2
    for row, line in enumerate(caption.lines):
        at = (WIDTH_PX / 2, first_y + row * line_px)
        draw.text(at, line, "white", font, anchor="mm", stroke_width=5, stroke_fill="black")
    return image


def compose_frame(frame: int) -> np.ndarray:
    """One frame of the clip: (1024, 576, 3) uint8 RGB."""
    shown = [shot for shot in SHOTS if shot.start_frame <= frame < shot.end_frame]
    picture = see(shown[0].picture, shown[0].window(frame))
    if len(shown) == 2:
        before, after = shown
        share = (frame - after.start_frame + 0.5) / (before.end_frame - after.start_frame)
        picture = (1 - share) * picture + share * see(after.picture, after.window(frame))
    grains = HEIGHT_PX // GRAIN_PX, WIDTH_PX // GRAIN_PX
    noise = np.random.default_rng((SEED, frame)).normal(0, SENSOR_NOISE_SD, grains)
    noise = noise.repeat(GRAIN_PX, axis=0).repeat(GRAIN_PX, axis=1)
    image = Image.fromarray((picture + noise[:, :, None]).round().clip(0, 255).astype(np.uint8))
    for caption in CAPTIONS:
        if caption.start_frame <= frame < caption.end_frame:
            overlay = caption_image(caption)
            image.paste(overlay, mask=overlay)
    return np.asarray(image)


def mix_at(track: np.ndarray, sound: np.ndarray, start_s: float) -> None:
    """Adds a sound to the track in place; what reaches beyond the track's end is dropped."""
    start = round(start_s * SAMPLE_RATE_HZ)
    length = min(len(sound), len(track) - start)
    track[start : start + length] += sound[:length]


def clock_s(duration_s: float) -> np.ndarray:
    return np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def kick() -> np.ndarray:
    t = clock_s(0.25)
    falling_hz = 45 + 110 * np.exp(-t / 0.03)
    return 0.75 * np.exp(-t / 0.07) * np.sin(2 * np.pi * np.cumsum(falling_hz) / SAMPLE_RATE_HZ)


def hi_hat() -> np.ndarray:
    t = clock_s(0.06)
    noise = np.random.default_rng(SEED).normal(0, 1, len(t))
    return 0.07 * np.exp(-t / 0.015) * np.diff(noise, prepend=0)


def note(midi: int, duration_s: float, level: float) -> np.ndarray:
    """A soft plucked tone of four harmonics."""
    t = clock_s(duration_s)
    pitch_hz = 440 * 2 ** ((midi - 69) / 12)
    tone = sum(np.sin(2 * np.pi * k * pitch_hz * t) / k**1.6 for k in range(1, 5))
    attack_and_release = np.minimum(1, np.minimum(t, duration_s - t) / 0.01)
    return level * attack_and_release * np.exp(-t / (0.7 * duration_s)) * tone


def make_music() -> np.ndarray:
    """Mono float64 from 0 s to MUSIC_END_S: kick on each beat, hi-hat between beats, bass, chord and arpeggio."""
    track = np.zeros(round(MUSIC_END_S * SAMPLE_RATE_HZ))
    for bar, name in enumerate(BARS):
        for midi in CHORDS[name]:
            mix_at(track, note(midi, BAR_S, 0.07), bar * BAR_S)
    for beat in range(round(MUSIC_END_S / BEAT_S)):
        chord = CHORDS[BARS[beat // 4]]
        start_s = beat * BEAT_S
        mix_at(track, kick(), start_s)
        mix_at(track, hi_hat(), start_s + BEAT_S / 2)
        mix_at(track, note(chord[0] - 12, BEAT_S, 0.16), start_s)
        for half, step in enumerate((2 * beat, 2 * beat + 1)):
            mix_at(track, note(chord[step % 3] + 12, BEAT_S / 2, 0.08), start_s + half * BEAT_S / 2)
    track *= np.minimum(1, (len(track) - np.arange(len(track))) / (0.01 * SAMPLE_RATE_HZ))
    return track


def speak(utterance: Utterance) -> np.ndarray:
    """The utterance by espeak-ng, mono float64 with peak 0.8, cut to where it exceeds 2 % of its peak."""
    import av
    import soxr

    program = shutil.which("espeak-ng")
    if program is None:
        raise SystemExit("espeak-ng is not installed: the spoken sentences need it (Debian: apt-get install espeak-ng)")
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        options = ["-v", utterance.voice, "-s", str(SPEECH_RATE_WPM), "-w", str(wav)]
        subprocess.run([program, *options, utterance.text], check=True)
        with av.open(str(wav)) as container:
            rate_hz = container.streams.audio[0].rate
            pcm = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    voice = soxr.resample(pcm / 32768, rate_hz, SAMPLE_RATE_HZ)
    peak = np.abs(voice).max()
    audible = np.flatnonzero(np.abs(voice) > 0.02 * peak)
    return 0.8 / peak * voice[audible[0] : audible[-1] + 1]


def make_sound() -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The clip's sound, mono float32 of exactly its length, and the start and end of each utterance in seconds."""
    track = np.zeros(FRAMES * SAMPLES_PER_FRAME)
    mix_at(track, make_music(), 0.0)
    voices = [speak(utterance) for utterance in UTTERANCES]
    spans = [(u.start_s, u.start_s + len(v) / SAMPLE_RATE_HZ) for u, v in zip(UTTERANCES, voices, strict=True)]
    t = clock_s(FRAMES / FPS)
    for start_s, end_s in spans:
        away_s = np.maximum(0, np.maximum(start_s - t, t - end_s))
        track *= 10 ** (DUCKING_DB / 20 * np.clip(1 - away_s / DUCKING_RAMP_S, 0, 1))
    for utterance, voice in zip(UTTERANCES, voices, strict=True):
        mix_at(track, voice, utterance.start_s)
    return (0.89 / np.abs(track).max() * track).astype(np.float32), spans


def camera_truth() -> Iterator[dict]:
    """How the camera moves, over the times at which one shot is seen alone."""
    for number, shot in enumerate(SHOTS):
        start = max([shot.start_frame, *(s.end_frame for s in SHOTS[:number])])
        end = min([shot.end_frame, *(s.start_frame for s in SHOTS[number + 1 :])])
        span = {"start_s": seconds(start), "end_s": seconds(end)}
        if shot.pan_px_per_frame:
            yield span | {
                "motion": "pan_right",
                "speed_px_per_frame": shot.pan_px_per_frame,
                "speed_frame_widths_per_s": shot.pan_px_per_frame * FPS / WIDTH_PX,
                "picture_moves": "left",
            }
        elif shot.zoom_log_per_s:
            yield span | {
                "motion": "zoom_in",
                "log_scale_per_s": shot.zoom_log_per_s,
                "scale_factor_per_s": round(math.exp(shot.zoom_log_per_s), 4),
                "centre": [0.5, 0.5],
            }
        else:
            yield span | {"motion": "static", "noise_sd_before_encoding": SENSOR_NOISE_SD}


def face_truth() -> Iterator[dict]:
    for shot in SHOTS:
        if shot.face_px is None:
            continue
        left, top, right, bottom = shot.window(shot.start_frame)
        box = [
            (value - (top if row else left)) / ((bottom - top) if row else (right - left))
            for value, row in zip(shot.face_px, (0, 1, 0, 1), strict=True)
        ]
        yield {
            "start_s": seconds(shot.start_frame),
            "end_s": seconds(shot.end_frame),
            "person": "Eileen Collins",
            "box": [round(value, 3) for value in box],
        }


def text_truth(caption: Caption) -> dict:
    left, top, right, bottom = caption_image(caption).getbbox()
    return {
        "start_s": seconds(caption.start_frame),
        "end_s": seconds(caption.end_frame),
        "text": " ".join(caption.lines),
        "lines": list(caption.lines),
        "language": caption.language,
        "box": [round(v, 3) for v in (left / WIDTH_PX, top / HEIGHT_PX, right / WIDTH_PX, bottom / HEIGHT_PX)],
    }


def seconds(frame: int) -> float:
    return round(frame / FPS, 6)


def make_truth(speech_spans: list[tuple[float, float]]) -> dict:
    """All that is known of the clip. Times in seconds, half-open; boxes xyxy in fractions of the frame."""
    joints = list(pairwise(SHOTS))
    cut_frames = [b.start_frame for a, b in joints if a.end_frame == b.start_frame]
    dissolves = [(b.start_frame, a.end_frame) for a, b in joints if b.start_frame < a.end_frame]
    cameras = list(camera_truth())
    return {
        "file": "sample.mp4",
        "width": WIDTH_PX,
        "height": HEIGHT_PX,
        "fps": FPS,
        "frames": FRAMES,
        "duration_s": FRAMES / FPS,
        "shots": [
            {
                "start_s": seconds(shot.start_frame),
                "end_s": seconds(shot.end_frame),
                "kind": "person" if shot.face_px else "no_person",
                "picture": shot.picture,
                "camera": camera["motion"],
            }
            for shot, camera in zip(SHOTS, cameras, strict=True)
        ],
        "cuts_s": [seconds(frame) for frame in cut_frames],
        "cut_frames": cut_frames,
        "dissolves_s": [[seconds(start), seconds(end)] for start, end in dissolves],
        "camera": cameras,
        "text": [text_truth(caption) for caption in CAPTIONS],
        "faces": list(face_truth()),
        "speech": [
            {"start_s": round(start_s, 3), "end_s": round(end_s, 3), "language": u.language, "text": u.text}
            for u, (start_s, end_s) in zip(UTTERANCES, speech_spans, strict=True)
        ],
        "music": {"tempo_bpm": TEMPO_BPM, "key": "A minor", "start_s": 0.0, "end_s": MUSIC_END_S, "first_beat_s": 0.0},
        "silence_s": [[MUSIC_END_S, FRAMES / FPS]],
    }


def encode_clip(sound: np.ndarray, path: Path) -> None:
    """Writes H.264 and AAC into an MP4 that starts to play before it is wholly loaded."""
    import av

    # The matrix is the one that PyAV converts RGB with. One thread and SSE2 code make two runs give the same bytes;
    # left to itself, the x264 of PyAV 18 gave other bytes at each run on a processor with AVX-512.
    x264 = "asm=SSE2:colormatrix=smpte170m:colorprim=smpte170m:transfer=smpte170m"
    options = {"crf": "24", "preset": "slow", "threads": "1", "x264-params": x264}
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="stereo", bit_rate=128_000)
        for frame in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_ndarray(compose_frame(frame), format="rgb24")))
            start = frame * SAMPLES_PER_FRAME
            mono = sound[start : start + SAMPLES_PER_FRAME]
            samples = av.AudioFrame.from_ndarray(np.stack([mono, mono]), format="fltp", layout="stereo")
            samples.sample_rate, samples.pts = SAMPLE_RATE_HZ, start
            container.mux(audio.encode(samples))
        container.mux(video.encode())
        container.mux(audio.encode())


def check_clip(path: Path) -> None:
    """Raises RuntimeError where the written clip is not the one that was asked for."""
    import av

    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
        duration_s = container.duration / av.time_base
    if frames != FRAMES or abs(duration_s - FRAMES / FPS) > 0.05 or path.stat().st_size > MAX_BYTES:
        raise RuntimeError(f"bad clip: {frames} frames, {duration_s:.3f} s, {path.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write into")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    sound, speech_spans = make_sound()
    clip, truth = out / "sample.mp4.part", out / "sample.truth.json.part"
    encode_clip(sound, clip)
    check_clip(clip)
    truth.write_text(json.dumps(make_truth(speech_spans), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(clip, clip.with_suffix(""))
    os.replace(truth, truth.with_suffix(""))


if __name__ == "__main__":
    main()
