"""A copy of a data directory whose processes go on: what had been told durable is in it, once, and its books close."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gateway import snapshot
from gateway.control import Control
from gateway.journal import Segments
from gateway.journal.files import COUNTERS
from gateway.loader import Loader
from gateway.moves import moving, still
from gateway.outbox import Outbox
from gateway.paths import Layout, hold
from gateway.store.freeze import frozen
from tests.e2e.installation import eventually
from tests.fakes.disk import NotMounted, small_disk
from tests.journal import victim
from tests.journal.makers import KEY, balanced, clean, filled, ids_in, in_outbox, restarted, whole, worked_off

PATIENCE_S = 20.0


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty installation."""
    layout = Layout(tmp_path / "data")
    layout.create()
    return layout


def kept(name: str) -> None:
    """A store without anything to keep."""
    assert name == snapshot.NAME


def free(directory: Path, kind: int) -> bool:
    """Whether a lock of a kind could be had now."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def waited_for(directory: Path) -> bool:
    """Whether somebody waits for a directory's lock."""
    inode = f":{directory.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


# -- who waits for whom ----------------------------------------------------------------------------------------------


def test_movers_do_not_keep_each_other_waiting_and_a_copier_is_alone(layout: Layout) -> None:
    """Shared and exclusive."""
    with moving(layout), moving(layout):
        assert free(layout.outbox, fcntl.LOCK_SH)
        assert not free(layout.outbox, fcntl.LOCK_EX)
    with still(layout):
        assert not free(layout.outbox, fcntl.LOCK_SH)
    assert free(layout.outbox, fcntl.LOCK_EX)


def test_a_copier_that_waits_goes_before_movers_that_come_later(layout: Layout) -> None:
    """Else a busy gateway would never be still."""
    order: list[str] = []

    def enter(name: str, waiting: bool) -> None:
        with still(layout) if waiting else moving(layout):
            order.append(name)

    copier = threading.Thread(target=enter, args=("copier", True))
    late = threading.Thread(target=enter, args=("late", False))
    with moving(layout):
        copier.start()
        eventually(lambda: not free(layout.journal, fcntl.LOCK_SH), "the copier has its turn", patience_s=PATIENCE_S)
        late.start()
        eventually(lambda: waited_for(layout.journal), "the late one waits for its turn", patience_s=PATIENCE_S)
    copier.join()
    late.join()
    assert order == ["copier", "late"]


def test_a_copier_gives_up_on_what_never_comes_to_its_end_and_others_have_their_turn(layout: Layout) -> None:
    """A redactor that hangs in the middle of a move: the others must not wait for it as well."""
    with moving(layout):
        with pytest.raises(TimeoutError, match="stuck"), still(layout, patience_s=0.0):
            raise AssertionError("it was not still")
        with moving(layout):
            assert free(layout.journal, fcntl.LOCK_EX)


def test_no_segment_is_handed_over_while_a_copy_is_made(layout: Layout) -> None:
    """The redactor goes on afterwards."""
    filled(layout, whole("a"))
    redactor = threading.Thread(target=worked_off, args=(layout,))
    with still(layout):
        redactor.start()
        eventually(
            lambda: waited_for(layout.journal) or waited_for(layout.outbox), "the redactor waits", patience_s=PATIENCE_S
        )
        assert in_outbox(layout) == []
        assert balanced(layout).raw == 1
    redactor.join()
    assert in_outbox(layout) == ["a"]


def test_a_cut_off_hand_over_is_not_finished_while_a_copy_is_made(layout: Layout) -> None:
    """By whoever finds it."""
    filled(layout, whole("a"))
    assert victim.run(victim.hand_over_until, layout.data_dir, "segment.spent") == victim.KILLED
    finder = threading.Thread(target=lambda: Segments(layout, KEY).lease())
    with still(layout):
        finder.start()
        eventually(
            lambda: waited_for(layout.journal) or waited_for(layout.outbox), "the finder waits", patience_s=PATIENCE_S
        )
        assert in_outbox(layout) == []
    finder.join()
    assert in_outbox(layout) == ["a"]


def test_quarantined_text_is_not_emptied_while_a_copy_is_made(layout: Layout) -> None:
    """The copy counts its calls by the file's name, which changes then."""
    sealed = layout.quarantine / "serve-0-x-000000000009-2.sealed"
    sealed.write_bytes(b"sealed")
    os.utime(sealed, (0, 0))
    redactor = threading.Thread(target=worked_off, args=(layout,))
    with still(layout):
        redactor.start()
        eventually(
            lambda: waited_for(layout.journal) or waited_for(layout.outbox), "the redactor waits", patience_s=PATIENCE_S
        )
        assert sealed.read_bytes() == b"sealed"
    redactor.join()
    assert [path.suffix for path in layout.quarantine.iterdir()] == [".purged"]


def test_no_batch_goes_to_the_store_while_a_copy_is_made(layout: Layout) -> None:
    """Neither the insert nor the count."""
    filled(layout, whole("a"))
    worked_off(layout)
    control = Control(layout.control_db)
    taken: list[str] = []

    class Shelf:
        def insert(self, batch_name: str, items: object, *, retried: bool = True) -> None:
            taken.append(batch_name)

    loader = Loader(Outbox(layout.outbox), Shelf(), control, moving=partial(moving, layout))
    loading = threading.Thread(target=loader.drain)
    with still(layout):
        loading.start()
        eventually(
            lambda: waited_for(layout.journal) or waited_for(layout.outbox), "the loader waits", patience_s=PATIENCE_S
        )
        assert taken == []
        assert control.stored_calls == 0
    loading.join()
    assert (len(taken), control.stored_calls) == (1, 1)
    control.close()


# -- the copy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotate_after", [0.005, 3600.0])
def test_a_copy_of_a_journal_being_written_has_what_was_told(layout: Layout, rotate_after: float) -> None:
    """Each call once, and the books close, also while segments are closed underway and handed over in between."""
    hearing, told = victim.pipe()
    process = victim.started(victim.put_for_ever, layout.data_dir, rotate_after, told)
    told.close()
    copy = Layout(layout.snapshot)
    known: list[str] = []
    try:
        for turn in range(12):
            known += [hearing.recv() for _ in range(40)]
            ledger = snapshot.take(layout, kept)
            assert ledger.balanced
            restarted(copy)
            places = [*ids_in(copy.journal / "serve-0", "*.seg"), *in_outbox(copy)]
            found = Counter(places)
            assert [call_id for call_id in known if not found[call_id]] == []
            assert max(found.values()) == 1
            assert balanced(copy).raw + balanced(copy).outbox == len(places)
            if turn % 3 == 2 and (lease := Segments(layout, KEY).lease()):
                lease.commit([clean(entry) for _, entry in lease.entries()])
    finally:
        process.kill()
        process.join()


def test_a_journal_that_closed_a_segment_while_it_was_copied_is_copied_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the copy would count calls of a segment that it had not seen."""
    filled(layout, whole("a"))
    real = shutil.copy2
    closed = threading.Event()

    def copy2(source: Path, target: Path) -> object:
        if source.name == COUNTERS and not closed.is_set():
            closed.set()
            filled(layout, whole("b"))
        return real(source, target)

    monkeypatch.setattr(shutil, "copy2", copy2)
    assert snapshot.take(layout, kept).raw == 2
    assert closed.is_set()
    assert sorted(ids_in(layout.snapshot / "journal" / "serve-0", "*.seg")) == ["a", "b"]


def test_a_copy_has_what_waits_for_the_store_and_what_is_counted(layout: Layout) -> None:
    """Outbox, control database, quarantine and the table of sticky ids; and a later copy takes its place."""
    filled(layout, whole("a"))
    worked_off(layout)
    filled(layout, whole("b"))
    layout.sticky.write_bytes(b"ids")
    (layout.quarantine / "serve-0-x-000000000009-2.sealed").write_bytes(b"sealed")
    control = Control(layout.control_db, lambda: {"stored_calls": 7})
    control.set_cursor("langfuse", "here")
    copy = Layout(layout.snapshot)
    for _ in range(2):
        ledger = snapshot.take(layout, kept)
        assert (ledger.stored, ledger.outbox, ledger.raw, ledger.quarantined) == (7, 1, 1, 2)
        assert copy.sticky.read_bytes() == b"ids"
        copied = Control(copy.control_db)
        assert (copied.stored_calls, copied.cursor("langfuse")) == (7, "here")
        copied.close()
    control.close()
    snapshot.drop(layout, layout.store)
    assert not layout.snapshot.exists()


def vanishing(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Files of a kind are removed right before they are copied."""
    for module, name in ((shutil, "copy2"), (os, "link")):
        real = getattr(module, name)

        def gone(source: Path, target: Path, real: Callable[[Path, Path], object] = real) -> object:
            if source.suffix == suffix:
                source.unlink()
            return real(source, target)

        monkeypatch.setattr(module, name, gone)


def test_a_draft_that_is_given_up_meanwhile_is_in_no_copy(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls are in their segment."""
    filled(layout, whole("a"))
    lease = Segments(layout, KEY).lease()
    assert lease is not None
    lease.draft([clean(entry) for _, entry in lease.entries()])
    vanishing(monkeypatch, ".tmp")
    assert snapshot.take(layout, kept).raw == 1
    assert ids_in(layout.snapshot / "journal" / "serve-0", "*.seg") == ["a"]
    assert list((layout.snapshot / "outbox").iterdir()) == []
    lease.release()


@pytest.mark.parametrize("name", ["outbox/x-1.batch", "quarantine/serve-0-x-000000000009-2.sealed"])
def test_a_file_with_calls_that_vanishes_makes_no_copy(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It would be one without them."""
    (layout.data_dir / name).write_bytes(b"calls")
    vanishing(monkeypatch, Path(name).suffix)
    with pytest.raises(FileNotFoundError):
        snapshot.take(layout, kept)


def test_what_is_no_file_of_calls_is_in_no_copy(layout: Layout) -> None:
    """What file systems and people put there."""
    filled(layout, whole("a"))
    folders = (layout.outbox, layout.quarantine, layout.journal, layout.journal / "serve-0")
    for folder in folders:
        (folder / "lost+found").mkdir()
    os.mkfifo(layout.outbox / "pipe.batch")
    assert snapshot.take(layout, kept).raw == 1
    assert list(layout.snapshot.rglob("lost+found")) == []
    assert list((layout.snapshot / "outbox").iterdir()) == []


def test_a_journal_on_a_disk_of_its_own_is_copied(layout: Layout) -> None:
    """Where no links lead."""
    try:
        with small_disk(layout.journal, 2):
            filled(layout, whole("a"))
            assert snapshot.take(layout, kept).raw == 1
            assert ids_in(layout.snapshot / "journal" / "serve-0", "*.seg") == ["a"]
    except NotMounted as reason:
        pytest.skip(str(reason))


# -- what is left of one ---------------------------------------------------------------------------------------------


def test_a_copy_that_is_being_made_is_neither_removed_nor_mixed_with_another(layout: Layout) -> None:
    """Its backup was killed, and another one came."""

    def underway(name: str) -> None:
        for other in (partial(snapshot.take, layout, kept), partial(snapshot.sweep, layout, layout.store)):
            with pytest.raises(OSError, match="earlier backup"):
                other()

    filled(layout, whole("a"))
    assert snapshot.take(layout, underway).raw == 1


def test_what_a_backup_left_is_removed_once_nobody_makes_one(layout: Layout) -> None:
    """The copy and what the store kept; a backup that reads them holds its lock."""
    kept_by_store = frozen(layout.store, snapshot.NAME)
    assert not snapshot.sweep(layout, layout.store)
    filled(layout, whole("a"))
    snapshot.take(layout, lambda _name: kept_by_store.mkdir(parents=True))
    reading = hold(snapshot.lock(layout), "held")
    assert not snapshot.sweep(layout, layout.store)
    assert balanced(Layout(layout.snapshot)).raw == 1
    os.close(reading)
    assert snapshot.sweep(layout, layout.store)
    assert not layout.snapshot.exists()
    assert not kept_by_store.exists()
    assert balanced(layout).raw == 1


def test_what_changes_later_does_not_change_in_the_copy(layout: Layout) -> None:
    """A draft that is written again, a note of attempts that grows, quarantined text that is purged."""
    filled(layout, whole("a"))
    lease = Segments(layout, KEY).lease()
    assert lease is not None
    lease.attempt(0)
    draft, sealed = layout.outbox / "x-1.tmp", layout.quarantine / "serve-0-x-000000000009-2.sealed"
    for path in (draft, sealed):
        path.write_bytes(b"before")
    snapshot.take(layout, kept)
    lease.attempt(0)
    for path in (draft, sealed):
        path.write_bytes(b"after it")
    copy = Layout(layout.snapshot)
    assert (copy.outbox / draft.name).read_bytes() == b"before"
    assert (copy.quarantine / sealed.name).read_bytes() == b"before"
    (tries,) = (copy.journal / "serve-0").glob("*.try")
    (grown,) = (layout.journal / "serve-0").glob("*.try")
    assert tries.stat().st_size < grown.stat().st_size
    lease.release()
