"""Anthropic's Messages dialect: streams assembled into a plain message, and the facts read off a body.

Shape: https://docs.anthropic.com/en/api/messages-streaming. ``message_start`` carries the message with the input's
usage, ``message_delta`` the stop reason and the output's usage, counted from the start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gateway.raw import Json

KINDS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)
_FIELDS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "partial_json"),
}
_TYPES = {"text": "text", "thinking": "thinking", "signature": "thinking", "partial_json": "tool_use"}


def is_event(event: dict[str, Any]) -> bool:
    """Whether an event belongs to this dialect."""
    kind = event.get("type")
    return isinstance(kind, str) and kind in KINDS


def assemble(events: Iterable[dict[str, Any]]) -> Json:
    """The plain twin of a stream's JSON events."""
    whole: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    texts: dict[tuple[int, str], list[str]] = {}
    for event in events:
        kind = event.get("type")
        index = event.get("index") if type(event.get("index")) is int else 0
        assert isinstance(index, int)
        if kind == "message_start" and isinstance(message := event.get("message"), dict):
            whole.update(message)
            if isinstance(usage := message.get("usage"), dict):
                # What it says of the output is a placeholder; only message_delta counts.
                whole["usage"] = {key: value for key, value in usage.items() if key != "output_tokens"}
        elif kind == "content_block_start" and isinstance(block := event.get("content_block"), dict):
            blocks[index] = dict(block)
        elif kind == "content_block_delta" and isinstance(delta := event.get("delta"), dict):
            _add_delta(blocks.setdefault(index, {}), texts, index, delta)
        elif kind == "message_delta":
            _add_end(whole, event)
        elif "error" in event:
            whole["error"] = event["error"]
    _settle(blocks, texts)
    if blocks:
        whole["content"] = [blocks[index] for index in sorted(blocks)]
    return whole or None


def _add_delta(
    block: dict[str, Any], texts: dict[tuple[int, str], list[str]], index: int, delta: dict[str, Any]
) -> None:
    kind = delta.get("type")
    named = _FIELDS.get(kind) if isinstance(kind, str) else None
    if named is not None and isinstance(piece := delta.get(named[1]), str):
        block.setdefault("type", _TYPES[named[0]])
        texts.setdefault((index, named[0]), []).append(piece)
    elif kind == "citations_delta" and "citation" in delta:
        held = block.get("citations")
        block["citations"] = [*(held if isinstance(held, list) else ()), delta["citation"]]


def _add_end(whole: dict[str, Any], event: dict[str, Any]) -> None:
    if isinstance(delta := event.get("delta"), dict):
        whole.update(delta)
    if isinstance(usage := event.get("usage"), dict):
        held = whole.get("usage")
        told = {key: value for key, value in usage.items() if value is not None}
        whole["usage"] = {**(held if isinstance(held, dict) else {}), **told}


def _settle(blocks: dict[int, dict[str, Any]], texts: dict[tuple[int, str], list[str]]) -> None:
    for (index, field), pieces in texts.items():
        block = blocks[index]
        text = "".join(pieces)
        if field == "partial_json":
            try:
                block["input"] = json.loads(text) if text else block.get("input", {})
            except (ValueError, RecursionError):
                block["input"] = text
        else:
            start = block.get(field)
            block[field] = (start if isinstance(start, str) else "") + text


def is_finished(body: dict[str, Any]) -> bool:
    """Whether a message assembled without a closing event came to its own end all the same."""
    return isinstance(body.get("stop_reason"), str)


def finish_reasons(body: dict[str, Any]) -> tuple[str, ...]:
    """The stop reason, if told."""
    reason = body.get("stop_reason")
    return (reason,) if isinstance(reason, str) else ()
