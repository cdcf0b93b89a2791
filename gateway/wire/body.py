"""Captured bytes as JSON values, as events or as text, however damaged."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec

from gateway.raw import Call, Ended, Json, Reply
from gateway.wire import sse
from gateway.wire.decode import MAX_BYTES, decode

GAP = "[…]"
"""Stands in a text where bytes were not captured."""

_USAGE = ('"usage"', '"usageMetadata"')
_DONE = b"[DONE]"
_FINAL = ("response.completed", "response.incomplete", "response.failed", "message_stop")
_MARK = re.compile(r"[ \t\r\n]*([\[,])[ \t\r\n]*")
_BINARY_TYPES = ("audio/", "image/", "video/", "application/octet-stream")


def load(data: bytes) -> Json:
    """A JSON value that can be written again. Raises ``ValueError`` on anything else, and on nesting too deep to walk."""  # noqa: E501
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    # The standard decoder also takes UTF-16, NaN and lone surrogates, which some servers send; the last two cannot be
    # written on, so they become null and the replacement character.
    try:
        value = json.loads(data, parse_constant=lambda _name: None)
        written = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return msgspec.json.decode(written)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


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


def items(document: str) -> list[Json]:
    """The items of a JSON list as far as they are whole; none when the text is no list."""
    found: list[Json] = []
    decoder = json.JSONDecoder(parse_constant=lambda _name: None)
    at = _after(document, 0, "[")
    while at:
        try:
            value, end = decoder.raw_decode(document, at)
        except (ValueError, RecursionError):
            break
        found.append(value)
        at = _after(document, end, ",")
    try:
        return list(load(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return []


def _after(document: str, at: int, mark: str) -> int:
    """The place after a mark and the white space around it; 0 where the mark is not."""
    found = _MARK.match(document, at)
    return found.end() if found and found[1] == mark else 0


def _coded(reply: Reply) -> bool:
    return reply.content_encoding.lower().strip() not in ("", "identity")


def last_usage(document: str) -> dict[str, Any] | None:
    """The last object with a name of usage that counts tokens in a piece of a JSON document.

    One within a string does not pass for it: there its quotation marks are escaped.
    """
    return next((found for name in _USAGE if (found := _last(document, name)) is not None), None)


def _last(document: str, name: str) -> dict[str, Any] | None:
    at = document.rfind(name)
    while at >= 0:
        rest = document[at + len(name) :].lstrip()
        if rest.startswith(":"):
            try:
                value, _ = json.JSONDecoder().raw_decode(rest[1:].lstrip())
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict) and _counts(value):
                return value
        at = document.rfind(name, 0, at)
    return None


def _counts(value: dict[str, Any]) -> bool:
    return any(name.endswith(("_tokens", "TokenCount")) and isinstance(number, int) for name, number in value.items())


class Stream(NamedTuple):
    """What is left of an event stream: its JSON events in order, without those torn by a gap or by the end.

    ``ended`` says that the stream told its end; ``None`` when that end was not captured. ``lost`` says that some of
    what came could not be read back.
    """

    events: list[dict[str, Any]]
    ended: bool | None
    lost: bool


def stream(reply: Reply) -> Stream:
    """The events of a captured stream."""
    data, whole = decode(reply.head, reply.content_encoding)
    full = len(data) >= MAX_BYTES
    lost = not whole and (full or reply.ended is Ended.COMPLETE)
    head, done = _events(data)
    if not reply.tail:
        return Stream(head, None if lost else done, lost)
    if _coded(reply):
        return Stream(head, None, True)
    # The tail starts inside an event; what stands before the first blank line is a piece of it.
    tail, done = _events(_after_blank(reply.tail[:MAX_BYTES]))
    return Stream(head + tail, done, False)


def _after_blank(tail: bytes) -> bytes:
    places = [(at + len(mark)) for mark in (b"\n\n", b"\r\n\r\n", b"\r\r") if (at := tail.find(mark)) >= 0]
    return tail[min(places) :] if places else b""


def _events(data: bytes) -> tuple[list[dict[str, Any]], bool]:
    """JSON events, and whether the last word was said."""
    parser = sse.Parser()
    raw = parser.feed(data) + parser.close()
    # A client stops at the bracket and goes, so the blank line after it may be missing.
    done = parser.rest == _DONE
    found: list[dict[str, Any]] = []
    for event in raw:
        if event.data == _DONE:
            done = True
            continue
        try:
            value = load(event.data)
        except ValueError:
            continue
        if isinstance(value, dict):
            if event.name and "type" not in value and "choices" not in value:
                value = {"type": event.name, **value}
            done = done or value.get("type") in _FINAL
            found.append(value)
    return found, done
