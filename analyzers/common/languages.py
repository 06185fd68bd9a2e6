"""Which of the two languages that we know words of, German or English, a short text is in."""

from __future__ import annotations

import re
import unicodedata

_GERMAN = """
    aber alle als am an auch auf aus bei bin bist das dass dein deine dem den denn der des dich die dir doch du durch
    ein eine einem einen einer eines er es euch euer eure folge folgen folgt für geht gibt habe haben hat heute hier
    ich ihm ihn ihr ihre im immer in ins ist ja jetzt kann kein keine kommentar kommentare kommentiere kommentiert
    leider man mehr mein meine mich mir mit nach nicht nichts noch nur oder ohne schon schreib schreibt sehr sein seine
    sich sie sind so teil teile teilt tipps über um und uns unser unten unter vom von vor war warum was weil wenn wer
    werden wie wieder wir wird wo wohin zu zum zur zwei
"""
_ENGLISH = """
    a about after all am an and any are as at avoid be because been before but by can clean comment comments could did
    do does first follow for from had has have he her here his how i if in into is it its just like made me more most my
    new next no not now of off on one only or our out over part people please second share she should so some subscribe
    than thank that the their them then there these they this to today too up us very was watch we were what when where
    which who why will with would you your
"""
GERMAN, ENGLISH = frozenset(_GERMAN.split()), frozenset(_ENGLISH.split())
"""Common short words, and words of calls to act. A word of both speaks for neither."""


def language_of(text: str) -> str | None:
    """ "de" or "en" by letters and common words; None where nothing speaks for either, or as much for one as the other.

    Gets wrong: other languages that share such words (Dutch "de", "in" aside), and names.
    """
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text).lower())
    german = sum(w in GERMAN for w in words) + 2 * sum(any(c in "äöüß" for c in w) for w in words)
    english = sum(w in ENGLISH for w in words)
    return None if german == english else "de" if german > english else "en"
