"""Where cases come from and verdicts go: ``work`` by its unix socket, ``serve`` by its port."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
import msgspec

from evaluators.budget import Spend
from evaluators.verdict import Away, Verdict
from gateway import mark
from gateway.paths import Layout

TIMEOUT = aiohttp.ClientTimeout(total=30.0)
ACCEPTED = 202
FINAL = frozenset({400, 413, 422})

T = TypeVar("T")


class Candidate(msgspec.Struct, frozen=True):
    """A stored call that is to be judged; request and response are redacted JSON, or text where they are none."""

    id: str
    request: Any = None
    response: Any = None


class Candidates(msgspec.Struct, frozen=True):
    """Calls to be judged, oldest first."""

    items: list[Candidate]


class Refused(Exception):
    """A verdict that the gateway will never take; ``status`` is why."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Docket:
    """Reads from ``work`` and posts to ``serve``. Raises ``Away`` whenever either cannot be had.

    Made inside a running loop, closed by leaving its ``async with``.
    """

    def __init__(self, layout: Layout, local_url: str, verify: ssl.SSLContext | bool = True) -> None:
        self._layout = layout
        # aiohttp and not httpx: anyio's unix sockets raise in the loop when a wait is cancelled as its answer comes.
        connector = aiohttp.UnixConnector(str(layout.work_socket))
        self._work = aiohttp.ClientSession("http://work", connector=connector, timeout=TIMEOUT)
        tcp = aiohttp.TCPConnector(ssl=verify)
        self._serve = aiohttp.ClientSession(local_url, connector=tcp, timeout=TIMEOUT, trust_env=False)

    async def candidates(self, sample: float, limit: int) -> list[Candidate]:
        """Calls of the sample without a verdict, at most ``limit``."""
        found = await self._read("/internal/judge/candidates", {"sample": sample, "limit": limit}, Candidates)
        return found.items

    async def spend(self) -> Spend:
        """What judging has cost today, as far as it is stored."""
        return await self._read("/internal/judge/spend", {}, Spend)

    async def post(self, call_id: str, verdict: Verdict) -> None:
        """Hand in a verdict, durably. Raises ``Refused`` for one that is not taken however often it is tried."""
        body = {
            "id": call_id,
            "name": verdict.name,
            "value": verdict.value,
            "label": verdict.label,
            "comment": verdict.why,
            "version": verdict.version,
        }
        try:
            async with self._serve.post("/v1/feedback", json=body, headers=self._signed()) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Away from error
        if status in FINAL:
            raise Refused(status)
        if status != ACCEPTED:
            raise Away

    async def _read(self, path: str, params: Mapping[str, float], kind: type[T]) -> T:
        try:
            async with self._work.get(path, params=dict(params), headers=self._signed()) as answer:
                answer.raise_for_status()
                return msgspec.json.decode(await answer.read(), type=kind)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise Away from error

    def _signed(self) -> dict[str, str]:
        return {mark.HEADER: mark.read(self._layout)}

    async def __aenter__(self) -> Docket:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._work.close()
        await self._serve.close()
