"""Which pictures of a face are given to a classifier, and what is cut out of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analyzers.common.expressions import stretches
from analyzers.common.face_crops import SeenFace, best, crops, cut_square, frontality, seen_faces
from analyzers.common.face_mesh import MEASURES
from analyzers.contract import Analysis
from tests.analyzers.people.pictures import ASTRONAUT_FACE, astronaut, astronaut_close
from tests.media import synthetic_clip


def faces_at(times_s: list[float], track: int = 0) -> Analysis:
    rows = np.array([(track, *ASTRONAUT_FACE, 0.9) for _ in times_s], np.float32)
    return Analysis.nothing("drawn", tracks={"faces": rows, "faces_times_s": np.array(times_s)})


def test_the_sharpest_pictures_are_chosen():
    blurred = cv2.GaussianBlur(astronaut(), (0, 0), 6)
    clip = synthetic_clip([p for p in (blurred, astronaut(), blurred, blurred) for _ in range(8)], fps=8)
    found = seen_faces(clip, {"face_detection": faces_at(clip.frame_times_s.tolist())}, min_face_px=60)
    assert len(found) == 16
    chosen_s = [f.time_s for f in best(found, 3)]
    assert chosen_s == sorted(chosen_s)
    assert set(chosen_s) < {1.0, 1.25, 1.5, 1.75}


def test_small_faces_are_left_out():
    clip = synthetic_clip([astronaut()] * 4, fps=4)
    faces = {"face_detection": faces_at(clip.frame_times_s.tolist())}
    height_px = (ASTRONAUT_FACE[3] - ASTRONAUT_FACE[1]) * 512
    assert len(seen_faces(clip, faces, height_px - 1)) == 4
    assert seen_faces(clip, faces, height_px + 1) == []


def test_a_small_face_is_read_at_the_size_of_the_file():
    large = np.zeros((1280, 1280, 3), np.uint8)
    large[:640, :640] = astronaut_close()
    clip = synthetic_clip([large] * 4, fps=4)
    box = (0.2, 0.1, 0.3, 0.2)
    (crop,) = crops(clip, [SeenFace(0, 0.5, box, 128.0, 1.0)], side=1.5)
    assert crop.shape == (192, 192, 3)
    assert np.abs(crop.astype(int) - cut_square(large, box, 1.5)).mean() < 4
    assert crops(clip, [], side=1.5) == []


@pytest.mark.parametrize("box", [(-0.0, 0.0, 0.2, 0.2), (0.9, 0.8, 1.0, 1.0), (0.4, 0.4, 0.4, 0.4)])
def test_a_crop_is_square_also_at_the_edge(box):
    crop = cut_square(np.full((90, 40, 3), 7, np.uint8), box, 1.6)
    assert crop.shape[0] == crop.shape[1] >= 2
    assert (crop == 7).all()


def test_a_turned_head_counts_less():
    mesh = np.zeros((2, len(MEASURES)), np.float32)
    mesh[:, MEASURES.index("head_yaw_deg")] = (0, 60)
    eyes = Analysis.nothing("drawn", tracks={"mesh": mesh, "mesh_times_s": np.array([1.0, 2.0])})
    assert frontality(eyes, 0, 1.05) == pytest.approx(1.0)
    assert frontality(eyes, 0, 2.0) == pytest.approx(0.5)
    assert 0.5 < frontality(eyes, 1, 1.0) == frontality(None, 0, 1.0) < 1


def test_a_track_is_judged_in_stretches():
    times_s = [(0, t / 4) for t in range(20)] + [(1, t / 4) for t in (0, 1, 30)]
    parts = stretches([SeenFace(track, t, ASTRONAUT_FACE, 100, 1) for track, t in times_s], 2.0)
    assert [(p[0].track, p[0].time_s, len(p)) for p in parts] == [
        (0, 0.0, 8),
        (0, 2.0, 8),
        (0, 4.0, 4),
        (1, 0.0, 2),
        (1, 7.5, 1),
    ]
