"""Keys: who may come to a daemon, what each may do there, and on the other side which key opens which server.

A token is all that a client needs: the fingerprint of the server's certificate, the number of its key, a secret (zeros
where the client shows a certificate instead), and a sum that tells a copy with a wrong letter. The server keeps the
secret's digest alone. Everything lies in one directory that only its owner reads: server.pem, keys.json; client.pem,
servers.json.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from packetfs.dataclass import asdict, dataclass, replace
from packetfs.errors import BadKeys, BadToken, KeyExists, NoKey, NoSuchKey, NoSuchServer, RevokedKey, UnknownKey
from packetfs.net.access.identity import FINGERPRINT, write_private
from packetfs.net.access.rights import Rights, parse_grant
from packetfs.typing import Any, Final

_PREFIX: Final = "pfs1-"
NUMBER: Final = 8
SECRET: Final = 32
_SUM: Final = 3
"""Bytes of SHA-256 over the rest: one mistake in 16,777,216 passes, and 75 bytes are 100 letters without padding."""
NO_SECRET: Final = bytes(SECRET)


@dataclass(frozen=True, slots=True)
class Token:
    """What opens one server, and no other."""

    fingerprint: bytes
    number: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"Token({self.number.hex()})"  # a secret must not get into a log

    @property
    def text(self) -> str:
        body = self.fingerprint + self.number + self.secret
        return _PREFIX + base64.urlsafe_b64encode(body + _sum(body)).decode()


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_SUM]


def parse_token(text: str) -> Token:
    """Return the token that `pfs keys add` printed."""
    text = text.strip()
    if not text.startswith(_PREFIX):
        raise BadToken(reason=f"it does not begin with {_PREFIX}")
    try:
        raw = base64.b64decode(text[len(_PREFIX) :], b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken(reason="it is not base64") from None
    if len(raw) != FINGERPRINT + NUMBER + SECRET + _SUM:
        raise BadToken(reason="it is too long or too short")
    body = raw[:-_SUM]
    if raw[-_SUM:] != _sum(body):
        raise BadToken(reason="a letter of it is wrong")
    return Token(body[:FINGERPRINT], body[FINGERPRINT : FINGERPRINT + NUMBER], body[FINGERPRINT + NUMBER :])


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a server: by digest of its secret, or by certificate (PEM)."""

    name: str
    number: str
    digest: str
    certificate: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    sync_max: int = 0
    stored_max: int = 0
    created: int = 0
    revoked: int = 0
    run: bool = False
    rate: int = 0

    @property
    def rights(self) -> Rights:
        grants = (
            *(parse_grant(path, write=False) for path in self.read),
            *(parse_grant(path, write=True) for path in self.write),
        )
        return Rights(f"the key {self.name}", grants, self.sync_max, self.stored_max, self.run, self.rate)


class KeyRing:
    """The keys of a server, in a file; each change is one replacement of it under a lock."""

    def __init__(self, directory: str) -> None:
        self.path: Final = os.path.join(directory, "keys.json")

    def minted(self) -> list[Key]:
        try:
            return [
                Key(**{**record, "read": tuple(record["read"]), "write": tuple(record["write"])})
                for record in _load(self.path, [])
            ]
        except (TypeError, KeyError):
            raise BadKeys(path=self.path) from None

    def add(self, key: Key, fingerprint: bytes) -> Token:
        """Keep a new key and return its token; one with a certificate has no secret."""
        secret = NO_SECRET if key.certificate else secrets.token_bytes(SECRET)
        number = secrets.token_bytes(NUMBER)
        digest = "" if key.certificate else hashlib.sha256(secret).hexdigest()
        made = replace(key, number=number.hex(), digest=digest, created=int(time.time()))
        _ = made.rights  # refuses paths that make no sense
        with self._alone():
            keys = self.minted()
            if any(other.name == key.name and not other.revoked for other in keys):
                raise KeyExists(name=key.name)
            self._save([*keys, made])
        return Token(fingerprint, number, secret)

    def revoke(self, name: str) -> None:
        """Let a key open nothing any more."""
        with self._alone():
            keys = self.minted()
            if not any(key.name == name and not key.revoked for key in keys):
                raise NoSuchKey(name=name)
            now = int(time.time())
            self._save([replace(key, revoked=key.revoked or now) if key.name == name else key for key in keys])

    def find(self, number: bytes, secret: bytes, certificate: str) -> Key:
        """Return the key that a peer has shown; UnknownKey, RevokedKey."""
        digest = hashlib.sha256(secret).hexdigest()
        for key in self.minted():
            shown = key.certificate == certificate if key.certificate else hmac.compare_digest(key.digest, digest)
            if key.number == number.hex() and shown:
                if key.revoked:
                    raise RevokedKey(name=key.name)
                return key
        raise UnknownKey

    def require(self, used: Key) -> None:
        """Raise RevokedKey where a key that was found once opens nothing any more."""
        if not any(key.number == used.number and not key.revoked for key in self.minted()):
            raise RevokedKey(name=used.name)

    def _save(self, keys: list[Key]) -> None:
        records = [asdict(key) for key in keys]
        write_private(self.path, json.dumps(records, indent=1).encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        fd = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


class Servers:
    """The servers that this side has tokens for, by host:port."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "servers.json")

    def trust(self, address: str, token: Token) -> None:
        self._save({**self._kept(), address: token.text})

    def forget(self, address: str) -> None:
        """Keep no token for a server any more."""
        kept = self._kept()
        if kept.pop(address, None) is None:
            raise NoSuchServer(peer=address)
        self._save(kept)

    def token(self, address: str) -> Token:
        text = self._kept().get(address)
        if text is None:
            raise NoKey(peer=address)
        return parse_token(text)

    def trusted(self) -> dict[str, Token]:
        return {address: parse_token(text) for address, text in sorted(self._kept().items())}

    def _kept(self) -> dict[str, str]:
        kept = _load(self._path, {})
        if not isinstance(kept, dict) or not all(isinstance(text, str) for text in kept.values()):
            raise BadKeys(path=self._path)
        return kept

    def _save(self, kept: dict[str, str]) -> None:
        write_private(self._path, json.dumps(kept, indent=1).encode())


def _load(path: str, missing: Any) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return missing
    except ValueError:
        raise BadKeys(path=path) from None
