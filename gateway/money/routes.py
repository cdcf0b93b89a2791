"""``POST /api/reprice`` and ``/api/reprice/undo``: stored costs set anew and back, for who bears the admin token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway import api
from gateway.answers import ErrorAnswer, RepricedAnswer, UndoneAnswer
from gateway.money.pricelist import PriceList
from gateway.money.repricer import Busy, Repricer, Wanted
from gateway.store.repricing import RUN


class RepriceBody(BaseModel):
    """What to price again, and how far that has come. ``prices`` left out: those that new calls get."""

    model_config = ConfigDict(extra="forbid")

    since: api.Moment = Field(description="Inclusive, RFC 3339.")
    until: api.Moment = Field(description="Exclusive, RFC 3339.")
    model: api.Word | None = Field(default=None, description="A model's name or glob, as asked for or as answered.")
    prices: PriceList | None = Field(default=None, description="A version and its overrides; else the current prices.")
    dry_run: bool = False
    run: str | None = Field(default=None, pattern=f"^{RUN.pattern}$", description="Of the steps before.")
    cursor: api.Word | None = Field(default=None, description="next_cursor of the step before.")


class UndoBody(BaseModel):
    """Which run to undo."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(pattern=f"^{RUN.pattern}$")
    dry_run: bool = False


def router(repricer: Callable[[], Repricer], admin: Callable[[Request], None]) -> APIRouter:
    """The routes. Handlers are plain functions and run in threads, since the store's client blocks."""
    guards = [Depends(api.DOCUMENTED_BEARER), Depends(admin)]
    busy: dict[int | str, dict[str, Any]] = {
        409: {"model": ErrorAnswer, "description": "Another repricing is under way, or a later run lies over it."}
    }
    routes = APIRouter(
        prefix="/api", tags=["money"], dependencies=guards, responses={**api.documented_errors(), **busy}
    )

    @routes.post("/reprice", responses=api.documented(RepricedAnswer), summary="Price stored calls again, one step")
    def reprice(body: Annotated[RepriceBody, Body()]) -> Response:
        """Give ``run`` and ``cursor`` of the answer to the next step, until ``next_cursor`` is null."""
        api.in_order(body.since, body.until)
        wanted = Wanted(since=body.since, until=body.until, model=body.model, prices=body.prices, dry_run=body.dry_run)
        try:
            step = repricer().step(wanted, body.run, body.cursor)
        except Busy:
            raise _busy() from None
        except ValueError as error:
            raise _refused(error, 422) from None
        items = [told.as_json() for told in step.told]
        return api.answer({"run": step.run, "version": step.version, "items": items, "next_cursor": step.next_cursor})

    @routes.post("/reprice/undo", responses=api.documented(UndoneAnswer), summary="Give a run's calls their cost back")
    def undo(body: Annotated[UndoBody, Body()]) -> Response:
        """A run over which a later one lies is refused with 409, which names the later one."""
        try:
            told = repricer().undo(body.run, dry_run=body.dry_run)
        except Busy:
            raise _busy() from None
        except ValueError as error:
            raise _refused(error, 409) from None
        if not told:
            raise api.Refusal(404, "no stored call was repriced by this run", param="run", code="not_found")
        items: list[Any] = [each.as_json() for each in told]
        return api.answer({"run": body.run, "items": items})

    return routes


def _busy() -> api.Refusal:
    return api.Refusal(409, "another repricing is under way", code="busy", retry_after_s=api.RETRY_AFTER_S)


def _refused(error: ValueError, status: int) -> api.Refusal:
    return api.Refusal(status, str(error), param=str(error).partition(":")[0], code="invalid_value")
