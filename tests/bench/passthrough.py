"""The bare thing to compare with: raw ASGI and aiohttp, nothing kept, nothing checked.

``python -m tests.bench.passthrough PORT UPSTREAM_URL``.
"""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import uvicorn
import yarl

HOP = {b"host", b"connection", b"content-length", b"transfer-encoding"}


class Passthrough:
    """Forwards whatever comes, streaming what comes back."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        return self._session

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"] if name not in HOP]
        url = yarl.URL(self._upstream + scope["raw_path"].decode(), encoded=True)
        async with self._client().request(
            scope["method"], url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() not in HOP]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


if __name__ == "__main__":
    uvicorn.run(
        Passthrough(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
    )
