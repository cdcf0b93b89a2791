"""How many sockets and files a process may have open, and how many of them clients may take."""

from __future__ import annotations

import contextlib
import resource
import sys

RESERVE = 64
"""For the journal, the listening socket, ``work`` and what Python itself keeps open."""


def raise_limit() -> None:
    """Take all that this process may have: the soft limit it begins with is often 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # more than the kernel gives to anyone
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limits() -> tuple[int, int]:
    """How many may be open now, and how many once the limit is raised."""
    soft, hard = (_number(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    return soft, hard


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def for_clients(limit: int) -> int:
    """How many of so many may serve clients: their connections, and one to an upstream for each request under way.

    A quarter is left for the requests to come on connections that are open already.
    """
    return limit - max(limit // 4, RESERVE)
