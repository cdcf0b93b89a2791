"""The pages: cost, calls, one call. Read-only; every filter stands in the address."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from dashboards import charts, conversation
from dashboards.entry import LoginNeeded, signed_in
from dashboards.filters import CUSTOM, GROUPS, ORIGINS, PERIODS, Filters, parse
from dashboards.numerals import percent
from dashboards.render import page
from dashboards.timeline import Timeline, step, timeline
from gateway import moments
from gateway.errors import GatewayError
from gateway.login import Gate
from gateway.model import Finding, Ledger, Usage
from gateway.store.reads import Reads
from gateway.store.results import CallDetail, Dimensions, UpstreamHealth

LATEST = 25
PAGE = 100
HEALTH_OF = timedelta(minutes=15)
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function", "error", "reasoning"})
STATUSES = ("200", "4xx", "5xx", "error")
LEDGER_WORDS = (
    ("accepted", "past the key check"),
    ("stored", "in the store"),
    ("raw", "sealed, to be redacted"),
    ("outbox", "redacted, to be stored"),
    ("quarantined", "could not be processed"),
    ("shed", "served, not recorded"),
)


class Late(NamedTuple):
    """By how many seconds redaction and the store are behind, and what is done about it."""

    redaction: float
    store: float
    measures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """What is said beside numbers: where clients connect, and what the operator says of the judge.

    ``upstreams`` are the names whose health is shown: none without breakers and fallbacks. ``late`` tells how far the
    work is behind.
    """

    base_url: str
    judge: str = ""
    upstreams: tuple[str, ...] = ()
    late: Callable[[], Late] = lambda: Late(0.0, 0.0, ())


def router(
    reads: Reads,
    ledger: Callable[[], Ledger],
    gate: Gate,
    notes: Notes,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> APIRouter:
    """The routes. Handlers are plain functions and run in threads, since the store's client blocks."""

    def session(request: Request) -> None:
        if not signed_in(gate, request):
            raise LoginNeeded

    routes = APIRouter(include_in_schema=False, dependencies=[Depends(session)])

    @routes.get("/")
    @routes.get("/dashboards")
    def home() -> Response:
        return RedirectResponse("/dashboards/", 303)

    @routes.get("/dashboards/")
    def cost(request: Request) -> Response:
        since = clock() - HEALTH_OF
        health = [found for found in reads.upstreams(since) if found.name in notes.upstreams] if notes.upstreams else []
        return _cost(request, parse(request.query_params, clock()), reads, ledger, notes, health)

    @routes.get("/dashboards/calls")
    def calls(request: Request) -> Response:
        return _calls(request, parse(request.query_params, clock()), reads, notes)

    @routes.get("/dashboards/redaction")
    def redaction(request: Request) -> Response:
        taken = reads.findings(clock() - timedelta(days=1), clock())
        return page(request, "redaction.html", tab="redaction", reports=measured(), taken=taken, share=_share)

    @routes.get("/dashboards/calls/{id}")
    def call(id: str, request: Request) -> Response:
        found = reads.call(id)
        return _missing(request) if found is None else _call(request, found, notes)

    return routes


@cache
def measured() -> list[dict[str, Any]]:
    """What each profile was measured to find, as ``make redaction`` wrote it down."""
    found: list[dict[str, Any]] = json.loads(resources.files("dashboards").joinpath("redaction.json").read_bytes())
    return found


def _share(part: float) -> str:
    return f"{part:.1%}".replace("%", " %")


def _cost(
    request: Request,
    filters: Filters,
    reads: Reads,
    ledger: Callable[[], Ledger],
    notes: Notes,
    health: list[UpstreamHealth],
) -> Response:
    wanted = filters.call_filter()
    hours = step(filters.since, filters.until)
    rows = reads.costs(
        filters.by,  # type: ignore[arg-type]  # one of GROUPS, checked when the address was read
        "hour" if hours < 24 else "day",
        filters.tz,
        filters.since,
        filters.until,
        wanted,
    )
    grid = timeline(rows, filters.since, filters.until, filters.zone, hours)
    kpis = reads.kpis(wanted)
    latest = reads.calls(wanted, LATEST).items
    return page(
        request,
        "cost.html",
        tab="cost",
        filters=filters,
        choices=_choices(filters, reads.dimensions(filters.since, filters.until)),
        kpis=kpis,
        thumbs_value=percent(kpis.thumbs_up, kpis.thumbs_up + kpis.thumbs_down, 0),
        judge_note=notes.judge.rstrip("."),
        price_notes=sorted({f"{call.model}: {note}" for call in latest if (note := _own_price(call.usage))}),
        groups=GROUPS,
        timeline=grid,
        # The JSON is ours and escaped for a script element; autoescaping would break it.
        chart=None if grid.empty else Markup(charts.cost_chart(grid, _labels(grid))),  # noqa: S704
        latest=latest,
        ledger=_ledger(ledger),
        late=notes.late(),
        ledger_words=LEDGER_WORDS,
        base_url=notes.base_url,
        health=health,
    )


def _calls(request: Request, filters: Filters, reads: Reads, notes: Notes) -> Response:
    try:
        found = reads.calls(filters.call_filter(), PAGE, filters.get("cursor") or None)
    except ValueError:
        # An outdated or shortened link: its filters still hold, its place does not.
        return RedirectResponse(filters.url("/dashboards/calls"), 303)
    return page(
        request,
        "calls.html",
        tab="calls",
        filters=filters,
        choices=_choices(filters, reads.dimensions(filters.since, filters.until)),
        page=found,
        base_url=notes.base_url,
    )


def _call(request: Request, call: CallDetail, notes: Notes) -> Response:
    zone = _zone(request)
    thumbs = [score for score in call.scores if score.name == "thumb" and score.source == "human"]
    return page(
        request,
        "call.html",
        tab="calls",
        call=call,
        zone=zone,
        tz=zone.key,
        known_roles=ROLES,
        sent=conversation.request_turns(call.request),
        answered=conversation.response_turns(call.response),
        parameters=conversation.parameters(call.request),
        request_json=_pretty(call.request),
        response_json=_pretty(call.response),
        findings=_findings(call.findings),
        thumbs=thumbs,
        verdicts=[score for score in call.scores if score.source == "judge"],
        tokens=_tokens(call.usage),
        price_note=_own_price(call.usage) or ("list price" if call.usage.cost_usd is not None else "unpriced"),
        judge_note=notes.judge.rstrip("."),
    )


def _own_price(usage: Usage) -> str:
    """What the operator noted at the price of his own that a cost was figured with; empty for a list price."""
    kind, _, note = usage.price_version.partition(": ")
    return (note or "own price") if kind == "override" else ""


def _missing(request: Request) -> Response:
    lines = (
        "No stored call has this id.",
        "A call shows a few seconds after its end; one older than the retention has been removed.",
    )
    return page(request, "message.html", 404, heading="No such call", lines=lines, link="/dashboards/calls",
                link_text="All calls")  # fmt: skip


def _choices(filters: Filters, found: Dimensions) -> dict[str, list[tuple[str, str]]]:
    """Options of the selects. A chosen value stands among them even when the period holds none of it."""

    def options(name: str, values: list[str]) -> list[tuple[str, str]]:
        chosen = filters.get(name)
        named = [value for value in values if value]
        return [(value, value) for value in ([chosen] if chosen and chosen not in named else []) + named]

    statuses = [*STATUSES, *(str(status) for status in found.statuses if str(status) not in STATUSES)]
    periods = [(name, text) for name, (text, _) in PERIODS.items()]
    return {
        "periods": [(CUSTOM, "Custom"), *periods] if filters.period == CUSTOM else periods,
        "teams": options("team", found.teams),
        "models": options("model", found.models),
        "keys": options("key", found.keys),
        "statuses": options("status", statuses),
        "origins": list(ORIGINS.items()),
    }


def _labels(grid: Timeline) -> list[str]:
    shape = "%m-%d %H:%M" if grid.hours < 24 else "%Y-%m-%d" if grid.hours > 24 else "%m-%d"
    return [bucket.start.strftime(shape) for bucket in grid.buckets]


def _ledger(read: Callable[[], Ledger]) -> dict[str, Any] | None:
    try:
        state = read()
    except (GatewayError, OSError):
        # The other numbers of the page are right without it.
        return None
    return {**{name: getattr(state, name) for name, _ in LEDGER_WORDS}, "balanced": state.balanced}


def _findings(found: tuple[Finding, ...]) -> list[tuple[Finding, int]]:
    """Equal findings once, with how often; the most frequent first."""
    return Counter(found).most_common()


def _tokens(usage: Usage) -> list[tuple[str, int | None]]:
    """Tokens by kind: the two sums always, the others when there are any."""
    kinds = [
        ("Cached input", usage.cached_input_tokens),
        ("Cache written", usage.cache_write_tokens),
        ("Reasoning", usage.reasoning_tokens),
        ("Audio input", usage.audio_input_tokens),
        ("Audio output", usage.audio_output_tokens),
        ("Image input", usage.image_input_tokens),
        ("Image output", usage.image_output_tokens),
        ("Video input", usage.video_input_tokens),
        ("Video output", usage.video_output_tokens),
    ]
    sums = [("Input", usage.input_tokens), ("Output", usage.output_tokens)]
    return sums + [(label, value) for label, value in kinds if value]


def _pretty(value: Any) -> str:
    return "" if value is None else conversation.clip(conversation.pretty(value))


def _zone(request: Request) -> ZoneInfo:
    try:
        return moments.zone(request.query_params.get("tz", "UTC"))
    except ValueError:
        return ZoneInfo("UTC")
