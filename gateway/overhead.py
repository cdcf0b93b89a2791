"""What the gateway itself takes of the time until an answer's head: a clock that stands while others are waited for."""

from __future__ import annotations

from collections.abc import Callable

HEADER = b"x-gateway-overhead-ms"


class Overhead:
    """The gateway's own time of one call. It runs from the start; ``clock`` is in seconds, and never goes back."""

    __slots__ = ("_clock", "_own", "_since")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._own = 0.0
        self._since: float | None = clock()

    def stop(self) -> None:
        """From now on somebody else is waited for: the client's body, the upstream, or a pause between attempts."""
        if self._since is not None:
            self._own += self._clock() - self._since
            self._since = None

    def go(self) -> None:
        """It is the gateway's turn again; nothing changes when it was already."""
        if self._since is None:
            self._since = self._clock()

    def read(self) -> float:
        """Seconds so far."""
        return self._own if self._since is None else self._own + self._clock() - self._since


def header(seconds: float) -> tuple[bytes, bytes]:
    """The header that tells a client: milliseconds with three decimals."""
    return HEADER, b"%.3f" % (seconds * 1e3)
