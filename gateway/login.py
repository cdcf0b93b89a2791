"""Who may read: the admin token as a bearer, or a signed session cookie that was given for it.

Sessions are stateless: an expiry and an HMAC under a key derived from the admin token. Changing the token therefore
ends every session. Wrong tokens are counted per client address, and one that tried too often has to wait.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import urlsplit

COOKIE = "gateway_session"
SESSION_S = 12 * 3600
"""Seconds a login lasts."""

MAX_TOKEN = 512
"""Characters; longer input is no token of ours and is not hashed."""


class Attempts:
    """At most ``limit`` failures in ``window`` seconds per client; remembers at most ``clients`` of them."""

    def __init__(
        self,
        limit: int = 10,
        window: float = 60.0,
        clients: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._window = window
        self._clients = clients
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str) -> int:
        """Whole seconds until the client may try again; 0 when it may now."""
        with self._lock:
            failures = self._failures.get(client)
            if failures is None:
                return 0
            self._forget(failures)
            if not failures:
                del self._failures[client]
                return 0
            if len(failures) < self._limit:
                return 0
            return max(1, int(failures[0] + self._window - self._clock()) + 1)

    def failed(self, client: str) -> None:
        """Count a wrong token."""
        with self._lock:
            failures = self._failures.setdefault(client, deque(maxlen=self._limit))
            self._failures.move_to_end(client)
            failures.append(self._clock())
            while len(self._failures) > self._clients:
                self._failures.popitem(last=False)

    def _forget(self, failures: deque[float]) -> None:
        horizon = self._clock() - self._window
        while failures and failures[0] <= horizon:
            failures.popleft()


class Gate:
    """Checks tokens and sessions; every comparison takes constant time."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        if not token:
            raise ValueError("the admin token is empty")
        self._token = hashlib.sha256(token.encode()).digest()
        self._key = hmac.digest(token.encode(), b"llm-gateway session v1", hashlib.sha256)
        self._clock = clock

    def token_matches(self, given: str) -> bool:
        """Whether this is the admin token."""
        if len(given) > MAX_TOKEN:
            return False
        return hmac.compare_digest(hashlib.sha256(given.encode("utf-8", "replace")).digest(), self._token)

    def bearer_matches(self, authorization: str) -> bool:
        """Whether an ``Authorization`` header carries the admin token."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self.token_matches(token.strip())

    def open_session(self) -> str:
        """A cookie value that is valid for ``SESSION_S`` seconds."""
        expiry = str(int(self._clock()) + SESSION_S)
        return f"{expiry}.{self._signature(expiry)}"

    def session_valid(self, cookie: str) -> bool:
        """Whether a cookie value is ours and has not expired."""
        expiry, _, signature = cookie.partition(".")
        if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12 and signature.isascii()):
            return False
        if not hmac.compare_digest(signature, self._signature(expiry)):
            return False
        return int(expiry) > self._clock()

    def _signature(self, expiry: str) -> str:
        return hmac.digest(self._key, expiry.encode(), hashlib.sha256).hex()


def same_origin(origin: str | None, fetch_site: str | None, host: str | None, scheme: str = "http") -> bool:
    """Whether a POST came from a page of ours.

    Browsers name the origin of every POST. Only a client that sends neither ``Origin`` nor ``Sec-Fetch-Site``, and
    therefore is no browser with somebody's cookie, may do without. What came by HTTPS must be of an HTTPS page; the
    other way round, a proxy that we were not told of may have taken the TLS off.
    """
    if origin is not None:
        parts = urlsplit(origin)
        return parts.scheme in {scheme, "https"} and bool(host) and parts.netloc.lower() == (host or "").lower()
    return fetch_site in {None, "same-origin", "none"}


def local_path(given: str | None, default: str = "/dashboards/") -> str:
    """Where to go after a login: a path under ``/dashboards/`` and nowhere else."""
    if given is None or not given.startswith("/dashboards") or given.startswith("/dashboards/login"):
        return default
    if "\\" in given or any(ord(character) < 0x21 or ord(character) == 0x7F for character in given):
        return default
    parts = urlsplit(given)
    if parts.scheme or parts.netloc or ".." in parts.path.split("/"):
        return default
    return given if parts.path == "/dashboards" or parts.path.startswith("/dashboards/") else default
