"""Times and zones as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import moments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T00:00:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23t06:00:00.250+06:00", datetime(2026, 11, 23, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-23 06:00:00 06:00", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-22T20:00-04:00", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
    ],
)
def test_rfc_3339_is_read(text: str, expected: datetime) -> None:
    """With any offset, a plus turned into a space, or a date alone."""
    assert moments.moment(text) == expected


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-23T00:00:00", "2026-13-01", "2026-02-30", "1763856000", "0001-01-01T00:00:00Z",
             "9999-12-31T23:59:59-12:00", "2026-11-23T25:00:00Z", "20261123", "2026-W48-1", "2026-11-23T00:00:00+99:00"]
)  # fmt: skip
def test_anything_else_is_named(text: str) -> None:
    """A time without its zone could mean several."""
    with pytest.raises(ValueError, match="expected"):
        moments.moment(text)


@given(st.text(max_size=40))
def test_no_text_raises_another_error(text: str) -> None:
    """Either it is a time in the years that are taken, or it is a ValueError."""
    try:
        found = moments.moment(text)
    except ValueError:
        return
    assert found.utcoffset() == timedelta(0)


@given(st.text(max_size=40) | st.sampled_from(["../etc/passwd", "/etc/localtime", "Europe", "posix/UTC", "\0", "utc "]))
def test_no_name_of_a_zone_raises_another_error(name: str) -> None:
    """Names of paths, folders and nothing are no zones."""
    try:
        found = moments.zone(name)
    except ValueError:
        return
    assert found.key == name


def test_zones_are_known_by_name() -> None:
    """The database's own names."""
    assert moments.zone("Asia/Dhaka").key == "Asia/Dhaka"
    assert moments.zone("UTC").key == "UTC"
