"""The langfuse SDK on a tracer provider of its own, made to say whether what it was given has arrived.

The SDK starts observations at the moment it is told of them, so calls that lie in the past are OpenTelemetry spans with
their own times, handed to the SDK's processor. Scores go by its API client. Loads the SDK when made.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gateway import telemetry
from gateway.config import Langfuse
from gateway.errors import GatewayError, MissingExtra
from gateway.export import generation
from gateway.model import Record

if TYPE_CHECKING:
    from langfuse.api import CreateScoresRequest
    from opentelemetry.sdk.trace import ReadableSpan

TIMEOUT_S = 10
FLUSH_MS = 60_000
CHUNK_BYTES = 2_000_000
"""Text in one request; Langfuse's cloud takes 4.5 MB."""
CHUNK_SCORES = 15
NEVER = frozenset({400, 413, 422})
"""Statuses that will be the same however often the same is sent."""

T = TypeVar("T")
log = telemetry.log("langfuse")


class NotTaken(GatewayError):
    """Langfuse did not take something; ``status`` is its HTTP status, ``None`` when there was no answer."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        super().__init__(f"status {status}")

    @property
    def final(self) -> bool:
        """Whether trying the same again is in vain."""
        return self.status in NEVER


class Wire:
    """A Langfuse project. ``generations`` and ``scores`` return when Langfuse has answered, or raise ``NotTaken``."""

    def __init__(self, settings: Langfuse) -> None:
        """Raises ``MissingExtra``. Calls nobody."""
        try:
            import langfuse
            import requests
            from opentelemetry.exporter.otlp.proto.http import Compression
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        except ImportError:
            raise MissingExtra("langfuse", "export.langfuse") from None
        base_url = settings.base_url.rstrip("/")
        public, secret = settings.public_key.get_secret_value(), settings.secret_key.get_secret_value()
        self._statuses: list[int] = []
        session = requests.Session()
        session.hooks["response"].append(lambda answer, *_args, **_options: self._statuses.append(answer.status_code))
        otlp = OTLPSpanExporter(
            endpoint=f"{base_url}/api/public/otel/v1/traces",
            headers=_headers(public, secret),
            timeout=TIMEOUT_S,
            compression=Compression.Gzip,
            session=session,
        )
        self._receipts = _receipts(otlp)
        self._ids = _ids()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": "llm-gateway"}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._client = langfuse.Langfuse(
            public_key=public,
            secret_key=secret,
            base_url=base_url,
            timeout=TIMEOUT_S,
            tracer_provider=self._provider,
            span_exporter=self._receipts,
            should_export_span=lambda _span: True,
        )
        self._tracer = self._provider.get_tracer("llm-gateway")

    def generations(self, records: Sequence[Record]) -> None:
        """Send calls, each under ids of its own that are the same each time."""
        for chunk in _chunks(records, lambda record: len(record.request) + len(record.response), CHUNK_BYTES):
            self._statuses.clear()
            self._receipts.taken = 0
            for record in chunk:
                self._span(record)
            self._provider.force_flush(FLUSH_MS)
            if self._receipts.taken != len(chunk):
                raise NotTaken(self._statuses[-1] if self._statuses else None)

    def _span(self, record: Record) -> None:
        start, end = generation.times(record)
        self._ids.trace = generation.trace_id(record.id, record.trace)
        self._ids.span = generation.observation_id(record.id)
        known = generation.attributes(record)
        self._tracer.start_span(record.route, attributes=known, start_time=start).end(end_time=end)

    def scores(self, scores: Sequence[Mapping[str, Any]]) -> int:
        """Send scores in the API's field names; answers how many Langfuse refused for good."""
        return sum(self._scores(chunk) for chunk in _chunks(scores, lambda _score: 1, CHUNK_SCORES))

    def _scores(self, chunk: Sequence[Mapping[str, Any]]) -> int:
        import httpx
        from langfuse.api import CreateScoreBatchResults
        from langfuse.api.core import ApiError

        try:
            answer = self._client.api.scores.create(
                request=cast("CreateScoresRequest", list(chunk)), request_options={"max_retries": 0}
            )
        except ApiError as error:
            refusal = NotTaken(error.status_code)
        except httpx.HTTPError:
            raise NotTaken(None) from None
        else:
            return answer.rejected if isinstance(answer, CreateScoreBatchResults) else 0
        if not refusal.final:
            raise refusal
        if len(chunk) == 1:
            log.warning("a score was refused", status=refusal.status)
            return 1
        return sum(self._scores([score]) for score in chunk)

    def close(self) -> None:
        """End the SDK's threads; what was not taken is sent at the next start."""
        self._provider.shutdown()
        self._client.shutdown()


def _headers(public: str, secret: str) -> dict[str, str]:
    from langfuse import __version__

    return {
        "authorization": "Basic " + base64.b64encode(f"{public}:{secret}".encode()).decode(),
        "x-langfuse-sdk-name": "python",
        "x-langfuse-sdk-version": __version__,
        "x-langfuse-public-key": public,
        "x-langfuse-ingestion-version": "4",
    }


def _ids() -> Any:
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class Given(IdGenerator):
        """Gives the ids it was given, since a call's are derived."""

        trace = 1
        span = 1

        def generate_trace_id(self) -> int:
            return self.trace

        def generate_span_id(self) -> int:
            return self.span

    return Given()


def _receipts(exporter: Any) -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Receipts(SpanExporter):
        """Counts the spans that were taken: the SDK's processor tells nobody."""

        taken = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = cast(SpanExportResult, exporter.export(spans))
            if result is SpanExportResult.SUCCESS:
                self.taken += len(spans)
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Receipts()


def _chunks(items: Iterable[T], size: Any, limit: int) -> Iterator[list[T]]:
    """The items in order, in lists of at most so much; one that is larger stands alone."""
    chunk: list[T] = []
    total = 0
    for item in items:
        weight = size(item)
        if chunk and total + weight > limit:
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += weight
    if chunk:
        yield chunk
