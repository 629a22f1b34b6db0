"""Digests: BLAKE3-256 names every extent and every program. The only module that knows the hash library."""

from __future__ import annotations

from blake3 import blake3

from packetfs.packet.layout import Buffer
from packetfs.typing import Final, NewType

Digest = NewType("Digest", bytes)

DIGEST: Final = 32
NO_DIGEST: Final = Digest(bytes(DIGEST))


def digest_of(data: Buffer) -> Digest:
    """Return the BLAKE3-256 of `data` (32 bytes)."""
    return Digest(blake3(data).digest())


def keyed_tag(secret: bytes, data: Buffer, size: int = 16) -> bytes:
    """Return so many bytes that only the holder of the 32-byte secret can make for `data`."""
    return blake3(data, key=secret).digest(length=size)


def short(digest: bytes) -> str:
    """Return how a digest is shown to people: its first 12 hexadecimal digits."""
    return digest[:6].hex()
