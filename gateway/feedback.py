"""``POST /v1/feedback``: thumbs from people and verdicts from the judge, into the journal like a call.

A comment is raw text too: it rests sealed until a redactor has made a Score of it.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway import mark
from gateway.callid import CallIds
from gateway.config import Config
from gateway.errors import RequestRefused
from gateway.flight import Journal
from gateway.keys import INTERNAL, Grant
from gateway.passage import Header, Message, Receive, Send
from gateway.paths import Layout
from gateway.proxy import Gate
from gateway.raw import Note
from gateway.relay import Relay

MAX_BYTES = 256 << 10
RESOLVE_S = 0.5
Reference = Annotated[str, Field(min_length=1, max_length=256)]


class Thumb(BaseModel):
    """What a person says of an answer. ``id`` is our call id, the provider's response id or a trace id."""

    model_config = ConfigDict(extra="forbid")

    id: Reference
    rating: Literal["up", "down"]
    comment: str = Field(default="", max_length=10_000)
    rater: str = Field(default="", max_length=256)


class Verdict(BaseModel):
    """What the judge says of a call: ``value`` 0..1, or none when judging failed."""

    model_config = ConfigDict(extra="forbid")

    id: Reference
    name: str = Field(pattern=r"^[\w.:/-]{1,64}$")
    value: float | None = Field(default=None, ge=0, le=1)
    label: str = Field(default="", pattern=r"^[\w.:/-]{0,64}$")
    comment: str = Field(default="", max_length=20_000)
    version: str = Field(default="", max_length=128)


class Feedback:
    """Takes feedback in."""

    def __init__(
        self, settings: Config, layout: Layout, gate: Gate, journal: Journal, relay: Relay, ids: CallIds
    ) -> None:
        self._judge = f"judge:{settings.judge.model}"
        self._layout = layout
        self._gate = gate
        self._journal = journal
        self._relay = relay
        self._ids = ids

    async def serve(self, scope: Message, receive: Receive, send: Send, cross_origin: list[Header]) -> None:
        """Journal one note and answer 202. Raises ``RequestRefused``; a field that is wrong is answered with 422."""
        envelope, grant = self._gate.open(scope["headers"])
        body = await _body(receive, envelope.content_length)
        try:
            note = self._verdict(body) if grant is INTERNAL else self._thumb(body, grant)
        except ValidationError as error:
            await _json(send, 422, _fault(error), cross_origin)
            return
        if self._journal.full or not self._journal.writable:
            raise RequestRefused(
                503, "The gateway's journal is full.", type="server_error", code="journal_full", retry_after_s=5
            )
        if not await self._journal.put(note):
            # Perhaps it is kept all the same: sent again it takes its own place.
            raise RequestRefused(
                503, "The feedback could not be kept.", type="server_error", code="journal_failed", retry_after_s=5
            )
        call_id = await self._relay.resolve(note.target, mark.read(self._layout), RESOLVE_S)
        await _json(send, 202, {"id": note.id, "call_id": call_id}, cross_origin)

    def _thumb(self, body: bytes, grant: Grant) -> Note:
        thumb = Thumb.model_validate_json(body)
        return Note(
            id=self._ids.next(),
            at=time.time_ns(),
            target=thumb.id,
            name="thumb",
            source="human",
            rater=thumb.rater or grant.user,
            value=1.0 if thumb.rating == "up" else 0.0,
            label=thumb.rating,
            why=thumb.comment,
        )

    def _verdict(self, body: bytes) -> Note:
        verdict = Verdict.model_validate_json(body)
        return Note(
            id=self._ids.next(),
            at=time.time_ns(),
            target=verdict.id,
            name=verdict.name,
            source="judge",
            rater=self._judge,
            value=verdict.value,
            label=verdict.label,
            why=verdict.comment,
            version=verdict.version,
        )


async def _body(receive: Receive, announced: int | None) -> bytes:
    pieces: list[bytes] = []
    size = announced or 0
    more = True
    while more and size <= MAX_BYTES:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
        size = sum(len(piece) for piece in pieces)
    if size > MAX_BYTES:
        raise RequestRefused(413, f"Feedback is limited to {MAX_BYTES >> 10} KiB.", code="request_too_large")
    return b"".join(pieces)


def _fault(error: ValidationError) -> dict[str, Any]:
    """Which field is wrong and what was expected; never what was sent."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
    return {
        "error": {
            "message": f"{field}: {message}" if field else f"The body is no JSON object: {first['type']}",
            "type": "invalid_request_error",
            "param": field or None,
            "code": "invalid_feedback",
        }
    }


async def _json(send: Send, status: int, value: dict[str, Any], extra: list[Header]) -> None:
    body = msgspec.json.encode(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
