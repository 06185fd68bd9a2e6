"""Changed copies for the held-out check of bench/accuracy.py: picture, sound and truth must change alike."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.clip import AUDIO_HZ
from bench.changed_media import CHANGES, changed_sound, changed_truth, write_changed
from tests.analyzers.sound import tones
from tests.media import open_clip, still, synthetic_clip

BY_NAME = {change.name: change for change in CHANGES}
LEFT_RED = np.zeros((96, 128, 3), np.uint8)
LEFT_RED[:, :64, 0] = 220
TRUTH = {
    "camera": "pan right, handheld",
    "cuts_s": [1.12],
    "dissolves_s": [[2.24, 3.36]],
    "faces": [{"t": [0, 1.12], "n": 1}],
    "visible_text": [{"text": "Hello", "t": [0, 2.24]}],
    "transcript_segments": [[0.56, 1.12, "Hello"]],
}


@pytest.mark.parametrize(
    ("name", "size", "red_left", "duration_s"),
    [("mirrored", (96, 128), False, 2.24), ("small", (48, 64), True, 2.24), ("fast", (96, 128), True, 2.0)],
)
def test_pictures(tmp_path, name, size, red_left, duration_s):
    source = synthetic_clip([*still(LEFT_RED, 1.12, 25), *still(LEFT_RED // 2, 1.12, 25)], 25, tones.sine(440, 2.24))
    copy = open_clip(write_changed(source, tmp_path / "copy.mp4", BY_NAME[name]))
    assert copy.duration_s == pytest.approx(duration_s, abs=0.1)
    assert (copy.height, copy.width) == size
    reds = copy.thumbs[..., 0].astype(int)
    left, right = reds[:, :, : reds.shape[2] // 4].mean((1, 2)), reds[:, :, -reds.shape[2] // 4 :].mean((1, 2))
    assert ((left > right) == red_left).all()
    darker = int(np.argmax(np.maximum(left, right) < 160))
    assert copy.times_s[darker] == pytest.approx(duration_s / 2, abs=0.05)


def test_only_sound_is_written_where_only_sound_changes(tmp_path):
    source = synthetic_clip(still(LEFT_RED, 1, 25), 25, tones.sine(440, 1.0))
    assert not open_clip(write_changed(source, tmp_path / "copy.mp4", BY_NAME["quiet"])).has_video


def test_sound():
    tone = tones.sine(440, 2.0)[: 2 * AUDIO_HZ]
    fast, quiet = (changed_sound(tone, BY_NAME[name]) for name in ("fast", "quiet"))
    assert len(fast) == pytest.approx(len(tone) / 1.12, abs=2)
    peak_hz = np.argmax(np.abs(np.fft.rfft(fast[:AUDIO_HZ])))
    assert peak_hz == pytest.approx(440 * 1.12, abs=2)
    gain_db = 20 * np.log10(quiet.std() / tone.std())
    assert gain_db == pytest.approx(-12, abs=0.2)
    assert 20 * np.log10(changed_sound(np.zeros(AUDIO_HZ, np.float32), BY_NAME["quiet"]).std()) == pytest.approx(
        -60, abs=0.5
    )


def test_truth_of_mirrored():
    truth = changed_truth(TRUTH, BY_NAME["mirrored"])
    assert truth["camera"] == "pan left, handheld"
    assert "visible_text" not in truth
    assert truth["cuts_s"] == [1.12]
    assert changed_truth({"visible_text": []}, BY_NAME["mirrored"]) == {"visible_text": []}


def test_truth_of_fast():
    truth = changed_truth(TRUTH, BY_NAME["fast"])
    assert truth["camera"] == TRUTH["camera"]
    assert truth["cuts_s"] == pytest.approx([1.0])
    assert truth["dissolves_s"][0] == pytest.approx([2.0, 3.0])
    assert truth["faces"][0]["t"] == pytest.approx([0, 1.0])
    assert truth["visible_text"][0]["t"] == pytest.approx([0, 2.0])
    assert truth["transcript_segments"][0][:2] == pytest.approx([0.5, 1.0])
    assert changed_truth({"faces": 5, "lines": ["8055"]}, BY_NAME["fast"]) == {"faces": 5, "lines": ["8055"]}
