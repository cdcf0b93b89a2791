"""The exceptions of the gateway, and the error body its clients see.

GatewayError
├── ConfigError          the operator's mistake: file, key and what was expected; exit 2
│   └── MissingExtra     a configured part is not installed; names the command that installs it
├── RequestRefused       an answer of ours instead of the upstream's, with HTTP status and OpenAI's error fields
├── WireError            captured bytes that do not parse as the dialect they claim to be
├── JournalError         the journal could not take or open a record
│   ├── JournalFull      over its byte limit, or no space on the device
│   └── SealBroken       wrong key, failed authentication or checksum
├── OutboxError          the outbox could not take or open a batch
└── StoreError           the store refused, timed out or is away; always worth another try
"""

from __future__ import annotations

import msgspec


class GatewayError(Exception):
    """Root of every exception the gateway raises on purpose."""


class ConfigError(GatewayError):
    """The configuration cannot be used; the message names file, key and what was expected."""


class MissingExtra(ConfigError):
    """A configured part needs packages that are not installed."""

    def __init__(self, extra: str, needed_by: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_by} needs the '{extra}' extra: pip install 'llm-gateway[{extra}]'")


class RequestRefused(GatewayError):
    """A request the gateway answers itself, in OpenAI's error shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.retry_after_s = retry_after_s
        super().__init__(f"{status} {code or type}")

    def body(self) -> bytes:
        """The error as OpenAI's clients parse it: ``{"error": {message, type, param, code}}``."""
        return error_body(self.message, self.type, self.code)


class WireError(GatewayError):
    """Captured bytes are not what their dialect promises."""


class JournalError(GatewayError):
    """The journal could not take or open a record."""


class JournalFull(JournalError):
    """The journal is over its limit, or its device is out of space."""


class SealBroken(JournalError):
    """A sealed record failed its checksum or authentication, or its key is not ours."""


class OutboxError(GatewayError):
    """The outbox could not take or open a batch."""


class StoreError(GatewayError):
    """The store did not take or answer a statement; the caller tries again later."""


def error_body(message: str, type: str, code: str | None) -> bytes:
    """Encode an error in the shape of OpenAI's API."""
    return msgspec.json.encode({"error": {"message": message, "type": type, "param": None, "code": code}})
