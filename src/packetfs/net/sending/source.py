"""The end that sends: a tree in a pool, whose content lies there or, beyond the budget, in the host's own files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from packetfs.dataclass import replace
from packetfs.errors import BadPacket, BadProgram, CorruptExtent, MissingExtent, PacketFSError, UnsafePath, Vanished
from packetfs.fs.directory import single_tree
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import pack_signature
from packetfs.fs.leaves import Leaves
from packetfs.fs.mirroring.edited import Edited
from packetfs.fs.survey import entry_in, first_path, totals
from packetfs.net.handing import Place
from packetfs.packet.digest import DIGEST, Digest, digest_of
from packetfs.packet.entry import Entry
from packetfs.packet.execute import run_leaf
from packetfs.packet.head import Kind
from packetfs.packet.layout import HEADER, Buffer, Encoding, Op
from packetfs.packet.rivals import Span
from packetfs.packet.tree import leaves, produces, read_head
from packetfs.pool.pool import Pool
from packetfs.typing import Final, Protocol

UNREADABLE: Final = Vanished, CorruptExtent, MissingExtent, BadPacket, BadProgram
"""What keeps one file from being sent, and no other: it changed, or what the pool has of it is damaged."""


class Source(Protocol):
    """What a sender needs of the tree that it sends."""

    @property
    def store(self) -> Pool: ...

    @property
    def root(self) -> Digest:
        """The tree's root; its programs lie in the store."""

    @property
    def top(self) -> Entry | None:
        """The entry of the directory itself; None when one file is sent."""

    def knows(self, root: Digest) -> bool:
        """Tell whether a directory that the receiver claims to hold may serve as the base."""

    def entry(self, path: bytes) -> Entry | None:
        """Return what a path of the tree stands for."""

    def read(self, path: bytes, offset: int, leaf: bytes) -> bytes:
        """Return what a leaf of a file produces, `offset` bytes into it; Vanished where that cannot be had any more."""

    def read_on_trust(self, path: bytes, offset: int, leaf: bytes) -> Buffer:
        """Return the same uncompared: where what the receiver makes of it has another root, it asks for the bytes."""

    def edits(self, old: Digest, new: Digest) -> Sequence[Span] | None:
        """Return where the content of a file is another than one that it had; None where nobody found out."""

    def read_span(self, path: bytes, root: Digest, start: int, end: int) -> Buffer:
        """Return bytes [start, end) of a file, on trust like `read_on_trust`. `root` is that of its content."""

    def place(self, path: bytes, offset: int, leaf: bytes) -> Place | None:
        """Return where the extent of a leaf lies as it is, None where it does not; Vanished as in `read`."""

    def leader(self, path: bytes) -> bytes:
        """Return the first path, in the order of the walk, of the file that `path` is a hard link to."""

    def totals(self) -> tuple[int, int]:
        """Return how many files the tree has, and their bytes."""


class PoolSource:
    """A directory, or one file, of a pool."""

    def __init__(self, fs: FileSystem, path: bytes, *, limited: bool = False) -> None:
        """With `limited` only what this path was at some time is known: no claim opens anything else in the pool."""
        self._fs = fs
        self._path = path
        self._limited = limited
        self._leaders: dict[int, bytes] = {}
        entry = fs.entry(path)
        self.top = replace(entry, group=0) if entry is not None and entry.is_dir else None
        if entry is None or entry.is_dir:
            self.root = fs.tree_root(path)
        else:
            self.root = single_tree(fs.pool, entry, fs.pool.mean)
        self._single = entry if self.top is None else None

    def knows(self, root: Digest) -> bool:
        if self._limited and root not in past_roots(self._fs, self._path):
            return False
        try:
            return self.store.holds(root) and read_head(self.store, root).kind is Kind.DIRECTORY
        except PacketFSError:
            return False

    def entry(self, path: bytes) -> Entry | None:
        if self._single is not None:
            return self._single if path == self._single.name else None
        return self._fs.entry(self._place(path))

    def _place(self, path: bytes) -> bytes:
        return self._path + b"/" + path if self._path else path

    @property
    def store(self) -> Pool:
        return self._fs.pool

    def read(self, path: bytes, offset: int, leaf: bytes) -> bytes:  # noqa: ARG002 (the leaf is enough)
        return b"".join(run_leaf(self.store, leaf))

    def read_on_trust(self, path: bytes, offset: int, leaf: bytes) -> Buffer:
        if leaf[0] == Op.COPY:
            data = self.store.read_on_trust(Digest(leaf[HEADER : HEADER + DIGEST]), produces(leaf))
            if len(data) == produces(leaf):
                return data
        return self.read(path, offset, leaf)

    def edits(self, old: Digest, new: Digest) -> Sequence[Span] | None:  # noqa: ARG002 (nothing was imported)
        return None

    def read_span(self, path: bytes, root: Digest, start: int, end: int) -> Buffer:
        try:
            return b"".join(Leaves(self.store, self.store.read_on_trust).pieces(root, start, end))
        except MissingExtent:
            raise Vanished(path=path) from None

    def place(self, path: bytes, offset: int, leaf: bytes) -> Place | None:  # noqa: ARG002 (the leaf is enough)
        extent = self.store.locate(Digest(leaf[HEADER : HEADER + DIGEST]))
        if extent.encoding is not Encoding.RAW or extent.length != produces(leaf):
            return None
        return Place(extent.segment, self.store.descriptor(extent.segment), extent.offset)

    def leader(self, path: bytes) -> bytes:
        if self._single is not None:
            return path
        ino = self._fs.paths.need(self._place(path)).ino
        if ino not in self._leaders:
            self._leaders[ino] = first_path(self._fs, ino, self._path)
        return self._leaders[ino]

    def totals(self) -> tuple[int, int]:
        return (1, self._single.size) if self._single is not None else totals(self._fs, self._path)


class HostSource(PoolSource):
    """A plain directory, mirrored into its history pool; content that the budget left out is read where it lies."""

    def __init__(self, fs: FileSystem, host: Beneath, top: Entry | None, edited: Edited | None = None) -> None:
        super().__init__(fs, b"")
        self.top = top
        self._edited = edited
        self._host = host
        self._open: tuple[bytes, int] = (b"", -1)

    def read(self, path: bytes, offset: int, leaf: bytes) -> bytes:
        """Read the file itself, where one call and a digest do; the pool knows what the file no longer has."""
        if leaf[0] != Op.COPY:
            return super().read(path, offset, leaf)
        with suppress(Vanished):
            data = self._read_host(path, offset, produces(leaf))
            if digest_of(data) == leaf[HEADER : HEADER + 32]:
                return data
        try:
            return super().read(path, offset, leaf)
        except MissingExtent:
            raise Vanished(path=path) from None

    def read_on_trust(self, path: bytes, offset: int, leaf: bytes) -> Buffer:
        """Read what the import has just stored: the file may be another by now."""
        try:
            return super().read_on_trust(path, offset, leaf)
        except MissingExtent:
            return self.read(path, offset, leaf)

    def edits(self, old: Digest, new: Digest) -> Sequence[Span] | None:
        return None if self._edited is None else self._edited.spans(old, new)

    def read_span(self, path: bytes, root: Digest, start: int, end: int) -> Buffer:
        """Read the file itself as long as it is as it was imported, which takes less than to run what was stored."""
        with suppress(Vanished):
            return self._read_host(path, start, end - start)
        return super().read_span(path, root, start, end)

    def place(self, path: bytes, offset: int, leaf: bytes) -> Place | None:
        try:
            return super().place(path, offset, leaf)
        except MissingExtent:
            return Place(path, self._descriptor(path), offset)

    def _read_host(self, path: bytes, offset: int, length: int) -> bytes:
        descriptor = self._descriptor(path)
        try:
            data = os.pread(descriptor, length, offset)
        except OSError:
            raise Vanished(path=path) from None
        if len(data) < length:
            raise Vanished(path=path)
        return data

    def _descriptor(self, path: bytes) -> int:
        if self._open[0] != path or self._open[1] < 0:
            self.close()
            try:
                descriptor = self._host.open_read(path)
            except (OSError, UnsafePath):  # it may be no file any more, or lie behind a link
                raise Vanished(path=path) from None
            seen = self._fs.seen(path)  # none where the file was written in the moment it was read: digests decide
            if seen is not None and pack_signature(os.fstat(descriptor)) != seen:
                os.close(descriptor)
                raise Vanished(path=path)
            self._open = (path, descriptor)
        return self._open[1]

    def close(self) -> None:
        if self._open[1] >= 0:
            os.close(self._open[1])
        self._open = (b"", -1)


def past_roots(fs: FileSystem, path: bytes) -> Iterator[Digest]:
    """Yield the roots that a directory of the pool had in its snapshots, and in those of the directories around it."""
    for taken in fs.snapshots():
        if taken.path == path:
            yield taken.root
        elif not taken.path or path.startswith(taken.path + b"/"):
            entry = entry_in(fs.pool, taken.root, path[len(taken.path) :].lstrip(b"/"))
            if entry is not None and entry.is_dir:
                yield Digest(entry.root)


def file_leaves(store: Pool, entry: Entry) -> Iterator[tuple[int, bytes]]:
    """Yield the leaves of a file's program: none of an empty file, nor of a derived one that was not run yet."""
    return leaves(store, Digest(entry.root)) if entry.size else iter(())
