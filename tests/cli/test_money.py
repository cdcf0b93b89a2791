"""``gateway reprice`` and ``gateway reconcile`` as an operator types them, against the read API over a real store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import pytest

from gateway.answers import RepricedAnswer, UndoneAnswer, UsagesAnswer
from gateway.config import Price, Retention
from gateway.identity import Pseudonyms
from gateway.login import Gate
from gateway.meter.prices import TABLE
from gateway.model import Record, Usage
from gateway.money.repricer import Repricer
from gateway.site import application
from gateway.store import Reads, Store
from gateway.store.repricing import Repricing
from tests.cli.test_cli import run
from tests.fakes.clickhouse import FakeClickHouse
from tests.fakes.site import BALANCED, NOTES, TOKEN, served
from tests.store.samples import record

HOUSE = {"own-*": Price(input_per_mtok=Decimal(2), output_per_mtok=Decimal(8))}
MONTH = ("--since", "2026-11-01", "--until", "2026-12-01")
Command = Callable[..., "CompletedProcess[str]"]


def call(day: int, model: str, cost: str | None, **changes: Any) -> Record:
    """A call of November 2026 at noon UTC: 1,000 tokens in and 10 out."""
    values: dict[str, Any] = {"source": "reported", "input_tokens": 1000, "output_tokens": 10}
    values |= {"cost_usd": None if cost is None else Decimal(cost), "price_version": "override" if cost else ""}
    usage = Usage(**(values | changes.pop("usage", {})))
    at = int(datetime(2026, 11, day, 12, tzinfo=UTC).timestamp() * 1000)
    return record(model=model, response_model=changes.pop("answered", model), usage=usage, started_at=at, **changes)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeClickHouse]:
    """A store's server; each test has a database of its own."""
    fake = FakeClickHouse(tmp_path_factory.mktemp("served")).start()
    yield fake
    fake.stop()


@pytest.fixture
def store(server: FakeClickHouse, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of its own."""
    opened = Store.open(server.url(request.node.name), tmp_path, Retention())
    yield opened
    opened.close()


@pytest.fixture
def base(store: Store) -> Iterator[str]:
    """Where the API over it answers."""
    reads = Reads(store, Pseudonyms(b"p" * 32))
    repricer = partial(Repricer, Repricing(store), HOUSE)
    app = application(reads, lambda: BALANCED, Gate(TOKEN), NOTES, repricer=repricer)
    with served(app) as url:
        yield url


@pytest.fixture
def gateway(base: str, tmp_path: Path) -> Command:
    """The command with its address and token."""

    def command(name: str, *arguments: str) -> CompletedProcess[str]:
        return run(tmp_path, name, *arguments, "--url", base, "--token", TOKEN)

    return command


def stands(store: Store) -> list[tuple[str, Decimal | None, str]]:
    """Model, cost and price version of every call."""
    rows = store.query("SELECT model, cost_usd, price_version FROM calls ORDER BY model, id")
    return [(row["model"], row["cost_usd"], row["price_version"]) for row in rows]


def test_reprice_tells_before_and_after_and_takes_it_back(store: Store, gateway: Command) -> None:
    """A dry run, the run, the run again, its undoing: the table, exact strings, and the rows."""
    store.insert("a", [call(3, "own-1", "0.5"), call(3, "own-1", None), call(4, "nobody-knows", "0.25")])
    before = stands(store)
    dry = gateway("reprice", *MONTH, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "dry run: nothing was changed" in dry.stdout
    assert stands(store) == before
    done = gateway("reprice", *MONTH)
    assert done.returncode == 0, done.stderr
    name = done.stderr.split()[1].rstrip(";")
    assert done.stdout.splitlines() == [
        f"prices: current: {TABLE} and 1 override(s)",
        "model         calls  before    after  difference",
        "nobody-knows      1    0.25        –       -0.25",
        "own-1             2    0.50  0.00416    -0.49584",
        "total             3    0.75  0.00416    -0.74584",
        "1 call(s) had no price and have one now (own-1)",
        "1 call(s) lost their price: these prices do not know the model, tier or kind of tokens (nobody-knows)",
    ]
    repriced = [("nobody-knows", None, ""), *[("own-1", Decimal("0.00208"), "override")] * 2]
    assert stands(store) == repriced
    again = gateway("reprice", *MONTH, "--json")
    assert json.loads(again.stdout)["total"]["changed"] == 0
    assert (json.loads(again.stdout)["run"], again.stderr) == (None, "")
    undone = gateway("reprice", "--undo", name, "--json")
    assert json.loads(undone.stdout)["total"]["after"] == "0.75"
    assert stands(store) == before
    assert gateway("reprice", "--undo", name).returncode == 2


def test_a_price_file_is_a_version_of_its_own(store: Store, gateway: Command, tmp_path: Path, base: str) -> None:
    """YAML or JSON, only for the models asked for; each call tells both figures."""
    items = [call(3, "own-1", "0.5"), call(3, "own-2", "0.5")]
    store.insert("a", items)
    overrides = {"own-*": {"input_per_mtok": 0.1, "output_per_mtok": "1e-12"}}
    (tmp_path / "prices.json").write_text(json.dumps({"version": "contract 2026-12", "overrides": overrides}))
    (tmp_path / "prices.yaml").write_text("version: contract 2026-12\noverrides: {own-*: {input_per_mtok: 0.1,"
                                          " output_per_mtok: '1e-12'}}")  # fmt: skip
    told = [
        json.loads(gateway("reprice", *MONTH, "--prices", f"prices.{kind}", "--model", "*-1", "--json", *dry).stdout)
        for kind, dry in (("json", ["--dry-run"]), ("yaml", []))
    ]
    assert told[0]["models"] == told[1]["models"]
    assert told[1]["total"] | {"model": "own-1"} == told[1]["models"][0]
    assert (told[1]["version"], told[1]["total"]["difference"]) == ("contract 2026-12", "-0.4999")
    assert stands(store) == [("own-1", Decimal("0.0001"), "contract 2026-12"), ("own-2", Decimal("0.5"), "override")]
    shown = httpx.get(f"{base}/api/calls/{items[0].id}", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert (shown["cost_before"], shown["price_version_before"]) == ("0.5", "override")
    assert shown["repriced_by"] == told[1]["run"]
    with httpx.Client(base_url=base, follow_redirects=True) as browser:
        browser.get("/dashboards/login", params={"token": TOKEN})
        page = browser.get(f"/dashboards/calls/{items[0].id}").text
    assert told[1]["run"] in page
    assert "$0.5, override" in page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--since and --until, or --undo RUN alone"),
        (["--since", "2026-11-01"], "--since and --until, or --undo RUN alone"),
        ([*MONTH, "--undo", "x"], "--since and --until, or --undo RUN alone"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "until: expected a time after since"),
        (["--since", "yesterday", "--until", "2026-11-01"], "since: expected an RFC 3339 time"),
        ([*MONTH, "--prices", "none.yaml"], "none.yaml cannot be read"),
        ([*MONTH, "--prices", "bad.yaml"], "bad.yaml: overrides.own.input_per_mtok:"),
        ([*MONTH, "--prices", "named.yaml"], "named.yaml: version: Value error, expected a name of its own"),
        (["--undo", "20261101-000000-abcdef"], "no stored call was repriced by this run"),
        (["--undo", "a'b"], "run:"),
    ],
)
def test_mistakes_end_with_code_2(gateway: Command, tmp_path: Path, arguments: list[str], told: str) -> None:
    """And say what to do; nothing is half done."""
    (tmp_path / "bad.yaml").write_text("{version: v, overrides: {own: {input_per_mtok: many, output_per_mtok: 1}}}")
    (tmp_path / "named.yaml").write_text("{version: genai-prices 9}")
    done = gateway("reprice", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_gateway_or_its_token(tmp_path: Path, base: str) -> None:
    """Both commands say so."""
    (tmp_path / "usage.csv").write_text("date,model,cost\n2026-11-03,m,1\n")
    for arguments in (("reprice", *MONTH), ("reconcile", "usage.csv")):
        wrong = run(tmp_path, *arguments, "--url", base, "--token", "wrong")
        assert (wrong.returncode, "--token" in wrong.stderr) == (2, True)
        away = run(tmp_path, *arguments, "--url", "http://127.0.0.1:9", "--token", TOKEN)
        assert (away.returncode, "no gateway answers there" in away.stderr) == (2, True)


def test_the_api_answers_as_documented(store: Store, base: str) -> None:
    """Every field of the documentation and no other; without the token nothing is read or changed."""
    store.insert("a", [call(3, "own-1", "0.5")])
    admin = httpx.Client(base_url=base, headers={"authorization": f"Bearer {TOKEN}"})
    body = {"since": "2026-11-01", "until": "2026-12-01"}
    for path in ("/api/reprice", "/api/reprice/undo"):
        assert httpx.post(base + path, json=body).status_code == 401
    assert httpx.get(f"{base}/api/usage", params=body).status_code == 401
    assert stands(store) == [("own-1", Decimal("0.5"), "override")]
    UsagesAnswer.model_validate_json(admin.get("/api/usage", params=body).content)
    step = RepricedAnswer.model_validate_json(admin.post("/api/reprice", json=body).content)
    UndoneAnswer.model_validate_json(admin.post("/api/reprice/undo", json={"run": step.run}).content)
    wrong = admin.post("/api/reprice", json=body | {"modle": "x"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "modle")
    assert admin.post("/api/reprice", json=body | {"cursor": "x"}).status_code == 422
    documented = admin.get("/openapi.json").json()["paths"] if admin.get("/openapi.json").status_code == 200 else None
    assert documented is None or "/api/reprice" in documented


STATEMENT = """date,model,cost_usd,input_tokens,output_tokens
2026-11-03,gpt-4o-2024-08-06,0.50,1000,10
2026-11-03,own-1,0.30,1500,12
2026-11-03,own-2,0.30,1000,10
2026-11-03,gpt-5,1.00,1000,10
2026-11-03,elsewhere,2.00,5,5
2026-11-04,own-1,0.20,1000,10
"""


def test_reconcile_names_each_difference(store: Store, gateway: Command, tmp_path: Path) -> None:
    """By model and day: what agrees, and for the rest the facts; the judge's calls count and are told."""
    store.insert(
        "a",
        [
            call(3, "gpt-4o", "0.495", answered="gpt-4o-2024-08-06"),
            call(3, "own-1", "0.20", usage={"partial": True}),
            call(3, "own-2", "0.20"),
            call(3, "gpt-5", None, answered="gpt-5-2025-08-07"),
            call(3, "only-ours", "0.75", usage={"source": "counted"}),
            call(4, "own-1", "0.20", origin="judge"),
            call(5, "own-1", "9"),
            call(3, "", None, usage={"input_tokens": None, "output_tokens": None, "source": "unknown"}),
        ],
    )
    (tmp_path / "usage.csv").write_text(STATEMENT)
    done = gateway("reconcile", "usage.csv", "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    lines = {(line["day"], line["model"]): line for line in told["lines"]}
    assert {key: (line["difference"], line["reasons"]) for key, line in lines.items()} == {
        ("2026-11-03", "gpt-4o-2024-08-06"): ("0.005", []),
        ("2026-11-03", "own-1"): ("0.1", ["partial 1 call", "tokens differ (in +500 / out +2)"]),
        ("2026-11-03", "own-2"): ("0.1", ["price differs"]),
        ("2026-11-03", "gpt-5"): ("1", ["unpriced 1 call"]),
        ("2026-11-03", "elsewhere"): ("2", ["only theirs: these calls did not pass the gateway"]),
        ("2026-11-03", "only-ours"): (
            "-0.75", ["only ours: the file has no line for it", "counted (not reported) 1 call"],
        ),
        ("2026-11-04", "own-1"): ("0", []),
    }  # fmt: skip
    assert lines["2026-11-04", "own-1"]["notes"] == ["judge: 1 call, $0.2"]
    assert told["total"] == {"theirs": "4.3", "ours": "1.845", "difference": "2.455"}
    assert (told["agreed"], lines["2026-11-03", "own-1"]["percent"]) == (False, "33.3")
    table = gateway("reconcile", "usage.csv")
    assert (
        "2026-11-03  own-2                0.30   0.20       +0.10   +33.3  price differs" in table.stdout.splitlines()
    )
    assert table.stdout.endswith("5 of 7 line(s) differ by more than $0.01\n")


def test_reconcile_agrees_within_tolerance_period_and_zone(store: Store, gateway: Command, tmp_path: Path) -> None:
    """Exit 0; the day is the provider's, and other upstreams can be left out."""
    late = call(3, "own-1", "0.2")
    late = record(
        model="own-1", response_model="own-1", usage=late.usage, started_at=late.started_at + 8 * 3_600_000
    )  # 20:00 UTC is the fourth in Dhaka.
    store.insert("a", [late, call(4, "claude", "5", upstream="anthropic")])
    (tmp_path / "usage.csv").write_text("date,model,cost\n2026-11-04,own-1,0.21\n2026-11-09,own-1,7\n")
    rest = ("--since", "2026-11-04", "--until", "2026-11-05", "--tz", "Asia/Dhaka")
    assert gateway("reconcile", "usage.csv", *rest).returncode == 1
    agreed = gateway("reconcile", "usage.csv", *rest, "--upstream", "openai")
    assert (agreed.returncode, agreed.stdout.splitlines()[-1]) == (0, "all agree")
    assert gateway("reconcile", "usage.csv", *rest, "--upstream", "openai", "--tolerance", "0.009").returncode == 1


def test_reconcile_by_tokens_alone(store: Store, gateway: Command, tmp_path: Path) -> None:
    """A usage export without amounts."""
    store.insert("a", [call(3, "gpt-4o", "0.2"), call(4, "gpt-4o", "0.2")])
    text = "start_time,model,num_model_requests,input_tokens,output_tokens\n"
    text += "1793664000,gpt-4o-2024-08-06,1,1000,10\n1793750400,gpt-4o-2024-08-06,2,2000,10\n"
    (tmp_path / "usage.csv").write_text(text)
    done = gateway("reconcile", "usage.csv", "--json")
    assert done.returncode == 1
    first, second = json.loads(done.stdout)["lines"]
    assert (first["agreed"], first["difference"]) == (True, None)
    assert second["reasons"] == ["tokens differ (in +1,000 / out +0)", "requests differ (+1)"]


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("when,what\n", [], "Found when, what. Expected day: one of date"),
        ("date,model,cost\n2026-11-03,m,x\n", [], "usage.csv: line 2: cost: expected an amount"),
        ("date,model,cost\n2026-11-03,m,1\n", ["--since", "2026-12-01"], "no line of the file lies"),
        ("date,model,cost\n2026-11-03,m,1\n", ["--since", "soon"], "--since: expected a date"),
        ("date,model,cost\n2026-11-03,m,1\n", ["--tz", "Mars"], "--tz: expected an IANA time zone"),
        ("date,model,cost\n2026-11-03,m,1\n", ["--tolerance", "-1"], "--tolerance: expected"),
        ("date,model,cost\n0001-01-01,m,1\n", ["--tz", "Asia/Dhaka"], "expected a day"),
        ("date,model,cost\n2026-11-03,m,1\n9999-12-31,m,1\n", [], "last of the calendar"),
    ],
)
def test_bad_input_ends_with_code_2(
    gateway: Command, tmp_path: Path, text: str, arguments: list[str], told: str
) -> None:
    """Neither agreement nor difference."""
    (tmp_path / "usage.csv").write_text(text)
    done = gateway("reconcile", "usage.csv", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
