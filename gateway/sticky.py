"""Ids that stick to their upstream: who gave an id is asked again when it is named.

A response, a file or a batch exists only where it was made, and its id names no model. So with several upstreams the
ids in answers of any but the default one are remembered, in a table of fixed size that every ``serve`` process of the
host maps into its memory: what one learns the others know at once, and a restart forgets nothing.

The table is a set-associative cache: an id's hash chooses a bucket of four entries, and the latest pushes out the
oldest. Responses, which come by the thousand, have a half of their own, so that they push out no file. Writers take no
lock: the worst that two at the same time can do is to lose one entry, and then the default upstream is asked.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

ENTRY = 16
TAG = 12
WAYS = 4
BUCKETS = 16_384
HALF = BUCKETS * WAYS * ENTRY
ID_BYTES = 128
MAX_IDS = 64
"""Ids learned from one answer; a list has that many at most."""
LOOKED_AT = 64 << 10
"""Bytes of an answer in which ids are looked for."""

_NAMED = re.compile(rb'"(?:[a-z]+_)*id"\s*:\s*"([\w.:-]{6,128})"')


class Sticky:
    """The table. Only the upstreams that are ``known`` are found in it."""

    def __init__(self, path: Path) -> None:
        """The table at ``path``; where that cannot be made or opened, it is kept in memory alone."""
        self._path = path
        self._names: dict[bytes, str] = {}
        self._mapped: mmap.mmap | None = None

    def known(self, upstreams: Iterable[str]) -> None:
        """The names of the configured upstreams."""
        self._names = {_mark(name): name for name in upstreams}

    @property
    def _table(self) -> mmap.mmap:
        if self._mapped is None:
            self._mapped = _mapped(self._path)
        return self._mapped

    def learn(self, found: Iterable[bytes], upstream: str) -> None:
        """Remember who gave some ids."""
        for each in found:
            if 0 < len(each) <= ID_BYTES:
                self._put(each, _mark(upstream))

    def find(self, given: Iterable[bytes]) -> str:
        """The upstream that gave the first of these ids that is known; empty when none is."""
        for each in given:
            at, tag = _place(each)
            bucket = self._table[at : at + WAYS * ENTRY]
            for start in range(0, WAYS * ENTRY, ENTRY):
                if bucket.startswith(tag, start):
                    name = self._names.get(bucket[start + TAG : start + ENTRY], "")
                    if name:
                        return name
        return ""

    def close(self) -> None:
        """Give the memory back."""
        if self._mapped is not None:
            self._mapped.close()

    def _put(self, given: bytes, mark: bytes) -> None:
        at, tag = _place(given)
        bucket = self._table[at : at + WAYS * ENTRY]
        entries = [bucket[start : start + ENTRY] for start in range(0, WAYS * ENTRY, ENTRY)]
        others = [entry for entry in entries if not entry.startswith(tag)]
        self._table[at : at + WAYS * ENTRY] = b"".join([tag + mark, *others, bytes(ENTRY)])[: WAYS * ENTRY]


def in_answer(data: bytes) -> list[bytes]:
    """The ids that stand in the beginning of an answer, JSON or events."""
    found: dict[bytes, None] = {}
    for match in _NAMED.finditer(data, 0, LOOKED_AT):
        found[match[1]] = None
        if len(found) >= MAX_IDS:
            break
    return list(found)


class Watch:
    """Learns the ids of one answer as it passes by, before its end goes on to the client.

    ``first``: only the first id counts, as soon as it comes. ``encoding`` is the answer's content coding.
    """

    __slots__ = ("_encoding", "_first", "_kept", "_sticky", "_upstream")

    def __init__(self, sticky: Sticky, upstream: str, encoding: str, *, first: bool) -> None:
        self._sticky = sticky
        self._upstream = upstream
        self._encoding = encoding
        self._first = first
        self._kept: bytearray | None = bytearray()

    def feed(self, data: bytes, *, ended: bool) -> None:
        """Look at a piece."""
        if self._kept is None:
            return
        self._kept += data[: LOOKED_AT - len(self._kept)]
        if not (ended or self._first or len(self._kept) >= LOOKED_AT):
            return
        found = in_answer(self._plain(bytes(self._kept)))
        self._sticky.learn(found[:1] if self._first else found, self._upstream)
        if ended or (self._first and found) or len(self._kept) >= LOOKED_AT:
            self._kept = None

    def _plain(self, data: bytes) -> bytes:
        if self._encoding in ("", "identity"):
            return data
        from gateway.wire.decode import decode  # rare, and its codecs are of some size

        return decode(data, self._encoding, LOOKED_AT).data


def _mapped(path: Path) -> mmap.mmap:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # All of it now: a write to a page that a full disk has no room for would kill the process.
            os.posix_fallocate(descriptor, 0, 2 * HALF)
            return mmap.mmap(descriptor, 2 * HALF)
        finally:
            os.close(descriptor)
    return mmap.mmap(-1, 2 * HALF)


def _place(given: bytes) -> tuple[int, bytes]:
    digest = blake2b(given, digest_size=TAG + 4).digest()
    bucket = int.from_bytes(digest[TAG:], "big") % BUCKETS
    half = 0 if given.startswith(b"resp_") else HALF
    return half + bucket * WAYS * ENTRY, digest[:TAG]


def _mark(upstream: str) -> bytes:
    """Never all zero, as an empty entry is."""
    return blake2b(upstream.encode(), digest_size=ENTRY - TAG).digest()
