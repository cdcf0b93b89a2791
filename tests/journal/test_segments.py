"""The redactors' side: one holder a segment, a hand-over that may be cut anywhere, and what is put aside."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
import structlog.testing

from gateway.journal import Broken, Lease, Segments
from gateway.journal.files import COUNTERS
from gateway.journal.seal import HEADER_BYTES, frames
from gateway.paths import Layout
from gateway.raw import Whole
from tests.fakes.disk import NotMounted, leave_free, small_disk
from tests.journal import victim
from tests.journal.makers import (
    KEY,
    SERVE,
    balanced,
    clean,
    entries_of,
    entry_id,
    filled,
    ids_in,
    in_outbox,
    names,
    note,
    restarted,
    whole,
    worked_off,
)

WEEK_S = 7 * 86_400


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A segment of two calls and a note."""
    layout = Layout(tmp_path / "data")
    filled(layout, whole("a"), note("n"), whole("b"))
    return layout


def folder(layout: Layout) -> Path:
    """The journal's own folder."""
    return layout.journal / SERVE


def leased(layout: Layout) -> Lease:
    """The oldest segment."""
    lease = Segments(layout, KEY).lease()
    assert lease is not None
    return lease


def quarantined_ids(layout: Layout) -> list[str]:
    """What the sealed quarantine opens to, with the key."""
    return [entry_id(entry) for path in layout.quarantine.glob("*.sealed") for entry in entries_of(path)]


# -- one holder ------------------------------------------------------------------------------------------------------


def test_a_lease_gives_every_entry_in_order(layout: Layout) -> None:
    """Calls and notes, with their places."""
    lease = leased(layout)
    assert [(index, entry_id(entry)) for index, entry in lease.entries() if not isinstance(entry, Broken)] == [
        (0, "a"),
        (1, "n"),
        (2, "b"),
    ]
    assert lease.calls == 2
    lease.release()


def test_two_processes_never_hold_the_same_segment_and_a_lease_dies_with_its_process(layout: Layout) -> None:
    """Each gets another one; the third gets none until a holder is killed."""
    filled(layout, whole("c"))
    holders, held = [], []
    for _ in range(2):
        hearing, told = victim.pipe()
        holders.append(victim.started(victim.hold, layout.data_dir, told))
        held.append(hearing.recv())
    assert len({*held, None}) == 3
    segments = Segments(layout, KEY)
    assert segments.lease() is None
    holders[0].kill()
    holders[0].join()
    again = segments.lease()
    assert again is not None
    assert again.name == held[0]
    again.release()
    holders[1].kill()
    holders[1].join()


def test_the_oldest_segment_is_leased_first(layout: Layout) -> None:
    """By age, whatever the numbers say."""
    filled(layout, whole("late"))
    first, second = sorted(folder(layout).glob("*.seg"))
    os.utime(second, (1, 1))
    lease = leased(layout)
    assert lease.name == f"{SERVE}/{second.stem}"
    lease.release()
    assert first.exists()


def test_a_released_segment_can_be_leased_again(layout: Layout) -> None:
    """Nothing has happened to it."""
    leased(layout).release()
    worked_off(layout)
    assert sorted(in_outbox(layout)) == ["a", "b"]


def test_a_segment_that_was_given_up_comes_again_after_the_others(layout: Layout) -> None:
    """One that cannot be handed over, for whatever reason, keeps nobody waiting."""
    filled(layout, whole("c"))
    segments = Segments(layout, KEY)
    turns = []
    for _ in range(3):
        lease = segments.lease()
        assert lease is not None
        turns.append(lease.name)
        lease.release()
    assert turns[0] == turns[2] != turns[1]


def test_only_what_is_old_enough_is_leased_when_that_is_asked_for(layout: Layout) -> None:
    """The others wait, whoever finds them; without an age even a file of tomorrow is leased."""
    filled(layout, whole("c"))
    old, young = sorted(folder(layout).glob("*.seg"))
    os.utime(old, (time.time() - 3_700,) * 2)
    os.utime(young, (time.time() + 3_600,) * 2)
    segments = Segments(layout, KEY)
    lease = segments.lease(3_600.0)
    assert lease is not None
    assert lease.name == f"{SERVE}/{old.stem}"
    assert segments.lease(3_600.0) is None
    other = segments.lease()
    assert other is not None
    assert other.name == f"{SERVE}/{young.stem}"
    for each in (lease, other):
        each.release()


def test_files_in_trouble_are_left_alone_and_the_others_are_worked_off(layout: Layout) -> None:
    """Links that lead nowhere but to themselves, a folder with a segment's name; each is told of once."""
    for name in ("000000000000-0.seg", "000000000000-0.spent"):
        (folder(layout) / name).symlink_to(name)
    (folder(layout) / "000000000009-0.seg").mkdir()
    segments = Segments(layout, KEY)
    with structlog.testing.capture_logs() as logs:
        lease = segments.lease()
        assert lease is not None
        lease.commit([clean(entry) for _, entry in lease.entries() if not isinstance(entry, Broken)])
        assert [segments.lease() for _ in range(3)] == [None] * 3
    assert sorted(in_outbox(layout)) == ["a", "b"]
    assert sorted(line["segment"] for line in logs) == [
        f"{SERVE}/{name}" for name in ("000000000000-0.seg", "000000000000-0.spent", "000000000009-0.seg")
    ]


# -- the hand-over ---------------------------------------------------------------------------------------------------


def test_a_hand_over_leaves_nothing_but_the_batch(layout: Layout) -> None:
    """The segment is gone, and with it the key that opened it."""
    worked_off(layout)
    assert names(folder(layout)) == {"counters"}
    assert names(layout.outbox) == {".batch"}
    assert sorted(in_outbox(layout)) == ["a", "b"]
    assert balanced(layout).outbox == 2


@pytest.mark.parametrize("together", [1, 9])
@pytest.mark.parametrize("quarantine", [frozenset(), frozenset({2}), frozenset({0, 1, 2})])
def test_a_kill_at_any_step_of_the_hand_over_loses_and_doubles_nothing(
    layout: Layout, tmp_path: Path, quarantine: frozenset[int], together: int
) -> None:
    """The law holds as the kill left it, and after the next redactor every call is in one place."""
    expected = Counter(call_id for index, call_id in ((0, "a"), (2, "b")) if index not in quarantine)
    step, code = 0, victim.KILLED
    while code == victim.KILLED:
        copy = Layout(tmp_path / f"step-{step}")
        shutil.copytree(layout.data_dir, copy.data_dir)
        code = victim.run(victim.hand_over, copy.data_dir, step, quarantine, together)
        balanced(copy)
        assert victim.run(victim.hand_over, copy.data_dir, None, quarantine, together) == 0
        assert Counter(in_outbox(copy)) == expected
        ledger = balanced(copy)
        assert (ledger.outbox, ledger.quarantined) == (len(expected), 2 - len(expected))
        assert names(folder(copy)) == {"counters"}
        assert names(copy.outbox) <= {".batch"}
        step += 1
    assert code == 0
    assert step > 5


def test_a_draft_of_an_earlier_run_is_not_handed_over_beside_the_last_one(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run was killed with its draft written; a second one puts a call aside and is killed after the rename."""
    lease = leased(layout)
    items = [clean(entry) for _, entry in lease.entries() if not isinstance(entry, Broken)]

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt if self.suffix == ".seg" else AssertionError(target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            lease.commit(items)
    lease.release()
    assert names(layout.outbox) == {".tmp"}
    step, code = 0, victim.KILLED
    while code == victim.KILLED:
        copy = Layout(tmp_path / f"step-{step}")
        shutil.copytree(layout.data_dir, copy.data_dir)
        code = victim.run(victim.hand_over, copy.data_dir, step, frozenset({2}))
        balanced(copy)
        assert victim.run(victim.hand_over, copy.data_dir, None, frozenset({2})) == 0
        assert in_outbox(copy) == ["a"]
        assert balanced(copy).quarantined == 1
        assert names(copy.outbox) == {".batch"}
        step += 1


def test_a_hand_over_that_finds_no_room_has_not_happened(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segment stays as it was and is handed over later; nothing of the batch is left meanwhile."""
    lease = leased(layout)
    items = [clean(entry) for _, entry in lease.entries() if not isinstance(entry, Broken)]

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError):
            lease.commit(items)
    lease.release()
    assert list(layout.outbox.iterdir()) == []
    assert balanced(layout).raw == 2
    worked_off(layout)
    assert sorted(in_outbox(layout)) == ["a", "b"]


def test_results_may_be_handed_over_in_several_batches(layout: Layout) -> None:
    """Written one by one, seen by the store together."""
    lease = leased(layout)
    for index, entry in lease.entries():
        assert not isinstance(entry, Broken)
        lease.attempt(index)
        lease.draft([clean(entry)])
        assert in_outbox(layout) == []
    lease.commit([])
    assert sorted(in_outbox(layout)) == ["a", "b"]
    assert sorted(path.stem.rpartition("-")[2] for path in layout.outbox.iterdir()) == ["0", "1", "1"]
    assert balanced(layout).outbox == 2


def test_what_was_drafted_goes_with_a_lease_that_ends_early(layout: Layout) -> None:
    """Else it would take the room that it waits for."""
    lease = leased(layout)
    lease.draft([clean(entry) for _, entry in lease.entries() if not isinstance(entry, Broken)])
    assert names(layout.outbox) == {".tmp"}
    lease.release()
    assert list(layout.outbox.iterdir()) == []
    assert balanced(layout).raw == 2
    worked_off(layout)
    assert sorted(in_outbox(layout)) == ["a", "b"]


def test_a_spent_segment_is_spent_on_the_disk_before_its_batch_is_seen(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut would else bring it back beside a batch that the store has: its calls twice."""
    done: list[str] = []
    rename, fsync, journal = Path.rename, os.fsync, folder(layout).stat().st_ino

    def renamed(self: Path, target: Path) -> Path:
        done.append(Path(target).suffix)
        return rename(self, target)

    def synced(handle: int) -> None:
        if os.fstat(handle).st_ino == journal:
            done.append("synced")
        fsync(handle)

    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    worked_off(layout)
    assert done[:3] == [".spent", "synced", ".batch"]


# -- quarantine ------------------------------------------------------------------------------------------------------


def test_an_entry_that_crashed_its_process_three_times_is_put_aside_on_the_fourth(layout: Layout) -> None:
    """It stops nobody else; its sealed bytes open with the key, and it is counted."""
    assert [victim.run(victim.crash_on, layout.data_dir, 2) for _ in range(4)] == [victim.KILLED] * 3 + [0]
    assert in_outbox(layout) == ["a"]
    assert quarantined_ids(layout) == ["b"]
    ledger = balanced(layout)
    assert (ledger.outbox, ledger.quarantined, ledger.raw) == (1, 1, 0)


def test_crashes_are_told_apart_by_entry(layout: Layout) -> None:
    """Two crashes by one entry and two by another put neither aside."""
    for poison in (0, 0, 2, 2):
        assert victim.run(victim.crash_on, layout.data_dir, poison) == victim.KILLED
    lease = leased(layout)
    assert [lease.attempt(index) for index, _ in lease.entries()] == [3, 1, 3]
    lease.release()


@pytest.mark.parametrize("failpoint", ["segment.redacted", "segment.drafted"])
def test_a_process_killed_while_handing_over_is_no_entrys_fault(layout: Layout, failpoint: str) -> None:
    """However often it is killed there, nothing is put aside."""
    for _ in range(4):
        assert victim.run(victim.hand_over_until, layout.data_dir, failpoint) == victim.KILLED
    assert victim.run(victim.hand_over, layout.data_dir, None) == 0
    assert sorted(in_outbox(layout)) == ["a", "b"]
    assert balanced(layout).quarantined == 0


def test_a_process_killed_while_writing_results_down_is_no_entrys_fault(layout: Layout, tmp_path: Path) -> None:
    """At whatever step it is killed, and however often it is killed there."""
    step, code = 0, victim.KILLED
    while code == victim.KILLED:
        copy = Layout(tmp_path / f"step-{step}")
        shutil.copytree(layout.data_dir, copy.data_dir)
        for _ in range(4):
            code = victim.run(victim.hand_over, copy.data_dir, step, frozenset(), 1)
        assert victim.run(victim.hand_over, copy.data_dir, None, frozenset(), 1) == 0
        assert sorted(in_outbox(copy)) == ["a", "b"]
        assert balanced(copy).quarantined == 0
        step += 1


def test_a_disk_without_room_is_no_entrys_fault(layout: Layout) -> None:
    """A run that was given up is not counted as a crash, however often it happens."""
    for _ in range(5):
        lease = leased(layout)
        assert [lease.attempt(index) for index, _ in lease.entries()] == [1, 1, 1]
        lease.forgive()
        lease.release()


def test_forgiving_a_run_keeps_the_crashes_before_it(layout: Layout) -> None:
    """A full disk between two crashes does not let a poisoned entry off."""
    assert victim.run(victim.crash_on, layout.data_dir, 2) == victim.KILLED
    lease = leased(layout)
    lease.attempt(0)
    lease.forgive()
    lease.release()
    lease = leased(layout)
    assert lease.attempt(2) == 2
    lease.release()


def test_a_journal_without_a_byte_left_is_worked_off(tmp_path: Path) -> None:
    """That makes the room; attempts are not counted meanwhile."""
    layout = Layout(tmp_path / "data")
    try:
        with small_disk(layout.journal, 2):
            filled(layout, whole("a"), whole("b"))
            leave_free(layout.journal / "ballast", 0)
            lease = leased(layout)
            assert [lease.attempt(index) for index in (0, 0, 1)] == [1, 1, 1]
            lease.release()
            lease = leased(layout)
            assert not lease.crashed
            lease.commit([clean(entry) for _, entry in lease.entries() if not isinstance(entry, Broken)])
            assert in_outbox(layout) == ["a", "b"]
            assert names(folder(layout)) == {"counters"}
    except NotMounted as reason:
        pytest.skip(str(reason))


def test_a_frame_that_does_not_open_is_put_aside_as_it_is(layout: Layout) -> None:
    """The others are handed over; the damaged bytes are kept and counted."""
    (path,) = folder(layout).glob("*.seg")
    sealed = bytearray(path.read_bytes())
    sealed[-1] ^= 1
    path.write_bytes(sealed)
    worked_off(layout)
    assert in_outbox(layout) == ["a"]
    assert balanced(layout).quarantined == 1


@pytest.mark.parametrize("struck", range(5))
def test_of_a_damaged_segment_every_other_call_opens(layout: Layout, struck: int) -> None:
    """A bit flipped in one frame is that frame's damage alone."""
    worked_off(layout)
    filled(layout, *[whole(call_id) for call_id in "abcde"])
    (path,) = folder(layout).glob("*.seg")
    data = bytearray(path.read_bytes())
    ends = list(itertools.accumulate([len(frame.raw) for frame in frames(bytes(data))], initial=HEADER_BYTES))
    data[ends[struck] + 20] ^= 1
    path.write_bytes(data)
    lease = leased(layout)
    entries = dict(lease.entries())
    lease.release()
    opened = [entry_id(entry) for entry in entries.values() if not isinstance(entry, Broken)]
    assert opened == [call_id for index, call_id in enumerate("abcde") if index != struck]
    # Damage at the very end is not told from a tail that never came.
    assert [index for index, entry in entries.items() if isinstance(entry, Broken)] == [struck] * (struck < 4)
    worked_off(layout)
    assert in_outbox(layout)[2:] == opened
    assert balanced(layout).quarantined == 1


def test_what_a_run_that_was_killed_put_aside_is_not_counted_once_it_is_worked_off(
    layout: Layout, tmp_path: Path
) -> None:
    """A call is in one place, even when the next redactor judges it otherwise."""
    step, code = 0, victim.KILLED
    while code == victim.KILLED:
        copy = Layout(tmp_path / f"step-{step}")
        shutil.copytree(layout.data_dir, copy.data_dir)
        code = victim.run(victim.hand_over, copy.data_dir, step, frozenset({2}))
        aside = balanced(copy).quarantined
        worked_off(copy)
        assert sorted(in_outbox(copy) + quarantined_ids(copy)) == ["a", "b"]
        assert balanced(copy).quarantined in (aside, 0)
        step += 1


@pytest.mark.parametrize("content", [b"", b"garbage", os.urandom(300)])
def test_a_segment_of_which_nothing_opens_is_counted_by_its_name(layout: Layout, content: bytes) -> None:
    """Every call that its name promises is quarantined; what was found is kept."""
    (path,) = folder(layout).glob("*.seg")
    path.write_bytes(content)
    worked_off(layout)
    assert in_outbox(layout) == []
    assert [path.read_bytes() for path in layout.quarantine.glob("*.sealed")] == [content]
    ledger = balanced(layout)
    assert (ledger.quarantined, ledger.raw) == (2, 0)


def put_aside(layout: Layout) -> Path:
    """The sealed file of one quarantined call."""
    lease = leased(layout)
    lease.quarantine(2)
    lease.commit([clean(entry) for _, entry in lease.entries() if isinstance(entry, Whole) and entry.call.id == "a"])
    (path,) = layout.quarantine.glob("*.sealed")
    return path


def test_what_an_earlier_run_put_aside_is_not_counted_beside_what_the_last_one_did(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first was killed before the segment was handed over; the second puts more aside."""

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    lease = leased(layout)
    lease.quarantine(2)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            lease.commit([clean(whole("a"))])
    lease.release()
    assert balanced(layout).raw == 2
    lease = leased(layout)
    lease.quarantine(0)
    lease.quarantine(2)
    lease.commit([])
    assert sorted(quarantined_ids(layout)) == ["a", "b"]
    assert balanced(layout).quarantined == 2


def test_a_disk_that_takes_little_at_a_time_gets_all_of_what_is_put_aside(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write may be short without being an error, as on a disk that is nearly full."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:60]))
    put_aside(layout)
    assert quarantined_ids(layout) == ["b"]


def test_quarantined_text_is_gone_after_seven_days_and_its_count_stays(layout: Layout) -> None:
    """The file is emptied, not forgotten."""
    path = put_aside(layout)
    assert quarantined_ids(layout) == ["b"]
    os.utime(path, (time.time() - WEEK_S - 60,) * 2)
    assert Segments(layout, KEY).lease() is None
    (purged,) = layout.quarantine.iterdir()
    assert purged.stat().st_size == 0
    assert purged.suffix == ".purged"
    assert balanced(layout).quarantined == 1


def test_quarantined_text_stays_for_seven_days(layout: Layout) -> None:
    """Somebody may want to look why."""
    path = put_aside(layout)
    os.utime(path, (time.time() - WEEK_S + 60,) * 2)
    assert Segments(layout, KEY).lease() is None
    assert quarantined_ids(layout) == ["b"]


def test_batches_put_aside_go_after_seven_days(layout: Layout) -> None:
    """A damaged batch of the outbox is clean text; it is kept no longer."""
    old, young = layout.quarantine / "old-1.batch", layout.quarantine / "young-1.batch"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (time.time() - WEEK_S - 60,) * 2)
    assert leased(layout)
    assert [path.name for path in layout.quarantine.iterdir()] == ["young-1.batch"]


def test_a_segment_put_aside_whole_is_sealed(layout: Layout) -> None:
    """No byte of a call's text is in the quarantine."""
    secret = b"PLANTED-" + os.urandom(12).hex().encode()
    filled(layout, whole("s", body=secret, answer=secret))
    segments = Segments(layout, KEY)
    while (lease := segments.lease()) is not None:
        for index, _ in lease.entries():
            lease.quarantine(index)
        lease.commit([])
    assert sorted(quarantined_ids(layout)) == ["a", "b", "n", "s"]
    assert [path for path in layout.data_dir.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


def test_names_of_batches_differ_after_the_counters_were_lost(layout: Layout) -> None:
    """Numbers begin again, batches do not: the store would take the second for a repeat of the first."""
    worked_off(layout)
    (folder(layout) / COUNTERS).unlink()
    filled(layout, whole("a"), whole("b"))
    worked_off(layout)
    assert len({path.name for path in layout.outbox.iterdir()}) == 2
    assert in_outbox(layout) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("counters", [None, b"garbage"])
def test_a_kill_at_any_step_of_the_hand_over_loses_nothing_when_the_counters_are_lost_too(
    layout: Layout, tmp_path: Path, counters: bytes | None
) -> None:
    """The draft was written under the name of the life before; nor does an older one come beside it."""
    step, code = 0, victim.KILLED
    while code == victim.KILLED:
        copy = Layout(tmp_path / f"step-{step}")
        shutil.copytree(layout.data_dir, copy.data_dir)
        code = victim.run(victim.hand_over, copy.data_dir, step)
        (folder(copy) / COUNTERS).unlink()
        if counters is not None:
            (folder(copy) / COUNTERS).write_bytes(counters)
        worked_off(copy)
        restarted(copy)
        worked_off(copy)
        assert sorted(in_outbox(copy)) == ["a", "b"]
        assert names(copy.outbox) == {".batch"}
        step += 1
    assert step > 3


def test_a_restart_while_a_segment_is_held_disturbs_nobody(layout: Layout) -> None:
    """The holder hands over what it has."""
    lease = leased(layout)
    items = [clean(entry) for _, entry in lease.entries() if not isinstance(entry, Broken)]
    restarted(layout)
    assert ids_in(folder(layout), "*.seg") == ["a", "b"]
    lease.commit(items)
    assert sorted(in_outbox(layout)) == ["a", "b"]
    assert balanced(layout).outbox == 2
