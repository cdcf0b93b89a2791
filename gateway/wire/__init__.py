"""From captured bytes to an ``Exchange``. Pure: no clock, no sockets; any bytes are taken, none raise.

``sse`` and ``decode`` know formats, ``openai`` and ``anthropic`` dialects, ``body`` how captured bytes may be damaged.
"""

from __future__ import annotations

from typing import Any

from gateway.raw import Capture, Ended, Exchange, Json, Whole
from gateway.wire import anthropic, body, openai

__all__ = ["parse"]

_EVENT_STREAM = "text/event-stream"


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
    response, usage, response_unparsed = _response(whole)
    facts = response if isinstance(response, dict) else {}
    error_type, error_code = _error(facts)
    return Exchange(
        call=call,
        reply=reply,
        request=request,
        response=response,
        stream=call.stream or _is_stream(whole),
        model=call.model or _text(request, "model"),
        response_model=_text(facts, "model"),
        response_id=_text(facts, "id"),
        finish_reasons=openai.finish_reasons(facts) or anthropic.finish_reasons(facts),
        service_tier=_service_tier(facts, usage),
        error_type=error_type,
        error_code=error_code,
        reported=usage,
        partial=reply.ended is not Ended.COMPLETE,
        unparsed=request_unparsed or response_unparsed,
    )


def _is_stream(whole: Whole) -> bool:
    return whole.reply.content_type.lower().lstrip().startswith(_EVENT_STREAM)


def _response(whole: Whole) -> tuple[Json, dict[str, Any] | None, bool]:
    """The response's value, its usage object, and whether it stands unparsed."""
    if _is_stream(whole) and (whole.reply.head or whole.reply.tail):
        try:
            streamed = _streamed(whole)
        except RecursionError:
            streamed = None
        if streamed is not None:
            return streamed
    value, usage, unparsed = body.reply(whole.reply)
    return value, usage or _usage(value), unparsed


def _streamed(whole: Whole) -> tuple[Json, dict[str, Any] | None, bool] | None:
    """A stream put together; ``None`` when no event in it is JSON."""
    head, tail, intact = body.events(whole.reply)
    events = head + tail
    if not events:
        return None
    dialect = any(anthropic.is_event(event) for event in events)
    value = anthropic.assemble(events) if dialect else openai.assemble(events)
    if value is None:
        return None
    # A torn last event of a cut answer is the cut, which ``partial`` tells, not a failure to parse.
    lost = not intact and (whole.reply.ended is Ended.COMPLETE and not whole.reply.tail)
    return value, _usage(value), lost


def _usage(value: Json) -> dict[str, Any] | None:
    """The usage object; an empty one says nothing."""
    if not isinstance(value, dict):
        return None
    usage = value.get("usage")
    if not usage and isinstance(groq := value.get("x_groq"), dict):
        usage = groq.get("usage")
    return usage if isinstance(usage, dict) and usage else None


def _service_tier(facts: dict[str, Any], usage: dict[str, Any] | None) -> str:
    """OpenAI tells it beside the usage, Anthropic within."""
    return _text(facts, "service_tier") or _text(usage, "service_tier")


def _error(facts: dict[str, Any]) -> tuple[str, str]:
    """Type and code of an error object, of a body or of an event in mid-stream."""
    error = facts.get("error")
    if isinstance(error, str):
        return "error", ""
    if not isinstance(error, dict) or not error:
        return "", ""
    code = error.get("code")
    return _text(error, "type") or "error", str(code) if isinstance(code, str | int) else ""


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
