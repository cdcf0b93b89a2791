"""The ``work`` process from outside: its socket, its store, its end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from gateway import outbox
from gateway import work as working
from gateway.errors import ConfigError, StoreError
from gateway.paths import Layout
from gateway.snapshot import NAME
from gateway.store.freeze import frozen
from gateway.work import MAX_SOCKET_PATH, Parts, listening
from tests.e2e.installation import eventually
from tests.store.samples import record, score

TOKEN = "admin-token-of-the-tests"
PATIENCE_S = 60.0


@dataclass
class Work:
    """A running process and its data directory."""

    process: subprocess.Popen[bytes]
    layout: Layout

    def client(self) -> httpx.Client:
        """A client that speaks through the socket."""
        transport = httpx.HTTPTransport(uds=str(self.layout.work_socket))
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.Client(transport=transport, base_url="http://work", headers=headers, timeout=PATIENCE_S)

    def await_ready(self) -> None:
        """A process boundary offers nothing to wait on."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.layout.ready("work-0").exists():
            assert self.process.poll() is None, "work ended before it was ready"
            assert time.monotonic() < deadline
            time.sleep(0.05)


def start(directory: Path, **settings: object) -> Work:
    """The process, as the supervisor starts it."""
    data = directory / "data"
    config = directory / "gateway.yaml"
    upstreams = [{"name": "none", "base_url": "http://127.0.0.1:9"}]
    config.write_text(yaml.safe_dump({"data_dir": str(data), "upstreams": upstreams, "admin_token": TOKEN, **settings}))
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "OPENAI_"))}
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "role", "work", "--config", str(config)],
            env=environ | {"GATEWAY_STATE_DIR": str(directory / "state")},
            stderr=log,
            cwd=directory,
        )
    return Work(process, Layout(data))


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    """A process over an embedded store of its own."""
    started = start(tmp_path_factory.mktemp("w"))
    try:
        started.await_ready()
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait()


def test_it_serves_from_a_socket_of_its_own_and_ends_cleanly(work: Work) -> None:
    """Only this user may open the socket; SIGTERM is exit code 0 and leaves neither socket nor mark."""
    assert stat.S_IMODE(work.layout.work_socket.stat().st_mode) == 0o600
    with work.client() as client:
        assert client.get("/api/calls").json() == {"items": [], "next_cursor": None}
        assert client.get("/api/ledger").json()["balanced"] is True
        assert client.get("/api/calls", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/internal/resolve", params={"id": "x"}).status_code == 404
        assert "server" not in client.get("/docs").headers
        client.get("/dashboards/login", params={"token": TOKEN})
        assert "No call in this period yet." in client.get("/dashboards/").text
        work.process.send_signal(signal.SIGTERM)
        assert work.process.wait(PATIENCE_S) == 0
    assert not work.layout.work_socket.exists()
    assert not work.layout.ready("work-0").exists()


def test_what_lies_in_the_outbox_comes_to_the_page(work: Work) -> None:
    """Through loader and embedded store, with its score; the batch is gone afterwards."""
    directory, name = work.layout.outbox, outbox.batch_name("serve-0-1", 1)
    stored = record(model="from-the-outbox")
    outbox.write(outbox.provisional(directory, name), [stored, score(stored.id, label="down", value=0.0)])
    outbox.publish(directory, name)
    deadline = time.monotonic() + PATIENCE_S
    with work.client() as client:
        while client.get(f"/api/calls/{stored.id}").status_code == 404 or list(directory.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.get("/api/ledger").json()["stored"] == 1
        client.get("/dashboards/login", params={"token": TOKEN})
        assert "from-the-outbox" in client.get("/dashboards/").text
        assert "0 / 1" in client.get(f"/dashboards/calls/{stored.id}").text


def test_what_a_killed_backup_left_is_removed_at_the_start(tmp_path: Path) -> None:
    """Links to sealed segments, and what the store kept for it."""
    layout = Layout(tmp_path / "data")
    layout.create()
    left = [layout.snapshot / "journal", frozen(layout.store, NAME) / "store"]
    for directory in left:
        directory.mkdir(parents=True)
    work = start(tmp_path, store={"url": f"chdb://{layout.store}"})
    try:
        work.await_ready()
        eventually(lambda: not any(directory.parent.exists() for directory in left), "it is removed")
    finally:
        work.process.kill()
        work.process.wait()


def test_what_backups_leave_is_looked_for_again_whatever_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the end."""
    monkeypatch.setattr(working, "SWEEP_EVERY_S", 0.0)
    stop, looks = threading.Event(), []

    def remove() -> bool:
        looks.append(len(looks))
        if len(looks) == 3:
            stop.set()
        if len(looks) == 1:
            raise OSError(5, "Input/output error")
        return len(looks) == 2

    working.sweep(remove, stop)
    assert len(looks) == 3


def test_it_serves_its_pages_without_its_store(tmp_path: Path) -> None:
    """A ClickHouse server that is away is a 503, told in plain words; the process is up and ends cleanly."""
    away = start(tmp_path, store={"url": "clickhouse://nobody@127.0.0.1:9/none"})
    try:
        away.await_ready()
        with away.client() as client:
            client.get("/dashboards/login", params={"token": TOKEN})
            page = client.get("/dashboards/")
            assert page.status_code == 503
            assert "Calls are still taken" in page.text
            assert client.get("/api/ledger").status_code == 200
        away.process.terminate()
        assert away.process.wait(PATIENCE_S) == 0
    finally:
        if away.process.poll() is None:
            away.process.kill()
            away.process.wait()


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    """As after kill -9."""
    path = tmp_path / "s"
    path.write_text("left behind")
    with listening(path) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert listener.getsockname() == str(path)
    assert not path.exists()


def test_a_path_too_long_for_a_socket_is_a_configuration_error(tmp_path: Path) -> None:
    """Named as what it is, before the kernel says something odd."""
    with pytest.raises(ConfigError, match="data_dir"), listening(tmp_path / ("x" * MAX_SOCKET_PATH)):
        pass


@pytest.mark.parametrize("fails", [True, False])
def test_a_part_that_ends_by_itself_ends_the_process(fails: bool) -> None:
    """By an exception or quietly: the server is told, and the end is not a clean one."""

    def part(_stop: threading.Event) -> None:
        if fails:
            raise StoreError("gone")

    told = threading.Event()

    def process() -> None:
        with Parts() as parts:
            parts.on_failure = told.set
            parts.start("loader", part)
            assert told.wait(PATIENCE_S)

    with pytest.raises(RuntimeError):
        process()


def test_parts_are_told_to_stop() -> None:
    """And that is a clean end."""
    ended = threading.Event()

    def part(stop: threading.Event) -> None:
        stop.wait(PATIENCE_S)
        ended.set()

    with Parts() as parts:
        parts.start("loader", part)
    assert ended.is_set()
