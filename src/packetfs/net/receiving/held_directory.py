"""A plain directory before a sync changes it: what it holds, what drifted, and what of a listed tree is here.

The history pool mirrors the tree as the sender announced it, with the stat signature of each file as it was left here.
So the next sync knows its base without reading a byte, and sees what somebody changed behind its back. Where there is
no such base, names are listed, and old files are read for what they have in common with the new ones.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from packetfs.dataclass import replace
from packetfs.errors import BadMessage, NotFound, PacketFSError, UnsafePath, Unverified
from packetfs.events import Event, Trouble
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import UNREAD, is_as_left, is_unread, pack_signature, proves_content
from packetfs.fs.host.staging import STAGING
from packetfs.fs.streams.ingest import ingest
from packetfs.limits import DRIFT_MAX, LEAVERS, LEAVERS_SEEN
from packetfs.net.receiving.delivery import Delivery
from packetfs.net.receiving.stale import FoundFiles, StaleContent
from packetfs.net.wire.listing import Listed
from packetfs.net.wire.messages import Drift, State
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry, decode_entry
from packetfs.packet.tree import Store
from packetfs.typing import Final

ROOT_NOTE: Final = b"root"
"""The note of a history that names the root that the last sync left."""
PLACE_NOTE: Final = b"place"
"""The note that tells the directory that it left it in."""


class HeldDirectory(ABC):
    """What of a directory a receiver asks before items come, and what serves as old content while they do."""

    def __init__(
        self,
        root: bytes,
        history: FileSystem,
        *,
        checksum: bool,
        dry_run: bool,
        rename: tuple[bytes, bytes] | None,
        shown: bytes = b"",
    ) -> None:
        self._root = root
        self._history = history
        self._checksum = checksum
        self._dry_run = dry_run
        self._rename = rename
        self.empty = not (os.path.lexists(os.path.join(root, rename[1])) if rename else _has_entries(root))
        if not dry_run:
            os.makedirs(root, exist_ok=True)
        self._host = Beneath(root, shown=shown) if os.path.isdir(root) else None
        self._old = FoundFiles(history.pool, self._read_old)
        self._old_paths: list[bytes] = []
        self._opened: tuple[int, int] = (-1, -1)
        self._newcomers = 0
        self._partial = False
        self._differing: dict[bytes, Entry] = {}
        self._replaced: dict[bytes, Digest] = {}
        self._leaders: dict[int, tuple[bytes, bool]] = {}
        self._kept: dict[bytes, bytes] = {}
        self._early: dict[bytes, Digest] = {}
        self._groups: list[bytes] = []

    @abstractmethod
    def put(self, path: bytes, entry: Entry, delivery: Delivery | None) -> None:
        """Make `path` what `entry` says; without a delivery its content stays."""

    @property
    def _tree(self) -> Beneath:
        if self._host is None:
            raise NotFound(path=self._root)
        return self._host

    def _here(self, path: bytes) -> bytes:
        """Return a path of the sent tree as it is called here; UnsafePath for what the sender has no business with."""
        if self._rename is not None and path:
            if path != self._rename[0]:
                raise UnsafePath(path=path, reason="only one file was asked for")
            return self._rename[1]
        if path.partition(b"/")[0] == STAGING:
            raise UnsafePath(path=path, reason="this name is reserved")
        return path

    # what is held

    def state(self) -> State:
        if self.empty:
            self._history.remove(b"")  # whatever was here, nobody has it any more
            return State(1, (), ())
        held = self._history.note(ROOT_NOTE)
        if held is None or self._checksum or self._history.note(PLACE_NOTE) != self._place():
            return State(0, (), ())
        drift = []
        for item in self._find_drift():
            drift.append(item)
            if len(drift) > DRIFT_MAX:
                return State(0, (), ())
        return State(0, (Digest(held),), tuple(drift))

    def holds(self, root: Digest) -> bool:
        return self._history.note(ROOT_NOTE) == root and self._history.note(PLACE_NOTE) == self._place()

    def _place(self) -> bytes:
        """Return what tells this directory from another that was put at the same path."""
        status = os.stat(self._root)
        return b"%d %d" % (status.st_dev, status.st_ino)

    def _find_drift(self) -> Iterator[Drift]:
        """Yield what is not as the last sync left it, a directory before what is in it."""
        walks = [self._drift_in(b"")]
        while walks:
            found = next(walks[-1], None)
            if found is None:
                walks.pop()
            elif isinstance(found, bytes):
                walks.append(self._drift_in(found))
            else:
                yield found

    def _drift_in(self, path: bytes) -> Iterator[Drift | bytes]:
        """Yield the drift of one directory's entries, and the directories in it. Of those only few fields count."""
        for entry, seen in self._history.children_with_seen(path):
            below = path + b"/" + entry.name if path else entry.name
            status = self._status(below)
            if status is None:
                yield below, 0, 0
            elif not entry.is_dir and not is_as_left(seen, status):
                yield below, status.st_size if stat.S_ISREG(status.st_mode) else 0, status.st_mtime_ns
            elif entry.is_dir and not _is_same_directory(entry, status):
                yield below, 0, status.st_mtime_ns
            if entry.is_dir:
                yield below

    # a listed name

    def expect_listing(self) -> None:
        self._history.remove(b"")

    def names(self) -> tuple[Store, Digest]:
        """Bring the history up to what is here: what it does not know by its stat is read."""
        from packetfs.fs.mirroring.mirror import MirrorOptions, mirror  # the other side's half, as a rule

        if self._rename is not None:
            raise BadMessage(reason="a sketch of one file")
        failed: list[bytes] = []

        def listen(event: Event) -> None:
            if isinstance(event, Trouble):
                failed.append(event.path)

        mirror(self._history, self._root, b"", MirrorOptions(budget=0, checksum=self._checksum), listen)
        for path in failed:
            if self._history.entry(path) is not None:
                self._history.remove(path)  # it may be as it was, or not
        self._partial = True
        return self._history.pool, self._history.tree_root()

    def forget(self, path: bytes, leaf: bytes) -> None:
        """A name comes back as it is listed; a directory's content stays until then."""
        entry = self._differing[path] = decode_entry(leaf)
        if not entry.is_dir and self._history.entry(path) is not None:
            self._history.remove(path)

    def examine(self, listed: Listed) -> bool:
        path, entry = listed.path, listed.entry
        self._replace(path, entry)
        status = self._status(path)
        if not entry.is_file:
            wanted = self._dry_run and (status is None or not self._is_same_kind(path, entry, status))
            self.put(path, entry, None)
            return wanted
        if not self._wants_file(path, entry, status):
            self._replaced.pop(path, None)  # it is as it shall be, however many there are
            return False
        if self._dry_run:
            return True
        if status is not None and stat.S_ISREG(status.st_mode) and status.st_size:
            self._add_old(path)
        else:
            self._newcomers += entry.size
        return True

    def _replace(self, path: bytes, entry: Entry) -> None:
        """Note what a listed name was."""
        old = self._differing.pop(path, None)
        if old is None:
            return
        if old.is_file:
            self._replaced[path] = Digest(old.root)
        elif old.is_dir and not entry.is_dir:
            self._history.remove(path)

    def _add_old(self, path: bytes) -> None:
        root = self._root_of(path)
        self._old_paths.append(path)
        self._old.add(root)

    def _root_of(self, path: bytes) -> Digest:
        """Return the root of a file, reading all of it where that was not done just now."""
        if path in self._replaced:
            return self._replaced[path]
        descriptor = self._tree.open_read(self._here(path))
        try:
            return ingest(
                self._history.pool,
                lambda offset, view: os.preadv(descriptor, [view], offset),
                keep=False,
            ).root
        finally:
            os.close(descriptor)

    def end_listing(self) -> None:
        for path in sorted(self._differing, reverse=True):
            old = self._differing[path]
            if old.is_dir and self._history.entry(path) is not None:
                self._history.remove(path)
        self._replaced.update((path, Digest(old.root)) for path, old in self._differing.items() if old.is_file)
        left = LEAVERS * self._newcomers if self._rename is None else 0
        for path, status in islice(self._leavers(), LEAVERS_SEEN) if left else ():
            if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= left:
                left -= status.st_size
                with suppress(OSError, PacketFSError):  # it is only one more place to find something
                    self._add_old(path)

    def _leavers(self) -> Iterator[tuple[bytes, os.stat_result]]:
        """Yield the names that the new tree does not have; what is in a directory among them follows it."""
        if self._partial:
            found = ((path, self._status(path)) for path in self._differing)
            yield from ((path, status) for path, status in found if status is not None)
            return
        directories = [b""]
        while directories:
            path = directories.pop()
            for below, known in self._beside(path):
                status = self._status(below)
                if status is None:
                    continue
                if not known:
                    yield below, status
                if stat.S_ISDIR(status.st_mode):
                    directories.append(below)

    def _beside(self, path: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield what is in a directory here, and whether the new tree has it."""
        known = (
            {entry.name for entry in self._history.children(path)} if self._history.entry(path) or not path else set()
        )
        with suppress(OSError):
            for name in self._tree.names(path):
                below = path + b"/" + name if path else name
                if below != STAGING:
                    yield below, name in known

    def match(self, listed: Listed) -> list[bool]:
        return self._old.match(listed)

    def stale(self) -> tuple[StaleContent, int]:
        return self._old.stale(), self._old.lacking

    def _read_old(self, number: int, offset: int, length: int) -> bytes:
        """Read an old file, which may be replaced by now; one stays open, as most reads follow each other."""
        if self._opened[0] != number:
            self._close_old()
            self._opened = (number, self._open_old(self._old_paths[number]))
        return os.pread(self._opened[1], length, offset)

    def _open_old(self, path: bytes) -> int:
        """Open what `path` was before the sync, where it lies now; or where it was nothing, what it is by now."""
        above = path
        while above:
            if above in self._kept:
                with suppress(OSError):
                    return self._tree.open_read(self._kept[above] + path[len(above) :])
            above = above.rpartition(b"/")[0]
        try:
            return self._tree.open_read(self._here(path))
        except OSError:
            raise Unverified(path=path) from None

    def _close_old(self) -> None:
        if self._opened[1] >= 0:
            os.close(self._opened[1])
        self._opened = (-1, -1)

    def _status(self, path: bytes) -> os.stat_result | None:
        if self._host is None:
            return None
        try:
            return self._host.lstat(self._here(path))
        except OSError:
            return None

    def _wants_file(self, path: bytes, entry: Entry, status: os.stat_result | None) -> bool:
        if entry.group and self._partial:
            return True  # its other names may not be listed
        if entry.group:
            leader, leader_wanted = self._leaders.setdefault(entry.group, (path, False))
            if leader != path:
                return leader_wanted or self._wants_link(path, leader, status)
        wanted = not self._is_current(path, entry, status)
        if entry.group:
            self._leaders[entry.group] = (path, wanted)
        if not wanted:
            self._early[path] = Digest(entry.root)  # its stat, or all of its bytes, say so
            self.put(path, entry, None)
        return wanted

    def _wants_link(self, path: bytes, leader: bytes, status: os.stat_result | None) -> bool:
        other = self._status(leader)
        if status is None or other is None or (status.st_dev, status.st_ino) != (other.st_dev, other.st_ino):
            return True
        entry = self._history.entry(leader)
        if entry is not None:
            self._remember(path, replace(entry, name=path.rpartition(b"/")[2]), read=self._was_read(leader))
        return False

    # what is remembered of a file

    def _remember(self, path: bytes, entry: Entry, *, read: bool) -> None:
        """Note that `path` is `entry`, with its stat; `read`: its content went through our hands, or is as it did."""
        status = self._tree.lstat(self._here(path))
        self._history.set(path, entry, _sign(status, read=read and status.st_mtime_ns == entry.mtime_ns), within=b"")
        if entry.group and not entry.is_dir:
            self._groups.append(path)

    def _sign_groups(self) -> None:
        """Note the stat of files of several names again: each further name changed the inode's ctime."""
        for path in self._groups:
            status, entry = self._tree.lstat(self._here(path)), self._history.entry(path)
            read = entry is not None and self._was_read(path) and status.st_mtime_ns == entry.mtime_ns
            self._history.set_seen(path, _sign(status, read=read))
        self._groups = []

    def _was_read(self, path: bytes) -> bool:
        """Tell whether the content of a path, as it was left, had gone through our hands."""
        seen = self._history.seen(path) if self._history.entry(path) is not None else None
        return seen is not None and not is_unread(seen)

    def _stays_read(self, path: bytes, entry: Entry, status: os.stat_result | None) -> bool:
        """Tell the same of what is there now and gets metadata. A new time would hide what is written meanwhile."""
        if status is None or status.st_mtime_ns != entry.mtime_ns:
            return False
        return self._was_read(path) and is_as_left(self._history.seen(path), status)

    def _proven_root(self, path: bytes, status: os.stat_result) -> Digest | None:
        """Return the root of what is at a path, if its stat proves that it is what a sync left there."""
        entry = self._history.entry(path)
        if entry is None or not entry.is_file or not proves_content(self._history.seen(path), status):
            return None
        return Digest(entry.root)

    def _is_current(self, path: bytes, entry: Entry, status: os.stat_result | None) -> bool:
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            return False
        if not self._checksum and path not in self._replaced:
            return status.st_mtime_ns == entry.mtime_ns
        return self._root_of(path) == entry.root

    def _is_same_kind(self, path: bytes, entry: Entry, status: os.stat_result) -> bool:
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(entry.mode):
            return False
        if entry.is_link:
            return self._tree.readlink(self._here(path)) == entry.target
        return status.st_rdev == entry.rdev or not entry.rdev


def _has_entries(root: bytes) -> bool:
    try:
        with os.scandir(root) as entries:
            return any(entry.name != STAGING for entry in entries)
    except FileNotFoundError:
        return False


def _sign(status: os.stat_result, *, read: bool) -> bytes:
    return pack_signature(status) + (b"" if read else UNREAD)


def _is_same_directory(entry: Entry, status: os.stat_result) -> bool:
    wanted = (entry.mode, entry.mtime_ns)
    return (status.st_mode, status.st_mtime_ns) == wanted
