"""Clean types: what is kept, shown and sent on. None of them holds text that did not go through ``gateway.redact``."""

from __future__ import annotations

from decimal import Decimal

import msgspec

WITHHELD = "[withheld]"


class Finding(msgspec.Struct, frozen=True):
    """One piece of personal data that was removed.

    ``path`` is a template such as ``request.messages[].content``; neither the value nor an offset is kept.
    """

    path: str
    entity: str
    recogniser: str
    confidence: float


class Attempt(msgspec.Struct, frozen=True):
    """One of several attempts to have a call answered.

    ``status`` is the upstream's, 0 without an answer. ``ended`` is answered, upstream_refused, upstream_reset,
    upstream_timeout, client_gone, or skipped when the upstream's breaker was open. ``began_ms`` counts from the call's
    start; ``took_ms`` until the head of the answer, or the failure.
    """

    upstream: str
    status: int
    ended: str
    began_ms: float
    took_ms: float


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens by kind and what they cost.

    ``input_tokens`` includes cached and cache-written tokens, ``output_tokens`` includes reasoning tokens, whatever the
    provider's own convention. ``source`` is ``reported`` (by the upstream), ``counted`` (by us) or ``unknown``; then
    the counts are ``None``. ``cost_usd`` is ``None`` when the model has no price: unknown is never zero.
    ``price_version`` names the table or ``override``. ``partial`` marks an answer that was cut.
    ``cache_write_1h_tokens`` is a part of ``cache_write_tokens``; ``cached_audio_tokens`` and ``cached_image_tokens``
    are parts of ``cached_input_tokens``. A picture's tokens include those of documents read as pictures. ``tier`` and
    ``speed`` are what the price was asked for: empty when standard, ``other`` for a name that is not known.
    """

    source: str = "unknown"
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    video_input_tokens: int | None = None
    video_output_tokens: int | None = None
    cached_audio_tokens: int | None = None
    cached_image_tokens: int | None = None
    cost_usd: Decimal | None = None
    price_version: str = ""
    tier: str = ""
    speed: str = ""
    partial: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True, tag="record"):
    """A stored call. ``started_at`` is Unix milliseconds UTC; durations are milliseconds; sizes are bytes.

    ``user``, ``session``, ``trace`` and ``response_ref`` are pseudonyms (``u_…``). ``request`` and ``response`` are
    redacted JSON documents, or redacted text, or ``[withheld]``, or empty when nothing was captured. ``attempts`` are
    told when there were several, or an upstream was skipped.
    """

    id: str
    started_at: int
    method: str
    route: str
    upstream: str
    pattern: str
    model: str
    response_model: str
    key: str
    team: str
    user: str
    session: str
    trace: str
    prompt: str
    tags: dict[str, str]
    response_ref: str
    origin: str
    status: int
    ended: str
    capture: str
    stream: bool
    finish_reason: str
    service_tier: str
    error_code: str
    latency_ms: float
    ttft_ms: float | None
    request_bytes: int
    response_bytes: int
    usage: Usage
    request: str
    response: str
    findings: tuple[Finding, ...]
    redaction: str
    attempts: tuple[Attempt, ...] = ()


class Score(msgspec.Struct, frozen=True, kw_only=True, tag="score"):
    """Somebody's judgement of a call, trace or session.

    Key: ``target``, ``name``, ``source``, ``rater``; the latest ``at`` (Unix ms) wins. ``target`` is a call's id or the
    pseudonym of a response or trace id. ``source`` is human, judge, rule or outcome. ``value`` is 0..1 or ``None``;
    ``label`` is ``up``/``down``, ``grounded``/``hallucinated``, or ``failed``. ``why`` is redacted text.
    """

    id: str
    at: int
    target: str
    name: str
    source: str
    rater: str
    value: float | None
    label: str
    why: str
    version: str


Clean = Record | Score


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Where every accepted call is. The law: accepted = stored + raw + outbox + quarantined + shed."""

    accepted: int
    stored: int
    raw: int
    outbox: int
    quarantined: int
    shed: int

    @property
    def balanced(self) -> bool:
        """Whether the law holds."""
        return self.accepted == self.stored + self.raw + self.outbox + self.quarantined + self.shed
