"""Opaque positions in a list: where the next page begins. PURE."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, TypeVar

import msgspec

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A position: a time (unit as the list's) and the id that breaks ties."""

    at: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
    id: str


class Places(msgspec.Struct, frozen=True, array_like=True):
    """An exporter's position: one among calls, one among scores; Unix microseconds of storing."""

    calls: Place
    scores: Place


def encode(place: Place | Places) -> str:
    """A position as a URL-safe string."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """Read a list's position. Raises ``ValueError`` for what ``encode`` never gave."""
    return _read(cursor, Place)


def decode_places(cursor: str) -> Places:
    """Read an exporter's position. Raises ``ValueError`` for what ``encode`` never gave."""
    return _read(cursor, Places)


def _read(cursor: str, kind: type[T]) -> T:
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError):
        raise ValueError("cursor: not one of ours") from None
