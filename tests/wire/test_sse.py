"""The event parser: whole or byte by byte, the same events."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.wire.sse import Event, Parser, parse

PIECES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"event: x",
        b": note",
        b"id: 1",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\xef\xbb\xbf",
        b" ",
    ]
)


@settings(max_examples=100, deadline=None)
@example(b"\xef\xbb\xbfdata: a\r\n\r\n")
@example(b"data: a\r\r")
@given(st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=60))
def test_whole_and_byte_by_byte_are_the_same(data: bytes) -> None:
    """Any split gives the same events."""
    parser = Parser()
    events: list[Event] = []
    for byte in data:
        events += parser.feed(bytes([byte]))
    assert events + parser.close() == parse(data)


@settings(max_examples=50, deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 60), max_size=4).map(sorted))
def test_any_split_is_the_same(data: bytes, cuts: list[int]) -> None:
    """Pieces of any size, empty ones among them."""
    parser = Parser()
    events: list[Event] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        events += parser.feed(data[start : max(start, end)])
    assert events + parser.close() == parse(data)


def test_the_standards_rules() -> None:
    """Comments, several data lines, one space stripped, names reset, an unfinished event dropped."""
    data = b": hi\r\nevent: a\ndata: 1\ndata:  2\r\rdata\n\nevent: lost\n\ndata: x\n\ndata: torn"
    assert parse(data) == [Event("a", b"1\n 2"), Event("", b""), Event("", b"x")]


def test_torn_tells_of_an_unfinished_event() -> None:
    """A cut stream is told from a whole one."""
    whole, cut = Parser(), Parser()
    whole.feed(b"data: a\n\n")
    cut.feed(b"data: a\n\ndata: b")
    assert (whole.torn, cut.torn) == (False, True)
    assert (whole.rest, cut.rest) == (b"", b"b")
