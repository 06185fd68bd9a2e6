"""Values of a report in words for people: names, numbers with their units, times, evidence in one line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MAX_TEXT_CHARACTERS = 600
MAX_SUMMARY_VALUES = 24
MAX_PARTS = 8
"""Of a value that has parts, the largest ones are shown."""
TEXT_FIELDS = ("text", "quote", "description", "caption")
"""Where a segment's data may hold words for people, best first."""
UNITS = {
    "frame_widths_per_s": "frame widths/s",
    "frame_heights_per_s": "frame heights/s",
    "deg_per_s": "°/s",
    "per_s": "/s",
    "bpm": "BPM",
    "dbfs": "dBFS",
    "db": "dB",
    "lufs": "LUFS",
    "lu": "LU",
    "cents": "cents",
    "khz": "kHz",
    "hz": "Hz",
    "px": "px",
    "deg": "°",
    "ms": "ms",
    "wpm": "words/min",
    "fps": "pictures/s",
    "bytes": "bytes",
    "pct": "%",
    "s": "s",
}
"""How a name's last part tells the unit."""
WORDS = {"vl": "VL", "cta": "CTA", "qwen2": "Qwen2", "ocr": "OCR", "bpm": "BPM", "id": "ID"}


UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
MARK = r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
STACKED_MARKS = re.compile(rf"({MARK}{{8}}){MARK}+")
"""More accents on one letter than any language has: they cover the lines around, and no line breaks within them."""


def cleaned(value: Any) -> Any:
    """The same with every text printable and short: lone surrogates and control characters replaced, long ends cut."""
    if isinstance(value, str):
        text = value if len(value) <= MAX_TEXT_CHARACTERS else value[:MAX_TEXT_CHARACTERS].rstrip() + "…"
        text = STACKED_MARKS.sub(r"\1", text)
        return UNPRINTABLE.sub("\ufffd", text)
    if isinstance(value, Mapping):
        return {cleaned(str(k)): cleaned(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(v) for v in value]
    return value


def readable(name: str) -> str:
    """ "pan_right" -> "pan right"."""
    return " ".join(WORDS.get(w, w) for w in name.replace("_", " ").split()) or "–"


def sentence(text: str) -> str:
    """The same with a capital at its beginning; a quotation there stays as it is."""
    return text[:1].upper() + text[1:]


def title_of(name: str) -> str:
    """ "comment_cta_detection" -> "Comment CTA detection"."""
    return sentence(readable(name))


def number(value: float, digits: int = 4) -> str:
    """A number for people: `digits` significant ones, thousands apart, a true minus sign; "–" if it is none."""
    if not math.isfinite(value):
        return "–"
    if isinstance(value, int) or abs(value) >= 10**digits:
        text = f"{value:,.0f}"
    else:
        whole = math.floor(math.log10(abs(value))) + 1 if value else 0
        text = f"{value:.{min(6, max(0, digits - whole))}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace(",", "\u202f").replace("-", "\u2212") if text not in ("-0", "0") else "0"


def clock(seconds: float, total_s: float, digits: int = 2) -> str:
    """A time in a video: "3.25" in one below a minute, else "1:03.25"."""
    if total_s < 60:
        return f"{seconds:.{digits}f}"
    minutes, rest = divmod(round(seconds, digits), 60)
    return f"{int(minutes)}:{rest:0{3 + digits if digits else 2}.{digits}f}"


def time_range(start_s: float, end_s: float, total_s: float) -> str:
    unit = " s" if total_s < 60 else ""
    first, last = clock(start_s, total_s), clock(end_s, total_s)
    return f"{first}{unit}" if first == last else f"{first}–{last}{unit}"


def readable_date(yyyymmdd: str | None) -> str | None:
    """ "20250131" -> "2025-01-31"; anything else as it is."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", yyyymmdd or "")
    return "-".join(found.groups()) if found else yyyymmdd


def values(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for people, with the unit that the name tells; palettes and boxes are drawn, not listed."""
    rows = []
    for key, value in list(data.items())[:MAX_SUMMARY_VALUES]:
        if key == "palette" or key.endswith("box"):
            continue
        name, unit = split_unit(key)
        if isinstance(value, Mapping) and value and all(type(v) in (int, float) for v in value.values()):
            ranked = sorted(value.items(), key=lambda item: -item[1])[:MAX_PARTS]
            text = ", ".join(f"{readable(part)} {_measure(key, v, unit)}" for part, v in ranked if v) or "none"
        else:
            text = _measure(key, value, unit)
        rows.append((name, text))
    return rows


def _measure(key: str, value: Any, unit: str) -> str:
    """A value with its unit; shares and ratios that can be such in percent."""
    if key.endswith(("share", "shares", "ratio")) and isinstance(value, float) and 0 <= value <= 1:
        return f"{number(100 * value, 3)} %"
    text = _text(value)
    return f"{text}{'' if unit[0] == '°' else ' '}{unit}" if unit and text != "–" else text


def split_unit(key: str) -> tuple[str, str]:
    found = re.fullmatch(rf"(.+?)_({'|'.join(UNITS)})(_(?:max|min|mean|median|sd))?", key)
    return (readable(found[1] + (found[3] or "")), UNITS[found[2]]) if found else (readable(key), "")


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        return readable(value) if re.fullmatch(r"[a-z0-9_]+", value) else value
    if isinstance(value, Mapping):
        return "; ".join(f"{n} {t}" for n, t in values(dict(list(value.items())[:MAX_PARTS]))) or "none"
    shown = ", ".join(_text(v) for v in value[:MAX_PARTS])
    return f"{shown}, … ({len(value)} in all)" if len(value) > MAX_PARTS else shown or "none"


def words_of(segment: Mapping[str, Any]) -> str | None:
    """What was said, read or described in a segment, if anything."""
    found = (segment["data"].get(f) for f in TEXT_FIELDS)
    return next((t.strip() for t in found if isinstance(t, str) and t.strip()), None)


def evidence(segment: Mapping[str, Any], has_words: bool) -> str:
    """A segment's data in one line; its words stand elsewhere, its palette is drawn."""
    left_out = {"palette", "rests_on", *(TEXT_FIELDS if has_words else ())}
    pairs = [f"{name} {text}" for name, text in values({k: v for k, v in segment["data"].items() if k not in left_out})]
    if has_words:
        pairs.insert(0, readable(segment["label"]))
    line = " · ".join(pairs)
    return line if len(line) <= 240 else line[:240].rstrip() + "…"
