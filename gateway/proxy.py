"""``/v1``: who may call, where it goes, and what is recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from gateway import asked as reading
from gateway import envelope as envelopes
from gateway import mark, metrics, splice, telemetry
from gateway.asked import UNREAD, Asked
from gateway.attempts import SMALL_BYTES, Attempts, Outgoing, Waiting
from gateway.callid import CallIds
from gateway.capture import HEAD_BYTES
from gateway.config import Config
from gateway.envelope import Envelope
from gateway.errors import RequestRefused
from gateway.flight import Flights, Journal
from gateway.forward import Answer, Client, UpstreamFailed
from gateway.keys import INTERNAL, OPEN, Grant, Keys
from gateway.listen import SWITCH
from gateway.overhead import Overhead
from gateway.passage import Header, Message, Passage, Receive, Send
from gateway.paths import Layout
from gateway.places import Place, Reading, given_ids, has_dots, keyed
from gateway.raw import Call, Ended
from gateway.sticky import Sticky, Watch
from gateway.upstreams import Choice, Routes, answer_headers, request_head

log = telemetry.log("proxy")


class Gate:
    """The key check. Whoever is past it is counted."""

    def __init__(self, settings: Config, layout: Layout) -> None:
        self._layout = layout
        self.take_up(settings)

    def take_up(self, settings: Config) -> None:
        """Know these keys from now on, and no others."""
        self._keys = Keys(settings.keys)
        self._ours = self._keys.ours if self._keys else None

    def open(self, headers: list[Header], query: bytes = b"", *, keyed: bool = False) -> tuple[Envelope, Grant]:
        """Read a request's headers and find who sends it; ``keyed``: the query may tell, too.

        Raises ``RequestRefused`` (401).
        """
        envelope = envelopes.read(headers, self._ours)
        if query:
            envelopes.read_query(envelope, query, self._ours, keyed=keyed)
        if envelope.upgrade == b"websocket":
            envelopes.read_protocols(envelope, self._ours)
        if envelope.internal and mark.matches(self._layout, envelope.internal):
            return envelope, INTERNAL
        if not self._keys:
            return envelope, OPEN
        grant = self._keys.find(envelope.tokens)
        if grant is None:
            raise RequestRefused(
                401,
                "This gateway needs one of its keys: send it as 'Authorization: Bearer …' or 'x-gateway-key'.",
                code="invalid_api_key",
            )
        return envelope, grant


class Proxy:
    """Serves ``/v1``."""

    def __init__(
        self,
        settings: Config,
        gate: Gate,
        journal: Journal,
        flights: Flights,
        client: Client,
        routes: Routes,
        ids: CallIds,
        clock: Callable[[], float],
        sticky: Sticky,
        waiting: Waiting | None = None,
    ) -> None:
        self._gate = gate
        self._journal = journal
        self._flights = flights
        self._client = client
        self._ids = ids
        self._clock = clock
        self._table = sticky
        self._sticky: Sticky | None = None
        self.take_up(routes)
        self._attempts = Attempts(client, clock, waiting)
        self._timer = self._attempts.waiting.clock
        self._overhead_told = settings.server.overhead_header
        self._no_content = settings.capture == "metadata"
        self._refuse_when_full = settings.journal.on_full == "refuse"

    def take_up(self, routes: Routes) -> None:
        """Choose by these routes from now on."""
        self._routes = routes
        names = [target.name for target in routes.targets]
        self._table.known(names)
        self._sticky = self._table if len(names) > 1 else None

    async def serve(
        self, place: Place, scope: Message, receive: Receive, send: Send, cross_origin: list[Header]
    ) -> None:
        """Serve one request. Raises ``RequestRefused`` only before it was accepted."""
        overhead = Overhead(self._timer)
        envelope, grant = self._gate.open(scope["headers"], scope["query_string"], keyed=keyed(place))
        if self._refuse_when_full and not self._journal.room:
            raise RequestRefused(
                503, "The gateway's journal is full.", type="server_error", code="journal_full", retry_after_s=5
            )
        self._journal.accept()
        flight = self._flights.start(self._ids.next(), asyncio.current_task())
        passage = Passage(scope, receive, send, place, envelope, grant, flight, self._flights, self._clock, overhead)
        passage.cross_origin = cross_origin
        passage.overhead_told = self._overhead_told
        ended = Ended.REJECTED
        try:
            await self._carry(passage)
        except RequestRefused as refusal:
            self._describe(passage)
            metrics.refused.labels(refusal.code or refusal.type).inc()
            await passage.refuse(refusal)
        except UpstreamFailed as failure:
            await passage.fail(failure)
        except asyncio.CancelledError:
            if not flight.expired:
                ended = Ended.CLIENT_GONE
                raise
            if flight.task is not None:
                flight.task.uncancel()
            await passage.fail(UpstreamFailed(Ended.UPSTREAM_TIMEOUT, "The upstream did not answer in time."))
        # The top of a call: whatever is wrong with us, its client gets an end, and only once that is on record.
        except Exception as error:
            log.error("call failed", call=flight.id, error=error)
            self._describe(passage)
            await passage.give_up()
        finally:
            # Counts only when nothing was recorded yet. Synchronous: a cancelled task may not await again.
            self._describe(passage)
            self._flights.finish(flight, ended)

    async def _carry(self, passage: Passage) -> None:
        if has_dots(passage.raw_path):
            raise RequestRefused(400, "The path may not contain dot segments.", code="bad_path")
        if passage.envelope.upgrade == b"websocket":
            await self._switch(passage)
        elif passage.method == "POST" and (passage.place.reading is not Reading.PASSED or self._is_telling(passage)):
            await self._read(passage)
        else:
            await self._pass(passage)

    def _is_telling(self, passage: Passage) -> bool:
        """Whether a small JSON body of any other route is read after all, because its model or its ids matter."""
        envelope = passage.envelope
        return (
            (self._sticky is not None or passage.grant.limited)
            and envelope.content_length is not None
            and envelope.content_length <= SMALL_BYTES
            and envelope.content_type[:16].lower() == b"application/json"
        )

    async def _read(self, passage: Passage) -> None:
        """A request whose body is read: model, identity, usage."""
        envelope, flight = passage.envelope, passage.flight
        flight.reading = passage.place.reading is Reading.KEPT
        body = await passage.body()
        plain = not envelope.content_encoding or envelope.content_encoding == b"identity"
        asked = reading.read(body) if plain else UNREAD
        model = passage.place.model or asked.model
        choice = self._choose(passage, model, asked)
        if choice.plan is not None:
            answer, added = await self._ask_planned(passage, choice, asked, body)
        else:
            sent, added = _spliced(passage, body, asked, choice)
            flight.call = self._call(passage, choice, asked, body, usage_added=added)
            self._check_grant(passage, model)
            head = _head(passage, choice, length=len(sent))
            self._set_times(passage, choice)
            answer = await self._client.ask(choice.target, passage.method, head, sent, passage)
            del sent
        # An answer may come before its request was taken; what waits of that is still held.
        answer.when_taken(lambda: self._flights.let_go(flight, HEAD_BYTES))
        del body
        await self._relay(passage, answer, usage_added=added)

    async def _ask_planned(self, passage: Passage, choice: Choice, asked: Asked, body: bytes) -> tuple[Answer, bool]:
        """The answer where more than one attempt may be made, each with a request of its own."""

        def request(choice: Choice) -> Outgoing:
            sent, added = _spliced(passage, body, asked, choice)
            return Outgoing(_head(passage, choice, length=len(sent)), sent, added)

        passage.flight.call = self._call(passage, choice, asked, body)
        self._check_grant(passage, passage.place.model or asked.model)
        answer, sent = await self._attempts.ask(passage, choice, request)
        return answer, sent.usage_added

    async def _pass(self, passage: Passage) -> None:
        """Any other route: bodies stream through, numbers are kept."""
        envelope = passage.envelope
        model = passage.place.model
        choice = self._choose(passage, model)
        passage.flight.call = self._call(passage, choice, UNREAD, b"")
        if passage.method not in ("GET", "HEAD", "DELETE"):
            self._check_grant(passage, model)
        has_body = envelope.chunked or bool(envelope.content_length)
        if choice.plan is not None:
            await self._pass_planned(passage, choice, has_body=has_body)
            return
        head = _head(passage, choice, length=envelope.content_length, chunked=envelope.chunked)
        self._set_times(passage, choice)
        if has_body:
            answer = await self._client.ask_streaming(
                choice.target, passage.method, head, passage.pieces(), passage, chunked=envelope.chunked
            )
        else:
            answer = await self._client.ask(choice.target, passage.method, head, b"", passage)
        await self._relay(passage, answer, usage_added=False)

    async def _pass_planned(self, passage: Passage, choice: Choice, *, has_body: bool) -> None:
        """The same where more than one attempt may be made: with a body at hand, if it is small."""
        length, chunked = passage.envelope.content_length, passage.envelope.chunked
        body: bytes | AsyncIterator[bytes] = b""
        if has_body and length is not None and length <= SMALL_BYTES and not chunked:
            body = await passage.body()
            passage.flight.uploaded = len(body)
        elif has_body:
            body = passage.pieces()

        def request(choice: Choice) -> Outgoing:
            return Outgoing(_head(passage, choice, length=length, chunked=chunked), body, chunked=chunked)

        answer, _ = await self._attempts.ask(passage, choice, request)
        await self._relay(passage, answer, usage_added=False)

    async def _switch(self, passage: Passage) -> None:
        """A WebSocket: one attempt, whatever is configured, for nothing can be sent again."""
        client = passage.scope["state"].get(SWITCH)
        if client is None:
            raise RequestRefused(400, "This is no request to open a WebSocket.", code="bad_upgrade")
        envelope = passage.envelope
        model = passage.place.model or envelopes.parameter(envelope.query, b"model", b"deployment")
        choice = self._choose(passage, model)
        passage.flight.call = self._call(passage, choice, Asked(model=model), b"")
        self._check_grant(passage, model)
        if not choice.target.passthrough:
            envelope.onward = envelopes.without_keys(envelope.onward, lambda _key: True)
        head = _head(passage, choice, length=None, upgrade=envelope.upgrade)
        self._set_times(passage, choice)
        answer, line = await self._client.switch(choice.target, head, passage)
        if answer.status != 101:
            await self._relay(passage, answer, usage_added=False)
            return
        try:
            await passage.switch(answer, client, line)
        finally:
            answer.close()

    async def _relay(self, passage: Passage, answer: Answer, *, usage_added: bool) -> None:
        if self._sticky is not None:
            self._watch(self._sticky, passage, answer)
        try:
            await passage.relay(answer, usage_added=usage_added)
        finally:
            answer.close()

    def _watch(self, sticky: Sticky, passage: Passage, answer: Answer) -> None:
        """Learn the ids in an answer, where nothing else would lead back to its upstream."""
        place, call = passage.place, passage.flight.call
        responses = place.route.startswith("/v1/responses")
        if not responses and (place.reading is not Reading.PASSED or place.route.endswith("/content")):
            return
        if call is None or answer.status >= 300 or call.upstream == self._routes.default(place.dialect).name:
            return
        said = dict(answer_headers(answer.headers))
        if said.get(b"content-type", b"").lower().startswith((b"application/json", b"text/event-stream")):
            encoding = said.get(b"content-encoding", b"").decode("latin-1").lower()
            passage.watch = Watch(sticky, call.upstream, encoding, first=responses)

    def _choose(self, passage: Passage, model: str, asked: Asked = UNREAD) -> Choice:
        place, upstream = passage.place, passage.envelope.upstream
        if not upstream and self._sticky is not None:
            named = reading.references(asked)
            upstream = self._sticky.find([*given_ids(place), *named] if place.reading is Reading.PASSED else named)
        choice = self._routes.choose(model, upstream, place.dialect)
        if choice is None:
            raise RequestRefused(400, "x-gateway-upstream names no configured upstream.", code="unknown_upstream")
        return choice

    def _check_grant(self, passage: Passage, model: str) -> None:
        if passage.grant.allows(model):
            return
        if model:
            raise RequestRefused(
                403, "The gateway key is not allowed to use this model.", type="permission_error", code="model_denied"
            )
        raise RequestRefused(
            403,
            "The gateway key is limited to certain models, and this request's model cannot be told.",
            type="permission_error",
            code="model_denied",
        )

    def _set_times(self, passage: Passage, choice: Choice) -> None:
        """From now on it is the upstream's turn, by its time-outs."""
        times = choice.target.timeouts
        passage.first_byte_s = times.first_byte
        passage.idle_s = times.idle
        if times.total is not None:
            passage.flight.total_deadline = self._clock() + times.total
        passage.overhead.stop()

    def _describe(self, passage: Passage) -> None:
        """A call that ended before it was read is still told by what its head said."""
        if passage.flight.call is None:
            choice = self._routes.choose("", "", passage.place.dialect)
            assert choice is not None
            passage.flight.call = self._call(passage, choice, UNREAD, b"")

    def _call(self, passage: Passage, choice: Choice, asked: Asked, body: bytes, *, usage_added: bool = False) -> Call:
        place, envelope, flight, grant = passage.place, passage.envelope, passage.flight, passage.grant
        said = reading.identity(asked)
        kept = body[:HEAD_BYTES] if place.reading is Reading.KEPT else b""
        return Call(
            id=flight.id,
            started_at=flight.started_at,
            method=passage.method,
            path=passage.path,
            route=place.route,
            upstream=choice.target.name,
            dialect=place.dialect,
            pattern=choice.pattern,
            model=place.model or asked.model,
            stream=place.stream or bool(asked.stream),
            key=grant.name,
            team=grant.team,
            user=envelope.user or said.user or grant.user,
            session=envelope.session or said.session,
            trace=envelope.trace or said.trace,
            prompt=envelope.prompt or said.prompt,
            tags=envelope.tags or said.tags,
            origin="judge" if grant is INTERNAL else "product",
            no_content=self._no_content or envelope.no_content,
            usage_added=usage_added,
            content_type=envelope.content_type.decode("latin-1"),
            content_encoding=envelope.content_encoding.decode("latin-1"),
            body=kept,
            body_size=len(body),
            body_truncated=len(body) > HEAD_BYTES,
        )


def _head(
    passage: Passage,
    choice: Choice,
    *,
    length: int | None,
    chunked: bool = False,
    upgrade: bytes = b"",
) -> bytes:
    call = passage.flight.call
    return request_head(
        choice.target,
        passage.method.encode(),
        passage.place,
        passage.envelope,
        rename=choice.rename,
        length=length,
        chunked=chunked,
        plain=call is not None and call.stream,
        upgrade=upgrade,
    )


def _spliced(passage: Passage, body: bytes, asked: Asked, choice: Choice) -> tuple[bytes, bool]:
    """The body as the upstream shall read it, and whether usage was asked for in the client's place."""
    sent = body
    if choice.rename is not None and not passage.place.named:
        sent = splice.rename(sent, choice.rename) or sent
    if asked.stream and choice.target.stream_usage and passage.place.asks_usage:
        asking = splice.ask_usage(sent)
        if asking is not None:
            return asking, True
    return sent, False
