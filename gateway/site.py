"""The ASGI application of the ``work`` process: read API, pages, documentation, and what the rooms add to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from dashboards import assets, docs, entry, pages
from dashboards.entry import LoginNeeded
from dashboards.pages import Notes
from dashboards.render import page
from gateway import __version__, api, openapi, telemetry
from gateway.errors import StoreError
from gateway.headers import SecurityHeaders
from gateway.login import Attempts, Gate
from gateway.model import Ledger
from gateway.money import routes
from gateway.money.repricer import Repricer
from gateway.store.reads import Reads

API_ATTEMPTS = 60
"""Wrong bearer tokens a minute: a misconfigured poller is no attack, and shares its address with others."""

log = telemetry.log("site")


def application(
    reads: Reads,
    ledger: Callable[[], Ledger],
    gate: Gate,
    notes: Notes,
    others: Sequence[APIRouter] = (),
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    repricer: Callable[[], Repricer] | None = None,
) -> ASGIApp:
    """Compose it. ``others`` are routers of other rooms, such as ``/internal``; ``clock`` is where periods end.

    ``repricer`` makes what sets stored costs anew; without one there is no such path.
    """
    app = FastAPI(title="llm-gateway", version=__version__, docs_url=None, redoc_url=None)
    app.openapi = partial(openapi.document, app)  # type: ignore[method-assign]  # FastAPI's documented way
    attempts = Attempts(limit=API_ATTEMPTS)
    app.include_router(api.router(reads, ledger, gate, attempts, clock))
    if repricer is not None:
        app.include_router(routes.router(repricer, api.admin(gate, attempts)))
    app.include_router(assets.router())
    app.include_router(entry.router(gate, Attempts()))
    app.include_router(pages.router(reads, ledger, gate, notes, clock))
    app.include_router(docs.router(app, gate))
    for router in others:
        app.include_router(router)
    app.add_exception_handler(LoginNeeded, entry.to_login)
    app.add_exception_handler(api.Refusal, api.refusal)
    app.add_exception_handler(RequestValidationError, api.bad_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StoreError, _store_away)
    app.add_exception_handler(Exception, _unexpected)
    return SecurityHeaders(app)


def _is_page(request: Request) -> bool:
    return request.url.path.startswith(("/dashboards", "/docs")) or request.url.path == "/"


def _message(request: Request, status: int, heading: str, *lines: str) -> Response:
    link = request.url.path if status == 503 else "/dashboards/"
    text = "Try again" if status == 503 else "To the dashboard"
    return page(request, "message.html", status, heading=heading, lines=lines, link=link, link_text=text)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _is_page(request) and error.status_code == 404:
        return _message(request, 404, "No such page", "There is nothing at this address.")
    return api.http_error(request, error)


def _store_away(request: Request, error: Exception) -> Response:
    log.warning("store away", path_is_page=_is_page(request), error=error)
    if not _is_page(request):
        return api.store_away(request, error)
    answer = _message(
        request,
        503,
        "The store cannot be read now",
        "Calls are still taken, recorded and redacted; they show here once the store is back.",
        "If this lasts, look at the log of the work process and at the disk or the ClickHouse server.",
    )
    answer.headers["retry-after"] = str(api.RETRY_AFTER_S)
    return answer


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("a request failed", error=error)
    if _is_page(request):
        return _message(request, 500, "Something went wrong", "The log of the work process says where.")
    body = {"error": {"message": "something went wrong", "type": "server_error", "param": None, "code": None}}
    return api.answer(body, 500)
