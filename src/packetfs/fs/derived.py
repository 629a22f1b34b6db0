"""Derived files in the namespace: a promise until the first read, a file like any other from then on.

A name stands for the derived program, with size 0, and a note says that it has not run. Whoever reads the file first
runs it, as the writer of the pool: its output becomes extents, and every name that stood for the promise gets the root
and the size of what came out. The note then says what that was, so that the same promise need not be run twice. How a
program is run is not known here: the runner is handed in.

Content is named by digest, so a derived file is derived of what its source was, whatever becomes of the source.
"""

from __future__ import annotations

from collections.abc import Callable

from packetfs.dataclass import replace
from packetfs.errors import NotAFile
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.derived import Call, derive, is_derived
from packetfs.packet.digest import DIGEST, NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Mark
from packetfs.packet.tree import Store
from packetfs.pool.pool import Pool
from packetfs.typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from packetfs.fs.streams.ingest import Ingested

Deriver: TypeAlias = Callable[[Pool, Digest], "Ingested"]
"""Runs a derived file, puts what comes out into the pool, and returns its root and size."""

_NOTE: Final = b"derived/"
_AFTER: Final = b"derived0"
"""The first key behind those that begin with _NOTE."""
_WAITING: Final = "SELECT key FROM note WHERE key>? AND key<? AND length(value)=0"
_NAMED: Final = "SELECT ino FROM inode WHERE root=?"


def add_derived(fs: FileSystem, path: bytes, source: Entry, packets: bytes, call: Call, entry: Entry) -> Entry:
    """Let `path` stand for what `call` makes of a file; `packets` are its program. What was at `path` goes."""
    if not source.is_file or source.root == NO_DIGEST:
        raise NotAFile(path=source.name)
    fs.pool.put(packets, call.program, mark=Mark.PROGRAM)
    root = fs.pool.put(derive(fs.pool.read(Digest(source.root)), call), mark=Mark.PROGRAM)
    made = replace(entry, root=root, size=0)
    if fs.note(_NOTE + root) is None:
        fs.set_note(_NOTE + root, b"")
    fs.set(path, made)
    return made


def waits(pool: Store, entry: Entry) -> bool:
    """Tell whether an entry is a derived file that was not run yet."""
    return entry.is_file and not entry.size and entry.root != NO_DIGEST and is_derived(pool, Digest(entry.root))


def waiting(fs: FileSystem) -> list[Digest]:
    """Return the derived files that were not run yet."""
    return [Digest(key[len(_NOTE) :]) for (key,) in fs.names.rows(_WAITING, (_NOTE, _AFTER))]


def run_derived(fs: FileSystem, root: Digest, deriver: Deriver) -> Ingested:
    """Run a derived file, unless that was done before, and give its content to all its names. Nothing is committed."""
    done = _known(fs, root) or deriver(fs.pool, root)
    settle(fs, root, done)
    return done


def settle(fs: FileSystem, root: Digest, done: Ingested) -> None:
    """Give what came out of a derived file to all its names."""
    for (ino,) in fs.names.rows(_NAMED, (root,)):
        inode = fs.names.inode(ino)
        fs.names.update(inode, replace(inode.entry, root=done.root, size=done.size), inode.seen)
    fs.set_note(_NOTE + root, done.root + done.size.to_bytes(8, "little"))


def _known(fs: FileSystem, root: Digest) -> Ingested | None:
    """Return what came out when a derived file was run before, if the pool still has it."""
    value = fs.note(_NOTE + root)
    if value is None or len(value) != DIGEST + 8 or not fs.pool.holds(Digest(value[:DIGEST])):
        return None
    from packetfs.fs.streams.ingest import Ingested  # who reads needs none of it

    return Ingested(Digest(value[:DIGEST]), int.from_bytes(value[DIGEST:], "little"), 0, 0)
