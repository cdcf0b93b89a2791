"""What an embedded store holds at one moment, kept as hard links beside it: a copy that costs no time and no space.

ClickHouse's own ``FREEZE`` links the parts of each table; parts never change. With the definitions of the tables copied
beside them, the folder is a store of its own, which opens wherever it is put. ``BACKUP`` would say the same in one
statement, but the embedded engine takes no place to write it to.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.store.address import Address
from gateway.store.connection import translated

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def frozen(store: Path, name: str) -> Path:
    """Where what was frozen under a name is."""
    return store / "shadow" / name


def freeze(client: Client, address: Address, name: str) -> None:
    """Keep every table as it is now, in place of what was kept under the name. Raises ``StoreError``.

    Nobody may write meanwhile: a batch is in several tables.
    """
    store = Path(address.path)
    with translated("freeze"):
        shutil.rmtree(frozen(store, name), ignore_errors=True)
        of = {"database": address.database}
        databases = client.query("SELECT toString(uuid) FROM system.databases WHERE name = {database:String}", of)
        tables = client.query(
            "SELECT name, toString(uuid) FROM system.tables"
            " WHERE database = {database:String} AND engine LIKE '%MergeTree'",
            of,
        )
        for table, uuid in tables.result_rows:
            client.command(f"ALTER TABLE `{address.database}`.`{table}` FREEZE WITH NAME '{name}'")
            _copy(store, frozen(store, name), _folder(uuid), "*.txt")
        for (uuid,) in databases.result_rows:
            _copy(store, frozen(store, name), _folder(uuid), "*.sql")
            _copy(store, frozen(store, name), Path("metadata"), f"{_escaped(address.database)}.sql")


def _folder(uuid: str) -> Path:
    return Path("store") / uuid[:3] / uuid


def _copy(store: Path, kept: Path, folder: Path, pattern: str) -> None:
    """Small files that change, and so are copied rather than linked."""
    (kept / folder).mkdir(parents=True, exist_ok=True)
    for path in (store / folder).glob(pattern):
        shutil.copy(path, kept / folder / path.name)


def _escaped(name: str) -> str:
    """As ClickHouse names files."""
    return re.sub(r"\W", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name, flags=re.ASCII)
