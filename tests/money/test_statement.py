"""Providers' exports as they come: columns found by name, figures exact, and one error for whatever is none."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.money import figures
from gateway.money.statement import NO_MODEL, Line, Statement, parse, read

ZULU = ZoneInfo("UTC")
DAY = date(2026, 11, 3)
SETTINGS = settings(max_examples=100, deadline=None)


def lines(text: str | bytes, zone: ZoneInfo = ZULU) -> dict[tuple[date, str], Line]:
    """The lines of a file."""
    return parse(text.encode() if isinstance(text, str) else text, zone).lines


def test_the_plain_one() -> None:
    """Several lines of one day and model add up; unknown columns are passed over."""
    text = "date,model,note,cost_usd,requests,input_tokens,output_tokens\n"
    text += "2026-11-03,gpt-4o,x,0.10,1,10,5\n2026-11-03,gpt-4o,y,0.000000000001,2,20,6\n"
    assert lines(text) == {
        (DAY, "gpt-4o"): Line(cost=Decimal("0.100000000001"), requests=3, input_tokens=30, output_tokens=11)
    }


def test_openais_cost_export() -> None:
    """Unix seconds, an amount with its currency, and line items that name model and kind of tokens."""
    text = "start_time,end_time,amount_value,amount_currency,line_item,project_id\n"
    text += '1793664000,1793750400,0.5,usd,"gpt-4o-2024-08-06, input",p\n'
    text += '1793664000,1793750400,1.25,USD,"gpt-4o-2024-08-06, output",p\n1793664000,1793750400,2,usd,,p\n'
    found = parse(text.encode(), ZULU)
    assert found.lines == {
        (DAY, "gpt-4o-2024-08-06"): Line(cost=Decimal("1.75")),
        (DAY, NO_MODEL): Line(cost=Decimal(2)),
    }
    assert (found.has_cost, found.has_tokens) == (True, False)


def test_openais_usage_export() -> None:
    """Tokens without cost, under the older names or the newer."""
    for read_as, wrote_as in (
        ("n_context_tokens_total", "n_generated_tokens_total"),
        ("input_tokens", "output_tokens"),
    ):
        text = f"start_time_iso,model,num_model_requests,{read_as},{wrote_as},input_cached_tokens\n"
        text += "2026-11-03T00:00:00+00:00,gpt-4o-2024-08-06,3,1200,30,100\n"
        found = parse(text.encode(), ZULU)
        line = Line(requests=3, input_tokens=1200, output_tokens=30)
        assert found == Statement({(DAY, "gpt-4o-2024-08-06"): line}, has_cost=False, has_tokens=True)


def test_anthropics_export() -> None:
    """Its parts of the input add up to ours."""
    head = "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"
    head += "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,cost_usd\n"
    found = lines(head + "2026-11-03,claude-sonnet-4-5-20250929,k,10,20,30,40,7,0.001\n")
    line = Line(cost=Decimal("0.001"), input_tokens=100, output_tokens=7)
    assert found == {(DAY, "claude-sonnet-4-5-20250929"): line}


def test_semicolons_marks_and_a_total() -> None:
    """As a spreadsheet saves it: a mark before the first byte, semicolons, decimal commas, and a sum below."""
    text = '\ufeffDate;Model;Cost USD\r\n"2026-11-03";"gpt ""x""";"$1.234,56"\r\n\r\nTotal;;$1.234,56\r\n'
    assert lines(text) == {(DAY, 'gpt "x"'): Line(cost=Decimal("1234.56"))}
    assert lines(text[1:].encode("utf-16")) == lines(text)
    assert lines("date;model;cost\n2026-11-03;m;0,125") == {(DAY, "m"): Line(cost=Decimal("0.125"))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234.50", "1234.50"), ("$1,234.50", "1234.50"), ("1.234,50", "1234.50"), ("1,234,567", "1234567"),
        ("1.234.567", "1234567"), ("0,123", "0.123"), ("1,234", "1234"), ("12,5", "12.5"), ("(3.20)", "-3.20"),
        ("-$0.01", "-0.01"), ("2e-05", "0.00002"), ("USD 7", "7"), ("7 USD", "7"), (".5", "0.5"), ("1 234,5", "1234.5"),
        ("1'234.5", "1234.5"),
    ],
)  # fmt: skip
def test_amounts(text: str, expected: str) -> None:
    """However they are written."""
    assert figures.amount(text) == Decimal(expected)


@pytest.mark.parametrize("text", ["", "-", "NaN", "Infinity", "€5", "1,23,4", "1.2.3,4,5", "0x10", "1e999", "5 apples"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Never read as something else; another currency neither."""
    with pytest.raises(ValueError, match="expected an amount"):
        figures.amount(text)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-11-03", "Asia/Dhaka", DAY), ("20261103", "UTC", DAY), ("2026/11/03", "UTC", DAY),
        ("2026-11-03 00:00:00 UTC", "UTC", DAY), ("2026-11-02T18:00:00Z", "Asia/Dhaka", DAY),
        ("2026-11-02T20:00:00", "Asia/Dhaka", date(2026, 11, 2)), ("1793664000", "UTC", DAY),
        ("1793664000000", "UTC", DAY), ("1793664000", "America/New_York", date(2026, 11, 2)),
    ],
)  # fmt: skip
def test_days(text: str, zone: str, expected: date) -> None:
    """A date is a date; a moment belongs to its day in the zone."""
    assert figures.day(text, ZoneInfo(zone)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Found nothing"),
        (
            "when,what\n1,2",
            "no column for day and model and cost (or the tokens of input and output). Found when, what.",
        ),
        (
            "date,cost\n2026-11-03,1",
            "no column for model. Found date, cost. Expected model: one of model, model_version",
        ),
        ("date,model,cost\n", "has a head and no lines"),
        ("date,model,cost\n2026-11-03,m,1\nyesterday,m,2", "line 3: day: expected a date"),
        ("date,model,cost\n2026-13-03,m,1", "line 2: day: expected a date"),
        ("date,model,cost\n2026-11-03,m,much", "line 2: cost: expected an amount"),
        ("date,model,cost,currency\n2026-11-03,m,1,eur", "line 2: currency: expected USD"),
        ("date,model,cost,requests\n2026-11-03,m,1,1.5", "line 2: requests: expected a whole number"),
        ('date,model,cost\n2026-11-03,"m,1', "line 2:"),
    ],
)
def test_a_bad_file_says_where(tmp_path: Path, text: str, told: str) -> None:
    """The line, or what was found and what was expected; never the cells."""
    path = tmp_path / "usage.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(path, ZULU)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


def test_a_missing_file_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Told like any other mistake."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.csv", ZULU)
    with pytest.raises(ValueError, match="UTF-8"):
        lines(b"date,model,cost\n\xff\xfe\xfa")


AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False)
ROWS = st.lists(
    st.tuples(
        st.dates(date(2020, 1, 1), date(2030, 1, 1)),
        st.text("abcXYZ-.:/\"';,\n é", min_size=1, max_size=12).filter(lambda it: it.strip() and ", " not in it),
        AMOUNTS,
        st.integers(0, 10**12),
    ),
    min_size=1,
    max_size=12,
)


def shapes() -> st.SearchStrategy[dict[str, Any]]:
    """Ways to write the same file."""
    return st.fixed_dictionaries(
        {
            "separator": st.sampled_from(",;\t"),
            "order": st.permutations(["day", "model", "cost", "in", "out", "else"]),
            "mark": st.booleans(),
            "dates": st.sampled_from(["iso", "unix", "time"]),
            "grouped": st.booleans(),
            "sign": st.sampled_from(["", "$"]),
        }
    )


def written(rows: list[tuple[date, str, Decimal, int]], shape: dict[str, Any]) -> bytes:
    """A file of these rows."""
    names = {
        "day": "Date",
        "model": "model",
        "cost": "cost_usd",
        "in": "input_tokens",
        "out": "output_tokens",
        "else": "x",
    }
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=shape["separator"])
    writer.writerow([names[field] for field in shape["order"]])
    for day, model, cost, tokens in rows:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        days = {"iso": day.isoformat(), "unix": str(int(at.timestamp())), "time": at.isoformat()}
        amount = f"{cost:,.12f}" if shape["grouped"] else f"{cost:.12f}"
        cells = {
            "day": days[shape["dates"]], "model": model, "cost": shape["sign"] + amount,
            "in": str(tokens), "out": str(tokens + 1), "else": "2026",
        }  # fmt: skip
        writer.writerow([cells[field] for field in shape["order"]])
    return (b"\xef\xbb\xbf" if shape["mark"] else b"") + file.getvalue().encode()


@SETTINGS
@given(rows=ROWS, shape=shapes())
def test_however_a_file_is_written_its_sums_are_exact(rows: list[tuple[date, str, Decimal, int]], shape: Any) -> None:
    """Separator, order, dates, quoting, signs and thousands make no difference."""
    expected: dict[tuple[date, str], Line] = {}
    for day, model, cost, tokens in rows:
        line = expected.setdefault((day, model.strip()), Line(cost=Decimal(0), input_tokens=0, output_tokens=0))
        line.cost = (line.cost or Decimal(0)) + cost
        line.input_tokens = (line.input_tokens or 0) + tokens
        line.output_tokens = (line.output_tokens or 0) + tokens + 1
    assert lines(written(rows, shape)) == expected


CELLS = st.text(max_size=12) | st.sampled_from(
    ["2026-11-03", "1793664000", "99999999999999", "9999-12-31T23:59:59-12:00", "1e99", "-5", '"', "Total", "1,2", "٣"]
)
HEADS = st.sampled_from(
    ["date", "start_time", "model", "cost", "amount_currency", "input_tokens", "output_tokens", "x"]
)


@SETTINGS
@given(
    head=st.lists(HEADS, max_size=6),
    rows=st.lists(st.lists(CELLS, max_size=7), max_size=5),
    separator=st.sampled_from(",;\t"),
    zone=st.sampled_from(["UTC", "Asia/Dhaka", "Pacific/Kiritimati"]),
)
def test_no_text_raises_anything_else(head: list[str], rows: list[list[str]], separator: str, zone: str) -> None:
    """A statement, or a ValueError."""
    text = "\n".join(separator.join(row) for row in [head, *rows])
    sound(text.encode("utf-8", "replace"), zone)


@SETTINGS
@given(content=st.binary(max_size=200))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    """Neither do bytes of any kind, also behind a good head."""
    sound(content, "UTC")
    sound(b"date,model,cost\n" + content, "UTC")


def sound(content: bytes, zone: str) -> None:
    """Whole numbers and finite amounts, or the one error."""
    try:
        found = parse(content, ZoneInfo(zone))
    except ValueError:
        return
    assert found.lines
    for line in found.lines.values():
        assert line.cost is None or line.cost.is_finite()
        assert all(number is None or number >= 0 for number in (line.requests, line.input_tokens, line.output_tokens))
