"""The store: safe names, atomic writes, what exists told by names alone."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from analyzers.contract import Analysis, Failure, Outcome, Segment
from tests.media import still, synthetic_clip, texture
from tiktok_assets.store import Store, folder_name, inputs_digest, write_json, written_atomically

HOSTILE = {
    "plain": "tiktok-7234567890123456789",
    "path": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "dots": "..",
    "dot": ".hidden",
    "windows": "C:\\video",
    "reserved": "con",
    "unicode": "Küche – 日本語 🎬",
    "only unicode": "日本語",
    "upper case": "youtube-dQw4w9WgXcQ",
    "lower case": "youtube-dqw4w9wgxcq",
    "empty": "",
    "long": "a" * 300,
    "longer": "a" * 301,
    "newline": "a\nb",
    "null": "a\0b",
    "surrogate": "a\ud800b",
    "right to left": "\u202egpj.exe",
    "url": "https://example.org/video.mp4?x=1&y=../..",
}


@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_key_gives_a_safe_folder(key, tmp_path):
    name = folder_name(key)
    assert name == name.lower()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert 0 < len(name) <= 100
    store = Store(tmp_path)
    store.video(key).register("somewhere")
    assert store.video(key).path.parent == tmp_path / "videos"
    assert store.video(key).source == "somewhere"


def test_different_keys_give_different_folders():
    names = [folder_name(key) for key in HOSTILE.values()]
    assert len({n.casefold() for n in names}) == len(names)
    assert folder_name("tiktok-1") == "tiktok-1"


def _outcome(status="ok", **values):
    found = Analysis(
        segments=(Segment(0.5, 1.25, "cut", 0.9, (0.1, 0.2, 0.3, 0.4), {"score": 3.5, "text": "Grüße"}),),
        summary={"cuts": 1},
        backend="test 1.0",
        coverage=0.5,
        tracks={"score": np.arange(5, dtype=np.float32)},
    )
    return Outcome(status, 0.25, analysis=found, **values)


def test_an_outcome_comes_back_as_it_was_written(tmp_path):
    video = Store(tmp_path).video("v")
    video.write("cut_analysis", "1.2-abc", _outcome(), run_id="r1")
    back = video.outcome("cut_analysis")
    assert back.analysis.segments == _outcome().analysis.segments
    assert back.analysis.summary == {"cuts": 1}
    assert back.analysis.coverage == 0.5
    assert back.analysis.tracks["score"].tolist() == [0, 1, 2, 3, 4]
    assert video.read_record(video.stored()["cut_analysis"])["run_id"] == "r1"
    failed = Outcome("failed", 1.0, "it broke", failure=Failure("ValueError", "it broke", False))
    video.write("color_analysis", "1", failed)
    assert video.outcome("color_analysis") == failed


def test_a_new_outcome_replaces_the_old_one_whatever_its_version_and_status(tmp_path):
    video = Store(tmp_path).video("v")
    video.write("cut_analysis", "1-a", _outcome())
    video.write("cut_analysis", "2-b", Outcome("failed", 0.1, "no"))
    stored = video.stored()["cut_analysis"]
    assert (stored.version, stored.status) == ("2-b", "failed")
    assert [p.name for p in stored.path.parent.iterdir()] == [f"cut_analysis@2-b@none@{stored.digest}@failed.json"]


def test_what_exists_is_told_without_opening_files(tmp_path):
    video = Store(tmp_path).video("v")
    video.write("cut_analysis", "1-a", _outcome())
    video.write("audio_analysis", "1-a", Outcome("no_signal", 0.1, "no audio track"))
    for path in (video.path / "outcomes").iterdir():
        path.write_text("not json")
    assert {k: s.status for k, s in video.stored().items()} == {"audio_analysis": "no_signal", "cut_analysis": "ok"}


def test_equal_results_have_equal_digests_however_long_they_took(tmp_path):
    video = Store(tmp_path).video("v")
    first = video.write("cut_analysis", "1", _outcome())
    again = video.write("cut_analysis", "2", dataclasses.replace(_outcome(), seconds=9.0))
    assert first.digest == again.digest
    other_tracks = dataclasses.replace(_outcome().analysis, tracks={"score": np.zeros(5, np.float32)})
    other = video.write("cut_analysis", "2", dataclasses.replace(_outcome(), analysis=other_tracks))
    assert other.digest != first.digest


def test_the_digest_of_inputs_changes_when_one_changes_appears_or_fails(tmp_path):
    video = Store(tmp_path).video("v")
    nothing = inputs_digest(video.stored(), ["cut_analysis"])
    video.write("cut_analysis", "1", _outcome())
    there = inputs_digest(video.stored(), ["cut_analysis"])
    video.write("cut_analysis", "2", _outcome())
    assert inputs_digest(video.stored(), ["cut_analysis"]) == there != nothing
    video.write("cut_analysis", "2", Outcome("failed", 0.1, "one reason"))
    assert inputs_digest(video.stored(), ["cut_analysis"]) == nothing
    one = inputs_digest(video.stored(), ["cut_analysis"], failures_too=True)
    video.write("cut_analysis", "2", Outcome("failed", 0.1, "another reason"))
    assert inputs_digest(video.stored(), ["cut_analysis"], failures_too=True) != one


def test_of_two_files_left_by_a_killed_writer_the_newer_counts(tmp_path):
    video = Store(tmp_path).video("v")
    new = video.write("cut_analysis", "2", Outcome("no_signal", 0.1, "nothing")).path
    old = new.with_name("cut_analysis@1@none@00000000@ok.json")
    old.write_text("{}")
    os.utime(old, (1, 1))
    assert video.stored()["cut_analysis"].version == "2"


def test_a_failing_writer_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "report.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "report.json"
    write_json(path, {"a": 1})
    program = (
        "import os, signal, sys; from pathlib import Path; from tiktok_assets.store import written_atomically\n"
        "with written_atomically(Path(sys.argv[1])) as f:\n"
        "    f.write('half'); f.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert json.loads(path.read_text()) == {"a": 1}
    with written_atomically(path) as file:
        file.write("{}")
    assert path.read_text() == "{}"


def test_decoded_arrays_are_made_again_when_they_are_gone_or_the_file_has_changed(tmp_path):
    video = Store(tmp_path).video("v")
    video.path.mkdir(parents=True)
    source = synthetic_clip(still(texture(120, 80), 0.5)).file
    (video.path / "video.mp4").write_bytes(source.read_bytes())
    assert video.clip().manifest["video"]["pictures"] == 15
    made = (video.media / "luma.npy").stat().st_ino
    video.clip()
    assert (video.media / "luma.npy").stat().st_ino == made
    (video.media / "manifest.json").unlink()
    assert video.clip().luma.shape[0] == 15
    longer = synthetic_clip(still(texture(120, 80), 1.0)).file
    (video.path / "video.mp4").write_bytes(longer.read_bytes())
    assert video.clip().manifest["video"]["pictures"] == 30


def test_decoded_arrays_lie_in_a_folder_of_the_machine_where_it_has_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TIKTOK_ASSETS_CACHE", str(tmp_path / "cache"))
    video = Store.from_environment().video("v")
    video.path.mkdir(parents=True)
    (video.path / "video.mp4").write_bytes(synthetic_clip(still(texture(120, 80), 0.5)).file.read_bytes())
    assert len(video.clip().luma) == 15
    assert [path.name for path in video.path.iterdir()] == ["video.mp4"]
    assert video.media == tmp_path / "cache" / "v"
    monkeypatch.setenv("TIKTOK_ASSETS_CACHE", str(tmp_path / "cache of another machine"))
    elsewhere = Store.from_environment().video("v")
    assert len(elsewhere.clip().luma) == 15
    assert elsewhere.media != video.media


def test_a_key_that_is_a_url_is_its_own_source(tmp_path):
    store = Store(tmp_path)
    assert store.video("https://example.org/v.mp4").source == "https://example.org/v.mp4"
    assert store.video("unknown").source is None
