"""Has the hot path become dearer? ``python -m tests.bench.against REVISION [--pairs N]``.

This tree's ``serve`` and another revision's take turns under the same load; the answer is the ratio of CPU per request,
its median over the pairs and a bootstrap interval of that median. The exit code is 1 when the interval's upper end is
over ``LIMIT``.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import servers
from tests.bench.load import wrk
from tests.bench.servers import Server

LIMIT = 1.25
SECONDS = 3
RESAMPLES = 10_000


@contextlib.contextmanager
def checked_out(revision: str, root: Path) -> Iterator[Path]:
    """A work tree of a revision, gone at the end."""
    path = root / "before"
    subprocess.run(["git", "worktree", "add", "--detach", "--quiet", str(path), revision], check=True)
    try:
        yield path
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(path)], check=True)


def ratios(before: Server, after: Server, root: Path, pairs: int) -> list[float]:
    """CPU per request, after over before, a pair a turn; who comes first changes from turn to turn."""
    found = []
    for server in (before, after):
        wrk(root, server, connections=16, seconds=1)
    for turn in range(pairs):
        order = (before, after) if turn % 2 == 0 else (after, before)
        cpu = {server.name: wrk(root, server, connections=64, seconds=SECONDS).cpu_us for server in order}
        found.append(cpu[after.name] / cpu[before.name])
        print(f"  … {turn + 1} of {pairs}: {cpu[before.name]:.1f} and {cpu[after.name]:.1f} us", file=sys.stderr)
    return found


def interval(values: list[float], seed: int = 7) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median."""
    dice = random.Random(seed)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def main() -> int:
    """Compare, and say it in one line."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.against", description=__doc__)
    options.add_argument("revision")
    options.add_argument("--pairs", type=int, default=10)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        root = Path(directory)
        tree = stack.enter_context(checked_out(given.revision, root))
        mock = stack.enter_context(servers.mock())
        before = stack.enter_context(servers.gateway(root, mock.port, checkout=tree))
        after = stack.enter_context(servers.gateway(root, mock.port))
        found = ratios(before, after, root, given.pairs)
    low, high = interval(found)
    print(f"CPU a request, this tree over {given.revision}: {statistics.median(found):.3f} ({low:.3f} to {high:.3f})")
    return int(high > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
