"""Copies: a value found once is removed wherever else it stands in the call. PURE.

A model finds a name in a sentence and overlooks the same name in a table. What was found is therefore looked up,
word by word, in every other text of the call. Of a person's name the single words count too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import re2

from gateway.redact.prefilter import encoded
from gateway.redact.recogniser import Span
from gateway.redact.scan import Scanned
from gateway.redact.spans import resolve

SPELT = 8
"""Bytes that a character takes in JSON at the most: ``&nbsp;``, ``\\u00a0``."""
_WORD = re.compile(r"\w+")
_BEFORE = re.compile(rb"(?<!\\)[0-9A-Za-z_]\Z")
_AFTER = re.compile(rb"[0-9A-Za-z]")
SHORTEST = 3
"""Characters below which a value is too common to be looked for elsewhere."""
PART = 4
"""Characters from which one word of a person's name is looked for on its own."""


class Value(NamedTuple):
    """A value, what it is, and its words in UTF-8."""

    text: str
    span: Span
    words: list[bytes]

    def near(self, data: bytes) -> bool:
        """Whether its words stand one after the other near each other, whatever stands between them."""
        first, *rest = self.words
        at = data.find(first)
        while at >= 0:
            end, limit = at + len(first), at + SPELT * len(self.text)
            for word in rest:
                place = data.find(word, end, limit)
                end = place + len(word)
                if place < 0:
                    break
            else:
                return True
            at = data.find(first, at + 1)
        return False


class Copies:
    """The values found in one call, by their first word."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._by_word: defaultdict[str, list[tuple[str, Span]]] = defaultdict(list)
        self._by_telling: defaultdict[str, list[Value]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._seen)

    def learn(self, scanned: Scanned) -> None:
        """Take up the values of a text, all of them before the first search."""
        for span, value in scanned.values():
            self.learn_value(value, span)

    def learn_value(self, value: str, span: Span) -> None:
        """Take up a value; ``span`` tells what it is."""
        if value in self._seen or not self._add(value, span) or span.entity != "PERSON":
            return
        for part in _WORD.findall(value):
            if len(part) >= PART and part[0].isupper():
                self._add(part, span)

    def _add(self, value: str, span: Span) -> bool:
        words = _WORD.findall(value)
        if len(value) < SHORTEST or value in self._seen or not words:
            return False
        if value.islower() and value.isalpha() and len(value) < PART:
            return False
        self._seen.add(value)
        # the value as it stands from its first word on: what precedes is punctuation
        self._by_word[words[0]].append((value[value.index(words[0]) :], span))
        self._by_telling[max(words, key=len)].append(Value(value, span, [encoded(word) for word in words]))
        return True

    @cached_property
    def _words(self) -> re2._Regexp:
        return _any_of(self._by_word)

    @cached_property
    def _screen(self) -> re2._Regexp:
        return _any_of(self._by_telling)

    def hits(self, data: bytes) -> Iterator[tuple[int, Value]]:
        """Where in JSON in which each word stands as it is read a value may stand, by its longest word. Some do not."""
        for found in self._screen.finditer(data) if self._seen else ():
            start, end = found.span()
            if not _BEFORE.search(data, max(0, start - 2), start) and not _AFTER.match(data, end):
                yield from ((start, value) for value in self._by_telling[data[start:end].decode()])

    def beyond(self, text: str) -> list[Value]:
        """The values that share a word with another: they may reach beyond it where it stands, or be told better."""
        return [value for word in set(_WORD.findall(text)) for value in self._by_telling.get(word, ())]

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
    """Of several at a place, the longest."""
    return re2.compile(b"|".join(re2.escape(encoded(word)) for word in sorted(words, key=len, reverse=True)))


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
