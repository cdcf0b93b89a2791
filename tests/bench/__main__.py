"""What the gateway costs, in one run: ``python -m tests.bench [--full] [--json FILE] [--only PART]``.

The proxy beside nginx and a bare pass-through, the redactor in both profiles, and the embedded store. Numbers are
reported and never asserted. The exit code is 0 when everything that was asked for was measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway import extras
from gateway.errors import MissingExtra
from tests.bench import proxy, report, servers
from tests.bench.redactor import PROFILES

FILES = 16_384
"""Open files that 1,000 streams need on both sides, with room to spare."""
EXTRAS = {"standard": "pii", "plain": "pii", "store": "embedded"}


@dataclass
class Outcome:
    """What was measured, and what could not be."""

    numbers: dict[str, Any] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)


def measure_proxy(outcome: Outcome, *, full: bool) -> None:
    """The hot path."""
    absent = servers.missing()
    if absent:
        packages = " ".join(servers.PACKAGES[name] for name in absent)
        outcome.lacking.append(f"{' and '.join(absent)}: apt-get install -y --no-install-recommends {packages}")
    figures = proxy.measure(proxy.FULL if full else proxy.QUICK, say)
    rows = proxy.summary(figures)
    aims = proxy.aims(rows)
    outcome.numbers["proxy"] = {
        "summary": rows,
        "aims": [asdict(aim) | {"met": aim.met} for aim in aims],
        "figures": proxy.plain(figures),
    }
    title("Proxy: one server at a time on one core; medians of interleaved turns")
    print(report.table(report.turned(rows, "server")))
    print("\nWhere events/s are alike, the load's own core is what bounds them.")
    title("Aims")
    print(report.aims_table(aims))


def measure_redactor(outcome: Outcome, *, full: bool) -> None:
    """Both profiles, each in a process of its own."""
    found: dict[str, Any] = {}
    for profile in PROFILES:
        if _has_extra(profile, outcome):
            say(f"redactor, profile {profile}")
            found[profile] = child("tests.bench.redactor", profile, "15" if full else "5")
    outcome.numbers["redactor"] = found
    title("Redactor: one process, CPU time; x json: against json.loads and json.dumps of the same bytes")
    print(report.table([{"profile": profile, **row} for profile, rows in found.items() for row in rows]))


def measure_plain(outcome: Outcome, *, full: bool) -> None:
    """The redactor beside Presidio with its defaults."""
    if not _has_extra("plain", outcome):
        return
    say("redactor beside a plain AnalyzerEngine")
    found = child("tests.bench.plain", "9" if full else "3")
    outcome.numbers["plain"] = found
    title("Redactor beside a plain AnalyzerEngine: same texts, one core, CPU time; unique x: against each message once")
    print(report.table(found["speed"]))
    title("F2 on labelled texts")
    print(report.table(found["quality"]))


def measure_path(outcome: Outcome, *, full: bool) -> None:
    """From the journal to the store."""
    found: dict[str, Any] = {}
    for profile in PROFILES:
        if _has_extra(profile, outcome) and _has_extra("store", outcome):
            say(f"journal to store, profile {profile}")
            found[profile] = child("tests.bench.path", profile)
    outcome.numbers["path"] = found
    title("The way behind the proxy, journal to store: CPU time")
    print(report.table([{"profile": profile, **row} for profile, rows in found.items() for row in rows]))


def measure_store(outcome: Outcome, *, full: bool) -> None:
    """The embedded store."""
    if not _has_extra("store", outcome):
        return
    say("store")
    found = child("tests.bench.store", "300000" if full else "50000")
    outcome.numbers["store"] = found
    title("Store: batches of 1,000 calls with their texts; x JSON lines: against the same rows written and fsynced")
    print(report.table([found["load"]]))
    print()
    print(report.table(found["questions"]))


PARTS: dict[str, Callable[..., None]] = {
    "proxy": measure_proxy,
    "redactor": measure_redactor,
    "plain": measure_plain,
    "path": measure_path,
    "store": measure_store,
}


def _has_extra(part: str, outcome: Outcome) -> bool:
    extra = EXTRAS.get(part)
    if extra is None or extras.installed(extra):
        return True
    outcome.lacking.append(str(MissingExtra(extra, part)))
    return False


def child(module: str, *arguments: str) -> Any:
    """What a module prints, run in a process of its own."""
    argv = [sys.executable, "-m", module, *arguments]
    return json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(f"  … {text}", file=sys.stderr, flush=True)


def title(text: str) -> None:
    """A heading."""
    print(f"\n{text}\n", flush=True)


def main() -> int:
    """Measure, print, and write JSON if asked."""
    given = _options()
    # Ended from outside, we still stop what we started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _raise_files()
    began, outcome = time.monotonic(), Outcome()
    outcome.numbers["machine"] = machine = report.machine()
    print("  ".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    for part in [given.only] if given.only else PARTS:
        PARTS[part](outcome, full=given.full)
    title(f"{time.monotonic() - began:.0f} seconds")
    if given.json is not None:
        given.json.write_text(json.dumps({**outcome.numbers, "lacking": outcome.lacking}, indent=1))
    for lack in outcome.lacking:
        print(f"Not everything was measured. Missing: {lack}", file=sys.stderr)
    return 1 if outcome.lacking else 0


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    options.add_argument("--full", action="store_true", help="longer runs and more turns")
    options.add_argument("--json", type=Path, metavar="FILE", help="write every number here")
    options.add_argument("--only", choices=sorted(PARTS), help="measure one part")
    return options.parse_args()


def _raise_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
