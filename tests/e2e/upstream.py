"""An upstream for whole-gateway tests, in a thread of its own: it echoes what it was asked, plain or streamed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", "0")))
        try:
            asked: dict[str, Any] = json.loads(raw)
        except ValueError:
            error = {"error": {"message": f"not JSON: {raw.decode()}", "type": "invalid_request_error"}}
            self._send(400, json.dumps(error).encode())
            return
        said = json.dumps(asked["messages"], ensure_ascii=False) if asked["model"] == "echo" else "hello world"
        if asked.get("stream"):
            self._stream(asked, said)
        else:
            self._send(200, json.dumps(self._answer(asked, said), ensure_ascii=False).encode())

    def _answer(self, asked: dict[str, Any], said: str) -> dict[str, Any]:
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        base = {"id": self.server.next_id(), "object": "chat.completion", "created": 1}  # type: ignore[attr-defined]
        return base | {"model": asked["model"], "choices": [choice], "usage": USAGE}

    def _stream(self, asked: dict[str, Any], said: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        base = {"id": self.server.next_id(), "object": "chat.completion.chunk"}  # type: ignore[attr-defined]
        base |= {"created": 1, "model": asked["model"]}
        half = len(said) // 2
        for piece in (said[:half], said[half:]):
            self._event(base | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": piece}}]})
        if asked["model"] == "drip":
            self.server.hold.wait(60)  # type: ignore[attr-defined]
        self._event(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (asked.get("stream_options") or {}).get("include_usage"):
            self._event(base | {"choices": [], "usage": USAGE})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class FakeUpstream(ThreadingHTTPServer):
    """``with FakeUpstream() as upstream``; a stream of the model ``drip`` stops half-way until the server goes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hold = threading.Event()
        self._count = 0
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def next_id(self) -> str:
        with self._lock:
            self._count += 1
            return f"chatcmpl-{self._count:06d}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is part of the tests."""

    def __enter__(self) -> FakeUpstream:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self.shutdown()
        self.server_close()
