"""Sockets up to the limit of the process: what is open is served and recorded."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import ADMIN_TOKEN, Installation, eventually
from tests.e2e.upstream import FakeUpstream
from tests.fakes.authority import authority

LIMIT = 160
CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize("secured", [False, True])
def test_sockets_without_end_leave_the_journal_what_it_needs(tmp_path: Path, secured: bool) -> None:
    """Who was connected before is served, each call stored and none shed; those too many are closed and counted.

    So it is with those that never begin to speak TLS.
    """
    issued = authority(tmp_path / "tls")
    shown = {"tls_cert": str(issued.cert), "tls_key": str(issued.key)} if secured else {}
    with FakeUpstream() as upstream, contextlib.ExitStack() as stack:
        upstreams = [{"name": "fake", "base_url": upstream.base_url}]
        site = Installation(tmp_path, {"redact": {"profile": "fast"}, "upstreams": upstreams, "server": shown}).start()
        stack.callback(site.stop)
        assert site.process is not None
        resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE, (LIMIT - 1, LIMIT))
        site.await_restart("serve", site.kill("serve"))
        assert resource.prlimit(site.pid("serve"), resource.RLIMIT_NOFILE) == (LIMIT, LIMIT)
        base = f"https://127.0.0.1:{site.port}" if secured else site.base
        trust = ssl.create_default_context(cafile=issued.ca_file)
        client = stack.enter_context(httpx.Client(base_url=base, timeout=30, trust_env=False, verify=trust))
        client.headers["authorization"] = f"Bearer {ADMIN_TOKEN}"
        assert client.get("/healthz").status_code == 200
        for _ in range(2 * LIMIT):
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
        for _ in range(20):
            assert client.post("/v1/chat/completions", json=CALL).status_code == 200
        eventually(lambda: client.get("/api/ledger").json()["stored"] == 20, "each call stored")
        assert client.get("/api/ledger").json()["shed"] == 0
        assert turned_away(client.get("/metrics").text) >= LIMIT
        newcomer = stack.enter_context(httpx.Client(base_url=base, timeout=30, trust_env=False, verify=trust))
        assert newcomer.get("/healthz").status_code == 200


def turned_away(exposed: str) -> float:
    return sum(float(line.split()[1]) for line in exposed.splitlines() if line.startswith("gateway_turned_away_total "))
