"""Clients who connect by TLS, until they have shaken hands: each has its time, and a place among clients' sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine

from gateway.room import Room

HANDSHAKE_S = 10.0
GOODBYE_S = 5.0
"""How long a client may take to begin, and to agree that it is over."""
PAUSE_S = 0.1
"""Before the next try when the system has no descriptor left."""


class Handshakes:
    """Accepts connections; whoever has shaken hands goes on with a ``protocol``. ``close`` accepts no more.

    asyncio's own servers accept whoever comes: silent sockets without number would have the process's descriptors.
    """

    def __init__(
        self,
        listening: socket.socket,
        backlog: int,
        protocol: Callable[[], asyncio.Protocol],
        shown: ssl.SSLContext,
        room: Room,
    ) -> None:
        self._listening = listening
        self._protocol = protocol
        self._shown = shown
        self._room = room
        listening.listen(backlog)
        self._accepting = asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _address = await loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(PAUSE_S)
                continue
            if self._room.free():
                Handshake(self._shake(client), self._room)
            else:
                client.close()

    async def _shake(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it left, was late, or speaks no TLS: nobody to tell
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                client,
                ssl=self._shown,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=GOODBYE_S,
            )

    def close(self) -> None:
        """Let those who are at it finish."""
        self._accepting.cancel()
        self._listening.close()


class Handshake:
    """One that is under way, among the room's from now until its end."""

    owes = True

    def __init__(self, shaking: Coroutine[None, None, None], room: Room) -> None:
        self.deadline = asyncio.get_running_loop().time() + HANDSHAKE_S
        self._task = asyncio.create_task(shaking)
        room.handshakes.add(self)
        self._task.add_done_callback(lambda _: room.handshakes.discard(self))

    def give_way(self) -> None:
        """Close the socket, now."""
        self._task.cancel()
