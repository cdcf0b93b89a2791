"""Sealing: a data key for each file, wrapped by the install key; each frame compressed, encrypted and numbered.

    header   magic, format version, key id, file id, nonce, wrapped data key, CRC
    frame    length, CRC, index, kind, AES-256-GCM(zstd(plain text))

The nonce of a frame is its index, never used twice under one data key; what is authenticated beside the text is the
file id, index and kind, so that a frame can neither be moved nor relabelled. Deleting the file destroys its key.
"""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import SealBroken
from gateway.installkey import InstallKey

VERSION = 1
_MAGIC = b"LGJ\x00"
_HEADER = struct.Struct("<4sH16s16s12s48sI")
_FRAME = struct.Struct("<IIIB")
_NONCE = struct.Struct("<8xI")
_LABEL = "journal"
HEADER_BYTES = _HEADER.size
_SEARCH = 8 << 20
"""How many damaged bytes are searched for the next frame."""
_SKIP, _ANY = 1 << 16, 1 << 32
"""How far an index may jump where damaged bytes are searched for the next frame, and where it is at hand."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it lies in a file: ``raw`` is all its bytes, ``sound`` says that its checksum holds."""

    index: int
    kind: int
    raw: bytes
    sound: bool


class Seal:
    """Seals and opens the frames of one file."""

    __slots__ = ("_cipher", "_compress", "_decompress", "_id", "header")

    def __init__(self, header: bytes, file_id: bytes, data_key: bytes) -> None:
        self.header = header
        self._id = file_id
        self._cipher = AESGCM(data_key)
        self._compress = zstandard.ZstdCompressor(level=1)
        self._decompress = zstandard.ZstdDecompressor()

    @classmethod
    def fresh(cls, key: InstallKey) -> Seal:
        """A seal for a new file; its ``header`` is to be the file's first bytes."""
        file_id, nonce, data_key = secrets.token_bytes(16), secrets.token_bytes(12), secrets.token_bytes(32)
        wrapped = AESGCM(key.derive(_LABEL)).encrypt(nonce, data_key, file_id)
        head = _HEADER.pack(_MAGIC, VERSION, key.id.encode(), file_id, nonce, wrapped, 0)[:-4]
        return cls(head + struct.pack("<I", zlib.crc32(head)), file_id, data_key)

    @classmethod
    def of(cls, header: bytes, key: InstallKey) -> Seal:
        """The seal of an existing file. Raises ``SealBroken`` for a damaged header, another version or another key."""
        if len(header) < HEADER_BYTES or zlib.crc32(header[: HEADER_BYTES - 4]) != header_crc(header):
            raise SealBroken("the header is damaged")
        magic, version, key_id, file_id, nonce, wrapped, _ = _HEADER.unpack_from(header)
        if magic != _MAGIC or version != VERSION:
            raise SealBroken(f"format version {version} is not known")
        if key_id != key.id.encode():
            raise SealBroken("sealed under another install key")
        try:
            data_key = AESGCM(key.derive(_LABEL)).decrypt(nonce, wrapped, file_id)
        except InvalidTag:
            raise SealBroken("the wrapped key does not open") from None
        return cls(header[:HEADER_BYTES], file_id, data_key)

    def close(self, index: int, kind: int, plain: bytes) -> bytes:
        """A frame, ready to be written."""
        text = self._cipher.encrypt(_NONCE.pack(index), self._compress.compress(plain), self._bound(index, kind))
        tail = struct.pack("<IB", index, kind) + text
        return struct.pack("<II", len(text), zlib.crc32(tail)) + tail

    def open(self, frame: Frame) -> bytes:
        """The plain text of a frame. Raises ``SealBroken``."""
        if not frame.sound:
            raise SealBroken("the checksum does not hold")
        bound = self._bound(frame.index, frame.kind)
        try:
            packed = self._cipher.decrypt(_NONCE.pack(frame.index), frame.raw[_FRAME.size :], bound)
            return self._decompress.decompress(packed)
        except (InvalidTag, zstandard.ZstdError):
            raise SealBroken("the seal does not open") from None

    def _bound(self, index: int, kind: int) -> bytes:
        return self._id + struct.pack("<IB", index, kind)


def header_crc(header: bytes) -> int:
    """The checksum a header carries."""
    crc: int = struct.unpack_from("<I", header, HEADER_BYTES - 4)[0]
    return crc


def frames(data: bytes) -> Iterator[Frame]:
    """The frames after a header, in order. Damaged bytes come as one unsound frame; a torn tail does not come."""
    position, last = HEADER_BYTES, -1
    while position + _FRAME.size <= len(data):
        length, _crc, index, kind = _FRAME.unpack_from(data, position)
        end = position + _FRAME.size + length
        # Here its number may be any: each write that a full disk refused has used up its own.
        if _is_sound(data, position, last, _ANY):
            yield Frame(index, kind, data[position:end], sound=True)
            position, last = end, index
            continue
        # Most damage leaves the length alone, so the next frame is where it says; else it is searched for.
        found = end if end < len(data) and _is_sound(data, end, last) else _next_sound(data, position + 1, last)
        if found < 0:
            return
        yield Frame(index, kind, data[position:found], sound=False)
        position = found


def sound_length(data: bytes) -> int:
    """Bytes up to the end of the last sound frame."""
    end = HEADER_BYTES
    position = HEADER_BYTES
    for frame in frames(data):
        position += len(frame.raw)
        if frame.sound:
            end = position
    return end


def _next_sound(data: bytes, start: int, last: int) -> int:
    """Where the next sound frame begins; -1 without one. The index tells most places apart before a checksum must."""
    places = range(start, min(len(data), start + _SEARCH) - _FRAME.size)
    return next((position for position in places if _is_sound(data, position, last)), -1)


def _is_sound(data: bytes, position: int, last: int, skip: int = _SKIP) -> bool:
    if position + _FRAME.size > len(data):
        return False
    length, crc, index, _kind = _FRAME.unpack_from(data, position)
    end = position + _FRAME.size + length
    plausible = end <= len(data) and last < index <= last + skip
    return bool(plausible and zlib.crc32(data[position + 8 : end]) == crc)
