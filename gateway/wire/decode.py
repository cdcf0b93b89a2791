"""Content codings of captured bodies, undone within a bound: a small body may unfold to gigabytes.

Whatever can be read of a damaged or cut body is given; the rest is left out. Nothing here raises on content.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import NamedTuple

import brotli
import zstandard

MAX_BYTES = 8 << 20
_GZIP = 16 + zlib.MAX_WBITS
_STEP = 64 << 10


class Decoded(NamedTuple):
    """``data`` as far as it could be read; ``whole`` is false when some is missing or the coding is unknown."""

    data: bytes
    whole: bool


def decode(data: bytes, encoding: str, limit: int = MAX_BYTES) -> Decoded:
    """Undo the codings named in a Content-Encoding header, last one first, to at most ``limit`` bytes."""
    whole = True
    for name in reversed(encoding.lower().split(",")) if encoding else ():
        coding = name.strip()
        if coding in ("", "identity") or not data:
            continue
        undo = _CODINGS.get(coding)
        if undo is None:
            return Decoded(data[:limit], False)
        data, complete = undo(data, limit)
        whole = whole and complete
    return Decoded(data[:limit], whole and len(data) <= limit)


def _inflate(data: bytes, limit: int, wbits: int) -> Decoded:
    """gzip members may follow one another (RFC 1952 §2.2)."""
    out = bytearray()
    while data:
        engine = zlib.decompressobj(wbits)
        # In steps: an error in one step keeps what the steps before it gave.
        for start in range(0, len(data), _STEP):
            piece = data[start : start + _STEP]
            while piece and len(out) < limit and not engine.eof:
                try:
                    out += engine.decompress(piece, limit - len(out))
                except zlib.error:
                    return Decoded(bytes(out), False)
                piece = engine.unconsumed_tail
            if engine.eof or len(out) >= limit:
                break
        if not engine.eof:
            return Decoded(bytes(out), False)
        data = engine.unused_data + data[start + _STEP :] if wbits == _GZIP else b""
        if len(out) >= limit:
            return Decoded(bytes(out), not data)
    return Decoded(bytes(out), True)


def _gzip(data: bytes, limit: int) -> Decoded:
    return _inflate(data, limit, _GZIP)


def _deflate(data: bytes, limit: int) -> Decoded:
    """Servers send zlib's format (RFC 9110 §8.4.1.2), and some the bare one."""
    plain = _inflate(data, limit, zlib.MAX_WBITS)
    return plain if plain.data or plain.whole else _inflate(data, limit, -zlib.MAX_WBITS)


def _brotli(data: bytes, limit: int) -> Decoded:
    engine = brotli.Decompressor()
    out = bytearray()
    for start in range(0, len(data), _STEP):
        piece = data[start : start + _STEP]
        while len(out) < limit and not engine.is_finished():
            try:
                made = engine.process(piece, output_buffer_limit=limit - len(out))
            except brotli.error:
                return Decoded(bytes(out), False)
            out += made
            piece = b""
            if engine.can_accept_more_data():
                break
    return Decoded(bytes(out[:limit]), bool(engine.is_finished()))


def _zstd(data: bytes, limit: int) -> Decoded:
    out = bytearray()
    engine = zstandard.ZstdDecompressor(max_window_size=MAX_BYTES)
    try:
        with engine.stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            while len(out) < limit:
                piece = reader.read(min(_STEP, limit - len(out)))
                if not piece:
                    break
                out += piece
    except zstandard.ZstdError:
        return Decoded(bytes(out), False)
    # The reader ends in silence on a cut frame, so only JSON or the event parser can notice that.
    return Decoded(bytes(out), len(out) < limit)


_CODINGS: dict[str, Callable[[bytes, int], Decoded]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
