"""Whose the sockets are that serve clients, and who gives way to a newcomer where there are no more."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Protocol

from uvicorn.server import ServerState

from gateway import metrics

PART = 64
"""One in so many sockets is given up at a time where new ones need room."""


class Guest(Protocol):
    """Who has a client's socket. ``deadline``: until when, by the loop's clock, what it ``owes`` has to come."""

    deadline: float

    @property
    def owes(self) -> bool:
        """Whether it is for the client to send, and nothing that it has asked for would be lost."""

    def give_way(self) -> None:
        """Close the socket, now."""


class Room:
    """The ``most`` sockets that may serve clients, with one to an upstream counted for each request under way.

    Where they are taken, a newcomer gets the place of one who owes something: what is left is for the journal, and for
    upstreams of the requests to come.
    """

    def __init__(self, state: ServerState, most: float) -> None:
        self._connections, self._tasks = state.connections, state.tasks
        self._most = most
        self.handshakes: set[Guest] = set()
        """Those that are not among the connections yet."""

    def free(self) -> bool:
        """Whether there is a place for one more. If need be those give theirs up whose time would be over first.

        They are many, lest a flood has everyone looked at for each of its own.
        """
        if len(self._connections) + len(self._tasks) + len(self.handshakes) < self._most:
            return True
        owing = (guest for guest in self._guests() if guest.owes)
        late = heapq.nsmallest(max(1, int(self._most) // PART), owing, key=lambda guest: guest.deadline)
        for guest in late:
            self._connections.discard(guest)
            self.handshakes.discard(guest)
            guest.give_way()
        metrics.turned_away.inc(len(late) or 1)
        return bool(late)

    def _guests(self) -> Iterator[Guest]:
        yield from self.handshakes
        yield from self._connections  # type: ignore[misc]  # every one is a guest, which uvicorn cannot say
