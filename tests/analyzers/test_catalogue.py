"""What every analyzer of the catalogue keeps to, whatever it measures; a new one is checked as soon as it is listed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest

from analyzers.catalogue import CATALOGUE, analyzer_class, run_order, with_upstream
from analyzers.clip import Clip
from analyzers.contract import LANES, Outcome
from analyzers.errors import UnknownAnalyzer
from analyzers.run import examine
from tests.media import REPOSITORY, sample_clip, synthetic_clip, texture

NAMES = tuple(CATALOGUE)
HEAVY = ("torch", "dagster", "mediapipe", "cv2", "librosa", "onnxruntime", "av", "scipy", "scenedetect", "yt_dlp")
"""What importing an analyzer must not pull in: the Dagster code server imports them all at its start."""
SOURCES = r"(?:19|20)\d\d|mediapipe|OpenCV|PySceneDetect|librosa|silero|PaddleOCR|YOLO|RANSAC|no model|\brules?\b"
SOUND_HZ = 16_000


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, round(seconds * SOUND_HZ)).astype(np.float32)


def tune(seconds: float) -> np.ndarray:
    """A 220 Hz tone struck twice a second."""
    t = np.arange(round(seconds * SOUND_HZ)) / SOUND_HZ
    return (0.3 * np.sin(2 * np.pi * 220 * t) * np.exp(-(t % 0.5) / 0.1)).astype(np.float32)


def moving(seconds: float, fps: float, height: int, width: int) -> Iterator[np.ndarray]:
    count = max(1, round(seconds * fps))
    wide = texture(height, width + 2 * count)
    return (wide[:, 2 * i : 2 * i + width] for i in range(count))


def clip_of(height: int, width: int, seconds: float = 1.0, fps: float = 10.0, sound: np.ndarray | None = None) -> Clip:
    return synthetic_clip(moving(seconds, fps, height, width), fps, sound, sound_hz=SOUND_HZ)


def everything() -> Clip:
    """2.4 s of the sample with a cut, a face, written text, speech and music, at a third of its size."""
    sample, start_s, end_s = sample_clip(), 3.0, 5.4
    pictures = [p for t, p in sample.pictures(15.0, 512, end_s=end_s) if t >= start_s]
    sound = np.array(sample.audio[round(start_s * SOUND_HZ) : round(end_s * SOUND_HZ)])
    return synthetic_clip(pictures, 15.0, sound, sound_hz=SOUND_HZ)


CLIPS: dict[str, Callable[[], Clip]] = {
    "everything": everything,
    "black": lambda: synthetic_clip([np.zeros((96, 54, 3), np.uint8)] * 15, 15.0, tune(1), sound_hz=SOUND_HZ),
    "silent": lambda: clip_of(96, 54, sound=np.zeros(SOUND_HZ, np.float32)),
    "one picture": lambda: clip_of(96, 54, seconds=0.1),
    "one picture, long sound": lambda: clip_of(96, 54, seconds=0.1, sound=noise(1)),
    "1 picture a second": lambda: clip_of(96, 54, seconds=4, fps=1, sound=noise(4)),
    "120 pictures a second": lambda: clip_of(96, 54, fps=120, sound=noise(1)),
    "16:9": lambda: clip_of(180, 320, sound=noise(1)),
    "9:16": lambda: clip_of(320, 180, sound=tune(1)),
    "2 px wide": lambda: clip_of(64, 2, sound=noise(1)),
    "2 px high": lambda: clip_of(2, 64),
    "sound alone": lambda: synthetic_clip(None, sound=tune(1.5), sound_hz=SOUND_HZ),
    "no sound": lambda: clip_of(96, 54),
    "0.05 s of sound": lambda: synthetic_clip(None, sound=tune(0.05), sound_hz=SOUND_HZ),
    "3 minutes": lambda: clip_of(48, 64, seconds=180, fps=2, sound=tune(180)),
}
PICTURELESS = ("sound alone", "0.05 s of sound")


@cache
def opened(name: str) -> Clip:
    return CLIPS[name]()


@cache
def outcomes(clip_name: str) -> dict[str, Outcome]:
    """How all analyzers end on a clip, in the order in which they build on each other."""
    found: dict[str, Outcome] = {}
    for name in run_order():
        found[name] = examine(analyzer_class(name), opened(clip_name), found)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_name_is_that_of_catalogue_module_and_test(name):
    module = CATALOGUE[name].partition(":")[0]
    assert analyzer_class(name).spec.name == name == module.rpartition(".")[2]
    tests = list((REPOSITORY / "tests" / "analyzers").glob(f"*/test_{name}.py"))
    assert len(tests) == 1, f"there is no tests/analyzers/*/test_{name}.py"


@pytest.mark.parametrize("name", NAMES)
def test_constructs_with_defaults_and_does_no_work(name):
    first, second = analyzer_class(name)(), analyzer_class(name)()
    assert vars(first) == first.settings(), "__init__ does more than store settings"
    assert first.code_version() == second.code_version()
    assert json.dumps(first.settings())
    assert first.spec.lane in LANES
    assert first.spec.gives


@pytest.mark.parametrize("name", NAMES)
def test_docstring_tells_source_failures_and_what_empty_means(name):
    text = " ".join((analyzer_class(name).__doc__ or "").split())
    assert len(text) > 300
    assert re.search(r"gets wrong", text, re.IGNORECASE), "it does not say what it gets wrong"
    assert re.search(SOURCES, text), "it does not say which method, paper or library it comes from"
    assert re.search(r"empty|nothing", text, re.IGNORECASE), "it does not say what an empty result means"


@pytest.mark.parametrize("name", NAMES)
def test_what_it_builds_on_is_in_the_catalogue_and_comes_before_it(name):
    spec, order = analyzer_class(name).spec, run_order()
    for upstream in (*spec.after, *spec.uses):
        assert upstream in CATALOGUE
        assert order.index(upstream) < order.index(name)
    assert with_upstream((name,))[-1] == name


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(UnknownAnalyzer, match=NAMES[0]):
        analyzer_class("no_such_analyzer")


def test_importing_all_analyzers_pulls_in_nothing_heavy():
    script = (
        "import sys\n"
        "from analyzers.catalogue import CATALOGUE, analyzer_class\n"
        "for name in CATALOGUE: analyzer_class(name)()\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("clip_name", CLIPS)
@pytest.mark.parametrize("name", NAMES)
def test_ends_well_on_any_clip(name, clip_name):
    outcome = outcomes(clip_name)[name]
    lacking = [u for u in analyzer_class(name).spec.after if not outcomes(clip_name)[u].succeeded]
    allowed = {"upstream_missing"} if lacking else {"ok", "no_signal", "weights_missing"}
    assert outcome.status in allowed | ({"no_signal"} if clip_name in PICTURELESS else set()), outcome.reason
    assert (outcome.status == "ok") == (outcome.reason is None)
    if outcome.succeeded:
        assert outcome.analysis is not None
        assert outcome.analysis.backend
        assert bool(outcome.analysis.segments) == (outcome.status == "ok")
        assert 0.0 <= outcome.analysis.coverage <= 1.0


@pytest.mark.parametrize("clip_name", CLIPS)
@pytest.mark.parametrize("name", NAMES)
def test_result_is_plain_json_and_comes_back_equal(name, clip_name):
    outcome = outcomes(clip_name)[name]
    stored = json.dumps(outcome.to_json(), allow_nan=False)
    back = Outcome.from_json(json.loads(stored), outcome.analysis.tracks if outcome.analysis else None)
    assert back.to_json() == json.loads(stored)
    if outcome.analysis:
        assert all(isinstance(t, np.ndarray) and t.dtype.kind in "fiub" for t in outcome.analysis.tracks.values())


@pytest.mark.parametrize("name", NAMES)
def test_segments_lie_inside_the_clip_in_order(name):
    for clip_name in CLIPS:
        analysis = outcomes(clip_name)[name].analysis
        segments = analysis.segments if analysis else ()
        starts_s = [s.start_s for s in segments]
        assert starts_s == sorted(starts_s)
        assert all(0 <= s.start_s <= s.end_s <= opened(clip_name).duration_s + 1e-3 for s in segments), clip_name
        for box in [s.box for s in segments if s.box]:
            assert 0 <= box[0] < box[2] <= 1
            assert 0 <= box[1] < box[3] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_without_what_it_needs_it_says_so(name):
    for clip_name in PICTURELESS:
        needs_pictures = {"frames", "luma", "thumbs", "pictures"} & {str(n) for n in analyzer_class(name).spec.needs}
        if needs_pictures:
            assert "no video" in str(outcomes(clip_name)[name].reason)
    if "audio" in {str(n) for n in analyzer_class(name).spec.needs}:
        assert "no audio" in str(outcomes("no sound")[name].reason)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_clip_gives_the_same_result_again(name):
    first = outcomes("everything")
    again = examine(analyzer_class(name), opened("everything"), first)
    assert again.to_json() | {"seconds": 0} == first[name].to_json() | {"seconds": 0}
    if again.analysis and first[name].analysis:
        assert again.analysis.tracks.keys() == first[name].analysis.tracks.keys()
        for key, track in again.analysis.tracks.items():
            np.testing.assert_array_equal(track, first[name].analysis.tracks[key])
