"""Each guard is proven by its removal: ``python -m tests.mutants [--only NAME …] [--jobs N]``.

``mutants.toml`` lists removals: a text of the source that guards a promise, what takes its place, and the test that
must then turn red. Each is made in a copy of the tree, and the named test run there. Red is a test that failed. Out of
time proves nothing, nor does a test that was not run: without root, those that need a small disk are not. The exit code
is 0 when every removal turned its test red.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.bench import report

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutants.toml")
COPIED = ("gateway", "evaluators", "dashboards", "tests", "docs", "pyproject.toml")
LIMIT_S = 60.0
"""Seconds that one test may take; one that hangs for want of its guard is given ``HANGING_S``."""
HANGING_S = 20.0
STARTING_S = 30.0
"""Seconds more that pytest itself may take to start and to end."""
_TIMED_OUT = "from pytest-timeout"

GREEN, RED, SURVIVED, STALE, UNPROVEN = "green", "red", "SURVIVED", "STALE", "UNPROVEN"


@dataclass(frozen=True)
class Removal:
    """A guard taken out: ``find`` stands once in ``file`` and becomes ``put``; then ``test``, a node id, must fail.

    ``guards``: which promise, and what of it. ``hangs``: without its guard the test never ends, and that counts as red.
    """

    name: str
    guards: str
    file: str
    find: str
    put: str
    test: str
    hangs: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a removal: ``red`` or what is wrong, and ``told``, in words, how that was seen."""

    removal: Removal
    verdict: str
    told: str


@dataclass(frozen=True)
class Run:
    """How tests ended: ``green``, ``red``, or ``UNPROVEN`` when they were not run; ``late``: one ran out of time."""

    verdict: str
    told: str = ""
    late: bool = False


def load(path: Path = LIST) -> list[Removal]:
    """The removals, in the order of the file. Raises ``TypeError`` for one with a field missing or unknown."""
    return [Removal(**fields) for fields in tomllib.loads(path.read_text("utf-8"))["removal"]]


def stale(root: Path, removal: Removal) -> str:
    """Why a removal cannot be made any more; empty when it can."""
    path = root / removal.file
    if not path.is_file():
        return f"{removal.file} is not there"
    count = path.read_text("utf-8").count(removal.find)
    return "" if count == 1 else f"its text stands {count} times in {removal.file}"


@contextlib.contextmanager
def planted(root: Path, removal: Removal | None) -> Iterator[Path]:
    """A copy of the tree with one guard removed, or none, in a directory of its own, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as directory:
        tree = Path(directory) / "tree"
        tree.mkdir()
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, tree / name)
            elif (root / name).exists():
                shutil.copy2(root / name, tree / name)
        if removal is not None:
            path = tree / removal.file
            # What was compiled of it could pass for the changed file: of the same size, in the same second.
            for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
                compiled.unlink()
            path.write_text(path.read_text("utf-8").replace(removal.find, removal.put), "utf-8")
        yield tree


def environment(tree: Path) -> dict[str, str]:
    """Processes with it import the tree, whatever is installed and wherever they start; so do their children."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return kept | {"PYTHONPATH": str(tree)}


def run(tree: Path, tests: Sequence[str], limit_s: float) -> Run:
    """Run tests of a tree by their node ids; ``limit_s`` for each."""
    told = tree.parent / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={tree}", "-p", "no:cacheprovider", "-x"]
    command += [f"--timeout={limit_s}", f"--basetemp={tree.parent / 'files'}", f"--junitxml={told}", *tests]
    with (tree.parent / "printed").open("wb") as printed:
        process = subprocess.Popen(
            command, cwd=tree, env=environment(tree), stdout=printed, stderr=printed, start_new_session=True
        )
        code = _ended(process, limit_s * len(tests) + STARTING_S)
    if code is None:
        return Run(UNPROVEN, "pytest did not end in time", late=True)
    return _read(told, code, (tree.parent / "printed").read_text("utf-8", "replace"))


def _ended(process: subprocess.Popen[bytes], within_s: float) -> int | None:
    """Wait for a process that leads its group, then end what it left behind; its exit code, ``None`` if it was late."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(within_s, give_up)
    timer.start()
    # Not reaped yet, it keeps its number: the group is still its own when the rest of it is ended.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    timer.cancel()
    timer.join()
    os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    return None if late.is_set() else code


def _read(told: Path, code: int, printed: str) -> Run:
    """What pytest's report and exit code say: 0 and nothing skipped is green, 1 with a failed test is red."""
    if code not in (0, 1) or not told.exists():
        return Run(UNPROVEN, f"pytest ended with {code}: {_last_word(printed)}")
    cases = ET.parse(told).getroot().findall(".//testcase")
    failed = [(case, failure) for case in cases if (failure := case.find("failure")) is not None]
    if not failed:
        odd = next((case for case in cases if case.find("error") is not None or case.find("skipped") is not None), None)
        if odd is not None or code:
            return Run(UNPROVEN, f"not run to its end: {odd.get('name') if odd is not None else _last_word(printed)}")
        return Run(GREEN, f"{len(cases)} passed") if cases else Run(UNPROVEN, "no test was run")
    case, failure = failed[0]
    message = failure.get("message", "").splitlines() or [""]
    return Run(RED, f"{case.get('name')}: {message[0][:150]}", late=_TIMED_OUT in message[0])


def _last_word(printed: str) -> str:
    """pytest's last complaint, else its last line."""
    lines = [line for line in printed.splitlines() if line.strip()]
    complaints = [line for line in lines if line.startswith("ERROR")]
    return (complaints or lines or ["nothing said"])[-1][:150]


def outcome(root: Path, removal: Removal) -> Result:
    """Make one removal and run its test."""
    if why := stale(root, removal):
        return Result(removal, STALE, why)
    with planted(root, removal) as tree:
        seen = run(tree, [removal.test], HANGING_S if removal.hangs else LIMIT_S)
    if seen.verdict == GREEN:
        return Result(removal, SURVIVED, seen.told)
    if seen.late:
        return Result(removal, RED if removal.hangs else UNPROVEN, seen.told)
    return Result(removal, seen.verdict, seen.told)


def unsound(root: Path, removals: Iterable[Removal], jobs: int) -> list[str]:
    """What is wrong with the named tests when nothing is removed; nothing, if all is well."""
    tests = list(dict.fromkeys(removal.test for removal in removals))
    shares = [tests[start::jobs] for start in range(min(jobs, len(tests)))]

    def wrong(share: list[str]) -> str:
        with planted(root, None) as tree:
            seen = run(tree, share, LIMIT_S)
        return "" if seen.verdict == GREEN else f"{seen.verdict} without any removal: {seen.told}"

    with ThreadPoolExecutor(jobs) as pool:
        return [why for why in pool.map(wrong, shares) if why]


def prove(root: Path, removals: Sequence[Removal], jobs: int) -> Iterator[Result]:
    """Make every removal, so many at a time; each result as soon as it and those before it are known."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda removal: outcome(root, removal), removals)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, listed: Path = LIST) -> int:
    """Check that the tests are green, make the removals, print the table."""
    removals = load(listed)
    options = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    names = [removal.name for removal in removals]
    options.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help="these removals")
    options.add_argument("--jobs", type=int, default=2, help="how many at a time")
    given = options.parse_args(arguments)
    chosen = [removal for removal in removals if removal.name in given.only]
    began = time.monotonic()
    if problems := unsound(root, chosen, given.jobs):
        print("\n".join(problems))
        return 1
    print(f"green without any removal, {time.monotonic() - began:.0f} seconds", flush=True)
    results = []
    for result in prove(root, chosen, given.jobs):
        results.append(result)
        print(f"  {result.verdict:9} {result.removal.name}: {result.told}", flush=True)
    print("\n" + table(results))
    wrong = [result for result in results if result.verdict != RED]
    for result in wrong:
        print(f"{result.removal.name}: {result.verdict}, {result.told}")
    print(f"\n{len(results) - len(wrong)} of {len(results)} guards proven, {time.monotonic() - began:.0f} seconds")
    return 1 if wrong or not results else 0


def table(results: Iterable[Result]) -> str:
    """Name, promise, test, verdict."""
    return report.table(
        [
            {
                "removal": result.removal.name,
                "promise": result.removal.guards,
                "test": result.removal.test,
                "without it": result.verdict,
            }
            for result in results
        ]
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ended from outside, the copies are removed all the same
    sys.exit(main())
