"""The outer ASGI dispatcher: what is proxied first, then the probes, and everything else to ``work``."""

from __future__ import annotations

import asyncio

from gateway import metrics, places, telemetry
from gateway.errors import RequestRefused
from gateway.feedback import Feedback
from gateway.flight import Journal
from gateway.passage import Header, Message, Receive, Send
from gateway.paths import Layout
from gateway.places import Place
from gateway.proxy import Proxy
from gateway.relay import Relay, plain

FEEDBACK = b"/v1/feedback"
PREFLIGHT_S = b"600"
METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

log = telemetry.log("ingress")


class CrossOrigin:
    """Headers by which a browser lets pages of the configured origins call ``/v1``."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self.take_up(origins)

    def take_up(self, origins: tuple[str, ...]) -> None:
        """Allow these origins from now on."""
        self._origins = frozenset(origin.encode() for origin in origins)
        self.on = bool(origins)

    def headers(self, headers: list[Header]) -> list[Header]:
        """The headers for an answer; none when the request's origin is not configured."""
        origin = _header(headers, b"origin")
        if origin is None or not (origin in self._origins or b"*" in self._origins):
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"x-gateway-call-id, x-gateway-overhead-ms"),
            (b"vary", b"origin"),
        ]

    def preflight(self, headers: list[Header]) -> list[Header]:
        """The headers for the answer to a preflight request."""
        allowed = self.headers(headers)
        if allowed:
            wanted = _header(headers, b"access-control-request-headers")
            allowed.append((b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"))
            allowed.append((b"access-control-allow-headers", wanted or b"authorization, content-type"))
            allowed.append((b"access-control-max-age", PREFLIGHT_S))
        return allowed


class Ingress:
    """The ASGI application of a ``serve`` process."""

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        proxy: Proxy,
        feedback: Feedback,
        relay: Relay,
        cross_origin: CrossOrigin,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._proxy = proxy
        self._feedback = feedback
        self._relay = relay
        self._cross_origin = cross_origin

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        place = places.find(scope["raw_path"])
        path: str = scope["path"]
        if place is not None:
            await self._api(place, scope, receive, send)
        elif path == "/healthz":
            await plain(send, 200, b"ok\n")
        elif path == "/readyz":
            ready = self._journal.writable
            await plain(send, 200 if ready else 503, b"ready\n" if ready else b"the journal is not writable\n")
        elif path == "/metrics":
            await plain(send, 200, await asyncio.to_thread(self._metrics), METRICS_TYPE)
        else:
            await self._relay.serve(scope, receive, send)

    async def _api(self, place: Place, scope: Message, receive: Receive, send: Send) -> None:
        cross_origin: list[Header] = []
        if self._cross_origin.on:
            cross_origin = self._cross_origin.headers(scope["headers"])
            if scope["method"] == "OPTIONS" and _header(scope["headers"], b"access-control-request-method"):
                await plain(send, 204, b"", extra=self._cross_origin.preflight(scope["headers"]))
                return
        try:
            if scope["raw_path"] == FEEDBACK:
                if scope["method"] != "POST":
                    raise RequestRefused(405, "Feedback is given by POST.", code="method_not_allowed")
                await self._feedback.serve(scope, receive, send, cross_origin)
            else:
                await self._proxy.serve(place, scope, receive, send, cross_origin)
        except RequestRefused as refusal:
            metrics.refused.labels(refusal.code or refusal.type).inc()
            await _refuse(send, refusal, cross_origin)

    def _metrics(self) -> bytes:
        from gateway import ledger

        balance = ledger.read(self._layout)
        for stage in balance.__struct_fields__:
            metrics.ledger.labels(stage).set(getattr(balance, stage))
        behind = ledger.behind(self._layout)  # read here, for work may be away
        metrics.raw_age.set(behind.redaction)
        metrics.store_behind.set(behind.store)
        return metrics.exposition()


async def _refuse(send: Send, refusal: RequestRefused, extra: list[Header]) -> None:
    headers = list(extra)
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after_s))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await plain(send, refusal.status, refusal.body(), b"application/json", headers)


def _header(headers: list[Header], name: bytes) -> bytes | None:
    for known, value in headers:
        if known == name:
            return value
    return None
