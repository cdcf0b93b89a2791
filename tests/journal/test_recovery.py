"""After a crash: every durable call once, the calls that died as ``killed``, the rest counted, whatever lies there."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.journal import Segments, recovery
from gateway.journal.entries import size_of
from gateway.journal.files import COUNTERS, read
from gateway.journal.live import LiveLog
from gateway.journal.seal import HEADER_BYTES, frames
from gateway.paths import Layout
from gateway.raw import Capture, Ended, Opened
from gateway.wire import parse
from tests.journal import victim
from tests.journal.makers import (
    KEY,
    OTHER_KEY,
    SERVE,
    balanced,
    call,
    calls_in,
    eventually,
    filled,
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


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data directory."""
    layout = Layout(tmp_path / "data")
    layout.create()
    return layout


def folder(layout: Layout) -> Path:
    """The journal's own folder."""
    return layout.journal / SERVE


def killed_while_putting(layout: Layout, after: int, rotate_after: float) -> list[str]:
    """Ids a process had told as durable when it was killed, shortly after so many of them."""
    hearing, told = victim.pipe()
    process = victim.started(victim.put_for_ever, layout.data_dir, rotate_after, told)
    told.close()
    ids = [hearing.recv() for _ in range(after)]
    process.kill()
    process.join()
    try:
        while True:
            ids.append(hearing.recv())
    except EOFError:
        return ids


@pytest.mark.parametrize("seed", range(6))
def test_every_call_told_as_durable_survives_a_kill_once(layout: Layout, seed: int) -> None:
    """Over many kill points, with segments closed underway and live logs: all there, none twice, the books closed."""
    rng = random.Random(seed)
    told: list[str] = []
    for life in range(2):
        told += killed_while_putting(layout, rng.randrange(1, 120), rng.choice([0.005, 3600.0]))
        restarted(layout)
        found = Counter(ids_in(folder(layout), "*.seg"))
        assert [call_id for call_id in told if not found[call_id]] == []
        # The second life counts its clients' calls from the start again.
        assert max(found.values()) <= life + 1
    assert names(folder(layout)) == {".seg", "counters"}
    assert not any(one.reply.ended is Ended.KILLED for one in calls_in(folder(layout), "*.seg") if one.call.id in told)
    ledger = balanced(layout)
    assert ledger.raw == sum(found.values()) == ledger.accepted - ledger.shed


def killed_with_calls_open(layout: Layout) -> None:
    """A process dies with one call whole, one with two parts, one without, and one of which nothing is on disk."""
    hearing, told = victim.pipe()
    process = victim.started(victim.leave_calls_open, layout.data_dir, told)
    told.close()
    assert hearing.recv() == "ready"
    process.kill()
    process.join()


def assert_recovered(layout: Layout) -> None:
    """What must be there after ``killed_with_calls_open`` and a start."""
    calls = {one.call.id: one for one in calls_in(folder(layout), "*.seg")}
    assert Counter(ids_in(folder(layout), "*.seg")) == Counter(["whole", "parts", "opened"])
    assert calls["whole"].reply.ended is Ended.COMPLETE
    parts, bare = calls["parts"], calls["opened"].reply
    assert parts.call.body == b"what was asked"
    assert (parts.reply.ended, parts.reply.head, parts.reply.size) == (Ended.KILLED, b"one two", 7)
    assert (parts.reply.status, parts.reply.first_byte, parts.reply.last_byte) == (200, 1, 2)
    assert (bare.ended, bare.head, bare.status) == (Ended.KILLED, b"", 0)
    assert names(folder(layout)) == {".seg", "counters"}
    ledger = balanced(layout)
    assert (ledger.accepted, ledger.raw, ledger.shed) == (4, 3, 1)


def test_a_call_cut_by_a_kill_is_kept_with_the_parts_that_had_come(layout: Layout) -> None:
    """Request and joined parts, marked ``killed``; a call of which nothing had been written is counted as shed."""
    killed_with_calls_open(layout)
    restarted(layout)
    assert_recovered(layout)


def test_a_kill_at_any_step_of_the_recovery_changes_nothing(layout: Layout, tmp_path: Path) -> None:
    """The next start finishes what the killed one had begun: same calls, same counts."""
    killed_with_calls_open(layout)
    step, codes = 0, [victim.KILLED]
    while codes[-1] == victim.KILLED:
        copy = Layout(tmp_path / f"step-{step}")
        shutil.copytree(layout.data_dir, copy.data_dir)
        codes.append(victim.run(victim.recover_folder, copy.data_dir, step))
        restarted(copy)
        assert_recovered(copy)
        step += 1
    assert codes[-1] == 0
    assert step > 5


def test_a_kill_at_any_step_of_the_recovery_never_doubles_what_was_handed_over(layout: Layout, tmp_path: Path) -> None:
    """A redactor takes what it sees between the two starts."""
    killed_with_calls_open(layout)
    step, code = 0, victim.KILLED
    while code == victim.KILLED:
        copy = Layout(tmp_path / f"step-{step}")
        shutil.copytree(layout.data_dir, copy.data_dir)
        code = victim.run(victim.recover_folder, copy.data_dir, step)
        worked_off(copy)
        restarted(copy)
        worked_off(copy)
        assert Counter(in_outbox(copy)) == Counter(["whole", "parts", "opened"])
        ledger = balanced(copy)
        assert (ledger.outbox, ledger.raw, ledger.shed) == (3, 0, 1)
        step += 1


def test_parts_that_were_not_captured_are_counted_as_missing(layout: Layout) -> None:
    """An answer of which not every byte was kept is marked ``truncated``, one of which none was as ``none``."""

    async def turn() -> None:
        journal = await opened(layout)
        for call_id, data in (("some", b"so"), ("none", b"")):
            journal.accept()
            journal.opened(call(call_id))
            journal.part(part(call_id, data, size=10))
        await eventually(lambda: any(path.stat().st_size > 300 for path in folder(layout).glob("*.live")), "live log")
        await journal.close()

    asyncio.run(turn())
    restarted(layout)
    capture = {one.call.id: one.reply.capture for one in calls_in(folder(layout), "*.seg")}
    assert capture == {"some": Capture.TRUNCATED, "none": Capture.NONE}


async def live_parts(layout: Layout, *pieces: bytes, placed: bool = False) -> Path:
    """A call's live log as a crash leaves it: its beginning and these parts, a frame each, in their places or not."""
    journal = await opened(layout)
    journal.accept()
    journal.opened(call("k"))
    grown = 0

    def longer() -> bool:
        nonlocal grown
        sizes = [path.stat().st_size for path in folder(layout).glob("*.live")]
        before, grown = grown, max([grown, *sizes])
        return grown > max(before, HEADER_BYTES)

    await eventually(longer, "the call's beginning")
    for number, piece in enumerate(pieces):
        journal.part(part("k", piece, at=len(b"".join(pieces[:number])) if placed else -1))
        await eventually(longer, "a part")
    copy = Layout(layout.data_dir.with_name("copy"))
    shutil.copytree(layout.data_dir, copy.data_dir)
    await journal.close()
    return copy.data_dir


def damage_frame(layout: Layout, number: int) -> None:
    """Flip a bit of the live log's ``number``-th frame, from 0."""
    (path,) = folder(layout).glob("*.live")
    content = path.read_bytes()
    missing = list(frames(content))[number].raw
    path.write_bytes(content.replace(missing, missing[:-1] + bytes([missing[-1] ^ 1])))


def test_an_answer_is_not_joined_over_a_part_that_is_missing(layout: Layout) -> None:
    """What came before the damage is kept and marked as cut; what came after it would make another text."""
    copy = Layout(asyncio.run(live_parts(layout, b"do ", b"not ", b"pay")))
    damage_frame(copy, 2)
    restarted(copy)
    (kept,) = calls_in(folder(copy), "*.seg")
    assert (kept.reply.head, kept.reply.capture) == (b"do ", Capture.TRUNCATED)
    balanced(copy)


def test_what_was_asked_is_kept_though_the_first_part_of_the_answer_is_missing(layout: Layout) -> None:
    """Nothing of the answer can be told, and that is another thing than an answer that was not to be read."""
    copy = Layout(asyncio.run(live_parts(layout, b"do ", b"not ", b"pay", placed=True)))
    damage_frame(copy, 1)
    restarted(copy)
    (kept,) = calls_in(folder(copy), "*.seg")
    assert (kept.reply.head, kept.reply.capture) == (b"", Capture.TRUNCATED)
    assert parse(kept).request == {"model": "m"}


def test_a_call_whose_end_is_missing_in_the_live_log_is_looked_for_in_closed_segments(layout: Layout) -> None:
    """It came to its end and stands there; the one that was still open is killed."""
    copy = Layout(layout.data_dir.with_name("copy"))

    async def turn() -> None:
        journal = await opened(layout, rotate_after=0.001)
        for call_id in ("ended", "open"):
            journal.accept()
            journal.opened(call(call_id))
        await eventually(lambda: any(path.stat().st_size > 300 for path in folder(layout).glob("*.live")), "live log")
        assert await journal.put(whole("ended"))
        await eventually(lambda: bool(list(folder(layout).glob("*.seg"))), "a closed segment")
        shutil.copytree(layout.data_dir, copy.data_dir)
        await journal.close()

    asyncio.run(turn())
    (path,) = folder(copy).glob("*.live")
    os.truncate(path, path.stat().st_size - 1)
    restarted(copy)
    found = {one.call.id: one.reply.ended for one in calls_in(folder(copy), "*.seg")}
    assert sorted(ids_in(folder(copy), "*.seg")) == ["ended", "open"]
    assert found == {"ended": Ended.COMPLETE, "open": Ended.KILLED}
    assert balanced(copy).raw == 2


def left_open(layout: Layout, count: int) -> Path:
    """A segment as a crash leaves it: not closed, its calls accepted."""
    filled(layout, *[whole(str(number)) for number in range(count)])
    (closed,) = folder(layout).glob("*.seg")
    path = closed.with_name(f"{closed.name.split('-')[0]}.open")
    closed.rename(path)
    # Closing counted it; as before: accepted alone.
    counters = Counters.open(folder(layout) / COUNTERS)
    counters.amend(0)
    counters.close()
    return path


def test_a_torn_tail_is_cut_off_and_its_call_counted(layout: Layout) -> None:
    """Half a frame at the end is the write that the crash interrupted: never told as durable, and gone afterwards."""
    path = left_open(layout, 3)
    os.truncate(path, path.stat().st_size - 5)
    restarted(layout)
    assert ids_in(folder(layout), "*.seg") == ["0", "1"]
    (closed,) = folder(layout).glob("*.seg")
    assert closed.stat().st_size == read(closed, KEY).sound_length
    ledger = balanced(layout)
    assert (ledger.raw, ledger.shed) == (2, 1)


def test_text_does_not_get_younger_by_a_crash(layout: Layout) -> None:
    """A torn segment of yesterday counts as yesterday's when its age is judged."""
    path = left_open(layout, 2)
    os.truncate(path, path.stat().st_size - 5)
    os.utime(path, (time.time() - 90_000, time.time() - 90_000))
    restarted(layout)
    lease = Segments(layout, KEY).lease()
    assert lease is not None
    assert time.time() - lease.created_at > 86_400
    lease.release()


def test_counts_lost_by_a_power_cut_are_made_up_from_the_calls(layout: Layout) -> None:
    """The page goes back to what was written out last; the calls stand, and no number is used a second time."""
    filled(layout, whole("a"))
    page = (folder(layout) / COUNTERS).read_bytes()
    left_open_later(layout)
    (folder(layout) / COUNTERS).write_bytes(page)
    restarted(layout)
    assert sorted(ids_in(folder(layout), "*.seg")) == ["a", "b", "c"]
    ledger = balanced(layout)
    assert (ledger.accepted, ledger.raw, ledger.shed) == (3, 3, 0)


def left_open_later(layout: Layout) -> None:
    """Two further calls in a segment that was not closed."""
    before = set(folder(layout).glob("*.seg"))
    filled(layout, whole("b"), whole("c"))
    (closed,) = set(folder(layout).glob("*.seg")) - before
    closed.rename(closed.with_name(f"{closed.name.split('-')[0]}.open"))


def test_the_count_of_a_segment_is_on_disk_before_its_name(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could give its number, and the name of its batch, to another segment."""
    order: list[str] = []
    sync, rename = Counters.sync, Path.rename

    def synced(self: Counters) -> None:
        order.append("count")
        sync(self)

    def renamed(self: Path, target: Path) -> Path:
        order.append("name")
        return rename(self, target)

    async def turn() -> None:
        journal = await opened(layout)
        await recorded(journal, whole("a"))
        monkeypatch.setattr(Counters, "sync", synced)
        monkeypatch.setattr(Path, "rename", renamed)
        await journal.close()

    asyncio.run(turn())
    assert order[:2] == ["count", "name"]


def test_of_two_segments_left_open_each_is_counted_once(layout: Layout) -> None:
    """The older one could not be closed and is not counted; the younger one is, but was killed before its rename."""
    filled(layout, whole("a"))
    filled(layout, whole("b"))
    for path in folder(layout).glob("*.seg"):
        path.rename(path.with_name(f"{path.name.split('-')[0]}.open"))
    (folder(layout) / COUNTERS).unlink()
    counters = Counters.open(folder(layout) / COUNTERS)
    counters.accept(2)
    counters.rotate(max(int(path.stem) for path in folder(layout).glob("*.open")), 1)
    counters.close()
    restarted(layout)
    assert sorted(ids_in(folder(layout), "*.seg")) == ["a", "b"]
    ledger = balanced(layout)
    assert (ledger.accepted, ledger.raw, ledger.shed) == (2, 2, 0)


def test_killed_calls_make_segments_no_larger_than_others(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many were open: a redactor has to hold what a segment holds."""
    monkeypatch.setattr(recovery, "ROTATE_BYTES", 30_000)
    monkeypatch.setattr(recovery, "ROTATE_CALLS", 7)
    folder(layout).mkdir()
    log = LiveLog(folder(layout), KEY, 1)
    log.write([Opened(call(f"large-{number}", body=os.urandom(9_000))) for number in range(10)])
    log.write([Opened(call(f"small-{number:02}")) for number in range(20)])
    restarted(layout)
    held = [calls_in(folder(layout), path.name) for path in sorted(folder(layout).glob("*.seg"))]
    assert sorted(one.call.id for some in held for one in some) == sorted(
        [*(f"large-{number}" for number in range(10)), *(f"small-{number:02}" for number in range(20))]
    )
    assert max(len(some) for some in held) <= 7
    assert max(sum(map(size_of, some)) for some in held) <= 30_000
    assert balanced(layout).raw == 30


@pytest.mark.parametrize("name", ["000000000009.open", "000000000009.live", "000000000009-1.seg"])
@pytest.mark.parametrize("what", ["a directory", "a link to nothing"])
def test_what_is_no_file_stops_no_start(layout: Layout, name: str, what: str) -> None:
    """It is left where it is, and all else is recovered."""
    killed_with_calls_open(layout)
    if what == "a directory":
        (folder(layout) / name).mkdir()
    else:
        (folder(layout) / name).symlink_to("nowhere")
    restarted(layout)
    assert sorted(ids_in(folder(layout), "00000000000[0-8]*.seg", "00000000001*.seg")) == ["opened", "parts", "whole"]


def test_a_file_that_cannot_be_read_stops_no_start(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sick disk gives an error for one: the start goes on without it, and the next one takes it up."""
    killed_with_calls_open(layout)
    [live] = folder(layout).glob("*.live")
    real = Path.read_bytes

    def sick(path: Path) -> bytes:
        if path == live:
            raise OSError(5, "Input/output error")
        return real(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", sick)
        restarted(layout)
    assert ids_in(folder(layout), "*.seg") == ["whole"]
    restarted(layout)
    assert sorted(ids_in(folder(layout), "*.seg")) == ["opened", "parts", "whole"]


def test_foreign_files_are_left_alone(layout: Layout) -> None:
    """Names that are not ours do not stop a start, nor a redactor, nor the ledger."""
    filled(layout, whole("a"))
    for name in ("notes.open", f"{'9' * 30}.open", "-3.live", "x.seg", "x-y.seg", "README", "1.tmp", "1-1.try"):
        (folder(layout) / name).write_bytes(b"not ours")
    for name in ("x.tmp", "README"):
        (layout.outbox / name).write_bytes(b"not ours")
    for name in ("x.sealed", "a-b.sealed", "y.purged"):
        (layout.quarantine / name).write_bytes(b"not ours")
    restarted(layout)
    worked_off(layout)
    assert in_outbox(layout) == ["a"]
    assert balanced(layout).outbox == 1


def test_segments_of_another_install_key_are_put_aside_sealed(layout: Layout) -> None:
    """A start with another key: what does not open is quarantined and counted, and new calls are kept."""
    path = left_open(layout, 3)
    sealed = path.read_bytes()

    async def turn() -> None:
        journal = await opened(layout, key=OTHER_KEY)
        await recorded(journal, whole("new"))
        await journal.close()

    asyncio.run(turn())
    worked_off(layout, OTHER_KEY)
    assert in_outbox(layout) == ["new"]
    ledger = balanced(layout)
    assert (ledger.outbox, ledger.quarantined) == (1, 3)
    (kept,) = layout.quarantine.glob("*.sealed")
    assert kept.read_bytes() == sealed


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_stop_nothing_and_what_opens_is_kept(
    tmp_path_factory: pytest.TempPathFactory, pristine: Path, data: st.DataObject
) -> None:
    """Any file cut, flipped, emptied or replaced: start, redaction and ledger work, whole files keep their calls."""
    layout = Layout(tmp_path_factory.mktemp("damaged") / "data")
    shutil.copytree(pristine, layout.data_dir)
    paths = sorted(path for path in layout.data_dir.rglob("*") if path.is_file() and path.name != COUNTERS)
    victims = data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3, unique=True))
    kept = set(EVERY)
    for path in victims:
        kept -= {"open": {"d", "e", "k"}, "live": {"k"}, "seg": {"a", "b", "c"}}[path.suffix[1:]]
        damage(path, data)
    restarted(layout)
    worked_off(layout)
    found = Counter(in_outbox(layout))
    assert kept <= set(found) <= set(EVERY)
    assert max(found.values()) == 1 if found else not kept
    ledger = balanced(layout)
    assert ledger.accepted == len(EVERY)
    assert ledger.raw == 0
    assert ledger.outbox == len(found)
    shutil.rmtree(layout.data_dir)


EVERY = ("a", "b", "c", "d", "e", "k")


def damage(path: Path, data: st.DataObject) -> None:
    """One of the ways of disks."""
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "hole", "empty", "garbage", "repeat"]))
    if kind == "cut":
        content = content[:place]
    elif kind == "flip":
        content = content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    elif kind == "hole":
        content = content[:place] + bytes(len(content[place : place + 100])) + content[place + 100 :]
    elif kind == "empty":
        content = b""
    elif kind == "garbage":
        content = data.draw(st.binary(max_size=300))
    else:
        content += content[place:]
    path.write_bytes(content)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed segment of three calls, one left open with two, and a live log with one that was killed."""
    layout = Layout(tmp_path_factory.mktemp("pristine") / "data")
    copy = Layout(layout.data_dir.with_name("copy"))
    filled(layout, whole("a"), whole("b"), note("n"), whole("c"))

    async def turn() -> None:
        journal = await opened(layout)
        journal.accept()
        journal.opened(call("k"))
        journal.part(part("k", b"so far"))
        await eventually(lambda: any(path.stat().st_size > 300 for path in folder(layout).glob("*.live")), "live log")
        await recorded(journal, whole("d"), whole("e"))
        shutil.copytree(layout.data_dir, copy.data_dir)
        await journal.close()

    asyncio.run(turn())
    assert names(folder(copy)) == {".seg", ".open", ".live", "counters"}
    return copy.data_dir
