"""A small ClickHouse: the HTTP interface over chDB, real SQL, real data, and faults on demand.

Run as a process, since chDB allows one engine each: ``python -m tests.fakes.clickhouse <path> <port>``; port 0 picks a
free one. The first line on standard output is the port. ``POST /_fault`` with ``{"kind": …, "times": n, "match": …}``
makes the next ``n`` statements that contain ``match`` fail, and ``GET /_struck`` tells how many did, by kind:

    refuse   the connection is closed without an answer
    stall    nothing is answered until the client gives up or ``POST /_release`` comes
    error    HTTP 500 with a ClickHouse error, nothing done
    full     HTTP 500 as of a ClickHouse without a byte left on its disk, nothing done
    applied  the statement is carried out and then answered with HTTP 500
    dropped  the statement is carried out and the connection closed without an answer
    late     as stall, and carried out then, when the client has long given up
    page     HTTP 200 with somebody else's page, nothing done
    empty    HTTP 200 with nothing at all, nothing done
    bare     the statement is carried out and answered without a header of ClickHouse's
"""

from __future__ import annotations

import base64
import email.parser
import email.policy
import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

USER, PASSWORD = "gateway", "pass/w@rd"
TRANSPORT = {
    "query",
    "database",
    "query_id",
    "compress",
    "decompress",
    "buffer_size",
    "client_protocol_version",
    "role",
}
TRANSPORT |= {
    "client_protocol_version",
    "session_id",
    "session_timeout",
    "session_check",
    "wait_end_of_query",
    "quota_key",
}
TRANSPORT |= {"enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms"}
TRANSPORT |= {"default_format", "cancel_http_readonly_queries_on_client_close"}
"""Parameters that are the protocol's and no settings of a statement."""

FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
EXCEPTION_CODE = re.compile(r"Code: (\d+)")
ERRORS = {"error": (999, "KEEPER_EXCEPTION"), "full": (243, "NOT_ENOUGH_SPACE")}
"""ClickHouse's number and name of what goes wrong before anything is done."""
PAGES = {"page": b"<html>maintenance</html>", "empty": b""}
"""What answers in ClickHouse's place."""


class Engine:
    """chDB behind a lock: one statement at a time, with the settings and database of its request alone."""

    def __init__(self, path: str) -> None:
        import chdb

        self._connection = chdb.connect(path)
        self._lock = threading.Lock()

    def run(self, sql: str, params: dict[str, str]) -> tuple[bytes, str]:
        """The answer's bytes and format. Raises RuntimeError with the engine's message."""
        bound = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
        settings = {k: v for k, v in params.items() if k not in TRANSPORT and not k.startswith("param_")}
        found = FORMAT.search(sql) if not sql.lstrip().upper().startswith("INSERT") else None
        answer_format = found[1] if found else params.get("default_format", "TabSeparated")
        with self._lock:
            self._connection.query(f"USE `{params.get('database') or 'default'}`")
            for name, value in settings.items():
                quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                self._connection.query(f"SET {name} = '{quoted}'")
            try:
                return self._connection.query(sql, answer_format, params=bound).bytes() or b"", answer_format
            finally:
                for name in settings:
                    self._connection.query(f"SET {name} = DEFAULT")


@dataclass
class Faults:
    """What goes wrong next."""

    kind: str = ""
    times: int = 0
    match: str = ""
    release: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: int = 0
    struck: Counter[str] = field(default_factory=Counter)

    def take(self, sql: str) -> str:
        """The fault that strikes this statement, if any."""
        with self.lock:
            self.seen += 1
            if self.times <= 0 or self.match not in sql:
                return ""
            self.times -= 1
            self.struck[self.kind] += 1
            return self.kind


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    engine: Engine
    faults: Faults

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: tests read standard output."""

    def do_GET(self) -> None:
        """``/ping``, or a read-only query in the URL."""
        if self.path == "/ping":
            self._answer(200, b"Ok.\n")
        elif self.path == "/_struck":
            self._answer(200, json.dumps(self.faults.struck).encode())
        else:
            self.do_POST()

    def do_POST(self) -> None:
        """A statement, or one of the fake's own commands."""
        body = self._body()
        if self.path == "/_fault":
            for name, value in json.loads(body).items():
                setattr(self.faults, name, value)
            self.faults.release.clear()
            self._answer(200, b"")
        elif self.path == "/_release":
            self.faults.release.set()
            self._answer(200, b"")
        elif not self._allowed():
            self._error(516, "AUTHENTICATION_FAILED", 403)
        else:
            self._statement(body)

    def _statement(self, body: bytes) -> None:
        params = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            params |= _form(content_type, body)
            body = b""
        sql = "\n".join(part for part in (params.get("query", ""), body.decode()) if part)
        fault = self.faults.take(sql)
        if fault in {"stall", "late"}:
            self.faults.release.wait(60)
        if fault in {"refuse", "stall"}:
            self.close_connection = True
            return
        if fault in ERRORS:
            self._error(*ERRORS[fault])
            return
        if fault in PAGES:
            self._answer(200, PAGES[fault])
            return
        try:
            answer, answer_format = self.engine.run(sql, params)
        except RuntimeError as error:
            found = EXCEPTION_CODE.search(str(error))
            self._answer(500, str(error).encode(), {"X-ClickHouse-Exception-Code": found[1] if found else "1000"})
            return
        if fault in {"dropped", "late"}:
            self.close_connection = True
        elif fault == "applied":
            self._error(999, "KEEPER_EXCEPTION")
        elif fault == "bare":
            self._answer(200, answer)
        else:
            self._answer(200, answer, {"X-ClickHouse-Format": answer_format, "X-ClickHouse-Summary": "{}"})

    def _allowed(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        return base64.b64decode(given).decode() == f"{USER}:{PASSWORD}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _error(self, code: int, name: str, status: int = 500) -> None:
        text = f"Code: {code}. DB::Exception: on purpose. ({name}) (version 26.9)"
        self._answer(status, text.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _form(content_type: str, body: bytes) -> dict[str, str]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    return {
        str(part.get_param("name", header="content-disposition")): (part.get_payload(decode=True) or b"").decode()
        for part in message.iter_parts()
    }


class FakeClickHouse:
    """The server as a process of its own. ``stop`` and ``start`` keep port and data."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> FakeClickHouse:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.clickhouse", str(self._path), str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def url(self, database: str) -> str:
        """What goes into ``store.url``."""
        return f"clickhouse://{USER}:pass%2Fw%40rd@127.0.0.1:{self.port}/{database}"

    def fault(self, kind: str, times: int = 1, match: str = "") -> None:
        """Make the next ``times`` statements containing ``match`` fail."""
        self._post("_fault", {"kind": kind, "times": times, "match": match})

    def struck(self, kind: str) -> int:
        """How many statements a kind of fault struck since the server was started."""
        told: dict[str, int] = json.loads(self._send("_struck", None, {}))
        return told.get(kind, 0)

    def release(self) -> None:
        """End a stall."""
        self._post("_release", {})

    def healthy(self) -> None:
        """No statement fails from now on, and those that stall are let go."""
        self.fault("", times=0)
        self.release()

    def query(self, sql: str) -> list[list[str]]:
        """Ask beside the gateway; rows of the answer's tab-separated values."""
        credential = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        said = self._send("", sql.encode(), {"Authorization": f"Basic {credential}"}).decode()
        return [line.split("\t") for line in said.splitlines()]

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._send(path, json.dumps(body).encode(), {})

    def _send(self, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", body, headers)
        answer: bytes = urllib.request.urlopen(request, timeout=60).read()
        return answer


def main(path: str, port: str) -> None:
    """Serve until killed."""
    Handler.engine = Engine(path)
    Handler.faults = Faults()
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
