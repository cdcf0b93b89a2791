"""What the journal's frames hold, and the byte that names its kind without opening it."""

from __future__ import annotations

import msgspec

from gateway.errors import SealBroken
from gateway.raw import Closed, Note, Opened, Part, Whole

CALL, NOTE, LIVE = 1, 2, 3

Finished = Whole | Note
Live = Opened | Part | Closed

_encoder = msgspec.msgpack.Encoder()
_finished = msgspec.msgpack.Decoder(Finished)
_live = msgspec.msgpack.Decoder(Live)


def encode(entry: Finished | Live) -> tuple[int, bytes]:
    """Kind and plain text of an entry."""
    kind = CALL if isinstance(entry, Whole) else NOTE if isinstance(entry, Note) else LIVE
    return kind, _encoder.encode(entry)


def size_of(entry: Finished) -> int:
    """About how many bytes an entry holds in memory."""
    if isinstance(entry, Whole):
        return len(entry.call.body) + len(entry.reply.head) + len(entry.reply.tail) + 512
    return len(entry.why) + 512


def finished(plain: bytes) -> Finished:
    """An entry of a segment. Raises ``SealBroken`` for what is none."""
    try:
        entry: Finished = _finished.decode(plain)
    except msgspec.MsgspecError:
        raise SealBroken("not an entry of a segment") from None
    return entry


def live(plain: bytes) -> Live:
    """An entry of a live log. Raises ``SealBroken`` for what is none."""
    try:
        entry: Live = _live.decode(plain)
    except msgspec.MsgspecError:
        raise SealBroken("not an entry of a live log") from None
    return entry
