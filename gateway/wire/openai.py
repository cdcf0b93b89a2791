"""OpenAI's dialect: streams assembled into the shape of their plain twins, and the facts read off a body.

Shapes: https://platform.openai.com/docs/api-reference (chat, completions, responses). Other providers add fields such
as ``reasoning_content``; fields not known here are kept. Values of unexpected types are kept or left out, never raised
on: ``gateway.wire`` feeds this whatever upstreams say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.raw import Json

_FINAL = ("response.completed", "response.incomplete", "response.failed")
_REPLACED = frozenset({"role", "id", "type", "index", "name", "format", "status", "model"})
"""Strings of a delta that are said once or repeated, not continued."""

_MAX_INDEX = 4096
"""Largest index taken for a place in a list; a larger one is a defect or an attack."""


def assemble(events: Iterable[dict[str, Any]]) -> Json:
    """The plain twin of a stream's JSON events; ``None`` without any."""
    known = [event for event in events if event]
    if not known:
        return None
    if any(_is_response_event(event) for event in known):
        return _assemble_response(known)
    return _assemble_chunks(known)


def _is_response_event(event: dict[str, Any]) -> bool:
    return "choices" not in event and isinstance(kind := event.get("type"), str) and kind.startswith("response.")


# Chat and text completions: chunks with choices[].delta or choices[].text.


def _assemble_chunks(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for key, value in chunk.items():
            if key == "choices":
                _add_choices(choices, value)
            elif value is not None or key not in whole:
                whole[key] = value
    if isinstance(kind := whole.get("object"), str):
        whole["object"] = kind.removesuffix(".chunk")
    whole.pop("obfuscation", None)
    if choices:
        whole["choices"] = [_settled(choices[index]) for index in sorted(choices)]
    elif any("choices" in chunk for chunk in chunks):
        whole["choices"] = []
    return whole


def _add_choices(choices: dict[int, dict[str, Any]], pieces: Json) -> None:
    for piece in pieces if isinstance(pieces, list) else ():
        if not isinstance(piece, dict):
            continue
        index = _index(piece)
        choice = choices.setdefault(index, {"index": index})
        for key, value in piece.items():
            if key == "delta":
                if isinstance(value, dict):
                    _join(choice, "message", value)
            elif key == "text" and isinstance(value, str):
                _append(choice, "text", value)
            elif key == "logprobs" and isinstance(value, dict):
                _join(choice, "logprobs", value)
            elif key != "index" and (value is not None or key not in choice):
                choice[key] = value


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta: strings are continued, indexed lists merged by index, other values replace."""
    for key, value in delta.items():
        old = whole.get(key)
        if value is None:
            whole.setdefault(key, None)
        elif isinstance(value, str):
            if key in _REPLACED:
                whole[key] = value or old or ""
            else:
                _append(whole, key, value)
        elif isinstance(value, dict):
            _join(whole, key, value)
        elif isinstance(value, list):
            # A list that carries indices is put together by them, so it becomes a mapping until it is settled.
            held = whole[key] = old if isinstance(old, _Indexed) else _Indexed()
            held.add(value, numbered=key != "tool_calls")
        else:
            whole[key] = value


def _append(whole: dict[str, Any], key: str, text: str) -> None:
    held = whole.get(key)
    if isinstance(held, _Text):
        held.append(text)
    else:
        whole[key] = _Text([held, text] if isinstance(held, str) else [text])


def _join(whole: dict[str, Any], key: str, value: dict[str, Any]) -> None:
    held = whole.get(key)
    if not isinstance(held, dict):
        held = whole[key] = {}
    _merge(held, value)


class _Text(list[str]):
    """A text's pieces, joined once at the end: adding strings one by one is quadratic."""


class _Indexed:
    """A list whose items come in pieces, each telling its place by ``index``; items without one are appended."""

    def __init__(self) -> None:
        self.items: dict[int, Any] = {}
        self._next = 0

    def add(self, pieces: list[Any], *, numbered: bool) -> None:
        """``numbered`` keeps the index in the item, as plain answers do for all but tool calls."""
        for piece in pieces:
            if isinstance(piece, dict) and isinstance(piece.get("index"), int):
                index = _index(piece)
                self._next = max(self._next, index + 1)
                held = self.items.setdefault(index, {})
                if isinstance(held, dict):
                    _merge(held, piece if numbered else {key: piece[key] for key in piece if key != "index"})
            else:
                self.items[self._next] = piece
                self._next += 1

    def settled(self) -> list[Any]:
        """The items in order."""
        return [_settled(self.items[index]) for index in sorted(self.items)]


def _settled(value: Any) -> Any:
    """Plain JSON from what was being put together."""
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, _Indexed):
        return value.settled()
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_settled(item) for item in value]
    return value


def _index(piece: dict[str, Any], key: str = "index") -> int:
    index = piece.get(key)
    return index if type(index) is int and 0 <= index <= _MAX_INDEX else 0


# The Responses API: typed events; the final one carries the whole response.


def _assemble_response(events: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    items: dict[int, _Item] = {}
    for event in events:
        kind = event.get("type")
        response = event.get("response")
        if isinstance(response, dict):
            whole.update(response)
            if kind in _FINAL and response.get("output"):
                return whole
        elif kind == "error":
            inner = event.get("error")
            told = {key: value for key, value in event.items() if key not in ("type", "sequence_number")}
            whole["error"] = inner if isinstance(inner, dict) else told
        elif "error" in event:
            whole["error"] = event["error"]
        elif isinstance(kind, str) and "output_index" in event:
            items.setdefault(_index(event, "output_index"), _Item()).add(kind, event)
    # Nothing but the final event holds the output whole; without it, what the deltas gave stands.
    if items:
        whole["output"] = [items[index].settled() for index in sorted(items)]
    return whole


_CONTENT_FIELDS = {
    "response.output_text.delta": ("output_text", "text"),
    "response.refusal.delta": ("refusal", "refusal"),
    "response.reasoning_text.delta": ("reasoning_text", "text"),
}
_ITEM_FIELDS = {
    "response.function_call_arguments.delta": ("function_call", "arguments"),
    "response.mcp_call_arguments.delta": ("mcp_call", "arguments"),
    "response.custom_tool_call_input.delta": ("custom_tool_call", "input"),
    "response.code_interpreter_call_code.delta": ("code_interpreter_call", "code"),
}


class _Item:
    """One output item in the making."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._content: dict[int, dict[str, Any]] = {}
        self._summary: dict[int, dict[str, Any]] = {}

    def add(self, kind: str, event: dict[str, Any]) -> None:
        """Take in one event of this item."""
        if kind in ("response.output_item.added", "response.output_item.done"):
            if isinstance(given := event.get("item"), dict):
                self._fields = dict(given)
                if kind.endswith("done"):
                    self._content, self._summary = {}, {}
        elif kind in ("response.content_part.added", "response.content_part.done"):
            if isinstance(part := event.get("part"), dict):
                self._content[_index(event, "content_index")] = dict(part)
        elif isinstance(delta := event.get("delta"), str):
            self._add_delta(kind, event, delta)

    def _add_delta(self, kind: str, event: dict[str, Any], delta: str) -> None:
        if kind in _CONTENT_FIELDS:
            type_, field = _CONTENT_FIELDS[kind]
            self._fields.setdefault("type", "reasoning" if type_ == "reasoning_text" else "message")
            _append(self._content.setdefault(_index(event, "content_index"), {"type": type_}), field, delta)
        elif kind in _ITEM_FIELDS:
            type_, field = _ITEM_FIELDS[kind]
            self._fields.setdefault("type", type_)
            _append(self._fields, field, delta)
        elif kind == "response.reasoning_summary_text.delta":
            self._fields.setdefault("type", "reasoning")
            _append(self._summary.setdefault(_index(event, "summary_index"), {"type": "summary_text"}), "text", delta)

    def settled(self) -> dict[str, Any]:
        """The item as a plain response has it."""
        fields = self._fields
        if self._content:
            fields["content"] = [self._content[index] for index in sorted(self._content)]
        if self._summary:
            fields["summary"] = [self._summary[index] for index in sorted(self._summary)]
        settled: dict[str, Any] = _settled(fields)
        return settled


# Facts.


def is_finished(body: dict[str, Any]) -> bool:
    """Whether an answer assembled without ``[DONE]`` or a final event came to its own end all the same.

    Every choice has its reason then. Streams of other kinds have ends that are not known here, so those count as told.
    """
    choices = body.get("choices")
    if not isinstance(choices, list):
        return body.get("object") != "response"
    return bool(choices) and all(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices)


def finish_reasons(body: dict[str, Any]) -> tuple[str, ...]:
    """Why each choice ended, in order; for the Responses API its status or the reason of an incomplete one."""
    choices = body.get("choices")
    if isinstance(choices, list):
        reasons = (choice.get("finish_reason") for choice in choices if isinstance(choice, dict))
        return tuple(reason for reason in reasons if isinstance(reason, str))
    if body.get("object") != "response":
        return ()
    details = body.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    found = reason or body.get("status")
    return (found,) if isinstance(found, str) else ()
