"""Running the recognisers over one text, and remembering what was found in texts seen before."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.redact.normalise import Normalised, normalise
from gateway.redact.recogniser import Recogniser, Span
from gateway.redact.spans import resolve

CACHED_FROM = 64
"""Characters from which a text is worth remembering."""
LONG = 256
"""Characters from which a span is no prose."""
CACHE_SPANS = 400_000
"""Spans and texts that are remembered together, some 60 MB at the most."""

_MACHINE_WORD = re.compile(r"[a-z0-9_.:/@#$%+=-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scanned:
    """A normalised text and the disjoint spans in it, in order."""

    form: Normalised
    spans: tuple[Span, ...]

    def values(self) -> Iterable[tuple[Span, str]]:
        """Each span with its normalised value."""
        return ((span, self.form.text[span.start : span.end]) for span in self.spans)


class SpanCache:
    """Least recently used spans by keyed hash of the text they were found in. Holds no text."""

    def __init__(self, limit: int = CACHE_SPANS) -> None:
        self._key = os.urandom(32)
        self._limit = limit
        self._size = 0
        self._known: OrderedDict[bytes, tuple[Span, ...]] = OrderedDict()

    def hash(self, text: str, kind: str) -> bytes:
        """The key of a text under one set of recognisers."""
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._key, person=kind.encode()[:16], digest_size=16).digest()

    def get(self, key: bytes) -> tuple[Span, ...] | None:
        """The spans found before, if they are still known."""
        spans = self._known.get(key)
        if spans is not None:
            self._known.move_to_end(key)
        return spans

    def put(self, key: bytes, spans: tuple[Span, ...]) -> None:
        """Remember; forget the oldest when there are too many."""
        if key in self._known:
            return
        self._known[key] = spans
        self._size += 1 + len(spans)
        while self._size > self._limit and self._known:
            _, gone = self._known.popitem(last=False)
            self._size -= 1 + len(gone)


class Scanner:
    """Every recogniser over a text. ``prose`` ones (the model) skip words that only machines write."""

    def __init__(self, patterns: Sequence[Recogniser], prose: Sequence[Recogniser] = ()) -> None:
        self._patterns = tuple(patterns)
        self._prose = tuple(prose)
        self._cache = SpanCache()

    def scan(self, text: str, *, words: bool = False) -> Scanned:
        """Normalise and search. ``words``: the text is a name of something, patterns alone decide."""
        form = normalise(text)
        prose = not words and bool(self._prose) and _MACHINE_WORD.fullmatch(form.text) is None
        if len(text) < CACHED_FROM:
            return Scanned(form, self._find(form.text, prose))
        key = self._cache.hash(text, "prose" if prose else "words")
        spans = self._cache.get(key)
        if spans is None:
            spans = self._find(form.text, prose)
            self._cache.put(key, spans)
        return Scanned(form, spans)

    def _find(self, text: str, prose: bool) -> tuple[Span, ...]:
        spans = [span for recogniser in self._patterns for span in recogniser.find(text)]
        if prose:
            readable = _without_long(text, spans)
            spans += [span for recogniser in self._prose for span in recogniser.find(readable)]
        return tuple(resolve(text, spans))


def _without_long(text: str, spans: list[Span]) -> str:
    """The text with blanks for what is long and found already: the model need not read a file in base64."""
    long = sorted({(span.start, span.end) for span in spans if span.end - span.start >= LONG})
    pieces, at = [], 0
    for start, end in long:
        if start >= at:
            pieces += [text[at:start], " " * (end - start)]
            at = end
    return "".join([*pieces, text[at:]])
