"""A plain directory as the target: files are built aside, verified and renamed; what was done is remembered.

The history pool mirrors the tree as the sender announced it, with the stat signature of each file as it was left here.
So the next sync knows its base without reading a byte, and sees what somebody changed behind its back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from packetfs.dataclass import replace
from packetfs.errors import BadMessage, InTheWay, NotFound, PacketFSError, UnsafePath, Unverified
from packetfs.events import Event, Listener, Trouble
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import pack_signature
from packetfs.fs.host.staging import STAGING, Committed, Staging
from packetfs.fs.ingest import ingest
from packetfs.limits import DRIFT_MAX, LEAVERS, LEAVERS_SEEN
from packetfs.net.content import take_in
from packetfs.net.delivery import Delivery, OldFile
from packetfs.net.listing import Listed
from packetfs.net.stale import FoundFiles, StaleContent
from packetfs.net.wire import Drift, State
from packetfs.net.written import Written
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry, decode_entry
from packetfs.packet.tree import Store

if TYPE_CHECKING:
    from packetfs.net.names import Selection

_ROOT = b"root"
_PLACE = b"place"


class HostTarget:
    """Brings a directory up to date. `rename` gives a single file of the sender another name here."""

    def __init__(
        self,
        root: bytes,
        history: FileSystem,
        listener: Listener,
        *,
        delete: bool = False,
        checksum: bool = False,
        dry_run: bool = False,
        rename: tuple[bytes, bytes] | None = None,
        follows: bool = False,
    ) -> None:
        """`follows`: what the source does not have was deleted by the last sync of this connection."""
        self._root = root
        self._history = history
        self._listener = listener
        self._delete = delete and rename is None
        self._follows = follows
        self._checksum = checksum
        self._dry_run = dry_run
        self._rename = rename
        self._as_root = os.geteuid() == 0
        self.empty = not (os.path.lexists(os.path.join(root, rename[1])) if rename else _has_entries(root))
        if not dry_run:
            os.makedirs(root, exist_ok=True)
        self._host = Beneath(root) if os.path.isdir(root) else None
        self._staging = Staging(self._tree, keep_old=not self.empty) if not dry_run else None
        self._old = FoundFiles(history.pool, self._read_old)
        self._old_paths: list[bytes] = []
        self._opened: tuple[int, int] = (-1, -1)
        self._newcomers = 0
        self._names = NO_DIGEST
        self._partial = False
        self._differing: dict[bytes, Entry] = {}
        self._replaced: dict[bytes, Digest] = {}
        self._leaders: dict[int, tuple[bytes, bool]] = {}
        self._directories: dict[bytes, None] = {}
        self._kept: dict[bytes, bytes] = {}
        self._parent: bytes | None = None
        self._early: dict[bytes, Digest] = {}
        self._groups: list[bytes] = []
        self._finished = False
        self.deleted: list[bytes] = []

    @property
    def _tree(self) -> Beneath:
        if self._host is None:
            raise NotFound(path=self._root)
        return self._host

    @property
    def _stage(self) -> Staging:
        if self._staging is None:
            raise NotFound(path=self._root)
        return self._staging

    def _here(self, path: bytes) -> bytes:
        """Return a path of the sent tree as it is called here; UnsafePath for what the sender has no business with."""
        if self._rename is not None and path:
            if path != self._rename[0]:
                raise UnsafePath(path=path, reason="only one file was asked for")
            return self._rename[1]
        if path.partition(b"/")[0] == STAGING:
            raise UnsafePath(path=path, reason="this name is reserved")
        return path

    mirrors = True
    snapshot = ""

    # what is held

    def state(self) -> State:
        if self.empty:
            return State(1, (), ())
        held = self._history.note(_ROOT)
        if held is None or self._checksum or self._history.note(_PLACE) != self._place():
            return State(0, (), ())
        drift = []
        for item in self._find_drift():
            drift.append(item)
            if len(drift) > DRIFT_MAX:
                return State(0, (), ())
        return State(0, (Digest(held),), tuple(drift))

    def holds(self, root: Digest) -> bool:
        return self._history.note(_ROOT) == root and self._history.note(_PLACE) == self._place()

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
            elif not entry.is_dir and seen != pack_signature(status):
                regular = stat.S_ISREG(status.st_mode)
                yield below, status.st_size if regular else 0, status.st_mtime_ns if regular else 0
            elif entry.is_dir and not _is_same_directory(entry, status):
                yield below, 0, 0
            if entry.is_dir:
                yield below

    # a listed name

    def expect_listing(self) -> None:
        self._history.remove(b"")

    def names(self) -> tuple[Store, Digest]:
        """Bring the history up to what is here: what it does not know by its stat is read."""
        from packetfs.fs.mirror import MirrorOptions, mirror  # the other side's half, as a rule

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
        self._names = self._history.tree_root()
        return self._history.pool, self._names

    def expect_changes(self, differing: Selection) -> None:
        """Forget what differs: names come back as they are listed, a directory's content stays until then."""
        from packetfs.net.names import walk

        for number, (path, leaf) in enumerate(walk(self._history.pool, self._names)):
            if differing(number):
                self._differing[path] = decode_entry(leaf)
        for path, entry in self._differing.items():
            if not entry.is_dir:
                self._history.remove(path)
        self._partial = True

    def examine(self, listed: Listed) -> bool:
        path, entry = listed.path, listed.entry
        self._replace(path, entry)
        status = self._status(path)
        if not entry.is_file:
            wanted = self._dry_run and (status is None or not self._is_same_kind(path, entry, status))
            self.put(path, entry, None)
            return wanted
        if not self._wants_file(path, entry, status):
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
                os.fstat(descriptor).st_size,
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
            path = self._old_paths[number]
            self._opened = (number, self._tree.open_read(self._kept.get(path, self._here(path))))
        return os.pread(self._opened[1], length, offset)

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
            self._remember(path, replace(entry, name=path.rpartition(b"/")[2]))
        return False

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

    # items

    def put(self, path: bytes, entry: Entry, delivery: Delivery | None) -> None:
        if not path:
            self._put_top(entry)
            return
        if self._dry_run:
            self.fail(path, entry)  # the tree as it would be, for what `finish` says; never committed
            return
        self._make_parents(path)
        self._make_way(path, entry)
        if entry.is_dir:
            self._stage.make_directory(self._here(path))
            self._directories[path] = None
            self._history.set(path, entry)
        elif delivery is not None:
            self._put_content(path, entry, delivery)
        elif entry.is_file or self._is_in_place(path, entry):
            self._put_metadata(path, entry)
        else:
            self._note(path, self._stage.make(self._here(path), entry, as_root=self._as_root))
            self._remember(path, entry)

    def _put_top(self, entry: Entry) -> None:
        if self._rename is None:
            self._history.set(b"", entry)

    def _make_way(self, path: bytes, entry: Entry) -> None:
        """Refuse to replace a directory with something in it, unless what the source does not have is to go."""
        if self._delete or entry.is_dir:
            return
        if self._is_directory(path) and self._tree.names(self._here(path)):
            raise InTheWay(path=path)

    def _is_directory(self, path: bytes) -> bool:
        status = self._status(path)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def _is_in_place(self, path: bytes, entry: Entry) -> bool:
        status = self._status(path)
        return status is not None and self._is_same_kind(path, entry, status)

    def _put_metadata(self, path: bytes, entry: Entry) -> None:
        status = self._status(path)
        if entry.is_file and (status is None or not stat.S_ISREG(status.st_mode) or status.st_size != entry.size):
            raise Unverified(path=path)
        if entry.is_file and (self._early.pop(path, None) or self._held_root(path)) != entry.root:
            raise Unverified(path=path)  # a root that was only announced
        self._report(path, self._tree.set_metadata(self._here(path), entry, as_root=self._as_root))
        self._remember(path, entry)

    def _held_root(self, path: bytes) -> bytes | None:
        """Return the root of what a sync left at a path, if none failed there since."""
        held = self._history.entry(path) if self._history.seen(path) is not None else None
        return held.root if held is not None else None

    def _put_content(self, path: bytes, entry: Entry, delivery: Delivery) -> None:
        with self._stage.create(self._here(path)) as writer:
            tee = Written(writer, sparse=entry.sparse)
            root = take_in(self._history.pool, path, delivery, entry.root, keep=False, tee=tee)
            if delivery.early:
                self._early[path] = root
            self._note(path, self._stage.commit(writer, entry, as_root=self._as_root))
        self._remember(path, entry)

    def link(self, path: bytes, entry: Entry, leader: bytes) -> None:
        if self._dry_run:
            self.fail(path, entry)
            return
        self._make_parents(path)
        self._make_way(path, entry)
        if entry.is_file and self._held_root(leader) not in (None, entry.root):
            raise Unverified(path=path)
        self._note(path, self._stage.link(self._here(leader), self._here(path)))
        self._remember(path, entry)

    def remove(self, path: bytes) -> None:
        self._parent = None
        if self._history.entry(path) is not None:
            self._history.remove(path)
        if self._delete and not self._dry_run and self._status(path) is not None:
            self._soil(path)
            kept = self._stage.remove(self._here(path))
            if kept is not None:
                self._kept[path] = kept

    def fail(self, path: bytes, entry: Entry) -> None:
        """The history holds what should be there, without a signature: the next sync sees that it is not."""
        if not path:
            return
        self._history.make_parents(path)
        self._history.set(path, entry, None)

    def _make_parents(self, path: bytes) -> None:
        above = path.rpartition(b"/")[0]
        if above == self._parent:
            return
        self._soil(path)
        missing = []
        while above and self._status(above) is None:
            missing.append(above)
            above = above.rpartition(b"/")[0]
        for directory in reversed(missing):
            self._soil(directory)
            self._stage.make_directory(directory)
        self._history.make_parents(path)
        self._parent = path.rpartition(b"/")[0]

    def _soil(self, path: bytes) -> None:
        """Remember that the directory above needs its own times again."""
        self._directories[path.rpartition(b"/")[0]] = None

    def _remember(self, path: bytes, entry: Entry) -> None:
        status = self._tree.lstat(self._here(path))
        self._history.set(path, entry, pack_signature(status), within=b"")
        if entry.group:
            self._groups.append(path)

    def _note(self, path: bytes, committed: Committed) -> None:
        if committed.old is not None:
            self._kept[path] = committed.old
        self._report(path, committed.problems)

    def _report(self, path: bytes, problems: list[str] | tuple[str, ...]) -> None:
        for problem in problems:
            self._listener(Trouble(path, problem))

    def take_snapshot(self) -> None:
        """A plain directory has none."""

    # old content

    def old(self, path: bytes) -> OldFile:
        return _HostFile(self._tree.open_read(self._kept.get(path, self._here(path))))

    def held(self, path: bytes) -> OldFile:
        return self._old.open(path)

    # the end

    def finish(self, root: Digest) -> Digest:
        if self._delete and not self._follows and self._host is not None:
            self._delete_extras()
        if self._dry_run:
            return root
        self._restore_directories()
        for path in self._groups:  # each further name changed the inode's ctime
            self._history.set_seen(path, pack_signature(self._tree.lstat(self._here(path))))
        self._groups = []
        held = self._history.tree_root()
        if held == root:
            self._history.set_note(_ROOT, root)
            self._history.set_note(_PLACE, self._place())
        else:
            self._history.set_note(_ROOT, bytes(32))
        self._history.commit()
        self._finished = True
        return held

    def _delete_extras(self) -> None:
        """Remove what the tree does not have."""
        directories = [b""]
        while directories:
            path = directories.pop()
            known = {entry.name: entry.is_dir for entry in self._history.children(path)}
            for name in self._tree.names(path):
                below = path + b"/" + name if path else name
                if below == STAGING:
                    continue
                if name not in known:
                    self._delete_extra(below)
                elif known[name] and self._is_directory(below):
                    directories.append(below)

    def _delete_extra(self, path: bytes) -> None:
        self.deleted.append(path)
        if not self._dry_run:
            self._soil(path)
            self._stage.remove(path)

    def _restore_directories(self) -> None:
        """Give directories their metadata, deepest first: their times change with every name below."""
        for path in sorted(self._directories, key=lambda path: path.count(b"/"), reverse=True):
            if path:
                self._restore(path)
        self._directories = {}
        self._parent = None

    def _restore(self, path: bytes) -> None:
        entry = self._history.entry(path)
        if entry is not None and self._rename is None:
            with suppress(FileNotFoundError):
                try:
                    self._report(path, self._tree.set_metadata(path, entry, as_root=self._as_root))
                except PacketFSError as error:
                    self._report(path, [error.message])

    def close(self) -> None:
        self._close_old()
        self._history.rollback()
        if self._staging is not None:
            self._staging.close()
            if self._finished:
                self._restore(b"")  # staging was the last to change it
        if self._host is not None:
            self._host.close()


class _HostFile:
    """An old file of the directory, open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def __del__(self) -> None:
        os.close(self._descriptor)


def _has_entries(root: bytes) -> bool:
    try:
        with os.scandir(root) as entries:
            return any(entry.name != STAGING for entry in entries)
    except FileNotFoundError:
        return False


def _is_same_directory(entry: Entry, status: os.stat_result) -> bool:
    wanted = (entry.mode, entry.mtime_ns)
    return (status.st_mode, status.st_mtime_ns) == wanted
