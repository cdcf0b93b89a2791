"""G6: bits flipped, tails cut off in what a crashed installation left: it opens, and what was not damaged comes out.

The data are made once by a whole installation that is killed with work at every stage; each try damages a copy of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

from gateway import ledger
from gateway.config import Config, Redact
from gateway.control import Control
from gateway.errors import OutboxError, StoreError
from gateway.identity import Pseudonyms
from gateway.journal import Segments, segments
from gateway.journal.entries import finished
from gateway.journal.files import COUNTERS, read
from gateway.journal.seal import HEADER_BYTES
from gateway.loader import Loader
from gateway.meter import Meter
from gateway.model import Clean, Record, Score
from gateway.outbox import Batch, Outbox
from gateway.paths import Layout
from gateway.redactor import Watchdog, Worker
from gateway.redactors import redactor
from tests.e2e.installation import Installation, eventually
from tests.fakes.clickhouse import FakeClickHouse
from tests.fakes.disk import memory
from tests.fakes.semantic import Plan, semantic_process
from tests.fakes.shop import Shop
from tests.faults.nursery import Nursed, Nursery
from tests.faults.row import SEVERAL, Row, of_several, processes, share
from tests.journal.makers import KEY, entries_of, entry_id, restarted

DAMAGES = 1000
KINDS: Mapping[str, str] = {
    "segments": "*.seg",
    "a segment being written": "*.open",
    "live logs": "*.live",
    "batches": "*.batch",
    "a batch and its segment between two steps": "*.tmp",
    "a spent segment": "*.spent",
    "notes of what was tried": "*.try",
    "counters": COUNTERS,
    "control.db": "control.db*",
    "all of these": "*",
}
LOOSE = {"counters", "control.db", "all of these"}
"""Where a count itself may be what was damaged."""


@dataclass
class Made:
    """Data of a crash, what comes out of them when nothing is damaged, and which file each of it lies in.

    ``frames``: of a segment, from where to where in its file each of its entries lies.
    """

    layout: Layout
    settings: dict[str, Any]
    whole: dict[str, Clean] = field(default_factory=dict)
    within: dict[Path, set[str]] = field(default_factory=dict)
    frames: dict[Path, dict[str, slice]] = field(default_factory=dict)
    stored: int = 0

    def gone(self, damage: Sequence[tuple[Path, bytes]]) -> set[str]:
        """What may be missing: of a segment whose header is whole, the frames that are not, and no other."""
        return {each for path, content in damage for each in self._gone(path, content)}

    def _gone(self, path: Path, content: bytes) -> set[str]:
        before, places = path.read_bytes(), self.frames.get(path)
        if places is None or content[:HEADER_BYTES] != before[:HEADER_BYTES]:
            return self.within[path]
        return {each for each, place in places.items() if content[place] != before[place]}


def measure(seeds: int) -> Iterator[Row]:
    """A row for each kind of file, within this process; then some whole starts; then what several proxies left."""
    count = share(DAMAGES, seeds)
    with (
        tempfile.TemporaryDirectory(prefix="damage-", dir=memory()) as name,
        semantic_process() as upstream,
        contextlib.ExitStack() as ends,
        contextlib.closing(Nursery()) as nursery,
    ):
        server = FakeClickHouse(Path(name) / "clickhouse").start()
        ends.callback(server.stop)
        made = make(Path(name) / "made", upstream, server, 1)
        bench = Bench(made, Path(name) / "tries")
        for kind, pattern in KINDS.items():
            yield bench.row(kind, pattern, max(1, count // len(KINDS)), seeds)
        yield starts(made, max(1, count // 100), seeds, Path(name) / "starts", server, nursery)
        made = make(Path(name) / "several", upstream, server, SEVERAL)
        bench = Bench(made, Path(name) / "tries")
        yield of_several(bench.row("all of these", "*", max(1, count // 10), seeds))
        yield of_several(starts(made, max(1, count // 500), seeds, Path(name) / "several_starts", server, nursery))


# -- the data ---------------------------------------------------------------------------------------------------------


def make(directory: Path, upstream: str, server: FakeClickHouse, workers: int) -> Made:
    """Calls in the store, in the outbox, in segments closed and open, and in the live log; then ``kill -9`` for all."""
    settings = {
        "upstreams": [{"name": "fake", "base_url": upstream}],
        **processes(workers),
        "store": {"url": server.url(directory.name)},
        "journal_key": (b"k" * 32).hex(),
    }
    gateway = Installation(directory, settings).start()
    layout = Layout(gateway.data_dir)
    with contextlib.ExitStack() as ends:
        ends.callback(_killed, gateway)
        said = _calls(gateway, 3)
        gateway.settled(3)
        server.stop()
        for _ in range(2):
            _calls(gateway, 3)
            _thumb(gateway, said[0])
            eventually(lambda: not ledger.read(layout).raw, "redacted")
        os.killpg(gateway.pid("redactor"), signal.SIGSTOP)
        with _streams(gateway, 2):
            for count in (3, 2, 4):
                _calls(gateway, count)
                eventually(lambda: not list(layout.journal.glob("*/*.open")), "segments closed")
            eventually(partial(_parts, layout), "parts in the live log")
            _calls(gateway, 3)
            os.kill(gateway.process.pid, signal.SIGSTOP)  # type: ignore[union-attr]
            for pid in gateway.pids("serve"):
                os.kill(pid, signal.SIGKILL)
    server.start()
    made = Made(layout, settings)
    _tried(layout)
    _between_two_steps(layout)
    made.whole = {item.id: item for item in outcome(layout, directory / "whole")}
    made.stored = 3
    for path in files(layout, "*"):
        made.within[path] = _ids(path, made)
        if path.suffix in {".seg", ".open"}:
            made.frames[path] = _places(path)
    return made


def _calls(gateway: Installation, count: int) -> list[str]:
    """Calls to their end, every other one a stream; their ids."""
    ids = []
    for number in range(count):
        text = f"answer {number} " + random.Random(number).randbytes(200).hex()
        body = Plan(text=text).request(stream=number % 2 == 1, prompt=f"question {number}")
        answer = httpx.post(f"{gateway.base}/v1/chat/completions", json=body, timeout=30).raise_for_status()
        ids.append(answer.headers["x-gateway-call-id"])
    return ids


def _thumb(gateway: Installation, call_id: str) -> None:
    body = {"id": call_id, "rating": "up"}
    httpx.post(f"{gateway.base}/v1/feedback", json=body, timeout=30).raise_for_status()


@contextlib.contextmanager
def _streams(gateway: Installation, count: int) -> Iterator[None]:
    """Answers that stop half-way for good."""
    plan = Plan(text="one two three four five six seven eight", pieces=12, pause_ms=300, end="hang")
    with contextlib.ExitStack() as ends:
        for _ in range(count):
            client = ends.enter_context(httpx.Client(timeout=60))
            ends.enter_context(
                client.stream("POST", f"{gateway.base}/v1/chat/completions", json=plan.request(stream=True))
            )
        yield


def _parts(layout: Layout) -> bool:
    """Whether each of the calls in the live log has some."""
    return sum(path.stat().st_size for path in layout.journal.glob("*/*.live")) > 2500


def _killed(gateway: Installation) -> None:
    """Everything at once; the supervisor stands still, so that nothing is started again."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGSTOP)
    for role in ("serve", "redactor", "work"):
        for pid in gateway.pids(role):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # with its helpers
    gateway.process.kill()
    gateway.process.wait()
    if gateway.process.stdout is not None:
        gateway.process.stdout.close()


def _tried(layout: Layout) -> None:
    """A redactor dies of an entry of the second segment."""
    leases = Segments(layout, KEY)
    first, second = leases.lease(), leases.lease()
    assert first is not None
    assert second is not None
    second.attempt(0)
    second.release()
    first.release()


def _between_two_steps(layout: Layout) -> None:
    """A redactor dies with its batch written and its segment spent."""

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    with mock.patch.object(segments, "publish", die), contextlib.suppress(Died):
        _redacted(layout)


# -- through the whole way ------------------------------------------------------------------------------------------


_workers: list[Worker] = []


def _worker() -> Worker:
    if not _workers:
        made = redactor("fast", Redact(profile="fast"), Pseudonyms(KEY.derive("identity")))
        _workers.append(Worker(Config(redact=Redact(profile="fast")), {"fast": made}, Meter({}), Watchdog(600.0)))
    return _workers[0]


def _redacted(layout: Layout) -> None:
    leases = Segments(layout, KEY)
    while (lease := leases.lease()) is not None:
        try:
            _worker().work_off(lease)
        finally:
            lease.release()


def outcome(original: Layout, directory: Path, damage: Sequence[tuple[Path, bytes]] = ()) -> list[Clean]:
    """Everything that reaches the store from a copy of the data, some files of which were damaged."""
    layout = Layout(directory)
    shutil.copytree(original.data_dir, directory, ignore=shutil.ignore_patterns("run", "sticky", "metrics"))
    layout.create()
    for path, content in damage:
        (directory / path.relative_to(original.data_dir)).write_bytes(content)
    _restarted(layout)
    _redacted(layout)
    shop = Shop()
    with contextlib.closing(Control(layout.control_db, partial(ledger.made_up, layout))) as control:
        loader = Loader(Outbox(layout.outbox), shop, control)
        for _ in range(3):
            with contextlib.suppress(StoreError):  # told once of a damaged database, which is then begun anew
                loader.drain()
    _restarted(layout)
    return [*shop.rows, *shop.scores.values()]


def _restarted(layout: Layout) -> None:
    """Every ``serve``."""
    for directory in layout.journal.glob("serve-*"):
        restarted(layout, directory.name)


def files(layout: Layout, pattern: str) -> list[Path]:
    """What there is of a kind."""
    directories = (*layout.journal.glob("serve-*"), layout.outbox, layout.data_dir)
    found = {path for directory in directories for path in directory.glob(pattern) if path.is_file()}
    known = {path for path in found for each in KINDS.values() if each != "*" and path.match(each)}
    return sorted(known)


def _ids(path: Path, made: Made) -> set[str]:
    """What would be missing without this file."""
    if path.suffix in {".batch", ".tmp"}:
        with contextlib.suppress(OutboxError):
            return {item.id for item in Batch(path).read()}
    if path.suffix == ".live":
        return {item.id for item in made.whole.values() if isinstance(item, Record) and item.ended == "killed"}
    if path.suffix in {".seg", ".open"}:
        return {entry_id(entry) for entry in entries_of(path)}
    return set()


def _places(path: Path) -> dict[str, slice]:
    """Where in a segment each entry lies."""
    contents, places, at = read(path, KEY), dict[str, slice](), HEADER_BYTES
    for frame in contents.frames:
        places[entry_id(finished(contents.open(frame)))] = slice(at, at + len(frame.raw))
        at += len(frame.raw)
    return places


class Bench:
    """Try after try."""

    def __init__(self, made: Made, directory: Path) -> None:
        self._made = made
        self._directory = directory

    def row(self, kind: str, pattern: str, count: int, seed: int) -> Row:
        """So many tries with files of one kind."""
        lost = doubled = 0
        wrong: list[str] = []
        for number in range(count):
            each = f"{kind}, seed {seed}-{number}"
            try:
                one, two, words = self._try(kind, pattern, random.Random(f"{seed}-{kind}-{number}"))
            except Exception as error:  # which is what must not happen; the other tries are made all the same
                one, two, words = 0, 0, [f"{type(error).__name__}: {error}"]
            lost, doubled = lost + one, doubled + two
            wrong += [f"{each}: {word}" for word in words]
            wrong += [f"{each}: {one} lost, {two} doubled"] if one or two else []
        return Row("G6", f"bits flipped and tails cut: {kind}", count, lost, doubled, wrong=tuple(wrong[:20]))

    def _try(self, kind: str, pattern: str, rng: random.Random) -> tuple[int, int, list[str]]:
        struck = damaged(self._made, pattern, rng)
        directory = self._directory / "try"
        try:
            items = outcome(self._made.layout, directory, struck)
            words = list(self._different(items))
            layout = Layout(directory)
            reading = ledger.read(layout)
            if kind not in LOOSE and not (reading.balanced and reading.raw == reading.outbox == 0):
                words.append(f"the ledger does not close: {reading}")
            if list(layout.journal.glob("*/*.s*")) or Outbox(layout.outbox).pending():
                words.append("something is left over")
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        times = Counter(item.id for item in items)
        gone = self._made.gone(struck)
        return len(self._made.whole.keys() - gone - times.keys()), sum(times.values()) - len(times), words

    def _different(self, items: Sequence[Clean]) -> Iterator[str]:
        """Records that are not as they went in. A call brought back as killed tells a beginning of what was there."""
        for item in items:
            expected = self._made.whole.get(item.id)
            if expected is None:
                yield f"{item.id} was never there"
            elif item != expected and not _beginning(item, expected):
                yield f"{item.id} is another"


def _beginning(item: Clean, expected: Clean) -> bool:
    """Whether a killed call tells as much of it as came."""
    if isinstance(item, Score) or isinstance(expected, Score) or item.ended != "killed":
        return False
    return item.request == expected.request and _content(expected).startswith(_content(item))


def _content(record: Record) -> str:
    """What was answered."""
    try:
        return str(json.loads(record.response)["choices"][0]["message"]["content"])
    except (ValueError, LookupError, TypeError):
        return record.response


def damaged(made: Made, pattern: str, rng: random.Random) -> list[tuple[Path, bytes]]:
    """Some files of a kind, with other contents."""
    paths = files(made.layout, pattern)
    chosen = rng.sample(paths, min(len(paths), rng.choice((1, 1, 1, 2, 3))))
    return [(path, _struck(path.read_bytes(), rng)) for path in chosen]


def _struck(content: bytes, rng: random.Random) -> bytes:
    """Bits flipped, most often one; or the tail cut off. Headers are struck as often as everything else together."""
    if not content or rng.random() < 0.3:
        return content[: rng.randrange(len(content) + 1)]
    changed = bytearray(content)
    reach = rng.choice((min(128, len(changed)), len(changed)))
    for _ in range(rng.choice((1, 1, 1, 1, 8))):
        changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(changed)


# -- whole starts -----------------------------------------------------------------------------------------------------


def starts(made: Made, count: int, seed: int, directory: Path, server: FakeClickHouse, nursery: Nursery) -> Row:
    """``gateway up`` on damaged data: it comes up, new calls are recorded, the undamaged ones are all there once."""
    rng, wrong, lost, doubled, slowest = random.Random(seed), list[str](), 0, 0, 0.0
    for number in range(count):
        struck = damaged(made, "*", rng) + damaged(made, "c*", rng)
        settings = made.settings | {"store": {"url": server.url(f"{directory.name}_{number}")}}
        gateway = Nursed(directory / f"start-{number}", settings, nursery)
        shutil.copytree(made.layout.data_dir, gateway.data_dir, ignore=shutil.ignore_patterns("run"))
        for path, content in struck:
            (gateway.data_dir / path.relative_to(made.layout.data_dir)).write_bytes(content)
        began = time.monotonic()
        try:
            gateway.start()
            slowest = max(slowest, time.monotonic() - began)
            new = _calls(gateway, 2)
            gone = made.gone(struck)
            calls = {each for each, item in made.whole.items() if isinstance(item, Record)}
            must = (calls - gone) | set(new)
            seen: list[str] = []
            with contextlib.suppress(AssertionError):
                eventually(partial(_all_there, gateway, must, seen), "undamaged calls stored", patience_s=30)
            lost += len(must - set(seen))
            doubled += len(seen) - len(set(seen))
            if set(seen) - calls - set(new):
                wrong.append(f"start {seed}-{number}: calls that were never there")
            if gateway.stop():
                wrong.append(f"start {seed}-{number}: did not stop with 0")
        except Exception as error:  # which is what must not happen; the other starts are made all the same
            wrong.append(f"start {seed}-{number}: {type(error).__name__}: {str(error)[-400:]}")
        finally:
            if gateway.process is not None and gateway.process.poll() is None:
                gateway.stop()
    return Row("G6", "gateway up on damaged data", count, lost, doubled, f"up in {slowest:.1f} s", tuple(wrong))


def _all_there(gateway: Installation, must: set[str], seen: list[str]) -> bool:
    try:
        found = [call["id"] for call in gateway.calls(origin="all")]
    except httpx.HTTPError:
        return False
    seen[:] = found
    return must <= set(found)
