"""Expression cues: measures written by hand with known cues, then people who smile at known times."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.common.face_mesh import MEASURES
from analyzers.contract import Analysis
from analyzers.people.face_emotion import FaceEmotion
from tests.analyzers.people.pictures import face_on_wall, shared_picture
from tests.media import run_analyzer, shared_clip, shared_truth, still, synthetic_clip

AT_REST = {
    "face_px": 200.0,
    "eye_px": 30.0,
    "eye_openness": 0.3,
    "mouth_open": 0.02,
    "mouth_width": 0.56,
    "brow_height": 0.3,
}


def cues(seconds: float = 4.0, hz: float = 15.0, between: tuple[float, float] = (1.0, 2.0), **changed: float):
    """What is said of a face at rest that changes between two times; (label, start_s, end_s) and the analysis."""
    times_s = np.arange(0, seconds, 1 / hz)
    mesh = np.zeros((len(times_s), len(MEASURES)), np.float32)
    inside = (times_s >= between[0]) & (times_s < between[1])
    for name, value in AT_REST.items():
        mesh[:, MEASURES.index(name)] = value
    for name, value in changed.items():
        mesh[inside, MEASURES.index(name)] = value
    eyes = Analysis.nothing("drawn", tracks={"mesh": mesh, "mesh_times_s": times_s})
    clip = synthetic_clip(still(np.zeros((16, 16, 3), np.uint8), seconds, fps=10), fps=10)
    analyzer = FaceEmotion()
    analyzer.load()
    found = analyzer.analyze(clip, {"eye_tracking": eyes})
    return [(s.label, round(s.start_s, 1), round(s.end_s, 1)) for s in found.segments], found


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        pytest.param({"mouth_width": 0.72, "mouth_open": 0.15}, "smile", id="smile with teeth"),
        pytest.param({"mouth_width": 0.76}, "smile", id="broad smile"),
        pytest.param({"mouth_width": 0.67}, None, id="lips pressed"),
        pytest.param({"mouth_width": 0.72}, None, id="lips pressed hard"),
        pytest.param({"mouth_open": 0.35}, "mouth_open", id="open mouth"),
        pytest.param({"mouth_open": 0.15}, None, id="a vowel"),
        pytest.param({"brow_height": 0.36}, "brow_raise", id="raised brows"),
        pytest.param({"brow_height": 0.32}, None, id="hardly raised brows"),
        pytest.param({"eye_openness": 0.05}, "eyes_closed", id="closed eyes"),
    ],
)
def test_cues_between_one_and_two_seconds(changed, label):
    said, found = cues(**changed)
    rest = ("neutral", 0.0, 4.0)
    assert said == ([("neutral", 0.0, 1.0), (label, 1.0, 2.0), ("neutral", 2.0, 4.0)] if label else [rest])
    shares = {name: share for name, share in found.summary.items() if name.endswith("_share")}
    assert shares == {
        f"{cue}_share": 0.25 if cue == label else 0.0 for cue in ("smile", "mouth_open", "brow_raise", "eyes_closed")
    }


def test_cues_overlap():
    said, _ = cues(mouth_width=0.75, mouth_open=0.2, eye_openness=0.05)
    assert ("smile", 1.0, 2.0) in said
    assert ("eyes_closed", 1.0, 2.0) in said


def test_a_blink_is_not_closed_eyes():
    assert cues(between=(1.0, 1.3), eye_openness=0.05)[0] == [("neutral", 0.0, 4.0)]


def test_what_cannot_be_judged_is_null():
    _, found = cues(between=(0.0, 4.0), face_px=60.0, eye_px=10.0)
    assert found.summary["brow_raise_share"] is found.summary["eyes_closed_share"] is None
    assert found.summary["smile_share"] == 0.0
    assert found.segments[0].data["openness"] is found.segments[0].data["brow_height_ratio"] is None


def test_tiny_faces_are_not_judged():
    said, found = cues(between=(0.0, 4.0), face_px=40.0)
    assert not said
    assert found.reason == "no face is 48 px high or more"


def test_no_face():
    found = run_analyzer("face_emotion", synthetic_clip(still(face_on_wall(left_px=900), 1))).analysis
    assert found.reason == "no face was found"


def test_smiling_portraits():
    for picture in (shared_picture("man_portrait.png"), face_on_wall()):
        found = run_analyzer("face_emotion", synthetic_clip(still(picture, 1.0))).analysis
        assert [s.label for s in found.segments] == ["smile"]


def test_crying_then_laughing_woman():
    found = run_analyzer("face_emotion", shared_clip("video/WolfgangLanger_Pexels.mp4")).analysis
    sad, happy = (e["t"] for e in shared_truth("video/WolfgangLanger_Pexels.mp4")["emotion"])
    smiles = [s for s in found.segments if s.label == "smile"]
    assert smiles[0].start_s == pytest.approx(happy[0], abs=0.3)
    assert not [s for s in smiles if s.start_s < sad[1]]
    assert sum(s.end_s - s.start_s for s in smiles) > 0.85 * (happy[1] - happy[0])


def test_neutral_then_smiling_man():
    found = run_analyzer("face_emotion", shared_clip("video/face_noface.mov")).analysis
    assert [s.label for s in found.segments] == ["neutral", "smile"]
    assert found.segments[1].start_s == pytest.approx(0.7, abs=0.15)
    assert found.segments[1].end_s == pytest.approx(2.4, abs=0.1)


@pytest.mark.parametrize("name", ["grid_bbaf2n.mpg", "grid_lbbc2a.mpg", "awesome_movie.mov", "asl_walk.mkv"])
def test_speaking_is_no_smile(name):
    found = run_analyzer("face_emotion", shared_clip(f"video/{name}")).analysis
    assert {s.label for s in found.segments} == {"neutral"}
