"""What the installation's own processes ask of ``work``. Without this start's mark there is nothing here: 404.

``serve`` relays no client to these paths; the mark guards them once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from gateway import mark, telemetry
from gateway.model import Ledger
from gateway.paths import Layout
from gateway.store.filters import CallFilter
from gateway.store.reads import Reads

BACKLOG = timedelta(days=7)
"""How far back calls are still judged, after the judge was away or its budget used up."""
MAX_CANDIDATES = 500

log = telemetry.log("internal")


def router(reads: Reads, layout: Layout, take_snapshot: Callable[[], Ledger]) -> APIRouter:
    """The routes under ``/internal``. Handlers are plain functions and run in threads: the store's client blocks."""

    def ours(request: Request) -> None:
        if not mark.matches(layout, request.headers.get(mark.HEADER)):
            raise HTTPException(404)

    routes = APIRouter(prefix="/internal", dependencies=[Depends(ours)], include_in_schema=False)

    @routes.get("/judge/candidates")
    def candidates(
        sample: Annotated[float, Query(ge=0, le=1)] = 1.0,
        limit: Annotated[int, Query(ge=1, le=MAX_CANDIDATES)] = 50,
    ) -> Response:
        found = reads.judge_candidates(sample, limit, datetime.now(UTC) - BACKLOG)
        return _json({"items": [{"id": it.id, "request": it.request, "response": it.response} for it in found]})

    @routes.get("/judge/spend")
    def spend() -> Response:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        kpis = reads.kpis(CallFilter(origin="judge", since=today))
        return _json(
            {
                "day": today.date().isoformat(),
                "calls": kpis.calls,
                "cost_usd": kpis.spend,
                "unpriced": kpis.unpriced,
            }
        )

    @routes.get("/resolve")
    def resolve(id: Annotated[str, Query(min_length=1, max_length=512)]) -> Response:
        return _json({"call_id": reads.resolve(id)})

    @routes.post("/snapshot")
    def snapshot() -> Response:
        began = time.monotonic()
        try:
            ledger = take_snapshot()
        except OSError as error:
            raise HTTPException(507, f"no snapshot can be taken: {error.strerror}") from None
        log.info("snapshot taken", seconds=round(time.monotonic() - began, 3))
        return _json(ledger)

    return routes


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
