"""The pages in a real browser, under their own Content-Security-Policy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.fakes.reads import NOW, FakeReads, call, lifelike
from tests.fakes.site import TOKEN, served, site

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = {"width": 1400, "height": 1050}, {"width": 390, "height": 844}

if not CHROMIUM.exists() and not os.environ.get("CI"):
    pytest.skip("chromium is not installed (apt-get install chromium)", allow_module_level=True)


@dataclass
class Visit:
    """A page of one reader, and what went wrong in it."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def go(self, path: str) -> Page:
        """Open a path and wait until a chart, if there is one, is drawn."""
        self.page.goto(self.base + path)
        if self.page.evaluate("document.querySelector('[data-chart]') !== null"):
            self.page.wait_for_selector("[data-chart][data-drawn]")
        return self.page


@pytest.fixture(scope="module")
def reads() -> FakeReads:
    """A week."""
    return FakeReads(lifelike(1500))


@pytest.fixture(scope="module")
def base(reads: FakeReads) -> Iterator[str]:
    """The site on a port."""
    with served(site(reads)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, reaching nothing but loopback."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[Callable[..., Visit]]:
    """Logs a reader in. At the end of the test nothing may have been complained of, and no other host asked."""
    visits: list[Visit] = []

    def begin(*, login: bool = True, **options: object) -> Visit:
        context = browser.new_context(**{"viewport": WIDE, **options})  # type: ignore[arg-type]
        made = Visit(context.new_page(), base)
        page = made.page
        page.on("console", lambda it: made.complaints.append(it.text) if it.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        page.on("request", lambda request: made.hosts.add(urlsplit(request.url).netloc))
        visits.append(made)
        if login:
            made.page.goto(f"{base}/dashboards/login?token={TOKEN}")
        return made

    yield begin
    for made in visits:
        made.page.context.close()
        assert made.complaints == []
        assert made.hosts <= {urlsplit(base).netloc}


def colours(page: Page) -> set[str]:
    """The colours that the chart's canvas holds."""
    script = """() => {
      const found = new Set();
      const canvases = [];
      const look = (root) => {
        for (const element of root.querySelectorAll("*")) {
          if (element instanceof HTMLCanvasElement) canvases.push(element);
          if (element.shadowRoot) look(element.shadowRoot);
        }
      };
      look(document.querySelector("[data-chart]"));
      for (const canvas of canvases) {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        for (let at = 0; at < pixels.length; at += 4) {
          if (pixels[at + 3] === 255) {
            found.add("#" + [0, 1, 2].map((i) => pixels[at + i].toString(16).padStart(2, "0")).join(""));
          }
        }
      }
      return [...found];
    }"""
    return set(page.evaluate(script))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chart_draws_under_the_policy(visit: Callable[..., Visit], scheme: str) -> None:
    """Bars in the colours of the legend, without a single complaint."""
    page = visit(color_scheme=scheme).go("/dashboards/")
    legend = page.eval_on_selector_all(".legend i", "all => all.map((it) => it.getAttribute('style').split(':')[1])")
    assert len(legend) == 6
    assert {"#4b78d8", "#e3873c", "#c3588f"} <= set(legend)
    assert {"#4b78d8", "#e3873c", "#c3588f"} <= colours(page)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 17, 21)"
    assert dark is (scheme == "dark")


def test_the_policy_forbids_what_it_says(visit: Callable[..., Visit]) -> None:
    """An inline script does not run, so the test above does not pass by a lax policy."""
    made = visit()
    page = made.go("/dashboards/")
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
    }""")
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in complaint for complaint in made.complaints)
    made.complaints.clear()


def test_the_system_turning_dark_redraws_the_chart(visit: Callable[..., Visit]) -> None:
    """Its text follows the page."""
    page = visit(color_scheme="light").go("/dashboards/")
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("[data-chart][data-drawn='2']")
    assert "#2b2e36" in colours(page)


def test_a_bar_tells_what_it_holds(visit: Callable[..., Visit]) -> None:
    """Hovering shows time, group and cost."""
    page = visit().go("/dashboards/")
    box = page.locator("[data-chart]").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    tip = page.locator(".bk-tooltip-content:visible").first
    for across in range(40, 60):
        page.mouse.move(box["x"] + box["width"] * across / 100, box["y"] + box["height"] * 0.85)
        if tip.count():
            break
    tip.wait_for()
    assert re.search(r"11-\d\d \d\d:00\s+\S+:\s+\$0\.\d+\s+total:\s+\$0\.\d+", tip.inner_text())


def test_filters_stand_in_the_address(visit: Callable[..., Visit]) -> None:
    """A changed select applies at once; empty fields stay out; back brings the page back."""
    page = visit().go("/dashboards/?by=team")
    with page.expect_navigation():
        page.select_option("select[name=team]", "search")
    query = parse_qs(urlsplit(page.url).query)
    assert query == {"period": ["7d"], "team": ["search"], "by": ["team"]}
    assert page.locator("select[name=team]").input_value() == "search"
    page.fill("input[name=q]", "parcel")
    with page.expect_navigation():
        page.press("input[name=q]", "Enter")
    assert parse_qs(urlsplit(page.url).query)["q"] == ["parcel"]
    page.go_back()
    assert page.locator("input[name=q]").is_enabled()


def test_a_reader_gets_from_the_cost_to_a_call(visit: Callable[..., Visit], reads: FakeReads) -> None:
    """By the links of the page alone."""
    page = visit().go("/dashboards/")
    page.click("text=All calls")
    page.click("tbody tr:first-child a")
    assert urlsplit(page.url).path == f"/dashboards/calls/{reads.stored[-1].id}"
    assert "It arrives on Tuesday." in page.inner_text("main")


def test_without_javascript_everything_is_readable(visit: Callable[..., Visit]) -> None:
    """Form, login, table under the chart, toggle."""
    made = visit(java_script_enabled=False, login=False)
    page = made.page
    page.goto(f"{made.base}/dashboards/calls?team=search")
    page.fill("input[name=token]", TOKEN)
    page.click("main button[type=submit]")
    assert urlsplit(page.url).path == "/dashboards/calls"
    page.select_option("select[name=team]", "growth")
    page.click("text=Apply")
    assert parse_qs(urlsplit(page.url).query)["team"] == ["growth"]
    page.goto(f"{made.base}/dashboards/")
    assert page.locator("noscript p").is_visible()
    page.click("summary")
    assert page.locator("details.data table").is_visible()
    assert "Total" in page.inner_text("details.data tfoot")
    page.click(".to-dark")
    page.wait_for_selector("html[data-theme=dark]")


@pytest.mark.parametrize(
    "path", ["/dashboards/", "/dashboards/calls?status=error", "/dashboards/?by=user", "/docs", "call"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_page_does_not_scroll_sideways(
    visit: Callable[..., Visit], reads: FakeReads, path: str, scheme: str
) -> None:
    """Tables scroll inside their cards."""
    made = visit(viewport=NARROW, color_scheme=scheme)
    page = made.go(f"/dashboards/calls/{reads.stored[-1].id}" if path == "call" else path)
    page.evaluate("for (const it of document.querySelectorAll('details')) it.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_the_keyboard_reaches_what_the_mouse_does(visit: Callable[..., Visit]) -> None:
    """The first stop skips to the content, and where one is can be seen."""
    page = visit().go("/dashboards/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(24):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
    assert {"Cost", "Calls", "period", "team", "model", "status", "q", "Apply", "Team", "User"} <= seen


def test_hostile_names_stay_text_in_the_chart(browser: Browser, visit: Callable[..., Visit]) -> None:
    """A model is whatever a client says it is; in legend, data and tooltip it stays words."""
    attack = "</script><img src=x onerror='window.ran = 1'>@total $index"
    with served(site(FakeReads([call(model=attack, started_at=NOW - timedelta(days=3))]))) as hostile:
        made = visit(login=False)
        made.base = hostile
        made.page.goto(f"{hostile}/dashboards/login?token={TOKEN}")
        page = made.go("/dashboards/")
        box = page.locator("[data-chart]").bounding_box()
        assert box is not None
        tip = page.locator(".bk-tooltip-content:visible").first
        for across in range(45, 75):
            page.mouse.move(box["x"] + box["width"] * across / 100, box["y"] + box["height"] * 0.6)
            if tip.count():
                break
        tip.wait_for()
        assert "<img src=x" in tip.inner_text()
        assert page.locator("img").count() == 0
        assert page.evaluate("window.ran") is None
        made.hosts.discard(urlsplit(hostile).netloc)
