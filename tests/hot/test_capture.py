"""What is kept of an answer, and the recognition of its end."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.capture import HEAD_BYTES, SURE_BYTES, TAIL_BYTES, Capture, EndMarker, Together
from tests.fakes.upstream import chunk
from tests.hot.test_splice import CUTS, split


@settings(max_examples=40)
@given(st.lists(st.integers(0, 400_000), max_size=12))
@example([HEAD_BYTES, TAIL_BYTES, 1])
@example([1, HEAD_BYTES + TAIL_BYTES])
def test_head_and_tail_are_kept_in_any_split(sizes: list[int]) -> None:
    """The first 1 MiB and the last 64 KiB stay, and everything when there is no gap between them."""
    capture = Capture(Together())
    data = b""
    for number, size in enumerate(sizes):
        piece = bytes([number]) * size
        capture.feed(piece)
        data += piece
    head, tail, dropped = capture.kept()
    if len(data) <= HEAD_BYTES + TAIL_BYTES:
        assert (head, tail, dropped) == (data, b"", False)
    else:
        assert dropped
        assert head == data[:HEAD_BYTES]
        assert tail == data[-TAIL_BYTES:]


def test_a_long_answer_takes_little_more_memory_than_is_kept_of_it() -> None:
    """However long it is, and in however small pieces it comes."""
    capture, piece = Capture(Together()), bytes(10_000)
    tracemalloc.start()
    try:
        for _ in range(1_000):
            capture.feed(piece)
        now, _most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 2 * (HEAD_BYTES + TAIL_BYTES)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300_000)), max_size=60), st.integers(0, 600_000))
def test_many_long_answers_share_what_there_is(fed: list[tuple[int, int]], waiting: int) -> None:
    """Each has a beginning and an end of its own; more of the beginning while there is room, and room comes back."""
    limit = 1 << 20
    together = Together(lambda: waiting, limit)
    captures = [Capture(together) for _ in range(6)]
    fed_to = [b""] * 6
    for number, size in fed:
        piece = bytes([len(fed_to[number]) % 251]) * size
        captures[number].feed(piece)
        fed_to[number] += piece
        assert 0 <= together.held <= max(0, limit - waiting)
    for capture, data in zip(captures, fed_to, strict=True):
        head, tail, dropped = capture.kept()
        assert data.startswith(head)
        assert len(head) >= min(len(data), SURE_BYTES)
        assert dropped == (head != data)
        assert data.endswith(tail)
        assert not dropped or len(tail) == TAIL_BYTES or len(head) + len(tail) == len(data)
    for capture in captures:
        capture.free()
        capture.free()
    assert together.held == 0
    again = Capture(Together(lambda: 0, limit))
    again.feed(bytes(limit))
    assert again.kept() == (bytes(limit), b"", False)


def test_fresh_bytes_are_told_once() -> None:
    """Each look gives the head's bytes since the look before."""
    capture = Capture(Together())
    capture.feed(b"ab")
    assert capture.fresh() == b"ab"
    assert capture.fresh() == b""
    capture.feed(b"cd")
    assert capture.fresh() == b"cd"
    assert capture.kept() == (b"abcd", b"", False)


def end_of(pieces: list[bytes]) -> int:
    """How many bytes had come at the end, or -1."""
    marker = EndMarker()
    before = 0
    for piece in pieces:
        end = marker.feed(piece)
        if end >= 0:
            return before + end
        before += len(piece)
    return -1


BEFORE = st.lists(
    st.sampled_from(
        [
            chunk({"content": "data: [DONE]"}),
            chunk({"content": "\ndata: [DONE]\n"}),
            b"event: response.created\ndata: {}\n\n",
            b"event: response.completed_not\ndata: {}\n\n",
            b'data: "event: response.completed"\n\n',
            b"x-data: [DONE]\n\n",
            b'data: {"id":1,"type":"response.completed"}\n\n',
            b'data: {"type":"response.completed_not"}\n\n',
            b'data: [{"type":"message_stop"}]\n\n',
            b'x-data: {"type":"message_stop"}\n\n',
            chunk({"content": '\ndata: {"type":"response.completed"}\n'}),
            b": ping\n\n",
            b"\n",
        ]
    ),
    max_size=5,
).map(b"".join)
ENDS = st.sampled_from(
    [
        (b"data: [DONE]", b"\n\n"),
        (b"data:[DONE]", b"\n\n"),
        (b'event: response.completed\ndata: {"a":1}\n\n', b""),
        (b"event:response.failed\ndata: {}\n\n", b"data: more\n\n"),
        (b"event: response.incomplete\nid: 1\ndata: {}\n\n", b""),
        (b'data: {"type":"response.completed","response":{}}\n\n', b""),
        (b'data:{"type": "message_stop"}\n\n', b"data: more\n\n"),
        (b'event: message_stop\ndata: {"type":"message_stop"}\n\n', b"\n"),
    ]
)


@settings(max_examples=100)
@given(BEFORE, ENDS, CUTS, st.sampled_from([b"\n", b"\r\n"]))
def test_the_end_is_found_in_any_split(
    before: bytes, end: tuple[bytes, bytes], cuts: list[int], newline: bytes
) -> None:
    """The end is the same byte however the stream was cut."""
    before, final, after = (part.replace(b"\n", newline) for part in (before, *end))
    assert end_of(split(before + final + after, cuts)) == len(before + final)


@settings(max_examples=100)
@given(BEFORE, CUTS)
def test_text_that_looks_like_an_end_is_none(before: bytes, cuts: list[int]) -> None:
    """An answer cannot pretend its own end."""
    assert end_of(split(before, cuts)) == -1


@settings(max_examples=60)
@given(st.binary(max_size=200), CUTS)
def test_any_bytes_are_read_alike_in_any_split(data: bytes, cuts: list[int]) -> None:
    """Byte by byte, in pieces or whole: one result."""
    assert end_of(split(data, cuts)) == end_of([data]) == end_of([data[at : at + 1] for at in range(len(data))])


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_line_break_ends_a_final_event(newline: bytes) -> None:
    """The three line breaks of event streams are known."""
    stream = newline.join([b"event: message_stop", b"data: {}", b"", b""])
    assert end_of([stream]) == len(stream)
