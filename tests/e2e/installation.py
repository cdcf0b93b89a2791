"""A whole gateway, started as an operator starts it, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

T = TypeVar("T")
ADMIN_TOKEN = "admin-token-of-the-tests"
PATIENCE_S = 90.0


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def eventually(look: Callable[[], T], what: str, seen: object = "", patience_s: float = PATIENCE_S) -> T:
    """Look again and again until the answer is truthy; a process boundary offers nothing to wait on.

    ``seen`` is shown when that never happens.
    """
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not seen in {patience_s:.0f} s: {what} {seen}"
        time.sleep(0.05)


@dataclass
class Installation:
    """``start`` blocks until everything answers; ``stop`` answers the exit code."""

    directory: Path
    settings: dict[str, Any]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    printed: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def log_file(self) -> Path:
        return self.directory / "stderr.log"

    def another(self, directory: Path) -> Installation:
        """One with the same settings, elsewhere and on a port of its own."""
        return Installation(directory, self.settings)

    def start(
        self, *, wait: bool = True, environ: Mapping[str, str] | None = None, config: Path | None = None
    ) -> Installation:
        """``config``: a file to be read in the place of the one that is written."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "gateway.yaml"
        settings = {"server": {}, "data_dir": str(self.data_dir), "admin_token": ADMIN_TOKEN, **self.settings}
        settings["server"] = {"port": self.port, **settings["server"]}
        path.write_text(yaml.safe_dump(settings), "utf-8")
        env = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "OPENAI_"))}
        env |= {"GATEWAY_STATE_DIR": str(self.directory / "state"), **(environ or {})}
        self.process = self._begun(["up", "--config", str(config or path)], env)
        if wait:
            self._await_banner()
        return self

    def _begun(self, arguments: list[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        """``gateway`` with these arguments."""
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            stdout=subprocess.PIPE,
            stderr=self.log_file.open("a"),
            text=True,
            env=env,
            cwd=self.directory,
        )

    def _await_banner(self) -> None:
        assert self.process is not None
        stdout = self.process.stdout
        assert stdout is not None
        told: queue.Queue[bool] = queue.Queue()

        def read() -> None:
            for line in stdout:
                self.printed.append(line)
                if "print(answer" in line:
                    told.put(True)
            told.put(False)

        threading.Thread(target=read, daemon=True).start()
        assert told.get(timeout=PATIENCE_S), f"ended before it was up:\n{self.log_file.read_text()[-3000:]}"

    def pid(self, role: str, index: int = 0) -> int:
        return int((self.data_dir / "run" / f"{role}-{index}.pid").read_text())

    def pids(self, role: str) -> list[int]:
        """The ids of all of a role."""
        return [int(path.read_text()) for path in sorted((self.data_dir / "run").glob(f"{role}-[0-9].pid"))]

    def processes(self) -> dict[str, int]:
        """The ids of those that carry calls, and of the redactor's helpers, the oldest first."""
        run = self.data_dir / "run"
        found = {path.stem: int(path.read_text()) for path in run.glob("*-[0-9].pid")}
        parent = found["redactor-0"]
        helpers = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return found | {f"helper-{number}": int(pid) for number, pid in enumerate(helpers)}

    def kill(self, role: str, index: int = 0) -> int:
        """kill -9 one process; answers the pid it had."""
        pid = self.pid(role, index)
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_restart(self, role: str, old: int) -> None:
        """Wait until the supervisor has a new process of the role that is ready."""
        ready = self.data_dir / "run" / f"{role}-0.ready"
        eventually(lambda: self.pid(role) != old and ready.exists(), f"{role} restarted")

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=120)

    def get(self, path: str, **params: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        return httpx.get(f"{self.base}{path}", params=params, headers=headers, timeout=30, trust_env=False)

    def api(self, path: str, **params: Any) -> Any:
        """The JSON of a path of the read API."""
        return self.get(path, **params).raise_for_status().json()

    def call(self, call_id: str) -> dict[str, Any]:
        """One stored call, waited for."""

        def look() -> dict[str, Any] | None:
            answer = self.get(f"/api/calls/{call_id}")
            assert answer.status_code in {200, 404, 503}, answer.text
            return answer.json() if answer.status_code == 200 else None

        return eventually(look, f"call {call_id} stored")

    def calls(self, **params: Any) -> list[dict[str, Any]]:
        """Every stored call that matches, through all pages."""
        items: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.api("/api/calls", limit=200, **params, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def ledger(self) -> dict[str, int]:
        found: dict[str, int] = self.api("/api/ledger")
        return found

    def settled(self, accepted: int) -> dict[str, int]:
        """The ledger once everything accepted has left journal and outbox; that may take as long as it goes on."""
        now: dict[str, int] = {}

        def stored() -> int:
            answer = self.get("/api/ledger")
            now.clear()
            now.update(answer.json() if answer.status_code == 200 else {})
            return now.get("stored", 0)

        def over() -> bool:
            return now.get("accepted") == accepted and now["raw"] == 0 and now["outbox"] == 0

        last = -1
        while not over():
            eventually(lambda before=last: stored() > before or over(), f"ledger settled at {accepted}", now)
            last = now.get("stored", 0)
        return now

    @contextlib.contextmanager
    def session(self) -> Iterator[httpx.Client]:
        """A logged-in browser's worth of HTTP client."""
        with httpx.Client(base_url=self.base, follow_redirects=True, timeout=30, trust_env=False) as client:
            client.get("/dashboards/login", params={"token": ADMIN_TOKEN}).raise_for_status()
            yield client


def balanced(ledger: Mapping[str, int]) -> bool:
    """The ledger law."""
    return ledger["accepted"] == sum(ledger[stage] for stage in ("stored", "raw", "outbox", "quarantined", "shed"))
