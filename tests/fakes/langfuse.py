"""A Langfuse that receives: OTLP spans and scores, kept by id as the real one does."""

from __future__ import annotations

import base64
import gzip
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.asgi import Running

PUBLIC, SECRET = "pk-lf-test", "sk-lf-test"


class FakeLangfuse:
    """``spans`` by (trace id, span id), ``scores`` by (id, timestamp); ``…_statuses`` are answered first."""

    def __init__(self) -> None:
        self.spans: dict[tuple[str, str], Any] = {}
        self.scores: dict[tuple[str, str], dict[str, Any]] = {}
        self.span_requests = 0
        self.span_statuses: deque[int] = deque()
        self.score_statuses: deque[int] = deque()
        self.refuse_text: str | None = None
        self.changed = threading.Condition()
        routes = [
            Route("/api/public/otel/v1/traces", self._traces, methods=["POST"]),
            Route("/api/public/scores", self._scores, methods=["POST"]),
        ]
        self._running = Running(Starlette(routes=routes))

    @property
    def url(self) -> str:
        return self._running.url

    def expect(self, *, spans: int = 0, scores: int = 0) -> None:
        """Wait until so many are there."""
        with self.changed:
            enough = self.changed.wait_for(lambda: len(self.spans) >= spans and len(self.scores) >= scores, 30)
        assert enough, f"{len(self.spans)} spans, {len(self.scores)} scores"

    def attributes(self, span: Any) -> Mapping[str, Any]:
        return {item.key: _value(item.value) for item in span.attributes}

    async def _traces(self, request: Request) -> Response:
        body = await request.body()
        self.span_requests += 1
        if not _known(request):
            return Response(status_code=401)
        if self.span_statuses:
            return Response(status_code=self.span_statuses.popleft())
        plain = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        if self.refuse_text and self.refuse_text.encode() in plain:
            return Response(status_code=400)
        message = ExportTraceServiceRequest.FromString(plain)
        with self.changed:
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans[(span.trace_id.hex(), span.span_id.hex())] = span
            self.changed.notify_all()
        return Response(b"", media_type="application/x-protobuf")

    async def _scores(self, request: Request) -> Response:
        if not _known(request):
            return JSONResponse({"message": "unauthorised"}, 401)
        if self.score_statuses:
            return JSONResponse({"message": "scripted"}, self.score_statuses.popleft())
        given = await request.json()
        with self.changed:
            for score in given:
                assert {"id", "name", "value", "traceId", "dataType", "timestamp"} <= score.keys()
                self.scores[(score["id"], score["timestamp"])] = score
            self.changed.notify_all()
        return JSONResponse({"message": "Accepted"}, 202)

    def __enter__(self) -> FakeLangfuse:
        self._running.__enter__()
        return self

    def __exit__(self, *ended: Any) -> None:
        self._running.__exit__(*ended)


def _known(request: Request) -> bool:
    """The secret key under any public key: the SDK keeps one client a public key, so tests take fresh ones."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme == "Basic" and base64.b64decode(given).decode().endswith(f":{SECRET}")


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
