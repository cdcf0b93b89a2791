"""Sockets up to the limit of the process: what is open is served and recorded."""

from __future__ import annotations

import contextlib
import resource
import socket
from pathlib import Path

import httpx

from tests.e2e.installation import ADMIN_TOKEN, Installation, eventually
from tests.e2e.upstream import FakeUpstream

LIMIT = 160
CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_sockets_without_end_leave_the_journal_what_it_needs(tmp_path: Path) -> None:
    """Who was connected before is served, each call stored and none shed; those too many are closed and counted."""
    with FakeUpstream() as upstream, contextlib.ExitStack() as stack:
        settings = {"redact": {"profile": "fast"}, "upstreams": [{"name": "fake", "base_url": upstream.base_url}]}
        site = Installation(tmp_path, settings).start()
        stack.callback(site.stop)
        assert site.process is not None
        resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE, (LIMIT - 1, LIMIT))
        site.await_restart("serve", site.kill("serve"))
        assert resource.prlimit(site.pid("serve"), resource.RLIMIT_NOFILE) == (LIMIT, LIMIT)
        client = stack.enter_context(httpx.Client(base_url=site.base, timeout=30, trust_env=False))
        client.headers["authorization"] = f"Bearer {ADMIN_TOKEN}"
        assert client.get("/healthz").status_code == 200
        for _ in range(2 * LIMIT):
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
        for _ in range(20):
            assert client.post("/v1/chat/completions", json=CALL).status_code == 200
        eventually(lambda: client.get("/api/ledger").json()["stored"] == 20, "each call stored")
        assert client.get("/api/ledger").json()["shed"] == 0
        assert turned_away(client.get("/metrics").text) >= LIMIT


def turned_away(exposed: str) -> float:
    return sum(float(line.split()[1]) for line in exposed.splitlines() if line.startswith("gateway_turned_away_total "))
