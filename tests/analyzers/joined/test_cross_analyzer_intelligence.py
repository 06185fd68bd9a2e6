"""Each rule on segments that are known; missing analyses are named and never read as "no"."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.contract import Analysis, Outcome, Segment
from analyzers.joined.cross_analyzer_intelligence import CrossAnalyzerIntelligence
from analyzers.run import examine
from tests.media import run_analyzer, sample_clip, shared_clip, synthetic_clip, texture

LENGTH_S = 12.0
NOTHING = Analysis(reason="nothing of that kind")


def found(*segments: tuple[float, float, str], **data: object) -> Analysis:
    return Analysis([Segment(a, b, label, None, None, dict(data)) for a, b, label in segments])


def flow(opening: float, rest: float) -> Analysis:
    times_s = np.arange(0.125, LENGTH_S, 0.25)
    tracks = {"pace": np.where(times_s < 3, opening, rest), "pace_times_s": times_s}
    return Analysis([Segment(0.0, LENGTH_S, "medium")], tracks=tracks)


def joined(**results: Analysis) -> Analysis:
    clip = synthetic_clip([texture(32, 32)] * int(LENGTH_S), 1.0)
    return CrossAnalyzerIntelligence().analyze(clip, {"cut_analysis": found((0.0, LENGTH_S, "shot")), **results})


def insight(analysis: Analysis, label: str) -> Segment:
    return next(s for s in analysis.segments if s.label == label)


def test_a_hook_lists_its_signals_and_the_segments_behind_them():
    analysis = joined(
        text_overlay=found((0.5, 2.0, "overlay"), text="Wait for it", block=0),
        face_detection=NOTHING,
        audio_environment=found((0.2, 4.0, "speech")),
    )
    hook = insight(analysis, "hook")
    assert hook.data["signals"] == {
        "text": True,
        "face": False,
        "speech": True,
        "cut": False,
        "motion": None,
        "sound": None,
    }
    assert hook.data["score"] == 0.5
    assert hook.data["missing"] == ["audio_analysis", "temporal_flow"]
    assert {"analyzer": "text_overlay", "start_s": 0.5, "end_s": 2.0, "label": "overlay"} in hook.data["rests_on"]
    assert {"analyzer": "audio_environment", "start_s": 0.2, "end_s": 4.0, "label": "speech"} in hook.data["rests_on"]


def test_what_comes_after_three_seconds_is_no_hook():
    late = joined(text_overlay=found((3.5, 5.0, "overlay"), text="Late", block=0), face_detection=NOTHING)
    assert insight(late, "hook").data["signals"]["text"] is False


def test_a_hook_has_no_score_when_hardly_anything_is_known():
    hook = insight(joined(), "hook")
    assert hook.data["score"] is None
    assert "text_overlay" in hook.data["missing"]


@pytest.mark.parametrize(("opening", "rest", "word"), [(0.6, 0.2, "faster"), (0.1, 0.5, "slower"), (0.3, 0.32, "even")])
def test_pacing_compares_the_opening_with_the_rest(opening, rest, word):
    assert insight(joined(temporal_flow=flow(opening, rest)), "pacing").data["opening"] == word


def test_text_and_speech_overlap_and_share_words():
    analysis = joined(
        text_overlay=found((2.0, 4.0, "overlay"), text="Salt the water!", block=0),
        audio_environment=found((3.0, 6.0, "speech")),
        speech_transcription=found((3.0, 6.0, "speech"), text="Now salt the pan."),
    )
    sync = insight(analysis, "text_speech_sync")
    assert (sync.start_s, sync.end_s) == (2.0, 4.0)
    assert sync.data["spoken_share"] == 0.5
    assert sync.data["same_words"] == pytest.approx(2 / 3, abs=0.01)
    assert {e["analyzer"] for e in sync.data["rests_on"]} == {
        "text_overlay",
        "audio_environment",
        "speech_transcription",
    }


def test_without_a_transcript_shared_words_are_unknown_and_it_is_named():
    analysis = joined(
        text_overlay=found((2.0, 4.0, "overlay"), text="Salt", block=0), audio_environment=found((3.0, 6.0, "speech"))
    )
    sync = insight(analysis, "text_speech_sync")
    assert sync.data["same_words"] is None
    assert sync.data["missing"] == ["speech_transcription"]


def test_without_a_voice_analysis_nothing_is_said_about_sync():
    analysis = joined(text_overlay=found((2.0, 4.0, "overlay"), text="Salt", block=0))
    assert "text_speech_sync" not in analysis.summary["insights"]
    assert "audio_environment" in analysis.summary["missing"]


def test_lettering_of_the_scene_is_no_caption():
    analysis = joined(
        text_overlay=found((0.0, 4.0, "scene_text"), text="TAXI", block=0),
        audio_environment=found((0.0, 4.0, "speech")),
    )
    assert "text_speech_sync" not in analysis.summary["insights"]
    assert insight(analysis, "hook").data["signals"]["text"] is False


def test_three_things_at_once_are_an_attention_peak_and_two_are_not():
    three = joined(
        cut_analysis=found((5.0, 5.0, "cut")),
        text_overlay=found((5.2, 7.0, "overlay"), text="Now", block=0),
        face_detection=found((5.4, 8.0, "face")),
    )
    peak = insight(three, "attention_peak")
    assert peak.start_s == 5.0
    assert sorted(peak.data["channels"]) == ["cut", "face", "text"]
    assert len(peak.data["rests_on"]) == 3
    two = joined(cut_analysis=found((5.0, 5.0, "cut")), face_detection=found((5.4, 8.0, "face")))
    assert "attention_peak" not in two.summary["insights"]


def test_completeness_judges_only_what_is_known():
    known = joined(
        text_overlay=NOTHING, comment_cta_detection=NOTHING, audio_environment=NOTHING, face_detection=NOTHING
    )
    assert insight(known, "completeness").data["parts"] == {
        "hook": False,
        "message": False,
        "call_to_act": False,
        "ending": False,
    }
    unknown = insight(joined(), "completeness")
    assert set(unknown.data["parts"].values()) == {None}
    assert "comment_cta_detection" in unknown.data["missing"]


def test_a_call_at_the_end_is_an_ending():
    analysis = joined(text_overlay=NOTHING, comment_cta_detection=found((10.0, 11.5, "follow")))
    parts = insight(analysis, "completeness").data["parts"]
    assert parts["call_to_act"] is True
    assert parts["ending"] is True


def test_every_insight_of_the_sample_names_a_rule_and_existing_segments():
    outcome = run_analyzer("cross_analyzer_intelligence", sample_clip())
    assert outcome.analysis is not None
    labels = {s.label for s in outcome.analysis.segments}
    assert {"hook", "pacing", "completeness"} <= labels
    for s in outcome.analysis.segments:
        assert s.data["rule"].endswith("_rule")
        assert s.data["says"]
        assert all(0 <= e["start_s"] <= e["end_s"] <= 12.1 for e in s.data["rests_on"])
    complete = next(s for s in outcome.analysis.segments if s.label == "completeness")
    assert complete.data["parts"]["call_to_act"] is True


def test_a_clip_without_calls_has_none():
    outcome = run_analyzer("cross_analyzer_intelligence", shared_clip("video/grid_bbaf2n.mpg"))
    assert outcome.analysis is not None
    parts = next(s for s in outcome.analysis.segments if s.label == "completeness").data["parts"]
    assert parts["call_to_act"] is False


def test_without_cuts_the_rest_is_joined_and_cuts_are_named():
    clip = synthetic_clip([texture(32, 32)] * int(LENGTH_S), 1.0)
    outcomes = {
        "cut_analysis": Outcome("failed", 0.0, "out of memory"),
        "face_detection": Outcome("ok", 0.0, None, found((0.5, 2.0, "face"))),
    }
    outcome = examine(CrossAnalyzerIntelligence, clip, outcomes)
    assert outcome.status == "ok"
    hook = insight(outcome.analysis, "hook").data
    assert (hook["signals"]["cut"], hook["signals"]["face"]) == (None, True)
    assert "cut_analysis" in hook["missing"]


def test_with_nothing_to_join_it_says_that_it_could_not_look():
    clip = synthetic_clip([texture(32, 32)] * int(LENGTH_S), 1.0)
    outcome = examine(CrossAnalyzerIntelligence, clip, {"cut_analysis": Outcome("failed", 0.0, "out of memory")})
    assert outcome.status == "upstream_missing"


def test_a_call_in_the_description_is_no_ending():
    calls = found((0.0, LENGTH_S, "follow"), channel="description")
    parts = insight(joined(text_overlay=NOTHING, comment_cta_detection=calls), "completeness").data["parts"]
    assert (parts["call_to_act"], parts["ending"]) == (True, False)
