"""A whole installation under what an operator's machine does to it: its processes, its configuration file, its disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.installation import Installation, eventually, free_port
from tests.e2e.upstream import FakeUpstream
from tests.fakes.disk import NotMounted, leave_free, small_disk


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as running:
        yield running


def settings(upstream: FakeUpstream) -> dict[str, object]:
    return {"redact": {"profile": "fast"}, "upstreams": [{"name": "fake", "base_url": upstream.base_url}]}


@pytest.fixture
def site(tmp_path: Path, upstream: FakeUpstream) -> Iterator[Installation]:
    """A running one."""
    made = Installation(tmp_path, settings(upstream)).start()
    try:
        yield made
    finally:
        assert made.stop() == 0


def ask(site: Installation) -> int:
    """The status of a call."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    return httpx.post(f"{site.base}/v1/chat/completions", json=body, timeout=30, trust_env=False).status_code


def answers(site: Installation) -> bool:
    try:
        return ask(site) == 200
    except httpx.TransportError:
        return False


def rewrite(site: Installation, **changed: object) -> None:
    path = site.directory / "gateway.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changed}), "utf-8")


def command(site: Installation, name: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "gateway", name, "--config", str(site.directory / "gateway.yaml")]
    environ = os.environ | {"GATEWAY_STATE_DIR": str(site.directory / "state")}
    return subprocess.run(argv, capture_output=True, text=True, timeout=180, env=environ)


def test_what_starts_again_is_as_it_was_whatever_the_file_says(site: Installation) -> None:
    """A file that is no YAML, and one that needs a restart: neither touches a process that was killed."""
    path = site.directory / "gateway.yaml"
    good = path.read_text()
    path.write_text("upstreams: [oops\n")
    for role in ("work", "serve"):
        site.await_restart(role, site.kill(role))
    path.write_text(good)
    rewrite(site, server={"port": free_port()})
    refused = command(site, "reload")
    assert (refused.returncode, "needs a restart" in refused.stderr) == (1, True)
    site.await_restart("serve", site.kill("serve"))
    assert ask(site) == 200


def test_a_model_that_is_not_there_is_refused_before_anything_starts_again(site: Installation) -> None:
    """By ``check`` and by ``reload``; the redactor goes on."""
    redacting = site.pid("redactor")
    rewrite(site, redact={"profile": "standard", "model": "en_no_such_model"})
    for name in ("check", "reload"):
        told = command(site, name)
        assert told.returncode in {1, 2}
        assert "en_no_such_model is not installed" in told.stderr
    assert site.pid("redactor") == redacting


def test_the_supervisor_waits_for_nobody(site: Installation) -> None:
    """While a redactor does not end, a killed proxy comes back and SIGTERM is heard."""
    redacting = site.pid("redactor")
    os.kill(redacting, signal.SIGSTOP)
    try:
        rewrite(site, prices={"overrides": {"m": {"input_per_mtok": 1, "output_per_mtok": 1}}})
        reloading = threading.Thread(target=command, args=(site, "reload"), daemon=True)
        reloading.start()
        eventually(lambda: '"configuration taken up"' in site.log_file.read_text(), "serve took it up")
        site.await_restart("serve", site.kill("serve"))
        assert ask(site) == 200
        assert site.pid("redactor") == redacting
    finally:
        os.kill(redacting, signal.SIGCONT)
    reloading.join()


def test_a_full_disk_keeps_nobody_from_coming_back(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Not a killed proxy, not a reload, not a new start."""
    try:
        with small_disk(tmp_path / "data", 192):
            site = Installation(tmp_path, settings(upstream)).start()
            try:
                assert ask(site) == 200
                leave_free(tmp_path / "data" / "ballast", 0)
                site.await_restart("serve", site.kill("serve"))
                assert site.process is not None
                os.kill(site.process.pid, signal.SIGHUP)
                eventually(lambda: site.log_file.read_text().count('"configuration taken up"') == 2, "a reload")
                eventually(lambda: answers(site), "calls are served")
                assert site.stop() == 0
                site.start(wait=False)
                eventually(lambda: answers(site), "calls are served after a new start")
            finally:
                assert site.stop() == 0
    except NotMounted as reason:
        pytest.skip(str(reason))


def test_a_new_start_waits_for_those_who_lost_their_supervisor(tmp_path: Path, upstream: FakeUpstream) -> None:
    """kill -9 of the supervisor, and ``gateway up`` at once, while a redactor does not end yet."""
    site = Installation(tmp_path, settings(upstream)).start()
    left = site.pid("redactor")
    try:
        assert site.process is not None
        os.kill(left, signal.SIGSTOP)
        site.process.kill()
        site.process.wait()
        site.start(wait=False)
        eventually(lambda: "waiting for the end of the process" in site.log_file.read_text(), "the new one waits")
        os.kill(left, signal.SIGCONT)
        eventually(lambda: answers(site) and site.pid("redactor") != left, "it goes on")
    finally:
        assert site.stop() == 0


def test_the_proxy_alone_beside_an_installation_is_refused_and_harms_nothing(site: Installation) -> None:
    """The mark and the metrics stay as they were."""
    run = site.data_dir / "run"
    before = {path: path.stat().st_ino for path in (run / "internal.mark", *run.glob("metrics/*.db"))}
    refused = command(site, "serve")
    assert (refused.returncode, "already runs" in refused.stderr) == (2, True)
    assert {path: path.stat().st_ino for path in before} == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_come_early_wait(tmp_path: Path, upstream: FakeUpstream, number: signal.Signals) -> None:
    """Before anything is configured SIGTERM is a clean end and SIGHUP a reload."""
    slow = tmp_path / "slow.yaml"
    os.mkfifo(slow)
    site = Installation(tmp_path, settings(upstream)).start(wait=False, config=slow)
    try:
        with slow.open("w") as text:  # which waits until the command reads its configuration
            assert site.process is not None
            site.process.send_signal(number)
            slow.unlink()
            shutil.copy(tmp_path / "gateway.yaml", slow)
            text.write(slow.read_text())
        if number == signal.SIGHUP:
            eventually(lambda: "configuration taken up" in site.log_file.read_text(), "the reload")
    finally:
        assert site.stop() == 0


@pytest.mark.parametrize("name", ["up", "check"])
def test_places_that_cannot_be_used_are_told(tmp_path: Path, upstream: FakeUpstream, name: str) -> None:
    """A ``data_dir`` that is a file or too deep for a socket, a state directory that cannot be made."""
    site = Installation(tmp_path, settings(upstream))
    (tmp_path / "file").touch()
    path = tmp_path / "gateway.yaml"
    told = {}
    for data in ("file", "x" * 100, "good"):
        path.write_text(yaml.safe_dump({**settings(upstream), "data_dir": str(tmp_path / data)}))
        argv = [sys.executable, "-m", "gateway", name, "--config", str(path)]
        environ = os.environ | {"GATEWAY_STATE_DIR": str(tmp_path / "file" / "state")}
        done = subprocess.run(argv, capture_output=True, text=True, env=environ, timeout=60)
        assert done.returncode == 2
        told[data] = done.stderr
    assert f"data_dir: {tmp_path / 'file'} is not a directory" in told["file"]
    assert "is longer than the 107 bytes" in told["x" * 100]
    assert f"GATEWAY_STATE_DIR: {tmp_path / 'file'} is not a directory" in told["good"]
    assert site.process is None
