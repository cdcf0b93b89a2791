"""A process that loads a folder of batches into an embedded store until the folder is empty, then prints what stands.

``python -m tests.store.loading <folder>``; the test kills it again and again.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.config import Retention
from gateway.control import Control
from gateway.loader import Loader
from gateway.model import Clean, Record, Score
from gateway.store import Store


class File:
    """A batch as a file ``<name>-<calls>.batch``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.stem
        self.calls = int(path.stem.rpartition("-")[2])

    def read(self) -> list[Clean]:
        """The items."""
        return msgspec.msgpack.decode(self._path.read_bytes(), type=list[Record | Score])

    def delete(self) -> None:
        """Gone; again is as good."""
        self._path.unlink(missing_ok=True)

    def quarantine(self) -> None:
        """Not needed here."""
        raise AssertionError(self.name)

    def put_aside(self, items: Sequence[Clean]) -> None:
        """Not needed here either."""
        raise AssertionError(self.name)


class Folder:
    """An outbox of files."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pending(self) -> list[File]:
        """Oldest first."""
        return [File(path) for path in sorted(self._path.glob("*.batch"))]


def main(folder: Path) -> None:
    """Load, then tell: rows, distinct ids, counted calls, and the sum of costs by rows and by aggregates."""
    store = Store.open(None, folder / "store", Retention())
    control = Control(folder / "control.db")
    stop = threading.Event()
    outbox = Folder(folder)
    thread = threading.Thread(target=Loader(outbox, store, control, poll_s=0.01).run, args=(stop,))
    thread.start()
    while outbox.pending():
        stop.wait(0.02)
    stop.set()
    thread.join()
    cost = "SELECT sum(cost_usd) AS cost, count() AS n, countIf(is_error) AS e FROM calls WHERE origin = 'product'"
    found = {
        "calls": store.query("SELECT count() AS n, uniqExact(id) AS u FROM calls")[0],
        "bodies": store.query("SELECT count() AS n, uniqExact(id) AS u FROM bodies")[0],
        "counted": control.stored_calls,
        "rows": store.query(f"{cost} SETTINGS optimize_use_projections = 0")[0],
        "aggregates": store.query(f"{cost} SETTINGS force_optimize_projection = 1")[0],
    }
    store.close()
    print(msgspec.json.encode(found).decode(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
