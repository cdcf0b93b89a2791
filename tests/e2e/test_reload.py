"""A changed configuration is taken up by a running installation, through the public command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.installation import Installation, eventually

PIECES = [b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % number for number in range(4)]
DONE = b"data: [DONE]\n\n"


class Named(ThreadingHTTPServer):
    """An upstream that says its name, and holds the second half of a stream back until it is told to go on."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.name = name
        self.go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Answering(BaseHTTPRequestHandler):
    """Says which upstream it is, plain or streamed."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(self.server, Named)
        self.send_response(200)
        if not asked.get("stream"):
            body = json.dumps({"id": "c", "by": self.server.name, "choices": []}).encode()
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"".join(PIECES[:2]))
        self.server.go.wait(60)
        self.wfile.write(b"".join(PIECES[2:]) + DONE)


@contextmanager
def upstream(name: str) -> Iterator[Named]:
    server = Named(name)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.go.set()
        server.shutdown()
        server.server_close()


def settings(first: Named, second: Named, **more: Any) -> dict[str, Any]:
    return {
        "upstreams": [{"name": "first", "base_url": first.url}, {"name": "second", "base_url": second.url}],
        "keys": [{"name": "old", "key": "sk-old"}],
        "redact": {"profile": "fast"},
        **more,
    }


def rewrite(site: Installation, **changed: Any) -> None:
    """Change the configuration's file."""
    path = site.directory / "gateway.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changed}), "utf-8")


def reload(site: Installation) -> subprocess.CompletedProcess[str]:
    """The command, as an operator gives it."""
    command = [sys.executable, "-m", "gateway", "reload", "--config", str(site.directory / "gateway.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def ask(site: Installation, key: str, model: str = "m") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    body = {"model": model, "messages": []}
    return httpx.post(f"{site.base}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Installation, Named, Named]]:
    """An installation with two upstreams."""
    with upstream("first") as first, upstream("second") as second:
        made = Installation(tmp_path, settings(first, second)).start()
        try:
            yield made, first, second
        finally:
            first.go.set()
            assert made.stop() == 0


def test_keys_and_models_change_under_a_stream(site: tuple[Installation, Named, Named]) -> None:
    """The stream goes on to its end; the next call is under the new configuration. Nothing else starts again."""
    running, first, _second = site
    serving, storing = running.pid("serve"), running.pid("work")
    body = {"model": "m", "messages": [], "stream": True}
    headers = {"authorization": "Bearer sk-old"}
    url = f"{running.base}/v1/chat/completions"
    with (
        httpx.Client(timeout=60, trust_env=False) as client,
        client.stream("POST", url, json=body, headers=headers) as stream,
    ):
        pieces = stream.iter_raw()
        came = next(pieces)
        rewrite(running, keys=[{"name": "new", "key": "sk-new"}], models=[{"match": "m", "upstream": "second"}])
        told = reload(running)
        assert (told.returncode, told.stdout) == (0, "taken up: keys, models\n"), told.stderr
        assert ask(running, "sk-old").status_code == 401
        assert ask(running, "sk-new").json()["by"] == "second"
        first.go.set()
        assert came + b"".join(pieces) == b"".join(PIECES) + DONE
    assert (running.pid("serve"), running.pid("work")) == (serving, storing)
    assert reload(running).stdout == "nothing has changed\n"


def test_what_cannot_be_taken_up_changes_nothing(site: tuple[Installation, Named, Named]) -> None:
    """A configuration that is not valid, and one that needs a restart, even where it changes keys as well."""
    running, _, _ = site
    rewrite(running, keys=[{"name": "new"}])
    refused = reload(running)
    assert refused.returncode == 2
    assert "keys" in refused.stderr
    assert ask(running, "sk-old").status_code == 200
    rewrite(running, keys=[{"name": "new", "key": "sk-new"}], durability="relaxed")
    restart = reload(running)
    assert (restart.returncode, restart.stdout) == (1, "")
    assert restart.stderr == "not taken up: needs a restart: durability; nothing was changed\n"
    assert ask(running, "sk-old").status_code == 200
    assert ask(running, "sk-new").status_code == 401


def test_what_is_behind_the_proxy_starts_again(site: tuple[Installation, Named, Named]) -> None:
    """New prices are known to the next call, by a bare signal too; ``serve`` stays as it is."""
    running, _, _ = site
    serving, redacting = running.pid("serve"), running.pid("redactor")
    price = {"input_per_mtok": 1, "output_per_mtok": 1}
    rewrite(running, prices={"overrides": {"m": price}})
    assert running.process is not None
    os.kill(running.process.pid, signal.SIGHUP)
    running.await_restart("redactor", redacting)
    assert running.pid("serve") == serving
    call = ask(running, "sk-old").headers["x-gateway-call-id"]
    assert running.call(call)["status"] == 200
    eventually(lambda: "configuration taken up" in running.log_file.read_text(), "the log tells of it")


def test_nothing_runs(tmp_path: Path) -> None:
    """The command says so."""
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data")}), "utf-8")
    command = [sys.executable, "-m", "gateway", "reload", "--config", str(path)]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "OPENAI_API_KEY": "x"}
    )
    assert told.returncode == 2
    assert "nothing runs" in told.stderr
