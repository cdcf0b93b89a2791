"""The read API's answers as its documentation shows them. They document; a test holds the real answers to them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of every documented answer: what is not named here is not sent."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class UsageAnswer(Answer):
    """Tokens by kind; null where unknown."""

    input_tokens: int | None = Field(description="Includes cached and cache-written tokens.")
    output_tokens: int | None = Field(description="Includes reasoning tokens.")
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None = Field(description="A part of the cache-written ones.")
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    image_input_tokens: int | None
    image_output_tokens: int | None
    video_input_tokens: int | None
    video_output_tokens: int | None
    source: Literal["reported", "counted", "unknown"] = Field(
        description="Reported by the upstream, counted by the gateway, or unknown."
    )


class AttemptAnswer(Answer):
    """One of several attempts to have a call answered."""

    upstream: str
    status: int = Field(description="HTTP status of the upstream; 0 without an answer.")
    ended: Literal["answered", "upstream_refused", "upstream_reset", "upstream_timeout", "client_gone", "skipped"] = (
        Field(description="Skipped: the upstream's breaker was open.")
    )
    began_ms: float = Field(description="Since the call's start.")
    took_ms: float = Field(description="Until the head of the answer, or the failure.")


class FindingAnswer(Answer):
    """One piece of personal data that was removed; never the value."""

    path: str = Field(description="Template of its place, such as request.messages[].content.")
    entity: str
    recogniser: str
    confidence: float


class ScoreAnswer(Answer):
    """Somebody's judgement of a call."""

    id: str
    at: datetime
    target: str
    name: str = Field(description="thumb, faithfulness, hallucination, …")
    source: Literal["human", "judge", "rule", "outcome"]
    rater: str
    value: float | None = Field(description="0 to 1; null when judging failed.")
    label: str
    why: str = Field(description="Redacted text.")
    version: str


class CallAnswer(Answer):
    """A call: its numbers, its redacted text, what was found in it and what was thought of it."""

    id: str
    started_at: datetime
    model: str
    response_model: str
    upstream: str
    method: str
    route: str
    status: int = Field(description="HTTP status the client saw; 0 when it saw none.")
    ended: Literal[
        "complete", "client_gone", "upstream_refused", "upstream_reset", "upstream_timeout", "rejected", "killed"
    ]
    error_code: str
    finish_reason: str
    capture: Literal["full", "truncated", "withheld", "none"]
    stream: bool
    partial: bool = Field(description="The answer was cut, and so may be its usage.")
    usage: UsageAnswer
    cost_usd: str | None = Field(description="Decimal string in USD; null when the model has no price, never 0 for it.")
    price_version: str
    cost_before: str | None = Field(description="What it cost before it was last repriced; null when it had none.")
    price_version_before: str | None = Field(description="Null when the call was never repriced.")
    repriced_by: str | None = Field(description="The run that repriced it last.")
    latency_ms: float
    ttft_ms: float | None
    key: str
    team: str
    user: str = Field(description="Pseudonym.")
    session: str = Field(description="Pseudonym.")
    trace: str = Field(description="Pseudonym.")
    prompt: str
    tags: dict[str, str]
    origin: Literal["product", "judge"]
    request_bytes: int
    response_bytes: int
    attempts: list[AttemptAnswer] = Field(
        description="In order; empty when there was one attempt and no upstream was skipped."
    )
    findings: list[FindingAnswer]
    scores: list[ScoreAnswer]
    request: Any = Field(description="JSON where it was JSON, else text; null when not kept.")
    response: Any = Field(description="JSON where it was JSON, else text; null when not kept.")
    redaction: str = Field(description="Version of the redaction.")


class CallsAnswer(Answer):
    """A page of calls, newest first."""

    items: list[CallAnswer]
    next_cursor: str | None = Field(description="Give it as cursor for the next page; null on the last.")


class CostAnswer(Answer):
    """What one group cost in one bucket."""

    bucket_start: datetime = Field(description="Start of the hour or day, in the zone asked for.")
    group: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None = Field(description="Decimal string in USD; null when nothing in it has a price.")
    unpriced: int = Field(description="Calls with usage that have no price and are not in cost_usd.")


class CostsAnswer(Answer):
    """Cost over time. The judge's own calls are left out."""

    group_by: str
    interval: str
    tz: str
    since: datetime
    until: datetime
    items: list[CostAnswer]


class UsageRowAnswer(Answer):
    """Calls of one model on one day, as far as an invoice goes."""

    day: date
    model: str
    response_model: str
    upstream: str
    origin: Literal["product", "judge"]
    calls: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_usd: str | None = Field(description="Decimal string in USD; null when nothing in it has a price.")
    unpriced: int = Field(description="Calls with usage that have no price.")
    partial: int = Field(description="Calls whose answer was cut.")
    counted: int = Field(description="Calls whose tokens the gateway counted because nobody reported them.")
    unknown: int = Field(description="Answered calls whose usage is unknown.")


class UsagesAnswer(Answer):
    """Usage by day and model."""

    tz: str
    since: datetime
    until: datetime
    items: list[UsageRowAnswer]


class RepricedModelAnswer(Answer):
    """What became of one model's calls. Amounts are decimal strings in USD, null where nothing is priced."""

    model: str
    calls: int
    changed: int = Field(description="Calls whose cost or price version differs.")
    gained: int = Field(description="Calls that had no price and have one.")
    lost: int = Field(description="Calls that had a price which these prices do not know.")
    kept: int = Field(description="Calls left as they are: what was stored does not tell their price.")
    before: str | None
    after: str | None
    difference: str


class RepricedAnswer(Answer):
    """One step of a repricing."""

    run: str
    version: str
    items: list[RepricedModelAnswer]
    next_cursor: str | None = Field(description="Give it and run to the next step; null after the last.")


class UndoneAnswer(Answer):
    """A run that was undone."""

    run: str
    items: list[RepricedModelAnswer]


class LedgerAnswer(Answer):
    """Where every accepted call is: accepted = stored + raw + outbox + quarantined + shed."""

    accepted: int
    stored: int
    raw: int
    outbox: int
    quarantined: int
    shed: int
    balanced: bool


class ErrorFields(Answer):
    """What went wrong, in the shape of OpenAI's errors."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(Answer):
    """An error."""

    error: ErrorFields
