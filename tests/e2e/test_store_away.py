"""The store is gone or full: clients notice nothing, raw text does not pile up, and the outbox drains afterwards."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation, balanced, eventually
from tests.e2e.upstream import FakeUpstream
from tests.fakes.clickhouse import FakeClickHouse


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[FakeClickHouse]:
    """A small server that speaks ClickHouse's HTTP interface over an embedded engine."""
    server = FakeClickHouse(tmp_path / "clickhouse").start()
    yield server
    server.stop()


@pytest.fixture
def gateway(tmp_path: Path, clickhouse: FakeClickHouse) -> Iterator[Installation]:
    """An installation whose store is that server."""
    with FakeUpstream() as upstream:
        settings = {
            "upstreams": [{"name": "fake", "base_url": upstream.base_url}],
            "redact": {"profile": "fast"},
            "store": {"url": clickhouse.url("gateway")},
        }
        installation = Installation(tmp_path / "gateway", settings).start()
        yield installation
        installation.stop()


def ask(gateway: Installation) -> str:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(f"{gateway.base}/v1/chat/completions", json=body, timeout=30)
    assert answer.status_code == 200
    return str(answer.headers["x-gateway-call-id"])


def test_clients_notice_nothing_and_the_outbox_drains(gateway: Installation, clickhouse: FakeClickHouse) -> None:
    """Killed, then back: every call is stored once, and meanwhile the journal was emptied into the outbox."""
    before = [ask(gateway) for _ in range(3)]
    for call_id in before:
        gateway.call(call_id)
    clickhouse.stop()
    during = [ask(gateway) for _ in range(10)]
    eventually(lambda: redacted(gateway), "raw text redacted although the store is away")
    assert httpx.get(f"{gateway.base}/readyz").status_code == 200
    clickhouse.start()
    for call_id in during:
        gateway.call(call_id)
    ledger = gateway.settled(13)
    assert balanced(ledger)
    assert ledger["stored"] == 13
    assert len(gateway.calls()) == 13


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB, as the embedded store's directory."""
    directory = tmp_path / "gateway" / "data" / "store"
    directory.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(directory)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_disk_of_the_store_is_waited_out(tmp_path: Path, small_disk: Path) -> None:
    """Embedded engine, no byte left: answers keep coming, raw text is redacted, and room brings everything in."""
    with FakeUpstream() as upstream:
        settings = {"upstreams": [{"name": "fake", "base_url": upstream.base_url}], "redact": {"profile": "fast"}}
        gateway = Installation(tmp_path / "gateway", settings).start()
        try:
            gateway.call(ask(gateway))
            filler = small_disk / "filler"
            fill(filler)
            during = [ask(gateway) for _ in range(10)]
            eventually(lambda: "gateway_store_errors_total 0.0" not in metrics(gateway), "an insert refused")
            eventually(lambda: redacted(gateway), "raw text redacted although the store is full")
            assert httpx.get(f"{gateway.base}/readyz").status_code == 200
            assert balanced(gateway.ledger())
            filler.unlink()
            for call_id in during:
                gateway.call(call_id)
            ledger = gateway.settled(11)
            assert (ledger["stored"], ledger["shed"], ledger["quarantined"]) == (11, 0, 0)
        finally:
            assert gateway.stop() == 0


def metrics(gateway: Installation) -> str:
    """What Prometheus would read."""
    return httpx.get(f"{gateway.base}/metrics").text


def fill(path: Path) -> None:
    """Take every byte that is left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def redacted(gateway: Installation) -> bool:
    """Whether the journal has been emptied into the outbox."""
    journal = list((gateway.data_dir / "journal").rglob("*.seg"))
    return not journal and any((gateway.data_dir / "outbox").glob("*.batch"))


def test_an_answer_lost_after_applying_doubles_nothing(gateway: Installation, clickhouse: FakeClickHouse) -> None:
    """The server applies inserts but answers 500: the retry is recognised."""
    ask(gateway)
    gateway.settled(1)
    clickhouse.fault("applied", times=3, match="INSERT INTO")
    ids = [ask(gateway) for _ in range(5)]
    for call_id in ids:
        gateway.call(call_id)
    ledger = gateway.settled(6)
    assert ledger["stored"] == 6
    assert len(gateway.calls()) == 6
    rows = gateway.api("/api/costs", group_by="model", interval="hour")["items"]
    assert sum(row["calls"] for row in rows) == 6
