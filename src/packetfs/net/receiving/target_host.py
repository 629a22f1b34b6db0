"""A plain directory as the target: files are built aside, verified and renamed; what was done is remembered.

The history pool mirrors the tree as the sender announced it, with the stat signature of each file as it was left here.
What the next sync makes of that is in `held_directory.py`.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from packetfs.errors import InTheWay, NotFound, PacketFSError, Unverified
from packetfs.events import Listener, Trouble
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.metadata import is_as_left
from packetfs.fs.host.staging import STAGING, Committed, Staging
from packetfs.fs.host.writer import Writer
from packetfs.net.receiving.content import take_in
from packetfs.net.receiving.delivery import Delivery, OldFile, copied
from packetfs.net.receiving.held_directory import PLACE_NOTE, ROOT_NOTE, HeldDirectory
from packetfs.net.receiving.host_file import HostFile
from packetfs.net.receiving.written import Patched, Written
from packetfs.net.wire.batch import Content
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry


class HostTarget(HeldDirectory):
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
        shown: bytes = b"",
    ) -> None:
        """`follows`: what the source does not have was deleted by the last sync of this connection. `shown`: as in
        Beneath.
        """
        super().__init__(root, history, checksum=checksum, dry_run=dry_run, rename=rename, shown=shown)
        self._listener = listener
        self._delete = delete and rename is None
        self._follows = follows
        self._as_root = os.geteuid() == 0
        self._staging = None if dry_run else self._open_staging()
        self._directories: dict[bytes, None] = {}
        self._parent: bytes | None = None
        self._finished = False
        self.deleted: list[bytes] = []
        self._would_go: set[bytes] = set()

    def _open_staging(self) -> Staging:
        """A destination that is refused is let go of: nobody else would, as there is no target yet."""
        try:
            return Staging(self._tree, keep_old=not self.empty)
        except BaseException:
            self._tree.close()
            raise

    @property
    def _stage(self) -> Staging:
        if self._staging is None:
            raise NotFound(path=self._root)
        return self._staging

    mirrors = True
    snapshot = ""

    # items

    def has(self, path: bytes) -> bool:
        return self._status(path) is not None

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
            self._note(path, self._stage.make_directory(self._here(path)))
            self._directories[path] = None
            self._history.set(path, entry)
        elif delivery is not None:
            self._put_content(path, entry, delivery)
        elif entry.is_file or self._is_in_place(path, entry):
            self._put_metadata(path, entry)
        else:
            self._note(path, self._stage.make(self._here(path), entry, as_root=self._as_root))
            self._remember(path, entry, read=True)

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
        if entry.is_file and not self._has_content(path, entry, status):
            raise Unverified(path=path)
        was_read = self._stays_read(path, entry, status)
        self._report(path, self._tree.set_metadata(self._here(path), entry, as_root=self._as_root))
        self._remember(path, entry, read=was_read)

    def _has_content(self, path: bytes, entry: Entry, status: os.stat_result | None) -> bool:
        """Tell whether a file that gets metadata has the content of `entry`. Where it changed since the last sync, if
        only its ctime tells, its bytes say so."""
        brought = self._early.pop(path, None)
        if brought is not None:
            return brought == entry.root
        if self._held_root(path) != entry.root:
            return False  # a root that was only announced
        if status is None or is_as_left(self._history.seen(path), status):
            return status is not None
        return self._root_of(path) == entry.root

    def _held_root(self, path: bytes) -> bytes | None:
        """Return the root of what a sync left at a path, if none failed there since."""
        held = self._history.entry(path) if self._history.seen(path) is not None else None
        return held.root if held is not None else None

    def _put_content(self, path: bytes, entry: Entry, delivery: Delivery) -> None:
        with self._stage.create(self._here(path)) as writer:
            base = _base_of(delivery)
            if base is not None:
                self._patch(path, entry, delivery, writer, base)
            else:
                if not entry.sparse:
                    writer.expect(entry.size)
                tee = Written(writer, sparse=entry.sparse)
                root = take_in(self._history.pool, path, delivery, entry.root, keep=False, tee=tee)
                if delivery.early:
                    self._early[path] = root
            self._note(path, self._stage.commit(writer, entry, as_root=self._as_root))
        self._remember(path, entry, read=True)

    def _patch(self, path: bytes, entry: Entry, delivery: Delivery, writer: Writer, base: HostFile) -> None:
        """Write a changed file without reading what stays in place: the old program says what that is."""
        writer.expect_copies(base.descriptor, entry.size)
        patched = Patched(writer, delivery.open, sparse=entry.sparse)
        spans = delivery.spans(patched.take)
        take_in(self._history.pool, path, delivery, entry.root, keep=False, old_root=base.root, spans=spans)
        if not base.is_as_opened():
            raise Unverified(path=path)  # somebody wrote to it while it was copied

    def link(self, path: bytes, entry: Entry, leader: bytes) -> None:
        if self._dry_run:
            self.fail(path, entry)
            return
        self._make_parents(path)
        self._make_way(path, entry)
        if entry.is_file and self._held_root(leader) not in (None, entry.root):
            raise Unverified(path=path)
        self._note(path, self._stage.link(self._here(leader), self._here(path)))
        self._remember(path, entry, read=self._was_read(leader))

    def copy(self, path: bytes, entry: Entry, old: bytes) -> None:
        if not entry.is_file or self._dry_run:
            self.put(path, entry, None)
            return
        leader = self._history.leader(path, entry, within=b"")
        if leader is None or leader == path:
            self.put(path, entry, copied(path, entry.size, lambda: self.old(old)))
        else:
            self.link(path, entry, leader)

    def remove(self, path: bytes) -> bool:
        self._parent = None
        if self._history.entry(path) is not None:
            self._history.remove(path)
        if not self._delete or self._status(path) is None:
            return False
        if self._dry_run:
            self._would_go.add(path)
            return True
        self._soil(path)
        kept = self._stage.remove(self._here(path))
        if kept is not None:
            self._kept[path] = kept
        return True

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
        descriptor = self._open_old(path)
        return HostFile(descriptor, self._proven_root(path, os.fstat(descriptor)))

    def held(self, path: bytes) -> OldFile:
        return self._old.open(path)

    # the end

    def finish(self, root: Digest) -> Digest:
        if self._delete and not self._follows and self._host is not None:
            self._delete_extras()
        if self._dry_run:
            return root
        self._restore_directories()
        self._sign_groups()
        held = self._history.tree_root()
        if held == root:
            self._history.set_note(ROOT_NOTE, root)
            self._history.set_note(PLACE_NOTE, self._place())
        else:
            self._history.set_note(ROOT_NOTE, bytes(32))
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
                if below == STAGING or below in self._would_go:
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


def _base_of(delivery: Delivery) -> HostFile | None:
    """Return the file that a delta is based on, if what it has is proven."""
    if delivery.kind is not Content.DELTA:
        return None
    try:
        base = delivery.open(0)
    except (OSError, PacketFSError):
        return None  # whoever copies from it says what is wrong
    return base if isinstance(base, HostFile) and base.root is not None else None
