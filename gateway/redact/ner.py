"""Names of people and places in running text, by a model, each cut down to what is a name. PURE."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gateway.redact.models import Entity, Model
from gateway.redact.passages import passages
from gateway.redact.recogniser import Span
from gateway.redact.vocabulary import NOT_NAMES

CHUNK = 2_000
"""Characters of a passage given to the model whole; one that is longer is cut."""
OVERLAP = 200
"""Characters shared by neighbouring chunks, so that a name on the seam is whole in one of them."""
BATCH = 64
"""Passages that the model reads at once; between batches the deadline is looked at."""

Range = tuple[int, int]


class NerRecogniser:
    """People and places in running text. ``tick`` is called between batches and may raise to stop.

    ``strict`` has everything read that has a capital, and takes the model at its word: organisations, short names and
    common words too.
    """

    def __init__(self, model: Model, tick: Callable[[], None] = lambda: None, *, strict: bool = False) -> None:
        self._model = model
        self._tick = tick
        self._strict = strict
        list(self.find("Warm up: Jane Doe lives in Dhaka."))

    @property
    def name(self) -> str:
        """``presidio``."""
        return "presidio"

    def find(self, text: str) -> Iterator[Span]:
        """The people and places of one text."""
        return iter(self.find_all([text])[0])

    def find_all(self, texts: Sequence[str]) -> list[list[Span]]:
        """The people and places of each text."""
        places = [(number, *place) for number, text in enumerate(texts) for place in self._ranges(text)]
        spans: list[list[Span]] = [[] for _ in texts]
        for first in range(0, len(places), BATCH):
            self._tick()
            batch = places[first : first + BATCH]
            pieces = [texts[number][start:end] for number, start, end in batch]
            for (number, start, _), piece, found in zip(batch, pieces, self._model.read(pieces), strict=True):
                spans[number] += self._spans(piece, start, found)
        return spans

    def _ranges(self, text: str) -> Iterator[Range]:
        whole = [(0, len(text))] if any(char.isupper() for char in text) else []
        for start, end in whole if self._strict else passages(text):
            yield from ((start + low, start + high) for low, high in chunks(text[start:end], CHUNK, OVERLAP))

    def _spans(self, piece: str, offset: int, results: list[Entity]) -> Iterator[Span]:
        people: list[tuple[int, int]] = []
        for low, high, entity, score in results:
            if self._strict:
                # Not as sure as the rest: where another finds the same, that one names it.
                yield Span(offset + low, offset + high, entity, 0.4, self.name)
            for first, last in _names(piece, low, high):
                if entity == "ORGANIZATION":
                    if not _foreign(piece[first:last]):
                        continue
                    entity, score = "PERSON", 0.6
                if entity == "PERSON":
                    people.append((first, last))
                yield Span(offset + first, offset + last, entity, score, self.name)
        for first, last in _fellows(piece, people):
            yield Span(offset + first, offset + last, "PERSON", 0.6, self.name)


def chunks(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most ``size`` characters that begin and end at blanks where there are any nearby."""
    start = 0
    while start < len(text):
        end = min(start + size, len(text))
        if end < len(text):
            blank = max(text.rfind(" ", end - overlap, end), text.rfind("\n", end - overlap, end))
            end = blank if blank > start else end
        yield start, end
        if end == len(text):
            return
        blank = text.find(" ", end - overlap, end)
        start = blank + 1 if blank >= 0 else end - overlap


_LINES = re.compile(r"[^\n\r<>{}()\[\]=|*#\"`~/\\]+")
_NAMELIKE = re.compile(r"(?:[^\W\d_][\w'.-]*(?: |$)){1,4}")
_LIST = re.compile(r"(?:[^\W\d_][\w'-]{1,20}, ){1,20}[^\W\d_][\w'-]{1,20},? (?:and|or|&) [^\W\d_][\w'-]{1,20}")
_WORD = re.compile(r"[^\W\d_][\w'-]+")


def _names(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The pieces of an entity that are names, without what the model likes to take along: markup and possessives."""
    for piece in _LINES.finditer(text, start, end):
        low, high = piece.span()
        while low < high and not text[low].isalnum():
            low += 1
        while low < high and not (text[high - 1].isalnum() or text[high - 1] == "."):
            high -= 1
        if text[low:high].endswith("'s"):
            high -= 2
        if _worth(text[low:high]):
            yield low, high


def _worth(name: str) -> bool:
    """Whether it may be somebody: has capitals, is no acronym, no identifier and no word that only looks so."""
    if len(name) < 2 or "_" in name or not any(char.isupper() for char in name):
        return False
    if len(name) <= 4 and name.isascii() and name.isupper():
        return False
    return name.lower().strip(".") not in NOT_NAMES


def _foreign(name: str) -> bool:
    """A short name of capitalised words in which a letter is not English."""
    return (
        not name.isascii()
        and _NAMELIKE.fullmatch(name) is not None
        and all(word[0].isupper() for word in name.split() if len(word) > 3)
    )


def _fellows(text: str, people: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The others of a list in which one is a person: ``Eklund, Michael and Hodge``."""
    if not people:
        return
    for found in _LIST.finditer(text):
        if any(low < found.end() and high > found.start() for low, high in people):
            for word in _WORD.finditer(text, found.start(), found.end()):
                if word.group()[0].isupper() and _worth(word.group()):
                    yield word.span()
