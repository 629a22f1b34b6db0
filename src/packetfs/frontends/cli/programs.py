"""Programs without a pool of their own: a throw-away store that keeps them, with the chosen pool behind it at need."""

from __future__ import annotations

from packetfs.fs.streams.ingest import ingest
from packetfs.limits import MEAN
from packetfs.packet.codec import encode
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import Mark, Op
from packetfs.packet.tree import Store, produces, split
from packetfs.typing import TYPE_CHECKING, BinaryIO, Callable, cast

if TYPE_CHECKING:
    from packetfs.pool.pool import Pool


class ThrowAwayStore:
    """Keep programs in memory and forget payload; what is not here is read from the store behind, opened at need."""

    def __init__(self, mean: int = MEAN, behind: Callable[[], Store] | None = None) -> None:
        self.mean = mean
        self._kept: dict[Digest, bytes] = {}
        self._behind = behind

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = Mark.DATA) -> Digest:
        """Name a payload; only programs are kept."""
        name = digest_of(payload) if digest is None else digest
        if mark == Mark.PROGRAM:
            self._kept[name] = bytes(payload)
        return name

    def holds(self, digest: Digest) -> bool:
        """Tell whether a program is here."""
        return digest in self._kept

    def read(self, digest: Digest) -> bytes:
        """Return a program that was kept, or what the store behind has."""
        kept = self._kept.get(digest)
        return self._further().read(digest) if kept is None else kept

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return part of it."""
        kept = self._kept.get(digest)
        return self._further().read_range(digest, offset, length) if kept is None else kept[offset : offset + length]

    def _further(self) -> Store:
        if self._behind is None:
            raise LookupError("payload was not kept")
        return self._behind()


def with_head(program: bytes) -> bytes:
    """Return a program with the HEAD that it needs to run, where it was written without one."""
    if program[:1] == bytes([Op.HEAD]):
        return program
    length = sum(produces(leaf) for leaf in split(program))
    return encode(Head(Kind.FILE, length).packet()) + program


def sequential(file: BinaryIO) -> Callable[[int, memoryview], int]:
    """Return how `ingest` reads what can only be read from front to back."""

    def read(offset: int, into: memoryview) -> int:
        del offset  # always the next one
        return file.readinto(into)  # type: ignore[attr-defined, no-any-return]  # every binary file has it

    return read


def program_of_file(file: BinaryIO) -> tuple[ThrowAwayStore, Digest]:
    """Return a file's canonical program in a store of its own; nothing of the content is kept."""
    store = ThrowAwayStore()
    done = ingest(cast("Pool", store), sequential(file), keep=False)
    return store, done.root
