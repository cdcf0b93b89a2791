"""The redactor's work on a segment: whatever goes wrong, no raw text comes out, and the others are done."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway import redactor as redacting
from gateway.config import Config
from gateway.identity import Pseudonyms
from gateway.journal import Lease, Segments
from gateway.journal.files import COUNTERS
from gateway.meter import Meter
from gateway.model import WITHHELD, Clean, Record, Score
from gateway.outbox import Outbox
from gateway.paths import Layout
from gateway.raw import Call, Ended, Note, Reply, Whole
from gateway.redact import Redactor, Span
from gateway.redactor import Watchdog, Worker, run
from tests.e2e.installation import eventually
from tests.journal import victim
from tests.journal.makers import KEY, SERVE, balanced, filled, restarted, whole

MAIL = "ada.planted@example.com"
TEXT = "the quick planted fox"


class Breaking:
    """A recogniser that breaks on a word, or does not come back from it."""

    name = "breaking"

    def find(self, text: str) -> Iterator[Span]:
        """Nothing; but see above."""
        if "BREAK" in text:
            raise RuntimeError(f"broken on {text}")
        if "HANG" in text:
            threading.Event().wait(60)
        return iter(())


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    """Patterns and secrets, and the one that breaks; a short time box."""
    return Redactor("fast", Pseudonyms(KEY.derive("identity")), [Breaking()], timeout=0.3)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data directory."""
    layout = Layout(tmp_path / "data")
    layout.create()
    return layout


def chat(call_id: str, text: str, **fields: Any) -> Whole:
    """A chat call that says a text and is answered with it."""
    message = {"role": "user", "content": text}
    body = json.dumps({"model": "priced", "messages": [message]}).encode()
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    answer = {"object": "chat.completion", "model": "priced", "choices": [choice]}
    answer["usage"] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    made = whole(call_id, body, json.dumps(answer).encode())
    given = {name: getattr(made.call, name) for name in Call.__struct_fields__}
    return Whole(Call(**given | {"model": "priced", "pattern": "priced"} | fields), made.reply)


def work(layout: Layout, redactor: Redactor, **settings: Any) -> list[Record | Score]:
    """Work off every segment with this configuration; what waits for the store."""
    worker = Worker(
        Config(**settings), {"fast": redactor, "standard": redactor, "strict": redactor}, Meter({}), Watchdog(60.0)
    )
    segments = Segments(layout, KEY)
    while (lease := segments.lease()) is not None:
        worker.work_off(lease)
    return [item for batch in Outbox(layout.outbox).pending() for item in batch.read()]


def ids(number: int) -> str:
    """An id of ours."""
    return f"0192f0c1-2a3b-7c4d-8e5f-{number:012x}"


def only(items: list[Record | Score]) -> Record:
    """The one record."""
    (record,) = items
    assert isinstance(record, Record)
    return record


def tokens_out() -> float:
    """Those of answers, as the metrics count them."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "gateway_tokens_total" and sample.labels["kind"] == "output"
    )


def assert_withheld(record: Record) -> None:
    """No text, but every number."""
    assert (record.request, record.response) == (WITHHELD, WITHHELD)
    assert record.capture == "withheld"
    assert record.findings == ()
    assert (record.usage.input_tokens, record.usage.output_tokens) == (11, 7)
    assert (record.status, record.model, record.finish_reason) == (200, "priced", "stop")


def test_a_planted_value_is_gone_from_what_is_handed_over(layout: Layout, redactor: Redactor) -> None:
    """The rest of the text is kept, and the finding says where it was."""
    filled(layout, chat(ids(1), f"write to {MAIL} about {TEXT}"))
    record = only(work(layout, redactor))
    assert MAIL not in repr(record)
    assert TEXT in record.request
    assert TEXT in record.response
    assert {finding.path for finding in record.findings} == {
        "request.messages[].content",
        "response.choices[].message.content",
    }


def test_much_text_of_a_segment_makes_several_batches(
    layout: Layout, redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that not all of it is in memory at once; each call is in one of them, and counted."""
    monkeypatch.setattr(redacting, "DRAFT_CHARS", 1_000)
    before = tokens_out()
    filled(layout, *(chat(ids(number), TEXT * 20) for number in range(5)))
    assert sorted(item.id for item in work(layout, redactor)) == [ids(number) for number in range(5)]
    assert len(Outbox(layout.outbox).pending()) == 5
    assert balanced(layout).outbox == 5
    assert tokens_out() - before == 5 * 7


def test_a_broken_recogniser_withholds_that_call_alone(layout: Layout, redactor: Redactor) -> None:
    """Its numbers are kept, its neighbours are whole."""
    filled(layout, chat(ids(1), "before"), chat(ids(2), f"BREAK {MAIL} {TEXT}"), chat(ids(3), "after"))
    before, broken, after = work(layout, redactor)
    assert isinstance(broken, Record)
    assert_withheld(broken)
    assert "before" in before.request and "after" in after.request  # type: ignore[union-attr]  # noqa: PT018
    assert balanced(layout).outbox == 3


def test_a_call_over_its_time_box_is_withheld(layout: Layout, redactor: Redactor) -> None:
    """A recogniser that does not come back is interrupted."""
    filled(layout, chat(ids(1), f"HANG {MAIL} {TEXT}"))
    assert_withheld(only(work(layout, redactor)))


@pytest.mark.parametrize("body", [b"\xff\xfe{", b'{"messages": [', b"", b"[" * 5_000, os.urandom(400)])
def test_bytes_that_do_not_parse_are_worked_off(layout: Layout, redactor: Redactor, body: bytes) -> None:
    """They stand as redacted text or are withheld; the planted value beside them never gets through."""
    filled(layout, whole(ids(1), body + MAIL.encode(), MAIL.encode() + body))
    record = only(work(layout, redactor))
    assert MAIL not in repr(record)
    assert record.id == ids(1)


def test_text_older_than_allowed_is_withheld(layout: Layout, redactor: Redactor) -> None:
    """Nothing but numbers is made of a segment that lay longer than ``journal.max_age``."""
    filled(layout, chat(ids(1), TEXT))
    (path,) = (layout.journal / SERVE).glob("*.seg")
    os.utime(path, (time.time() - 86_500,) * 2)
    assert_withheld(only(work(layout, redactor)))


def test_text_within_its_age_is_kept(layout: Layout, redactor: Redactor) -> None:
    """A minute before the limit it is redacted like any other."""
    filled(layout, chat(ids(1), TEXT))
    (path,) = (layout.journal / SERVE).glob("*.seg")
    os.utime(path, (time.time() - 86_340,) * 2)
    assert TEXT in only(work(layout, redactor)).request


def test_a_call_that_asked_for_it_keeps_no_text(layout: Layout, redactor: Redactor) -> None:
    """``no_content`` is the client's word for one call."""
    filled(layout, chat(ids(1), TEXT, no_content=True), chat(ids(2), TEXT))
    silent, other = work(layout, redactor)
    assert isinstance(silent, Record)
    assert_withheld(silent)
    assert TEXT in other.request  # type: ignore[union-attr]


def test_capture_of_metadata_keeps_no_text(layout: Layout, redactor: Redactor) -> None:
    """The operator's word for all calls."""
    filled(layout, chat(ids(1), TEXT))
    assert_withheld(only(work(layout, redactor, capture="metadata")))


def test_a_note_is_redacted_and_withheld_when_that_fails(layout: Layout, redactor: Redactor) -> None:
    """Reasons are text like any other; the judgement stays."""
    fields: dict[str, Any] = {"at": 1, "target": ids(9), "name": "thumb", "source": "human", "label": "down"}
    filled(
        layout,
        Note(id=ids(1), why=f"he is {MAIL}, {TEXT}", **fields),
        Note(id=ids(2), why=f"BREAK {MAIL}", **fields),
    )
    good, withheld = work(layout, redactor)
    assert isinstance(good, Score)
    assert isinstance(withheld, Score)
    assert TEXT in good.why
    assert MAIL not in good.why
    assert (withheld.why, withheld.label) == (WITHHELD, "down")


@pytest.mark.parametrize(
    ("waited", "settings"),
    [
        (86_500.0, {}),
        (700.0, {"redact": {"behind": [{"after": 600, "do": "metadata"}]}}),
        (0.0, {"capture": "metadata"}),
    ],
)
def test_a_comment_is_withheld_as_the_text_of_a_call_is(
    layout: Layout, redactor: Redactor, waited: float, settings: dict[str, Any]
) -> None:
    """For its age, by a step for when redaction is behind, or by the operator's word; what was judged stays."""
    fields: dict[str, Any] = {"at": 1, "target": ids(9), "name": "thumb", "source": "human", "label": "down"}
    filled(layout, Note(id=ids(1), why=TEXT, value=0.25, **fields), Note(id=ids(2), **fields))
    (path,) = (layout.journal / SERVE).glob("*.seg")
    os.utime(path, (time.time() - waited,) * 2)
    said, silent = work(layout, redactor, **settings)
    assert isinstance(said, Score)
    assert isinstance(silent, Score)
    assert (said.why, said.label, said.value) == (WITHHELD, "down", 0.25)
    assert silent.why == ""


def test_a_killed_call_is_handed_over_as_killed(layout: Layout, redactor: Redactor) -> None:
    """What had come of the answer is redacted like the whole of one."""
    cut = Reply(status=200, ended=Ended.KILLED, head=f"I am {MAIL} and {TEXT}".encode(), size=40)
    filled(layout, Whole(chat(ids(1), TEXT).call, cut))
    record = only(work(layout, redactor))
    assert record.ended == "killed"
    assert MAIL not in repr(record)
    assert TEXT in record.request


def test_a_damaged_entry_is_put_aside_and_the_rest_is_done(layout: Layout, redactor: Redactor) -> None:
    """Sealed and counted; the redactor does not stop."""
    filled(layout, chat(ids(1), TEXT), chat(ids(2), TEXT))
    (path,) = (layout.journal / SERVE).glob("*.seg")
    sealed = bytearray(path.read_bytes())
    sealed[200] ^= 1
    path.write_bytes(sealed)
    assert only(work(layout, redactor)).id == ids(2)
    ledger = balanced(layout)
    assert (ledger.outbox, ledger.quarantined, ledger.raw) == (1, 1, 0)


def test_an_entry_of_many_crashes_is_put_aside(layout: Layout, redactor: Redactor) -> None:
    """Three runs that ended at it are enough."""
    filled(layout, chat(ids(1), TEXT), chat(ids(2), TEXT))
    for _ in range(3):
        lease = Segments(layout, KEY).lease()
        assert lease is not None
        lease.attempt(0)
        lease.attempt(1)
        lease.release()
    assert only(work(layout, redactor)).id == ids(1)
    assert balanced(layout).quarantined == 1


def test_no_raw_text_is_in_any_file_afterwards(layout: Layout, redactor: Redactor) -> None:
    """Whole, broken, expired or damaged: when the segment is gone, so is the text."""
    secret = f"sk-{os.urandom(24).hex()}"
    for number, text in enumerate((f"BREAK {secret}", f"key {secret}", f"HANG {secret}")):
        filled(layout, chat(ids(number), text))
    restarted(layout)
    work(layout, redactor)
    files = [path for path in layout.data_dir.rglob("*") if path.is_file()]
    assert {path.name for path in files if path.suffix != ".batch"} == {COUNTERS}
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
    items = [item for batch in Outbox(layout.outbox).pending() for item in batch.read()]
    assert len(items) == 3
    assert secret not in repr(items)


def test_a_stop_drains_and_a_full_disk_is_held_against_no_call(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop, the process works off what is there; runs that found no room count as nobody's crash."""
    filled(layout, chat(ids(1), TEXT), chat(ids(2), TEXT))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    real, refused = Lease.commit, []

    def commit(self: Lease, items: Sequence[Clean]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        if len(refused) < 5:
            refused.append(len(items))
            raise OSError(28, "No space left on device")
        real(self, items)

    monkeypatch.setattr(Lease, "commit", commit)
    config = Config.model_validate({"redact": {"profile": "fast"}, "journal_key": (b"k" * 32).hex()})
    try:
        run(config, layout, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert refused == [2] * 5
    ledger = balanced(layout)
    assert (ledger.outbox, ledger.quarantined, ledger.raw) == (2, 0, 0)


def test_a_full_outbox_is_left_alone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redaction rests while the store's side is over its bound; the journal holds the calls meanwhile."""
    filled(layout, chat(ids(1), TEXT))
    (layout.outbox / "large-0.batch").write_bytes(bytes(1 << 20))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    real, looks = Outbox.bytes, []

    def looked(self: Outbox) -> int:
        looks.append(real(self))
        if len(looks) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return looks[-1]

    monkeypatch.setattr(Outbox, "bytes", looked)
    settings = {"redact": {"profile": "fast"}, "journal_key": (b"k" * 32).hex(), "outbox": {"max_bytes": 1 << 20}}
    try:
        run(Config.model_validate(settings), layout, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert set(looks) == {1 << 20}
    assert balanced(layout).raw == 1


def test_what_expires_does_not_wait_for_a_full_outbox(layout: Layout) -> None:
    """Of calls older than ``journal.max_age`` numbers alone are handed over; what is seven days old or cut off ends."""
    filled(layout, chat(ids(1), TEXT))
    assert victim.run(victim.hand_over_until, layout.data_dir, "segment.spent") == victim.KILLED
    filled(layout, chat(ids(2), TEXT))
    (old,) = (layout.journal / SERVE).glob("*.seg")
    os.utime(old, (time.time() - 86_500,) * 2)
    filled(layout, chat(ids(3), TEXT))
    sealed = layout.quarantine / f"{SERVE}-x-000000000009-0.sealed"
    sealed.write_bytes(b"sealed")
    os.utime(sealed, (time.time() - 8 * 86_400,) * 2)
    (layout.outbox / "large-0.batch").write_bytes(bytes(1 << 20))
    settings = {"redact": {"profile": "fast"}, "journal_key": (b"k" * 32).hex(), "outbox": {"max_bytes": 1 << 20}}
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop() -> None:
        try:
            eventually(lambda: not old.exists(), "the old segment is worked off", patience_s=20.0)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        run(Config.model_validate(settings), layout, 0)
    finally:
        stopping.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    (layout.outbox / "large-0.batch").unlink()
    items = {item.id: item for batch in Outbox(layout.outbox).pending() for item in batch.read()}
    assert set(items) == {ids(1), ids(2)}
    assert_withheld(only([items[ids(2)]]))
    ledger = balanced(layout)
    assert (ledger.outbox, ledger.raw) == (2, 1)
    assert [path.suffix for path in layout.quarantine.iterdir()] == [".purged"]


def test_the_watchdog_gives_up_on_a_call_that_outlives_its_box() -> None:
    """A hang in native code ends the process, so that the next one can count it as a crash."""
    given_up = threading.Event()
    watchdog = Watchdog(0.0, given_up.set)
    assert not given_up.is_set()
    watchdog.begin()
    assert given_up.wait(10)
    watchdog.end()


def test_each_call_is_redacted_by_its_own_profile(layout: Layout, redactor: Redactor) -> None:
    """That of its key, or of its route; a recogniser that only one of them has tells which it was."""
    plain = Redactor("fast", Pseudonyms(KEY.derive("identity")))
    settings = {
        "keys": [{"name": "app", "key": "sk-a"}],
        "upstreams": [{"name": "u", "base_url": "http://127.0.0.1:1"}],
    }
    redact = {"profile": "fast", "keys": {"app": "strict"}, "routes": {"/v1/responses": "strict"}}
    config = Config.model_validate({**settings, "redact": redact})
    text = f"BREAK {TEXT}"
    filled(
        layout,
        chat(ids(1), text),
        chat(ids(2), text, key="app"),
        chat(ids(3), text, route="/v1/responses"),
    )
    worker = Worker(config, {"fast": plain, "strict": redactor}, Meter({}), Watchdog(60.0))
    segments = Segments(layout, KEY)
    while (lease := segments.lease()) is not None:
        worker.work_off(lease)
    records = [item for batch in Outbox(layout.outbox).pending() for item in batch.read()]
    assert [TEXT in record.request for record in records if isinstance(record, Record)] == [True, False, False]
