"""The live log: what a start after a kill finds of calls that were open, and how large the log grows meanwhile."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.journal import live
from gateway.journal.live import LiveLog
from gateway.paths import Layout
from gateway.raw import Capture, Opened, Whole
from tests.journal.makers import KEY, OTHER_KEY, SERVE, balanced, call, calls_in, opened, part, restarted

ROTATE, ROOM = 2_000, 8_000


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data directory, with a folder for the journal."""
    return made(tmp_path)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are soon full."""
    monkeypatch.setattr(live, "ROTATE_BYTES", ROTATE)
    monkeypatch.setattr(live, "ROOM_BYTES", ROOM)


def made(directory: Path) -> Layout:
    layout = Layout(directory / "data")
    layout.create()
    (layout.journal / SERVE).mkdir()
    return layout


def folder(layout: Layout) -> Path:
    """The journal's own folder."""
    return layout.journal / SERVE


def found(layout: Layout) -> dict[str, Whole]:
    """What a start makes of the log."""
    restarted(layout)
    calls = calls_in(folder(layout), "*.seg")
    assert len({one.call.id for one in calls}) == len(calls)
    balanced(layout)
    return {one.call.id: one for one in calls}


def passed_by(log: LiveLog, count: int) -> None:
    """So many calls come and go."""
    for number in range(count):
        log.write([Opened(call(f"other-{number}", os.urandom(500))), part(f"other-{number}", os.urandom(200), at=0)])
        log.close([f"other-{number}"])


def with_one_open(layout: Layout) -> tuple[LiveLog, bytes]:
    """A log of many calls of which one stays open, and what came of that one's answer."""
    log = LiveLog(folder(layout), KEY, 1)
    log.write([Opened(call("open", b"what was asked"))])
    answer = b""
    for number in range(30):
        piece = b"%d " % number
        log.write([part("open", piece, at=len(answer))])
        answer += piece
        passed_by(log, 3)
    return log, answer


@pytest.mark.usefixtures("small")
def test_a_call_that_stays_open_keeps_itself_alone(layout: Layout) -> None:
    """Of the 70 kB and more that came and went beside it little is left; its own is whole."""
    log, answer = with_one_open(layout)
    assert log.size == sum(path.stat().st_size for path in folder(layout).glob("*.live"))
    assert log.size < 4 * ROOM
    kept = found(layout)["open"]
    assert (kept.call.body, kept.reply.head, kept.reply.capture) == (b"what was asked", answer, Capture.FULL)


@pytest.mark.usefixtures("small")
def test_a_kill_while_the_log_is_cleaned_doubles_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the same lies in two files, it is told once."""
    copies: list[Layout] = []
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".live" and path.is_relative_to(layout.data_dir):
            copies.append(Layout(layout.data_dir.with_name(f"copy-{len(copies)}")))
            shutil.copytree(layout.data_dir, copies[-1].data_dir)
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    _, answer = with_one_open(layout)
    assert len(copies) > 3
    for copy in copies:
        kept = found(copy)["open"]
        assert kept.call.body == b"what was asked"
        assert kept.reply.capture is Capture.FULL
        assert answer.startswith(kept.reply.head)


def test_parts_that_follow_each_other_become_one(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """So what a call of hours has in the log does not grow with its parts, most of them empty past what is captured."""
    monkeypatch.setattr(live, "ROTATE_BYTES", 0)
    monkeypatch.setattr(live, "ROOM_BYTES", 0)
    log = LiveLog(folder(layout), KEY, 1)
    log.write([Opened(call("open"))])
    sizes = []
    for number in range(80):
        log.write([part("open", b"", size=1, at=number)])
        passed_by(log, 2)
        sizes.append(log.size)
    assert max(sizes[40:]) < 2 * max(sizes[10:30])
    kept = found(layout)["open"].reply
    assert (kept.size, kept.capture) == (80, Capture.NONE)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_an_answer_is_not_joined_over_a_file_that_is_gone(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """Nor over one cut between two entries, which looks whole: each part tells its place."""
    monkeypatch.setattr(live, "ROTATE_BYTES", 0)
    log = LiveLog(folder(layout), KEY, 1)
    at = 0
    for number, piece in enumerate([b"do ", b"not ", b"pay"]):
        log.write([*([] if number else [Opened(call("open", b"asked"))]), part("open", piece, at=at)])
        at += len(piece)
    files = sorted(folder(layout).glob("*.live"))
    assert len(files) == 3
    files[lost].unlink()
    calls = found(layout)
    if lost == 0:
        assert calls == {}
        return
    assert calls["open"].reply.head == [b"do ", b"do not "][lost - 1]
    assert calls["open"].reply.capture is (Capture.TRUNCATED if lost == 1 else Capture.FULL)


def test_a_log_under_another_key_is_put_aside(layout: Layout) -> None:
    """Sealed as it is, for the days that all has which could not be processed; the start goes on."""
    log = LiveLog(folder(layout), OTHER_KEY, 1)
    log.write([Opened(call("open"))])
    [path] = folder(layout).glob("*.live")
    sealed = path.read_bytes()
    assert found(layout) == {}
    [aside] = layout.quarantine.glob("*.sealed")
    assert aside.read_bytes() == sealed
    assert balanced(layout).quarantined == 0


@pytest.mark.anyio
async def test_a_killed_call_is_as_old_as_its_text(layout: Layout) -> None:
    """Its segment is made at the next start, however late: ``journal.max_age`` counts from the writing."""
    log = LiveLog(folder(layout), KEY, 1)
    log.write([Opened(call("open"))])
    [path] = folder(layout).glob("*.live")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    await (await opened(layout)).close()
    [segment] = folder(layout).glob("*.seg")
    assert segment.stat().st_mtime == 1_700_000_000


Steps = list[tuple[str, int]]
STEPS = st.lists(
    st.one_of(*(st.tuples(st.just(what), st.integers(0, 5)) for what in ("open", "part", "part", "close", "refuse"))),
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@pytest.mark.usefixtures("small")
def test_whatever_happens_the_open_calls_are_found(steps: Steps) -> None:
    """Any order of beginnings, parts, ends and writes without room: each open call as far as it was told, no other."""
    with tempfile.TemporaryDirectory() as directory:
        layout = made(Path(directory))
        log = LiveLog(folder(layout), KEY, 1)
        told: dict[str, bytes] = {}
        sent: dict[str, int] = {}
        for number, (what, which) in enumerate(steps):
            name = f"call-{which}"
            piece = b"%d " % number * 100
            if what == "open" and name not in sent:
                log.write([Opened(call(name, os.urandom(300)))])
                told[name], sent[name] = b"", 0
            elif what == "close" and sent.get(name, -1) >= 0:
                log.close([name])
                del told[name]
                sent[name] = -1
            elif what in ("part", "refuse") and sent.get(name, -1) >= 0:
                with contextlib.suppress(OSError), disk(full=what == "refuse"):
                    log.write([part(name, piece, at=sent[name])])
                    if len(told[name]) == sent[name]:
                        told[name] += piece
                sent[name] += len(piece)
        assert {name: one.reply.head for name, one in found(layout).items()} == told


@contextlib.contextmanager
def disk(*, full: bool) -> Iterator[None]:
    """One that takes nothing meanwhile, or one that does."""

    def refuse(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        if full:
            patched.setattr(os, "fdatasync", refuse)
        yield
