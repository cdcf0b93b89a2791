"""The internal mark: a secret of this start by which the installation's own processes know each other."""

from __future__ import annotations

import hmac
import os
import secrets

from gateway.paths import Layout

HEADER = "x-gateway-internal"


def create(layout: Layout) -> str:
    """Write a new mark, readable by the owner alone, in place of any old one; answers it."""
    mark = secrets.token_urlsafe(32)
    fresh = layout.internal_mark.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(handle, "w", encoding="ascii") as file:
        file.write(mark)
    fresh.replace(layout.internal_mark)
    return mark


def read(layout: Layout) -> str:
    """The mark of this start; empty when there is none."""
    try:
        return layout.internal_mark.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def matches(layout: Layout, given: str | bytes | None) -> bool:
    """Whether what a request carried is the mark, in constant time. Without a mark nothing matches."""
    if not given:
        return False
    known = read(layout).encode()
    offered = given.encode("utf-8", "surrogateescape") if isinstance(given, str) else given
    return bool(known) and hmac.compare_digest(known, offered)
