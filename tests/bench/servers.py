"""The processes that are measured, each pinned to a core, with what the kernel says of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[1 % len(CORES)]
"""The server that is measured has a core to itself where there are two."""
PACKAGES = {"wrk": "wrk", "nginx": "nginx-light"}
"""Programs from outside, and the Debian packages they come in."""

NGINX = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root};
  uwsgi_temp_path {root}; scgi_temp_path {root}; keepalive_requests 100000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location / {{ proxy_pass http://mock; }}
  }}
}}
"""

GATEWAY = """
data_dir: {root}/data
server: {{port: {port}}}
durability: {durability}
upstreams: [{{name: mock, base_url: "http://127.0.0.1:{upstream}/v1", api_key: sk-bench}}]
"""


@dataclass
class Server:
    """A running server with the processes it started."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of all its processes, user and system."""
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_S

    def rss_mib(self) -> float:
        """Resident memory of all its processes; what they share counts for each."""
        return sum(rss_mib(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        # Looked up each time: a server may listen before it has started its workers.
        return [self.pid, *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]


def rss_mib(pid: int | str = "self") -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def program(name: str) -> str | None:
    """Where a program is; users' paths often lack the folder that Debian puts nginx in."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PACKAGES if program(name) is None]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(
    name: str,
    argv: list[str],
    port: int,
    core: int,
    environ: dict[str, str] | None = None,
    checkout: Path | None = None,
) -> Iterator[Server]:
    """Start a server on a core, wait until it listens, and stop it at the end. ``checkout`` holds other code."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *argv],
        env={**_environ(), **(environ or {})},
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if not os.environ.get("BENCH_VERBOSE") else None,
    )
    try:
        _await_port(port, process)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")


def _environ() -> dict[str, str]:
    """Ours without the gateway's settings: what is measured is configured here alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}


@contextlib.contextmanager
def mock() -> Iterator[Server]:
    """The upstream, on the load's core."""
    port = free_port()
    argv = [sys.executable, "-m", "tests.bench.mock", str(port)]
    with started("direct", argv, port, LOAD_CORE) as server:
        yield server


@contextlib.contextmanager
def nginx(root: Path, upstream: int) -> Iterator[Server]:
    """What a proxy in C takes."""
    port = free_port()
    binary = program("nginx")
    assert binary is not None
    conf = root / "nginx.conf"
    conf.write_text(NGINX.format(root=root, port=port, upstream=upstream))
    with started("nginx", [binary, "-p", str(root), "-c", str(conf)], port, SERVER_CORE) as server:
        yield server


@contextlib.contextmanager
def passthrough(upstream: int) -> Iterator[Server]:
    """What a proxy in Python takes at least."""
    port = free_port()
    argv = [sys.executable, "-m", "tests.bench.passthrough", str(port), f"http://127.0.0.1:{upstream}"]
    with started("bare", argv, port, SERVER_CORE) as server:
        yield server


@contextlib.contextmanager
def gateway(
    root: Path, upstream: int, *, journal: bool = True, durability: str = "strict", checkout: Path | None = None
) -> Iterator[Server]:
    """One ``serve`` process; without ``journal`` nothing is kept."""
    port = free_port()
    name = f"serve-{durability}" if journal else "serve-unjournaled"
    name += f"-{checkout.name}" if checkout else ""
    home = root / name
    home.mkdir()
    file = home / "gateway.yaml"
    file.write_text(GATEWAY.format(root=home, port=port, upstream=upstream, durability=durability))
    argv = [sys.executable, "-m", "tests.bench.unjournaled", str(file)]
    if journal:
        argv = [sys.executable, "-m", "gateway", "role", "serve", "--config", str(file)]
    with started(name, argv, port, SERVER_CORE, {"GATEWAY_STATE_DIR": str(home / "state")}, checkout) as server:
        yield server
