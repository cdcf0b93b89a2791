"""Copies: a value found once is removed wherever else it stands in the call. PURE.

A model finds a name in a sentence and overlooks the same name in a table. What was found is therefore looked up,
word by word, in every other text of the call. Of a person's name the single words count too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

import re2

from gateway.redact.prefilter import encoded
from gateway.redact.recogniser import Span
from gateway.redact.scan import Scanned
from gateway.redact.spans import resolve

_WORD = re.compile(r"\w+")
SHORTEST = 3
"""Characters below which a value is too common to be looked for elsewhere."""
PART = 4
"""Characters from which one word of a person's name is looked for on its own."""


class Copies:
    """The values found in one call, by their first word."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._by_word: defaultdict[str, list[tuple[str, Span]]] = defaultdict(list)
        self._telling: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._seen)

    def learn(self, scanned: Scanned) -> None:
        """Take up the values of a text, all of them before the first search."""
        for span, value in scanned.values():
            self._add(value, span)
            if span.entity == "PERSON":
                for part in _WORD.findall(value):
                    if len(part) >= PART and part[0].isupper():
                        self._add(part, span)

    def _add(self, value: str, span: Span) -> None:
        first = _WORD.search(value)
        if len(value) < SHORTEST or value in self._seen or first is None:
            return
        if value.islower() and value.isalpha() and len(value) < PART:
            return
        self._seen.add(value)
        # the value as it stands from its first word on: what precedes is punctuation
        self._by_word[first.group()].append((value[first.start() :], span))
        self._telling.add(max(_WORD.findall(value), key=len))

    @cached_property
    def _words(self) -> re2._Regexp:
        return _any_of(self._by_word)

    @cached_property
    def _screen(self) -> re2._Regexp:
        return _any_of(self._telling)

    def may(self, data: bytes) -> bool:
        """Whether a text in UTF-8, or JSON with its words as they are, may hold any of the values."""
        return bool(self._seen) and self._screen.search(data) is not None

    def mark(self, scanned: Scanned) -> Scanned:
        """The text with its own spans and those of copies."""
        text = scanned.form.text
        extra = list(self._find(text))
        if not extra:
            return scanned
        return scanned.with_spans(resolve(text, [*scanned.spans, *extra]))

    def _find(self, text: str) -> Iterator[Span]:
        for start in _starts(text, self._words) if self._seen else ():
            word = _WORD.match(text, start)
            for value, span in self._by_word.get(word.group(), ()) if word else ():
                end = start + len(value)
                if text.startswith(value, start) and not _goes_on(text, end):
                    yield Span(start, end, span.entity, span.score / 2, span.name)

    def has(self, text: str) -> bool:
        """Whether a short text holds any of the values."""
        return any(True for _ in self._find(text))


def _any_of(words: Iterable[str]) -> re2._Regexp:
    return re2.compile(b"|".join(re2.escape(encoded(word)) for word in words))


def _starts(text: str, words: re2._Regexp) -> Iterator[int]:
    """Where one of the words begins, and not the middle of another."""
    data = encoded(text)
    at = byte = 0
    for found in words.finditer(data):
        at += len(data[byte : found.start()].decode())
        byte = found.start()
        if at == 0 or not _WORD.match(text[at - 1]):
            yield at


def _goes_on(text: str, end: int) -> bool:
    return text[end - 1].isalnum() and end < len(text) and text[end].isalnum()


def learned(texts: Iterable[Scanned]) -> Copies:
    """The values of all texts."""
    copies = Copies()
    for scanned in texts:
        copies.learn(scanned)
    return copies
