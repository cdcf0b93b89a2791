"""What is kept of bytes that are no text: kind, size and a keyed hash, or a count. PURE."""

from __future__ import annotations

import re

from gateway.identity import Pseudonyms
from gateway.raw import Json
from gateway.redact import policy
from gateway.redact.vocabulary import words

_DATA_URL = re.compile(r"\s*data:(?P<type>[\w.+-]*/?[\w.+-]*)(?:;[\w.=\"-]*)*,", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]*={0,2}\s*", re.ASCII)
_KINDS = words("image audio video text application font multipart")
_FORMATS = words(
    "png jpeg jpg gif webp bmp tiff svg+xml avif heic mp3 mpeg wav x-wav ogg opus flac aac webm mp4 pcm pdf plain"
    " html css csv json xml javascript markdown zip gzip octet-stream msword rtf quicktime"
)


def summary(key: str, path: str, value: Json, pseudonyms: Pseudonyms) -> str | None:
    """What to keep of a value that is media, a vector, token ids or encrypted; ``None`` when it is none of these."""
    if isinstance(value, str):
        return _of_text(key, value, pseudonyms)
    if isinstance(value, list | dict) and key in policy.COUNTED and value and not _schema(value):
        return f"[{key}: {len(value)} items]"
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        counted = path in policy.TOKEN_LISTS or len(value) >= policy.NUMBERS_COUNTED
        return f"[{len(value)} numbers]" if counted else None
    return None


def _schema(value: Json) -> bool:
    """Whether this is a JSON schema's ``bytes`` or ``tokens`` property rather than bytes or tokens."""
    return isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] in policy.WORDS


def _of_text(key: str, value: str, pseudonyms: Pseudonyms) -> str | None:
    head = _DATA_URL.match(value)
    if head:
        return _media(head["type"].lower(), len(value) - head.end(), value, pseudonyms)
    if key in policy.COUNTED and len(value) >= policy.COUNTED_STRING:
        return f"[{key}: {len(value)} characters]"
    opaque = policy.MEDIA_LENGTH if key in policy.MEDIA else policy.OPAQUE_LENGTH
    if len(value) >= opaque and _BASE64.fullmatch(value) and _unbroken(value):
        return _media("", len(value), value, pseudonyms)
    return None


def _unbroken(value: str) -> bool:
    """Base64 breaks its lines at 64 or 76 characters; language breaks its words long before."""
    return max(map(len, value.split()), default=0) >= 60


def _media(declared: str, characters: int, value: str, pseudonyms: Pseudonyms) -> str:
    kind, _, form = declared.partition("/")
    known = f"{kind}/{form if form in _FORMATS else '*'}" if kind in _KINDS else "unknown"
    return f"[media {known}, {characters * 3 // 4} bytes, {pseudonyms.reference(value)}]"
