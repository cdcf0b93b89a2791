"""Which of many patterns may match a text, by one pass of an RE2 set, and where a match may begin. PURE.

``re`` tries a pattern at every character, a hundred patterns a hundred times. Here RE2 says first which of them can
match at all, by a rare *core* of each, then where, by its *head*; ``re`` itself decides at those places alone. The
matches are exactly those of ``re``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import re2

from gateway.redact.loosen import core, head

WORTH = 6.5
"""Bits below which a core or a head is too common to be worth asking for."""
MEMORY = 1 << 20
"""Bytes of automaton that a head may take; the set of cores has RE2's own limit of 8 MiB."""

_LONE = re.compile("[\ud800-\udfff]")


def encoded(text: str) -> bytes:
    """UTF-8, with a character of its own for each lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _LONE.sub("\ufffd", text).encode()


class Prefilter:
    """Says of patterns which of them may match."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        cores = [core(pattern) for pattern in patterns]
        self._all = range(len(patterns))
        self._always = [number for number in self._all if cores[number].bits < WORTH]
        self._asked = [number for number in self._all if cores[number].bits >= WORTH]
        self._set = re2.Set.SearchSet()
        self._set.Add("")  # matches everything: missing from an answer, the automaton ran out of memory
        for number in self._asked:
            self._set.Add(cores[number].text)
        self._set.Compile()

    def may(self, data: bytes) -> Iterable[int]:
        """The indices of the patterns that may match an ``encoded`` text, in order; every one that does is there."""
        found = self._set.Match(data) or ()
        if 0 not in found:
            return self._all
        return sorted([*self._always, *(self._asked[number - 1] for number in found if number)])


class Finder:
    """A pattern's matches, looked for where its head is."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        options = re2.Options()
        options.max_mem = MEMORY
        piece = head(pattern)
        self._head = re2.compile(piece.text.encode(), options) if piece.bits >= WORTH else None

    def matches(self, text: str, data: bytes) -> Iterator[re.Match[str]]:
        """As ``finditer``, but for empty matches, which are left out. ``data`` is the ``encoded`` text."""
        if self._head is None:
            yield from (match for match in self._pattern.finditer(text) if match.end() > match.start())
            return
        at = byte = 0
        while (begin := self._head.search(data, byte)) is not None:
            at += len(data[byte : begin.start()].decode())
            match = self._pattern.match(text, at)
            end = at + 1
            if match is not None and match.end() > at:
                yield match
                end = match.end()
            byte = begin.start() + len(encoded(text[at:end]))
            at = end
