"""Byte splices: what comes out equals what went in, but for the one thing that was asked for."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import splice
from gateway.splice import UsageEvent
from tests.fakes.upstream import chunk, stream_of, usage_event

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["model", "messages", "stream", "stream_options", 'quo"te', "back\\slash", "é", "m"]) | st.text(
    max_size=6
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=8)


def written(value: dict[str, Any], indent: int | None, ascii: bool) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=ascii).encode("utf-8", "surrogatepass")


@settings(max_examples=100)
@given(OBJECTS, st.sampled_from([None, 0, 3]), st.booleans())
def test_every_value_is_located(value: dict[str, Any], indent: int | None, ascii: bool) -> None:
    """The spans of an object hold exactly its values, in any layout and escaping."""
    body = written(value, indent, ascii)
    spans = splice.locate(body)
    assert spans is not None
    assert {key: json.loads(body[start:end]) for key, (start, end) in spans.items()} == value


@settings(max_examples=100)
@given(OBJECTS.filter(lambda value: "model" in value), st.text(max_size=20), st.sampled_from([None, 2]))
def test_rename_changes_the_model_and_nothing_else(value: dict[str, Any], model: str, indent: int | None) -> None:
    """A renamed body differs from the original in one span, which holds the new name."""
    body = written(value, indent, True)
    renamed = splice.rename(body, model)
    assert renamed is not None
    start, end = (splice.locate(body) or {})["model"]
    encoded = msgspec.json.encode(model)
    assert renamed == body[:start] + encoded + body[end:]
    assert json.loads(renamed) == {**value, "model": model}


@settings(max_examples=100)
@given(OBJECTS, st.sampled_from([None, 2]))
def test_asking_for_usage_sets_one_option(value: dict[str, Any], indent: int | None) -> None:
    """Usage is asked for by one insertion or replacement, or the body is left alone."""
    asking = splice.ask_usage(written(value, indent, True))
    options = value.get("stream_options")
    if not value or not (options is None or isinstance(options, dict)):
        assert asking is None
        return
    assert asking is not None
    expected = dict(options or {}, include_usage=True)
    assert json.loads(asking) == {**value, "stream_options": expected}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"model":',
        b'"model"',
        b'{"a":1}{"b":2}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
def test_what_is_no_object_is_left_alone(body: bytes) -> None:
    """Malformed bodies go on unchanged."""
    assert splice.rename(body, "x") is None
    assert splice.ask_usage(body) is None


def test_a_repeated_key_is_left_alone() -> None:
    """Which of two equal keys counts is the upstream's business."""
    assert splice.rename(b'{"model":"a","model":"bb"}', "x") is None
    assert splice.ask_usage(b'{"stream":false,"stream":true}') is None


def test_nested_and_quoted_models_are_not_renamed() -> None:
    """Only the top-level model counts, whatever text looks like one."""
    body = b'{"messages":[{"model":"a","content":"\\"model\\":\\"a\\""}], "mod\\u0065l" :\t"a" ,"x":"\\\\"}'
    renamed = splice.rename(body, "b")
    assert renamed == body.replace(b'\t"a"', b'\t"b"')


def test_usage_already_asked_for_is_left_alone() -> None:
    """A client that asks for usage itself gets its event."""
    assert splice.ask_usage(b'{"stream":true,"stream_options":{"include_usage":true}}') is None
    assert splice.ask_usage(b'{"stream_options":{"include_usage":false}}') == (
        b'{"stream_options":{"include_usage":true}}'
    )


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def through(pieces: list[bytes]) -> bytes:
    usage = UsageEvent()
    return b"".join(usage.feed(piece) for piece in pieces) + usage.flush()


CUTS = st.lists(st.integers(0, 5000), max_size=12)
EVENTS = st.lists(
    st.sampled_from(
        [
            chunk({"content": "x"}, usage=True),
            chunk({"content": '"usage":{"a":1},"choices":[]\n\n'}),
            b": ping\n\n",
            b"\n",
            b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
            b'data: {"choices":[{"i":0}],"usage":{"total_tokens":1}}\n\n',
            b'event: x\ndata: {"usage":{"a":1}}\n\n',
            b"data: [DONE]\n\n",
            b"data: " + b"long" * 40 + b"\n\n",
        ]
    ),
    max_size=6,
)


@settings(max_examples=100)
@given(EVENTS, st.integers(0, 6), CUTS, st.sampled_from([b"\n", b"\r\n"]))
def test_the_usage_event_is_removed_in_any_split(
    events: list[bytes], place: int, cuts: list[int], newline: bytes
) -> None:
    """Of any stream in any split, everything comes out but the first usage event."""
    before, after = events[:place], events[place:]
    whole = b"".join([*before, usage_event(), *after]).replace(b"\n", newline)
    without = b"".join([*before, *after]).replace(b"\n", newline)
    assert through(split(whole, cuts)) == without


@settings(max_examples=100)
@given(st.binary(max_size=400) | EVENTS.map(b"".join), CUTS)
def test_a_stream_without_the_event_passes_unchanged(data: bytes, cuts: list[int]) -> None:
    """Bytes of any kind, in any split, come out as they went in."""
    assert through(split(data, cuts)) == data


def test_finished_events_are_never_held() -> None:
    """Each event goes on with the piece that ends it; only what may be the usage event waits."""
    usage = UsageEvent()
    for piece in stream_of(usage=True):
        assert usage.feed(piece) == (b"" if piece == usage_event() else piece)
    assert usage.flush() == b""


def test_an_unfinished_event_with_choices_goes_on_at_once() -> None:
    """Part of an event that cannot be the usage event is not held."""
    usage = UsageEvent()
    piece = chunk({"content": "a long answer"})[:-30]
    assert usage.feed(piece) == piece


def test_an_overlong_event_is_let_through() -> None:
    """What is held is bounded."""
    usage = UsageEvent()
    piece = b'data: {"x":"' + b"y" * splice.USAGE_EVENT_BYTES
    assert usage.feed(piece) == piece
    assert usage.feed(b'"}\n\ndata: {') == b'"}\n\n'
