"""A plain client that sees every byte of an answer and how it ends."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

PATIENCE_S = 20.0
"""More than any of the times that are configured in the tests: who waits so long hangs."""


@dataclass(frozen=True)
class Got:
    """What a client received. ``whole``: its framing came to its end; ``hung``: nothing more came, nor an end.

    ``asked``: when the request was sent; ``came``: when how many bytes of the body were there, after each piece. Both
    by the monotonic clock, in seconds.
    """

    id: str
    status: int
    body: bytes
    whole: bool
    hung: bool = False
    asked: float = 0.0
    came: tuple[tuple[float, int], ...] = ()

    @property
    def seen(self) -> bool:
        """Whether it saw what a client stops at."""
        return self.status == 200 and (self.whole or self.body.rstrip().endswith(b"data: [DONE]"))


CHAT = "/v1/chat/completions"


async def ask(
    port: int, body: bytes, headers: str = "", path: str = CHAT, heard: Callable[[], object] = lambda: None
) -> Got:
    """One call by a plain client that reads until the answer's framing ends, or the connection.

    ``heard`` is called when the answer's head has come.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    call_id, status, head, said = "", 0, "", b""
    asked, came = math.inf, list[tuple[float, int]]()

    def got(more: bytes = b"", *, whole: bool = False, hung: bool = False) -> Got:
        return Got(call_id, status, said + more, whole, hung, asked, tuple(came))

    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(request(body, headers, path))
            await writer.drain()
            asked = time.monotonic()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            status = int(head.split()[1])
            call_id = next((line.split(": ")[1] for line in head.split("\r\n") if "x-gateway-call-id" in line), "")
            heard()
            async for piece in pieces(reader, head):
                said += piece
                came.append((time.monotonic(), len(said)))
            return got(whole=True)
    except TimeoutError:
        return got(hung=True)
    except (OSError, asyncio.IncompleteReadError) as error:
        rest = error.partial if isinstance(error, asyncio.IncompleteReadError) and status else b""
        return got(rest if "chunked" not in head else b"")
    finally:
        writer.close()


async def pieces(reader: asyncio.StreamReader, head: str) -> AsyncIterator[bytes]:
    """The body by its framing. Raises ``IncompleteReadError`` when it is cut."""
    if "transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        length = next(int(line.split(": ")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
        yield await reader.readexactly(length)


def request(body: bytes, headers: str = "", path: str = CHAT) -> bytes:
    """A call's bytes."""
    head = f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
