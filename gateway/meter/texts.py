"""Which texts of an exchange a model reads and writes, for counting when the upstream reported nothing.

Overhead of chats: 3 tokens a message, 1 for a name, and 3 that open the answer
(https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken). What has no text, such as an image or a
conversation that the provider keeps, cannot be counted: ``None``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from gateway.raw import Exchange, Json

PER_MESSAGE = 3
PER_NAME = 1
PER_ANSWER = 3

Count = Callable[[str], int]
"""From a text to its number of tokens."""

_MEDIA = ("image_url", "input_image", "input_audio", "input_file", "file", "image", "document", "video_url")
_REMEMBERED = ("previous_response_id", "conversation", "prompt")
_PARTS = ("content", "tool_calls", "function_call", "function", "custom", "summary")
_TEXTS = ("text", "refusal", "thinking", "arguments", "input", "output", "code", "name")


class Uncountable(Exception):
    """A part of the input that is not text."""


def input_tokens(exchange: Exchange, count: Count) -> int | None:
    """Tokens the model read, or ``None`` when that cannot be told from the request."""
    request = exchange.request
    kind = kind_of(exchange.call.route)
    if not isinstance(request, dict) or kind not in _INPUTS:
        return None
    try:
        return _INPUTS[kind](request, count)
    except (Uncountable, RecursionError):
        return None


def output_tokens(exchange: Exchange, count: Count) -> int | None:
    """Tokens the model wrote, as far as they came; ``None`` when a part of what came is missing here."""
    kind = kind_of(exchange.call.route)
    response = exchange.response
    if kind.endswith("embeddings"):
        return 0
    if (
        exchange.reply.tail
        or exchange.unparsed
        or kind not in _INPUTS
        or not (response is None or isinstance(response, dict))
    ):
        return None
    try:
        return sum(count(text) for text in _written(response or {}))
    except RecursionError:
        return None


def kind_of(route: str) -> str:
    """The kind of a route, as named below; empty for others. Of ``speech`` and ``images`` no texts are counted."""
    for ending, kind in _KINDS.items():
        if route.endswith(ending):
            return kind
    return ""


_KINDS = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/responses": "responses",
    "/v1/messages": "messages",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
    ":embedContent": "gemini-embeddings",
    ":batchEmbedContents": "gemini-embeddings",
    "/audio/speech": "speech",
    "/images/generations": "images",
    "/images/edits": "images",
    "/images/variations": "images",
}


def _chat(request: dict[str, Any], count: Count) -> int:
    tokens = PER_ANSWER + _messages(request.get("messages"), count)
    return tokens + _schemas(request, count)


def _messages(messages: Json, count: Count) -> int:
    if not isinstance(messages, list):
        raise Uncountable
    tokens = 0
    for message in messages:
        if not isinstance(message, dict):
            continue
        tokens += PER_MESSAGE
        if isinstance(role := message.get("role"), str):
            tokens += count(role)
        if isinstance(name := message.get("name"), str):
            tokens += PER_NAME + count(name)
        rest = {key: value for key, value in message.items() if key not in ("role", "name")}
        tokens += sum(count(text) for text in _read(rest))
    return tokens


def _schemas(request: dict[str, Any], count: Count) -> int:
    """Tools and answer schemas, as their JSON: providers rewrite them in a way they do not tell, close to this."""
    schemas = [request[key] for key in ("tools", "functions", "response_format") if request.get(key)]
    return sum(count(json.dumps(schema, ensure_ascii=False, separators=(",", ":"))) for schema in schemas)


def _prompts(key: str) -> Callable[[dict[str, Any], Count], int]:
    def tokens(request: dict[str, Any], count: Count) -> int:
        return _prompt(request.get(key), count)

    return tokens


def _prompt(prompt: Json, count: Count) -> int:
    """A text, token ids, or a list of either."""
    if isinstance(prompt, str):
        return count(prompt)
    if not isinstance(prompt, list):
        raise Uncountable
    return sum(1 if isinstance(item, int) else _prompt(item, count) for item in prompt)


def _responses(request: dict[str, Any], count: Count) -> int:
    if any(request.get(key) for key in _REMEMBERED):
        raise Uncountable
    given = request.get("input")
    tokens = PER_ANSWER + _schemas(request, count)
    if isinstance(instructions := request.get("instructions"), str):
        tokens += PER_MESSAGE + count("system") + count(instructions)
    if isinstance(given, str):
        return tokens + PER_MESSAGE + count("user") + count(given)
    return tokens + _messages(given, count)


def _anthropic(request: dict[str, Any], count: Count) -> int:
    tokens = _chat(request, count)
    if system := request.get("system"):
        tokens += PER_MESSAGE + sum(count(text) for text in _read(system))
    return tokens


def _gemini(request: dict[str, Any], count: Count) -> int:
    """Google publishes no vocabulary; how it frames messages is not told either."""
    tokens = sum(count(text) for text in _contents(request.get("contents")))
    instruction = request.get("systemInstruction") or request.get("system_instruction")
    tokens += sum(count(text) for text in _contents([instruction] if instruction else []))
    return tokens + _schemas(request, count)


def _gemini_embeddings(request: dict[str, Any], count: Count) -> int:
    asked = request.get("requests") if "requests" in request else [request]
    if not isinstance(asked, list):
        raise Uncountable
    given = [each.get("content") for each in asked if isinstance(each, dict)]
    return sum(count(text) for text in _contents(given))


def _contents(contents: Json) -> Iterator[str]:
    """The texts of contents, each ``{"parts": [{"text": …}]}``. Raises ``Uncountable`` on files and pictures."""
    if not isinstance(contents, list):
        raise Uncountable
    for content in contents:
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict) or "inlineData" in part or "fileData" in part or "inline_data" in part:
                raise Uncountable
            yield from _part(part)


def _part(part: dict[str, Any]) -> Iterator[str]:
    for key in ("text", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"):
        if held := part.get(key):
            yield held if isinstance(held, str) else json.dumps(held, ensure_ascii=False)


_INPUTS: dict[str, Callable[[dict[str, Any], Count], int]] = {
    "chat": _chat,
    "completions": _prompts("prompt"),
    "embeddings": _prompts("input"),
    "responses": _responses,
    "messages": _anthropic,
    "gemini": _gemini,
    "gemini-embeddings": _gemini_embeddings,
}


def _read(value: Json) -> Iterator[str]:
    """The texts of a message. Raises ``Uncountable`` on a picture and the like."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _read(item)
    elif isinstance(value, dict):
        if value.get("type") in _MEDIA:
            raise Uncountable
        yield from _fields(value)


def _fields(value: dict[str, Any]) -> Iterator[str]:
    for key in _PARTS:
        if value.get(key):
            yield from _read(value[key])
    for key in _TEXTS:
        held = value.get(key)
        if key == "input" and isinstance(held, dict):
            yield json.dumps(held, ensure_ascii=False)
        elif held:
            yield from _read(held)
    # One thought under two names, as some servers send it.
    if thought := value.get("reasoning_content") or value.get("reasoning"):
        yield from _read(thought)


def _written(response: dict[str, Any]) -> Iterator[str]:
    """The texts of an answer: every choice, or every output item, or every content block."""
    choices = response.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield from _texts(choice.get("message"))
            yield from _texts(choice.get("text"))
    for key in ("output", "content"):
        yield from _texts(response.get(key))
    candidates = response.get("candidates")
    for candidate in candidates if isinstance(candidates, list) else ():
        if isinstance(candidate, dict):
            with contextlib.suppress(Uncountable):
                yield from _contents([candidate.get("content")])


def _texts(value: Json) -> Iterator[str]:
    try:
        yield from _read(value)
    except Uncountable:
        return
