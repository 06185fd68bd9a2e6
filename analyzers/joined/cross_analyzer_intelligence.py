"""What several analyses say together: hook, pacing, text and speech, peaks of attention, completeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyzers.clip import Clip
from analyzers.contract import Analysis, Analyzer, AnalyzerSpec, Segment
from analyzers.errors import InputsMissing

HOOK_S = 3.0
SPEECH_AT_ONCE_S = 1.0
PACE_STEP = 0.1
"""Difference of mean pace (0-1) between the opening and the rest from which one is called faster."""
PEAK_WINDOW_S = 0.6
PEAK_CHANNELS = 3
MAX_PEAKS = 8
MESSAGE_SHARE = 0.2
"""Share of a video that must be spoken over or carry text for it to have a message in words."""


@dataclass
class Inputs:
    """Analyses by name, and which of them a rule asked for in vain. A missing one is unknown, never "no"."""

    results: Mapping[str, Analysis]
    missing: list[str] = field(default_factory=list)

    def segments(self, name: str, *labels: str) -> list[Segment] | None:
        """Segments with one of the labels (all if none is given); None, and noted, if there is no such analysis."""
        if name not in self.results:
            self.missing.append(name)
            return None
        return [s for s in self.results[name].segments if not labels or s.label in labels]

    def voice(self) -> tuple[str, list[Segment]] | None:
        """Where somebody speaks, and the name of the analysis that says so; None, and noted, if none does."""
        if "audio_environment" in self.results:
            return "audio_environment", [s for s in self.results["audio_environment"].segments if s.label == "speech"]
        if "speech_transcription" in self.results:
            return "speech_transcription", list(self.results["speech_transcription"].segments)
        self.missing += ["audio_environment", "speech_transcription"]
        return None


@dataclass
class CrossAnalyzerIntelligence(Analyzer):
    """Joins other analyses by fixed rules; every insight names its rule and the segments it rests on.

    How: no model and no measurement of its own. The rules are conventions of short-video editing, not findings about
    viewers, and their numbers stand in this file. An analysis that is missing makes the rules that need it silent or
    their answer None; it is named in `missing` and never read as "no".

    Segments: `label` is the insight, `confidence` None; `data`: `rule` (id), `says` (one sentence), `rests_on` (list of
    {analyzer, start_s, end_s, label}), `missing` (analyses the rule asked for in vain), and by label:
        "hook" (0-3 s): `signals`, each True, False or None: text, face, speech (within 1 s), cut, motion, sound;
            `score`, the share of the known ones that are True; None if fewer than three are known.
        "pacing" (the clip): `opening` "faster", "slower" or "even" against the rest, `pace_opening`, `pace_rest`.
        "text_speech_sync" (a written text that is no lettering of the scene): `spoken_share`, the share of its time in
            which somebody speaks (0-1); `same_words`, the share of its words in the transcript there, None without one.
        "attention_peak": `channels` that begin or change within 0.6 s, at least three of cut, text, face, voice,
            motion and sound; the eight strongest.
        "completeness" (the clip): `parts`, each True, False or None: hook (score of at least 0.5), message (words in at
            least a fifth of the video), call_to_act, ending (the last call or text lies in the last third).

    Summary: `insights` (count by label), `missing` (all analyses that were asked for in vain), `hook_score`,
    `completeness` (share of the known parts that are True). Empty only in a clip without length.

    Gets wrong: whatever the analyses beneath get wrong; a hook that works by what it says or means; peaks that are mere
    coincidence.
    """

    spec = AnalyzerSpec(
        name="cross_analyzer_intelligence",
        version="2",
        lane="cpu_parallel",
        needs=frozenset(),
        uses=(
            "cut_analysis",
            "audio_analysis",
            "audio_environment",
            "face_detection",
            "speech_transcription",
            "text_overlay",
            "comment_cta_detection",
            "temporal_flow",
        ),
        gives="hook, pacing, text and speech, attention peaks, completeness; rule and evidence named",
    )

    def analyze(self, clip: Clip, results: Mapping[str, Analysis]) -> Analysis:
        if clip.duration_s <= 0:
            return Analysis.nothing("the clip has no length", backend="rules")
        if not results:
            raise InputsMissing("none of the analyses that it joins has a result")
        found: list[Segment] = []
        missing: set[str] = set()
        hook: float | None = None
        for rule in (hook_rule, pacing_rule, text_speech_sync_rule, attention_peak_rule):
            inputs = Inputs(results)
            insights = rule(inputs, clip.duration_s)
            missing.update(inputs.missing)
            found += insights
            if rule is hook_rule:
                hook = insights[0].data["score"]
        inputs = Inputs(results)
        complete = completeness_rule(inputs, clip.duration_s, hook)
        missing.update(inputs.missing)
        found = sorted([*found, complete], key=lambda s: s.start_s)
        labels = [s.label for s in found]
        summary: dict[str, Any] = {
            "insights": {label: labels.count(label) for label in dict.fromkeys(labels)},
            "missing": sorted(missing),
            "hook_score": hook,
            "completeness": _share_true(complete.data["parts"].values()),
        }
        return Analysis(found, summary, backend="rules")


def hook_rule(inputs: Inputs, duration_s: float) -> list[Segment]:
    """What the first three seconds hold out to a viewer."""
    end_s = min(HOOK_S, duration_s)
    rests_on: list[dict[str, Any]] = []

    def early(name: str, by_s: float, *labels: str, after_s: float = -1.0) -> bool | None:
        segments = inputs.segments(name, *labels)
        return None if segments is None else _any_within(name, segments, after_s, by_s, rests_on)

    voice = inputs.voice()
    signals = {
        "text": early("text_overlay", end_s, "overlay", "text"),
        "face": early("face_detection", end_s),
        "speech": voice and _any_within(voice[0], voice[1], -1.0, min(SPEECH_AT_ONCE_S, end_s), rests_on),
        "cut": early("cut_analysis", end_s, "cut", "dissolve", after_s=0.0),
        "motion": early("temporal_flow", end_s, "motion_burst", "fast"),
        "sound": early("audio_analysis", end_s, "loud", "medium"),
    }
    score = _share_true(signals.values()) if sum(v is not None for v in signals.values()) >= 3 else None
    there = [name for name, value in signals.items() if value]
    says = f"the first {end_s:g} s have {', '.join(there) or 'none of what was looked for'}"
    return [_insight("hook", 0.0, end_s, says, rests_on, inputs, signals=signals, score=score)]


def pacing_rule(inputs: Inputs, duration_s: float) -> list[Segment]:
    """Whether the opening runs faster or slower than the rest."""
    phases = inputs.segments("temporal_flow", "slow", "medium", "fast")
    if not phases or duration_s < 2 * HOOK_S:
        return []
    flow = inputs.results["temporal_flow"].tracks
    times_s, pace = flow["pace_times_s"], flow["pace"]
    opening, rest = float(pace[times_s < HOOK_S].mean()), float(pace[times_s >= HOOK_S].mean())
    word = "faster" if opening - rest >= PACE_STEP else "slower" if rest - opening >= PACE_STEP else "even"
    says = f"the opening is {word} {'with' if word == 'even' else 'than'} the rest"
    values = {"opening": word, "pace_opening": round(opening, 3), "pace_rest": round(rest, 3)}
    return [_insight("pacing", 0.0, duration_s, says, _evidence("temporal_flow", phases), inputs, **values)]


def text_speech_sync_rule(inputs: Inputs, duration_s: float) -> list[Segment]:
    """For every written text, whether somebody speaks meanwhile and says the same."""
    texts, voice = inputs.segments("text_overlay", "overlay", "text"), inputs.voice()
    if not texts or voice is None:
        return []
    spoken = [s for s in inputs.segments("speech_transcription") or [] if s.data.get("text")]
    insights = []
    for text in texts:
        name, regions = voice
        along = [s for s in regions if _overlap_s(s, text) > 0]
        length_s = max(text.end_s - text.start_s, 1e-3)
        share = min(1.0, sum(_overlap_s(s, text) for s in along) / length_s)
        words = [s for s in spoken if _overlap_s(s, text) > 0]
        same = _shared_words(text.data["text"], " ".join(s.data["text"] for s in words)) if spoken else None
        says = f"“{text.data['text']}” stands while somebody speaks {100 * share:.0f} % of the time"
        evidence = [
            *_evidence("text_overlay", [text]),
            *_evidence(name, along),
            *(_evidence("speech_transcription", words) if name != "speech_transcription" else []),
        ]
        values = {"spoken_share": round(share, 2), "same_words": same}
        insights.append(_insight("text_speech_sync", text.start_s, text.end_s, says, evidence, inputs, **values))
    return insights


def attention_peak_rule(inputs: Inputs, duration_s: float) -> list[Segment]:
    """Moments at which several things begin or change at once."""
    voice = inputs.voice()
    channels: dict[str, tuple[str, list[Segment]]] = {
        "cut": ("cut_analysis", inputs.segments("cut_analysis", "cut") or []),
        "text": ("text_overlay", inputs.segments("text_overlay", "overlay", "text") or []),
        "face": ("face_detection", inputs.segments("face_detection") or []),
        "voice": voice or ("", []),
        "motion": ("temporal_flow", inputs.segments("temporal_flow", "motion_burst") or []),
        "sound": ("temporal_flow", inputs.segments("temporal_flow", "sound_rise", "sound_drop") or []),
    }
    starts = [
        (s.start_s, channel, name, s)
        for channel, (name, segments) in channels.items()
        for s in segments
        if s.start_s > 0
    ]
    moments = []
    for at_s, *_ in starts:
        near = [x for x in starts if at_s <= x[0] <= at_s + PEAK_WINDOW_S]
        moments.append((len({channel for _, channel, _, _ in near}), at_s, near))
    peaks: list[Segment] = []
    for count, at_s, near in sorted(moments, key=lambda m: (-m[0], m[1])):
        if count < PEAK_CHANNELS or len(peaks) == MAX_PEAKS:
            break
        if any(abs(p.start_s - at_s) <= 2 * PEAK_WINDOW_S for p in peaks):
            continue
        together = list(dict.fromkeys(channel for _, channel, _, _ in near))
        evidence = [e for _, _, name, s in near for e in _evidence(name, [s])]
        end_s = min(duration_s, max(x[0] for x in near))
        says = f"{', '.join(together)} begin or change within {PEAK_WINDOW_S:g} s"
        peaks.append(_insight("attention_peak", at_s, end_s, says, evidence, inputs, channels=together))
    return peaks


def completeness_rule(inputs: Inputs, duration_s: float, hook: float | None) -> Segment:
    """Whether a video has the parts that short videos are built of: hook, message, call to act, ending."""
    rests_on: list[dict[str, Any]] = []
    if hook is not None:
        opening = Segment(0.0, min(HOOK_S, duration_s), "hook")
        rests_on += _evidence(CrossAnalyzerIntelligence.spec.name, [opening])
    texts, voice = inputs.segments("text_overlay", "overlay", "text"), inputs.voice()
    calls = inputs.segments("comment_cta_detection")
    worded = [*(texts or []), *(voice[1] if voice else [])]
    message: bool | None = _covered_share(worded, duration_s) >= MESSAGE_SHARE
    if message:
        rests_on += _evidence("text_overlay", texts or []) + (_evidence(*voice) if voice else [])
    elif texts is None or voice is None:
        message = None
    late = [("comment_cta_detection", s) for s in calls or []] + [("text_overlay", s) for s in texts or []]
    late = [(n, s) for n, s in late if s.end_s >= duration_s * 2 / 3 and s.data.get("channel") != "description"]
    rests_on += [e for name, s in late for e in _evidence(name, [s])]
    parts = {
        "hook": None if hook is None else hook >= 0.5,
        "message": message,
        "call_to_act": None if calls is None else bool(calls),
        "ending": True if late else None if calls is None or texts is None else False,
    }
    rests_on += _evidence("comment_cta_detection", [s for s in calls or [] if s not in [x for _, x in late]])
    lacking = [name.replace("_", " ") for name, value in parts.items() if value is False]
    says = f"it lacks {', '.join(lacking)}" if lacking else "nothing that could be judged is lacking"
    return _insight("completeness", 0.0, duration_s, says, rests_on, inputs, parts=parts)


def _insight(
    label: str, start_s: float, end_s: float, says: str, rests_on: list[dict[str, Any]], inputs: Inputs, **values: Any
) -> Segment:
    missing = sorted(set(inputs.missing))
    data = {"rule": f"{label}_rule", "says": says, **values, "rests_on": rests_on, "missing": missing}
    return Segment(start_s, end_s, label, None, None, data)


def _evidence(analyzer: str, segments: Sequence[Segment]) -> list[dict[str, Any]]:
    return [
        {"analyzer": analyzer, "start_s": round(s.start_s, 3), "end_s": round(s.end_s, 3), "label": s.label}
        for s in segments
    ]


def _any_within(
    name: str, segments: Sequence[Segment], after_s: float, by_s: float, rests_on: list[dict[str, Any]]
) -> bool:
    """Whether one of the segments starts after and before the given times; it is added to the evidence."""
    for s in segments:
        if after_s < s.start_s < by_s:
            rests_on += _evidence(name, [s])
            return True
    return False


def _share_true(values: Any) -> float | None:
    known = [v for v in values if v is not None]
    return round(sum(known) / len(known), 2) if known else None


def _overlap_s(a: Segment, b: Segment) -> float:
    return max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))


def _covered_share(segments: Sequence[Segment], duration_s: float) -> float:
    """Share of the clip in which at least one of the segments lies."""
    grid_s = np.arange(0.05, duration_s, 0.1)
    covered = np.zeros(len(grid_s), bool)
    for s in segments:
        covered |= (grid_s >= s.start_s) & (grid_s < s.end_s)
    return float(covered.mean()) if len(grid_s) else 0.0


def _shared_words(written: str, said: str) -> float:
    """Share of the written words that are among the spoken ones."""
    words, heard = ({w.strip(".,!?;:–-").casefold() for w in text.split()} - {""} for text in (written, said))
    return round(len(words & heard) / len(words), 2) if words else 0.0
