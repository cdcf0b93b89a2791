"""Remembering what was found."""

from __future__ import annotations

import gc
from collections.abc import Iterator

from gateway.redact import Span
from gateway.redact.scan import Memory, Scanner


class Counting:
    """Counts the texts it is asked about; finds the first word."""

    name = "counting"

    def __init__(self) -> None:
        self.asked = 0

    def find(self, text: str) -> Iterator[Span]:
        """One span."""
        self.asked += 1
        yield Span(0, 5, "WORD", 0.5, self.name)


def test_a_repeated_message_is_searched_once() -> None:
    """A chat resends its history: only new text costs."""
    counting = Counting()
    scanner = Scanner([counting])
    text = "words " * 64
    assert scanner.scan(text).spans == scanner.scan(text).spans
    assert counting.asked == 1


def test_the_cache_holds_no_text() -> None:
    """Hashes and positions alone remain."""
    scanner = Scanner([Counting()])
    scanner.scan("SECRET-TEXT " * 64)
    gc.collect()
    held = repr(list(scanner._cache._known.items()))
    assert "SECRET" not in held


def test_the_cache_is_bounded_and_forgets_the_oldest() -> None:
    """Least recently used goes first."""
    cache = Memory[Span](limit=4)
    spans = (Span(0, 1, "A", 0.5, "t"),)
    for key in (b"a", b"b"):
        cache.put(key, spans)
    cache.get(b"a")
    cache.put(b"c", spans)
    assert cache.get(b"b") is None
    assert cache.get(b"a") == cache.get(b"c") == spans
