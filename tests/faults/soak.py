"""A long run at about half of the highest rate that is held here, with toxics and kills.

``python -m tests.faults.soak``. The rate is found first. Then, for ``--minutes``: calls, a toxic between gateway and
upstream that changes every few seconds, and a process killed each minute. There are two ``serve`` processes
and two redactors, of which the first are spared, so that a leak has all the time to show. Afterwards every call whose
end was seen has to be stored once, the ledger closed, memory and descriptors flat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from tests.bench import report
from tests.bench.servers import rss_mib
from tests.e2e.installation import Installation, balanced, eventually
from tests.fakes.semantic import semantic_process
from tests.fakes.toxics import TYPES, Toxics, drawn, toxic_process
from tests.faults.pace import PRICES, Pace

SETTINGS = {
    "redact": {"profile": "fast", "workers": 2},
    "server": {"workers": 2},
    "prices": PRICES,
}
TIMEOUTS = {"connect": 2, "first_byte": 3, "idle": 3}
SPARED = ("serve-0", "helper-0", "work-0")
KILLED = ("serve-1", "helper-1", "work-0")
"""``work``, of which there is one, is killed in the first third only and spared from then on."""
KILL_S = 60.0
SAMPLE_S = 5.0
TOXIC_S = 7.0
FIRST_RATE, STEP, PROBE_S = 100.0, 1.3, 20.0
HELD_AGE_S, LATE_S = 6.0, 0.5
"""A rate is held while neither raw text nor a clean batch is older at the end, nor half of the calls so late."""
SHARE = 0.45
"""Of the highest rate: calls that hang on a toxic add up, and what a kill leaves lying is worked off beside the new."""
FLAT, SLACK = 1.15, 16
"""The last quarter of the time may take so many times what the quarter before took, and so many MiB or files more."""
STORED = """
import sys, chdb
rows = chdb.connect(sys.argv[1]).query("SELECT id, count() FROM llm_gateway.calls GROUP BY id", "JSONCompactEachRow")
sys.stdout.buffer.write(rows.bytes() or b"")
"""


@dataclass(frozen=True)
class Sample:
    """One look: seconds since the start, and of each process its resident MiB and open descriptors.

    Descriptors of the store's own files are left out: they come and go with its parts.
    """

    at: float
    raw_age_s: float
    store_behind_s: float
    stored: int
    rss_mib: dict[str, float]
    files: dict[str, int]


@dataclass(frozen=True)
class Growth:
    """What one process took in the third quarter of the time and in the last: ``rss_mib`` or ``files``."""

    process: str
    what: str
    before: float
    last: float

    @property
    def flat(self) -> bool:
        """Whether that is the same, as far as can be told."""
        return self.last <= self.before * FLAT + SLACK


@dataclass(frozen=True)
class Soak:
    """What a run gave. ``wrong``: all that was not as promised."""

    minutes: float
    rate: float
    calls: int
    seen: int
    kills: int
    lost: int
    doubled: int
    ledger: dict[str, int]
    growth: list[Growth]
    worst_raw_age_s: float
    samples: list[Sample]
    wrong: list[str]


def look(site: Installation, began: float) -> Sample | None:
    """A sample; none while a process that was killed is not back."""
    try:
        exposed = httpx.get(f"{site.base}/metrics", timeout=10, trust_env=False).text
        ledger = site.get("/api/ledger").raise_for_status().json()
        pids = site.processes()
        rss = {name: round(rss_mib(pid), 1) for name, pid in pids.items()}
        files = {name: _files(pid, site.data_dir / "store") for name, pid in pids.items()}
    except (httpx.HTTPError, OSError, ValueError):
        return None
    at = round(time.monotonic() - began, 1)
    ages = _metric(exposed, "gateway_raw_age_seconds"), _metric(exposed, "gateway_store_behind_seconds")
    return Sample(at, *ages, ledger["stored"], rss, files)


def _files(pid: int, store: Path) -> int:
    """Open descriptors but those of the store's own files."""
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += not path.readlink().is_relative_to(store)
    return found


def _metric(exposed: str, name: str) -> float:
    return max((float(line.split()[-1]) for line in exposed.splitlines() if line.startswith(f"{name} ")), default=0.0)


@contextlib.contextmanager
def pace(site: Installation, rate: float, seconds: float) -> Iterator[Pace]:
    """Calls at a rate, for as long as the block runs at the most."""
    running = Pace(site.base, rate, int(rate * seconds), 0, site.directory / "sent")
    try:
        yield running
    finally:
        running.stop()


def highest(site: Installation) -> float:
    """Calls a second that this machine sends, carries and stores without falling behind, by ever faster probes."""
    rate, held = FIRST_RATE, 0.0
    while True:
        with pace(site, rate, PROBE_S) as running:
            late = statistics.median(each.seconds for each in running.wait())
            sample = eventually(lambda: look(site, 0), "a sample")
        say(
            f"{rate:.0f} calls/s: half of them ended within {late * 1e3:.0f} ms; "
            f"raw {sample.raw_age_s:.0f} s old, clean {sample.store_behind_s:.0f} s"
        )
        if late > LATE_S or max(sample.raw_age_s, sample.store_behind_s) > HELD_AGE_S:
            break
        held, rate = rate, rate * STEP
    site.settled(site.ledger()["accepted"])
    return held


def run(minutes: float, rate: float, seed: int) -> Soak:
    """The whole of it; ``rate`` 0: a share of the highest that is held."""
    with tempfile.TemporaryDirectory() as directory, semantic_process() as upstream, toxic_process(upstream) as toxics:
        upstreams = [{"name": "fake", "base_url": toxics.base_url, "timeouts": TIMEOUTS}]
        site = Installation(Path(directory), SETTINGS | {"upstreams": upstreams}).start()
        try:
            rate = rate or SHARE * highest(site) or FIRST_RATE
            before = site.ledger()["accepted"]
            say(f"{rate:.0f} calls/s for {minutes:.0f} minutes")
            with pace(site, rate, minutes * 60) as running:
                samples, kills = _trouble(site, toxics, running, random.Random(seed), minutes * 60)
                toxics.set()
                came = running.wait()
            site.settled(eventually(lambda: site.ledger()["accepted"], "a ledger"))
            ledger = site.ledger()
            code = site.stop()
            stored = Counter(_stored(site))
        finally:
            site.stop()
    seen = [each.id for each in came if each.status == 200]
    lost = sum(stored[call_id] == 0 for call_id in seen)
    doubled = sum(times - 1 for times in stored.values())
    growth = _growth(samples)
    wrong = [f"{each.process} grows: {each}" for each in growth if not each.flat]
    wrong += [] if balanced(ledger) else [f"the ledger does not close: {ledger}"]
    wrong += [] if sum(stored.values()) == ledger["stored"] else ["the store holds another number than the ledger says"]
    wrong += [] if code == 0 else [f"ended with {code}"]
    wrong += [f"{lost} calls lost"] * (lost > 0) + [f"{doubled} calls doubled"] * (doubled > 0)
    worst = max((each.raw_age_s for each in samples), default=0.0)
    calls = ledger["accepted"] - before
    return Soak(minutes, rate, calls, len(seen), kills, lost, doubled, ledger, growth, worst, samples, wrong)


def _trouble(
    site: Installation, toxics: Toxics, running: Pace, chance: random.Random, seconds: float
) -> tuple[list[Sample], int]:
    """Toxics, kills and samples for as long as the load runs."""
    began, samples, kills = time.monotonic(), [], 0
    toxic = sample = began
    kill = began + KILL_S / 2
    while running.running:
        now = time.monotonic()
        if now >= toxic:
            toxics.set(*[drawn(kind, chance) for kind in chance.sample(TYPES, chance.choice([0, 1, 1, 2]))])
            toxic = now + TOXIC_S
        if now >= kill:
            victims = KILLED if now - began < seconds / 3 else KILLED[:2]
            os.kill(site.processes()[chance.choice(victims)], signal.SIGKILL)
            kills, kill = kills + 1, kill + KILL_S
        if now >= sample:
            seen = look(site, began)
            samples += [seen] if seen else []
            sample = now + SAMPLE_S
        time.sleep(0.1)
    return samples, kills


def _stored(site: Installation) -> dict[str, int]:
    """How often each call is stored; read by a process of its own, for the engine never gives its memory back."""
    argv = [sys.executable, "-c", STORED, str(site.data_dir / "store")]
    rows = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return {name: int(times) for name, times in map(json.loads, rows)}


def _growth(samples: Sequence[Sample]) -> list[Growth]:
    """Of each spared process, by the last two quarters: what it takes while no toxic has thousands of calls hang."""
    quarter = len(samples) // 4
    before, last = samples[2 * quarter : 3 * quarter], samples[3 * quarter :]
    return [
        Growth(name, what, _floor(before, what, name), _floor(last, what, name))
        for name in SPARED
        for what in ("rss_mib", "files")
    ]


def _floor(samples: Sequence[Sample], what: str, name: str) -> float:
    """The lowest tenth ends here."""
    found = sorted(getattr(each, what)[name] for each in samples if name in getattr(each, what))
    return float(found[len(found) // 10]) if found else 0.0


def plot(samples: Sequence[Sample]) -> str:
    """Memory of the spared processes over time, as SVG."""
    width, height, left, bottom = 760, 300, 50, 30
    names = [name for name in SPARED if any(name in each.rss_mib for each in samples)]
    end = max(each.at for each in samples)
    top = max(each.rss_mib.get(name, 0) for each in samples for name in names) * 1.1

    def x(at: float) -> float:
        return round(left + (width - left - 10) * at / end, 1)

    def y(mib: float) -> float:
        return round(height - bottom - (height - bottom - 20) * mib / top, 1)

    marks = [f'<text x="{x(at)}" y="{height - 10}">{at / 60:.0f} min</text>' for at in _ticks(end, 6)]
    marks += [f'<text x="2" y="{y(mib)}">{mib:.0f} MiB</text>' for mib in _ticks(top, 4)]
    for number, (name, colour) in enumerate(zip(names, ("#0b62a4", "#b3541e", "#3a7d44"), strict=False)):
        points = " ".join(f"{x(each.at)},{y(each.rss_mib[name])}" for each in samples if name in each.rss_mib)
        marks.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        marks.append(f'<text x="{left + 10 + 110 * number}" y="14" style="fill:{colour}">{name}</text>')
    style = "text{font:12px sans-serif;fill:#777}"
    body = "\n".join(marks)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return f"{head}<style>{style}</style>\n{body}\n</svg>\n"


def _ticks(end: float, count: int) -> list[float]:
    return [end * number / count for number in range(count)]


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(f"  … {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Run, print, keep."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--rate", type=float, default=0, help="calls a second; else about half of what is held")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", type=Path, metavar="FILE", help="write every sample here")
    options.add_argument("--plot", type=Path, metavar="FILE", help="draw the memory here, as SVG")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ended from outside, we still stop what we started
    print("  ".join(f"{name}: {value}" for name, value in report.machine().items()), flush=True)
    made = run(given.minutes, given.rate, given.seed)
    rows = [
        {"process": each.process, "of": each.what, "third quarter": each.before, "last quarter": each.last}
        for each in made.growth
    ]
    print(f"\n{made.minutes:.0f} minutes at {made.rate:.0f} calls/s: {made.calls:,} calls, {made.kills} kills")
    print(f"{made.seen:,} ends seen, {made.lost} lost, {made.doubled} doubled")
    print(f"oldest raw text: {made.worst_raw_age_s:.0f} s")
    print(f"ledger: {made.ledger}\n\n{report.table(rows)}\n")
    print("\n".join(made.wrong) or "all as promised")
    if given.json:
        given.json.write_text(json.dumps(asdict(made)))
    if given.plot:
        given.plot.write_text(plot(made.samples))
    return 1 if made.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
