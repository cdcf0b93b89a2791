"""Small parts: call ids, the internal mark, keys, limits, and what a body says of its sender."""

from __future__ import annotations

import json
import stat
import uuid
from pathlib import Path

import pytest

from gateway import asked, mark
from gateway.asked import Identity
from gateway.callid import CallIds
from gateway.config import Key
from gateway.errors import RequestRefused
from gateway.keys import Keys
from gateway.limits import Bodies
from gateway.paths import Layout


def test_ids_never_step_back() -> None:
    """Sorted as given, even when the clock steps back or stands still, and each a UUIDv7."""
    times = iter([5_000_000_000, 6_000_000_000, *[4_000_000_000] * 5000, 7_000_000_000])
    ids = CallIds(lambda: next(times))
    given = [ids.next() for _ in range(5003)]
    assert given == sorted(given)
    assert len(set(given)) == len(given)
    assert {uuid.UUID(text).version for text in given} == {7}
    assert uuid.UUID(given[-1]).int >> 80 == 7000


def test_the_mark_is_known_by_its_file_alone(tmp_path: Path) -> None:
    """Readable by the owner only, new at each start; without one nothing matches."""
    layout = Layout(tmp_path)
    layout.create()
    assert not mark.matches(layout, "")
    assert not mark.matches(layout, "x")
    first = mark.create(layout)
    assert mark.matches(layout, first)
    assert mark.matches(layout, first.encode())
    second = mark.create(layout)
    assert not mark.matches(layout, first)
    assert mark.read(layout) == second
    assert stat.S_IMODE(layout.internal_mark.stat().st_mode) == 0o600


def test_keys_are_found_by_plain_text_or_digest() -> None:
    """Both forms of configuration, and nothing else."""
    digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"  # of "foo"
    keys = Keys([Key(name="a", key="one"), Key(name="b", key_sha256=digest)])  # type: ignore[arg-type]
    assert [grant.name for token in (b"one", b"foo") if (grant := keys.find([token]))] == ["a", "b"]
    assert keys.find([b"", b"two"]) is None
    assert keys.ours(b"Bearer one")
    assert keys.ours(b"a=b; c=foo")
    assert not keys.ours(b"gone")


def test_a_limited_key_knows_its_models() -> None:
    """Globs; an unnamed model is no model of its."""
    grant = Keys([Key(name="a", key="one", models=("gpt-*", "o3"))]).find([b"one"])  # type: ignore[arg-type]
    assert grant is not None
    assert [grant.allows(model) for model in ("gpt-4o", "o3", "o3-mini", "")] == [True, True, False, False]


def test_bodies_are_bounded_each_and_together() -> None:
    """413 for one too large, 503 with Retry-After for too many."""
    bodies = Bodies(each=10, together=15)
    bodies.check(10)
    with pytest.raises(RequestRefused) as large:
        bodies.check(11)
    assert large.value.status == 413
    bodies.take(10)
    with pytest.raises(RequestRefused) as many:
        bodies.take(6)
    assert (many.value.status, many.value.retry_after_s) == (503, 1)
    bodies.give(10)
    bodies.take(15)
    assert bodies.held == 15


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, Identity()),
        ({"user": "u"}, Identity(user="u")),
        ({"user": {"odd": 1}, "safety_identifier": "si"}, Identity(user="si")),
        ({"metadata": {"user_id": 7, "session": "s", "tags": ["a", "b=c"]}},
         Identity(user="7", session="s", tags={"a": "true", "b": "c"})),
        ({"metadata": {"a": "x", "nested": {"b": 1}, "ok": True}}, Identity(tags={"a": "x", "ok": "true"})),
        ({"prompt": {"id": "pmpt_1", "version": "2"}}, Identity(prompt="pmpt_1")),
        ({"prompt": "Say {id}"}, Identity()),
        ({"session_id": "s", "metadata": "odd"}, Identity(session="s")),
    ],
)  # fmt: skip
def test_a_body_tells_who_asks(body: dict[str, object], expected: Identity) -> None:
    """By the names users of other gateways already send."""
    assert asked.identity(asked.read(json.dumps(body).encode())) == expected


def test_an_odd_body_may_still_name_its_model() -> None:
    """One field of the wrong type does not hide the model."""
    assert asked.read(b'{"stream": "yes", "model": "m"}').model == "m"
    assert asked.read(b'{"model": 1}').model == ""
