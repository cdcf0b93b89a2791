"""The internal mark: a secret of this start by which the installation's own processes know each other."""

from __future__ import annotations

import contextlib
import hmac
import secrets

from gateway.paths import Layout, replace

HEADER = "x-gateway-internal"


def create(layout: Layout) -> str:
    """Write a new mark, readable by the owner alone, in place of any old one; answers the one that holds.

    Without room for a new one that is the old one, as secret as before, or none: then no question of ours is answered.
    """
    with contextlib.suppress(OSError):
        replace(layout.internal_mark, secrets.token_urlsafe(32))
    return read(layout)


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
