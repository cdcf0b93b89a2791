"""Where clients connect: certificates that load or are refused, proxies by address, and what check says of them."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.check import report
from gateway.errors import ConfigError
from tests.config.test_config import UPSTREAM, load
from tests.fakes.authority import authority


def server(tmp_path: Path, cert: Path, key: Path) -> str:
    return f"{UPSTREAM}server: {{tls_cert: {cert}, tls_key: {key}}}\n"


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_a_certificate_with_its_key_makes_the_address_https(tmp_path: Path) -> None:
    """And none leaves it as it was."""
    issued = authority(tmp_path / "one")
    assert load(tmp_path, server(tmp_path, issued.cert, issued.key)).server.local_url == "https://127.0.0.1:4000"
    plain = load(tmp_path, UPSTREAM).server
    assert (plain.local_url, plain.tls(), plain.local_verify()) == ("http://127.0.0.1:4000", None, True)


def test_one_without_the_other_is_a_mistake(tmp_path: Path) -> None:
    """Both or none."""
    issued = authority(tmp_path / "one")
    for half in (f"tls_cert: {issued.cert}", f"tls_key: {issued.key}"):
        said = refusal(tmp_path, f"{UPSTREAM}server: {{{half}}}")
        assert "server: tls_cert and tls_key: expected both or none" in said


def test_files_that_do_not_load_are_a_mistake(tmp_path: Path) -> None:
    """Missing, swapped, no PEM, another's key, an encrypted key: said plainly, before anything starts."""
    one, two = authority(tmp_path / "one"), authority(tmp_path / "two")
    nowhere, empty, locked = tmp_path / "nowhere.pem", tmp_path / "empty.pem", tmp_path / "locked.pem"
    empty.write_text("")
    secret = serialization.load_pem_private_key(one.key.read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    locked.write_bytes(
        secret.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"geheim"))
    )
    for cert, key, said in (
        (nowhere, one.key, f"tls_cert: {nowhere} cannot be read: No such file"),
        (one.cert, nowhere, f"tls_key: {nowhere} cannot be read: No such file"),
        (one.cert, tmp_path, f"tls_key: {tmp_path} cannot be read: Is a directory"),
        (one.cert, two.key, f"tls_key: {two.key} is not the key of the certificate in {one.cert}"),
        (one.key, one.cert, f"tls_cert: {one.key} holds no certificate in PEM"),
        (one.cert, one.cert, "tls_cert, tls_key: expected a certificate"),
        (one.cert, empty, "tls_cert, tls_key: expected a certificate"),
        (one.cert, locked, "tls_key: the key is encrypted"),
    ):
        assert said in refusal(tmp_path, server(tmp_path, cert, key))


def test_a_key_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    """The system says why."""
    issued = authority(tmp_path / "one")
    assert "cannot be read: Is a directory" in refusal(tmp_path, server(tmp_path, issued.cert, tmp_path))


def test_trusted_proxies_are_addresses_and_networks(tmp_path: Path) -> None:
    """A network's address may have host bits; none is the default."""
    assert load(tmp_path, UPSTREAM).server.trusted_proxies == ()
    text = "server: {trusted_proxies: [127.0.0.1, 10.1.2.3/8, '2001:db8::/32']}"
    expected = tuple(ip_network(each) for each in ("127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32"))
    assert load(tmp_path, UPSTREAM + text).server.trusted_proxies == expected


@pytest.mark.parametrize("bad", ["proxy.example", "10.0.0.0/33", "10", "''", "[10.0.0.1]"])
def test_anything_else_is_a_mistake(tmp_path: Path, bad: str) -> None:
    """A name, a bad prefix, a bare number."""
    said = refusal(tmp_path, f"{UPSTREAM}server: {{trusted_proxies: [127.0.0.1, {bad}]}}")
    assert "server.trusted_proxies[1]: expected an address such as 192.0.2.7 or a network" in said


def test_check_tells_of_tls_and_warns_before_a_certificate_ends(tmp_path: Path) -> None:
    """From 14 days on, and after; not for one that lasts."""
    said = {}
    for days in (90, 13, -0.5):
        issued = authority(tmp_path / str(days), timedelta(days=days))
        said[days] = "\n".join(report(load(tmp_path, server(tmp_path, issued.cert, issued.key))))
        assert f"tls           on, {issued.cert}" in said[days]
    assert "server.tls_cert" not in said[90]
    assert "warning: server.tls_cert: expires 20" in said[13]
    assert "warning: server.tls_cert: expired 20" in said[-0.5]
    plain = "\n".join(report(load(tmp_path, UPSTREAM + "server: {trusted_proxies: [0.0.0.0/0]}")))
    assert "tls           off" in plain
    assert "warning: server.trusted_proxies: 0.0.0.0/0 lets every client choose" in plain
