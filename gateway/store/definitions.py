"""The embedded engine's definitions of databases and tables, kept safe from a full disk.

The engine does not notice that a definition found no room: it puts the empty file in the place of the old one, goes on
with what it has in memory, and refuses to open ever after. So what stands is kept, as hard links that take no room,
before the schema is touched; an empty definition is put back from there, or dropped if nothing was stored under it; and
whoever changes the schema asks whether it has come to rest before relying on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.address import Address
from gateway.store.connection import translated

KEPT = "definitions"
PATTERNS = ("metadata/*.sql", "store/*/*/*.sql")
"""Of databases, and of the tables of each."""
MUTATIONS = "store/*/*/mutation_*.txt"
"""What is to be done to a table's parts; an empty one as well keeps the engine from opening."""


def mend(address: Address) -> None:
    """Put back or drop what is empty, then keep what stands; before the engine opens. Raises ``StoreError``."""
    with translated("open"):
        for path in _definitions(address):
            kept = _kept(address, path)
            if path.stat().st_size:
                _link(path, kept)
            elif kept.exists():
                _link(kept, path)
            elif not _holds(address, path):
                path.unlink()
        for path in Path(address.path).glob(MUTATIONS) if address.embedded else ():
            if path.stat().st_size == 0:
                path.unlink()


def check(address: Address) -> None:
    """Raise ``StoreError`` when a definition found no room: what was defined since ``mend`` will not last."""
    with translated("open"):
        empty = any(path.stat().st_size == 0 for path in _definitions(address))
    if empty:
        raise StoreError("open: no room on disk for the definition of a table")


def _definitions(address: Address) -> Iterator[Path]:
    for pattern in PATTERNS if address.embedded else ():
        yield from Path(address.path).glob(pattern)


def _kept(address: Address, path: Path) -> Path:
    return Path(address.path, KEPT, "+".join(path.relative_to(address.path).parts))


def _link(path: Path, place: Path) -> None:
    """Make a place name the same file, whatever was there before."""
    if place.exists() and place.samefile(path):
        return
    place.parent.mkdir(exist_ok=True, mode=0o700)
    fresh = place.with_name(f"{place.name}.new")
    fresh.unlink(missing_ok=True)
    os.link(path, fresh)
    fresh.replace(place)


def _holds(address: Address, path: Path) -> bool:
    """Whether parts of a table lie where an empty definition's rows would."""
    tables = f"{path.stem}/*" if path.parent.name == "metadata" else f"*/{path.stem}"
    return any(any(table.glob("*/columns.txt")) for table in Path(address.path, "data").glob(tables))
