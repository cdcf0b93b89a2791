"""From captured bytes to an exchange, dialect by dialect and damage by damage."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.raw import Capture, Ended
from gateway.wire import parse
from tests.wire.wholes import ASK, chat, chunk, sse, whole

USAGE = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}


def test_a_plain_answer_gives_its_facts() -> None:
    """Everything a record needs is read off the body."""
    found = parse(whole(chat(usage=USAGE, service_tier="default")))
    assert found.request == ASK
    assert found.response == chat(usage=USAGE, service_tier="default")
    assert found.reported == USAGE
    assert (found.model, found.response_model) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert (found.response_id, found.finish_reasons, found.service_tier) == ("chatcmpl-1", ("stop",), "default")
    assert (found.stream, found.partial, found.unparsed, found.error_type) == (False, False, False, "")


def test_a_stream_takes_the_shape_of_its_twin() -> None:
    """Text, refusal, reasoning, tool calls and two choices become whole again."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    found = parse(
        whole(
            sse(
                chunk({"role": "assistant", "content": ""}),
                chunk({"reasoning_content": "Hm"}),
                chunk({"reasoning_content": "m."}),
                chunk({"content": "Hel"}),
                chunk({"role": "assistant", "refusal": "No"}, index=1),
                chunk({"content": "lo"}),
                chunk({"tool_calls": [call]}),
                chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
                chunk({"tool_calls": [{"index": 1, "id": "call_2", "function": {"name": "g", "arguments": "{}"}}]}),
                chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
                chunk({"refusal": "."}, index=1, finish="content_filter"),
                chunk({}, finish="tool_calls"),
                chunk(usage=USAGE),
            ),
            stream=True,
        )
    )
    first, second = found.response["choices"]
    assert first["message"] == {
        "role": "assistant",
        "content": "Hello",
        "reasoning_content": "Hmm.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "call_2", "function": {"name": "g", "arguments": "{}"}},
        ],
    }
    assert second["message"] == {"role": "assistant", "refusal": "No."}
    assert found.finish_reasons == ("tool_calls", "content_filter")
    assert (found.response["object"], found.reported, found.stream) == ("chat.completion", USAGE, True)
    assert not found.unparsed


def test_streamed_completions() -> None:
    """The older API's text is joined."""
    events = [{"object": "text_completion", "choices": [{"index": 0, "text": part}]} for part in ("a", "b")]
    assert parse(whole(sse(*events), stream=True)).response["choices"] == [{"index": 0, "text": "ab"}]


RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-4o-mini",
    "status": "completed",
    "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
    ],
    "usage": {"input_tokens": 8, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}},
}


def response_events(text: str = "Hello") -> list[dict[str, Any]]:
    """The events that make up ``RESPONSE`` but for the final one."""
    begun = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    item: dict[str, Any] = {"type": "message", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": ""}
    deltas = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": letter}
        for letter in text
    ]
    return [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": part},
        *deltas,
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {"type": "function_call", "name": "f", "arguments": ""},
        },
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "}"},
    ]


def test_a_streamed_response_is_its_final_event() -> None:
    """The Responses API repeats everything at the end."""
    events = [*response_events(), {"type": "response.completed", "response": RESPONSE}]
    found = parse(whole(sse(*events, done=False), stream=True, route="/v1/responses"))
    assert found.response == RESPONSE
    assert (found.finish_reasons, found.reported) == (("completed",), RESPONSE["usage"])


def test_a_cut_response_is_put_together_from_its_deltas() -> None:
    """What came before the cut stands in the plain shape."""
    cut = whole(sse(*response_events(), done=False), stream=True, ended=Ended.CLIENT_GONE, route="/v1/responses")
    found = parse(cut)
    assert found.response["output"] == RESPONSE["output"]
    assert (found.partial, found.reported, found.unparsed) == (True, None, False)


def test_an_anthropic_stream() -> None:
    """Blocks are joined, tool input becomes JSON, usage of start and end are one."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}
    events = [
        {
            "type": "message_start",
            "message": {"id": "msg_1", "model": "claude-sonnet-4-5", "content": [], "usage": usage},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "He"}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "y"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    found = parse(whole(sse(*events, done=False), stream=True, route="/v1/messages", dialect="anthropic"))
    assert found.response["content"] == [
        {"type": "text", "text": "Hey"},
        {"type": "tool_use", "name": "f", "input": {"a": 1}},
    ]
    assert found.reported == {**usage, "output_tokens": 9}
    assert (found.response_id, found.finish_reasons) == ("msg_1", ("tool_use",))


GEMINI = {"route": "/v1beta/models/{model}:streamGenerateContent", "dialect": "gemini", "stream": True}


def gemini_pieces() -> list[dict[str, Any]]:
    """A thought, a text in two pieces, a call of a tool; usage grows from piece to piece."""
    parts: list[dict[str, Any]] = [
        {"text": "Hm", "thought": True},
        {"text": "He"},
        {"text": "y", "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
    ]
    pieces: list[dict[str, Any]] = [
        {
            "candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5 + number},
            "modelVersion": "gemini-2.5-flash",
            "responseId": "r1",
        }
        for number, part in enumerate(parts)
    ]
    pieces[-1]["candidates"][0]["finishReason"] = "STOP"
    return pieces


@pytest.mark.parametrize("listed", [False, True])
def test_a_gemini_stream(listed: bool) -> None:
    """As events, or as the items of one list: parts are joined by voice, the last usage counts."""
    body: Any = gemini_pieces() if listed else sse(*gemini_pieces(), done=False)
    found = parse(whole(body, content_type="application/json" if listed else None, **GEMINI))
    (candidate,) = found.response["candidates"]
    assert candidate["content"]["parts"] == [
        {"text": "Hm", "thought": True},
        {"text": "Hey", "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
    ]
    assert found.reported == {"promptTokenCount": 5, "totalTokenCount": 8}
    assert (found.response_model, found.response_id, found.finish_reasons) == ("gemini-2.5-flash", "r1", ("STOP",))
    assert (found.partial, found.unparsed) == (False, False)


def test_a_cut_gemini_stream_is_partial() -> None:
    """No candidate told why it finished."""
    assert parse(whole(sse(*gemini_pieces()[:2], done=False), **GEMINI)).partial
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    assert not parse(whole(sse(blocked, done=False), **GEMINI)).partial


@given(pieces=st.integers(1, 4), cut=st.integers(0, 400))
def test_a_gemini_list_cut_anywhere_keeps_its_whole_items(pieces: int, cut: int) -> None:
    """What came whole is put together; a list that lacks its end is partial."""
    body = json.dumps(gemini_pieces()[:pieces]).encode()
    found = parse(whole(body[:-1][: max(cut, 1)], content_type="application/json", **GEMINI))
    items = sum(body.startswith(json.dumps(gemini_pieces()[:n]).encode()[:-1], 0, cut) for n in range(1, pieces + 1))
    if items:
        assert found.reported == {"promptTokenCount": 5, "totalTokenCount": 4 + items}
        assert (found.partial, found.unparsed) == (True, False)
    else:
        assert found.unparsed


def test_gemini_tells_its_tier_within_its_usage() -> None:
    """In its own words, or in Vertex's, which name kinds of traffic."""
    tiers = {
        parse(whole({"candidates": [], "usageMetadata": used})).service_tier
        for used in ({"serviceTier": "FLEX"}, {"trafficType": "ON_DEMAND_PRIORITY"}, {"trafficType": "X"}, {"a": 1})
    }
    assert tiers == {"flex", "priority", "provisioned", ""}


def test_a_gemini_answer_with_a_gap_keeps_its_usage() -> None:
    """It stands at the end, where the last bytes are kept."""
    tail = b'xx"}]}}], "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 3}}'
    found = parse(whole(b'{"candidates": [{"con', tail=tail, capture=Capture.TRUNCATED))
    assert found.reported == {"promptTokenCount": 8, "candidatesTokenCount": 3}


@pytest.mark.parametrize(
    ("error", "type_", "code"),
    [
        ({"code": 404, "message": "m", "status": "NOT_FOUND"}, "NOT_FOUND", "404"),
        ({"type": "rate_limit", "code": "slow_down", "message": "m"}, "rate_limit", "slow_down"),
        ({"message": "m", "code": 429}, "error", "429"),
        ("no", "error", ""),
        (None, "", ""),
    ],
)
def test_error_bodies(error: Any, type_: str, code: str) -> None:
    """Type and code of whatever shape of error."""
    found = parse(whole({"error": error}, status=429))
    assert (found.error_type, found.error_code) == (type_, code)


def test_errors_in_mid_stream() -> None:
    """The status was 200 long before."""
    error = {"error": {"type": "server_error", "code": "overloaded"}}
    chats = parse(whole(sse(chunk({"content": "He"}), error), stream=True))
    assert (chats.error_type, chats.error_code) == ("server_error", "overloaded")
    assert chats.response["choices"][0]["message"]["content"] == "He"
    event = {"type": "error", "code": "boom", "message": "m", "sequence_number": 2}
    responses = parse(whole(sse(response_events()[0], event), stream=True))
    assert (responses.error_type, responses.error_code) == ("error", "boom")


def test_compressed_bodies() -> None:
    """Both directions are unpacked."""
    ask = gzip.compress(json.dumps(ASK).encode())
    answer = gzip.compress(json.dumps(chat()).encode())
    found = parse(whole(answer, ask, encoding="gzip", content_encoding="gzip"))
    assert (found.request, found.response, found.unparsed) == (ASK, chat(), False)
    assert found.model == "gpt-4o-mini"


def test_a_gap_in_a_stream_drops_only_the_torn_events() -> None:
    """Usage comes from the tail; the text on both sides of the gap stands."""
    head = sse(chunk({"content": "A"}), done=False) + sse(chunk({"content": "torn"}), done=False)[:-30]
    tail = b'ent": "torn"}}]}\n\n' + sse(chunk({"content": "Z"}), chunk({}, finish="stop"), chunk(usage=USAGE))
    found = parse(whole(head, stream=True, tail=tail, capture=Capture.TRUNCATED))
    assert found.response["choices"][0]["message"]["content"] == "AZ"
    assert (found.reported, found.unparsed) == (USAGE, False)


def test_a_gap_in_a_plain_answer_leaves_text_and_usage() -> None:
    """JSON with a hole is text; its usage is still found."""
    body = json.dumps(chat('say "usage": {"a": 1} ' + "x" * 500, usage=USAGE)).encode()
    found = parse(whole(body[:200], tail=body[-120:], capture=Capture.TRUNCATED))
    assert found.response == body[:200].decode() + "[…]" + body[-120:].decode()
    assert (found.reported, found.unparsed) == (USAGE, True)


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]", b"data: [DONE]\r\n\r\n"])
def test_a_client_that_goes_at_the_bracket_saw_the_end(end: bytes) -> None:
    """The blank line after ``[DONE]`` may never have been sent."""
    found = parse(whole(sse(chunk({"content": "A"}), done=False) + end, stream=True))
    assert (found.partial, found.unparsed) == (False, False)


@pytest.mark.parametrize(
    ("events", "partial"),
    [
        ([chunk({"content": "A"})], True),
        ([chunk({"content": "A"}), {"error": {"message": "m"}}], True),
        ([chunk({"content": "A"}, finish="stop")], False),
        ([chunk({"content": "A"}, finish="stop"), chunk({"content": "B"}, index=1)], True),
        ([{"type": "response.created", "response": {"object": "response"}}], True),
        ([{"type": "response.failed", "response": {"object": "response", "error": {"code": "x"}}}], False),
        ([{"type": "message_start", "message": {"id": "m"}}], True),
        ([{"type": "message_start", "message": {"id": "m"}}, {"type": "message_stop"}], False),
        ([{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}], False),
        ([{"type": "transcript.text.delta", "delta": "A"}], False),
    ],
)
def test_a_stream_that_stops_without_its_end_is_partial(events: list[Any], partial: bool) -> None:
    """However cleanly the connection was closed; ends of unknown kinds of streams count as told."""
    assert parse(whole(sse(*events, done=False), stream=True)).partial is partial


def test_an_end_that_was_not_captured_is_not_taken_for_a_cut() -> None:
    """After a gap in a compressed stream, and past the bound of what is unpacked, nobody knows."""
    text = sse(chunk({"content": "A" * 1000}), done=False)
    gap = parse(whole(gzip.compress(text), tail=b"x", encoding="gzip", stream=True, capture=Capture.TRUNCATED))
    assert (gap.partial, gap.unparsed, gap.response["choices"][0]["message"]["content"]) == (False, True, "A" * 1000)
    large = parse(whole(gzip.compress(text * 9000), encoding="gzip", stream=True))
    assert (large.partial, large.unparsed) == (False, True)


def test_a_stream_without_a_content_type_is_known_by_its_look() -> None:
    """When one was asked for; JSON that says so is JSON."""
    data = sse(chunk({"content": "A"}, finish="stop"))
    assert parse(whole(data, stream=True, content_type="")).finish_reasons == ("stop",)
    assert parse(whole(data, stream=True, content_type="application/json")).unparsed
    assert parse(whole(data, content_type="text/plain")).response == data.decode()


def test_errors_in_other_shapes() -> None:
    """vLLM's flat one, and a list of one."""
    flat = parse(whole({"object": "error", "type": "BadRequestError", "code": 400}, status=400))
    assert (flat.error_type, flat.error_code) == ("BadRequestError", "400")
    listed = parse(whole([{"error": {"code": 404, "message": "m"}}], status=404))
    assert (listed.error_type, listed.error_code) == ("error", "404")


@pytest.mark.parametrize("type_", [[], {}, 1, None])
def test_an_event_type_of_a_wrong_type(type_: Any) -> None:
    """It is passed over, in every dialect."""
    odd = {"type": type_, "response": {}, "delta": {"type": type_}, "status": type_, "stop_reason": type_}
    created = {"type": "response.created", "response": {"id": "r"}}
    started = {"type": "message_start", "message": {"id": "m"}}
    for first in (created, started, chunk({})):
        assert not parse(whole(sse(first, odd), stream=True)).unparsed


def test_the_usage_after_a_gap_is_one_that_counts_tokens() -> None:
    """A schema's property of the same name does not hide it."""
    tail = b'"usage": {"input_tokens": 1, "output_tokens": 2}, "tools": [{"usage": {"type": "object"}}]}'
    assert parse(whole(b"{", tail=tail, capture=Capture.TRUNCATED)).reported == {"input_tokens": 1, "output_tokens": 2}


def test_a_cut_request_is_text() -> None:
    """Half a JSON document is shown as it is."""
    found = parse(whole(chat(), b'{"model": "x', body_truncated=True))
    assert (found.request, found.unparsed) == ('{"model": "x', True)


def test_what_is_not_json_is_text() -> None:
    """Broken UTF-8 is replaced, nothing raised."""
    found = parse(whole(b"<html>\xff", b"\xfe"))
    assert (found.request, found.response, found.unparsed) == ("\ufffd", "<html>\ufffd", True)


def test_nothing_captured_is_none() -> None:
    """Neither an empty body nor a call whose capture is off has text."""
    empty = parse(whole(b"", b""))
    assert (empty.request, empty.response, empty.unparsed) == (None, None, False)
    off = parse(whole(chat(usage=USAGE), capture=Capture.NONE))
    assert (off.request, off.response, off.reported) == (None, None, None)


def test_lone_surrogates_and_nan_can_be_written_on() -> None:
    """A value that JSON writers refuse would stop the record; it is mended."""
    for body in (b'{"a": "\\ud800", "b": NaN}', b'{"a": "\\ud800"}', b'{"b": -Infinity}'):
        found = parse(whole(body))
        json.dumps(found.response, ensure_ascii=False, allow_nan=False).encode()
        assert isinstance(found.response, dict)


KEYS = st.sampled_from(
    [
        "choices", "delta", "message", "index", "type", "response", "output", "item", "content", "text", "tool_calls",
        "usage", "error", "output_index", "part", "content_block", "logprobs", "model", "summary", "input",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
KINDS = st.sampled_from(
    [
        "response.completed", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
        "response.function_call_arguments.delta", "message_start", "content_block_start", "content_block_delta",
        "message_delta", "error",
    ]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80), st.booleans(), st.sampled_from(["", "gzip", "br", "zstd", "?"]))
def test_no_bytes_make_parse_raise(head: bytes, tail: bytes, stream: bool, coding: str) -> None:
    """Whatever upstreams and clients send."""
    parse(whole(head, tail, stream=stream, tail=tail, encoding=coding, content_encoding=coding))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.none() | KINDS, JSON), max_size=4))
def test_no_json_makes_parse_raise(events: list[tuple[str | None, Any]]) -> None:
    """Known field names with values of any type, plain and streamed."""
    bodies = [
        {**value, **({"type": kind} if kind else {})} if isinstance(value, dict) else {"delta": value, "type": kind}
        for kind, value in events
    ]
    data = b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)
    for opening in (b"", b'data: {"type": "response.created"}\n\n', b'data: {"type": "message_start"}\n\n'):
        json.dumps(parse(whole(opening + data, stream=True)).response)
    for body in bodies:
        parse(whole(body, body))


def test_deep_nesting_is_text() -> None:
    """A document too deep to walk stands as text, in a stream as well."""
    deep = b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert parse(whole(deep)).unparsed
    parse(whole(b"data: " + deep + b"\n\n", stream=True))
    for depth in (300, 600, 900):
        body = b'{"choices":[{"index":0,"delta":{"a":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}]}"
        parse(whole(b"data: " + body + b"\n\n", stream=True))


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(max_size=30), min_size=1, max_size=3),
    arguments=st.lists(st.text(max_size=20), max_size=2),
    data=st.data(),
)
def test_a_chopped_answer_assembles_to_the_original(
    texts: list[str], arguments: list[str], data: st.DataObject
) -> None:
    """Whatever the cuts and however choices are mixed, the stream gives its plain twin."""
    calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": text}}
        for number, text in enumerate(arguments)
    ]
    choices = []
    queues: list[list[Any]] = []
    for index, text in enumerate(texts):
        message: dict[str, Any] = {"role": "assistant", "content": text}
        queue = [chunk({"role": "assistant", "content": ""}, index=index)]
        queue += [chunk({"content": piece}, index=index) for piece in _pieces(text, data)]
        if calls and index == 0:
            message["tool_calls"] = calls
            queue += _call_chunks(calls, data)
        queues.append([*queue, chunk({}, index=index, finish="stop")])
        choices.append({"index": index, "message": message, "finish_reason": "stop"})
    mixed = []
    while any(queues):
        mixed.append(data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    found = parse(whole(sse(*mixed, chunk(usage=USAGE)), stream=True))
    assert found.response == chat(usage=USAGE, choices=choices)


def _pieces(text: str, data: st.DataObject) -> list[str]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _call_chunks(calls: list[dict[str, Any]], data: st.DataObject) -> list[Any]:
    chunks = []
    for index, call in enumerate(calls):
        begun = {**call, "index": index, "function": {"name": "f", "arguments": ""}}
        chunks.append(chunk({"tool_calls": [begun]}))
        chunks += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            for piece in _pieces(call["function"]["arguments"], data)
        ]
    return chunks
