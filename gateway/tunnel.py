"""A WebSocket's bytes, carried both ways once the upstream agreed to switch protocols.

Frames are not parsed: masks, pings, compression and close codes are between client and upstream. Neither side is read
while the other does not keep up, so what is held is bounded by the transports' buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.cycle import Cycle
from gateway.flight import Flight
from gateway.forward import Switched
from gateway.raw import Ended

Header = tuple[bytes, bytes]


class Tunnel:
    """Both ends of one WebSocket. ``touched`` is called with each piece, to put off the idle deadline.

    To the client's connection it is the sink of its bytes; to aiohttp's, a parser and a payload in one.
    """

    def __init__(self, client: Cycle, line: Switched, flight: Flight, touched: Callable[[], None]) -> None:
        self._client = client
        self._line = line
        self._flight = flight
        self._touched = touched
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    async def carry(self, headers: list[Header]) -> Ended:
        """Answer 101 with these headers, and carry bytes until the upstream closes: orderly, or not."""
        self._touched()
        self._line.on_full = self._client.hold
        self._client.switch(headers, self)
        self._line.set_parser(self, self)
        return await self._ended

    def from_client(self, data: bytes) -> None:
        """Bytes that the client sent."""
        self._touched()
        self._flight.uploaded += len(data)
        if self._line.transport is not None:
            self._line.transport.write(data)

    def client_full(self, full: bool) -> None:
        """Whether the client does not keep up."""
        if self._line.transport is not None:
            self._line.pause_reading() if full else self._line.resume_reading()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Bytes that the upstream sent; the pair says that nothing was wrong with them."""
        self._touched()
        self._flight.received(data, len(data))
        self._client.write(data)
        return False, b""

    def feed_eof(self) -> None:
        """The upstream has closed."""
        self._end(Ended.COMPLETE)

    def set_exception(self, _error: BaseException, _cause: BaseException | None = None) -> None:
        """The upstream's connection broke."""
        self._end(Ended.UPSTREAM_RESET)

    def is_eof(self) -> bool:
        """Whether the upstream's side has ended."""
        return self._ended.done()

    def _end(self, ended: Ended) -> None:
        if not self._ended.done():
            self._ended.set_result(ended)
