"""Every durability promise under its faults: ``python -m tests.faults [--seeds N] [--only PART] [--write]``.

Prints a row as soon as it is known, then the whole table; ``--write`` puts it into ``docs/guarantees.md``. The exit
code is 0 when every row is met.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import logging
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from gateway import telemetry
from tests.bench import report
from tests.faults.row import FULL, Row

ALONE = "away"
"""Times are judged by the hundredth of a second here: nothing runs beside it."""
SIDE_BY_SIDE = (
    "kills",
    "once",
    "stops",
    "bounds",
    "damage",
    "toxics",
    "streams",
    "full",
    "away.several",
    "backups",
)
LANES = 2
"""So many of them at a time, the longest first: a third was no faster, and put more between a kill and a commit."""
PARTS = (ALONE, *SIDE_BY_SIDE)
"""Modules of this package, each with a ``measure`` or what is named after the point."""
FILES = 65_536
"""Open files that the largest row needs."""
GUARANTEES = Path("docs/guarantees.md")
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


def rows(part: str, seeds: int) -> Iterator[Row]:
    """The rows of a part; one that fails to run is a row that is not met."""
    began = time.monotonic()
    module, _, function = part.partition(".")
    try:
        yield from getattr(importlib.import_module(f"tests.faults.{module}"), function or "measure")(seeds)
    except Exception as error:  # the other promises are measured all the same
        yield Row(part, "the test itself", 0, wrong=(f"{type(error).__name__}: {error}",))
    took, computed = time.monotonic() - began, _computed()
    print(f"  … {part}: {took:.0f} s, {computed:.0f} s of a processor", file=sys.stderr, flush=True)


def _computed() -> float:
    """Seconds that this process and those it has waited for have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def every_part(seeds: int) -> list[Row]:
    """All rows, each part in a process of its own, printed as they are known and given in the order of the promises."""
    found: dict[str, list[Row]] = {part: [] for part in PARTS}
    stopped = threading.Event()
    with contextlib.ExitStack() as ends, ThreadPoolExecutor(LANES) as lanes:

        def run(part: str) -> None:
            if stopped.is_set():
                return
            argv = [sys.executable, "-m", "tests.faults", "--only", part, "--seeds", str(seeds), "--lines"]
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
            ends.callback(process.terminate)
            assert process.stdout is not None
            for line in process.stdout:
                row = Row(**json.loads(line))
                found[part].append(row)
                say(row)
            if process.wait():
                found[part].append(Row(part, "the test itself", 0, wrong=(f"ended with {process.returncode}",)))

        try:
            lanes.submit(run, ALONE).result()
            list(lanes.map(run, SIDE_BY_SIDE))
        except BaseException:  # told to stop: the lanes are waited for, and they wait for their processes
            stopped.set()
            ends.close()
            raise
    return sorted((row for part in PARTS for row in found[part]), key=_number)


def _number(row: Row) -> int:
    """Of the first promise it is about."""
    found = re.search(r"\d+", row.promise)
    return int(found[0]) if found else 0


def say(row: Row) -> None:
    """One row, as soon as it is known."""
    print(f"  {row.promise:8} {row.fault}: {told(row)}", flush=True)


def main() -> int:
    """Run, print, and write if asked."""
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("--seeds", type=int, default=FULL, help=f"scales every count; {FULL} are the full run")
    options.add_argument("--only", choices=PARTS, help="one part")
    options.add_argument("--json", type=Path, metavar="FILE", help="write every row here")
    options.add_argument("--write", action="store_true", help=f"write the table into {GUARANTEES}")
    options.add_argument("--lines", action="store_true", help="print rows as lines of JSON and nothing else")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ended from outside, we still stop what we started
    _raise_files()
    telemetry.configure_logs("faults", logging.CRITICAL)  # what is broken on purpose is no news
    if given.lines:
        for row in rows(given.only, given.seeds):
            print(json.dumps(asdict(row)), flush=True)
        return 0
    began = time.monotonic()
    print("  ".join(f"{name}: {value}" for name, value in report.machine().items()), flush=True)
    if given.only:
        found = []
        for row in rows(given.only, given.seeds):
            found.append(row)
            say(row)
    else:
        found = every_part(given.seeds)
    print("\n" + table(found))
    for row in found:
        for wrong in row.wrong:
            print(f"{row.promise}, {row.fault}: {wrong}")
    took = f"{time.monotonic() - began:.0f} seconds, {given.seeds} seeds"
    print(f"\n{took}")
    if given.write:
        write(found, took)
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=1))
    return 0 if found and all(row.met for row in found) else 1


def told(row: Row) -> str:
    """``met`` or ``NOT MET``."""
    return "met" if row.met else "NOT MET"


def table(found: list[Row]) -> str:
    """The rows, under promise, fault, runs, lost, doubled, worst time."""
    return report.table(
        [
            {
                "promise": row.promise,
                "fault": row.fault,
                "runs": row.runs,
                "lost": row.lost,
                "doubled": row.doubled,
                "worst time": row.worst,
                "met": "yes" if row.met else "NO",
            }
            for row in found
        ]
    )


def write(found: list[Row], took: str) -> None:
    """The table in the document of guarantees."""
    before, _, rest = GUARANTEES.read_text("utf-8").partition(BEGIN)
    machine = report.machine()
    told = f"{machine['cores']} shared cores ({machine['CPU']}), Python {machine['Python']}; {took}."
    after = rest.partition(END)[2]
    GUARANTEES.write_text(f"{before}{BEGIN}{told}\n\n{table(found)}\n{END}{after}", "utf-8")


def _raise_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
