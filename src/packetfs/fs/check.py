"""Verify a pool and say which files are hit: bytes first, then every path below the names and the snapshots."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.dataclass import dataclass, field
from packetfs.errors import NotRunYet, PacketFSError
from packetfs.fs.directory import entries_of
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.snapshot import decode_root_entry
from packetfs.packet.codec import decode
from packetfs.packet.digest import NO_DIGEST, Digest, short
from packetfs.packet.entry import Entry
from packetfs.packet.layout import CopyFlag, Op
from packetfs.packet.tree import leaves
from packetfs.pool.check import Finding
from packetfs.pool.check import check as check_bytes
from packetfs.pool.pool import Pool


@dataclass(frozen=True, slots=True)
class Affected:
    """A path that cannot be read as it was, why, and the snapshot that it is in (None: among the live names)."""

    path: bytes
    reason: str
    snapshot: bytes | None = None


@dataclass(slots=True)
class _Walk:
    """What a check knows so far: extents that are damaged, and directories that are whole."""

    pool: Pool
    damaged: set[Digest] = field(default_factory=set)
    whole: set[Digest] = field(default_factory=set)


def check(fs: FileSystem) -> Iterator[Finding | Affected]:
    """Yield what is wrong with the bytes, then the files that this hits; nothing where all is well."""
    walk = _Walk(fs.pool)
    for finding in check_bytes(fs.pool):
        if finding.digest is not None and not _is_readable(fs.pool, finding.digest):
            walk.damaged.add(finding.digest)
        yield finding
    for snapshot in fs.snapshots():
        try:
            top = decode_root_entry(snapshot.record, fs.pool.read(snapshot.record))
        except PacketFSError as error:
            yield Affected(b"", error.message, snapshot.name)
            continue
        for path, reason in _stored(walk, b"", Digest(top.root)):
            yield Affected(path, reason, snapshot.name)
    for path, reason in _live(walk, fs):
        yield Affected(path, reason)


def _is_readable(pool: Pool, digest: Digest) -> bool:
    """A finding may concern a second copy, or only the index."""
    try:
        pool.read(digest)
    except PacketFSError:
        return False
    return True


def _stored(walk: _Walk, above: bytes, root: Digest) -> Iterator[tuple[bytes, str]]:
    """Yield what is wrong below a stored directory; those found whole are not walked twice."""
    stack = [(above, root)]
    visited = []
    hit = False
    while stack:
        path, directory = stack.pop()
        if directory in walk.whole:
            continue
        visited.append(directory)
        try:
            for entry in entries_of(walk.pool, directory):
                inner = path + b"/" + entry.name if path else entry.name
                if entry.is_dir:
                    stack.append((inner, Digest(entry.root)))
                elif reason := _problem(walk, entry, None):
                    hit = True
                    yield inner, reason
        except PacketFSError as error:
            hit = True
            yield path, error.message
    if not hit:
        walk.whole.update(visited)


def _live(walk: _Walk, fs: FileSystem) -> Iterator[tuple[bytes, str]]:
    """Yield what is wrong among the live names: programs of clean directories, and every file."""
    stack = [b""]
    while stack:
        path = stack.pop()
        for entry, seen in fs.children_with_seen(path):
            inner = path + b"/" + entry.name if path else entry.name
            if entry.is_dir:
                stack.append(inner)
            if reason := _problem(walk, entry, seen):
                yield inner, reason


def _problem(walk: _Walk, entry: Entry, seen: bytes | None) -> str:
    """Return why an entry cannot be read, or nothing. The mirror of a host's file may lack content, not programs."""
    if entry.root == NO_DIGEST or Digest(entry.root) in walk.whole:
        return ""
    try:
        if entry.is_dir:
            return _read_all(walk.pool, Digest(entry.root))
        for _, leaf in leaves(walk.pool, Digest(entry.root)):
            packet = decode(leaf)
            if packet.op is Op.COPY and not packet.flags & CopyFlag.PROGRAM:
                reason = _extent_problem(walk, Digest(packet.body[:32]), seen is not None)
                if reason:
                    return reason
    except NotRunYet:
        return ""
    except PacketFSError as error:
        return error.message
    return ""


def _read_all(pool: Pool, directory: Digest) -> str:
    for _ in entries_of(pool, directory):
        pass
    return ""


def _extent_problem(walk: _Walk, digest: Digest, is_mirror: bool) -> str:
    if digest in walk.damaged:
        return f"extent {short(digest)} is damaged"
    if not is_mirror and not walk.pool.holds(digest):
        return f"extent {short(digest)} is missing"
    return ""
