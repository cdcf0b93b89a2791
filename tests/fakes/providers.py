"""Fakes of the providers' shapes: what each wants in a request, and what its answers look like, byte for byte.

Shapes are those of the providers' public references. A request that the real one would not take is answered with 401 or
404, so that a test of the gateway in front of a fake sees a wrong path or a wrong credential.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "provider-key"


@dataclass(frozen=True)
class Provider:
    """A provider: the addresses at which it answers, the header it wants, and its two answers.

    ``usage_event`` comes only when asked for. ``wants`` are further headers that must be there; ``tokens`` what it
    tells to have read and written.
    """

    name: str
    path: str
    credential: tuple[str, str] | None
    plain: bytes
    stream: tuple[bytes, ...]
    stream_path: str = ""
    usage_event: bytes = b""
    wants: tuple[str, ...] = ()
    tokens: tuple[int, int] = (9, 3)


@dataclass
class Fake:
    """A running fake: the provider, and the requests that reached it."""

    provider: Provider
    seen: list[web.BaseRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


def app(fake: Fake) -> web.Application:
    """The fake's application."""

    async def answer(request: web.Request) -> web.StreamResponse:
        fake.seen.append(request)
        fake.bodies.append(await request.read())
        provider = fake.provider
        refused = _refused(provider, request)
        if refused is not None:
            return refused
        asked = json.loads(fake.bodies[-1])
        if not (asked.get("stream") or (provider.stream_path and request.raw_path == provider.stream_path)):
            return web.Response(body=provider.plain, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for piece in _pieces(provider, asked):
            await response.write(piece)
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application


def _pieces(provider: Provider, asked: dict[str, Any]) -> tuple[bytes, ...]:
    """With the usage event before ``[DONE]`` where it was asked for and the provider has one."""
    wanted = (asked.get("stream_options") or {}).get("include_usage")
    if not (wanted and provider.usage_event):
        return provider.stream
    return (*provider.stream[:-1], provider.usage_event, provider.stream[-1])


def _refused(provider: Provider, request: web.Request) -> web.Response | None:
    if request.raw_path not in (provider.path, provider.stream_path):
        return web.json_response({"error": {"message": f"no route {request.rel_url}"}}, status=404)
    sent = {name: request.headers.get(name) for name in ("authorization", "api-key", "x-api-key", "x-goog-api-key")}
    wanted = dict([provider.credential]) if provider.credential else {}
    if {name: value for name, value in sent.items() if value is not None} != wanted:
        return web.json_response({"error": {"message": "credentials"}}, status=401)
    if any(name not in request.headers for name in provider.wants):
        return web.json_response({"error": {"message": "a header is missing"}}, status=400)
    return None


def _event(data: dict[str, Any], name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"
BEARER = ("authorization", f"Bearer {KEY}")


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
        | more
    )


def _usage_event(model: str, usage: dict[str, Any] = USAGE, **more: Any) -> bytes:
    return _event(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": []}
        | {"usage": usage}
        | more
    )


def _chat(model: str, usage: dict[str, Any] = USAGE, message: dict[str, Any] | None = None, **more: Any) -> bytes:
    said = {"role": "assistant", "content": "Hello there!", **(message or {})}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": "stop"}
    return json.dumps(
        {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
        | {"usage": usage}
        | more,
        indent=2,
    ).encode()


def _words(model: str, **more: Any) -> tuple[bytes, ...]:
    return (
        _chunk(model, {"role": "assistant", "content": ""}, **more),
        _chunk(model, {"content": "Hello"}, **more),
        _chunk(model, {"content": " there!"}, **more),
        _chunk(model, {}, "stop", **more),
    )


_FILTERS = {"hate": {"filtered": False, "severity": "safe"}}
_OPENROUTER = {**USAGE, "cost": 0.00014, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}
_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
_GEMINI_USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}


def _gemini(text: str, **more: Any) -> dict[str, Any]:
    content = {"parts": [{"text": text}], "role": "model"}
    given = {"candidates": [{"content": content, "index": 0, **more}], "modelVersion": "gemini-2.5-flash"}
    return {**given, "usageMetadata": _GEMINI_USAGE, "responseId": "r1"}


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider(
            "openai",
            "/v1/chat/completions",
            BEARER,
            _chat("gpt-4o-mini-2024-07-18", service_tier="default", system_fingerprint="fp_1"),
            (*_words("gpt-4o-mini-2024-07-18", obfuscation="aB3"), DONE),
            usage_event=_usage_event("gpt-4o-mini-2024-07-18"),
        ),
        Provider(
            "azure",
            "/openai/deployments/chat-prod/chat/completions?api-version=2024-10-21",
            ("api-key", KEY),
            _chat("gpt-4o-mini-2024-07-18", prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}]),
            (
                _event({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": []}),
                *_words("gpt-4o-mini-2024-07-18", content_filter_results=_FILTERS),
                DONE,
            ),
            usage_event=_usage_event("gpt-4o-mini-2024-07-18"),
        ),
        Provider(
            "anthropic",
            "/v1/messages",
            ("x-api-key", KEY),
            json.dumps(
                {
                    **_MESSAGE,
                    "content": [{"type": "text", "text": "Hello there!"}],
                    "stop_reason": "end_turn",
                    "stop_sequence": None,
                    "usage": {"input_tokens": 4, "cache_read_input_tokens": 5, "output_tokens": 3},
                }
            ).encode(),
            (
                _event(
                    {
                        "type": "message_start",
                        "message": {
                            **_MESSAGE,
                            "content": [],
                            "usage": {"input_tokens": 4, "cache_read_input_tokens": 5, "output_tokens": 1},
                        },
                    },
                    "message_start",
                ),
                _event(
                    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                    "content_block_start",
                ),
                _event({"type": "ping"}, "ping"),
                _event(
                    {
                        "type": "content_block_delta",
                        "index": 0,
                        "delta": {"type": "text_delta", "text": "Hello there!"},
                    },
                    "content_block_delta",
                ),
                _event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
                _event(
                    {
                        "type": "message_delta",
                        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                        "usage": {"output_tokens": 3},
                    },
                    "message_delta",
                ),
                _event({"type": "message_stop"}, "message_stop"),
            ),
            wants=("anthropic-version",),
        ),
        Provider(
            "gemini",
            "/v1beta/models/gemini-2.5-flash:generateContent",
            ("x-goog-api-key", KEY),
            json.dumps(_gemini("Hello there!", finishReason="STOP")).encode(),
            (
                b"data: " + json.dumps(_gemini("Hello")).encode() + b"\r\n\r\n",
                b"data: " + json.dumps(_gemini(" there!", finishReason="STOP")).encode() + b"\r\n\r\n",
            ),
            stream_path="/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        Provider(
            "vllm",
            "/v1/chat/completions",
            None,
            _chat("Qwen/Qwen3-8B", message={"reasoning_content": None, "tool_calls": []}, prompt_logprobs=None),
            (*_words("Qwen/Qwen3-8B"), DONE),
            usage_event=_usage_event("Qwen/Qwen3-8B"),
        ),
        Provider(
            "ollama",
            "/v1/chat/completions",
            None,
            _chat("llama3.2", system_fingerprint="fp_ollama"),
            (*_words("llama3.2", system_fingerprint="fp_ollama"), DONE),
            usage_event=_usage_event("llama3.2", system_fingerprint="fp_ollama"),
        ),
        Provider(
            "llama.cpp",
            "/v1/chat/completions",
            None,
            _chat("qwen.gguf", timings={"prompt_n": 9, "prompt_ms": 12.5, "predicted_n": 3, "predicted_ms": 60.1}),
            (*_words("qwen.gguf"), DONE),
            usage_event=_usage_event("qwen.gguf", timings={"prompt_n": 9, "predicted_n": 3}),
        ),
        Provider(
            "openrouter",
            "/api/v1/chat/completions",
            BEARER,
            _chat("openai/gpt-4o-mini", _OPENROUTER, provider="OpenAI"),
            (
                b": OPENROUTER PROCESSING\n\n",
                *_words("openai/gpt-4o-mini", provider="OpenAI")[:-1],
                _chunk("openai/gpt-4o-mini", {"content": ""}, "stop", provider="OpenAI", usage=_OPENROUTER),
                DONE,
            ),
        ),
        Provider(
            "groq",
            "/openai/v1/chat/completions",
            BEARER,
            _chat("llama-3.3-70b-versatile", {**USAGE, "queue_time": 0.01}, x_groq={"id": "req_1"}),
            (
                _chunk("llama-3.3-70b-versatile", {"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
                *_words("llama-3.3-70b-versatile")[1:3],
                _chunk("llama-3.3-70b-versatile", {}, "stop", x_groq={"id": "req_1", "usage": USAGE}),
                DONE,
            ),
        ),
        Provider(
            "together",
            "/v1/chat/completions",
            BEARER,
            _chat("meta-llama/Llama-3.3-70B-Instruct-Turbo", prompt=[]),
            (
                *_words("meta-llama/Llama-3.3-70B-Instruct-Turbo")[:3],
                _chunk("meta-llama/Llama-3.3-70B-Instruct-Turbo", {"content": ""}, "stop", usage=USAGE),
                DONE,
            ),
        ),
    )
}
