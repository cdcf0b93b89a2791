"""A server of a run, on a port of loopback, with its output in a file."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE_S = 60.0
_OURS = ("GATEWAY_", "OPENAI_", "ANTHROPIC_", "TEST_API_")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environ(**more: str) -> dict[str, str]:
    """Ours without settings and keys, and without proxies: all a run talks to is on loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")} | more


@contextlib.contextmanager
def listening(argv: Sequence[str], port: int, output: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Start a server, wait until it listens, and stop it at the end. Raises RuntimeError when it ends before."""
    with output.open("wb") as file:
        process = subprocess.Popen(argv, stdout=file, stderr=subprocess.STDOUT, env=dict(env))
    try:
        if not _listens(port, process):
            said = output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{argv[0]} does not listen on {port}:\n{said}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)  # another process listens; there is nothing to wait on
    return False
