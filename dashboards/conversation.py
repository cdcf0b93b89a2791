"""A kept request and answer as turns that a person can read. PURE; never raises, whatever the texts hold.

Reads chat completions, completions, responses and embeddings. What it does not know is left to the JSON beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = Any
MAX_TURNS = 500
MAX_TEXT = 20_000
"""Characters of one text that a page shows; the whole is in the JSON and the API."""
TEXT_KEYS = ("text", "refusal", "output_text", "input_text", "summary_text")
CONTENT_KEYS = frozenset({"messages", "input", "prompt", "instructions", "tools", "functions"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asked for; arguments as indented JSON where they are JSON."""

    name: str
    id: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. ``label`` says more of the speaker, such as the tool's name; ``media`` names what is no text."""

    role: str
    texts: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    label: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.texts or self.media or self.calls)


def request_turns(request: Json) -> list[Turn]:
    """The messages that were sent, in their order."""
    if not isinstance(request, dict):
        return [Turn("request", (clip(request),))] if isinstance(request, str) and request else []
    turns: list[Turn] = []
    if isinstance(request.get("instructions"), str):
        turns.append(Turn("system", (clip(request["instructions"]),)))
    for name in ("messages", "input", "prompt"):
        turns.extend(_said(request.get(name)))
    return [turn for turn in turns if not turn.empty][:MAX_TURNS]


def response_turns(response: Json) -> list[Turn]:
    """What came back: one turn a choice or output item, or the error."""
    if not isinstance(response, dict):
        return [Turn("response", (clip(response),))] if isinstance(response, str) and response else []
    turns: list[Turn] = []
    for choice in _list(response.get("choices")):
        if isinstance(choice, dict):
            message = choice.get("message")
            turns.append(_message(message, "assistant") if isinstance(message, dict) else _plain(choice.get("text")))
    turns.extend(_item(item, "assistant") for item in _list(response.get("output")) if isinstance(item, dict))
    if response.get("error"):
        error = response["error"]
        message = error.get("message") if isinstance(error, dict) else error
        turns.append(Turn("error", (clip(message if isinstance(message, str) else pretty(error)),)))
    return [turn for turn in turns if not turn.empty][:MAX_TURNS]


def parameters(request: Json) -> list[tuple[str, str]]:
    """The request's settings, such as temperature: everything beside the messages, short."""
    if not isinstance(request, dict):
        return []
    found = [(str(name), _short(value)) for name, value in request.items() if name not in CONTENT_KEYS]
    for name in ("tools", "functions"):
        names = [_tool_name(tool) for tool in _list(request.get(name))]
        found += [(name, ", ".join(names))] if names else []
    return found[:60]


def pretty(value: Json) -> str:
    """JSON indented for reading; text as it is."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (RecursionError, ValueError):
        return "[nested too deeply to show]"


def clip(text: str) -> str:
    """A text cut to what a page shows."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} … [{len(text) - MAX_TEXT:,} more characters]"


def _said(value: Json) -> Iterator[Turn]:
    if isinstance(value, str):
        yield Turn("user", (clip(value),))
        return
    for item in _list(value):
        if isinstance(item, str):
            yield Turn("user", (clip(item),))
        elif isinstance(item, dict):
            yield _item(item, "user")


def _item(item: dict[str, Json], role: str) -> Turn:
    """An item of the responses API, which a plain message is as well."""
    kind = item.get("type")
    if kind == "function_call":
        return Turn("assistant", calls=(_tool_call(item, item.get("call_id")),))
    if kind == "function_call_output":
        texts, media = _content(item.get("output"))
        return Turn("tool", texts, media, label=_string(item.get("call_id")))
    if kind == "reasoning":
        texts, media = _content(item.get("summary"))
        return Turn("reasoning", texts, media)
    return _message(item, role)


def _message(message: dict[str, Json], role: str) -> Turn:
    texts, media = _content(message.get("content"))
    if isinstance(message.get("refusal"), str):
        texts = (*texts, clip(message["refusal"]))
    calls = tuple(
        _tool_call(call["function"], call.get("id"))
        for call in _list(message.get("tool_calls"))
        if isinstance(call, dict) and isinstance(call.get("function"), dict)
    )
    if isinstance(message.get("function_call"), dict):
        calls = (*calls, _tool_call(message["function_call"], None))
    label = _string(message.get("name")) or _string(message.get("tool_call_id"))
    return Turn(_string(message.get("role")) or role, texts, media, calls, label)


def _content(content: Json) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(content, str):
        return ((clip(content),) if content else ()), ()
    texts: list[str] = []
    media: list[str] = []
    for part in _list(content):
        if isinstance(part, str):
            texts.append(clip(part))
        elif isinstance(part, dict):
            text = next((part[key] for key in TEXT_KEYS if isinstance(part.get(key), str)), None)
            if text is None:
                media.append(_short(part, 200))
            else:
                texts.append(clip(text))
    return tuple(texts), tuple(media)


def _plain(text: Json) -> Turn:
    return Turn("assistant", (clip(text),) if isinstance(text, str) and text else ())


def _tool_call(function: dict[str, Json], id: Json) -> ToolCall:
    arguments = function.get("arguments", "")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return ToolCall(_string(function.get("name")), _string(id), clip(arguments))
    return ToolCall(_string(function.get("name")), _string(id), clip(pretty(arguments)))


def _tool_name(tool: Json) -> str:
    if not isinstance(tool, dict):
        return "?"
    function = tool.get("function")
    named = function if isinstance(function, dict) else tool
    return _string(named.get("name")) or _string(tool.get("type")) or "?"


def _short(value: Json, limit: int = 120) -> str:
    if isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (RecursionError, ValueError):
            text = "…"
    return text if len(text) <= limit else f"{text[:limit]}…"


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""
