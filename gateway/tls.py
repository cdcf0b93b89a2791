"""TLS where clients connect: the certificate that is shown, and how the gateway's own processes know it again."""

from __future__ import annotations

import contextlib
import re
import ssl
from datetime import datetime
from pathlib import Path

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def shown(cert: Path, key: Path) -> ssl.SSLContext:
    """What a listener shows its clients. Raises ``ValueError`` saying which file is at fault, and how."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    show(context, cert, key)
    return context


def show(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Show a certificate from the next connection on. Raises ``ValueError``."""
    _first(cert)
    _read(key, "tls_key")
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise ValueError(f"tls_key: {key} is not the key of the certificate in {cert}") from None
        raise ValueError(f"tls_cert, tls_key: expected a certificate in {cert} and its key in {key}, as PEM") from None


def pinned(cert: Path) -> ssl.SSLContext:
    """What a client of ours verifies with: the shown certificate itself, whatever host it names and whoever signed it.

    Raises ``ValueError``.
    """
    context = ssl.create_default_context(cadata=_first(cert).decode("ascii"))
    # Our own address is often not what the certificate names; being that very certificate says more than a name.
    context.check_hostname = False
    # The file's other certificates are not trusted, else everyone whom their authority signed would be.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python's default since 3.13; others' certificates may be older
    return context


def pin(context: ssl.SSLContext, cert: Path) -> None:
    """Trust a renewed certificate as well. One that cannot be read just now is left for the next time."""
    with contextlib.suppress(ValueError, OSError):  # ssl.SSLError is an OSError
        context.load_verify_locations(cadata=_first(cert).decode("ascii"))


def expires(cert: Path) -> datetime:
    """When the shown certificate ends. Raises ``ValueError``."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(_first(cert)).not_valid_after_utc


def _first(cert: Path) -> bytes:
    """The server's own certificate, which comes first in a file that may hold a chain."""
    found = _CERTIFICATE.search(_read(cert, "tls_cert"))
    if found is None:
        raise ValueError(f"tls_cert: {cert} holds no certificate in PEM")
    return found.group()


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{setting}: {path} cannot be read: {error.strerror}") from None


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal, and a service would hang.
    raise ValueError("tls_key: the key is encrypted; expected one without a password")
