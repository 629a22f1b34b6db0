"""A path in a pool as the target: extents the pool has are not sent again, and the commit is one transaction.

Every sync ends as a snapshot; on a connection that stands, changes are kept in one now and then.
Between `state` and `finish` nothing is visible to others.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from packetfs.dataclass import replace
from packetfs.errors import BadMessage, CorruptExtent, InTheWay, MissingExtent, PacketFSError, UnsafePath, Unverified
from packetfs.fs.directory import single_tree
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.leaves import Leaves
from packetfs.fs.streams.oldcontent import OldContent
from packetfs.fs.survey import entry_in
from packetfs.limits import LEAVERS, LEAVERS_SEEN
from packetfs.net.access.scope import OneTree, Scope, WholePool
from packetfs.net.receiving.content import take_in
from packetfs.net.receiving.delivery import Delivery, OldFile
from packetfs.net.receiving.stale import OldFiles, StaleContent
from packetfs.net.wire.batch import Content
from packetfs.net.wire.listing import Listed, Piece
from packetfs.net.wire.messages import State
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.entry import APART, Entry, decode_entry
from packetfs.packet.execute import read_program
from packetfs.packet.head import Kind
from packetfs.packet.layout import Buffer
from packetfs.packet.tree import Store, TreeWriter

_NOTE = b"sync:"
_CUT = b"cut:"
"""Begins the key of a note that the last sync of a path was cut: the pool has content that no name refers to."""


class PoolTarget:
    """Brings a directory of a pool up to date. `rename` gives a single file of the sender another name here."""

    def __init__(
        self,
        fs: FileSystem,
        path: bytes,
        *,
        delete: bool = False,
        checksum: bool = False,
        dry_run: bool = False,
        rename: tuple[bytes, bytes] | None = None,
        limited: bool = False,
        snapshots: bool = True,
    ) -> None:
        """A `limited` sender knows of no content but what it sends and what this directory held before. Without
        `snapshots` the names change and no snapshot is taken."""
        self._fs = fs
        self._path = path
        self._delete = delete and rename is None
        self._checksum = checksum
        self._dry_run = dry_run
        self._rename = rename
        self._snapshots = snapshots
        self._held: dict[bytes, list[tuple[Piece, Digest]]] = {}
        self._old_root = self._current_root()
        self._was_cut = not limited and fs.note(_CUT + path) is not None
        self._is_done = dry_run or limited
        self._whole = WholePool(fs.pool)
        self._apart = limited and rename is not None
        """What lies beside the one file, in the directory of both, is not the sender's to know."""
        self._scope: Scope = OneTree(fs.pool, self._known_root()) if limited else self._whole
        self._early: set[bytes] = set()
        self._brought: dict[bytes, Digest] = {}
        self._seen: set[bytes] = set()
        self._listing = self._partial = False
        self._differing: dict[bytes, bytes] = {}
        self._old = OldFiles(fs.pool, self._read_old)
        self._newcomers = 0
        self.deleted: list[bytes] = []
        self.snapshot = ""

    def _current_root(self) -> Digest | None:
        entry = self._fs.entry(self._path)
        if entry is None or not entry.is_dir:
            return None
        if self._checksum and not self._dry_run and self._rename is None:
            from packetfs.fs.mending import mend_directories

            mend_directories(self._fs, self._path)
        return self._fs.tree_root(self._path)

    def _known_root(self) -> Digest | None:
        """Return the tree of what a limited sender may know: its directory, or the one file that it replaces."""
        if self._rename is None:
            return self._old_root
        before = self._before(self._rename[0])
        return single_tree(self._fs.pool, before, self._fs.pool.mean) if before is not None else None

    def _here(self, path: bytes) -> bytes:
        if self._rename is not None and path:
            if path != self._rename[0]:
                raise UnsafePath(path=path, reason="only one file was asked for")
            path = self._rename[1]
        return b"/".join(part for part in (self._path, path) if part)

    # what is held

    @property
    def empty(self) -> bool:
        """After a sync that was cut nothing is: what came of it is found by a listing."""
        if self._was_cut or self._apart:
            return False
        return self._old_root is None or next(iter(self._fs.children(self._path)), None) is None

    def state(self) -> State:
        if self.empty:
            return State(1, (), ())
        if self._was_cut or self._old_root is None:
            return State(0, (), ())
        return State(0, () if self._checksum else self._roots(self._old_root), ())

    def _roots(self, live: Digest) -> tuple[Digest, ...]:
        if self._apart:
            return ()
        note = self._fs.note(_NOTE + self._path) or b""
        source = Digest(note[:DIGEST])
        if note[DIGEST:] == live != source and not self._delete:
            return source, live  # with `delete` what is here beyond it must be found: only names can do that
        return (live,)

    def holds(self, root: Digest) -> bool:
        return self._old_root is not None and root in self._roots(self._old_root)

    @property
    def mirrors(self) -> bool:
        """What is here beyond the source's tree stays, unless it is to be deleted."""
        return self._delete

    def expect_listing(self) -> None:
        self._listing = True

    def names(self) -> tuple[Store, Digest]:
        if self._rename is not None:
            raise BadMessage(reason="a sketch of one file")
        if self._checksum:  # to have a name is not enough: all of them shall be listed
            self._listing = True
        else:
            self._partial = True
        if self._old_root is None or self._checksum:
            return self._fs.pool, TreeWriter(self._fs.pool, Kind.DIRECTORY, self._fs.pool.mean).close()
        return self._fs.pool, self._old_root

    def forget(self, path: bytes, leaf: bytes) -> None:
        self._differing[path] = leaf

    def examine(self, listed: Listed) -> bool:
        path, entry = listed.path, listed.entry
        self._seen.add(path)
        if not entry.is_file or (self._has_program(self._here(path), entry) and self._is_sound(entry)):
            new = self._dry_run and self._fs.entry(self._here(path)) is None
            self.put(path, entry, None)
            return new
        old = self._before(path)
        if old is None:
            self._newcomers += entry.size
        elif old.root != entry.root and self._is_sound(old):
            self._old.add(Digest(old.root))
        return True

    def end_listing(self) -> None:
        left = LEAVERS * self._newcomers if self._rename is None else 0
        if not left:
            return
        for path, leaf in islice(self._names(), LEAVERS_SEEN):
            entry = decode_entry(leaf)
            if entry.is_file and 0 < entry.size <= left and path not in self._seen:
                left -= entry.size
                self._old.add(Digest(entry.root))

    def _names(self) -> Iterable[tuple[bytes, bytes]]:
        """Return what was here, or the part of it that differs where that is known, encoded."""
        from packetfs.net.finding.names import walk

        if self._partial or self._old_root is None:
            return self._differing.items()
        return walk(self._fs.pool, self._old_root)

    def match(self, listed: Listed) -> list[bool]:
        held = []
        for piece in listed.pieces:
            digest = self._scope.find(piece.id)
            held.append(digest is not None)
            if digest is not None:
                self._held.setdefault(listed.path, []).append((piece, digest))
            self._old.note(piece, held=held[-1])
        return held

    def stale(self) -> tuple[StaleContent, int]:
        return self._old.stale(), self._old.lacking

    def _read_old(self, number: int, offset: int, length: int) -> bytes:
        return read_program(self._fs.pool, self._old.root(number), offset, length)

    def _has_program(self, here: bytes, entry: Entry) -> bool:
        """Tell whether the file's program is here and the sender may know it."""
        root = Digest(entry.root)
        if root in self._early or self._is_at(here, root):
            return self._whole.has_file(root, entry.size)
        return self._scope.has_file(root, entry.size)

    def _is_sound(self, entry: Entry) -> bool:
        """Tell whether what is here of a file is what it should be, where the sender asked for that to be read."""
        if not self._checksum:
            return True
        from packetfs.fs.mending import is_sound

        return is_sound(self._fs.pool, Digest(entry.root), forget=not self._dry_run)

    def _is_at(self, here: bytes, root: Digest) -> bool:
        held = self._fs.entry(here)
        return held is not None and held.is_file and held.root == root

    # items

    def has(self, path: bytes) -> bool:
        return self._fs.entry(self._here(path)) is not None

    def put(self, path: bytes, entry: Entry, delivery: Delivery | None) -> None:
        here, is_claim = self._here(path), False
        if entry.is_file and delivery is not None:
            old = self._fs.entry(here)
            old_root = Digest(old.root) if old is not None and old.is_file and old.root != entry.root else None
            spans = delivery.spans() if old_root is not None and self._is_based_on(delivery, old_root) else None
            root = take_in(self._fs.pool, path, delivery, entry.root, old_root=old_root, spans=spans)
            if delivery.early:
                self._early.add(root)
                self._brought[path] = root
                return  # the pool has the content; the name comes with the root
        elif entry.is_file and not self._has_program(here, entry):
            if not self._dry_run:
                raise Unverified(path=path)
            is_claim = True
        if not here:
            self._fs.set(b"", entry)
            return
        self._make_way(path, here, entry)
        self._fs.make_parents(here)
        if is_claim:
            return  # whose content a dry run does not bring: to have a name here would prove that it did
        group = entry.group if path else APART
        self._fs.set(here, replace(entry, name=here.rpartition(b"/")[2], group=group), within=self._path)

    def _is_based_on(self, delivery: Delivery, root: Digest) -> bool:
        """Tell whether a delta copies from what is at its path now."""
        if delivery.kind is not Content.DELTA:
            return False
        base = delivery.open(0)
        return isinstance(base, _PoolFile) and base.root == root

    def _make_way(self, path: bytes, here: bytes, entry: Entry) -> None:
        """Refuse to replace a directory with something in it, unless what the source does not have is to go."""
        old = self._fs.entry(here)
        if old is None or entry.is_dir or not old.is_dir:
            return
        if not self._delete and next(iter(self._fs.children(here)), None) is not None:
            raise InTheWay(path=path)

    def link(self, path: bytes, entry: Entry, leader: bytes) -> None:
        if entry.is_file:
            if self._is_at(self._here(leader), Digest(entry.root)):
                self._early.add(entry.root)
            elif not self._dry_run:
                raise Unverified(path=path)  # a root that was only announced
        self.put(path, entry, None)

    def copy(self, path: bytes, entry: Entry, old: bytes) -> None:
        """The program is enough, wherever it was before."""
        del old
        self._seen.add(path)
        self.put(path, entry, None)

    def remove(self, path: bytes) -> bool:
        if not self._delete or self._fs.entry(self._here(path)) is None:
            return False
        self._fs.remove(self._here(path))
        return True

    def fail(self, path: bytes, entry: Entry) -> None:
        """What is there stays; the root then differs from the sender's, and the next sync sees that."""

    # old content

    def old(self, path: bytes) -> OldFile:
        entry = self._before(path)
        if entry is None and path in self._brought:
            return _PoolFile(self._fs, self._brought[path])
        entry = self._fs.entry(self._here(path)) if entry is None else entry
        if entry is None or not entry.is_file:
            raise Unverified(path=path)
        return _PoolFile(self._fs, Digest(entry.root))

    def _before(self, path: bytes) -> Entry | None:
        """Return the file that was here when the sync began, if one was."""
        found = entry_in(self._fs.pool, self._old_root, self._renamed(path)) if self._old_root is not None else None
        return found if found is not None and found.is_file else None

    def _renamed(self, path: bytes) -> bytes:
        return self._rename[1] if self._rename is not None and path == self._rename[0] else path

    def held(self, path: bytes) -> OldFile:
        return _HeldExtents(self._fs, path, self._held.get(path, []))

    # the end

    def finish(self, root: Digest) -> Digest:
        if self._delete and self._partial:
            self._delete_differing()
        elif self._delete and self._listing:
            self._delete_extras()
        self._listing = self._partial = False  # what comes on a connection that stands is no part of the listing
        if self._dry_run:
            return root
        held = root
        if not self._apart:
            held = self._fs.tree_root(self._path)
            self._fs.set_note(_NOTE + self._path, root + held)
        self._fs.set_note(_CUT + self._path, None)
        if self._snapshots and (held != self._old_root or not self.snapshot):
            self.take_snapshot()
        self._fs.commit()
        self._is_done = True
        return held

    def _delete_differing(self) -> None:
        for path in sorted(self._differing.keys() - self._seen, reverse=True):
            if self._fs.entry(self._here(path)) is not None:
                self._fs.remove(self._here(path))
                self.deleted.append(path)

    def _delete_extras(self) -> None:
        directories = [b""]
        while directories:
            path = directories.pop()
            for entry in list(self._fs.children(self._here(path))):
                below = path + b"/" + entry.name if path else entry.name
                if below not in self._seen:
                    self._fs.remove(self._here(below))
                    self.deleted.append(below)
                elif entry.is_dir:
                    directories.append(below)

    def take_snapshot(self) -> None:
        """Keep what is here now, and commit."""
        from datetime import UTC, datetime

        moment = time.time_ns()
        name = f"{datetime.fromtimestamp(moment // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{moment % 10**9:09d}Z"
        self._fs.snapshot(name.encode(), self._path, moment)
        self.snapshot = name

    def close(self) -> None:
        """Let go of what was not finished, but for content: payloads stay until gc, and the next sync finds them."""
        self._fs.rollback()
        if not self._is_done:
            with suppress(PacketFSError):  # what was cut short may be the pool
                self._fs.set_note(_CUT + self._path, b"")
                self._fs.commit()


class _PoolFile:
    """An old file of the pool, by its root."""

    def __init__(self, fs: FileSystem, root: Digest) -> None:
        # many stretches of one file are read, and each would walk all of its nodes; the root of what comes is compared
        self._pool, self._content = fs.pool, OldContent(fs.pool)
        self._leaves = Leaves(fs.pool, self._extent, self._content.expect)
        self.root = root

    def _extent(self, digest: Digest, length: int) -> Buffer:
        like = self._content.read(digest, length)
        return like.content if like is not None else self._pool.read_on_trust(digest, length)

    def read(self, offset: int, length: int) -> Buffer:
        # each is good until the next one
        return b"".join([bytes(piece) for piece in self._leaves.pieces(self.root, offset, offset + length)])


class _HeldExtents:
    """A new file as far as the pool has its extents."""

    def __init__(self, fs: FileSystem, path: bytes, pieces: list[tuple[Piece, Digest]]) -> None:
        self._fs = fs
        self._path = path
        self._places = {piece.offset: (piece.length, digest) for piece, digest in pieces}
        self._starts = sorted(self._places)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes from `offset`, where a piece begins, to its end at the most."""
        start = offset if offset in self._places else self._containing(offset)
        size, digest = self._places[start]
        skip = offset - start
        try:
            return self._fs.pool.read_range(digest, skip, min(length, size - skip))
        except (CorruptExtent, MissingExtent):
            raise Unverified(path=self._path) from None

    def _containing(self, offset: int) -> int:
        at = bisect_right(self._starts, offset) - 1
        if at < 0 or offset >= self._starts[at] + self._places[self._starts[at]][0]:
            raise Unverified(path=self._path)
        return self._starts[at]
