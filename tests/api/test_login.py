"""Tokens, sessions, attempts, and where a login may lead."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.login import SESSION_S, Attempts, Gate, local_path, same_origin


class Clock:
    """Stands until told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_only_the_token_opens() -> None:
    """The very token, by whatever spelling of the scheme."""
    gate = Gate("secret-token")
    assert gate.bearer_matches("Bearer secret-token")
    assert gate.bearer_matches("bearer  secret-token")
    for wrong in (
        "",
        "Bearer",
        "Bearer ",
        "Basic secret-token",
        "secret-token",
        "Bearer secret-tokenx",
        "Bearer sécret",
    ):
        assert not gate.bearer_matches(wrong)
    assert not gate.token_matches("x" * 1_000_000)


def test_an_empty_token_is_refused_at_the_start() -> None:
    """No installation stands open for want of a token."""
    with pytest.raises(ValueError):
        Gate("")


def test_a_session_ends_by_itself() -> None:
    """Valid up to its expiry and not a moment longer."""
    clock = Clock()
    gate = Gate("secret-token", clock)
    cookie = gate.open_session()
    clock.now += SESSION_S - 1
    assert gate.session_valid(cookie)
    clock.now += 1
    assert not gate.session_valid(cookie)


def test_a_session_ends_with_its_token() -> None:
    """Another admin token signs otherwise."""
    assert not Gate("another").session_valid(Gate("secret-token").open_session())


@given(st.text(max_size=100) | st.from_regex(r"\A[0-9]{1,14}\.[0-9a-f]{0,70}\Z"))
def test_no_other_cookie_is_a_session(cookie: str) -> None:
    """What we did not sign is refused and never an exception."""
    assert not Gate("secret-token").session_valid(cookie)


def test_a_session_cannot_be_prolonged() -> None:
    """The expiry is part of what is signed."""
    gate = Gate("secret-token")
    expiry, _, signature = gate.open_session().partition(".")
    assert not gate.session_valid(f"{int(expiry) + 1}.{signature}")


def test_attempts_make_one_client_wait_and_no_other() -> None:
    """Ten failures, then a minute of waiting, counted by client."""
    clock = Clock()
    attempts = Attempts(limit=10, window=60, clock=clock)
    for _ in range(10):
        assert attempts.wait("a") == 0
        attempts.failed("a")
    assert 1 <= attempts.wait("a") <= 61
    assert attempts.wait("b") == 0
    clock.now += 61
    assert attempts.wait("a") == 0


def test_attempts_remember_a_bounded_number_of_clients() -> None:
    """A flood of addresses does not grow the memory."""
    attempts = Attempts(clients=8)
    for number in range(1000):
        attempts.failed(str(number))
    assert len(attempts._failures) == 8


@pytest.mark.parametrize(
    ("origin", "site", "host", "ours"),
    [
        ("http://gate:4000", None, "gate:4000", True),
        ("https://gate", "same-origin", "gate", True),
        ("http://evil", None, "gate:4000", False),
        ("http://evil", "same-origin", "gate:4000", False),
        ("null", None, "gate:4000", False),
        ("http://gate:4001", None, "gate:4000", False),
        (None, "cross-site", "gate", False),
        (None, "same-site", "gate", False),
        (None, "none", "gate", True),
        (None, None, "gate", True),
        ("http://gate", None, None, False),
    ],
)
def test_a_post_from_another_origin_is_told_apart(
    origin: str | None, site: str | None, host: str | None, ours: bool
) -> None:
    """By Origin when there is one, else by Sec-Fetch-Site."""
    assert same_origin(origin, site, host) is ours


def test_a_post_by_https_is_not_of_a_plain_page() -> None:
    """Anyone on the way could have written that page; the other way round a proxy may have taken TLS off."""
    assert same_origin("https://gate", None, "gate", "https")
    assert not same_origin("http://gate", None, "gate", "https")
    assert same_origin("https://gate", None, "gate", "http")


@given(st.text(max_size=60) | st.text(max_size=40).map("/dashboards".__add__))
def test_a_login_leads_nowhere_else(given: str) -> None:
    """Whatever is asked for, a browser stays on the host and under /dashboards."""
    target = urlsplit(urljoin("https://gate/dashboards/login", local_path(given)))
    assert target.netloc == "gate"
    assert target.path.startswith("/dashboards")


@pytest.mark.parametrize(
    "given",
    ["//evil", "/dashboards/\\evil", "/dashboards//../..//evil", "/dashboards\\@evil", "/dashboardsevil", "https://evil/dashboards/",
     "/dashboards/login?next=/dashboards/", "/dashboards/\r\nset-cookie: a=b"],
)  # fmt: skip
def test_crooked_targets_fall_back(given: str) -> None:
    """To the first page."""
    assert local_path(given) == "/dashboards/"


def test_a_straight_target_is_kept() -> None:
    """Filters and all."""
    assert local_path("/dashboards/calls?team=a%20b") == "/dashboards/calls?team=a%20b"
