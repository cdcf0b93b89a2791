"""The redactor beside Presidio as its documentation sets it up, on the same texts, in the same run, on one core.

``python -m tests.bench.plain ROUNDS`` prints JSON. *Fresh* is chat calls that share nothing; *multi-turn* a chat of 50
turns and an agent's session of 200, in which each call repeats what was said before. *unique x* is what a whole session
costs against each of its messages once. Quality is F2 on the labelled texts of ``.ci/redaction-texts``.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tldextract
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngineProvider

from gateway.config import Redact
from gateway.identity import Pseudonyms
from gateway.model import Usage
from gateway.raw import Exchange, Whole
from gateway.redact import Redactor, Span
from gateway.redact.measure import measure
from gateway.redact.models import SMALL
from gateway.redaction_report import rows
from gateway.redactors import redactor
from gateway.telemetry import configure_logs
from gateway.wire import parse
from tests.bench.prose import Writer

LABELLED = Path("build/redaction/dev.jsonl")
TEXTS = 300
"""Labelled texts that quality is measured on: the plain engine needs half a minute for as many."""
CALLS = 24
PROFILES = ("fast", "standard")
KINDS = ("PERSON", "GPE", "STREET_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "EMAIL_ADDRESS")

Row = dict[str, float | str]


def plain() -> AnalyzerEngine:
    """An ``AnalyzerEngine`` with its defaults and the model that is there."""
    # Its recogniser of e-mails would fetch the list of public suffixes.
    setattr(tldextract, "extract", tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None))  # noqa: B010  retyped
    settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": SMALL}]}
    return AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine())


def texts(exchange: Exchange) -> Iterator[str]:
    """What is said in a chat call."""
    for message in exchange.request["messages"]:
        for text in (message["content"], *(call["function"]["arguments"] for call in message.get("tool_calls", ()))):
            if text:
                yield text
    said = exchange.response["choices"][0]["message"]["content"]
    if said:
        yield said


def compare(rounds: int) -> dict[str, list[Row]]:
    """Speed and quality."""
    engine = plain()
    made = {profile: redactor(profile, Redact(), Pseudonyms(b"bench".ljust(32, b"."))) for profile in PROFILES}
    for each in made.values():
        _ours(each, [parse(whole) for whole in Writer(0).session(6)])
    speed = [_fresh(made, engine, rounds)]
    speed += [
        _multi(made, engine, name, calls) for name, calls in (("50-turn chat", _chat), ("200-turn agent", _agent))
    ]
    return {"speed": [row for found in speed for row in found], "quality": _quality(made, engine)}


def _chat(seed: int) -> list[Whole]:
    return list(Writer(seed).session(50))


def _agent(seed: int) -> list[Whole]:
    return list(Writer(seed).agent(200))


def _fresh(made: dict[str, Redactor], engine: AnalyzerEngine, rounds: int) -> list[Row]:
    spent: dict[str, list[float]] = {profile: [] for profile in made}
    theirs, size = [], 0.0
    for turn in range(rounds):
        writer = Writer(100 + turn)
        calls = [parse(writer.one_shot()) for _ in range(CALLS)]
        size = _kib(calls) / CALLS
        theirs.append(_timed(lambda calls=calls: _read(engine, calls[: CALLS // 4])) * 4)
        for profile, each in made.items():
            spent[profile].append(_timed(lambda each=each, calls=calls: _ours(each, calls)))
    return [
        {
            "texts": "fresh chats",
            "profile": profile,
            "ms/KiB": round(statistics.median(times) * 1e3 / CALLS / size, 3),
            "plain engine": round(statistics.median(theirs) * 1e3 / CALLS / size, 1),
            "x faster": round(statistics.median(b / a for a, b in zip(times, theirs, strict=True)), 1),
            "unique x": "",
        }
        for profile, times in spent.items()
    ]


def _multi(
    made: dict[str, Redactor], engine: AnalyzerEngine, name: str, session: Callable[[int], list[Whole]]
) -> list[Row]:
    """The plain engine reads each unique text once; its time for the session follows by size, being in proportion."""
    found: list[Row] = []
    for profile, each in made.items():
        calls = [parse(whole) for whole in session(7)]
        unique = list(dict.fromkeys(text for call in calls[-1:] for text in texts(call)))
        share = sum(map(len, unique)) / sum(len(text) for call in calls for text in texts(call))
        sample = unique[:: max(1, len(unique) // 40)]
        theirs = _timed(lambda sample=sample: [engine.analyze(text, "en") for text in sample])
        theirs *= sum(map(len, unique)) / sum(map(len, sample)) / share
        single = [_alone(calls[-1], message) for message in calls[-1].request["messages"]]
        anew = redactor(profile, Redact(), Pseudonyms(b"anew".ljust(32, b".")))
        _ours(anew, [parse(whole) for whole in Writer(0).session(6)])
        once = _timed(lambda anew=anew, single=single: _ours(anew, single))
        ours = _timed(lambda each=each, calls=calls: _ours(each, calls))
        found.append(
            {
                "texts": name,
                "profile": profile,
                "ms/KiB": round(ours * 1e3 / _kib(calls), 3),
                "plain engine": round(theirs * 1e3 / _kib(calls), 1),
                "x faster": round(theirs / ours, 1),
                "unique x": round(ours / once, 2),
            }
        )
    return found


def _alone(call: Exchange, message: Any) -> Exchange:
    return msgspec.structs.replace(call, request={"model": "gpt-4o-mini", "messages": [message]}, response=None)


def _quality(made: dict[str, Redactor], engine: AnalyzerEngine) -> list[Row]:
    labelled = rows(LABELLED)[:TEXTS]

    def theirs(text: str) -> Sequence[Span]:
        results = engine.analyze(text, "en")
        return [Span(each.start, each.end, each.entity_type, each.score, "plain") for each in results]

    reports = {"plain engine": measure("plain", theirs, labelled)}
    reports |= {profile: measure(profile, each.spans, labelled) for profile, each in made.items()}
    return [
        {
            "finder": name,
            **{kind: round(found.entities[kind].f2, 2) for kind in KINDS if kind in found.entities},
            "over-redacted": f"{found.over_redaction:.1%}",
        }
        for name, found in reports.items()
    ]


def _ours(redactor: Redactor, calls: Sequence[Exchange]) -> None:
    for first in range(0, len(calls), 16):
        if redactor.reads_ahead:
            redactor.read_ahead(calls[first : first + 16])
        for call in calls[first : first + 16]:
            redactor.record(call, Usage(), content=True)


def _read(engine: AnalyzerEngine, calls: Sequence[Exchange]) -> None:
    for call in calls:
        for text in texts(call):
            engine.analyze(text, "en")


def _kib(calls: Sequence[Exchange]) -> float:
    return sum(len(text) for call in calls for text in texts(call)) / 1024


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    configure_logs("bench", logging.WARNING)
    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL)
    print(json.dumps(compare(int(sys.argv[1]))))
