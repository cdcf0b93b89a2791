"""The clean stage: a batch is whole or refused, and never half on disk."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import OutboxError
from gateway.model import Clean
from gateway.outbox import Batch, Outbox, batch_name, calls_of, provisional, publish, write
from gateway.paths import Layout
from tests.journal.makers import clean, note, whole

ITEMS: list[Clean] = [clean(whole("a")), clean(note("n")), clean(whole("b"))]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data directory."""
    layout = Layout(tmp_path / "data")
    layout.create()
    return layout


def handed_over(layout: Layout, stem: str, items: list[Clean], calls: int) -> Batch:
    """A batch that waits for the store."""
    name = batch_name(stem, calls)
    write(provisional(layout.outbox, name), items)
    publish(layout.outbox, name)
    return next(batch for batch in Outbox(layout.outbox).pending() if batch.name == name)


def test_a_batch_comes_back_as_it_was_written(layout: Layout) -> None:
    """Records and scores, in order, counted by its name."""
    batch = handed_over(layout, "serve-0-1", ITEMS, 2)
    assert batch.read() == ITEMS
    assert batch.calls == 2
    assert Outbox(layout.outbox).calls() == 2


def test_a_batch_is_not_seen_before_it_is_handed_over(layout: Layout) -> None:
    """What is being written does not wait for the store: a segment is not to wait until its own drafts are gone."""
    write(provisional(layout.outbox, "x-2"), ITEMS)
    outbox = Outbox(layout.outbox)
    assert outbox.pending() == []
    assert outbox.calls() == 0
    assert outbox.bytes() == 0
    publish(layout.outbox, "x-2")
    assert outbox.bytes() == (layout.outbox / "x-2.batch").stat().st_size > 0


def test_batches_come_oldest_first(layout: Layout) -> None:
    """By the time they were written."""
    for age, stem in ((10, "young"), (1000, "old"), (100, "middle")):
        batch = handed_over(layout, stem, ITEMS, 2)
        os.utime(batch.path, (1_700_000_000 - age,) * 2)
    assert [batch.name for batch in Outbox(layout.outbox).pending()] == ["old-2", "middle-2", "young-2"]


def test_a_deleted_batch_is_gone_and_deleting_again_is_fine(layout: Layout) -> None:
    """The store has it; a second word for it changes nothing."""
    batch = handed_over(layout, "x", ITEMS, 2)
    batch.delete()
    batch.delete()
    assert Outbox(layout.outbox).pending() == []


def test_a_quarantined_batch_lies_beside_the_outbox(layout: Layout) -> None:
    """Out of the store's way, byte for byte."""
    batch = handed_over(layout, "x", ITEMS, 2)
    content = batch.path.read_bytes()
    batch.quarantine()
    assert Outbox(layout.outbox).pending() == []
    assert (layout.quarantine / "x-2.batch").read_bytes() == content


@given(st.data())
def test_a_damaged_batch_is_refused_whole(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut, flipped or foreign: ``OutboxError``, never other records."""
    path = tmp_path_factory.mktemp("outbox") / "x-2.batch"
    write(path, ITEMS)
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    path.write_bytes(data.draw(st.sampled_from([content[:place], flipped, b"", content[place:][1:]])))
    with pytest.raises(OutboxError, match="x-2"):
        Batch(path).read()


def test_a_bit_flipped_anywhere_in_a_batch_is_noticed(layout: Layout) -> None:
    """In text too that would be read as other text: each byte in turn."""
    path = layout.outbox / "x-1.batch"
    write(path, [clean(whole("a", body=random.Random(1).randbytes(200)))])
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(OutboxError):
            Batch(path).read()


def test_a_batch_of_something_else_is_refused(layout: Layout) -> None:
    """A good frame around what are no records."""
    path = layout.outbox / "x-1.batch"
    write(path, [{"id": "a"}])  # type: ignore[list-item]
    with pytest.raises(OutboxError):
        Batch(path).read()


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_disk_without_room_leaves_no_half_batch(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """The writer is told, the file is gone, and so is what it would have counted."""
    real = os.write

    def half(handle: int, data: memoryview) -> int:
        if os.fstat(handle).st_size:
            raise OSError(28, "No space left on device")
        return real(handle, data[: len(data) // 2])

    def never(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, half if failing == "write" else never)
        with pytest.raises(OSError):
            write(provisional(layout.outbox, "x-2"), ITEMS)
    assert list(layout.outbox.iterdir()) == []


@pytest.mark.parametrize(("name", "calls"), [("a-b-12.batch", 12), ("12.batch", 12), ("x.tmp", 0), ("a--.tmp", 0)])
def test_a_name_tells_how_many_calls_it_holds(name: str, calls: int) -> None:
    """The number at its end; a foreign name holds none."""
    assert calls_of(Path(name)) == calls
