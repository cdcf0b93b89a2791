"""The writing side: what ``True`` means, in which order, in which files, and what is shed when there is no room."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
import structlog

from gateway import metrics
from gateway.counters import Counters
from gateway.errors import JournalError
from gateway.installkey import InstallKey
from gateway.journal import Journal, Segments
from gateway.journal import journal as journal_module
from gateway.journal.files import COUNTERS, Appender
from gateway.journal.seal import HEADER_BYTES
from gateway.paths import Layout
from gateway.raw import Capture, Ended
from tests.journal import victim
from tests.journal.makers import (
    KEY,
    SERVE,
    balanced,
    call,
    calls_in,
    eventually,
    ids_in,
    in_outbox,
    names,
    note,
    opened,
    part,
    recorded,
    restarted,
    whole,
    worked_off,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data directory."""
    layout = Layout(tmp_path / "data")
    layout.create()
    return layout


def folder(layout: Layout) -> Path:
    """The journal's own folder."""
    return layout.journal / SERVE


def counted(layout: Layout) -> tuple[int, int, int]:
    """Accepted, shed, and calls in closed segments, from the file."""
    counters = Counters.open(folder(layout) / COUNTERS)
    try:
        return counters.reading()
    finally:
        counters.close()


# -- durable means on disk -------------------------------------------------------------------------------------------


async def test_true_means_that_another_process_reads_it_back(layout: Layout) -> None:
    """The entry is in the file once its future is true, long before the segment is closed."""
    journal = await opened(layout)
    assert await recorded(journal, whole("a"), note("n"), whole("b")) == [True, True, True]
    (path,) = folder(layout).glob("*.open")
    reading, told = victim.pipe()
    assert await asyncio.to_thread(victim.run, victim.read_ids, path, told) == 0
    assert reading.recv() == ["a", "n", "b"]
    await journal.close()


async def test_the_future_waits_for_the_disk(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the disk has answered it is not true; an end is let go unsynced, and the entry is kept all the same."""
    journal = await opened(layout)
    assert await recorded(journal, whole("first")) == [True]
    answer, reached, real = threading.Event(), threading.Event(), os.fdatasync

    def slow(handle: int) -> None:
        reached.set()
        answer.wait()
        real(handle)

    monkeypatch.setattr(os, "fdatasync", slow)
    before = metrics.unsynced._value.get()
    journal.accept()
    future = journal.put(whole("second"))
    await eventually(reached.is_set, "the disk asked")
    assert not future.done()
    assert await future is False
    assert metrics.unsynced._value.get() == before + 1
    answer.set()
    await journal.close()
    assert ids_in(folder(layout), "*.seg") == ["first", "second"]
    assert counted(layout) == (2, 0, 2)


async def test_relaxed_answers_at_once_and_writes_soon(layout: Layout) -> None:
    """Without waiting for the disk; the entry reaches it by itself."""
    journal = await opened(layout, strict=False)
    journal.accept()
    future = journal.put(whole("a"))
    assert future.done()
    assert future.result() is True
    await eventually(lambda: ids_in(folder(layout), "*.open") == ["a"], "the entry on disk")
    await journal.close()
    assert counted(layout) == (1, 0, 1)


async def test_relaxed_does_not_wait_for_anything_to_follow(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an idle journal rests: what was answered is on the disk within the promised 50 ms."""
    monkeypatch.setattr(journal_module, "IDLE_S", 3600.0)
    journal = await opened(layout, strict=False)
    await recorded(journal, whole("a"))
    await eventually(lambda: ids_in(folder(layout), "*.open") == ["a"], "the entry on disk")
    await journal.close()
    assert journal_module.RELAXED_S < 0.05


def test_an_end_waits_half_a_second_at_the_most() -> None:
    """As promised: the limit, and how long after it a look at it may come."""
    assert journal_module.UNSYNCED_AFTER_S + journal_module.SWEEP_S <= 0.5


async def test_the_live_log_is_written_though_commits_follow_without_a_break(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk under load there is always something to commit; a call that hangs is kept all the same."""
    monkeypatch.setattr(journal_module, "LIVE_S", 0.0)
    loop, real = asyncio.get_running_loop(), os.fdatasync
    journal = await opened(layout)
    commits, written = 0, []

    def slow(handle: int) -> None:
        nonlocal commits
        real(handle)
        if os.readlink(f"/proc/self/fd/{handle}").endswith(".open") and not written and commits < 200:
            commits += 1
            written[:] = list(folder(layout).glob("*.live"))
            put = asyncio.run_coroutine_threadsafe(follow(f"after-{commits}"), loop)
            put.result()

    async def follow(call_id: str) -> None:
        journal.accept()
        journal.put(whole(call_id))

    monkeypatch.setattr(os, "fdatasync", slow)
    journal.accept()
    journal.opened(call("slow"))
    assert await recorded(journal, whole("first")) == [True]
    await eventually(lambda: written or commits == 200, "an end")
    assert written
    await journal.close()


async def test_a_group_commit_keeps_the_order(layout: Layout) -> None:
    """What was put first stands first, within a commit and from one to the next."""
    journal = await opened(layout)
    sent = [f"{number:04}" for number in range(300)]
    for start in range(0, 300, 50):
        assert all(await recorded(journal, *[whole(one) for one in sent[start : start + 50]]))
    await journal.close()
    assert ids_in(folder(layout), "*.seg") == sent


# -- rotation --------------------------------------------------------------------------------------------------------


async def test_a_segment_is_closed_by_age_even_when_nothing_follows(layout: Layout) -> None:
    """A redactor can have it although no further call comes."""
    journal = await opened(layout, rotate_after=0.01)
    await recorded(journal, whole("a"))
    await eventually(lambda: ids_in(folder(layout), "*.seg") == ["a"], "a closed segment")
    assert list(folder(layout).glob("*.open")) == []
    await journal.close()


async def test_a_segment_is_closed_by_size(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """By that of what is in it, however well it was packed."""
    monkeypatch.setattr(journal_module, "ROTATE_BYTES", 20_000)
    journal = await opened(layout)
    for number in range(4):
        await recorded(journal, whole(str(number), body=b" " * 15_000))
    await journal.close()
    sizes = [len(calls_in(folder(layout), path.name)) for path in sorted(folder(layout).glob("*.seg"))]
    assert sizes == [2, 2]


async def test_a_segment_is_closed_by_the_number_of_its_calls(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name says how many; notes are not calls."""
    monkeypatch.setattr(journal_module, "ROTATE_CALLS", 3)
    journal = await opened(layout)
    for number in range(7):
        await recorded(journal, whole(str(number)), note(f"n{number}"))
    await journal.close()
    assert sorted(path.stem.split("-")[1] for path in folder(layout).glob("*.seg")) == ["1", "3", "3"]
    assert counted(layout) == (7, 0, 7)


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_closing_leaves_closed_segments_and_exact_counters(layout: Layout) -> None:
    """What was put and not awaited is written too; no open file and no live log is left."""
    journal = await opened(layout)
    journal.opened(call("slow"))
    for number in range(20):
        journal.accept()
        journal.put(whole(f"{number}"))
    journal.accept()
    journal.put(whole("slow"))
    await journal.close()
    assert names(folder(layout)) == {".seg", "counters"}
    assert ids_in(folder(layout), "*.seg") == [*map(str, range(20)), "slow"]
    assert counted(layout) == (21, 0, 21)
    assert balanced(layout).raw == 21


async def test_what_is_put_after_closing_is_shed_and_counted(layout: Layout) -> None:
    """Too late is not lost silently: neither while it closes nor afterwards."""
    journal = await opened(layout)
    journal.accept()
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    assert await journal.put(whole("while")) is False
    await closing
    journal.accept()
    assert await journal.put(whole("after")) is False
    assert counted(layout) == (2, 2, 0)
    assert balanced(layout).shed == 2


async def test_a_second_life_goes_on_counting(layout: Layout) -> None:
    """Numbers of segments are not used again and counters go on, after a clean stop."""
    for life in ("one", "two"):
        journal = await opened(layout)
        await recorded(journal, whole(life))
        await journal.close()
    assert ids_in(folder(layout), "*.seg") == ["one", "two"]
    assert counted(layout) == (2, 0, 2)


# -- live log --------------------------------------------------------------------------------------------------------


async def test_a_call_put_in_the_same_breath_as_it_was_opened_does_not_come_back(layout: Layout) -> None:
    """Opened and whole may wait for the same turn of the writing thread; then the live log must not keep it."""
    journal = await opened(layout)
    journal.accept()
    journal.opened(call("a"))
    await journal.put(whole("a"))
    await journal.close()
    assert names(folder(layout)) == {".seg", "counters"}
    await asyncio.to_thread(restarted, layout)
    assert ids_in(folder(layout), "*.seg") == ["a"]
    assert balanced(layout).accepted == 1


# -- no room ---------------------------------------------------------------------------------------------------------


async def test_a_full_journal_sheds_and_counts_and_takes_again_when_there_is_room(layout: Layout) -> None:
    """Over ``max_bytes`` nothing is written; what is shed is counted to the call; redactors make room."""
    journal = await opened(layout, max_bytes=50_000, rotate_after=0.01)
    assert await recorded(journal, whole("kept", body=os.urandom(60_000))) == [True]
    await eventually(lambda: journal.full, "full")
    assert await recorded(journal, whole("gone"), whole("gone too"), note("n")) == [False, False, False]
    assert counted(layout)[:2] == (3, 2)
    await eventually(lambda: list(folder(layout).glob("*.seg")) != [], "a closed segment")
    lease = Segments(layout, KEY).lease()
    assert lease is not None
    lease.quarantine(0)
    lease.commit([])
    await eventually(lambda: not journal.full, "room again")
    assert await recorded(journal, whole("again")) == [True]
    await journal.close()
    assert ids_in(folder(layout), "*.seg") == ["again"]
    assert balanced(layout).shed == 2


async def test_what_waits_for_a_slow_disk_is_bounded_in_bytes(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound calls are shed and counted; what was written makes room again."""
    journal = await opened(layout)
    assert await recorded(journal, whole("first")) == [True]
    monkeypatch.setattr(journal_module, "QUEUE_BYTES", 100_000)
    answer, real = threading.Event(), os.fdatasync

    def slow(handle: int) -> None:
        answer.wait()
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", slow)
        futures = []
        for number in range(4):
            journal.accept()
            futures.append(journal.put(whole(str(number), body=os.urandom(60_000))))
        assert [future.done() and not future.result() for future in futures] == [False, False, True, True]
        answer.set()
        await asyncio.gather(*futures)
    await eventually(lambda: not journal.full, "room")
    assert await recorded(journal, whole("last")) == [True]
    await journal.close()
    assert ids_in(folder(layout), "*.seg") == ["first", "0", "1", "last"]
    assert counted(layout) == (6, 2, 4)


async def test_large_entries_are_sealed_a_few_at_a_time(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait: their copies in the making are bounded. Order and durability are as ever."""
    monkeypatch.setattr(journal_module, "COMMIT_BYTES", 100_000)
    sizes, real = [], Appender.append

    def append(appender: Appender, entries: Sequence[tuple[int, bytes]]) -> list[int]:
        sizes.append(sum(len(plain) for _, plain in entries))
        return real(appender, entries)

    monkeypatch.setattr(Appender, "append", append)
    journal = await opened(layout)
    sent = [f"{number:02}" for number in range(20)]
    assert all(await recorded(journal, *[whole(one, body=os.urandom(60_000)) for one in sent]))
    await journal.close()
    assert ids_in(folder(layout), "*.seg") == sent
    assert max(sizes) < 200_000


async def test_parts_wait_while_many_wait_already(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live log is told of no more until it has written what it has."""
    monkeypatch.setattr(journal_module, "LIVE_BYTES", 1_000)
    journal = await opened(layout)
    answer, real = threading.Event(), os.fdatasync

    def slow(handle: int) -> None:
        answer.wait()
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", slow)
        journal.opened(call("a"))
        assert not journal.busy
        journal.part(part("a", bytes(1_001)))
        assert journal.busy
        answer.set()
        await eventually(lambda: not journal.busy, "parts written")
    await journal.close()


async def test_a_call_that_is_shed_does_not_come_back_as_killed(layout: Layout) -> None:
    """It was in the live log and is counted as shed: the next start must not count it again."""
    journal = await opened(layout, max_bytes=50_000)
    journal.accept()
    journal.opened(call("slow"))
    await eventually(lambda: list(folder(layout).glob("*.live")) != [], "the live log")
    await recorded(journal, whole("big", body=os.urandom(60_000)))
    await eventually(lambda: journal.full, "full")
    assert await journal.put(whole("slow")) is False
    await journal.close()
    await asyncio.to_thread(restarted, layout)
    assert ids_in(folder(layout), "*.seg") == ["big"]
    assert balanced(layout).shed == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Layout]:
    """A data directory on a disk of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a small file system can be mounted by root alone")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("this root may not mount a file system")
    layout = Layout(place / "data")
    layout.create()
    yield layout
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def stuff(layout: Layout) -> Path:
    """Take every byte that is left."""
    path = layout.run / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096):
            try:
                while file.write(bytes(size)) == size:
                    continue
            except OSError:
                continue
    return path


async def test_a_full_disk_sheds_exactly_and_recording_goes_on_after_room_is_made(small_disk: Layout) -> None:
    """Futures are false, the calls are counted, no torn frame stays, and the law holds at every step."""
    layout = small_disk
    journal = await opened(layout)
    assert await recorded(journal, whole("before")) == [True]
    ballast = stuff(layout)
    big = [whole(f"gone {number}", body=os.urandom(9_000)) for number in range(10)]
    assert [(await recorded(journal, one))[0] for one in big] == [False] * 10
    assert counted(layout)[:2] == (11, 10)
    assert balanced(layout).raw == 1
    assert not journal.writable
    ballast.unlink()
    assert await recorded(journal, whole("after")) == [True]
    assert journal.writable
    await journal.close()
    (path,) = folder(layout).glob("*.seg")
    assert ids_in(folder(layout), "*.seg") == ["before", "after"]
    assert path.stat().st_size < 2_000
    assert counted(layout) == (12, 10, 2)
    assert balanced(layout).shed == 10


async def test_a_disk_that_fails_is_told_once_until_a_write_goes_well(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with every commit: the log may lie on the same disk."""
    journal = await opened(layout)
    with structlog.testing.capture_logs() as logs:
        for turn in ("first", "second"):
            with monkeypatch.context() as patched:
                patched.setattr(os, "fdatasync", mock.Mock(side_effect=OSError(28, "No space left on device")))
                refused = [await recorded(journal, whole(f"{turn} {number}")) for number in range(3)]
            assert refused == [[False]] * 3
            assert await recorded(journal, whole(f"{turn} kept")) == [True]
    await journal.close()
    assert [log["event"] for log in logs] == ["journal write failed"] * 2


async def test_a_disk_that_is_almost_full_has_no_room_for_a_call_that_begins_now(small_disk: Layout) -> None:
    """Seen before any write fails; what is under way is still written, if it can be."""
    journal = await opened(small_disk)
    assert journal.room
    ballast = stuff(small_disk)
    await eventually(lambda: not journal.room, "no room")
    assert journal.writable
    ballast.unlink()
    await eventually(lambda: journal.room, "room again")
    await journal.close()


async def test_a_disk_full_from_the_start_of_a_segment_leaves_no_empty_file(small_disk: Layout) -> None:
    """Not even the header fits: nothing is left, every call is counted, and the next one opens a segment."""
    layout = small_disk
    journal = await opened(layout)
    ballast = stuff(layout)
    assert await recorded(journal, whole("a"), whole("b")) == [False, False]
    assert list(folder(layout).glob("*.open")) == []
    ballast.unlink()
    assert await recorded(journal, whole("c")) == [True]
    await journal.close()
    assert ids_in(folder(layout), "*.seg") == ["c"]
    assert counted(layout) == (3, 2, 1)


async def test_a_call_shed_by_a_full_disk_does_not_come_back_as_killed(small_disk: Layout) -> None:
    """The live log still holds its beginning; the start after a crash must not count it a second time."""
    layout = small_disk
    journal = await opened(layout)
    journal.accept()
    journal.accept()
    journal.opened(call("slow"))
    journal.opened(call("slower"))
    journal.part(part("slow", b"so far"))
    await eventually(lambda: any(path.stat().st_size > 300 for path in folder(layout).glob("*.live")), "the live log")
    ballast = stuff(layout)
    assert await journal.put(whole("slow", body=os.urandom(9_000))) is False
    ballast.unlink()
    assert await recorded(journal, whole("next")) == [True]
    await journal.close()
    await asyncio.to_thread(restarted, layout)
    assert ids_in(folder(layout), "*.seg") == ["next", "slower"]
    assert balanced(layout).shed == 1


def no_room(monkeypatch: pytest.MonkeyPatch, suffix: str, times: int = 1_000_000) -> list[str]:
    """Refuse so many writes to files of a kind; answers what was refused."""
    real, refused = os.fdatasync, []

    def full(handle: int) -> None:
        name = os.readlink(f"/proc/self/fd/{handle}")
        if name.endswith(suffix) and len(refused) < times:
            refused.append(name)
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fdatasync", full)
    return refused


def killed_now(layout: Layout) -> Layout:
    """What a kill at this moment would leave, in a place of its own."""
    after = Layout(layout.data_dir.with_name("after"))
    shutil.copytree(layout.data_dir, after.data_dir)
    return after


async def two_calls_open(layout: Layout) -> Journal:
    """A journal whose live log holds two calls."""
    journal = await opened(layout)
    for call_id in ("x", "y"):
        journal.accept()
        journal.opened(call(call_id))
        journal.part(part(call_id, b"so far"))
    await eventually(lambda: live_bytes(layout) > 0, "the live log")
    for _ in range(2):
        await recorded(journal, note("n"))
    return journal


def live_bytes(layout: Layout) -> int:
    """Bytes in live logs beside their headers."""
    return sum(path.stat().st_size - HEADER_BYTES for path in folder(layout).glob("*.live"))


async def test_a_call_that_could_not_be_marked_as_shed_is_kept_as_killed(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the disk is still full, the live log has it: it is counted there, not as shed too."""
    journal = await two_calls_open(layout)
    before = live_bytes(layout)
    with monkeypatch.context() as patched:
        refused = no_room(patched, "")
        assert await journal.put(whole("x")) is False
        await eventually(lambda: len(refused) > 1 and live_bytes(layout) == before, "the mark refused and cut off")
        assert counted(layout) == (2, 0, 0)
        after = killed_now(layout)
    await asyncio.to_thread(restarted, after)
    assert sorted(ids_in(folder(after), "*.seg")) == ["x", "y"]
    assert (balanced(after).raw, balanced(after).shed, balanced(after).accepted) == (2, 0, 2)
    await journal.close()
    await asyncio.to_thread(restarted, layout)
    assert ids_in(folder(layout), "*.seg") == ["y"]
    assert (balanced(layout).raw, balanced(layout).shed, balanced(layout).accepted) == (1, 1, 2)


@pytest.mark.parametrize(("times", "kept"), [(1, ["x", "y"]), (1_000_000, ["x"])])
async def test_a_whole_call_never_comes_back_when_its_mark_found_no_room(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, times: int, kept: list[str]
) -> None:
    """It is marked before its segment is closed; when that cannot be, the live log is given up, and who was in it."""
    journal = await two_calls_open(layout)
    monkeypatch.setattr(journal_module, "ROTATE_CALLS", 1)
    with monkeypatch.context() as patched:
        refused = no_room(patched, ".live", times)
        assert await journal.put(whole("x")) is True
        await eventually(lambda: list(folder(layout).glob("*.seg")) != [], "a closed segment")
        assert refused
    await asyncio.to_thread(worked_off, layout)
    after = killed_now(layout)
    await journal.close()
    await asyncio.to_thread(restarted, after)
    await asyncio.to_thread(worked_off, after)
    assert in_outbox(after) == kept
    ledger = balanced(after)
    assert (ledger.accepted, ledger.outbox, ledger.shed) == (2, len(kept), 2 - len(kept))


async def test_a_beginning_that_found_no_room_is_written_once_there_is(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose first moments fell on a full disk is kept from then on; what is missing of its answer shows."""
    monkeypatch.setattr(journal_module, "IDLE_S", 0.01)
    journal = await opened(layout)
    with monkeypatch.context() as patched:
        refused = no_room(patched, ".live")
        journal.accept()
        journal.opened(call("x", body=b"what was asked"))
        journal.part(part("x", b"do ", at=0))
        await eventually(lambda: refused != [], "the beginning refused")
    await eventually(lambda: live_bytes(layout) > 0, "the beginning written")
    before = live_bytes(layout)
    journal.part(part("x", b"not pay", at=3))
    await eventually(lambda: live_bytes(layout) > before, "the part written")
    after = killed_now(layout)
    await journal.close()
    await asyncio.to_thread(restarted, after)
    [kept] = calls_in(folder(after), "*.seg")
    assert (kept.call.body, kept.reply.ended, kept.reply.head) == (b"what was asked", Ended.KILLED, b"")
    assert (kept.reply.size, kept.reply.capture) == (10, Capture.TRUNCATED)


async def ended_before_its_beginning(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A journal with a call that is whole, and an open one, whose beginnings had found no room; now there is room."""
    monkeypatch.setattr(journal_module, "IDLE_S", 60)  # till the one has ended, neither is tried again
    journal = await opened(layout)
    with monkeypatch.context() as patched:
        refused = no_room(patched, ".live")
        for _ in range(2):
            journal.accept()
        journal.opened(call("x"))
        journal.opened(call("y"))
        await eventually(lambda: refused != [], "the beginnings refused")
        assert await journal.put(whole("x")) is True
    monkeypatch.setattr(journal_module, "IDLE_S", 0.01)
    journal.part(part("y", b"so far"))
    await eventually(lambda: live_bytes(layout) > 0, "the other's beginning written")
    return journal


async def test_a_call_that_ends_before_its_beginning_found_room_does_not_come_back(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands whole in the journal, and only there."""
    journal = await ended_before_its_beginning(layout, monkeypatch)
    after = killed_now(layout)
    await journal.close()
    await asyncio.to_thread(restarted, after)
    kept = {one.call.id: one.reply.ended for one in calls_in(folder(after), "*.seg")}
    assert kept == {"x": Ended.COMPLETE, "y": Ended.KILLED}
    assert balanced(after).raw == 2


async def test_nor_does_it_when_it_is_handed_over_already(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no segment tells of its end."""
    monkeypatch.setattr(journal_module, "ROTATE_CALLS", 1)
    journal = await ended_before_its_beginning(layout, monkeypatch)
    await eventually(lambda: list(folder(layout).glob("*.seg")) != [], "a closed segment")
    await asyncio.to_thread(worked_off, layout)
    after = killed_now(layout)
    await journal.close()
    await asyncio.to_thread(restarted, after)
    assert ids_in(folder(after), "*.seg") == ["y"]
    assert (balanced(after).raw, balanced(after).outbox) == (1, 1)


async def test_after_a_failed_write_it_is_writable_when_a_write_goes_well(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before, though there be room: the disk may refuse for another reason, for as long as it likes."""
    monkeypatch.setattr(journal_module, "IDLE_S", 0.01)
    journal = await opened(layout)
    told: list[bool] = []

    def refused(handle: int) -> None:
        told.append(journal.writable)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", refused)
        assert await recorded(journal, whole("a")) == [False]
        await eventually(lambda: len(told) > 5, "several tries")
        assert not any(told[1:])
        assert not journal.room
        assert not list(folder(layout).glob("[!0-9c]*")), "a try that was refused left something behind"
    await eventually(lambda: journal.room, "room")
    assert await recorded(journal, whole("b")) == [True]
    await journal.close()
    assert counted(layout) == (2, 1, 1)


async def test_a_whole_call_whose_mark_found_no_room_is_known_by_its_segment(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the record and its mark, the next start finds the call in both places and takes the record."""
    journal = await two_calls_open(layout)
    with monkeypatch.context() as patched:
        refused = no_room(patched, ".live")
        assert await journal.put(whole("x")) is True
        await eventually(lambda: refused != [], "the mark refused")
        after = killed_now(layout)
    await journal.close()
    await asyncio.to_thread(restarted, after)
    kept = {one.call.id: one.reply.ended for one in calls_in(folder(after), "*.seg")}
    assert kept == {"x": Ended.COMPLETE, "y": Ended.KILLED}
    assert sorted(ids_in(folder(after), "*.seg")) == ["x", "y"]
    assert balanced(after).raw == 2


async def cut_off(layout: Layout) -> None:
    """A stop that leaves one call in the live log."""
    journal = await opened(layout)
    journal.accept()
    journal.opened(call("slow", body=os.urandom(9_000)))
    await eventually(lambda: live_bytes(layout) > 9_000, "the live log")
    await journal.close()


async def test_a_start_on_a_full_disk_keeps_a_killed_call_in_the_place_of_its_live_log(small_disk: Layout) -> None:
    """There is no room beside it; and serving begins."""
    hearing, told = victim.pipe()
    process = victim.started(victim.leave_calls_open, small_disk.data_dir, told)
    assert await asyncio.to_thread(hearing.recv) == "ready"
    process.kill()
    await asyncio.to_thread(process.join)
    stuff(small_disk)
    journal = await opened(small_disk)
    await journal.close()
    assert sorted(ids_in(folder(small_disk), "*.seg")) == ["opened", "parts", "whole"]
    assert (balanced(small_disk).raw, balanced(small_disk).shed) == (3, 1)


async def test_a_start_without_any_room_sheds_killed_calls_and_serves(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no reason not to start: the call is counted, and later ones are kept."""
    await cut_off(layout)
    with monkeypatch.context() as patched:
        assert no_room(patched, ".open") == []
        journal = await opened(layout)
    assert await recorded(journal, whole("next")) == [True]
    await journal.close()
    assert ids_in(folder(layout), "*.seg") == ["next"]
    assert (balanced(layout).accepted, balanced(layout).shed) == (2, 1)


def not_renamed(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Have so many closings of the first segment fail for want of room in its directory."""
    real, left = Path.rename, [None] * times

    def rename(self: Path, target: Path) -> Path:
        if self.name.endswith("1.open") and left:
            left.pop()
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)


async def test_a_segment_that_cannot_be_closed_is_closed_later(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there is room, without a start and counted once: its text would grow old meanwhile."""
    monkeypatch.setattr(journal_module, "ROTATE_CALLS", 2)
    monkeypatch.setattr(journal_module, "IDLE_S", 0.01)
    not_renamed(monkeypatch, 2)
    journal = await opened(layout)
    await recorded(journal, whole("a"), whole("b"))
    await eventually(lambda: sorted(ids_in(folder(layout), "*.seg")) == ["a", "b"], "the segment closed")
    assert await recorded(journal, whole("c")) == [True]
    await journal.close()
    assert sorted(ids_in(folder(layout), "*.seg")) == ["a", "b", "c"]
    assert counted(layout) == (3, 0, 3)


async def test_no_batch_gets_the_name_of_another(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """However late a segment is closed, its number is not given out again: the store would take one for a repeat."""
    monkeypatch.setattr(journal_module, "ROTATE_CALLS", 1)
    names_given: list[str] = []

    def handed_over() -> None:
        worked_off(layout)
        for batch in layout.outbox.glob("*.batch"):
            names_given.append(batch.stem)
            batch.unlink()

    with monkeypatch.context() as patched:
        not_renamed(patched, 1_000_000)
        journal = await opened(layout)
        for call_id in "abc":
            await recorded(journal, whole(call_id))
        await asyncio.to_thread(handed_over)
        await journal.close()
    await (await opened(layout)).close()  # a start that closes the late one, and has no call of its own
    await asyncio.to_thread(handed_over)
    for call_id in "de":
        journal = await opened(layout)
        await asyncio.to_thread(handed_over)
        await recorded(journal, whole(call_id))
        await journal.close()
        await asyncio.to_thread(handed_over)
    assert len(set(names_given)) == len(names_given) == 5


async def test_a_segment_that_cannot_be_renamed_is_closed_by_the_next_start(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted once, although later segments were closed in between."""
    real = Path.rename
    monkeypatch.setattr(journal_module, "ROTATE_CALLS", 2)
    not_renamed(monkeypatch, 1_000_000)
    journal = await opened(layout)
    for number in range(2):
        await recorded(journal, whole(f"{number}a"), whole(f"{number}b"))
    await journal.close()
    assert balanced(layout).raw == 4
    monkeypatch.setattr(Path, "rename", real)
    await asyncio.to_thread(restarted, layout)
    assert sorted(ids_in(folder(layout), "*.seg")) == ["0a", "0b", "1a", "1b"]
    assert counted(layout) == (4, 0, 4)


# -- planted bytes ---------------------------------------------------------------------------------------------------


async def test_no_text_of_a_call_is_in_any_file(layout: Layout, secret: bytes) -> None:
    """Neither in an open segment nor in the live log, nor after a start has made records of what was left."""
    journal = await opened(layout)
    await recorded(journal, whole("a", body=secret, answer=secret))
    journal.accept()
    journal.opened(call("b", body=secret))
    journal.part(part("b", secret))
    await eventually(lambda: any(path.stat().st_size > 300 for path in folder(layout).glob("*.live")), "the live log")
    assert_nowhere(layout, secret)
    await journal.close()
    await asyncio.to_thread(restarted, layout)
    kept = calls_in(folder(layout), "*.seg")
    assert [(one.call.body, one.reply.head) for one in kept] == [(secret, secret)] * 2
    assert_nowhere(layout, secret)


@pytest.fixture
def secret() -> bytes:
    """Text that is nowhere else."""
    return b"PLANTED-" + os.urandom(12).hex().encode()


def assert_nowhere(layout: Layout, secret: bytes) -> None:
    """No file holds it."""
    files = [path for path in layout.data_dir.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if secret in path.read_bytes()] == []


async def test_a_copy_of_the_directory_opens_under_no_other_key(layout: Layout) -> None:
    """A start with another key keeps serving, and what it cannot open stays sealed."""
    journal = await opened(layout)
    await recorded(journal, whole("a"))
    await journal.close()
    assert ids_in(folder(layout), "*.seg", key=InstallKey(b"x" * 32)) == []


async def test_a_folder_without_room_to_count_is_refused_and_kills_nobody(small_disk: Layout) -> None:
    """Room for the counters is taken at the opening: to count into a hole in a full disk's file would be fatal."""
    folder(small_disk).mkdir()
    stuff(small_disk)
    assert await asyncio.to_thread(victim.run, victim.count, folder(small_disk) / COUNTERS) == victim.REFUSED


async def test_a_folder_that_cannot_count_is_refused_by_name(layout: Layout) -> None:
    """The one thing an opening needs is its counters' file; the error says which it is."""
    folder(layout).mkdir()
    (folder(layout) / COUNTERS).mkdir()
    with pytest.raises(JournalError, match=COUNTERS):
        await opened(layout)
