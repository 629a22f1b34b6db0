"""The certificate of a server or a client: made once, pinned by its fingerprint, so that no authority is needed."""

from __future__ import annotations

import hashlib
import os
import ssl
import time

from packetfs.errors import CertificateExpired
from packetfs.limits import CERTIFICATE_DAYS
from packetfs.typing import Final

FINGERPRINT: Final = 32
"""Bytes of SHA-256 over a certificate's DER, as `openssl x509 -fingerprint -sha256` shows it."""


def make_identity(path: str, name: str, days: int = CERTIFICATE_DAYS) -> None:
    """Write a private key and its certificate to `path`, for its owner only."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=abs(days), hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, private + certificate.public_bytes(serialization.Encoding.PEM))


def write_private(path: str, data: bytes) -> None:
    """Replace a file whole, readable by its owner only from its first moment."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    aside = f"{path}.{os.getpid()}.new"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def certificate_of(path: str) -> bytes:
    """Return the certificate in an identity file, as DER; ValueError when there is none."""
    with open(path, encoding="ascii") as file:
        return ssl.PEM_cert_to_DER_cert(certificate_text(file.read()))


def certificate_text(pem: str) -> str:
    """Return the first certificate of a PEM file, without any private key."""
    head, tail = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start = pem.index(head)
    return pem[start : pem.index(tail, start) + len(tail)] + "\n"


def fingerprint(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()


def shown(print_: bytes) -> str:
    """Return a fingerprint as people compare it."""
    return print_.hex(":")


def require_current(der: bytes, whose: str) -> None:
    """Refuse a certificate that is out of date. The standard library reads one only as an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=der)
    found = context.get_ca_certs()
    until = str(found[0]["notAfter"]) if found else "another time"
    if not found or ssl.cert_time_to_seconds(until) < time.time():
        raise CertificateExpired(whose=whose, until=until)
