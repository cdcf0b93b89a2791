"""What the money commands ask of a running gateway's API, and what they make of its refusals."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from gateway.errors import ConfigError

ANSWER_S = 130.0
"""Seconds for one answer: rewriting many calls takes its time."""


class Client:
    """The admin's view of a gateway. Every failure is a ``ConfigError`` that says what to do."""

    def __init__(self, base_url: str, token: str, verify: ssl.SSLContext | bool = True) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=ANSWER_S, trust_env=False, verify=verify)

    def get(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """The JSON of a path."""
        return self._ask("GET", path, params=dict(params))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a path makes of a JSON body."""
        return self._ask("POST", path, json=dict(body))

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        where = self._http.base_url
        try:
            answer = self._http.request(method, path, **given)
        except httpx.TimeoutException:
            raise ConfigError(f"{where}: no answer in time; what was begun goes on, run the command again") from None
        except httpx.HTTPError as error:
            raise ConfigError(f"{where}: no gateway answers there ({type(error).__name__})") from None
        if answer.status_code == 401:
            raise ConfigError(f"{where}: the admin token was refused; give it by --token")
        if answer.status_code != 200:
            raise ConfigError(f"{where}: {_told(answer)}")
        found: dict[str, Any] = answer.json()
        return found


def _told(answer: httpx.Response) -> str:
    """The API's own words where it has some."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"answered {answer.status_code}"
