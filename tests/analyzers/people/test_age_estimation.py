"""Age without a model: the faces are named, an age is not."""

from __future__ import annotations

from analyzers.contract import Analysis, Segment
from analyzers.people.age_estimation import face_tracks
from tests.analyzers.people.pictures import astronaut, face_on_wall
from tests.media import run_analyzer, shared_clip, still, synthetic_clip


def test_faces_but_no_ages_without_the_model():
    outcome = run_analyzer("age_estimation", synthetic_clip(still(astronaut(), 1.0)))
    assert outcome.status == "weights_missing"
    assert not outcome.succeeded
    assert outcome.reason == "the age model (a ViT age classifier) is not installed"
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
