"""A store in memory, for tests."""

from __future__ import annotations

from packetfs.packet.digest import Digest, digest_of


class MemoryStore:
    """Keeps payloads in a dict and counts reads."""

    mean = 4096

    def __init__(self) -> None:
        self.payloads: dict[Digest, bytes] = {}
        self.reads = 0

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:  # noqa: ARG002
        key = digest or digest_of(payload)
        self.payloads[key] = bytes(payload)
        return key

    def read(self, digest: Digest) -> bytes:
        self.reads += 1
        return self.payloads[digest]

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        return self.payloads[digest][offset : offset + length]

    def holds(self, digest: Digest) -> bool:
        return digest in self.payloads
