"""Copies: a value found once is removed wherever else it stands in the call. PURE.

A model finds a name in a sentence and overlooks the same name in a table. What was found is therefore looked up,
word by word, in every other text of the call. Of a person's name the single words count too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

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

    def __bool__(self) -> bool:
        return bool(self._seen)

    def learn(self, scanned: Scanned) -> None:
        """Take up the values of a text."""
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

    def mark(self, scanned: Scanned) -> Scanned:
        """The text with its own spans and those of copies."""
        extra = list(self._find(scanned.form.text))
        if not extra:
            return scanned
        return Scanned(scanned.form, tuple(resolve(scanned.form.text, [*scanned.spans, *extra])))

    def _find(self, text: str) -> Iterator[Span]:
        for first in self._by_word.keys() & set(_WORD.findall(text)):
            for start in _starts(text, first):
                for value, span in self._by_word[first]:
                    end = start + len(value)
                    if text.startswith(value, start) and not _goes_on(text, end):
                        yield Span(start, end, span.entity, span.score / 2, span.name)

    def has(self, text: str) -> bool:
        """Whether a short text holds any of the values."""
        return any(True for _ in self._find(text))


def _starts(text: str, word: str) -> Iterator[int]:
    """Where a word begins, and not the middle of one."""
    at = text.find(word)
    while at >= 0:
        if at == 0 or not _WORD.match(text[at - 1]):
            yield at
        at = text.find(word, at + 1)


def _goes_on(text: str, end: int) -> bool:
    return text[end - 1].isalnum() and end < len(text) and text[end].isalnum()


def learned(texts: Iterable[Scanned]) -> Copies:
    """The values of all texts."""
    copies = Copies()
    for scanned in texts:
        copies.learn(scanned)
    return copies
