"""Age without a model: the faces are named, an age is not."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.contract import Analysis, Segment
from analyzers.people.age_estimation import face_tracks, with_age
from tests.analyzers.people.pictures import astronaut, face_on_wall
from tests.media import run_analyzer, shared_clip, still, synthetic_clip


def test_faces_but_no_ages_without_the_model():
    outcome = run_analyzer("age_estimation", synthetic_clip(still(astronaut(), 1.0)))
    assert outcome.status == "weights_missing"
    assert not outcome.succeeded
    assert outcome.reason.startswith("faces are found, but no ages: the model face_age ")
    assert outcome.reason.endswith("is not installed (343 MB); get it with: tiktok-assets weights fetch face_age")
    (face,) = outcome.analysis.segments
    assert face.data["age_range"] is None
    assert face.data["usable"] is True
    assert outcome.analysis.summary == {"faces": 1, "usable_faces": 1}


def test_no_face_needs_no_model():
    outcome = run_analyzer("age_estimation", synthetic_clip(still(face_on_wall(left_px=900), 1)))
    assert outcome.status == "no_signal"
    assert outcome.reason == "no face was found"


def test_stretches_of_a_track_are_one_face():
    def seen(start_s, end_s, track, height_px):
        data = {"track": track, "hits": 4, "height_px_max": height_px}
        return Segment(start_s, end_s, "face", 0.5 + start_s / 10, (0.1, 0.1, 0.2, 0.2), data)

    faces = Analysis([seen(0, 1, 0, 50), seen(0.5, 2, 1, 55), seen(2, 4, 0, 80)])
    first, second = face_tracks(faces, min_face_px=60)
    assert (first.start_s, first.end_s, first.confidence) == (0, 4, 0.7)
    assert (first.data["height_px_max"], first.data["usable"]) == (80, True)
    assert (second.start_s, second.end_s, second.data["usable"]) == (0.5, 2, False)


def test_two_people_in_a_film():
    outcome = run_analyzer("age_estimation", shared_clip("video/friday.mp4"))
    assert outcome.status == "weights_missing"
    assert outcome.analysis.summary["faces"] == 2


@pytest.mark.parametrize(
    ("probabilities", "label", "confidence"),
    [
        ((0.1, 0.6, 0.2, 0.1), "3-9", 0.6),
        ((0.05, 0.45, 0.4, 0.1), "3-9 or 10-19", 0.85),
        ((0.4, 0.1, 0.05, 0.45), "uncertain", None),
    ],
)
def test_an_age_is_as_wide_as_what_is_known(probabilities, label, confidence):
    face = Segment(0, 1, "face", 0.9, data={"track": 0, "age_range": None})
    found = with_age(face, ("0-2", "3-9", "10-19", "20-29"), np.array(probabilities), [0.5])
    assert found.label == label
    assert found.confidence == (pytest.approx(confidence) if confidence else None)
    assert found.data["age_range"] == (None if label == "uncertain" else label)
    assert list(found.data["probabilities"].values()) == sorted(probabilities, reverse=True)
