"""Import a directory of the host into the namespace: what a stat proves unchanged is not read, the rest is compared.

Names of the disk and of the namespace are walked in step, both sorted as bytes, a directory before what is in it. A
file that cannot be read, vanishes or keeps changing is Trouble, and the walk goes on: what vanished goes from the
namespace too, whatever else is in trouble stays there as it was.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from packetfs.errors import BadPath, PacketFSError, SourceUnavailable, UnsafePath
from packetfs.events import Listener, Progress, Trouble, ignore
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import Handle, Signature, is_sparse, make_entry, pack_signature, read_xattrs
from packetfs.fs.host.staging import STAGING
from packetfs.fs.ingest import Ingested, ingest
from packetfs.limits import ENTRY_TAIL_MAX, PROGRESS_BYTES, PROGRESS_FILES
from packetfs.packet.digest import NO_DIGEST, Digest, digest_of
from packetfs.packet.entry import Entry

_XATTRS_MAX: Final = ENTRY_TAIL_MAX - 64 * 1024
"""Bytes of attributes that an entry has room for beside name and target."""


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """How to import: `keep` says whether the pool holds the content or only its digests, `checksum` reads all files,
    `one_filesystem` leaves directories empty on which something else is mounted."""

    keep: bool = True
    checksum: bool = False
    one_filesystem: bool = False


def mirror(
    fs: FileSystem,
    host_path: str | bytes,
    path: bytes,
    options: MirrorOptions = MirrorOptions(),  # noqa: B008
    listener: Listener = ignore,
) -> Digest:
    """Make `path` stand for what is at `host_path`, a directory or one file; return its root. The caller commits."""
    real = os.path.realpath(os.fsencode(host_path))
    try:
        if os.path.isdir(real):
            with Beneath(real) as beneath:
                return _Mirror(fs, beneath, path, options, listener).import_tree()
        parent, name = os.path.split(real)
        with Beneath(parent) as beneath:
            return _Mirror(fs, beneath, path, options, listener).import_one(name)
    except PacketFSError:
        raise
    except OSError as error:
        raise SourceUnavailable(path=real, reason=error.strerror) from error


@dataclass(slots=True)
class _Links:
    """The names seen of one inode that has several: the first, the group it has now, and how many are still to come."""

    first: bytes
    group: int
    missing: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What the namespace has under a name so far."""

    entry: Entry | None = None
    seen: bytes | None = None


class _Changing(Exception):  # noqa: N818
    """The file was written while it was read."""


class _Mirror:
    """One walk. Paths are relative to the directory on the host."""

    def __init__(
        self, fs: FileSystem, beneath: Beneath, top: bytes, options: MirrorOptions, listener: Listener
    ) -> None:
        self._fs = fs
        self._beneath = beneath
        self._top = top
        self._options = options
        self._listener = listener
        self._device = beneath.lstat(b"").st_dev
        self._links: dict[tuple[int, int], _Links] = {}
        self._files = self._bytes = self._told_files = self._told_bytes = 0

    # the walk

    def import_tree(self) -> Digest:
        self._beneath.names(b"")  # the one directory without which there is nothing to do
        self._fs.make_parents(self._top)
        status = self._beneath.lstat(b"")
        known = _Known(self._fs.entry(self._top), None)
        self._set(b"", self._describe(b"", status), known, None)
        walks = [self._walk(b"")]
        while walks:
            deeper = next(walks[-1], None)
            if deeper is None:
                walks.pop()
            else:
                walks.append(self._walk(deeper))
        self._settle_links()
        self._tell()
        return self._fs.tree_root(self._top)

    def import_one(self, name: bytes) -> Digest:
        """Import a single file as the top itself."""
        status = self._beneath.lstat(name)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafePath(path=name, reason="it is not a regular file")
        self._fs.make_parents(self._top)
        entry = self._fs.entry(self._top)
        known = _Known(entry, self._fs.seen(self._top) if entry else None)
        if known.seen != pack_signature(status) or self._options.checksum:
            try:
                self._fs.set(self._top, *self._read_file(name, known.entry))
            except _Changing:
                raise SourceUnavailable(path=name, reason="it changed while being read") from None
        self._count(status)
        self._tell()
        imported = self._fs.entry(self._top)
        return Digest(imported.root if imported else NO_DIGEST)

    def _walk(self, directory: bytes) -> Iterator[bytes]:
        """Bring one directory up to date; yield each directory in it that is to be walked next."""
        try:
            names = self._names(directory)
            pairs = self._pair(directory, names)
            for path, known in pairs:
                if self._import_name(path, known):
                    yield path
        except PacketFSError as error:
            if not isinstance(error, BadPath):
                raise
            self._trouble(directory, error.message)
        except OSError as error:
            self._trouble(directory, error.strerror)

    def _names(self, directory: bytes) -> list[bytes]:
        status = self._beneath.lstat(directory)
        if self._options.one_filesystem and status.st_dev != self._device:
            return []
        names = self._beneath.names(directory)
        if not directory and STAGING in names:
            names.remove(STAGING)
        return names

    def _pair(self, directory: bytes, names: list[bytes]) -> Iterator[tuple[bytes, _Known]]:
        """Yield each name of the disk with what the namespace has; remove what only the namespace has."""
        prefix = directory + b"/" if directory else b""
        known = self._fs.children_with_seen(self._place(directory))
        entry, seen = next(known, (None, None))
        for name in names:
            while entry is not None and entry.name < name:
                self._fs.remove(self._place(prefix + entry.name))
                entry, seen = next(known, (None, None))
            if entry is not None and entry.name == name:
                yield prefix + name, _Known(entry, seen)
                entry, seen = next(known, (None, None))
            else:
                yield prefix + name, _Known()
        while entry is not None:
            self._fs.remove(self._place(prefix + entry.name))
            entry, seen = next(known, (None, None))
