"""Content codings, undone within a bound."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.decode import Decoded, Unfolding, decode


def bare(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


CODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("name", CODERS)
def test_each_coding_comes_back(name: str) -> None:
    """What was packed is unpacked, in any letter case."""
    data = bytes(range(256)) * 1000
    assert decode(CODERS[name](data), name.upper()) == Decoded(data, True)


def test_several_codings_are_undone_last_first() -> None:
    """``gzip, br`` means gzip first."""
    assert decode(brotli.compress(gzip.compress(b"a")), "gzip, br") == Decoded(b"a", True)


def test_bare_deflate_and_joined_gzip_members() -> None:
    """Two habits of servers in the wild."""
    assert decode(bare(b"abc" * 99), "deflate") == Decoded(b"abc" * 99, True)
    big = bytes(range(256)) * 2000
    assert decode(gzip.compress(big) + gzip.compress(b"b" * 9), "gzip") == Decoded(big + b"b" * 9, True)


@pytest.mark.parametrize("name", CODERS)
def test_a_bomb_stays_within_the_bound(name: str) -> None:
    """A small body that unfolds without end is cut at the limit and called not whole."""
    assert decode(CODERS[name](bytes(1 << 22)), name, 1000) == Decoded(bytes(1000), False)


@pytest.mark.parametrize("name", CODERS)
def test_a_bomb_takes_no_memory_beyond_the_bound(name: str) -> None:
    """It is cut while it unfolds, and not afterwards."""
    packed = CODERS[name](bytes(1 << 24))
    tracemalloc.start()
    try:
        decode(packed, name, 1000)
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_a_cut_body_gives_its_beginning(name: str) -> None:
    """What came before the cut is kept."""
    data = b"".join(str(number).encode() for number in range(60_000))
    packed = CODERS[name](data)
    got = decode(packed[: len(packed) // 2], name)
    assert len(got.data) > 1000
    assert data.startswith(got.data)
    assert not got.whole


def test_an_unknown_coding_is_left_as_it_is() -> None:
    """Its bytes are given and called not whole."""
    assert decode(b"x", "compress") == Decoded(b"x", False)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100), st.sampled_from([*CODERS, "x-gzip", "gzip, zstd"]))
def test_no_bytes_make_it_raise(data: bytes, name: str) -> None:
    """Garbage gives what it gives."""
    assert len(decode(data, name, 50).data) <= 50


def gzipping() -> Callable[[bytes], bytes]:
    engine = zlib.compressobj(wbits=31)
    return lambda piece: engine.compress(piece) + engine.flush(zlib.Z_SYNC_FLUSH)


def deflating() -> Callable[[bytes], bytes]:
    engine = zlib.compressobj()
    return lambda piece: engine.compress(piece) + engine.flush(zlib.Z_SYNC_FLUSH)


def brotling() -> Callable[[bytes], bytes]:
    engine = brotli.Compressor(quality=3)
    return lambda piece: engine.process(piece) + engine.flush()


def zstding() -> Callable[[bytes], bytes]:
    engine = zstandard.ZstdCompressor().compressobj()
    return lambda piece: engine.compress(piece) + engine.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


STREAMS = {"gzip": gzipping, "deflate": deflating, "br": brotling, "zstd": zstding}
PIECES = st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 40_000)).map(lambda made: made[0] * made[1])


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(PIECES, max_size=4))
def test_a_stream_unfolds_as_it_comes(name: str, pieces: list[bytes]) -> None:
    """All that was sent is seen by the time its piece has come, and nothing is kept back for the next."""
    seen = bytearray()
    unfolding, pack = Unfolding(name.upper(), seen.extend), STREAMS[name]()
    sent = b""
    for piece in pieces:
        unfolding.feed(pack(piece))
        sent += piece
        assert seen == sent


@pytest.mark.parametrize("name", STREAMS)
def test_a_piece_that_unfolds_too_far_ends_the_unfolding(name: str) -> None:
    """It is undone to the bound, in memory as well, and nothing after it; so it is with what is damaged."""
    seen = bytearray()
    unfolding, pack = Unfolding(name, seen.extend, 1 << 20), STREAMS[name]()
    bomb, after = pack(bytes(1 << 26)), pack(b"after")
    tracemalloc.start()
    try:
        unfolding.feed(bomb)
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    unfolding.feed(after)
    assert most < 1 << 23
    assert len(seen) <= 1 << 20
    assert b"after" not in seen


@given(st.binary(max_size=300), st.sampled_from([*STREAMS, "x-gzip", "gzip, br", "unheard-of", ""]))
def test_no_stream_fails(data: bytes, name: str) -> None:
    """Whatever comes, and whatever it is called."""
    unfolding = Unfolding(name, lambda _plain: None)
    unfolding.feed(data)
    unfolding.feed(data)
