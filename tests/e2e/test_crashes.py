"""kill -9 of every process under load: nothing that a client saw the end of is lost, nothing is counted twice."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation, balanced, eventually
from tests.e2e.upstream import FakeUpstream

SETTINGS = {
    "redact": {"profile": "fast"},
    "prices": {"overrides": {"priced": {"input_per_mtok": "2", "output_per_mtok": "8"}}},
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Installation]:
    """A fresh installation a test."""
    with FakeUpstream() as upstream:
        settings = SETTINGS | {"upstreams": [{"name": "fake", "base_url": upstream.base_url}]}
        installation = Installation(tmp_path, settings).start()
        yield installation
        installation.stop()


def one_call(base: str, number: int) -> str | None:
    """A call whose end was seen answers its id; one that failed answers None."""
    body = {
        "model": "priced",
        "stream": number % 2 == 1,
        "messages": [{"role": "user", "content": f"call number {number}"}],
    }
    try:
        answer = httpx.post(f"{base}/v1/chat/completions", json=body, timeout=30)
    except httpx.HTTPError:
        return None
    ended = answer.text.rstrip().endswith("[DONE]") if body["stream"] else answer.status_code == 200
    return answer.headers["x-gateway-call-id"] if ended else None


class Load:
    """Calls without a break from another thread; ``seen`` holds the ids of those that came to their end."""

    def __init__(self, base: str) -> None:
        self.seen: list[str] = []
        self._stop = threading.Event()
        self._base = base
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            call_id = one_call(self._base, number)
            if call_id:
                self.seen.append(call_id)
            else:
                self._stop.wait(0.02)

    def await_more(self, count: int) -> None:
        """Until so many further calls have ended."""
        target = len(self.seen) + count
        eventually(lambda: len(self.seen) >= target, f"{count} more calls")


def assert_all_there_once(gateway: Installation, seen: list[str]) -> None:
    """Every acknowledged call is stored once; the ledger closes; cost rows equal the calls."""

    def accepted() -> int | None:
        answer = gateway.get("/api/ledger")
        return answer.json()["accepted"] if answer.status_code == 200 else None

    eventually(accepted, "a ledger")
    count = accepted()
    assert count is not None
    ledger = gateway.settled(count)
    assert balanced(ledger)
    assert ledger["quarantined"] == 0
    calls = gateway.calls()
    times = Counter(call["id"] for call in calls)
    assert [call_id for call_id in seen if times[call_id] != 1] == []
    assert max(times.values()) == 1
    assert len(calls) == ledger["stored"]
    rows = gateway.api("/api/costs", group_by="model", interval="hour")["items"]
    assert sum(row["calls"] for row in rows) == len(calls)
    by_rows = sum((Decimal(row["cost_usd"] or 0) for row in rows), Decimal(0))
    assert by_rows == sum((Decimal(call["cost_usd"] or 0) for call in calls), Decimal(0))


def test_killing_the_proxy_loses_no_finished_call(gateway: Installation) -> None:
    """A call whose end the client saw is there after kill -9 of serve."""
    with Load(gateway.base) as load:
        for _ in range(3):
            load.await_more(10)
            old = gateway.kill("serve")
            gateway.await_restart("serve", old)
    assert_all_there_once(gateway, load.seen)


def test_killing_redactors_and_work_loses_and_doubles_nothing(gateway: Installation) -> None:
    """Clients notice neither, and each call is stored once."""
    with Load(gateway.base) as load:
        for role in ("redactor", "work", "redactor", "work"):
            load.await_more(15)
            old = gateway.kill(role)
            gateway.await_restart(role, old)
    assert_all_there_once(gateway, load.seen)


def test_killing_the_parent_of_redactors_does_not_end_the_gateway(tmp_path: Path) -> None:
    """Another one starts although helpers of the old one have not ended yet."""
    with FakeUpstream() as upstream:
        upstreams = [{"name": "fake", "base_url": upstream.base_url}]
        settings = {"redact": {"profile": "fast", "workers": 2}, "upstreams": upstreams}
        gateway = Installation(tmp_path, settings).start()
        parent = gateway.pid("redactor")
        helpers = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        assert len(helpers) == 2
        try:
            for helper in helpers:
                os.kill(int(helper), signal.SIGSTOP)
            gateway.kill("redactor")
            gateway.await_restart("redactor", parent)
            call_id = one_call(gateway.base, 1)
            assert call_id is not None
            assert gateway.call(call_id)["ended"] == "complete"
        finally:
            for helper in helpers:
                os.kill(int(helper), signal.SIGCONT)
            assert gateway.stop() == 0


def test_a_stream_cut_by_a_kill_is_kept_as_killed(gateway: Installation) -> None:
    """The request and what had come of the answer are there after the crash."""
    body = {"model": "drip", "stream": True, "messages": [{"role": "user", "content": "take your time"}]}
    with httpx.stream("POST", f"{gateway.base}/v1/chat/completions", json=body, timeout=30) as answer:
        call_id = answer.headers["x-gateway-call-id"]
        live = gateway.data_dir / "journal" / "serve-0"
        pieces = answer.iter_raw()  # kept: httpx hangs up when the iterator is dropped
        next(pieces)
        eventually(lambda: any(path.stat().st_size > 110 for path in live.glob("*.live")), "the live log written")
        old = gateway.kill("serve")
    gateway.await_restart("serve", old)
    call = gateway.call(call_id)
    assert call["ended"] == "killed"
    assert call["request"]["messages"][0]["content"] == "take your time"


def test_a_stop_and_a_start_keep_everything(gateway: Installation) -> None:
    """SIGTERM under load ends with code 0, and the next start has every call."""
    with Load(gateway.base) as load:
        load.await_more(20)
        assert gateway.stop() == 0
    gateway.start()
    assert_all_there_once(gateway, load.seen)


def test_what_a_worker_left_that_is_no_longer_configured_is_recovered(tmp_path: Path) -> None:
    """Two proxies are killed with their calls in open segments; one of them comes back."""
    with FakeUpstream() as upstream:
        settings = SETTINGS | {"upstreams": [{"name": "fake", "base_url": upstream.base_url}]}
        before = Installation(tmp_path, settings | {"server": {"workers": 2}, "journal": {"rotate_after": 60}}).start()
        try:
            calls = [one_call(before.base, number) for number in range(40)]
            folders = [before.data_dir / "journal" / f"serve-{index}" for index in range(2)]
            assert all(list(folder.glob("*.open")) for folder in folders), "both took calls"
        finally:
            assert before.process is not None
            pids = before.processes().values()
            for pid in (before.process.pid, *pids):
                os.kill(pid, signal.SIGKILL)
            before.process.wait()
        after = Installation(tmp_path, settings, port=before.port).start()
        try:
            ledger = after.settled(len(calls))
            assert balanced(ledger)
            assert Counter(call["id"] for call in after.calls()) == Counter(calls)
        finally:
            after.stop()
