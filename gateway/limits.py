"""How much of clients' JSON bodies is held in memory: each, and all together."""

from __future__ import annotations

from gateway.errors import RequestRefused

EACH_BYTES = 64 << 20
TOGETHER_BYTES = 256 << 20
RETRY_AFTER_S = 1


class Bodies:
    """An account of body bytes in memory. What is taken must be given back."""

    __slots__ = ("_each", "_together", "held")

    def __init__(self, each: int = EACH_BYTES, together: int = TOGETHER_BYTES) -> None:
        self._each = each
        self._together = together
        self.held = 0

    def check(self, size: int) -> None:
        """Refuse a body of this size by what the client announced or has sent. Raises ``RequestRefused`` (413)."""
        if size > self._each:
            raise RequestRefused(
                413,
                f"The request body is larger than the {self._each >> 20} MiB this gateway accepts.",
                code="request_too_large",
            )

    def take(self, size: int) -> None:
        """Account for bytes about to be kept. Raises ``RequestRefused`` (503) when all together are too many."""
        if self.held + size > self._together:
            raise RequestRefused(
                503,
                "The gateway holds as many request bodies as it may; try again shortly.",
                type="server_error",
                code="gateway_busy",
                retry_after_s=RETRY_AFTER_S,
            )
        self.held += size

    def give(self, size: int) -> None:
        """Account for bytes let go."""
        self.held -= size
