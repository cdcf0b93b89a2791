"""The property: what a recogniser finds is nowhere in the record."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Usage
from gateway.raw import Note
from gateway.redact import Redactor
from tests.redact.conftest import CALL_ID, exchange

PLANTED = re.compile(rb"PLANT-\d")
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

plants = st.integers(0, 9_999).map(lambda n: f"PLANT-{n}")
texts = st.one_of(
    st.text(max_size=12),
    st.builds("{}{}{}".format, st.text(max_size=6), plants, st.text(max_size=6)),
    st.sampled_from(
        [
            "user",
            "text",
            "Dear Jane Doe,",
            "call 01712345678",
            "\\u09e7\\u09e8",
            "%50LANT-7",
            "PL\u200bANT-8",
            "\ud800x",
        ]
    ),
)
KNOWN_KEYS = [
    "role",
    "content",
    "arguments",
    "user",
    "metadata",
    "id",
    "model",
    "name",
    "token",
    "data",
    "bytes",
    "seed",
]
keys = st.one_of(texts, st.sampled_from([*KNOWN_KEYS, "embedding", "logprobs", "password", "created", "n"]))


def _nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        inner.map(json.dumps),
        inner.map(lambda value: json.dumps({"PLANT-1": value}, ensure_ascii=False)),
    )


values = st.recursive(
    st.one_of(texts, st.integers(), st.floats(), st.booleans(), st.none(), plants), _nest, max_leaves=12
)
bodies = st.one_of(values, texts, plants.map(lambda plant: '{"messages": [{"content": "' + plant))


@given(request=bodies, response=bodies, word=texts, plant=plants, unparsed=st.booleans())
@quick
def test_no_plant_is_left_at_any_leaf(
    fast: Redactor, request: Any, response: Any, word: str, plant: str, unparsed: bool
) -> None:
    """Keys, values, JSON in strings, texts and short fields of a record hold no plant."""
    call = {
        **dict.fromkeys(("model", "key", "team", "user", "session", "trace", "prompt", "route", "pattern"), plant),
        "tags": {plant: word, word: plant},
    }
    raw = exchange(
        request,
        response,
        call=call,
        model=plant,
        response_model=word,
        response_id=plant,
        finish_reasons=(plant, word),
        service_tier=plant,
        error_type=word,
        error_code=plant,
        unparsed=unparsed,
    )
    record = fast.record(raw, Usage(), content=True)
    assert not PLANTED.search(msgspec.msgpack.encode(record))
    assert not PLANTED.search(record.request.encode().replace(b"\\", b""))


@given(word=texts, plant=plants)
@quick
def test_no_plant_is_left_in_a_score(fast: Redactor, word: str, plant: str) -> None:
    """A thumb's comment, rater, target and names hold no plant."""
    note = Note(
        id=CALL_ID,
        at=1,
        target=plant,
        name=plant,
        source=plant,
        rater=plant,
        label=plant,
        why=word + plant,
        version=word,
    )
    assert not PLANTED.search(msgspec.msgpack.encode(fast.score(note)))


def test_no_plant_is_left_in_a_judges_name(fast: Redactor) -> None:
    """Even an operator's word goes through the recognisers."""
    note = Note(id=CALL_ID, at=1, target=CALL_ID, name="hallucination", source="judge", rater="PLANT-1")
    assert fast.score(note).rater == "[redacted]"


@given(request=bodies, response=bodies)
@quick
def test_a_record_always_encodes(fast: Redactor, request: Any, response: Any) -> None:
    """Whatever the bodies hold, lone surrogates and endless floats among it, the record can be written down."""
    record = fast.record(exchange(request, response), Usage(), content=True)
    assert record.request != "[withheld]"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record))
