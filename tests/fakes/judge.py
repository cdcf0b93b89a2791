"""What the judge process talks to: a ``serve`` with a scripted judging model behind it, and a ``work``."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.paths import Layout
from tests.fakes.asgi import Running

HANG = object()
DROP = object()
"""Script entries: never answer; close the connection without an answer."""


def statements(*texts: str) -> dict[str, Any]:
    """What RAGAS expects of its first call."""
    return {"statements": list(texts)}


def checked(*verdicts: int) -> dict[str, Any]:
    """What RAGAS expects of its second call."""
    return {
        "statements": [
            {"statement": f"statement {index}", "reason": f"reason {index}", "verdict": verdict}
            for index, verdict in enumerate(verdicts)
        ]
    }


def opinion(score: float, verdict: str = "grounded", reason: str = "It is well known.") -> dict[str, Any]:
    """What our own prompt asks for."""
    return {"reason": reason, "score": score, "verdict": verdict}


class FakeServe:
    """``/v1/chat/completions`` answers from ``script`` (then from ``always``); ``/v1/feedback`` keeps what it is given.

    A script entry is an object (sent as JSON text), a text, an HTTP status, ``HANG`` or ``DROP``.
    """

    def __init__(self, *script: Any, always: Any = 500) -> None:
        self.script: deque[Any] = deque(script)
        self.always = always
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.feedback: list[dict[str, Any]] = []
        self.feedback_marks: list[str] = []
        self.feedback_status: deque[int] = deque()
        self.judged = threading.Condition()
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/feedback", self._feedback, methods=["POST"]),
        ]
        self._running = Running(Starlette(routes=routes))

    @property
    def url(self) -> str:
        return self._running.url

    def await_feedback(self, count: int) -> list[dict[str, Any]]:
        """The verdicts, once there are so many."""
        with self.judged:
            assert self.judged.wait_for(lambda: len(self.feedback) >= count, 60), f"only {self.feedback}"
            return list(self.feedback)

    async def _complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        entry = self.script.popleft() if self.script else self.always
        if entry is HANG:
            await asyncio.sleep(3600)
        if entry is DROP:
            return Dropped()
        if isinstance(entry, int):
            return JSONResponse({"error": {"message": "scripted", "type": "server_error"}}, entry)
        text = entry if isinstance(entry, str) else json.dumps(entry)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": "judge-1", "choices": [choice]}
        return JSONResponse(body | {"usage": usage})

    async def _feedback(self, request: Request) -> Response:
        status = self.feedback_status.popleft() if self.feedback_status else 202
        if status == 202:
            with self.judged:
                self.feedback.append(await request.json())
                self.feedback_marks.append(request.headers.get("x-gateway-internal", ""))
                self.judged.notify_all()
        return JSONResponse({}, status)

    def __enter__(self) -> FakeServe:
        self._running.__enter__()
        return self

    def __exit__(self, *ended: Any) -> None:
        self._running.__exit__(*ended)


class Dropped(Response):
    """Ends the connection in the middle of an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]})
        await send({"type": "http.response.body", "body": b"{"})


class FakeWork:
    """``/internal/judge/*`` on the layout's socket: ``calls`` not yet judged by id, and ``spend``."""

    def __init__(self, layout: Layout, *calls: dict[str, Any], serve: FakeServe | None = None) -> None:
        self.calls = {call["id"]: call for call in calls}
        self.spend: dict[str, Any] = {"day": "2026-11-23", "calls": 0, "cost_usd": None, "unpriced": 0}
        self.asked: list[dict[str, str]] = []
        self.marks: list[str] = []
        self._serve = serve
        self._asked_enough = threading.Condition()
        routes = [Route("/internal/judge/candidates", self._candidates), Route("/internal/judge/spend", self._spend)]
        self._path = Path(layout.work_socket)
        self._running = Running(Starlette(routes=routes), uds=self._path)

    def await_rounds(self, count: int) -> None:
        """Wait until the judge has looked at its spend so often."""
        with self._asked_enough:
            assert self._asked_enough.wait_for(lambda: len(self.marks) >= count, 60)

    async def _candidates(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        judged = {verdict["id"] for verdict in self._serve.feedback} if self._serve else set()
        items = [call for call_id, call in self.calls.items() if call_id not in judged]
        return JSONResponse({"items": items[: int(request.query_params["limit"])]})

    async def _spend(self, request: Request) -> Response:
        with self._asked_enough:
            self.marks.append(request.headers.get("x-gateway-internal", ""))
            self._asked_enough.notify_all()
        return JSONResponse(self.spend)

    def __enter__(self) -> FakeWork:
        self._running.__enter__()
        return self

    def __exit__(self, *ended: Any) -> None:
        self._running.__exit__(*ended)
        self._path.unlink(missing_ok=True)
