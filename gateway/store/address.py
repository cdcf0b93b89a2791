"""Where the store is: an embedded ClickHouse under a directory, or a server's HTTP address. PURE."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from gateway.errors import ConfigError

DATABASE = "llm_gateway"
PORTS = {"clickhouse": 8123, "clickhouses": 8443}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed ``store.url``: ``path`` is set for chDB, ``host`` for a server; ``cluster`` names a cluster."""

    database: str = DATABASE
    path: str = ""
    host: str = ""
    port: int = 0
    secure: bool = False
    user: str = "default"
    password: str = ""
    cluster: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the engine runs inside this process."""
        return bool(self.path)

    def client_arguments(self) -> dict[str, Any]:
        """Keyword arguments of ``clickhouse_connect.get_client``, without the database."""
        if self.embedded:
            return {"dsn": f"chdb://{self.path}"}
        return {
            "host": self.host,
            "port": self.port,
            "username": self.user,
            "password": self.password,
            "interface": "https" if self.secure else "http",
        }


def parse(url: str | None, default_path: Path) -> Address:
    """Read ``clickhouse://user:password@host:8123/database?cluster=name``, ``clickhouses://`` (TLS) or ``chdb:///path``.

    Without a URL the store is embedded under ``default_path``. Raises ``ConfigError``, never quoting the URL, which may
    hold a password.
    """
    if url is None:
        return Address(path=str(default_path.absolute()))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("store.url: the host or port is malformed") from None
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.scheme == "chdb":
        if not parts.path.strip("/"):
            raise ConfigError("store.url: expected chdb:///absolute/path")
        return Address(path=unquote(parts.path), database=options.get("database", DATABASE))
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigError("store.url: expected clickhouse://user:password@host:8123/database")
    return Address(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        secure=parts.scheme == "clickhouses",
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.strip("/")) or DATABASE,
        cluster=options.get("cluster", ""),
    )
