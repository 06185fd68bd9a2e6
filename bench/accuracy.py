"""How right the analyzers are on the footage in ../shared/media, of which the truth is known.

    python bench/accuracy.py            # every topic
    python bench/accuracy.py cuts       # one
    python bench/accuracy.py --changed  # mirrored, small, fast and quiet copies, on which no rule was tuned

One function a topic: it prints a table and nothing else. Clips that are not there are left out and named.
"""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for tests.*, which holds what was counted by hand

from analyzers.catalogue import analyzer_class, with_upstream
from analyzers.clip import Clip
from analyzers.common.voice import voice_regions_of
from analyzers.contract import Analysis, Outcome, Segment
from analyzers.decode import decode
from analyzers.run import examine
from bench.changed_media import CHANGES, UNCHANGED, changed_picture, changed_truth, write_changed
from tests.known import BLINKS_S, NOT_SPOKEN, SYLLABLES, letter_errors, letters
from tests.media import SHARED_MEDIA as MEDIA
from tests.media import still, write_video

BLEND_TOLERANCE_S = 0.4
MAX_LETTER_ERRORS = 0.1
MAX_RATE_ERROR = 0.25
COUNTER_TOLERANCE_S, BLINK_TOLERANCE_S = 0.02, 0.1
MAX_BLINKS_PER_MINUTE = 50
"""People blink 10 to 30 times a minute, more often when they cry or talk."""
MIN_LINE_SHARE = 0.5
"""A line of a subtitle track stays longer than it is spoken."""
NO_SPEECH = ("video/big_buck_bunny_0_30.webm",)
"""Music without a voice, which truth.json does not say."""


change = UNCHANGED
"""What was done to the files that are looked at now; `main` sets it."""


@cache
def truths() -> dict[str, dict[str, Any]]:
    """What is known, by file name relative to the media folder."""
    files = json.loads((MEDIA / "truth.json").read_text("utf-8"))["files"]
    return {f["file"]: changed_truth(f["truth"], change) for f in files if (MEDIA / f["file"]).exists()}


@cache
def opened(name: str) -> Clip:
    """A file of the media folder, changed where `change` says so; a picture is shown for half a second."""
    folder, file = scratch() / f"{change.name}_{name.replace('/', '_')}", MEDIA / name
    if name.startswith("image/"):
        picture = changed_picture(np.asarray(Image.open(file).convert("RGB")), change)
        file = write_video(folder.with_suffix(".mp4"), still(picture, 0.5, 4.0), 4.0, crf=change.crf)
        folder = folder.with_suffix(".media")
    elif change is not UNCHANGED:
        whole = folder.with_suffix(".whole")
        decode(file, whole)
        file = write_changed(Clip.open(whole, file), folder.with_suffix(".mp4"), change)
        shutil.rmtree(whole)
        folder = folder.with_suffix(".media")
    decode(file, folder)
    return Clip.open(folder, file)


@cache
def scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="accuracy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def outcomes(name: str) -> dict[str, Outcome]:
    """Outcomes of a clip so far, by analyzer; `analysis_of` adds to them."""
    return {}


def analysis_of(analyzer: str, name: str) -> Analysis:
    known = outcomes(name)
    for step in with_upstream((analyzer,)):
        if step not in known:
            known[step] = examine(analyzer_class(step), opened(name), known)
    analysis = known[analyzer].analysis
    if analysis is None:
        raise RuntimeError(f"{analyzer} on {name}: {known[analyzer].reason}")
    return analysis


def table(title: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    cells = [columns, *[tuple(f"{c:.3f}" if isinstance(c, float) else str(c) for c in row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def share(part: int, whole: int) -> str:
    return f"{part}/{whole}" + (f" = {part / whole:.2f}" if whole else "")


def matched(found: list[float], true: list[float], within: float) -> list[tuple[float, float]]:
    """Pairs of a found and a true time, nearest first, each used once."""
    pairs = sorted((abs(f - t), f, t) for f in found for t in true if abs(f - t) <= within)
    taken: list[tuple[float, float]] = []
    for _, f, t in pairs:
        if all(f != a and t != b for a, b in taken):
            taken.append((f, t))
    return taken


def cuts() -> None:
    """Hard cuts within one frame; dissolves and fades by both of their ends."""
    rows: list[tuple[object, ...]] = []
    right = claimed = known = 0
    for name, truth in truths().items():
        if "cuts_s" not in truth:
            continue
        found = [s.start_s for s in analysis_of("cut_analysis", name).segments if s.label == "cut"]
        hits = matched(found, truth["cuts_s"], 1.5 / opened(name).fps)
        right, claimed, known = right + len(hits), claimed + len(found), known + len(truth["cuts_s"])
        worst_ms = max((1000 * abs(f - t) for f, t in hits), default=0.0)
        rows.append((name, len(truth["cuts_s"]), len(found), len(hits), round(worst_ms, 1)))
    table("Hard cuts", ("clip", "true", "found", "right", "worst error, ms"), rows)
    print(f"  precision {share(right, claimed)}, recall {share(right, known)}")
    for label, key in (("dissolve", "dissolves_s"), ("fade_in", "fade_in_s"), ("fade_out", "fade_out_s")):
        blends(label, key)


def blends(label: str, key: str) -> None:
    rows: list[tuple[object, ...]] = []
    right = claimed = known = 0
    for name, truth in truths().items():
        if "cuts_s" not in truth:
            continue
        true = truth.get(key, [])
        found = [s for s in analysis_of("cut_analysis", name).segments if s.label == label]
        claimed, known = claimed + len(found), known + len(true)
        for start_s, end_s in true:
            near = [s for s in found if s.start_s < end_s and s.end_s > start_s]
            errors_s = [max(abs(s.start_s - start_s), abs(s.end_s - end_s)) for s in near]
            right += any(e <= BLEND_TOLERANCE_S for e in errors_s)
            spans = ", ".join(f"{s.start_s:.2f}-{s.end_s:.2f}" for s in near) or "missed"
            rows.append((name, f"{start_s:.2f}-{end_s:.2f}", spans, round(min(errors_s), 2) if errors_s else "-"))
    table(label, ("clip", "true, s", "found, s", "worst error, s"), rows)
    print(f"  precision {share(right, claimed)}, recall {share(right, known)} (within {BLEND_TOLERANCE_S} s)")


def camera() -> None:
    """What the camera does for most of a clip, where the truth says it; one that is static never moves."""
    rows: list[tuple[object, ...]] = []
    for name, truth in truths().items():
        if "camera" not in truth:
            continue
        summary = analysis_of("camera_analysis", name).summary
        agrees = truth["camera"].replace(" ", "_").startswith(summary["camera"])
        agrees &= truth["camera"] != "static" or set(summary["shares"]) <= {"static", "unknown"}
        rows.append((name, truth["camera"], summary["camera"], summary["shares"], "yes" if agrees else "NO"))
    table("Camera", ("clip", "true", "found", "shares", "agrees"), rows)
    print(f"  agreement {share(sum(row[-1] == 'yes' for row in rows), len(rows))}")


def total(text: str, met: bool) -> None:
    print(f"  {text}: the target is {'met' if met else 'NOT MET'}")


def faces() -> None:
    """How many faces at once, and whether one person has one track; then stretches with and without a face.

    Somebody who was out of sight and has a new track afterwards counts as doubled.
    """
    rows: list[tuple[object, ...]] = []
    stretches: list[tuple[object, ...]] = []
    for name, truth in truths().items():
        timed = truth["faces"] if isinstance(truth.get("faces"), list) else []
        keys = ("faces_max", "faces_clear", "faces")
        known = (
            max((f["n"] for f in timed), default=None) if timed else next((truth[k] for k in keys if k in truth), None)
        )
        if known is None and truth.get("people_max") == 0:
            known = 0
        if known is None:
            continue
        found = analysis_of("face_detection", name)
        people, tracks = found.summary.get("people_max", 0), len({s.data["track"] for s in found.segments})
        rows.append((name, known, people, tracks, "yes" if people == tracks == known else "NO"))
        times_s = found.tracks.get("face_count_times_s", np.zeros(0))
        for stretch in timed:
            start_s, end_s = stretch["t"]
            # A quarter of a second at both ends: faces are looked for 4 times a second.
            inside = (times_s >= start_s + 0.25) & (times_s < end_s - 0.25)
            right, looks = int((found.tracks["face_count"][inside] == stretch["n"]).sum()), int(inside.sum())
            stretches.append(
                (
                    name,
                    f"{start_s:.2f}-{end_s:.2f}",
                    stretch["n"],
                    share(right, looks),
                    "yes" if 0 < looks == right else "NO",
                )
            )
    table("Faces", ("file", "true at once", "found at once", "tracks", "right"), rows)
    table("Stretches with and without", ("file", "s", "true", "looks right", "right"), stretches)
    with_faces, without = [r for r in rows if r[1]], [r for r in rows if not r[1]]
    seen, clean = sum(bool(r[2]) for r in with_faces), sum(not r[2] for r in without)
    doubled = sum(r[3] > r[1] for r in rows)
    said = f"found in {share(seen, len(with_faces))} with, none in {share(clean, len(without))} without"
    exact = share(sum(r[-1] == "yes" for r in rows), len(rows))
    met = seen == len(with_faces) and clean == len(without) and not doubled and all(r[-1] == "yes" for r in stretches)
    total(f"{said}, {doubled} with too many tracks, exact number in {exact}", met)


def text() -> None:
    """Letters wrong in each known line, from when to when, counters, and text claimed where there is none."""
    met = [text_of_pictures(), text_of_clips(), counters(), text_where_none_is()]
    total(f"{sum(met)} of 4 parts of text right", all(met))


def letters_total(rows: list[tuple[object, ...]]) -> bool:
    """The total of rows that have the known line second, its wrong letters fourth."""
    good = sum(row[3] <= MAX_LETTER_ERRORS * len(letters(row[1])) for row in rows)
    errors, known = sum(row[3] for row in rows), sum(len(letters(row[1])) for row in rows)
    said = f"{share(good, len(rows))} lines with at most {MAX_LETTER_ERRORS:.0%} wrong letters"
    total(f"{said}, of all letters {share(errors, known)}", good == len(rows))
    return good == len(rows)


def captions(name: str) -> dict[str, list[Segment]]:
    """Lines that belong together, by their joined text."""
    blocks: dict[int, list[Segment]] = {}
    for s in analysis_of("text_overlay", name).segments:
        blocks.setdefault(s.data["block"], []).append(s)
    return {" ".join(s.data["text"] for s in lines): lines for lines in blocks.values()}


def text_of_pictures() -> bool:
    rows: list[tuple[object, ...]] = []
    for name, truth in truths().items():
        # What a picture contains besides other text may stand in two lines.
        lines = [*truth.get("lines", ()), *truth.get("text_contains", ())]
        read = [s.data["text"] for s in analysis_of("text_overlay", name).segments] if lines else []
        read += captions(name) if "text_contains" in truth else []
        for line in lines:
            best = min(read, key=lambda t, line=line: letter_errors(t, line), default="")
            rows.append((name, line, best, letter_errors(best, line)))
    table("Lines of pictures", ("file", "true", "read", "wrong letters"), rows)
    return letters_total(rows)


def text_of_clips() -> bool:
    """Lines that belong together are one caption, as in truth.json."""
    rows: list[tuple[object, ...]] = []
    for name, truth in truths().items():
        read = captions(name) if truth.get("visible_text") else {}
        for known in truth.get("visible_text", ()):
            start_s, end_s = known["t"]
            best = min(read, key=lambda t, line=known["text"]: letter_errors(t, line), default="")
            lines = read.get(best, [])
            span = f"{min(s.start_s for s in lines):.2f}-{max(s.end_s for s in lines):.2f}" if lines else "-"
            wrong = letter_errors(best, known["text"])
            rows.append((name, known["text"], best, wrong, f"{start_s:.2f}-{end_s:.2f}", span))
    table("Text of clips", ("file", "true", "read", "wrong letters", "true, s", "found, s"), rows)
    return letters_total(rows)


def counters() -> bool:
    rows: list[tuple[object, ...]] = []
    right = known = 0
    for name, truth in truths().items():
        for at in truth.get("visible_text_at", ()):
            readings = [r for s in analysis_of("text_overlay", name).segments for r in s.data["readings"]]
            read = sorted(text for time_s, text in readings if abs(time_s - at["t"]) < COUNTER_TOLERANCE_S)
            right, known = right + (read == sorted(at["text"])), known + 1
            rows.append((name, at["t"], "  ".join(sorted(at["text"])), "  ".join(read)))
    table("Burned-in counters", ("file", "s", "true", "read"), rows)
    total(f"{share(right, known)} moments with all counters right to the letter, and none more", right == known)
    return right == known


def text_where_none_is() -> bool:
    rows: list[tuple[object, ...]] = []
    for name, truth in truths().items():
        if truth.get("visible_text", truth.get("lines")) == []:
            found = analysis_of("text_overlay", name).segments
            overlays = sum(s.label == "overlay" for s in found)
            rows.append((name, overlays, len(found) - overlays, " | ".join(s.data["text"] for s in found)))
    table("Files without text", ("file", "overlays claimed", "other text claimed", "text"), rows)
    claimed = sum(row[1] for row in rows)
    total(f"{claimed} overlays and {sum(row[2] for row in rows)} other texts in {len(rows)} files", claimed == 0)
    return claimed == 0


def heard_s(regions: list[tuple[float, float]], start_s: float, end_s: float) -> float:
    """How much of a stretch lies in regions that do not overlap."""
    return sum((max(0.0, min(b, end_s) - max(a, start_s)) for a, b in regions), 0.0)


def voice() -> None:
    """Known lines against the regions in which a voice is heard; then sound without a voice."""
    rows: list[tuple[object, ...]] = []
    quiet: list[tuple[object, ...]] = []
    for name, truth in truths().items():
        speaks = "transcript" in truth or "first_part_begins" in truth
        none = name in NO_SPEECH or truth.get("speech", truth.get("speech_by_voice_detector")) is False
        if not speaks and not none:
            continue
        regions = [(r.start_s, r.end_s) for r in voice_regions_of(analysis_of("audio_environment", name))]
        length_s = opened(name).duration_s
        if none:
            quiet.append((name, length_s, heard_s(regions, 0, length_s)))
            continue
        # Without times of its lines the whole file is one, of which only is asked whether a voice was found.
        lines = truth.get("transcript_segments", [])
        for start_s, end_s, words in lines or [(0.0, length_s, "all of it")]:
            end_s = min(end_s, length_s)
            seconds = heard_s(regions, start_s, end_s)
            covered = seconds / (end_s - start_s)
            enough = "yes" if (covered >= MIN_LINE_SHARE if lines else seconds > 0) else "NO"
            if words.startswith(NOT_SPOKEN.get(name, "\n")):
                enough = "not spoken"
            said = words if len(words) <= 40 else words[:37] + "..."
            rows.append((name, said, f"{start_s:.2f}-{end_s:.2f}", seconds, covered, enough, bool(lines)))
    table("Known speech", ("file", "line", "s", "heard, s", "share", "enough"), [row[:-1] for row in rows])
    rows = [row for row in rows if row[5] != "not spoken"]
    timed = [row for row in rows if row[-1]]
    heard, timed_heard = sum(r[5] == "yes" for r in rows), sum(r[5] == "yes" for r in timed)
    said = f"voice in {share(heard - timed_heard, len(rows) - len(timed))} files without times"
    total(f"{said}, {share(timed_heard, len(timed))} lines with times heard for half of their time", heard == len(rows))
    table("Sound without speech", ("file", "length, s", "speech claimed, s"), quiet)
    claimed_s = sum(row[2] for row in quiet)
    total(f"{claimed_s:.2f} s of speech claimed in {sum(row[1] for row in quiet):.0f} s", claimed_s == 0)


def speech_rate() -> None:
    """Syllables against those counted by hand in what the voice detector heard, over the same seconds of speech."""
    rows: list[tuple[object, ...]] = []
    for name, known in SYLLABLES.items():
        if name not in truths():
            continue
        summary = analysis_of("speech_rate", name).summary
        found, per_s = summary["syllables"], summary["syllables_per_s"]
        rows.append((name, known, found, round(per_s * known / found, 2), per_s, round(100 * (found / known - 1), 1)))
    table("Speech rate", ("file", "true syllables", "found", "true per s", "found per s", "error, %"), rows)
    right = sum(abs(row[-1]) <= 100 * MAX_RATE_ERROR for row in rows)
    total(f"{share(right, len(rows))} within {MAX_RATE_ERROR:.0%}", right == len(rows))


def blinks() -> None:
    """Blinks against those seen by eye."""
    for name, known in BLINKS_S.items():
        if name not in truths():
            continue
        analysis = analysis_of("eye_tracking", name)
        found = [s.start_s for s in analysis.segments if s.label == "blink"]
        hits = matched(found, list(known), BLINK_TOLERANCE_S)
        rows: list[tuple[object, ...]] = [(t, next((f for f, k in hits if k == t), "missed")) for t in known]
        rows += [("none", f) for f in found if all(f != hit for hit, _ in hits)]
        table(f"Blinks of {name}", ("true, s", "found, s"), rows)
        per_minute = analysis.summary["blinks_per_minute"]
        plausible = per_minute is not None and 0 < per_minute <= MAX_BLINKS_PER_MINUTE
        said = f"precision {share(len(hits), len(found))}, recall {share(len(hits), len(known))}, {per_minute} a minute"
        total(said, plausible and len(hits) == len(known) == len(found))


TOPICS = {
    "cuts": cuts,
    "camera": camera,
    "faces": faces,
    "text": text,
    "voice": voice,
    "speech_rate": speech_rate,
    "blinks": blinks,
}


def main() -> int:
    global change
    changes = CHANGES if "--changed" in sys.argv else (UNCHANGED,)
    asked = [topic for topic in sys.argv[1:] if topic != "--changed"] or list(TOPICS)
    if unknown := [topic for topic in asked if topic not in TOPICS]:
        print(f"There is no topic {', '.join(unknown)}. There are: {', '.join(TOPICS)}.", file=sys.stderr)
        return 2
    if not (MEDIA / "truth.json").exists():
        print("../shared/media is not on this machine.", file=sys.stderr)
        return 2
    for change in changes:
        for known in (truths, opened, outcomes):
            known.cache_clear()
        topics = [topic for topic in asked if change is UNCHANGED or topic in change.topics]
        if topics and change is not UNCHANGED:
            print(f"\n# {change.name}: {change.says}")
        for topic in topics:
            TOPICS[topic]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
