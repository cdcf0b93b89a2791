"""Logging in and out, and the colours: the pages' only routes that set a cookie."""

from __future__ import annotations

from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.render import THEME_COOKIE, THEMES, here, page
from gateway.api import client_of
from gateway.login import COOKIE, SESSION_S, Attempts, Gate, local_path, same_origin

MAX_FORM = 8192
"""Bytes of a login form."""
YEAR_S = 365 * 24 * 3600


class LoginNeeded(Exception):
    """A page was asked for without a session."""


def signed_in(gate: Gate, request: Request) -> bool:
    """Whether the request carries a session of ours."""
    return gate.session_valid(request.cookies.get(COOKIE, ""))


def to_login(request: Request, _error: Exception) -> Response:
    """Handler of ``LoginNeeded``: to the form, and back to the page afterwards."""
    return RedirectResponse(f"/dashboards/login?next={quote(here(request), safe='')}", 303)


def router(gate: Gate, attempts: Attempts) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/dashboards", include_in_schema=False)

    @routes.get("/login")
    def login_page(request: Request, token: str | None = None, next: str | None = None) -> Response:
        """The form; or, by the link that the gateway prints, straight in."""
        if token:
            return _try(request, gate, attempts, token, next)
        if signed_in(gate, request):
            return RedirectResponse(local_path(next), 303)
        return _form(request, next)

    @routes.post("/login")
    async def login(request: Request) -> Response:
        if not _from_here(request):
            return _form(request, None, 403, "This form was sent from another site.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM:
                return _form(request, None, 413, "That is too long for a token.")
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
        token = fields.get("token", [""])[0]
        return _try(request, gate, attempts, token.strip(), fields.get("next", [None])[0])

    @routes.post("/logout")
    def logout(request: Request) -> Response:
        if not _from_here(request):
            return _form(request, None, 403, "This form was sent from another site.")
        answer = RedirectResponse("/dashboards/login", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_secure(request))
        return answer

    @routes.get("/theme")
    def theme(request: Request, to: str = "", next: str | None = None) -> Response:
        """A plain link, so that the toggle works without JavaScript."""
        back = next if next and next.partition("?")[0] == "/docs" else local_path(next)
        answer = RedirectResponse(back, 303)
        if to in THEMES:
            answer.set_cookie(
                THEME_COOKIE, to, max_age=YEAR_S, path="/", httponly=True, samesite="strict", secure=_secure(request)
            )
        return answer

    return routes


def _try(request: Request, gate: Gate, attempts: Attempts, token: str, next: str | None) -> Response:
    client = client_of(request)
    if wait := attempts.wait(client):
        answer = _form(request, next, 429, f"Too many wrong tokens. Try again in {wait} seconds.")
        answer.headers["retry-after"] = str(wait)
        return answer
    if not gate.token_matches(token):
        attempts.failed(client)
        return _form(request, next, 401, "That is not the admin token.")
    answer = RedirectResponse(local_path(next), 303)
    answer.set_cookie(
        COOKIE,
        gate.open_session(),
        max_age=SESSION_S,
        path="/",
        httponly=True,
        samesite="strict",
        secure=_secure(request),
    )
    return answer


def _form(request: Request, next: str | None, status: int = 200, problem: str = "") -> Response:
    return page(request, "login.html", status, signed_in=False, next=local_path(next), problem=problem)


def _from_here(request: Request) -> bool:
    headers = request.headers
    scheme = "https" if _secure(request) else "http"
    return same_origin(headers.get("origin"), headers.get("sec-fetch-site"), headers.get("host"), scheme)


def _secure(request: Request) -> bool:
    """Whether the browser came by HTTPS, as our relay says; the cookie then stays on it."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "") == "https"
