"""The pages without a browser: what they say, who may see them, what they do when something is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from dashboards import assets
from dashboards.pages import Late, Notes
from gateway.errors import JournalError
from gateway.login import COOKIE
from gateway.model import Attempt, Ledger, Usage
from tests.fakes.reads import NOW, FakeReads, call, lifelike, thumb, verdict
from tests.fakes.site import TOKEN, site

SAME = {"origin": "http://testserver"}


class Text(HTMLParser):
    """What a reader sees: text outside scripts, one space between words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.skipping = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.skipping = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self.skipping = False

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.pieces.append(data)


def text(html: str) -> str:
    """The words of a page."""
    return " ".join(" ".join(Text(html).pieces).split())


@pytest.fixture
def reads() -> FakeReads:
    """A few hundred calls."""
    return FakeReads(lifelike(400))


@pytest.fixture
def anybody(reads: FakeReads) -> Iterator[TestClient]:
    """Not logged in."""
    with TestClient(site(reads), follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def reader(anybody: TestClient) -> TestClient:
    """Logged in by the link."""
    assert anybody.get("/dashboards/login", params={"token": TOKEN}).status_code == 303
    return anybody


def test_every_page_wants_a_login_and_leads_back(anybody: TestClient) -> None:
    """To the form, which knows where one wanted to go."""
    for path in ("/", "/dashboards", "/dashboards/", "/dashboards/calls?team=search", "/dashboards/calls/x"):
        answer = anybody.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/dashboards/login?next=")
        assert not answer.text
    form = anybody.get(anybody.get("/dashboards/calls?team=a%20b").headers["location"])
    assert 'value="/dashboards/calls?team=a%20b"' in form.text
    fields = {"token": TOKEN, "next": "/dashboards/calls?team=a%20b"}
    assert anybody.post("/dashboards/login", data=fields, headers=SAME).headers["location"] == fields["next"]
    assert anybody.get("/dashboards/").status_code == 200


def test_the_cookie_is_kept_from_scripts_and_other_sites(anybody: TestClient) -> None:
    """HttpOnly, SameSite=Strict, on every path, gone by itself; Secure behind TLS."""
    cookie = anybody.get("/dashboards/login", params={"token": TOKEN}).headers["set-cookie"]
    for part in (f"{COOKIE}=", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
        assert part in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    headers = {"x-forwarded-proto": "https"}
    assert "Secure" in anybody.get("/dashboards/login", params={"token": TOKEN}, headers=headers).headers["set-cookie"]


def test_a_wrong_token_opens_nothing(anybody: TestClient) -> None:
    """By form or link; the token is not repeated."""
    for answer in (
        anybody.post("/dashboards/login", data={"token": "guess"}, headers=SAME),
        anybody.get("/dashboards/login", params={"token": "guess"}),
    ):
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert "guess" not in answer.text
    forged = {"cookie": f"{COOKIE}=9999999999.{'0' * 64}"}
    assert anybody.get("/dashboards/", headers=forged).status_code == 303


def test_guessing_comes_to_an_end(anybody: TestClient) -> None:
    """Ten wrong tokens a minute; then even the right one has to wait."""
    codes = [anybody.post("/dashboards/login", data={"token": "x"}, headers=SAME).status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    answer = anybody.post("/dashboards/login", data={"token": TOKEN}, headers=SAME)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("headers", [{"origin": "http://evil"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}])
def test_forms_of_other_sites_are_refused(reader: TestClient, headers: dict[str, str]) -> None:
    """Neither in nor out."""
    for path in ("/dashboards/login", "/dashboards/logout"):
        answer = reader.post(path, data={"token": TOKEN}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert reader.get("/dashboards/").status_code == 200


def test_logging_out_ends_it(reader: TestClient) -> None:
    """The cookie is taken back."""
    assert reader.post("/dashboards/logout", headers=SAME).status_code == 303
    assert reader.get("/dashboards/").status_code == 303


def test_a_form_that_is_too_long_is_not_read(anybody: TestClient) -> None:
    """A login is small."""
    assert anybody.post("/dashboards/login", data={"token": "x" * 10_000}, headers=SAME).status_code == 413


def test_the_cost_page_says_what_the_store_says(reader: TestClient, reads: FakeReads) -> None:
    """KPIs, the unpriced, the chart's numbers as a table, the latest calls, the ledger and its law."""
    page = reader.get("/dashboards/").text
    words = text(page)
    spend = sum((it.usage.cost_usd for it in reads.stored if it.usage.cost_usd is not None), Decimal(0))
    unpriced = sum(it.usage.cost_usd is None and it.usage.input_tokens is not None for it in reads.stored)
    for label in ("Spend", "Calls", "Tokens", "p95 latency", "TTFT p50", "Errors", "Judge score", "Thumbs"):
        assert label in words
    assert f"Spend ${spend:.2f} {unpriced} unpriced" in words
    assert "Total 400 $" in words
    assert reads.stored[-1].id in page
    assert "Ledger balanced accepted = stored + raw + outbox + quarantined + shed accepted 6,012" in words
    assert "$0.00</td>" not in page


def test_the_judges_spend_stands_apart(reader: TestClient, reads: FakeReads) -> None:
    """Beside Spend, not in it."""
    reads.stored = [call(), call(id="j", origin="judge", usage=Usage(cost_usd=Decimal("5")))]
    words = text(reader.get("/dashboards/").text)
    assert "Spend $0.00600" in words
    assert "Judging cost $5.00 , apart from Spend." in words


def test_an_unbalanced_ledger_is_shown_as_one(reads: FakeReads) -> None:
    """The law is checked, not claimed."""
    wrong = Ledger(accepted=9, stored=1, raw=0, outbox=0, quarantined=0, shed=0)
    with TestClient(site(reads, ledger=lambda: wrong)) as client:
        client.get("/dashboards/login", params={"token": TOKEN})
        assert "Ledger not balanced" in text(client.get("/dashboards/").text)


def test_a_ledger_that_cannot_be_read_takes_nothing_else_away(reads: FakeReads) -> None:
    """The page stands and says so."""

    def broken() -> Ledger:
        raise JournalError("counters")

    with TestClient(site(reads, ledger=broken)) as client:
        client.get("/dashboards/login", params={"token": TOKEN})
        assert "The ledger cannot be read now." in text(client.get("/dashboards/").text)


def test_groups_are_links_and_keep_the_filters(reader: TestClient) -> None:
    """So are the tabs of the pages."""
    page = reader.get("/dashboards/?team=search&period=24h").text
    for group in ("team", "key", "user"):
        assert f'href="/dashboards/?team=search&amp;period=24h&amp;by={group}"' in page
    assert 'href="/dashboards/calls?team=search&amp;period=24h"' in page
    assert "Cost by user" in text(reader.get("/dashboards/?by=user").text)


def test_filters_stand_in_the_form(reader: TestClient) -> None:
    """Also those that match nothing, and hostile ones as text."""
    page = reader.get("/dashboards/calls", params={"team": "nobody", "q": '"><script>alert(1)</script>'}).text
    assert '<option value="nobody" selected>' in page
    assert "<script>alert" not in page
    assert "No call in this period matches the filters." in text(page)


def test_a_page_of_calls_leads_to_the_next(reader: TestClient, reads: FakeReads) -> None:
    """Until the oldest; an outdated cursor leads to the beginning."""
    seen: list[str] = []
    address = "/dashboards/calls?period=30d"
    while True:
        page = reader.get(address).text
        seen += re.findall(r'title="([0-9a-f-]{36})"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            break
        address = following[1].replace("&amp;", "&")
    assert seen == [it.id for it in reversed(reads.stored)]
    answer = reader.get("/dashboards/calls?team=x&cursor=rubbish")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboards/calls?team=x")


def test_one_call_shows_everything_kept_of_it(reader: TestClient, reads: FakeReads) -> None:
    """Messages by role, tool calls, answer, tokens, cost and its price, findings, scores, identities."""
    usage = Usage(
        source="counted", input_tokens=1200, output_tokens=300, cached_input_tokens=256, reasoning_tokens=64,
        cost_usd=Decimal("0.000000123400"), price_version="override: demo price",
    )  # fmt: skip
    scores = (verdict("a", 0.25, "hallucinated"), verdict("a", None, "failed", name="hallucination"), thumb("a", "up"))
    shown = call(id="a", model="smollm2", usage=usage, scores=scores)
    reads.stored = [shown]
    page = reader.get("/dashboards/calls/a").text
    words = text(page)
    for part in (
        "system You answer questions", "find_order", "It arrives on Tuesday.", "Cached input 256", "Reasoning 64",
        "Cost $0.0000001234", "Price override: demo price", "Source counted", "hallucinated 0.25", "failed",
        "Every statement stands", "thumb up human", "Helpful, thanks.", "toy judge, not meaningful", "EMAIL_ADDRESS",
        "Latency 2,346 ms", "TTFT 412 ms", "env prod", "Prompt orders", shown.user, shown.session, shown.response_ref,
    ):  # fmt: skip
        assert part in words, part
    assert '<mark class="gone">&lt;PERSON_1&gt;</mark>' in page
    assert "<form" not in page.split("<main")[1]


def test_a_call_tells_its_attempts(reader: TestClient, reads: FakeReads) -> None:
    """A row each, when there were several; else nothing of the kind."""
    tried = (Attempt("openai", 503, "answered", 0.4, 812.0), Attempt("backup", 0, "skipped", 813.0, 0.0))
    reads.stored = [call(id="a", attempts=tried), call(id="b")]
    words = text(reader.get("/dashboards/calls/a").text)
    assert "openai answered 503 0.4 ms 812 ms backup skipped: breaker open – 813 ms –" in words
    assert "Attempts" not in text(reader.get("/dashboards/calls/b").text)


def test_upstreams_are_well_or_not(reader: TestClient, reads: FakeReads) -> None:
    """One line on the cost page, of the upstreams that are configured, and only where there is something to turn to."""
    assert "Upstreams" not in text(reader.get("/dashboards/").text)
    notes = Notes("http://127.0.0.1:4000", upstreams=("openai", "backup"))
    with TestClient(site(reads, notes=notes)) as watched:
        watched.get("/dashboards/login", params={"token": TOKEN})
        words = text(watched.get("/dashboards/").text)
    assert "calls: backup breaker open openai 5 % of 120 attempts failed Cost" in words


def test_the_page_says_how_far_the_work_is_behind(reader: TestClient, reads: FakeReads) -> None:
    """In seconds, and what is done about it."""
    assert "Redaction is 0 s behind, the store 0 s." in text(reader.get("/dashboards/").text)
    late = Late(7342.2, 2.0, ("more processes redact", "late calls are redacted by patterns only"))
    with TestClient(site(reads, notes=Notes("http://127.0.0.1:4000", late=lambda: late))) as behind:
        behind.get("/dashboards/login", params={"token": TOKEN})
        words = text(behind.get("/dashboards/").text)
    assert "Redaction is 7,342 s behind, the store 2 s. more processes redact late calls are" in words


def test_a_call_without_text_says_why(reader: TestClient, reads: FakeReads) -> None:
    """Expired, withheld or never captured."""
    reads.stored = [call(id="a", request=None, response=None), call(id="b", request=None, capture="none")]
    assert "or has expired" in text(reader.get("/dashboards/calls/a").text)
    assert "(capture: none)" in text(reader.get("/dashboards/calls/b").text)


def test_hostile_text_stays_text(reader: TestClient, reads: FakeReads) -> None:
    """In a message, a model's name, a tag, a tool and a judge's reason."""
    attack = "<img src=x onerror=alert(1)>"
    request = {"model": attack, attack: attack, "messages": [{"role": attack, "name": attack, "content": attack}]}
    scores = (verdict("a", 0.5, attack, why=attack, name=attack),)
    reads.stored = [call(id="a", model=attack, team=attack, tags={attack: attack}, request=request, scores=scores)]
    for path in ("/dashboards/calls/a", "/dashboards/calls", "/dashboards/", "/dashboards/?by=team"):
        page = reader.get(path).text
        assert "<img" not in page
        assert "</script><" not in page.replace("\n", "").replace("defer></script><", "").replace(
            "</script><noscript", ""
        )


def test_no_script_stands_in_a_page(reader: TestClient) -> None:
    """Only files and data: the policy refuses the rest."""
    for path in ("/dashboards/", "/dashboards/calls", "/docs", "/dashboards/login"):
        page = reader.get(path).text
        for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S):
            assert "src=" in attributes or 'type="application/json"' in attributes
            assert "src=" not in attributes or not body
        assert not re.search(r"\son\w+=", page)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


def test_a_store_that_is_away_is_told_in_plain_words(reader: TestClient, reads: FakeReads) -> None:
    """503, readable, with the tabs in place; no trace."""
    reads.away = True
    for path in ("/dashboards/", "/dashboards/calls", "/dashboards/calls/x"):
        answer = reader.get(path)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "Calls are still taken" in text(answer.text)
    assert reader.get("/docs").status_code == 200


def test_unknown_addresses_are_told_in_plain_words(reader: TestClient) -> None:
    """404 as a page."""
    assert "No such call" in text(reader.get("/dashboards/calls/nobody").text)
    answer = reader.get("/dashboards/nowhere")
    assert answer.status_code == 404
    assert "No such page" in text(answer.text)


def test_an_empty_store_says_what_to_do(reader: TestClient, reads: FakeReads) -> None:
    """Where to point a client."""
    reads.stored = []
    for path in ("/dashboards/", "/dashboards/calls"):
        assert "Point a client at http://127.0.0.1:4000/v1" in text(reader.get(path).text)


def test_the_toggle_is_a_link_that_leads_back(reader: TestClient) -> None:
    """A cookie, no script; only the two themes."""
    answer = reader.get("/dashboards/theme?to=dark&next=/dashboards/calls?team=x")
    assert answer.headers["location"] == "/dashboards/calls?team=x"
    assert 'data-theme="dark"' in reader.get("/dashboards/").text
    reader.get("/dashboards/theme?to=light&next=//evil")
    assert 'data-theme="light"' in reader.get("/dashboards/").text
    assert "set-cookie" not in reader.get("/dashboards/theme?to=blink&next=//evil").headers


def test_times_follow_the_zone(reader: TestClient, reads: FakeReads) -> None:
    """In lists, table and call."""
    reads.stored = [call(id="a")]
    for path in ("/dashboards/?tz=Asia/Dhaka", "/dashboards/calls?tz=Asia/Dhaka", "/dashboards/calls/a?tz=Asia/Dhaka"):
        assert "2026-11-23 05:55:00" in reader.get(path).text


def test_static_files_are_kept_for_good_and_pages_are_not(reader: TestClient) -> None:
    """By an address that changes with the content; gzipped; revalidated under an old one."""
    for name in ("page.css", "page.js", "charts.js", "bokeh.min.js"):
        answer = reader.get(assets.address(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        assert reader.get(assets.address(name), headers={"accept-encoding": "identity"}).content == answer.content
        etag = answer.headers["etag"]
        assert reader.get(assets.address(name), headers={"if-none-match": etag}).status_code == 304
    assert reader.get("/dashboards/static/0/page.css").headers["cache-control"] == "no-cache"
    assert reader.get("/dashboards/static/0/../pages.py").status_code == 404
    assert reader.get("/dashboards/static/0/pages.py").status_code == 404
    assert reader.get("/dashboards/").headers["cache-control"] == "no-store"


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


PAIRS = [("text", "card"), ("text", "page"), ("muted", "card"), ("muted", "page"), ("link", "card"), ("link", "page"),
         ("good", "good-back"), ("bad", "bad-back"), ("cut", "cut-back"), ("muted", "plain-back"),
         ("gone", "gone-back"),
         ("good", "card"), ("bad", "card"), ("cut", "card"), ("button-text", "button"), ("text", "active")]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_contrast_is_at_least_aa(scheme: str, front: str, back: str) -> None:
    """4.5 to 1 for every pair of text and ground (WCAG 2.2, 1.4.3)."""
    sheet = assets.asset("page.css").body.decode()
    block = sheet.split(':root[data-theme="dark"] {' if scheme == "dark" else ":root {")[1].split("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", block))
    colours = {k: "#" + "".join(c * 2 for c in v[1:]) if len(v) == 4 else v for k, v in colours.items()}
    first, second = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
    assert (first + 0.05) / (second + 0.05) >= 4.5


def test_both_dark_sets_are_the_same() -> None:
    """The system's wish and the toggle's give the same page."""
    sheet = assets.asset("page.css").body.decode()
    wished = sheet.split(':root:not([data-theme="light"]) {')[1].split("}")[0]
    toggled = sheet.split(':root[data-theme="dark"] {')[1].split("}")[0]
    assert wished.split() == toggled.split()


def test_the_redaction_page_tells_what_is_found_and_what_was_removed(reader: TestClient, reads: FakeReads) -> None:
    """Each profile's figures as they were measured, and the last day's findings; never a value."""
    said = text(reader.get("/dashboards/redaction").text)
    for profile in ("fast", "standard", "strict"):
        assert f"Profile {profile}" in said
    assert re.search(r"EMAIL_ADDRESS 49 1\.00 0\.93–1\.00 1\.00 1\.00 0\.0 %", said)
    assert "Removed from your calls" in said
    (most, *_) = reads.findings(NOW - timedelta(days=1), NOW)
    assert f"{most.entity} {most.pieces:,} {most.calls:,}" in said


def test_the_redaction_page_without_calls() -> None:
    """An empty state, not an empty table."""
    with TestClient(site(FakeReads([]))) as client:
        client.get("/dashboards/login", params={"token": TOKEN})
        assert "Nothing was removed" in text(client.get("/dashboards/redaction").text)
