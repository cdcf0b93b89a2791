"""Everything that is no ``/v1``: relayed to the ``work`` process over its unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import yarl
from multidict import CIMultiDict

from gateway import mark, telemetry
from gateway.caller import FORWARDED_FOR, FORWARDED_PROTO, Proxies
from gateway.envelope import HOP_BY_HOP
from gateway.passage import Message, Receive, Send
from gateway.paths import Layout
from gateway.upstreams import answer_headers

AWAY = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Back in a moment</title>
<body><h1>Back in a moment</h1><p>The part of the gateway that serves its pages and reports is starting or away.
Calls under <code>/v1</code> are served and recorded meanwhile. Reload to try again.</p></body></html>
"""
CONNECT_S = 2.0
ANSWER_S = 120.0
_WORK = "http://work"
"""A host that HTTP wants; the connection is the socket's."""
_NOT_RELAYED = HOP_BY_HOP | {mark.HEADER.encode(), b"expect", FORWARDED_FOR, FORWARDED_PROTO}

log = telemetry.log("relay")


class Relay:
    """Carries requests to ``work`` and answers back; 503 with a plain page while it is away."""

    def __init__(self, layout: Layout, proxies: Proxies) -> None:
        self._proxies = proxies
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(layout.work_socket), limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=ANSWER_S),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )

    async def serve(self, scope: Message, receive: Receive, send: Send) -> None:
        """Relay one request."""
        path: str = scope["path"]
        if path == "/internal" or path.startswith("/internal/"):
            await plain(send, 404, b"not found\n")
            return
        try:
            answer = await self._session.request(
                scope["method"],
                _url(scope),
                headers=self._headers(scope),
                data=_pieces(receive) if _has_body(scope["headers"]) else None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("work is away", error=error)
            await _away(send)
            return
        async with answer:
            await _answer(answer, send)

    async def resolve(self, reference: str, internal_mark: str, patience: float) -> str | None:
        """Ask ``work`` which call a reference names: ``None`` when none is known yet, or ``work`` is away."""
        try:
            async with self._session.get(
                f"{_WORK}/internal/resolve",
                params={"id": reference},
                headers={mark.HEADER: internal_mark},
                timeout=aiohttp.ClientTimeout(total=patience),
            ) as answer:
                found = await answer.json() if answer.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
        call_id = found.get("call_id") if isinstance(found, dict) else None
        return call_id if isinstance(call_id, str) else None

    def _headers(self, scope: Message) -> CIMultiDict[str]:
        """The client's, with our word alone for where it comes from: by that wrong tokens are counted, cookies made."""
        relayed: CIMultiDict[str] = CIMultiDict()
        for name, value in scope["headers"]:
            if name not in _NOT_RELAYED:
                relayed.add(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
        peer = scope["client"][0] if scope["client"] else None
        caller = self._proxies.caller(peer, scope["scheme"], scope["headers"])
        relayed[FORWARDED_FOR.decode()] = caller.address
        relayed[FORWARDED_PROTO.decode()] = caller.scheme
        return relayed

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _url(scope: Message) -> yarl.URL:
    query: bytes = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    return yarl.URL(_WORK + target.decode("ascii", "surrogateescape"), encoded=True)


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        more = message["more_body"]
        if message["body"]:
            yield message["body"]


async def _answer(answer: aiohttp.ClientResponse, send: Send) -> None:
    headers = answer_headers(answer.raw_headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        async for data in answer.content.iter_any():
            await send({"type": "http.response.body", "body": data, "more_body": True})
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        log.info("work cut its answer short", error=error)
        return  # without an end: the client's connection is cut as well
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _away(send: Send) -> None:
    await plain(send, 503, AWAY, b"text/html; charset=utf-8", [(b"retry-after", b"2"), (b"cache-control", b"no-store")])


async def plain(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = b"text/plain; charset=utf-8",
    extra: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """A small answer of our own."""
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(extra or ())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
