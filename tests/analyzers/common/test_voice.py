"""Voice regions: the rules on made-up probabilities, then known recordings."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from analyzers.clip import AUDIO_HZ
from analyzers.common import voice
from analyzers.common.voice import FRAME, FRAME_S, PAD_S, find_voice_regions, voice_probability
from tests.analyzers.sound import tones
from tests.known import NOT_SPOKEN
from tests.media import sample_clip, sample_truth, shared_clip, shared_truth

LENGTH_S = 100 * FRAME_S


def probabilities(*stretches: tuple[int, int, float]) -> np.ndarray:
    found = np.zeros(100, np.float32)
    for first, end, value in stretches:
        found[first:end] = value
    return found


def in_frames(probability: np.ndarray) -> list[tuple[float, float]]:
    regions = find_voice_regions(probability, LENGTH_S)
    return [((r.start_s + PAD_S) / FRAME_S, (r.end_s - PAD_S) / FRAME_S) for r in regions]


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (probabilities((20, 60, 0.9)), [(20, 60)]),
        (probabilities((20, 40, 0.9), (42, 60, 0.9)), [(20, 60)]),
        (probabilities((20, 40, 0.9), (46, 60, 0.9)), [(20, 40), (46, 60)]),
        (probabilities((20, 40, 0.9), (40, 50, 0.4)), [(20, 50)]),
        (probabilities((20, 50, 0.4)), []),
        (probabilities((20, 26, 0.9)), []),
        (probabilities((20, 21, 0.9), (21, 60, 0.4)), []),
    ],
    ids=["plain", "short gap", "long gap", "fades out", "never sure", "too short", "doubtful throughout"],
)
def test_rules_for_regions(probability: np.ndarray, expected: list[tuple[float, float]]) -> None:
    found = in_frames(probability)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a == pytest.approx(b)


def test_padding_stays_inside_the_sound() -> None:
    (region,) = find_voice_regions(np.ones(100, np.float32), LENGTH_S)
    assert (region.start_s, region.end_s) == (0.0, LENGTH_S)


def test_one_probability_a_frame_and_none_without_sound() -> None:
    assert len(voice_probability(np.zeros(3 * FRAME + 1, np.float32))) == 4
    assert len(voice_probability(np.zeros(0, np.float32))) == 0


def test_blocks_hand_the_state_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.asarray(sample_clip().audio)
    whole = voice_probability(sound)
    monkeypatch.setattr(voice, "FRAMES_AT_ONCE", 50)
    assert np.abs(voice_probability(sound) - whole).max() < 1e-4


@pytest.mark.parametrize(
    "sound",
    [tones.silence(5), tones.noise(5), tones.drums(120, 5), tones.sine(440, 5), tones.chord(tones.A_MINOR, 5)],
    ids=["silence", "noise", "drums", "tone", "chord"],
)
def test_no_voice_in_sounds_without_one(sound: np.ndarray) -> None:
    assert find_voice_regions(voice_probability(sound), 5.0) == []


def regions_of(audio: np.ndarray) -> list[voice.VoiceRegion]:
    return find_voice_regions(voice_probability(audio), len(audio) / AUDIO_HZ)


@pytest.mark.parametrize("cut_off_s", [0.15, 0.3, 0.45, 0.6, 0.75])
def test_a_clip_that_begins_in_mid_word_speaks_from_the_start(cut_off_s: float) -> None:
    audio = np.asarray(shared_clip("audio/jfk.flac").audio)
    for region in regions_of(audio):
        begin_s = region.start_s + cut_off_s
        if begin_s + 0.5 < region.end_s:
            assert regions_of(audio[round(begin_s * AUDIO_HZ) :])[0].start_s <= 0.1


@pytest.mark.parametrize("file", ["audio/rain.mp3", "video/big_buck_bunny_0_30.webm"])
def test_three_seconds_out_of_what_does_not_speak_do_not_either(file: str) -> None:
    audio = np.asarray(shared_clip(file).audio)
    spoken_at_s = [i for i in range(27) if regions_of(audio[i * AUDIO_HZ : (i + 3) * AUDIO_HZ])]
    assert spoken_at_s == []


@pytest.mark.parametrize("length_s", [0.05, 0.5, 3.0])
def test_what_is_heard_before_the_start_moves_nothing(length_s: float) -> None:
    speech = np.asarray(sample_clip().audio)
    start = round((sample_truth()["speech"][0]["start_s"] - length_s) * AUDIO_HZ)
    sound = np.concatenate([tones.silence(length_s), speech[start + round(length_s * AUDIO_HZ) :]])
    assert len(voice_probability(sound)) == -(-len(sound) // FRAME)
    assert regions_of(sound)[0].start_s == pytest.approx(length_s, abs=0.15)


def test_the_sample_speaks_where_its_truth_says() -> None:
    audio = np.asarray(sample_clip().audio)
    found = find_voice_regions(voice_probability(audio), len(audio) / AUDIO_HZ)
    known = sample_truth()["speech"]
    assert len(found) == len(known)
    for region, truth in zip(found, known, strict=True):
        assert region.start_s == pytest.approx(truth["start_s"], abs=0.2)
        assert region.end_s == pytest.approx(truth["end_s"], abs=0.2)
        assert region.probability > 0.8


@pytest.mark.parametrize(
    ("file", "least_share"),
    [
        ("audio/jfk.flac", 0.65),
        ("audio/leopard_de.wav", 0.7),
        ("audio/leopard_en.wav", 0.8),
        ("audio/multilingual_en_de.mp3", 0.8),
        ("audio/whatstheweatherlike.wav", 0.5),
        ("video/nasa_13013.mp4", 0.8),
        ("video/friday.mp4", 0.8),
        ("video/grid_bbaf2n.mpg", 0.38),
        ("video/grid_lbbc2a.mpg", 0.5),
    ],
)
def test_known_speech_is_covered(file: str, least_share: float) -> None:
    audio = np.asarray(shared_clip(file).audio)
    found = find_voice_regions(voice_probability(audio), len(audio) / AUDIO_HZ)
    assert sum(r.end_s - r.start_s for r in found) / (len(audio) / AUDIO_HZ) >= least_share


@pytest.mark.parametrize("file", ["video/friday.mp4", "video/nasa_13013.mp4"])
def test_each_line_with_times_is_heard_for_most_of_them(file: str) -> None:
    clip = shared_clip(file)
    found = regions_of(np.asarray(clip.audio))
    for start_s, end_s, words in shared_truth(file)["transcript_segments"]:
        if not words.startswith(NOT_SPOKEN.get(file, "\n")):
            end_s = min(end_s, clip.duration_s)
            heard_s = sum(max(0.0, min(r.end_s, end_s) - max(r.start_s, start_s)) for r in found)
            assert heard_s >= 0.7 * (end_s - start_s), words


def changes_db(audio: np.ndarray, start_s: float, end_s: float) -> tuple[float, float]:
    """Mean change of the spectrum (125 Hz to 4.4 kHz) from one 25 ms to the next, and mean level, in dB."""
    part = audio[round(start_s * AUDIO_HZ) : round(end_s * AUDIO_HZ)]
    frames = np.lib.stride_tricks.sliding_window_view(part, 800)[::400]
    spectra = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(800)))[:, 6:220] + 1e-3)
    level = 20 * np.log10(np.sqrt((frames**2).mean(axis=1)))
    return float(np.abs(np.diff(spectra, axis=0)).mean()), float(level.mean())


def test_the_line_that_is_not_spoken_is_held_notes() -> None:
    (name,) = NOT_SPOKEN
    audio = np.asarray(shared_clip(name).audio)
    pauses = [changes_db(audio, *stretch) for stretch in ((0.05, 0.6), (4.83, 5.12), (8.25, 8.5))]
    speech = [changes_db(audio, *stretch) for stretch in ((0.7, 4.8), (5.2, 8.2), (8.6, 12.1))]
    change_db, level_db = changes_db(audio, 12.25, 13.0)
    assert change_db < max(c for c, _ in pauses) + 0.3 < min(c for c, _ in speech) - 1.0
    assert level_db < max(level for _, level in pauses) + 1 < min(level for _, level in speech) - 6


@pytest.mark.parametrize(
    "file",
    [
        "audio/rain.mp3",
        "video/WolfgangLanger_Pexels.mp4",
        "video/face_noface.mov",
        "video/big_buck_bunny_0_30.webm",
        "video/awesome_movie.mov",
        "video/hdr10-av1.mp4",
        "video/smpte-2997.mp4",
        "video/audio_only_silent_15s.mp4",
    ],
)
def test_no_speech_where_there_is_none(file: str) -> None:
    audio = np.asarray(shared_clip(file).audio)
    assert find_voice_regions(voice_probability(audio), len(audio) / AUDIO_HZ) == []


def test_the_model_runs_without_torch() -> None:
    code = (
        "import sys, numpy; from analyzers.common.voice import voice_probability;"
        "voice_probability(numpy.zeros(16000, 'float32')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
