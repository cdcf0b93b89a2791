"""Running the recognisers over many texts at once, and remembering what was found in texts seen before."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from gateway.redact.fragments import decoded
from gateway.redact.normalise import Normalised, normalise
from gateway.redact.recogniser import Recogniser, Span
from gateway.redact.spans import resolve

FRAGMENT_DEPTH = 2
"""How many encodings in one another are undone: base64 in base64."""
LONG = 256
"""Characters from which a span is no prose."""
CACHE_ITEMS = 100_000
"""Texts and what was found in them that one memory holds, some 20 MB at the most."""

_MACHINE_WORD = re.compile(r"[a-z0-9_.:/@#$%+=-]*", re.ASCII)


class Text(NamedTuple):
    """A text to search. ``words``: it is a name of something, so patterns alone decide."""

    text: str
    words: bool = False


class Scanned:
    """A text and the disjoint spans in its normalised form, in order."""

    __slots__ = ("_form", "spans", "text")

    def __init__(self, text: str, spans: tuple[Span, ...], form: Normalised | None = None) -> None:
        self.text = text
        self.spans = spans
        self._form = form

    @property
    def form(self) -> Normalised:
        """The normalised text; made when it is asked for, since most texts of a chat were seen before."""
        if self._form is None:
            self._form = normalise(self.text)
        return self._form

    def values(self) -> Iterable[tuple[Span, str]]:
        """Each span with its normalised value."""
        return ((span, self.form.text[span.start : span.end]) for span in self.spans)

    def with_spans(self, spans: Iterable[Span]) -> Scanned:
        """The same text with other spans."""
        return Scanned(self.text, tuple(spans), self._form)


Item = TypeVar("Item")


class Memory(Generic[Item]):
    """What was found, by keyed hash of what it was found in; the least recently used is forgotten. Holds no text."""

    def __init__(self, limit: int = CACHE_ITEMS) -> None:
        self._key = os.urandom(32)
        self._limit = limit
        self._size = 0
        self._known: dict[bytes, tuple[Item, ...]] = {}

    def hash(self, data: bytes, kind: str) -> bytes:
        """The key of some bytes, of a kind of their own."""
        return hashlib.blake2b(data, key=self._key, person=kind.encode()[:16], digest_size=16).digest()

    def get(self, key: bytes) -> tuple[Item, ...] | None:
        """What was found before, if it is still known."""
        items = self._known.pop(key, None)
        if items is not None:
            self._known[key] = items
        return items

    def put(self, key: bytes, items: tuple[Item, ...]) -> None:
        """Remember; forget the oldest when there are too many."""
        if key in self._known:
            return
        self._known[key] = items
        self._size += 1 + len(items)
        while self._size > self._limit and self._known:
            gone = self._known.pop(next(iter(self._known)))
            self._size -= 1 + len(gone)


@runtime_checkable
class Reader(Protocol):
    """A recogniser that reads many texts faster than one after the other."""

    def find_all(self, texts: Sequence[str]) -> Sequence[Iterable[Span]]:
        """The spans of each text."""
        ...


class Scanner:
    """Every recogniser over texts. ``prose`` ones (the model) skip words that only machines write.

    ``tick`` is called between texts and may raise to stop.
    """

    def __init__(
        self,
        patterns: Sequence[Recogniser],
        prose: Sequence[Recogniser] = (),
        tick: Callable[[], None] = lambda: None,
        memory: int = CACHE_ITEMS,
    ) -> None:
        self._patterns = tuple(patterns)
        self._prose = tuple(_reader(each) for each in prose)
        self._tick = tick
        self._cache = Memory[Span](memory)

    def scan(self, text: str, *, words: bool = False) -> Scanned:
        """Normalise and search one text."""
        return self.scan_all([Text(text, words)])[0]

    def scan_all(self, texts: Sequence[Text]) -> list[Scanned]:
        """Normalise and search each text, those seen before from memory."""
        keys = [self._key(each) for each in texts]
        made: dict[bytes, Scanned] = {}
        fresh: dict[bytes, Text] = {}
        for key, each in zip(keys, texts, strict=True):
            if key not in made:
                spans = self._cache.get(key)
                made[key] = Scanned(each.text, spans or ())
                if spans is None:
                    fresh[key] = each
        if fresh:
            self._find([made[key] for key in fresh], [self._is_prose(each) for each in fresh.values()])
        for key in fresh:
            self._cache.put(key, made[key].spans)
        return [made[key] for key in keys]

    def _key(self, text: Text) -> bytes:
        kind = "prose" if self._is_prose(text) else "words"
        return self._cache.hash(text.text.encode("utf-8", "surrogatepass"), kind)

    def _is_prose(self, text: Text) -> bool:
        return not text.words and bool(self._prose) and _MACHINE_WORD.fullmatch(text.text) is None

    def _find(self, texts: Sequence[Scanned], prose: Sequence[bool]) -> None:
        """Give each text its spans."""
        found = [list(self._by_pattern(scanned.form.text)) for scanned in texts]
        chosen = [number for number, wanted in enumerate(prose) if wanted]
        readable = [_without_long(texts[number].form.text, found[number]) for number in chosen]
        for find_all in self._prose:
            for number, spans in zip(chosen, find_all(readable), strict=True):
                found[number] += spans
        for scanned, spans in zip(texts, found, strict=True):
            scanned.spans = tuple(resolve(scanned.form.text, spans))

    def _by_pattern(self, text: str, depth: int = 0) -> Iterator[Span]:
        self._tick()
        for recogniser in self._patterns:
            yield from recogniser.find(text)
        for fragment in decoded(text) if depth < FRAGMENT_DEPTH else ():
            inside = self._by_pattern(normalise(fragment.text).text, depth + 1)
            best = max(inside, key=lambda span: span.score, default=None)
            if best is not None:
                yield best._replace(start=fragment.start, end=fragment.end)


def _reader(recogniser: Recogniser) -> Callable[[Sequence[str]], Sequence[Iterable[Span]]]:
    if isinstance(recogniser, Reader):
        return recogniser.find_all
    return lambda texts: [recogniser.find(text) for text in texts]


def _without_long(text: str, spans: list[Span]) -> str:
    """The text with blanks for what is long and found already: the model need not read a file in base64."""
    long = sorted({(span.start, span.end) for span in spans if span.end - span.start >= LONG})
    pieces, at = [], 0
    for start, end in long:
        if start >= at:
            pieces += [text[at:start], " " * (end - start)]
            at = end
    return "".join([*pieces, text[at:]])
