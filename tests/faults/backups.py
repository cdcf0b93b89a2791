"""A backup of a running installation, restored elsewhere: what had ended before it began is there, once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tests.e2e.installation import Installation, balanced, eventually
from tests.faults import stops
from tests.faults.nursery import Nursery
from tests.faults.row import Row, share
from tests.faults.stops import Clients


def measure(seeds: int) -> Iterator[Row]:
    """Several of one installation, each restored."""
    with contextlib.closing(Nursery()) as nursery, stops.installed(nursery=nursery) as site:
        yield backups(site.start(), share(10, seeds))


def backups(site: Installation, count: int) -> Row:
    """Each into a directory of its own, and started there."""
    with tempfile.TemporaryDirectory() as directory:
        taken = asyncio.run(_taken(site, Path(directory), count))
        site.stop()  # the copy has its state directory, and so its key
        wrong: list[str] = []
        lost = doubled = 0
        for number, (seen, _) in enumerate(taken):
            stored, ledger = _restored(site, Path(directory) / f"{number}.tar", Path(directory) / str(number))
            lost += sum(stored[each] == 0 for each in seen)
            doubled += sum(times - 1 for times in stored.values())
            wrong += [] if balanced(ledger) else [f"backup {number}: the ledger is open: {ledger}"]
            wrong += (
                [] if stored.total() == ledger["stored"] else [f"backup {number}: {stored.total()} calls, {ledger}"]
            )
    seen_last = len(taken[-1][0])
    worst = f"{max(took for _, took in taken):.1f} s a backup"
    return Row(
        "G3", f"backup under load, restored; up to {seen_last:,} calls", count, lost, doubled, worst, tuple(wrong)
    )


async def _taken(site: Installation, directory: Path, count: int) -> list[tuple[list[str], float]]:
    """Of each backup the calls that had ended before it began, and its seconds."""
    clients = Clients(site.port, random.Random(3))
    running = asyncio.create_task(clients.run())
    taken = []
    for number in range(count):
        await clients.warm(len(clients.got) + 60)
        seen = [each.id for each in clients.got if each.seen]
        began = time.monotonic()
        code, told = await asyncio.to_thread(gateway, site, "backup", str(directory / f"{number}.tar"))
        if code:
            raise RuntimeError(f"backup: {code} {told}")
        taken.append((seen, time.monotonic() - began))
    clients.stop()
    await running
    return taken


def _restored(site: Installation, file: Path, directory: Path) -> tuple[Counter[str], dict[str, int]]:
    """How often each call is stored in the installation that a backup becomes, and its ledger."""
    copy = elsewhere(site, directory)
    code, told = gateway(copy, "restore", str(file), state=site.directory / "state")
    if code:
        raise RuntimeError(f"restore: {code} {told}")
    copy.start(environ={"GATEWAY_STATE_DIR": str(site.directory / "state")})
    try:
        ledger = copy.settled(eventually(lambda: copy.ledger()["accepted"], "calls"))
        return Counter(call["id"] for call in copy.calls()), ledger
    finally:
        copy.stop()


def elsewhere(site: Installation, directory: Path) -> Installation:
    """The same configuration with another, empty data_dir."""
    copy = site.another(directory)
    copy.directory.mkdir(parents=True)
    settings = yaml.safe_load((site.directory / "gateway.yaml").read_text("utf-8"))
    settings |= {"data_dir": str(copy.data_dir), "server": {"port": copy.port}}
    (copy.directory / "gateway.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    return copy


def gateway(site: Installation, *arguments: str, state: Path | None = None) -> tuple[int, str]:
    """Run a command of the gateway's as the installation's operator: exit code, and what it printed."""
    environ = os.environ | {"GATEWAY_STATE_DIR": str(state or site.directory / "state")}
    command: Sequence[str] = (sys.executable, "-m", "gateway", *arguments)
    config = ("--config", str(site.directory / "gateway.yaml"))
    done = subprocess.run([*command, *config], env=environ, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr
