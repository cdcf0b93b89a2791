"""Captured bytes as JSON values, as events or as text, however damaged."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gateway.raw import Call, Json, Reply
from gateway.wire import sse
from gateway.wire.decode import MAX_BYTES, decode

GAP = "[…]"
"""Stands in a text where bytes were not captured."""

_USAGE = '"usage"'
_DONE = b"[DONE]"
_BINARY_TYPES = ("audio/", "image/", "video/", "application/octet-stream")


def load(data: bytes) -> Json:
    """A JSON value. Raises ``ValueError`` on anything else, and on nesting too deep to walk."""
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    # The standard decoder also takes NaN, lone surrogates and UTF-16, which some servers send.
    try:
        value = json.loads(data)
        # A lone surrogate cannot be written on; the replacement character can.
        return json.loads(json.dumps(value).encode().decode()) if _writable(value) else _mended(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _writable(value: Json) -> bool:
    try:
        msgspec.json.encode(value)
    except (UnicodeEncodeError, ValueError, TypeError, OverflowError):
        return False
    return True


def _mended(data: bytes) -> Json:
    value = json.loads(data, parse_constant=lambda _name: None)
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return json.loads(text)


def text(data: bytes) -> str:
    """Text for people: UTF-8, broken bytes replaced."""
    return data.decode("utf-8", "replace")


def request(call: Call) -> tuple[Json, bool]:
    """The request's value and whether it stands unparsed."""
    if not call.body:
        return None, False
    data, whole = decode(call.body, call.content_encoding)
    if whole and not call.body_truncated:
        try:
            return load(data), False
        except ValueError:
            pass
    return text(data), True


def reply(reply: Reply) -> tuple[Json, dict[str, Any] | None, bool]:
    """A plain reply's value, a usage object found in a cut one, and whether it stands unparsed."""
    data, whole = decode(reply.head, reply.content_encoding)
    if not data and not reply.tail:
        return None, None, bool(reply.head)
    if whole and not reply.tail:
        try:
            return load(data), None, False
        except ValueError:
            pass
    if reply.content_type.lower().startswith(_BINARY_TYPES):
        return None, None, True
    # A tail of compressed bytes is of no use without what stood before it.
    end = text(reply.tail) if not _coded(reply) else ""
    cut = GAP if reply.tail else ""
    start = text(data)
    return start + cut + end, last_usage(end) or last_usage(start), True


def _coded(reply: Reply) -> bool:
    return reply.content_encoding.lower().strip() not in ("", "identity")


def last_usage(document: str) -> dict[str, Any] | None:
    """The last object named ``usage`` in a piece of a JSON document."""
    at = document.rfind(_USAGE)
    while at >= 0:
        rest = document[at + len(_USAGE) :].lstrip()
        if rest.startswith(":"):
            try:
                value, _ = json.JSONDecoder().raw_decode(rest[1:].lstrip())
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                return value
        at = document.rfind(_USAGE, 0, at)
    return None


def events(reply: Reply) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """JSON events before a gap and after it, and whether everything parsed. Events torn by the gap are left out."""
    data, whole = decode(reply.head, reply.content_encoding)
    parser = sse.Parser()
    raw = parser.feed(data) + parser.close()
    intact = whole and not parser.torn
    head = _objects(raw)
    if not reply.tail or _coded(reply):
        return head, [], intact and not reply.tail
    # The tail starts inside an event; what stands before the first blank line is a piece of it.
    return head, _objects(sse.parse(_after_blank(reply.tail[:MAX_BYTES]))), False


def _after_blank(tail: bytes) -> bytes:
    places = [(at + len(mark)) for mark in (b"\n\n", b"\r\n\r\n", b"\r\r") if (at := tail.find(mark)) >= 0]
    return tail[min(places) :] if places else b""


def _objects(raw: list[sse.Event]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for event in raw:
        if event.data == _DONE:
            continue
        try:
            value = load(event.data)
        except ValueError:
            continue
        if isinstance(value, dict):
            if event.name and "type" not in value and "choices" not in value:
                value = {"type": event.name, **value}
            found.append(value)
    return found
