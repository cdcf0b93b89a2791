"""The redactor process: journal segment → wire → meter → redact → outbox.

A segment is handed over whole and exactly once (see ``gateway.journal``); a redactor that dies in the middle leaves it
to the next. A call that fails is kept with its numbers and its text withheld. A call that kills the process
``MAX_ATTEMPTS`` times is put into the sealed quarantine, so that one poisoned call cannot stop the rest.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from gateway import backlog, metrics, telemetry
from gateway.backlog import Helpers
from gateway.config import Config, Profile
from gateway.environment import state_dir
from gateway.errors import JournalError, OutboxError
from gateway.herd import Herd
from gateway.identity import Pseudonyms
from gateway.installkey import InstallKey
from gateway.journal import Broken, Lease, Segments
from gateway.ledger import raw_age
from gateway.meter import Meter
from gateway.model import Clean, Record
from gateway.outbox import Outbox
from gateway.paths import Layout, beat
from gateway.raw import Call, Exchange, Note, Whole
from gateway.redact import Redactor
from gateway.redactors import redactor
from gateway.startup import loaded
from gateway.wire import parse

MAX_ATTEMPTS = 3
GROUP = 16
GROUP_BYTES = 1 << 20
"""Calls, and bytes of them, that are read ahead together."""
DRAFT_CHARS = 16 << 20
"""How much clean text is held before it is written down."""
IDLE_S = 0.1
FULL_S = 1.0
DRAIN_S = 25.0
WATCHDOG_GRACE_S = 15.0

log = telemetry.log("redactor")


class Watchdog:
    """Ends the process when one call outlives its time box by far: a hang in native code stops no other way."""

    def __init__(self, limit_s: float, give_up: Callable[[], None] = lambda: os._exit(70)) -> None:
        self._limit = limit_s
        self._give_up = give_up
        self._began: float | None = None
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()

    def begin(self) -> None:
        """A call is being worked on."""
        self._began = time.monotonic()

    def end(self) -> None:
        """It is done."""
        self._began = None

    def _watch(self) -> None:
        while True:
            time.sleep(1.0)
            began = self._began
            if began is not None and time.monotonic() - began > self._limit:
                log.error("a call outlived its time box", limit_s=self._limit)
                self._give_up()


class Worker:
    """Turns leased segments into outbox batches."""

    def __init__(
        self,
        config: Config,
        redactors: Mapping[Profile, Redactor],
        meter: Meter,
        watchdog: Watchdog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``redactors`` by profile: one for each that a call may get. ``clock``: Unix seconds."""
        self._clock = clock
        self._config = config
        self._redactors = redactors
        self._reads_ahead = any(redactor.reads_ahead for redactor in redactors.values())
        self._meter = meter
        self._watchdog = watchdog

    def work_off(self, lease: Lease) -> None:
        """Process one segment and hand it over. Raises ``OSError`` or ``OutboxError`` when the outbox is full."""
        age = max(0.0, self._clock() - lease.created_at)
        expired = age > self._config.journal.max_age
        textless = expired or backlog.withheld(self._config.redact, age)
        results = _Results(lease)
        for group in _groups(lease.entries()):
            if self._reads_ahead and not lease.crashed and not textless:
                lease.attempt(group[0][0])
                self._watchdog.begin()
                self._read_ahead([entry for _, entry in group if isinstance(entry, Whole)], age)
                self._watchdog.end()
            for index, entry in group:
                if isinstance(entry, Broken) or lease.attempt(index) > MAX_ATTEMPTS:
                    log.warning("quarantined", segment=lease.name, index=index, broken=isinstance(entry, Broken))
                    lease.quarantine(index)
                    continue
                self._watchdog.begin()
                item = self._clean(entry, age, expired=expired)
                self._watchdog.end()
                results.add(item)
        results.commit()

    def _read_ahead(self, entries: Sequence[Whole], age: float) -> None:
        """Let each profile's model read the new texts of several calls together, where it has one."""
        together: defaultdict[Redactor, list[Exchange]] = defaultdict(list)
        for entry in entries:
            chosen = self._redactor(entry.call, age)
            if chosen.reads_ahead and self._keeps(entry):
                together[chosen].append(parse(entry))
        for chosen, exchanges in together.items():
            if len(exchanges) > 1:
                chosen.read_ahead(exchanges)

    def _clean(self, entry: Whole | Note, age: float, *, expired: bool) -> Clean:
        keep = self._keeps(entry) and not expired
        if keep and backlog.withheld(self._config.redact, age):
            metrics.withheld.labels("behind").inc()
            keep = False
        if isinstance(entry, Note):
            return self._redactors[self._config.redact.profile].score(entry, content=keep)
        with metrics.redact.time():
            exchange = parse(entry)
            usage = self._meter.usage(exchange)
            return self._redactor(entry.call, age).record(exchange, usage, content=keep)

    def _keeps(self, entry: Whole | Note) -> bool:
        """Whether its text is wanted."""
        wanted = bool(entry.why) if isinstance(entry, Note) else not entry.call.no_content
        return wanted and self._config.capture != "metadata"

    def _redactor(self, call: Call, age: float) -> Redactor:
        return self._redactors[backlog.profile(self._config.redact, call.key, call.route, age)]


def _groups(entries: Iterable[tuple[int, Whole | Note | Broken]]) -> Iterator[list[tuple[int, Whole | Note | Broken]]]:
    """Entries of a segment, some at a time: as many as are read ahead, and no more than fit into memory well."""
    group: list[tuple[int, Whole | Note | Broken]] = []
    size = 0
    for index, entry in entries:
        length = len(entry.call.body) + len(entry.reply.head) if isinstance(entry, Whole) else 0
        if group and (len(group) == GROUP or size + length > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append((index, entry))
        size += length
    if group:
        yield group


class _Results:
    """What became of a segment: written down as it comes to much, counted once it is handed over."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._items: list[Clean] = []
        self._chars = 0
        self._drafted: list[Record] = []

    def add(self, item: Clean) -> None:
        """Take a result. Raises ``OSError`` when there is no room to write down those before it."""
        self._items.append(item)
        self._chars += len(item.request) + len(item.response) if isinstance(item, Record) else len(item.why)
        if self._chars > DRAFT_CHARS:
            self._lease.draft(self._items)
            self._drafted += [replace(record, request="", response="") for record in _records(self._items)]
            self._items, self._chars = [], 0

    def commit(self) -> None:
        """Hand all over. Raises ``OSError``; then nothing has happened yet."""
        self._lease.commit(self._items)
        for record in (*self._drafted, *_records(self._items)):
            _count(record)


def _records(items: Iterable[Clean]) -> Iterator[Record]:
    return (item for item in items if isinstance(item, Record))


def _count(record: Record) -> None:
    usage = record.usage
    kinds = (("input", usage.input_tokens), ("output", usage.output_tokens), ("cached", usage.cached_input_tokens))
    for kind, tokens in kinds:
        if tokens:
            metrics.tokens.labels(record.pattern, kind, record.origin).inc(tokens)
    if usage.cost_usd is not None:
        metrics.cost.labels(record.pattern, record.origin).inc(float(usage.cost_usd))
    elif usage.input_tokens is not None:
        metrics.unpriced.labels(record.pattern).inc()
    for finding in record.findings:
        metrics.findings.labels(finding.entity).inc()


def run(config: Config, layout: Layout, index: int) -> None:
    """Work until SIGTERM, alone or with helpers that share what is loaded here."""
    key = InstallKey.load(config.journal_key, state_dir(), config.data_dir)
    pseudonyms = Pseudonyms(key.derive("identity"), plain=config.identity.plain)
    redactors = {profile: redactor(profile, config.redact, pseudonyms) for profile in config.redact.profiles}
    meter = Meter(config.prices.overrides)

    def work(_number: int) -> None:
        watchdog = Watchdog(config.redact.timeout + WATCHDOG_GRACE_S)
        work_off(Worker(config, redactors, meter, watchdog), Segments(layout, key), Outbox(layout.outbox), config)

    def ready() -> None:
        beat(layout.ready(f"redactor-{index}"))

    if config.redact.shared:
        meter.load()
        helpers = Helpers(config.redact)
        Herd(work, lambda: helpers.wanted(raw_age(layout))).run(ready)
        return
    loaded()
    ready()
    work(0)


def work_off(worker: Worker, segments: Segments, outbox: Outbox, config: Config) -> None:
    """Work until SIGTERM, then drain what is there (at most ``DRAIN_S`` seconds) and return."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    drain_until: float | None = None
    while True:
        if stop.is_set() and drain_until is None:
            drain_until = time.monotonic() + DRAIN_S
        full = outbox.bytes() >= config.outbox.max_bytes
        # Of what has expired no text is handed over: it may pass, and must not wait for the store.
        lease = segments.lease(config.journal.max_age if full else None)
        if lease is None or (drain_until is not None and time.monotonic() > drain_until):
            if drain_until is not None:
                return
            stop.wait(FULL_S if full else IDLE_S)
            continue
        try:
            worker.work_off(lease)
        except (OSError, OutboxError, JournalError) as error:
            # Most likely a full disk: the segment stays sealed where it is and is tried again.
            log.warning("the outbox did not take a batch", segment=lease.name, error=error)
            lease.forgive()
            stop.wait(1.0)
        finally:
            lease.release()
