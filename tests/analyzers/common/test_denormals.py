"""Numbers close to zero do not make reading text slow, and nothing else notices."""

import numpy as np

from analyzers.common.denormals import denormals_flushed
from analyzers.common.text_readers import load_reader

TINY = np.full(8, 1e-39, np.float32)


def counts() -> bool:
    """Whether the processor takes a number close to zero for what it is."""
    return bool((TINY * np.float32(1)).any())


def test_they_count_as_zero_only_meanwhile():
    assert counts()
    with denormals_flushed():
        assert not counts()
        with denormals_flushed():
            assert not counts()
        assert not counts()
    assert counts()


def test_reading_text_leaves_the_thread_as_it_was(monkeypatch):
    reader = load_reader("rapidocr", "cpu_parallel", 640)
    seen = []
    engine = reader._engine
    monkeypatch.setattr(reader, "_engine", lambda *given, **how: (seen.append(counts()), engine(*given, **how))[1])
    picture = np.zeros((64, 160, 3), np.uint8)
    reader.detect(picture)
    reader.recognise(picture)
    assert seen == [False, False]
    assert counts()
