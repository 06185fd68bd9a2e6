"""Calls to act and what only looks like one, as sentences; then as captions of a clip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analyzers.contract import Analysis, Outcome, Segment
from analyzers.language.comment_cta_detection import PATTERNS, CommentCtaDetection, find_calls
from analyzers.run import examine
from tests.media import run_analyzer, sample_clip, synthetic_clip, texture

CALLS = (
    ("Follow for more", {"follow"}),
    ("please follow me!", {"follow"}),
    ("FOLLOW @anna", {"follow"}),
    ("Link in bio – follow for part 2", {"link_in_bio", "follow", "next_part"}),
    ("Für mehr Tipps folgen!", {"follow"}),
    ("Folgt mir für mehr", {"follow"}),
    ("Jetzt folgen", {"follow"}),
    ("Like and subscribe", {"like", "subscribe"}),
    ("Like this video if you agree", {"like"}),
    ("Don't forget to smash that like button", {"like"}),
    ("Lasst gerne ein Like da und abonniert den Kanal", {"like", "subscribe"}),
    ("Comment below what you think", {"comment"}),
    ("Let me know in the comments", {"comment"}),
    ("Kommentiert unten, was ihr denkt!", {"comment"}),
    ("Schreib mir in die Kommentare, wohin du fliegst!", {"comment"}),
    ("Eure Meinung in die Kommentare", {"comment"}),
    ("Send this to someone who needs it", {"share"}),
    ("Teile das mit deinen Freunden", {"share"}),
    ("Save this for later", {"save"}),
    ("Speicher dir das Rezept", {"save"}),
    ("Abo nicht vergessen", {"subscribe"}),
    ("Duet this with your reaction", {"duet"}),
    ("Tag a friend who does this", {"tag"}),
    ("Markiere eine Freundin", {"tag"}),
    ("Use code ANNA10 at the checkout", {"discount"}),
    ("Mit dem Rabattcode ANNA10 sparst du", {"discount"}),
    ("Hol dir jetzt deins, Link in Bio", {"buy", "link_in_bio"}),
    ("Wollt ihr Teil 2?", {"next_part"}),
)

NO_CALLS = (
    "he followed me home",
    "They follow me everywhere I go",
    "And then I had to follow the river",
    "Follow the yellow brick road",
    "Es folgen drei Beispiele",
    "Die Folgen sind schlimm",
    "It looks like this",
    "I like this song",
    "She shared her lunch",
    "Teil 2",
    "Part 2: the return",
    "Ein schöner Tag am See",
    "We saved this dog",
    "Der Kommentar war lang",
    "No comment",
    "I never buy it",
    "The subscribe button is red",
)


@pytest.mark.parametrize(("text", "kinds"), CALLS, ids=[c[0] for c in CALLS])
def test_a_call_is_found_and_quoted(text, kinds):
    found = list(find_calls(text))
    assert {pattern.kind for pattern, _ in found} == kinds
    assert all(quote and quote in text for _, quote in found)


@pytest.mark.parametrize("text", NO_CALLS)
def test_a_story_is_no_call(text):
    assert list(find_calls(text)) == []


def test_pattern_names_are_unique():
    assert len({p.name for p in PATTERNS}) == len(PATTERNS)


def line(text: str, y: float, block: int, label: str = "overlay") -> Segment:
    data = {"text": text, "block": block, "language": None, "is_overlay": True}
    return Segment(1.0, 2.0, label, 0.9, (0.1, y, 0.9, y + 0.05), data)


def calls_in(*texts: Segment, spoken: Analysis | None = None) -> Analysis:
    results = {"text_overlay": Analysis(texts, reason="no text")}
    if spoken:
        results["speech_transcription"] = spoken
    return CommentCtaDetection().analyze(synthetic_clip([texture(32, 32)] * 90), results)


def test_lines_of_a_caption_are_read_together_from_top_to_bottom():
    found = calls_in(line("folgen!", 0.8, 0), line("Für mehr Tipps", 0.7, 0)).segments
    assert [(s.label, s.data["channel"], s.data["text"]) for s in found] == [
        ("follow", "overlay", "Für mehr Tipps folgen!")
    ]
    assert (found[0].start_s, found[0].end_s, found[0].confidence) == (1.0, 2.0, 0.9)


def test_lettering_of_the_scene_calls_nobody():
    analysis = calls_in(line("Follow me", 0.5, 0, label="scene_text"))
    assert not analysis.segments


def test_speech_is_read_where_there_is_a_transcript_and_named_missing_where_not():
    said = Analysis([Segment(0.5, 2.0, "speech", None, None, {"text": "Please subscribe."})])
    with_speech, without = calls_in(spoken=said), calls_in()
    assert [(s.label, s.data["channel"]) for s in with_speech.segments] == [("subscribe", "speech")]
    assert with_speech.summary["channels"]["speech"] == "read"
    assert without.summary["channels"]["speech"] == "missing"
    assert "speech" in str(without.reason)


def test_voice_without_words_says_nothing():
    voice = Analysis([Segment(0.5, 2.0, "voice", None, None, {})])
    assert not calls_in(spoken=voice).segments


def described(**published: str) -> Analysis:
    clip = replace(synthetic_clip([texture(32, 32)] * 90), published=published)
    return CommentCtaDetection().analyze(clip, {"text_overlay": Analysis(reason="no text")})


def test_what_the_publisher_wrote_is_a_channel_of_its_own():
    analysis = described(title="My trip", description="A day in Lübeck. Folgt mir für mehr! #travel")
    assert [(s.label, s.start_s, s.end_s, s.data["channel"], s.data["quote"]) for s in analysis.segments] == [
        ("follow", 0.0, 3.0, "description", "Folgt mir für mehr")
    ]
    assert analysis.summary["channels"]["description"] == "read"


def test_a_title_that_the_description_repeats_counts_once():
    analysis = described(title="Follow for more tr...", description="Follow for more tricks")
    assert analysis.summary["kinds"] == {"follow": 1}


def test_the_name_of_a_local_file_is_no_title():
    assert not described(title="follow me", extractor="local").segments


def test_a_channel_that_failed_is_named_and_the_others_are_read():
    clip = replace(synthetic_clip([texture(32, 32)] * 90), published={"title": "Follow me for more"})
    failed = {"text_overlay": Outcome("failed", 0.0, "out of memory")}
    outcome = examine(CommentCtaDetection, clip, failed)
    assert outcome.status == "ok"
    assert outcome.analysis.summary["channels"] == {"overlay": "missing", "speech": "missing", "description": "read"}
    assert examine(CommentCtaDetection, replace(clip, published={}), failed).status == "upstream_missing"


def test_the_captions_of_the_sample():
    outcome = run_analyzer("comment_cta_detection", sample_clip())
    assert outcome.analysis is not None
    written = [(s.label, s.data["language"]) for s in outcome.analysis.segments if s.data["channel"] == "overlay"]
    assert sorted(written) == [("follow", "de"), ("follow", "en"), ("link_in_bio", "en"), ("next_part", "en")]
