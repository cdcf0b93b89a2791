"""What pages, the API, the judge and exporters ask, and what they are told."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.identity import Pseudonyms
from gateway.model import WITHHELD, Attempt, Finding, Record, Usage
from gateway.store import CallFilter, Reads, Store
from gateway.store.questions import question
from gateway.store.reads import EDGES
from gateway.store.results import Taken, UpstreamHealth
from tests.store.samples import NOW, record, score

DAY = 86_400_000
BEGIN = datetime.fromtimestamp(NOW / 1000, UTC)


def usage(cost: str | None, tokens: int | None = 10) -> Usage:
    """Usage at a cost."""
    source = "unknown" if tokens is None else "reported"
    return Usage(
        source=source, input_tokens=tokens, output_tokens=tokens, cost_usd=None if cost is None else Decimal(cost)
    )


def ids(reads: Reads, **wanted: Any) -> list[str]:
    """Ids of the calls that a filter finds."""
    return [call.id for call in reads.calls(CallFilter(**wanted)).items]


def test_calls_come_newest_first_in_pages(store: Store, reads: Reads) -> None:
    """Pages follow each other without gap or repeat, while new calls come in and times are equal."""
    items = [record(started_at=NOW + number // 3) for number in range(10)]
    store.insert("a", items)
    seen: list[str] = []
    cursor = None
    for number in range(5):
        page = reads.calls(CallFilter(), 3, cursor)
        seen += [call.id for call in page.items]
        store.insert(f"later {number}", [record(started_at=NOW + 1000)])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [item.id for item in reversed(items)]


@pytest.mark.parametrize("cursor", ["", "ä", "!!", "W10", "WzEsMl0", "WzkyMjMzNzIwMzY4NTQ3NzU4MDcsIngiXQ"])
def test_foreign_cursors_are_refused(reads: Reads, cursor: str) -> None:
    """A cursor that we never gave is the caller's mistake; an empty one is the beginning."""
    if not cursor:
        assert reads.calls(CallFilter(), 3, cursor).items == []
        return
    with pytest.raises(ValueError, match="cursor"):
        reads.calls(CallFilter(), 3, cursor)


def test_pages_of_calls_with_text_end_early_when_it_is_long(store: Store, reads: Reads) -> None:
    """Each call comes once and with its text; one that is too long comes alone."""
    sizes = [1000, 9 << 20, 9 << 20, 20 << 20, 1000, 1000]
    store.insert("long", [record(id=f"long-{n}", request_bytes=size) for n, size in enumerate(sizes)])
    pages: list[list[str]] = []
    cursor = None
    while True:
        page = reads.calls_with_text(CallFilter(), 100, cursor)
        assert all(call.request["messages"] for call in page.items)
        pages.append([call.id for call in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == [["long-5", "long-4"], ["long-3"], ["long-2"], ["long-1", "long-0"]]


def test_filters(store: Store, reads: Reads, pseudonyms: Pseudonyms) -> None:
    """Each filter finds its calls; people and sessions are named raw and found by their pseudonym."""
    who = pseudonyms.identity("alice@example.com")
    plain = record()
    named = record(user=who, session=pseudonyms.identity("s1"), trace=pseudonyms.identity("t1"))
    failed = record(status=503, ended="complete", team="ops", key="ops-key", model="o3")
    cut = record(ended="upstream_reset")
    gone = record(ended="client_gone", status=0)
    judge = record(origin="judge")
    store.insert("a", [plain, named, failed, cut, gone, judge])
    assert ids(reads, user="alice@example.com") == [named.id]
    assert ids(reads, user=who) == [named.id]
    assert ids(reads, session="s1") == ids(reads, trace="t1") == [named.id]
    assert ids(reads, team="ops") == ids(reads, key="ops-key") == ids(reads, model="o3") == [failed.id]
    assert ids(reads, status="503") == ids(reads, status="5xx") == [failed.id]
    assert ids(reads, status="error") == [cut.id, failed.id]
    assert ids(reads, origin="judge") == [judge.id]
    assert ids(reads, origin=None) == [judge.id, *ids(reads)]
    with pytest.raises(ValueError, match="status"):
        reads.calls(CallFilter(status="ok"))


def test_since_is_inclusive_and_until_exclusive(store: Store, reads: Reads) -> None:
    """A call at the very millisecond of a bound belongs to the later period."""
    one, two = record(started_at=NOW), record(started_at=NOW + 1)
    store.insert("a", [one, two])
    bound = BEGIN + timedelta(milliseconds=1)
    assert ids(reads, until=bound) == [one.id]
    assert ids(reads, since=bound) == [two.id]
    assert ids(reads, since=BEGIN + timedelta(microseconds=1)) == [two.id]
    with pytest.raises(ValueError, match="zone"):
        reads.calls(CallFilter(since=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_search_finds_text_within_the_period(store: Store, reads: Reads) -> None:
    """Whatever the case, in requests and responses, with quotes, and only in the period."""
    old = record(started_at=NOW - DAY, request='{"a":"Needle"}')
    asked = record(request='{"a":"a NEEDLE, said \\"so\\""}')
    answered = record(response="ein needle, ÄPFEL 100%")
    store.insert("a", [old, asked, answered, record()])
    assert ids(reads, q="needle") == [answered.id, asked.id, old.id]
    assert ids(reads, q="needle", since=BEGIN) == [answered.id, asked.id]
    assert ids(reads, q='"so"') == [asked.id]
    assert ids(reads, q="äpfel 100%") == [answered.id]
    assert ids(reads, q="100_") == ids(reads, q="' OR 1=1 --") == []


def test_a_call_is_found_by_our_id_and_by_the_providers(store: Store, reads: Reads, pseudonyms: Pseudonyms) -> None:
    """Both names open the same call, with JSON texts parsed and others as they are."""
    item = record(response_ref=pseudonyms.reference("chatcmpl-1"), response="plain words", session="u_s")
    store.insert("a", [item, record()])
    ours, theirs = reads.call(item.id), reads.call("chatcmpl-1")
    assert ours == theirs
    assert ours is not None
    assert ours.request == {"messages": [{"role": "user", "content": "Hello <PERSON_1>"}]}
    assert ours.response == "plain words"
    assert ours.findings == item.findings
    assert reads.call("nobody") is None
    assert reads.call("") is None


def test_a_call_reads_as_the_api_promises(store: Store, reads: Reads) -> None:
    """Field names, the time's form, plain decimals."""
    item = record(usage=usage("0.000000500000"))
    store.insert("a", [item, score(item.id, why="good")])
    call = reads.call(item.id)
    assert call is not None
    shown = call.as_json()
    expected = {
        "id", "started_at", "model", "upstream", "status", "ended", "capture", "stream", "usage", "cost_usd",
        "latency_ms", "ttft_ms", "request", "response", "findings", "scores", "key", "team", "user", "session",
        "trace", "tags", "origin", "route", "response_model", "finish_reason", "price_version", "partial",
    }  # fmt: skip
    assert expected <= shown.keys()
    assert shown["cost_usd"] == "0.0000005"
    assert datetime.fromisoformat(shown["started_at"]) == datetime.fromtimestamp(item.started_at / 1000, UTC)
    assert shown["started_at"].endswith("Z")
    assert len(shown["started_at"]) == 24
    assert shown["usage"]["source"] == "reported"
    assert shown["findings"] == [
        {"path": "request.messages[].content", "entity": "PERSON", "recogniser": "ner", "confidence": 0.85}
    ]
    assert shown["scores"][0]["why"] == "good"


def test_attempts_are_told_in_order(store: Store, reads: Reads) -> None:
    """As they went into the store, in the list and by the call, and in the names of the API."""
    tried = (Attempt("openai", 429, "answered", 0.5, 12.25), Attempt("local", 0, "skipped", 13.0, 0.0))
    kept = record(attempts=tried)
    store.insert("batch", [kept, record()])
    found = reads.call(kept.id)
    assert found is not None
    assert found.attempts == tried
    assert found.as_json()["attempts"][0] == {
        "upstream": "openai",
        "status": 429,
        "ended": "answered",
        "began_ms": 0.5,
        "took_ms": 12.25,
    }
    assert sorted(call.attempts for call in reads.calls(CallFilter()).items) == [(), tried]
    assert [item.attempts for item in reads.stored_after(None).records] == [tried, ()]


def test_an_upstreams_health_is_told_by_attempts(store: Store, reads: Reads) -> None:
    """A call of one attempt is that attempt; one refused by the gateway is none; the last word tells what is open."""
    tried = (Attempt("openai", 503, "answered", 0.5, 2.0), Attempt("local", 200, "answered", 3.0, 2.0))
    skipped = (Attempt("openai", 0, "skipped", 0.1, 0.0), Attempt("local", 429, "answered", 0.2, 1.0))
    store.insert(
        "batch",
        [
            record(upstream="openai"),
            record(upstream="openai", status=502, ended="upstream_refused"),
            record(upstream="openai", status=403, ended="rejected"),
            record(upstream="local", attempts=tried),
            record(upstream="local", attempts=skipped),
        ],
    )
    since = datetime.fromtimestamp(NOW / 1000, UTC)
    assert reads.upstreams(since) == [
        UpstreamHealth(name="local", made=2, failed=0, skipped=False),
        UpstreamHealth(name="openai", made=3, failed=2, skipped=True),
    ]
    assert reads.upstreams(since + timedelta(hours=1)) == []


def test_unknown_cost_is_null_and_never_zero(store: Store, reads: Reads) -> None:
    """A free call costs 0, an unpriced one null, and the sum of nothing priced is null too."""
    free, unpriced = record(usage=usage("0"), model="free"), record(usage=usage(None), model="new")
    store.insert("a", [free, unpriced])
    costs = {call.id: call.as_json()["cost_usd"] for call in reads.calls(CallFilter()).items}
    assert costs == {free.id: "0", unpriced.id: None}
    rows = {row.group: row for row in reads.costs("model", "day", "UTC", None, None)}
    assert (rows["free"].cost_usd, rows["free"].unpriced) == (Decimal(0), 0)
    assert (rows["new"].cost_usd, rows["new"].unpriced) == (None, 1)


def test_unpriced_counts_answered_calls_with_tokens(store: Store, reads: Reads) -> None:
    """An error or a call of unknown usage has no price to miss."""
    store.insert(
        "a", [record(usage=usage(None), status=500), record(usage=usage(None, None)), record(usage=usage(None))]
    )
    assert reads.kpis(CallFilter()).unpriced == 1


def test_a_thumb_before_its_call_waits(store: Store, reads: Reads, pseudonyms: Pseudonyms) -> None:
    """A score that came first is found once its call is there, by each name a call has."""
    ref, trace = pseudonyms.reference("chatcmpl-2"), pseudonyms.identity("trace-2")
    by_ref, by_trace = score(ref), score(trace, rater="u_other", label="down", value=0.0)
    store.insert("a", [by_ref, by_trace])
    assert reads.resolve("chatcmpl-2") is None
    item = record(response_ref=ref, trace=trace)
    store.insert("b", [item])
    call = reads.call(item.id)
    assert call is not None
    assert call.scores == (by_ref, by_trace)
    assert reads.calls(CallFilter()).items[0].scores == call.scores


def test_the_latest_thumb_of_a_rater_wins_whichever_name_it_used(
    store: Store, reads: Reads, pseudonyms: Pseudonyms
) -> None:
    """Up by the response id, then down by our id: down; the totals agree."""
    item = record(response_ref=pseudonyms.reference("chatcmpl-3"))
    up, down = score(item.response_ref, at=NOW), score(item.id, at=NOW + 1, label="down", value=0.0)
    store.insert("a", [item, down, up])
    assert reads.calls(CallFilter()).items[0].scores == (down,)
    totals = reads.kpis(CallFilter())
    assert (totals.thumbs_up, totals.thumbs_down) == (0, 1)


def test_one_thumb_on_a_trace_counts_once(store: Store, reads: Reads) -> None:
    """However many calls the trace has; each of them shows it."""
    store.insert("a", [record(trace="u_t"), record(trace="u_t"), score("u_t")])
    assert [len(call.scores) for call in reads.calls(CallFilter()).items] == [1, 1]
    assert reads.kpis(CallFilter()).thumbs_up == 1


def test_simultaneous_scores_have_one_winner(store: Store, reads: Reads) -> None:
    """At the same millisecond the same one wins before and after the engine's merge."""
    item = record()
    store.insert("call", [item])
    for number in range(4):
        store.insert(f"s{number}", [score(item.id, at=NOW, label="up" if number % 2 else "down")])
    before = reads.calls(CallFilter()).items[0].scores
    store.command("OPTIMIZE TABLE scores FINAL")
    assert reads.calls(CallFilter()).items[0].scores == before
    assert len(before) == 1


def test_a_trace_with_one_call_names_it(store: Store, reads: Reads, pseudonyms: Pseudonyms) -> None:
    """Our id, a response id, a trace of one call; a trace of two names none."""
    one = record(response_ref=pseudonyms.reference("r"), trace=pseudonyms.identity("single"))
    twins = [record(trace=pseudonyms.identity("double")) for _ in range(2)]
    store.insert("a", [one, *twins])
    assert reads.resolve(one.id) == reads.resolve("r") == reads.resolve("single") == one.id
    assert reads.resolve("double") is None
    assert reads.resolve("") is None


def test_totals(store: Store, reads: Reads) -> None:
    """Spend without the judge's, errors, percentiles, verdicts and thumbs."""
    calls = [record(usage=usage("0.1"), latency_ms=100.0 * (number + 1), ttft_ms=10.0) for number in range(4)]
    failed = record(usage=usage(None, None), status=502, ended="upstream_refused", latency_ms=5.0, ttft_ms=None)
    judged = [
        score(calls[0].id, name="faithfulness", source="judge", value=0.5, label="hallucinated"),
        score(calls[1].id, name="hallucination", source="judge", value=1.0, label="grounded"),
        score(calls[2].id, name="hallucination", source="judge", value=None, label="failed"),
    ]
    store.insert("a", [*calls, failed, record(origin="judge", usage=usage("7")), *judged, score(calls[0].id)])
    totals = reads.kpis(CallFilter())
    assert (totals.spend, totals.judge_spend) == (Decimal("0.4"), Decimal(7))
    assert (totals.calls, totals.errors, totals.input_tokens, totals.output_tokens) == (5, 1, 40, 40)
    assert (totals.judge_mean, totals.judged, totals.thumbs_up, totals.thumbs_down) == (0.75, 2, 1, 0)
    assert totals.p50_ttft_ms == 10.0
    assert totals.p95_latency_ms is not None
    assert 300 <= totals.p95_latency_ms <= 400


def test_totals_of_nothing(reads: Reads) -> None:
    """An empty store has no spend, no percentile and no mean, rather than zeros."""
    totals = reads.kpis(CallFilter(team="nobody"))
    assert (totals.spend, totals.judge_spend, totals.p95_latency_ms, totals.p50_ttft_ms, totals.judge_mean) == (
        None,
    ) * 5
    assert (totals.calls, totals.errors, totals.judged) == (0, 0, 0)
    assert reads.costs("team", "hour", "UTC", None, None) == []


def test_filter_choices(store: Store, reads: Reads) -> None:
    """What occurs in the period, sorted."""
    store.insert("a", [record(team="b"), record(team="a", status=404), record(team="old", started_at=NOW - DAY)])
    found = reads.dimensions(BEGIN, None)
    assert (found.teams, found.statuses, found.models, found.keys) == (
        ["a", "b"],
        [200, 404],
        ["gpt-4o-mini"],
        ["shop-key"],
    )


ZONES = ["UTC", "Asia/Dhaka", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]


def bucket(at: int, zone: ZoneInfo, interval: str) -> datetime:
    """The hour or day that a moment lies in, the way a calendar says it."""
    local = datetime.fromtimestamp(at / 1000, zone)
    if interval == "day":
        return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return (local.astimezone(UTC) - into).astimezone(zone)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_costs_equal_the_sum_over_rows(filled: tuple[Reads, list[Record]], data: st.DataObject) -> None:
    """In any zone, over any period, by any dimension: to the last decimal."""
    reads, items = filled
    tz = data.draw(st.sampled_from(ZONES))
    interval = data.draw(st.sampled_from(["hour", "day"]))
    group = data.draw(st.sampled_from(["model", "team", "key", "user", "session"]))
    moments = st.none() | st.integers(NOW - 4 * DAY, NOW + DAY) | st.just(NOW - DAY)
    since, until = data.draw(moments), data.draw(moments)
    expected: dict[tuple[datetime, str], list[Record]] = defaultdict(list)
    for item in items:
        if item.origin == "product" and (since or 0) <= item.started_at < (until or 10**15):
            expected[bucket(item.started_at, ZoneInfo(tz), interval), getattr(item, group)].append(item)
    bounds = [None if at is None else datetime.fromtimestamp(at / 1000, UTC) for at in (since, until)]
    rows = reads.costs(group, interval, tz, bounds[0], bounds[1])  # type: ignore[arg-type]
    got = {(row.bucket_start.astimezone(UTC), row.group): (row.calls, row.cost_usd, row.input_tokens) for row in rows}
    assert len(got) == len(rows)
    assert got == {(at.astimezone(UTC), name): summed(group) for (at, name), group in expected.items()}


def summed(items: list[Record]) -> tuple[int, Decimal | None, int]:
    """Calls, cost and input tokens, added up by hand."""
    costs = [item.usage.cost_usd for item in items if item.usage.cost_usd is not None]
    return len(items), sum(costs, Decimal(0)) if costs else None, sum(item.usage.input_tokens or 0 for item in items)


@pytest.fixture
def filled(store: Store, reads: Reads) -> tuple[Reads, list[Record]]:
    """A few days of calls at odd times and odd costs."""
    items = [
        record(
            started_at=NOW - (number * 7_919_777) % (3 * DAY),
            model=f"m{number % 3}",
            team=f"t{number % 2}",
            key=f"k{number % 4}",
            user=f"u{number % 5}",
            session=f"s{number % 7}",
            origin="judge" if number % 11 == 0 else "product",
            usage=usage(None if number % 6 == 0 else f"{number}.{number:012d}", None if number % 8 == 0 else number),
        )
        for number in range(300)
    ]
    store.insert("a", items)
    return reads, items


def test_aggregates_are_used_and_equal_rows_after_mutations(store: Store, filled: tuple[Reads, list[Record]]) -> None:
    """Whole quarters are answered by the projection; reprice and forget leave it equal to the rows."""
    reads, _ = filled
    for group, projection in (("team", "quarters"), ("user", "user_quarters")):
        sql = question("costs").substitute(group=group, bucket="toStartOfDay", edges=EDGES, where="origin = 'product'")
        params = {"tz": "UTC", "since": 0, "first": 0, "first_s": 0, "last": NOW, "last_s": NOW // 1000, "until": NOW}
        plan = "\n".join(row["explain"] for row in store.query(f"EXPLAIN {sql}", params))
        assert f"({projection})" in plan
    totals = question("totals").substitute(edges=EDGES, where="team = 't1'")
    assert "(quarters)" in "\n".join(row["explain"] for row in store.query(f"EXPLAIN {totals}", params))
    store.command("ALTER TABLE calls UPDATE cost_usd = toDecimal128('0.000000000001', 12) WHERE model = 'm1'")
    store.command("ALTER TABLE calls DELETE WHERE user = 'u2'")
    store.command("OPTIMIZE TABLE calls FINAL")
    raw = store.query(
        "SELECT team, count() AS n, sum(cost_usd) AS cost FROM calls WHERE origin = 'product' GROUP BY team"
        " SETTINGS optimize_use_projections = 0"
    )
    rows = reads.costs("team", "day", "UTC", None, None)
    for part in raw:
        of_team = [row for row in rows if row.group == part["team"]]
        assert sum(row.calls for row in of_team) == part["n"]
        assert sum((row.cost_usd for row in of_team if row.cost_usd is not None), Decimal(0)) == part["cost"]


@pytest.mark.parametrize("bad", [{"group_by": "id"}, {"interval": "week"}, {"tz": "Mars/Olympus"}, {"tz": "../etc"}])
def test_senseless_cost_questions_are_refused(reads: Reads, bad: dict[str, Any]) -> None:
    """The message names the argument."""
    asked: dict[str, Any] = {"group_by": "team", "interval": "hour", "tz": "UTC", "since": None, "until": None}
    with pytest.raises(ValueError, match=next(iter(bad))):
        reads.costs(**(asked | bad))


def test_judge_candidates(store: Store, reads: Reads) -> None:
    """Answered product calls with text and no verdict, oldest first; a human's thumb is no verdict."""
    fresh, thumbed = record(session="u_s"), record()
    judged, failed = record(), record()
    others = [
        record(origin="judge"),
        record(status=500),
        record(request=WITHHELD, response=WITHHELD, capture="withheld"),
        record(response=""),
        record(capture="none"),
        record(started_at=NOW - DAY),
    ]
    verdicts = [score(judged.id, source="judge"), score(failed.id, source="judge", label="failed", value=None)]
    store.insert("a", [thumbed, fresh, judged, failed, *others, *verdicts, score(thumbed.id)])
    found = reads.judge_candidates(1.0, 10, BEGIN)
    assert [call.id for call in found] == [fresh.id, thumbed.id]
    assert found[0].request == {"messages": [{"role": "user", "content": "Hello <PERSON_1>"}]}
    assert [call.id for call in reads.judge_candidates(1.0, 1, BEGIN)] == [fresh.id]
    assert reads.judge_candidates(0.0, 10, BEGIN) == []


def test_a_sample_is_the_same_each_time_and_grows(store: Store, reads: Reads) -> None:
    """The share is chosen by hash: asking again gives the same calls, a larger share those and more."""
    store.insert("a", [record() for _ in range(200)])
    small, again, large = (
        {call.id for call in reads.judge_candidates(sample, 500, BEGIN)} for sample in (0.2, 0.2, 0.5)
    )
    assert small == again < large
    assert 15 < len(small) < 70


def test_judge_spend(store: Store, reads: Reads) -> None:
    """Only judging, only since."""
    judge = [record(origin="judge", usage=usage(cost)) for cost in ("0.25", None)]
    store.insert("a", [*judge, record(), record(origin="judge", started_at=NOW - DAY)])
    assert reads.judge_spend(BEGIN) == (2, Decimal("0.25"))


def test_exporters_follow_what_is_stored(store: Store, reads: Reads) -> None:
    """Each record and score once, in pieces, with what comes later; from the end there is nothing."""
    first = [record(started_at=NOW - DAY), record(), score("x")]
    store.insert("a", first, retried=False)
    store.insert("b", late := [record(started_at=NOW - 2 * DAY), score("y")])
    seen: list[object] = []
    cursor = None
    while True:
        stored = reads.stored_after(cursor, 2)
        cursor = stored.cursor
        if not stored.records and not stored.scores:
            break
        seen += [*stored.records, *stored.scores]
    assert sorted(seen, key=repr) == sorted([*first, *late], key=repr)
    store.insert("c", third := [record()])
    assert reads.stored_after(cursor).records == third


def test_findings_are_counted_by_entity(store: Store, reads: Reads) -> None:
    """Pieces and calls, of a period alone."""
    mail, name = Finding("request.x", "EMAIL_ADDRESS", "patterns", 0.9), Finding("request.y", "PERSON", "ner", 0.8)
    store.insert(
        "b1",
        [
            record(findings=(mail, mail, name)),
            record(findings=(mail,)),
            record(findings=()),
            record(findings=(name,), started_at=NOW - DAY),
        ],
    )
    assert reads.findings(BEGIN - timedelta(hours=1), BEGIN + timedelta(hours=1)) == [
        Taken(entity="EMAIL_ADDRESS", pieces=3, calls=2),
        Taken(entity="PERSON", pieces=1, calls=1),
    ]
    assert reads.findings(BEGIN + timedelta(days=1), BEGIN + timedelta(days=2)) == []
