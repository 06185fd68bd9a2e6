"""What people read off the files of ../shared/media beyond its truth.json, and how far a reading is from the truth."""

from __future__ import annotations

SYLLABLES = {
    # counted by hand in the transcripts of truth.json; of friday without the first syllable, which the voice detector
    # does not hear, and of nasa without the last sentence
    "audio/jfk.flac": 28,
    "audio/leopard_de.wav": 20,
    "audio/leopard_en.wav": 25,
    "audio/whatstheweatherlike.wav": 5,
    "video/nasa_13013.mp4": 44,
    "video/friday.mp4": 34,
    "video/grid_bbaf2n.mpg": 6,
    "video/grid_lbbc2a.mpg": 7,
}

NOT_SPOKEN = {"video/nasa_13013.mp4": "This half of the observatory element"}
"""A line of the subtitle track that stands before it is spoken, as its first line does by half a second: from 12.2 s to
the end there are only held notes, as loud and as steady as in the pauses before (tests/analyzers/common/test_voice.py).
"""

BLINKS_S = {"video/WolfgangLanger_Pexels.mp4": (6.42, 8.43, 10.34, 12.01, 16.10, 17.77)}
"""Read off the pictures: lids down for one to five pictures at these times."""


def letters(text: str) -> str:
    """A text without its blanks: they are no letters, and recognisers leave them out in narrow and in large type."""
    return "".join(text.split())


def letter_errors(read: str, truth: str) -> int:
    """Edit distance (Levenshtein) of the letters, of which blanks are none. Case counts: "s" for "S" is an error."""
    read, truth = letters(read), letters(truth)
    row = list(range(len(truth) + 1))
    for i, a in enumerate(read, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(truth, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]
