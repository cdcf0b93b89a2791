"""The read API: calls, costs and the ledger, for the bearer of the admin token.

Every error has OpenAI's shape; a bad parameter is a 422 whose ``error.param`` names it. An unknown parameter is one
too: a filter that was misspelt must not pass for no filter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException

from gateway import moments
from gateway.answers import CallAnswer, CallsAnswer, CostsAnswer, ErrorAnswer, LedgerAnswer, UsagesAnswer
from gateway.login import Attempts, Gate
from gateway.model import Ledger
from gateway.store.filters import CallFilter
from gateway.store.reads import Reads
from gateway.store.results import CallDetail, rfc3339

MAX_LIMIT = 1000
COST_SPAN = {"hour": timedelta(days=93), "day": timedelta(days=3660)}
"""Longest period of a costs answer, so that its buckets stay a page and not a flood."""
COST_DEFAULT = {"hour": timedelta(days=7), "day": timedelta(days=30)}
USAGE_SPAN = timedelta(days=400)
RETRY_AFTER_S = 5
DOCUMENTED_BEARER = HTTPBearer(auto_error=False, description="The admin token.")


class Refusal(Exception):
    """An error of the read API: status, message, and which parameter it is about."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str, retry_after_s: int | None = None
    ) -> None:
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        super().__init__(f"{status} {code}")


def _known_zone(name: str) -> str:
    moments.zone(name)
    return name


Moment = Annotated[
    datetime,
    BeforeValidator(lambda given: moments.moment(given) if isinstance(given, str) else given),
    Field(json_schema_extra={"example": "2026-11-23T00:00:00Z"}),
]
Word = Annotated[str, Field(max_length=512)]
Zone = Annotated[str, AfterValidator(_known_zone)]


class Parameters(BaseModel):
    """Base of query parameters: blank means not given, unknown is an error."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value != ""} if isinstance(given, Mapping) else given


class CallsQuery(Parameters):
    """Filters of calls."""

    model: Word | None = None
    team: Word | None = None
    key: Word | None = Field(default=None, max_length=512, description="Name of a client key.")
    user: Word | None = Field(default=None, description="As the client gave it, or its pseudonym.")
    session: Word | None = Field(default=None, description="As the client gave it, or its pseudonym.")
    trace: Word | None = Field(default=None, description="As the client gave it, or its pseudonym.")
    status: str | None = Field(
        default=None, pattern=r"^([1-5]\d\d|0|[1-5]xx|error)$", description="200, 4xx, 5xx or error."
    )
    since: Moment | None = Field(default=None, description="Inclusive, RFC 3339.")
    until: Moment | None = Field(default=None, description="Exclusive, RFC 3339.")
    q: Word | None = Field(default=None, description="Found anywhere in the redacted text, whatever its case.")
    origin: Literal["product", "judge", "all"] = Field(default="product", description="Whose calls.")
    limit: int = Field(default=100, ge=1, le=MAX_LIMIT)
    cursor: Word | None = Field(default=None, description="next_cursor of the page before.")

    def call_filter(self) -> CallFilter:
        """The filter as the store takes it."""
        fields = {name: getattr(self, name) for name in CallFilter.__struct_fields__ if name != "origin"}
        return CallFilter(**fields, origin=None if self.origin == "all" else self.origin)


class CostsQuery(Parameters):
    """What to sum, over which buckets."""

    group_by: Literal["model", "team", "key", "user", "session"] = "model"
    interval: Literal["hour", "day"] = "day"
    tz: Zone = Field(default="UTC", max_length=64, description="IANA time zone of the buckets.")
    since: Moment | None = Field(default=None, description="Inclusive; 7 days ago for hours, 30 for days.")
    until: Moment | None = Field(default=None, description="Exclusive; now.")

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """The period. Raises ``Refusal`` when it is empty or too long."""
        until = self.until or now
        since = self.since or until - COST_DEFAULT[self.interval]
        in_order(since, until)
        if until - since > COST_SPAN[self.interval]:
            days = COST_SPAN[self.interval].days
            raise Refusal(422, f"since: at most {days} days of {self.interval}s", param="since", code="invalid_value")
        return since, until


class UsageQuery(Parameters):
    """A period and the zone whose days it is told by."""

    since: Moment = Field(description="Inclusive, RFC 3339.")
    until: Moment = Field(description="Exclusive, RFC 3339.")
    tz: Zone = Field(default="UTC", max_length=64, description="IANA time zone of the days.")


class NoParameters(Parameters):
    """An endpoint without parameters."""


def in_order(since: datetime | None, until: datetime | None) -> None:
    """Raise ``Refusal`` for a period that ends before it begins."""
    if since is not None and until is not None and until <= since:
        raise Refusal(422, "until: expected a time after since", param="until", code="invalid_value")


def client_of(request: Request) -> str:
    """Who is calling, for counting failures: the address that our relay gave, else the socket's."""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded[:64] or (request.client.host if request.client else "local")


def admin(gate: Gate, attempts: Attempts) -> Callable[[Request], None]:
    """A guard that lets the admin token pass, and raises ``Refusal`` otherwise."""

    def guard(request: Request) -> None:
        client = client_of(request)
        if wait := attempts.wait(client):
            raise Refusal(429, "too many wrong tokens; wait", code="rate_limited", retry_after_s=wait)
        given = request.headers.get("authorization", "")
        if not gate.bearer_matches(given):
            if given:
                attempts.failed(client)
            raise Refusal(401, "the admin token is needed: Authorization: Bearer …", code="invalid_api_key")

    return guard


def router(
    reads: Reads,
    ledger: Callable[[], Ledger],
    gate: Gate,
    attempts: Attempts,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> APIRouter:
    """The routes under ``/api``. Handlers are plain functions and run in threads, since the store's client blocks."""
    guards = [Depends(DOCUMENTED_BEARER), Depends(admin(gate, attempts))]
    routes = APIRouter(prefix="/api", tags=["read"], dependencies=guards, responses=documented_errors())

    @routes.get("/calls", responses=documented(CallsAnswer), summary="Calls, newest first")
    def calls(query: Annotated[CallsQuery, Query()]) -> Response:
        """A page may hold fewer calls than ``limit`` when their texts are long; ``next_cursor`` tells of more."""
        in_order(query.since, query.until)
        try:
            page = reads.calls_with_text(query.call_filter(), query.limit, query.cursor)
        except ValueError as error:
            raise Refusal(422, str(error), param=str(error).partition(":")[0], code="invalid_value") from None
        return answer({"items": [_detail(call) for call in page.items], "next_cursor": page.next_cursor})

    @routes.get("/calls/{id}", responses=documented(CallAnswer, ErrorAnswer), summary="One call with its text")
    def call(id: str, _query: Annotated[NoParameters, Query()]) -> Response:
        """By our id or the provider's response id."""
        found = reads.call(id)
        if found is None:
            raise Refusal(404, "no stored call has this id", param="id", code="not_found")
        return answer(_detail(found))

    @routes.get("/costs", responses=documented(CostsAnswer), summary="Cost over time")
    def costs(query: Annotated[CostsQuery, Query()]) -> Response:
        since, until = query.span(clock())
        rows = reads.costs(query.group_by, query.interval, query.tz, since, until)
        head = {"group_by": query.group_by, "interval": query.interval, "tz": query.tz}
        items = [row.as_json() for row in rows]
        return answer({**head, "since": rfc3339(since), "until": rfc3339(until), "items": items})

    @routes.get("/usage", responses=documented(UsagesAnswer), summary="What a provider's invoice is compared with")
    def usage(query: Annotated[UsageQuery, Query()]) -> Response:
        """By day, model, answering model and upstream; the judge's own calls too, since they are billed as well."""
        in_order(query.since, query.until)
        if query.until - query.since > USAGE_SPAN:
            raise Refusal(422, f"since: at most {USAGE_SPAN.days} days", param="since", code="invalid_value")
        rows = reads.usage(query.tz, query.since, query.until)
        head = {"tz": query.tz, "since": rfc3339(query.since), "until": rfc3339(query.until)}
        return answer({**head, "items": [row.as_json() for row in rows]})

    @routes.get("/ledger", responses=documented(LedgerAnswer), summary="Where every accepted call is")
    def read_ledger(_query: Annotated[NoParameters, Query()]) -> Response:
        """The law: accepted = stored + raw + outbox + quarantined + shed."""
        state = ledger()
        fields = {name: getattr(state, name) for name in Ledger.__struct_fields__}
        return answer({**fields, "balanced": state.balanced})

    return routes


def _detail(call: CallDetail) -> dict[str, Any]:
    """A call as JSON. A text that reads as JSON but cannot be written as such (``1e999``) stays text."""
    body = call.as_json()
    for name, text in (("request", call.request_text), ("response", call.response_text)):
        try:
            json.dumps(body[name], allow_nan=False)
        except (ValueError, RecursionError):
            body[name] = text
    return body


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON as UTF-8. Lone surrogates, which kept text may hold and many readers of JSON refuse, become U+FFFD."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        content = text.encode()
    except UnicodeEncodeError:
        content = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return Response(content, status, dict(headers or {}), "application/json")


def refusal(_request: Request, error: Exception) -> Response:
    """Handler: a ``Refusal`` as JSON."""
    assert isinstance(error, Refusal)
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return answer(_error(error.message, error.param, error.code), error.status, headers)


def bad_parameter(_request: Request, error: Exception) -> Response:
    """Handler: FastAPI's own validation, first field first, never quoting what was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"][1:]) or "query"
    message = "is not a parameter of this path" if first["type"] == "extra_forbidden" else str(first["msg"])
    return answer(_error(f"{param}: {message.removeprefix('Value error, ')}", param, "invalid_value"), 422)


def store_away(_request: Request, _error_raised: Exception) -> Response:
    """Handler: a ``StoreError`` is temporary by definition."""
    message = "the store cannot be read now; calls are still taken and recorded"
    return answer(_error(message, None, "store_away"), 503, {"retry-after": str(RETRY_AFTER_S)})


def http_error(_request: Request, error: Exception) -> Response:
    """Handler: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    code = "not_found" if error.status_code == 404 else "invalid_request"
    return answer(_error(str(error.detail), None, code), error.status_code, error.headers)


def _error(message: str, param: str | None, code: str) -> dict[str, Any]:
    kind = "server_error" if code == "store_away" else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def documented(model: type[BaseModel], missing: type[BaseModel] | None = None) -> dict[int | str, dict[str, Any]]:
    """The answers of one path for the documentation."""
    found: dict[int | str, dict[str, Any]] = {200: {"model": model}}
    return found if missing is None else found | {404: {"model": missing, "description": "No such call."}}


def documented_errors() -> dict[int | str, dict[str, Any]]:
    """The errors that every path here can answer with."""
    texts = {401: "No or a wrong token.", 422: "A bad parameter, named in error.param.", 503: "The store is away."}
    return {status: {"model": ErrorAnswer, "description": text} for status, text in texts.items()}
