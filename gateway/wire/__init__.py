"""From captured bytes to an ``Exchange``. Pure: no clock, no sockets; any bytes are taken, none raise.

``sse`` and ``decode`` know formats, ``openai``, ``anthropic`` and ``gemini`` dialects, ``body`` how captured bytes may
be damaged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.raw import Capture, Ended, Exchange, Json, Whole
from gateway.wire import anthropic, body, gemini, openai

__all__ = ["parse"]

_EVENT_STREAM = "text/event-stream"
_EVENT_STARTS = (b"data:", b"event:", b": ", b"\xef\xbb\xbfdata:")


def parse(whole: Whole) -> Exchange:
    """Read a finished call. Content that does not parse stands as text with ``unparsed`` set."""
    call, reply = whole.call, whole.reply
    if reply.capture is Capture.NONE:
        return Exchange(
            call=call,
            reply=reply,
            stream=call.stream or _is_stream(whole),
            model=call.model,
            partial=reply.ended is not Ended.COMPLETE,
        )
    request, request_unparsed = body.request(call)
    answer = _answer(whole)
    facts = _facts(answer.value)
    error_type, error_code = _error(facts)
    return Exchange(
        call=call,
        reply=reply,
        request=request,
        response=answer.value,
        stream=call.stream or _is_stream(whole),
        model=call.model or _text(request, "model"),
        response_model=_text(facts, "model") or _text(facts, "modelVersion"),
        response_id=_text(facts, "id") or _text(facts, "responseId"),
        finish_reasons=openai.finish_reasons(facts) or anthropic.finish_reasons(facts) or gemini.finish_reasons(facts),
        service_tier=_service_tier(facts, answer.usage),
        error_type=error_type,
        error_code=error_code,
        reported=answer.usage,
        partial=answer.cut or reply.ended is not Ended.COMPLETE,
        unparsed=request_unparsed or answer.unparsed,
    )


def _is_stream(whole: Whole) -> bool:
    """By the answer's type; without one, by its look when a stream was asked for."""
    kind = whole.reply.content_type.lower().lstrip()
    if kind.startswith(_EVENT_STREAM):
        return True
    return whole.call.stream and not kind.startswith("application/") and whole.reply.head.startswith(_EVENT_STARTS)


class _Answer(NamedTuple):
    """``cut``: the answer stopped before its own end. ``unparsed``: it stands as text, or with parts missing."""

    value: Json
    usage: dict[str, Any] | None
    unparsed: bool
    cut: bool = False


def _answer(whole: Whole) -> _Answer:
    if _is_stream(whole) and (whole.reply.head or whole.reply.tail):
        try:
            streamed = _streamed(whole)
        except RecursionError:
            streamed = None
        if streamed is not None:
            return streamed
    value, usage, unparsed = body.reply(whole.reply)
    if (listed := _listed(whole, value)) is not None:
        return listed
    return _Answer(value, usage or _usage(value), unparsed)


def _listed(whole: Whole, value: Json) -> _Answer | None:
    """A stream that came as the items of one list, put together, though the list was cut; ``None`` for others."""
    torn = isinstance(value, str) and not whole.reply.tail
    items = body.items(value) if torn and isinstance(value, str) else value
    if not isinstance(items, list):
        return None
    events = [item for item in items if isinstance(item, dict)]
    if not any(map(gemini.is_event, events)):
        return None
    assembled = gemini.assemble(events)
    return _Answer(assembled, _usage(assembled), unparsed=False, cut=torn)


def _streamed(whole: Whole) -> _Answer | None:
    """A stream put together; ``None`` when no event in it is JSON."""
    events, ended, lost = body.stream(whole.reply)
    if not events:
        return None
    dialect = next((each for each in (anthropic, gemini) if any(map(each.is_event, events))), openai)
    value = dialect.assemble(events)
    if value is None:
        return None
    return _Answer(value, _usage(value), lost, cut=ended is False and not dialect.is_finished(value))


def _facts(value: Json) -> dict[str, Any]:
    """The object that tells of the answer; some upstreams put their error into a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _usage(value: Json) -> dict[str, Any] | None:
    """The usage object; an empty one says nothing."""
    if not isinstance(value, dict):
        return None
    usage = value.get("usage") or value.get("usageMetadata")
    if not usage and isinstance(groq := value.get("x_groq"), dict):
        usage = groq.get("usage")
    return usage if isinstance(usage, dict) and usage else None


def _service_tier(facts: dict[str, Any], usage: dict[str, Any] | None) -> str:
    """OpenAI tells it beside the usage, Anthropic and Gemini within."""
    return _text(facts, "service_tier") or _text(usage, "service_tier") or gemini.service_tier(facts)


def _error(facts: dict[str, Any]) -> tuple[str, str]:
    """Type and code of an error object, of a body or of an event in mid-stream."""
    error = facts if facts.get("object") == "error" else facts.get("error")
    if isinstance(error, str):
        return "error", ""
    if not isinstance(error, dict) or not error:
        return "", ""
    code = error.get("code")
    # Google's code is the status again, and its status a word.
    return _text(error, "type") or _text(error, "status") or "error", str(code) if isinstance(code, str | int) else ""


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
