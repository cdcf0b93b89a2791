"""What a store promises, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.errors import StoreError
from gateway.model import Clean, Record, Score


class Shop:
    """A batch of one name goes in once, and of a batch that is looked up only the calls that are not there.

    ``fail``: the next batch is refused (``failed``), or taken and the answer lost (``unknown``). ``taken`` is called
    when a batch is in.
    """

    def __init__(self, taken: Callable[[], None] = lambda: None) -> None:
        self.rows: list[Record] = []
        self.scores: dict[str, Score] = {}
        self.fail = ""
        self._taken = taken
        self._names: set[str] = set()

    def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
        """Take a batch. Raises ``StoreError``."""
        fail, self.fail = self.fail, ""
        if fail == "failed":
            raise StoreError("refused")
        calls = [item for item in items if isinstance(item, Record)]
        if retried or any(each.ended == "killed" for each in calls):
            have = {each.id for each in self.rows}
            self.rows += [each for each in calls if each.id not in have]
        elif batch_name not in self._names:
            self.rows += calls
        self.scores |= {item.id: item for item in items if isinstance(item, Score)}
        self._names.add(batch_name)
        self._taken()
        if fail == "unknown":
            raise StoreError("the answer was lost")
