"""Calls whose upstream did not tell what they used: counted by us, as far as they came.

USD per million tokens: gpt-4o-mini 0.15/0.60; gpt-3.5-turbo-instruct 1.50/2; text-embedding-3-small 0.02;
claude-sonnet-4-5 3/15.
"""

from __future__ import annotations

from typing import Any

from gateway.raw import Ended, Whole
from tests.meter.golden.case import CALL, EMBED, HELLO, MESSAGE, TOOLS, VECTOR, counted, responses, said, usage
from tests.wire.wholes import chat, chunk, sse, whole


def cut_response() -> Whole:
    """A streamed answer of the Responses API, without its end."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"object": "response", "model": "gpt-4o-mini", "usage": None}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello"},
    ]
    ask = {"model": "gpt-4o-mini", "input": "hello"}
    return whole(sse(*events, done=False), ask, route="/v1/responses", stream=True, ended=Ended.CLIENT_GONE)


COUNTED = [
    counted("streamed without usage", said(*HELLO, chunk({}, finish="stop")), (8, 3), "0.000003000000"),
    counted("plain without usage", whole(chat()), (8, 3), "0.000003000000"),
    counted(
        "n = 2",
        said(
            chunk({"content": "Hello there!"}, finish="stop"),
            chunk({"content": "Hello there!"}, index=1, finish="stop"),
        ),
        (8, 6),
        "0.000004800000",
    ),
    counted(
        "tool calls",
        said(
            chunk({"tool_calls": [{"index": 0, **CALL}]}),
            chunk({}, finish="tool_calls"),
            ask=TOOLS,
        ),
        (22, 8),
        "0.000008100000",
    ),
    counted("refusal", said(chunk({"refusal": "Hello there!"}, finish="stop")), (8, 3), "0.000003000000"),
    counted(
        "a thought told under two names",
        said(chunk({"reasoning": "Hello", "reasoning_content": "Hello", "content": "Hello"}, finish="stop")),
        (8, 2),
        "0.000002400000",
    ),
    counted(
        "completions",
        whole(
            {"choices": [{"index": 0, "text": "Hello there!"}]},
            {"model": "gpt-3.5-turbo-instruct", "prompt": ["hello", [1, 2, 3]]},
            route="/v1/completions",
        ),
        (4, 3),
        "0.000012000000",
    ),
    counted("responses without usage", responses({"output": [MESSAGE]}), (8, 3), "0.000003000000"),
    counted("embeddings without usage", whole(VECTOR, EMBED, route="/v1/embeddings"), (1, 0), "0.000000020000"),
    counted(
        "an anthropic stream whose output was not told",
        whole(
            sse(
                {"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 5}}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello there!"}},
                done=False,
            ),
            {"model": "claude-sonnet-4-5", "messages": []},
            route="/v1/messages",
            dialect="anthropic",
            stream=True,
            ended=Ended.CLIENT_GONE,
        ),
        (5, 3),
        "0.000060000000",
        partial=True,
    ),
    counted(
        "cut by the client",
        said(*HELLO[:2], ended=Ended.CLIENT_GONE, done=False),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    counted(
        "cut by the upstream",
        said(*HELLO[:2], ended=Ended.UPSTREAM_RESET, done=False),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    counted("cut by the upstream in silence", said(*HELLO[:2], done=False), (8, 1), "0.000001800000", partial=True),
    counted(
        "an error in mid-stream",
        said(*HELLO[:2], {"error": {"type": "server_error", "code": "overloaded"}}, done=False),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    counted("killed", said(*HELLO[:2], ended=Ended.KILLED, done=False), (8, 1), "0.000001800000", partial=True),
    counted("gone silent", said(*HELLO[:2], ended=Ended.UPSTREAM_TIMEOUT, done=False), (8, 1), "0.000001800000",
            partial=True),
    counted("a refusal, cut by the client", said(chunk({"refusal": "Hello"}), ended=Ended.CLIENT_GONE, done=False),
            (8, 1), "0.000001800000", partial=True),
    counted(
        "usage of nothing written, told before the first word",
        said(*HELLO[:1], chunk(usage=usage(9, 0)), HELLO[1], ended=Ended.CLIENT_GONE, done=False),
        (9, 1),
        "0.000001950000",
        partial=True,
    ),
    counted(
        "responses, cut by the client",
        cut_response(),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    counted("nothing came before the cut", said(ended=Ended.CLIENT_GONE, done=False), (8, 0), "0.000001200000",
            partial=True),
    counted("text that looks like a special token", whole(chat("<|endoftext|>")), (8, 7), "0.000005400000"),
]  # fmt: skip
