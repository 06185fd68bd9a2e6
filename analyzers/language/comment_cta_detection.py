"""Calls to act, German and English: follow, like, comment, share, link in bio and so on, with the words quoted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyzers.clip import Clip
from analyzers.common.languages import language_of
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Need, Segment
from analyzers.errors import InputsMissing


@dataclass(frozen=True)
class Pattern:
    """One way to call for something."""

    kind: str
    """What is asked for; the label of a segment."""
    name: str
    """Unique and stable, e.g. "follow.en"."""
    words: re.Pattern[str]
    opens: bool
    """Whether it must open a clause, which is where a command stands in both languages."""


def _pattern(name: str, words: str, opens: bool = True) -> Pattern:
    return Pattern(
        name.partition(".")[0], name, re.compile(("^" if opens else "") + f"(?:{words})", re.IGNORECASE), opens
    )


_ME = r"(?:me|us|my|our|@\w+|along|this (?:account|page|channel))"
_POST = r"(?:this|the|my|our)(?: \w+)? (?:video|post|clip|reel|tiktok|recipe|one)"
_DAS = r"(?:das|dies|dieses|diesen|den|es|die|mein|unser)"
_DIR = r"(?:dir|euch|ihn|sie|es)"
PATTERNS: tuple[Pattern, ...] = (
    _pattern("follow.en", rf"follow(?: {_ME}\b| (?:for|to (?:see|get|not))\b|$)"),
    _pattern("follow.de", r"folg(?:e|t)?(?: (?:mir|uns|@\w+|jetzt|gerne?|doch|unbedingt|für|fuer|dem kanal)\b|$)"),
    _pattern("follow.de.infinitive", r"(?:(?:für|fuer) (?:mehr|weitere|teil)\b.{0,40}|jetzt |gerne? )folgen$"),
    _pattern("follow.de.reminder", r"folgen (?:für|fuer|nicht vergessen)\b|nicht vergessen zu folgen"),
    _pattern(
        "like.en", rf"like (?:{_POST}|if you|for (?:more|part)|(?:and|&|\+) (?:follow|share|comment|subscribe|save))\b"
    ),
    _pattern(
        "like.en.button",
        r"(?:smash|hit|tap) (?:the|that) (?:like|heart)\b|(?:drop|leave|give)(?: \w+)? a like\b|double[- ]tap\b",
    ),
    _pattern("like.de", rf"lik(?:e|t|et|en) (?:{_DAS}|wenn|für mehr|und (?:folg|teil|abonn|komment))\w*"),
    _pattern("like.de.leave", r"lass(?:t|e)?\b.{0,30}\b(?:like|likes|herz|herzchen|daumen)\b|daumen hoch\b"),
    _pattern("comment.en", r"comment (?:below|down|your|if|what|which|where|who|why|how|with|the word|[\"“”'])"),
    _pattern("comment.en.tell", r"(?:drop|leave|write|put|tell|let|post|type|say)\b.{0,60}\bcomments?\b"),
    _pattern("comment.de", r"kommentier(?:e|t|en)?\b"),
    _pattern(
        "comment.de.write",
        r"(?:schreib|sag|lass|verrat)(?:e|t|en)?\b.{0,50}\b(?:kommentar\w*|kommis?)\b|ab in die kommentare\b",
    ),
    _pattern("comment.de.opinion", r"(?:eure|deine) (?:\w+ )?(?:meinung|antwort|frage)n? in die kommentare\b"),
    _pattern("share.en", rf"share (?:this|it|{_POST}|with)\b|send (?:this|it) to\b"),
    _pattern("share.de", rf"teil(?:e|t|en)? {_DAS}\b|teil(?:e|t) (?:gerne? )?mit\b|(?:schick|sende)(?:e|t)? {_DAS}\b"),
    _pattern("save.en", rf"save (?:this|it|{_POST}|for later)\b"),
    _pattern(
        "save.de",
        rf"speicher(?:e|t|n)? (?:{_DIR}|{_DAS})\b|(?:ab)?speichern (?:für später|nicht vergessen)"
        r"|für später (?:ab)?speichern",
    ),
    _pattern(
        "subscribe.en",
        r"subscribe\b(?! (?:is|was|are|button))|(?:hit|smash|press) (?:the|that) (?:subscribe|bell|follow)\b",
    ),
    _pattern(
        "subscribe.de",
        r"abonnier(?:e|t|en)?\b|lass(?:t|e)?\b.{0,30}\babo\b|abo (?:nicht vergessen|dalassen)|kanal abonnieren",
    ),
    _pattern("duet.en", r"(?:duet|stitch) (?:this|me|us|with|it)\b"),
    _pattern("duet.de", r"(?:duett|duette|duettiert|stitche?|stitcht) (?:mit|mich|uns|das|dieses)\b"),
    _pattern("tag.en", r"tag (?:a|an|your|someone|somebody|the (?:person|friend|one)|\d+ \w+)\b"),
    _pattern(
        "tag.de", r"(?:markier|verlink|tagg)(?:e|t)? (?:einen|eine|deine\w*|eure\w*|jemand\w*|die person|den|\d+)\b"
    ),
    _pattern("buy.en", r"(?:buy|shop|order) (?:now|here|today|it|this|yours|at)\b|(?:get|grab) yours\b"),
    _pattern(
        "buy.de",
        r"(?:kauf|bestell|hol|sicher)(?:e|t)? (?:dir|euch|jetzt|hier)\b|jetzt (?:kaufen|bestellen|shoppen|sichern)\b",
    ),
    _pattern(
        "discount.en", r"\buse (?:my |the |our )?(?:discount |promo )?code\b|\b(?:discount|promo) code\b", opens=False
    ),
    _pattern("discount.de", r"\bmit (?:dem |meinem |unserem )?(?:rabatt)?code\b|\brabattcode\b", opens=False),
    _pattern(
        "link_in_bio",
        r"\blinks? (?:is |are |ist |findet ihr )?(?:in|im) (?:my |the |der |meiner |unserer )?(?:bio|profile?)\b",
        opens=False,
    ),
    _pattern("next_part.en", r"\b(?:for|want|see|watch|catch) (?:a |the )?part (?:\d+|two|three)\b", opens=False),
    _pattern(
        "next_part.de", r"\b(?:für|fuer|wollt ihr|willst du|seht|schaut) (?:\w+ )?teil (?:\d+|zwei|drei)\b", opens=False
    ),
)

_CLAUSE = re.compile(r"(?:(?!\s(?:and|und|then|dann|&|\+|-)\s)[^.!?;:,\n|•–—()])+")
_COURTESY = re.compile(
    r"^(?:[^\w@]+|please\b|pls\b|now\b|so\b|just\b|also\b|but\b|hey\b|and\b|und\b|then\b|dann\b|bitte\b|gerne\b|einfach\b"
    r"|remember to\b|don[’']?t forget to\b|do not forget to\b|make sure (?:to|you)\b|be sure to\b|go ahead\b"
    r"|vergiss nicht\b|vergesst nicht\b|denkt dran\b|guys\b|leute\b)\s*",
    re.IGNORECASE,
)


def find_calls(text: str) -> Iterator[tuple[Pattern, str]]:
    """The calls to act in a text: which pattern, and the words as they stand there. At most one per pattern."""
    text = re.sub(r"\s+", " ", text).strip()
    clauses = list(_clauses(text))
    for pattern in PATTERNS:
        for candidate in clauses if pattern.opens else [text]:
            if match := pattern.words.search(candidate):
                yield pattern, candidate.strip() if pattern.opens else match.group()
                break


def _clauses(text: str) -> Iterator[str]:
    """Parts of a text in which a command could open, without words of courtesy: sentences first, then what commas and
    conjunctions divide."""
    for sentence in re.findall(r"[^.!?;\n|•–—]+", text):
        yield _bare(sentence)
    for match in _CLAUSE.finditer(text):
        yield _bare(match.group())


def _bare(clause: str) -> str:
    while (shorter := _COURTESY.sub("", clause, count=1)) != clause:
        clause = shorter
    return clause.strip()


@dataclass(frozen=True)
class Passage:
    """A stretch of words from one channel."""

    channel: str
    """ "overlay", "speech" or "description"."""
    text: str
    start_s: float
    end_s: float
    confidence: float | None
    """Of the recogniser that gave the words; None if it gives none."""


@dataclass
class CommentCtaDetection(Analyzer):
    """Finds calls to act in written text, in speech where there is a transcript, and in what the publisher wrote.

    How: fixed patterns, no model. A command opens its clause in both languages, so that "follow me for more" is a call
    and "he wants to follow me" or "he followed me home" is none; only set phrases ("link in bio", "use code", "for part
    2") count anywhere. Lines of one caption are read together. Lettering of the scene is left out. Each channel that
    can be read is read, whatever becomes of the others.

    Segments: `label` is what is asked for: follow, like, comment, share, save, subscribe, duet, tag, buy, discount,
    link_in_bio or next_part. Times are those of the caption or the spoken passage, the whole clip for the description;
    `confidence` is the recogniser's, for its least sure line. `data`: `channel` "overlay", "speech" or "description"
    (title and description, from yt-dlp's metadata); `quote`, the words that are the call; `text`, the whole passage;
    `pattern`, which rule matched; `language` "de", "en" or None.

    Summary: `kinds` (count by kind); `channels`, for overlay, speech and description "read" or "missing": nothing is
    known about a missing one. Empty: the channels that could be read hold no call.

    Gets wrong: irony, quoted commands ("follow me, he said"), calls without words (an arrow), other languages, and
    words that the recogniser ran together ("followformore").
    """

    spec = AnalyzerSpec(
        name="comment_cta_detection",
        version="2",
        lane="cpu_parallel",
        needs={Need.METADATA},
        uses=("text_overlay", "speech_transcription"),
        gives="what is asked for, in which channel, with the words quoted",
    )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        written, spoken = results.get("text_overlay"), results.get("speech_transcription")
        described = description_passages(clip)
        if not written and not spoken and not described:
            raise InputsMissing("there is no result of text_overlay or speech_transcription, and no description")
        passages = [
            *(overlay_passages(written.segments) if written else ()),
            *(speech_passages(spoken.segments) if spoken else ()),
            *described,
        ]
        segments = [_segment(p, pattern, quote) for p in passages for pattern, quote in find_calls(p.text)]
        segments.sort(key=lambda s: s.start_s)
        read = {"overlay": bool(written), "speech": bool(spoken), "description": bool(described)}
        channels = {channel: "read" if there else "missing" for channel, there in read.items()}
        summary: dict[str, Any] = {"kinds": dict(Counter(s.label for s in segments)), "channels": channels}
        if not segments:
            missing = [name for name, state in channels.items() if state == "missing"]
            reason = f"no call to act was found; not read: {', '.join(missing)}"
            return Analysis.nothing(reason, backend="patterns", summary=summary)
        return Analysis(segments, summary, backend="patterns")


def overlay_passages(texts: Sequence[Segment]) -> Iterator[Passage]:
    """Captions from the lines that `text_overlay` found, each read from top to bottom."""
    captions: dict[int, list[Segment]] = {}
    for line in texts:
        if line.label != "scene_text":
            captions.setdefault(line.data["block"], []).append(line)
    for lines in captions.values():
        lines.sort(key=lambda s: s.box[1] if s.box else 0.0)
        text = " ".join(s.data["text"] for s in lines)
        sure = min((s.confidence for s in lines if s.confidence is not None), default=None)
        yield Passage("overlay", text, min(s.start_s for s in lines), max(s.end_s for s in lines), sure)


def speech_passages(spoken: Sequence[Segment]) -> Iterator[Passage]:
    """What `speech_transcription` heard; voice regions without words say nothing."""
    for part in spoken:
        if text := part.data.get("text"):
            yield Passage("speech", text, part.start_s, part.end_s, part.confidence)


def description_passages(clip: Clip) -> list[Passage]:
    """Title and description as the publisher wrote them; sites often repeat the first in the second.

    The title of a local file is only its name.
    """
    title, description = (str(clip.published.get(name) or "") for name in ("title", "description"))
    if clip.published.get("extractor") == "local":
        title = ""
    repeated = description.startswith(title.removesuffix("...").removesuffix("…"))
    texts = [description] if repeated else [title, description]
    return [Passage("description", text, 0.0, clip.duration_s, None) for text in texts if text.strip()]


def _segment(passage: Passage, pattern: Pattern, quote: str) -> Segment:
    data = {
        "channel": passage.channel,
        "quote": quote,
        "text": passage.text,
        "pattern": pattern.name,
        "language": language_of(passage.text),
    }
    return Segment(passage.start_s, passage.end_s, pattern.kind, passage.confidence, None, data)
