"""Raw types: what a client and an upstream said, word for word.

Values of these types live in memory and, sealed, in the journal; nowhere else. Only ``gateway.redact`` turns them into
the clean types of ``gateway.model``.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class Ended(enum.StrEnum):
    """How a call came to its end."""

    COMPLETE = "complete"
    CLIENT_GONE = "client_gone"
    UPSTREAM_REFUSED = "upstream_refused"
    UPSTREAM_RESET = "upstream_reset"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    REJECTED = "rejected"
    KILLED = "killed"


class Tried(enum.StrEnum):
    """What became of one attempt at an upstream: it said something, it did not, or it was not asked."""

    ANSWERED = "answered"
    REFUSED = "upstream_refused"
    RESET = "upstream_reset"
    TIMEOUT = "upstream_timeout"
    CLIENT_GONE = "client_gone"
    SKIPPED = "skipped"


class Attempt(msgspec.Struct, frozen=True):
    """One of several attempts to have a call answered.

    ``status`` is the upstream's, 0 without an answer. ``began`` and ``took``, until its head or its failure, are
    nanoseconds, ``began`` since the call's start. ``skipped``: the upstream's breaker was open.
    """

    upstream: str
    status: int
    ended: Tried
    began: int
    took: int


class Capture(enum.StrEnum):
    """How much of a call's text was kept for redaction."""

    FULL = "full"
    TRUNCATED = "truncated"
    WITHHELD = "withheld"
    NONE = "none"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the gateway accepted it.

    ``id`` is a UUIDv7 of ours; ``started_at`` Unix nanoseconds of the wall clock. ``path`` is the client's path without
    the query; ``route`` its template (``/v1/chat/completions``, ``/v1/files/{id}``), safe to keep. ``pattern`` is the
    configured ``models[].match`` that chose the upstream, or ``*`` for the default. ``body`` is capped by capture;
    ``body_size`` is what was received, in bytes. ``usage_added`` says that we asked the upstream for usage on the
    stream and took that event out again. ``origin`` is ``product`` or ``judge``.
    """

    id: str
    started_at: int
    method: str
    path: str
    route: str
    upstream: str
    dialect: str = "openai"
    pattern: str = "*"
    model: str = ""
    stream: bool = False
    key: str = ""
    team: str = ""
    user: str = ""
    session: str = ""
    trace: str = ""
    prompt: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    origin: str = "product"
    no_content: bool = False
    usage_added: bool = False
    content_type: str = ""
    content_encoding: str = ""
    body: bytes = b""
    body_size: int = 0
    body_truncated: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as far as it came.

    ``status`` is what the client saw, 0 when it saw none. ``head`` holds the first part of the body and ``tail`` the
    last when something between them was dropped (then ``capture`` is ``truncated``). ``first_byte`` and ``last_byte``
    are nanoseconds since the call's start on the monotonic clock; ``None`` when there was no such byte. ``size`` counts
    every body byte that was relayed. ``attempts`` are told only when there were several, or an upstream was skipped.
    """

    status: int
    ended: Ended
    capture: Capture = Capture.FULL
    content_type: str = ""
    content_encoding: str = ""
    head: bytes = b""
    tail: bytes = b""
    size: int = 0
    first_byte: int | None = None
    last_byte: int | None = None
    attempts: tuple[Attempt, ...] = ()


class Whole(msgspec.Struct, frozen=True, tag="call"):
    """Journal entry: a finished call."""

    call: Call
    reply: Reply


class Note(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """Journal entry: somebody's word on a call, before redaction: a thumb, or a judge's verdict.

    ``target`` is what the rater named: our id, the provider's response id or a trace id. ``at`` is Unix nanoseconds.
    """

    id: str
    at: int
    target: str
    name: str
    source: str
    rater: str = ""
    value: float | None = None
    label: str = ""
    why: str = ""
    version: str = ""


class Opened(msgspec.Struct, frozen=True, tag="open"):
    """Live entry: a call that outlived the first tick; read again only after a crash."""

    call: Call


class Part(msgspec.Struct, frozen=True, kw_only=True, tag="part"):
    """Live entry: the bytes of an answer that came since the last tick. ``size`` counts those captured or not.

    ``at`` is how many bytes came before, by which a part that is missing shows; -1 in parts of before it was told.
    """

    id: str
    status: int
    data: bytes
    size: int
    at: int = -1
    content_type: str = ""
    content_encoding: str = ""
    first_byte: int | None = None
    last_byte: int | None = None


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Live entry: the call stands whole in the journal, its parts are needless."""

    id: str


Json = Any
"""A JSON value as ``json.loads`` gives it: dict, list, str, int, float, bool or None."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A call and its reply, parsed by ``gateway.wire``.

    ``request`` and ``response`` are JSON values, or the text itself when it was not JSON, or ``None`` when nothing was
    captured. A streamed response is assembled into the shape of its plain twin, so that text split over events is whole
    again. ``reported`` is the upstream's usage object, untouched. ``partial`` says that the answer did not come to its
    own end. ``unparsed`` says that the bytes did not parse and stand as text.
    """

    call: Call
    reply: Reply
    request: Json = None
    response: Json = None
    stream: bool = False
    model: str = ""
    response_model: str = ""
    response_id: str = ""
    finish_reasons: tuple[str, ...] = ()
    service_tier: str = ""
    error_type: str = ""
    error_code: str = ""
    reported: dict[str, Any] | None = None
    partial: bool = False
    unparsed: bool = False
