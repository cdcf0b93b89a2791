"""Configuration: the file, the environment over it, and what an operator reads when it is wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from gateway import config, environment
from gateway.check import report
from gateway.errors import ConfigError

UPSTREAM = "upstreams: [{name: main, base_url: 'http://127.0.0.1:9/v1'}]\n"


def load(tmp_path: Path, text: str, **environ: str) -> config.Config:
    path = tmp_path / "gateway.yaml"
    path.write_text(text, "utf-8")
    return environment.load(path, environ)


def test_nothing_configured_gives_the_demo_model_with_a_price_marked_as_demo() -> None:
    """With no file and no key the demo model serves, priced and judged as a demo."""
    found = environment.load(None, {})
    assert found.demo
    assert found.default_upstream.name == "demo"
    assert "demo" in found.prices.overrides["smollm2"].note
    assert found.judge.on


def test_an_openai_key_alone_gives_openai(tmp_path: Path) -> None:
    """``OPENAI_API_KEY`` is enough to forward to OpenAI."""
    found = environment.load(None, {"OPENAI_API_KEY": "sk-test"})
    assert found.default_upstream.base_url == "https://api.openai.com/v1"
    assert not found.demo
    assert not found.judge.on


def test_environment_stands_over_the_file(tmp_path: Path) -> None:
    """A scalar from the environment wins over the file's."""
    found = load(tmp_path, UPSTREAM + "server: {port: 5000}", GATEWAY_SERVER__PORT="5001", GATEWAY_DURABILITY="relaxed")
    assert found.server.port == 5001
    assert found.durability == "relaxed"


def test_short_forms(tmp_path: Path) -> None:
    """The four short names set port, data_dir, admin token and journal key."""
    found = load(
        tmp_path,
        UPSTREAM,
        GATEWAY_PORT="4444",
        GATEWAY_DATA_DIR="elsewhere",
        GATEWAY_ADMIN_TOKEN="t" * 20,
        GATEWAY_JOURNAL_KEY="k" * 20,
    )
    assert found.server.port == 4444
    assert found.data_dir == Path("elsewhere")
    assert found.admin_token is not None
    assert found.journal_key is not None
    assert found.admin_token.get_secret_value() == "t" * 20


def test_secrets_come_from_named_variables_and_never_print(tmp_path: Path) -> None:
    """``os.environ/NAME`` is resolved, and a printed configuration shows no secret."""
    found = load(
        tmp_path, "upstreams: [{name: a, base_url: 'http://127.0.0.1:9/v1', api_key: os.environ/SK}]", SK="sk-geheim"
    )
    assert found.upstreams[0].api_key is not None
    assert found.upstreams[0].api_key.get_secret_value() == "sk-geheim"
    assert "sk-geheim" not in repr(found) + str(found) + found.model_dump_json()


def test_prices_are_exact_decimals(tmp_path: Path) -> None:
    """A price typed as 0.15 is 0.15, not its binary neighbour."""
    found = load(tmp_path, UPSTREAM + "prices: {overrides: {m: {input_per_mtok: 0.15, output_per_mtok: '0.6'}}}")
    assert found.prices.overrides["m"].input_per_mtok == Decimal("0.15")


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        (UPSTREAM + "serverr: {}", {}, "serverr: there is no such setting"),
        (UPSTREAM + "server: {port: high}", {}, "server.port: Input should be a valid integer"),
        (UPSTREAM + "server: {port: 70000}", {}, "server.port"),
        ("upstreams: [{name: a, base_url: 'ftp://x'}]", {}, "upstreams[0].base_url: expected an http"),
        (
            "upstreams: [{name: a, base_url: 'http://x/v1', api_key: os.environ/NO}]",
            {},
            "upstreams[0].api_key: the env",
        ),
        (UPSTREAM + "models: [{match: 'gpt-*', upstream: other}]", {}, "models[0].upstream: no upstream is named"),
        (UPSTREAM + "judge: {sample: 1, upstream: main, model: m}", {}, "judge: set budget_usd_per_day"),
        (UPSTREAM + "judge: {sample: 1, upstream: nope, model: m, max_calls_per_day: 1}", {}, "judge.upstream"),
        (UPSTREAM + "judge: {context_patterns: ['(']}", {}, "judge.context_patterns: not a regular expression"),
        (UPSTREAM + "server: {host: 0.0.0.0}", {}, "allow_open"),
        (UPSTREAM + "keys: [{name: a}]", {}, "keys[0]: exactly one of key and key_sha256"),
        (UPSTREAM + "keys: [{name: a, key: x}, {name: a, key: y}]", {}, "keys: two have the same name"),
        (UPSTREAM + "store: {url: 'mysql://x'}", {}, "store.url: expected clickhouse://"),
        ("- a\n- b\n", {}, "expected a mapping"),
        ("a: [\n", {}, "is not YAML"),
        (UPSTREAM, {"GATEWAY_SERVER__PRT": "1"}, "GATEWAY_SERVER__PRT: there is no setting server.prt"),
        (UPSTREAM, {"GATEWAY_SERVER": "1"}, "GATEWAY_SERVER: server is a section"),
    ],
)
def test_mistakes_name_file_key_and_expectation(tmp_path: Path, text: str, environ: dict[str, str], said: str) -> None:
    """Each mistake is one line an operator can act on."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("fallbacks: [gone]", "models[0].fallbacks: no upstream is named 'gone'"),
        ("fallbacks: [other, other]", "models[0]: fallbacks: an upstream is named twice"),
        ("fallbacks: [main]", "models[0]: fallbacks: the upstream itself is no fallback"),
        ("fallbacks: [theirs]", "models[0].fallbacks: 'theirs' takes the client's own credential"),
        ("weights: {main: 1, gone: 1}", "models[0].weights: no upstream is named 'gone'"),
        ("weights: {other: 1}", "models[0]: weights: expected the upstream among them"),
        ("weights: {main: 0}", "models[0]: weights: expected the upstream among them, and one weight above 0"),
        ("weights: {main: 1, theirs: 1}", "models[0].weights: 'theirs' takes the client's own credential"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_a_mistake(tmp_path: Path, model: str, said: str) -> None:
    """Before anything is served, not at the first failure of an upstream."""
    upstreams = (
        "upstreams: [{name: main, base_url: 'http://a/v1'}, {name: other, base_url: 'http://b/v1'},"
        " {name: theirs, base_url: 'http://c/v1', auth: passthrough}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, upstreams + f"models: [{{match: m, upstream: main, {model}}}]")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("proxy: 'socks5://ada:s3cret@proxy:1'", "upstreams[0].proxy: expected http://host:port"),
        ("ca_file: /nowhere/ca.pem", "upstreams[0].ca_file: /nowhere/ca.pem: expected a readable file"),
        ("retries: {attempts: -1}", "upstreams[0].retries.attempts"),
        ("breaker: {open_for: 0}", "upstreams[0].breaker.open_for"),
    ],
)
def test_a_way_that_cannot_be_gone_is_a_mistake(tmp_path: Path, setting: str, said: str) -> None:
    """And a proxy's login is not quoted."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"upstreams: [{{name: main, base_url: 'http://a/v1', {setting}}}]")
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_check_says_what_is_tried_and_warns_of_what_multiplies(tmp_path: Path) -> None:
    """Findings name retries, breakers, fallbacks, weights and proxies; warnings what an operator may not expect."""
    lines = report(
        load(
            tmp_path,
            "upstreams:\n"
            "  - {name: a, base_url: 'http://a/v1', retries: {attempts: 2}, breaker: {failures: 5},"
            " proxy: 'http://ada:s3cret@proxy.example:3128'}\n"
            "  - {name: b, base_url: 'http://b/v1'}\n"
            "models: [{match: m, upstream: a, fallbacks: [b], weights: {a: 9, b: 1}}]\n",
        )
    )
    said = "\n".join(lines)
    assert "2 retries within 30 s, left alone for 30 s after 5 failures, through proxy.example)" in said
    assert "m -> a (9) or b (1), then b" in said
    assert "warning: upstream a is asked up to 3 times a request" in said
    assert "which makes 9" in said
    assert "warning: upstream a: its proxy is reached without TLS" in said
    assert "warning: model m: a may hang for 600 s (first_byte) before its fallback is asked" in said
    assert "s3cret" not in said


def test_a_mistaken_secret_is_not_quoted(tmp_path: Path) -> None:
    """An error about a key does not repeat the key."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, UPSTREAM + "keys: [{name: 'b a d', key: geheim-123}]\nprices: {overrides: {m: geheim-456}}")
    assert "geheim" not in str(caught.value)


def test_variables_that_kubernetes_sets_are_not_ours(tmp_path: Path) -> None:
    """A service called gateway sets GATEWAY_SERVICE_HOST beside us; that is no mistake."""
    assert load(tmp_path, UPSTREAM, GATEWAY_SERVICE_HOST="10.0.0.1").server.port == 4000


def test_check_says_what_is_done_when_redaction_falls_behind(tmp_path: Path) -> None:
    """And what each step costs; nothing of it without steps."""
    steps = "[{after: 30, do: helpers}, {after: 120, do: fast}, {after: 600, do: metadata}]"
    said = "\n".join(report(load(tmp_path, UPSTREAM + f"redact: {{behind: {steps}, most_workers: 3}}")))
    assert "behind        helpers after 30 s (up to 3 processes), fast after 120 s, metadata after 600 s" in said
    assert "warning: redact.behind: names and places stay in calls that waited 120 s to be redacted" in said
    assert "warning: redact.behind: the text of calls that waited 600 s is not kept" in said
    assert "redact.profile fast" not in said
    assert "warning: redact.behind" not in "\n".join(report(load(tmp_path, UPSTREAM)))
