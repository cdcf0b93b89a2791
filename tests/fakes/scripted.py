"""An upstream that answers its n-th request by the n-th step of a script; the last step stands for all that follow.

A step is an answer's bytes, or what else an upstream may do: ``HANG``, ``CUT`` before an answer, ``CUT_SHORT`` in one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

from tests.fakes.upstream import completion

HANG = b"hang"
CUT = b"cut"
CUT_SHORT = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer's bytes; underscores in header names become dashes."""
    body = body or b'{"error":{"message":"%d"}}' % status
    lines = [f"HTTP/1.1 {status} Told", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


OK = answer(200, completion())


class Scripted:
    """The server's state. ``requests`` are the heads and bodies it received; ``hung`` is set while a step hangs."""

    def __init__(self, *steps: bytes) -> None:
        self.steps = steps or (OK,)
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0
        self.hung = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while await self._step(reader, writer):
                pass
        writer.close()

    async def _step(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        body = await reader.readexactly(int(length.partition(b":")[2]))
        step = self.steps[min(len(self.requests), len(self.steps) - 1)]
        self.requests.append((head, body))
        if step == HANG:
            self.hung.set()
            await reader.read()
            return False
        if step == CUT:
            return False
        writer.write(step)
        return step != CUT_SHORT


@contextlib.asynccontextmanager
async def scripted(*steps: bytes, secure: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """A scripted upstream on a free port, with TLS if ``secure``."""
    state = Scripted(*steps)
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0, ssl=secure)
    state.url = f"{'https' if secure else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield state
    finally:
        server.close()


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """The address of a port that takes no connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
