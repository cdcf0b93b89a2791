"""The internal mark: a secret of this start by which the installation's own processes know each other."""

from __future__ import annotations

import hmac
import secrets

from gateway.paths import Layout, replace

HEADER = "x-gateway-internal"


def create(layout: Layout) -> str:
    """Write a new mark, readable by the owner alone, in place of any old one; answers it."""
    mark = secrets.token_urlsafe(32)
    replace(layout.internal_mark, mark)
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
