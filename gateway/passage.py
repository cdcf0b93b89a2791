"""One request on its way through the gateway, and the pump that carries its answer back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.capture import EndMarker, FoldedEndMarker
from gateway.cycle import Cycle
from gateway.envelope import Envelope
from gateway.errors import RequestRefused, error_body
from gateway.flight import NEVER, Flight, Flights
from gateway.forward import Answer, Switched, UpstreamFailed
from gateway.keys import Grant
from gateway.overhead import Overhead, header
from gateway.places import Place
from gateway.raw import Ended
from gateway.splice import UsageEvent
from gateway.sticky import Watch
from gateway.tunnel import Tunnel
from gateway.upstreams import answer_headers

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

CALL_ID = b"x-gateway-call-id"
EVENTS = b"text/event-stream"
_LENGTH = frozenset({b"content-length"})
_CROSS_ORIGIN = frozenset({b"access-control-allow-origin", b"access-control-allow-credentials"})
_CODES = {Ended.UPSTREAM_TIMEOUT: 504}


class Passage:
    """A request, its client, and how far its answer has gone.

    ``cross_origin`` are headers of ours for a browser; they stand in the place of the upstream's. ``overhead_told``
    says that the answer's head tells the gateway's own time.
    """

    __slots__ = (
        "_answering",
        "_clock",
        "_events",
        "_flights",
        "_marker",
        "_receive",
        "_send",
        "_usage",
        "cross_origin",
        "envelope",
        "first_byte_s",
        "flight",
        "grant",
        "idle_s",
        "method",
        "overhead",
        "overhead_told",
        "path",
        "place",
        "raw_path",
        "scope",
        "started",
        "watch",
    )

    def __init__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        place: Place,
        envelope: Envelope,
        grant: Grant,
        flight: Flight,
        flights: Flights,
        clock: Callable[[], float],
        overhead: Overhead,
    ) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope["raw_path"]
        self.scope = scope
        self.place = place
        self.envelope = envelope
        self.grant = grant
        self.flight = flight
        self.cross_origin: list[Header] = []
        self.overhead = overhead
        self.overhead_told = False
        self.first_byte_s = self.idle_s = NEVER
        self.started = False
        self.watch: Watch | None = None
        self._receive = receive
        self._send = send
        self._flights = flights
        self._clock = clock
        self._answering = False
        self._events = False
        self._marker: EndMarker | FoldedEndMarker | None = None
        self._usage: UsageEvent | None = None

    # The request

    async def body(self) -> bytes:
        """The whole request body. Raises ``RequestRefused`` when it, or all of them, are too large."""
        self._flights.announced(self.envelope.content_length)
        self.overhead.stop()
        message = await self._receive()
        data = self._piece(message, 0)
        if message["more_body"]:
            data = await self._all(data)
        self.overhead.go()
        return data

    async def _all(self, first: bytes) -> bytes:
        """The body whose first piece is here, and not its last."""
        pieces = [first]
        size = len(first)
        while True:
            message = await self._receive()
            pieces.append(self._piece(message, size))
            if not message["more_body"]:
                return b"".join(pieces)
            size += len(pieces[-1])

    def _piece(self, message: Message, before: int) -> bytes:
        if message["type"] != "http.request":
            raise asyncio.CancelledError
        data: bytes = message["body"]
        if before:
            self._flights.announced(before + len(data))
        self._flights.hold(self.flight, len(data))
        return data

    async def pieces(self) -> AsyncIterator[bytes]:
        """The request body as it comes, nothing kept."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise asyncio.CancelledError
            more = message["more_body"]
            self.flight.uploaded += len(message["body"])
            yield message["body"]

    # Patience with the upstream

    def arm(self) -> None:
        """The upstream's turn: it has ``first_byte_s`` to say something."""
        if not self._answering:
            self.flight.deadline = self._clock() + self.first_byte_s

    def rest(self) -> None:
        """Not the upstream's turn."""
        if not self._answering:
            self.flight.deadline = NEVER

    # The answer

    async def relay(self, answer: Answer, *, usage_added: bool) -> None:
        """Carry the upstream's answer to the client; the piece that holds its end waits for the journal.

        Raises ``UpstreamFailed`` when the upstream does.
        """
        start = self._prepare(answer, usage_added=usage_added)
        payload = answer.payload
        flight = self.flight
        if not payload.is_eof():
            await self._begin(start)
        ended = False
        while not ended:
            flight.deadline = self._clock() + self.idle_s
            data = await answer.read()
            flight.deadline = NEVER
            ended = payload.at_eof()
            if not flight.recorded and self._take(data, ended=ended):
                await self._commit(Ended.COMPLETE)
                ended = payload.at_eof()  # the terminating chunk may have come meanwhile
            if not self.started:
                await self._begin(start)
            # ``ended`` says what the client is told: an end that comes while it is waited for is the next turn's.
            await self._body(self._filtered(data, ended=ended), more=not ended)

    def _take(self, data: bytes, *, ended: bool) -> bool:
        """Keep one piece; whether the answer is whole with it."""
        end = -1
        if data:
            if self._marker is not None:
                end = self._marker.feed(data)
            self.flight.received(data if end < 0 else data[:end], len(data))
        if self.watch is not None:
            self.watch.feed(data, ended=ended)
        return end >= 0 or ended

    def _filtered(self, data: bytes, *, ended: bool) -> bytes:
        """The piece without the event that only we asked for."""
        if self._usage is None:
            return data
        return self._usage.feed(data) + self._usage.flush() if ended else self._usage.feed(data)

    def _prepare(self, answer: Answer, *, usage_added: bool) -> Message:
        """Note what the answer is, and make its head."""
        self._answering = True
        self.overhead.go()
        flight = self.flight
        without = _CROSS_ORIGIN if self.cross_origin else frozenset()
        headers = answer_headers(answer.headers, without=without)
        kind = encoding = b""
        for name, value in headers:
            if name == b"content-type":
                kind = value
            elif name == b"content-encoding":
                encoding = value
        flight.status = answer.status
        flight.content_type = kind.decode("latin-1")
        flight.content_encoding = encoding.decode("latin-1")
        self._events = kind[:17].lower() == EVENTS
        plain = not encoding or encoding == b"identity"
        # A stream that was asked for has its marks whatever type it is said to be.
        if self._events or (answer.status == 200 and flight.call is not None and flight.call.stream):
            self._marker = EndMarker() if plain else FoldedEndMarker(flight.content_encoding)
        if self._events and plain and usage_added and answer.status == 200:
            self._usage = UsageEvent()
            headers = [pair for pair in headers if pair[0] not in _LENGTH]
        headers.append((CALL_ID, flight.id.encode()))
        headers += self.cross_origin
        return {"type": "http.response.start", "status": answer.status, "headers": headers}

    async def switch(self, answer: Answer, client: Cycle, line: Switched) -> None:
        """Tell the client that the upstream agreed to switch protocols, and carry bytes until the upstream's end.

        Raises ``CancelledError`` when the client leaves, or nothing passes for too long.
        """
        flight = self.flight
        self._answering = self.started = True
        flight.status = answer.status

        def touched() -> None:
            flight.deadline = self._clock() + self.idle_s

        headers = [*answer_headers(answer.headers), (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
        headers.append((CALL_ID, flight.id.encode()))
        self.overhead.go()
        headers += self._measured()
        ended = await Tunnel(client, line, flight, touched).carry(headers)
        flight.deadline = NEVER
        await self._commit(ended)

    async def _begin(self, start: Message) -> None:
        if not self.started:
            self.started = True
            start["headers"] += self._measured()
            await self._send(start)

    def _measured(self) -> list[Header]:
        """Count the gateway's own time; the header that tells it, if it shall be told."""
        seconds = self.overhead.read()
        self._flights.headed(self.flight, seconds)
        return [header(seconds)] if self.overhead_told else []

    async def _body(self, data: bytes, *, more: bool) -> None:
        if data or not more:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _commit(self, ended: Ended) -> None:
        durable = self._flights.record(self.flight, ended)
        if durable is not None:
            await durable

    # Ends that are not the upstream's

    async def fail(self, failure: UpstreamFailed) -> None:
        """End an answer whose upstream failed.

        Before its head: an error of ours. A stream of events: its clean end. Anything else: left without an end, for
        the connection to be cut, as a client of the upstream itself would see it.
        """
        if self.started:
            await self._break_off(failure.ended)
            return
        await self.answer_error(
            _CODES.get(failure.ended, 502), failure.message, "upstream_error", failure.ended.value, failure.ended
        )

    async def give_up(self) -> None:
        """End an answer because of a fault of our own: before its head by an error, else as ``fail`` does."""
        if self.started:
            await self._break_off(Ended.REJECTED)
            return
        await self.answer_error(
            500, "The gateway failed at this request.", "server_error", "internal_error", Ended.REJECTED
        )

    async def _break_off(self, ended: Ended) -> None:
        self.flight.deadline = NEVER
        clean = self._events or self.flight.recorded
        await self._commit(ended)
        if clean:
            await self._body(self._filtered(b"", ended=True), more=False)

    async def refuse(self, refusal: RequestRefused) -> None:
        """Answer a refused request."""
        extra = [(b"retry-after", b"%d" % refusal.retry_after_s)] if refusal.retry_after_s is not None else []
        await self.answer_error(
            refusal.status, refusal.message, refusal.type, refusal.code or refusal.type, Ended.REJECTED, extra
        )

    async def answer_error(
        self, status: int, message: str, kind: str, code: str, ended: Ended, extra: list[Header] | None = None
    ) -> None:
        """Send an error in OpenAI's shape, once its record is durable."""
        self.overhead.go()
        body = error_body(message, kind, code)
        flight = self.flight
        flight.deadline = NEVER
        flight.status = status
        flight.content_type, flight.content_encoding = "application/json", ""
        flight.reading = True
        flight.received(body, len(body))
        await self._commit(ended)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (CALL_ID, flight.id.encode()),
            *(extra or ()),
            *self.cross_origin,
        ]
        await self._begin({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})
