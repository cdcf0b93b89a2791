"""An upstream that does what it is asked: it says hello, calls the tool it is offered, or does not know the model.

Chat completions, responses, Anthropic's messages and Gemini's generateContent, plain and streamed, in the shapes of the
providers' references. It tells what it means by what it is sent, so that every client's own way of asking works.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web
from anyio import from_thread

MISSING = "missing"
"""The model that there is not."""
WORDS = ("Hello", " there", "!")
ARGUMENTS = {"city": "Dhaka"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
RESPONSE_USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 12,
}
TEXT = "".join(WORDS)

Event = dict[str, Any]


def _sse(event: Event, *, named: bool = False) -> bytes:
    name = f"event: {event['type']}\n" if named else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def _chat_head(asked: dict[str, Any], kind: str) -> Event:
    return {"id": "chatcmpl-fake", "object": kind, "created": 1_790_000_000, "model": asked["model"]}


def _chat_tool(asked: dict[str, Any]) -> str:
    """The name of the tool to call; none when its result is there already."""
    tools = asked.get("tools") or []
    return "" if not tools or asked["messages"][-1]["role"] == "tool" else str(tools[0]["function"]["name"])


def chat(asked: dict[str, Any]) -> Event:
    """A plain chat completion."""
    message: Event = {"role": "assistant", "content": TEXT, "refusal": None}
    if tool := _chat_tool(asked):
        function = {"name": tool, "arguments": json.dumps(ARGUMENTS)}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if tool else "stop"}
    return _chat_head(asked, "chat.completion") | {"choices": [choice], "usage": USAGE}


def chat_stream(asked: dict[str, Any]) -> Iterator[bytes]:
    """A streamed chat completion, with usage when it was asked for."""
    head = _chat_head(asked, "chat.completion.chunk")
    deltas: list[Event] = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
    tool = _chat_tool(asked)
    if tool:
        text = json.dumps(ARGUMENTS)
        calls: list[Event] = [
            {"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": ""}},
            {"index": 0, "function": {"arguments": text[:7]}},
            {"index": 0, "function": {"arguments": text[7:]}},
        ]
        deltas = [{"role": "assistant", "content": None}, *({"tool_calls": [call]} for call in calls)]
    for delta in deltas:
        yield _sse(head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})
    yield _sse(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if tool else "stop"}]})
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield _sse(head | {"choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def _item(asked: dict[str, Any]) -> Event:
    given = asked["input"]
    answered = isinstance(given, list) and given[-1].get("type") == "function_call_output"
    if (tools := asked.get("tools")) and not answered:
        call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tools[0]["name"]}
        return {**call, "arguments": json.dumps(ARGUMENTS), "status": "completed"}
    part = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def response(asked: dict[str, Any], status: str = "completed") -> Event:
    """A plain answer of the Responses API."""
    done = status == "completed"
    return {
        "id": "resp_fake",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "model": asked["model"],
        "output": [_item(asked)] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": asked.get("tools") or [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": RESPONSE_USAGE if done else None,
    }


def response_stream(asked: dict[str, Any]) -> Iterator[bytes]:
    """A streamed answer of the Responses API."""
    item = _item(asked)
    at = {"output_index": 0, "item_id": item["id"]}
    events: list[Event] = [{"type": "response.created", "response": response(asked, "in_progress")}]
    if item["type"] == "message":
        where = at | {"content_index": 0}
        part = item["content"][0]
        opened = {**item, "status": "in_progress", "content": []}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": opened},
            {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
            *({"type": "response.output_text.delta", **where, "delta": word, "logprobs": []} for word in WORDS),
            {"type": "response.output_text.done", **where, "text": TEXT, "logprobs": []},
            {"type": "response.content_part.done", **where, "part": part},
        ]
    else:
        opened = {**item, "status": "in_progress", "arguments": ""}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": opened},
            {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]},
            {
                "type": "response.function_call_arguments.done",
                **at,
                "arguments": item["arguments"],
                "name": item["name"],
            },
        ]
    events += [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response(asked)},
    ]
    for number, event in enumerate(events):
        yield _sse({**event, "sequence_number": number}, named=True)


def _block(asked: dict[str, Any]) -> Event:
    if tools := asked.get("tools"):
        return {"type": "tool_use", "id": "toolu_1", "name": tools[0]["name"], "input": ARGUMENTS}
    return {"type": "text", "text": TEXT}


def message(asked: dict[str, Any]) -> Event:
    """A plain answer of Anthropic's Messages API."""
    block = _block(asked)
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }


def message_stream(asked: dict[str, Any]) -> Iterator[bytes]:
    """A streamed answer of Anthropic's Messages API."""
    whole = message(asked)
    block = whole["content"][0]
    start = {**whole, "content": [], "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    yield _sse({"type": "message_start", "message": start}, named=True)
    opened = {**block, "input": {}} if block["type"] == "tool_use" else {**block, "text": ""}
    yield _sse({"type": "content_block_start", "index": 0, "content_block": opened}, named=True)
    yield _sse({"type": "ping"}, named=True)
    deltas: list[Event] = [{"type": "text_delta", "text": word} for word in WORDS]
    if block["type"] == "tool_use":
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(ARGUMENTS)}]
    for delta in deltas:
        yield _sse({"type": "content_block_delta", "index": 0, "delta": delta}, named=True)
    yield _sse({"type": "content_block_stop", "index": 0}, named=True)
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield _sse({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 3}}, named=True)
    yield _sse({"type": "message_stop"}, named=True)


def _candidate(asked: dict[str, Any], parts: list[Event], finish: str | None = None) -> Event:
    candidate: Event = {"content": {"parts": parts, "role": "model"}, "index": 0}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    given = {"candidates": [candidate | ({"finishReason": finish} if finish else {})], "usageMetadata": usage}
    return given | {"modelVersion": asked["model"], "responseId": "fake"}


def content(asked: dict[str, Any]) -> Event:
    """A plain answer of Gemini."""
    if tools := asked.get("tools"):
        name = tools[0]["functionDeclarations"][0]["name"]
        return _candidate(asked, [{"functionCall": {"name": name, "args": ARGUMENTS}}], "STOP")
    return _candidate(asked, [{"text": TEXT}], "STOP")


def content_stream(asked: dict[str, Any]) -> Iterator[bytes]:
    """A streamed answer of Gemini; its lines end as Google's do."""
    for number, word in enumerate(WORDS, start=1):
        event = _candidate(asked, [{"text": word}], "STOP" if number == len(WORDS) else None)
        yield b"data: " + json.dumps(event).encode() + b"\r\n\r\n"


_ANSWERS = {
    "/v1/chat/completions": (chat, chat_stream),
    "/v1/responses": (response, response_stream),
    "/v1/messages": (message, message_stream),
}


async def _answer(request: web.Request) -> web.StreamResponse:
    asked = json.loads(await request.read())
    plain, stream = _ANSWERS.get(request.path, (content, content_stream))
    streamed = bool(asked.get("stream"))
    if plain is content:
        name, _, verb = request.path.rpartition("/")[2].partition(":")
        asked["model"], streamed = name, verb == "streamGenerateContent"
    if asked["model"] == MISSING:
        return _unknown(request.path)
    if not streamed:
        return web.json_response(plain(asked), headers={"x-request-id": "req_fake"})
    answer = web.StreamResponse(headers={"content-type": "text/event-stream", "x-request-id": "req_fake"})
    await answer.prepare(request)
    for piece in stream(asked):
        await answer.write(piece)
    return answer


def _unknown(path: str) -> web.Response:
    said = f"The model '{MISSING}' does not exist."
    error: Event = {"message": said, "type": "invalid_request_error", "param": None, "code": "model_not_found"}
    if path == "/v1/messages":
        return web.json_response(
            {"type": "error", "error": {"type": "not_found_error", "message": said}, "request_id": "req_fake"},
            status=404,
        )
    if "generateContent" in path.lower() or ":" in path:
        error = {"code": 404, "message": said, "status": "NOT_FOUND"}
    return web.json_response({"error": error}, status=404)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[str]:
    """The fake on a free port; its address without a path."""
    application = web.Application()
    application.router.add_post("/{path:.*}", _answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The same on a loop and a thread of its own."""
    with from_thread.start_blocking_portal() as portal, portal.wrap_async_context_manager(running()) as address:
        yield address
