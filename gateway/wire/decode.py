"""Content codings of bodies, captured or passing by, undone within a bound: a small body may unfold to gigabytes.

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
_EITHER = 32 + zlib.MAX_WBITS
"""gzip's format or zlib's, as the first bytes say."""
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


class Unfolding:
    """Undoes a coding as the pieces of a stream come, and has ``look`` see all that unfolds of each.

    It ends for good where the stream is damaged, or a piece unfolds to more than ``limit`` bytes, and sees nothing of a
    coding that is unknown, or of several.
    """

    __slots__ = ("_left", "_look", "_undo", "limit")

    def __init__(self, encoding: str, look: Callable[[bytes], None], limit: int = MAX_BYTES) -> None:
        self._look = look
        self._left = self.limit = limit
        start = _UNFOLDINGS.get(encoding.strip().lower())
        self._undo = start(self) if start is not None else None

    def feed(self, data: bytes) -> None:
        """Undo one piece."""
        if self._undo is None:
            return
        self._left = self.limit
        try:
            self._undo(data)
        except (zlib.error, brotli.error, zstandard.ZstdError, _TooMuchError):
            self._undo = None

    def write(self, plain: bytes) -> int:
        """Take what unfolded: the face of a file, for the engines to write to."""
        self._left -= len(plain)
        if self._left < 0:
            raise _TooMuchError
        self._look(bytes(plain))
        return len(plain)


class _TooMuchError(Exception):
    pass


def _inflating(to: Unfolding) -> Callable[[bytes], None]:
    engine = zlib.decompressobj(_EITHER)

    def undo(data: bytes) -> None:
        nonlocal engine
        while True:
            made = engine.decompress(data, _STEP)
            to.write(made)
            data = engine.unconsumed_tail
            if engine.eof:
                data, engine = engine.unused_data, zlib.decompressobj(_EITHER)
            if not data and len(made) < _STEP:
                return

    return undo


def _brotli_unfolding(to: Unfolding) -> Callable[[bytes], None]:
    engine = brotli.Decompressor()

    def undo(data: bytes) -> None:
        while True:
            made = engine.process(data, output_buffer_limit=_STEP)
            to.write(made)
            # Only what comes of nothing more tells that nothing is left in the engine.
            if not made or engine.is_finished():
                return
            data = b""

    return undo


def _zstd_unfolding(to: Unfolding) -> Callable[[bytes], object]:
    # What does not fit into one write would stay in the engine until the next piece.
    engine = zstandard.ZstdDecompressor(max_window_size=MAX_BYTES)
    return engine.stream_writer(to, write_size=to.limit + 1).write  # type: ignore[arg-type]


_UNFOLDINGS: dict[str, Callable[[Unfolding], Callable[[bytes], object]]] = {
    "gzip": _inflating,
    "x-gzip": _inflating,
    "deflate": _inflating,
    "br": _brotli_unfolding,
    "zstd": _zstd_unfolding,
}
