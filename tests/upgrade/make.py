"""Keep the ``data_dir`` of a version, for the versions to come: ``python -m tests.upgrade.make TREE NAME``.

``TREE`` is a checkout of that version, run by this interpreter. Its installation is killed with calls in the store, in
the outbox, in the journal and underway; what is left becomes ``NAME.tar.xz`` here, with ``expected.json`` in it.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.installation import Installation, eventually
from tests.fakes.semantic import Plan, semantic
from tests.faults import pace
from tests.faults.client import request

HERE = Path(__file__).parent
JOURNAL_KEY = "5e" * 32
SETTINGS: dict[str, Any] = {"redact": {"profile": "fast"}, "journal_key": JOURNAL_KEY, "prices": pace.PRICES}
STORED, OUTBOX, RAW = 40, 7, 9
LEFT_OUT = {"run", "tmp", "preprocessed_configs"}


def main(tree: Path, name: str) -> None:
    """Make the archive."""
    with tempfile.TemporaryDirectory() as directory, semantic() as upstream:
        settings = SETTINGS | {"upstreams": [{"name": "fake", "base_url": upstream}]}
        site = Installation(Path(directory), settings).start(environ={"PYTHONPATH": str(tree)})
        try:
            expected, client = filled(site)
        finally:
            killed(site)
        client.close()
        kept(site.data_dir, HERE / f"{name}.tar.xz", expected)


def filled(site: Installation) -> tuple[dict[str, list[str]], socket.socket]:
    """Ids of calls by where they are then, and the client of the one that is underway."""
    stored = called(site, 0, STORED)
    rated = {"id": stored[0], "rating": "down"}
    httpx.post(f"{site.base}/v1/feedback", json=rated, timeout=30, trust_env=False).raise_for_status()
    eventually(lambda: site.call(stored[0])["scores"], "the thumb")
    site.settled(STORED)
    stop(site, "work")
    outbox = called(site, STORED, OUTBOX)
    eventually(lambda: not waiting(site, "journal/*/*.seg", "journal/*/*.open"), "all in the outbox")
    stop(site, "redactor")
    raw = called(site, STORED + OUTBOX, RAW)
    eventually(lambda: waiting(site, "journal/*/*.seg"), "a closed segment")
    underway, client = begun(site)
    return {"stored": stored, "outbox": outbox, "raw": raw, "underway": [underway]}, client


def killed(site: Installation) -> None:
    """Every process at once, the supervisor first."""
    assert site.process is not None
    pids = [pid for role in ("serve", "redactor", "work") for pid in family(site, role)]
    for pid in (site.process.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    site.process.wait()


def called(site: Installation, first: int, count: int) -> list[str]:
    """Their ids, each told as recorded."""
    sent = pace.sent(site.base, 50, count, first)
    assert [each.status for each in sent] == [200] * count
    return [each.id for each in sent]


def begun(site: Installation) -> tuple[str, socket.socket]:
    """A call whose answer has come for half, and is in the live log; it goes on for as long as its socket is kept."""
    plan = Plan("half of an answer, and then", pieces=6, pause_ms=200, end="hang")
    client = socket.create_connection(("127.0.0.1", site.port))
    client.sendall(request(json.dumps(plan.request(stream=True)).encode()))
    came = b""
    while b"half" not in came:
        came += client.recv(65536)
    eventually(lambda: big(site, "journal/*/*.live"), "what came is in the live log")
    head = came.decode().lower().split("\r\n")
    return next(line.split(": ")[1] for line in head if "x-gateway-call-id" in line), client


def waiting(site: Installation, *patterns: str) -> list[Path]:
    """Files of an installation."""
    return [path for pattern in patterns for path in site.data_dir.glob(pattern)]


def big(site: Installation, pattern: str) -> bool:
    """Whether one of them holds more than its header and a call."""
    return any(path.stat().st_size > 1200 for path in waiting(site, pattern))


def stop(site: Installation, role: str) -> None:
    """Have a process do nothing more."""
    for pid in family(site, role):
        os.kill(pid, signal.SIGSTOP)


def family(site: Installation, role: str) -> list[int]:
    """A process and its helpers."""
    parent = site.pid(role)
    return [parent, *map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())]


def kept(data_dir: Path, file: Path, expected: dict[str, list[str]]) -> None:
    """The archive: no times but the segments', no owner."""
    with tarfile.open(file, "w:xz", preset=9) as archive:
        content = json.dumps(expected).encode()
        told = tarfile.TarInfo("expected.json")
        told.size = len(content)
        archive.addfile(told, io.BytesIO(content))
        for path in sorted(data_dir.rglob("*")):
            name = path.relative_to(data_dir)
            if LEFT_OUT.isdisjoint(name.parts) and (path.is_dir() or path.is_file()) and not path.is_symlink():
                archive.add(path, f"data/{name}", recursive=False, filter=anonymous)
    print(f"{file.name}: {file.stat().st_size:,} bytes")


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
