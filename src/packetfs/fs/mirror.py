"""Import a directory of the host into the namespace: what a stat proves unchanged is not read, the rest is compared.

Names of the disk and of the namespace are walked in step, both sorted as bytes, a directory before what is in it. A
file that cannot be read, vanishes or keeps changing is Trouble, and the walk goes on: what vanished goes from the
namespace too, whatever else is in trouble stays there as it was.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from packetfs.dataclass import dataclass, replace
from packetfs.errors import BadPath, PacketFSError, PoolFull, SourceUnavailable, UnsafePath
from packetfs.errors.system import source_error
from packetfs.events import Listener, Progress, Trouble, ignore
from packetfs.fs.budget import UNLIMITED, Allowance
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import Handle, Signature, Xattrs, is_sparse, make_entry, pack_signature, read_xattrs
from packetfs.fs.host.staging import STAGING
from packetfs.fs.ingest import Known, Tee, ingest
from packetfs.fs.window import let_go
from packetfs.limits import ENTRY_TAIL_MAX, PROGRESS_BYTES, PROGRESS_FILES
from packetfs.packet.digest import NO_DIGEST, Digest, digest_of
from packetfs.packet.entry import APART, Entry
from packetfs.typing import Final, Protocol, TypeAlias

_XATTRS_MAX: Final = ENTRY_TAIL_MAX - 64 * 1024
"""Bytes of attributes that an entry has room for beside name and target."""
_READS: Final = 2
"""Times that a file is read when it changes meanwhile."""


class Taker(Tee, Protocol):
    """Somebody who wants a new file while it is imported."""

    def refuse(self) -> None:
        """What was taken is no version of the file: it changed, or cannot be read."""

    def accept(self, entry: Entry, links: int) -> None:
        """Take the final entry of a file that has this one name; a file that changed while it was read gets none."""


Offer: TypeAlias = Callable[[bytes, int, int, Callable[[], Entry]], Taker | None]
"""Asked with the path, descriptor and size of a file, and what gives its entry so far."""

Compare: TypeAlias = Callable[[int, int, Digest], Known | None]
"""Asked with the descriptor and size of a file, and the root that it had."""


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """How to import. `budget`: bytes of content that the pool may hold; beyond, it gets the programs alone. Anything
    but UNLIMITED says that the pool is a cache, whose content may go. `checksum`: read what looks unchanged.

    `one_filesystem`: leave a directory empty on which something else is mounted. `offer`: is asked for each file that
    is new, and may return what takes its program while it is made. `compare`: is asked for each file that is not, and
    may return what knows which of its bytes changed.
    """

    budget: int = UNLIMITED
    checksum: bool = False
    one_filesystem: bool = False
    offer: Offer | None = None
    compare: Compare | None = None


DEFAULTS: Final = MirrorOptions()


def mirror(
    fs: FileSystem,
    host_path: str | bytes,
    path: bytes,
    options: MirrorOptions = DEFAULTS,
    listener: Listener = ignore,
) -> Digest:
    """Make `path` stand for what is at `host_path`, a directory or one file; return its root. The caller commits.

    A symbolic link as the last part of `host_path` is what is meant, not what it leads to; any before it are followed.
    """
    real = os.fsencode(host_path)
    try:
        if stat.S_ISDIR(os.lstat(real).st_mode):
            with Beneath(real) as beneath:
                return _Mirror(fs, beneath, path, options, listener).import_tree()
        parent, name = os.path.split(real)
        with Beneath(parent) as beneath:
            return _Mirror(fs, beneath, path, options, listener).import_one(name)
    except PacketFSError:
        raise
    except OSError as error:
        raise source_error(real, error) from error
    except _RefusedError as error:
        raise SourceUnavailable(path=real, reason=str(error)) from error
    finally:
        let_go()


@dataclass(frozen=True, slots=True)
class Renewed:
    """What an import of some paths led to. `unsettled`: files that changed while they were read; they will again."""

    root: Digest
    unsettled: tuple[bytes, ...]


def renew(
    fs: FileSystem,
    host_path: bytes,
    paths: Mapping[bytes, bool],
    options: MirrorOptions = DEFAULTS,
    listener: Listener = ignore,
) -> Renewed:
    """Bring some paths of a directory that was mirrored as a whole up to date; True for one that is to be walked.

    Nothing else is looked at, except where hard links are concerned: their other names may be anywhere.
    """
    with Beneath(host_path) as beneath:
        walk = _Mirror(fs, beneath, b"", options, listener)
        try:
            root = walk.import_paths(paths)
        except _LinksError:
            root = _Mirror(fs, beneath, b"", options, listener).import_tree()
        finally:
            let_go()
        return Renewed(root, tuple(walk.unsettled))


class _LinksError(Exception):
    """A file has, or had, several names."""


class _Read(NamedTuple):
    """A file that was read: its entry, its signature unless that could hide a change, and who took its program."""

    entry: Entry
    seen: bytes | None
    taker: Taker | None


class _RefusedError(Exception):
    """A file is left as the namespace had it, for the reason given."""


class _ChangingError(_RefusedError):
    """The same, as somebody writes to it."""


@dataclass(slots=True)
class _Links:
    """An inode with several names: the first one seen, the group it has, whether others joined, how many may come."""

    first: bytes
    group: int
    missing: int
    joined: bool = False


class _Mirror:
    """One walk. Paths are relative to the directory on the host."""

    def __init__(
        self, fs: FileSystem, beneath: Beneath, top: bytes, options: MirrorOptions, listener: Listener
    ) -> None:
        self._fs = fs
        self._beneath = beneath
        self._top = top
        self._options = options
        self._allowance = Allowance(fs.pool, options.budget)
        self._device = beneath.lstat(b"").st_dev
        self._links: dict[tuple[int, int], _Links] = {}
        self._meter = _Meter(listener)
        self._listener = listener
        self.unsettled: list[bytes] = []

    def import_tree(self) -> Digest:
        os.close(self._beneath.open_directory(b""))  # without this one there is nothing to do
        self._fs.make_parents(self._top)
        self._import_special(b"", self._beneath.lstat(b""))
        self._walk_all(b"")
        self._settle_links()
        return self._end()

    def _walk_all(self, top: bytes) -> None:
        walks = [self._walk(top)]
        while walks:
            deeper = next(walks[-1], None)
            if deeper is None:
                walks.pop()
            else:
                walks.append(self._walk(deeper))

    def _end(self) -> Digest:
        self._meter.tell()
        return self._allowance.making_room(lambda: self._fs.tree_root(self._top))

    def import_paths(self, paths: Mapping[bytes, bool]) -> Digest:
        """Import some paths, and the directories that they are in, whose times change with their names."""
        for path in sorted({b"", *(path.rpartition(b"/")[0] for path in paths)} - set(paths)):
            self._import_path(path, deep=False)
        for path in sorted(paths):
            self._import_path(path, deep=paths[path])
        return self._end()

    def _import_path(self, path: bytes, *, deep: bool) -> None:
        known = self._fs.entry(path)
        above = path.rpartition(b"/")[0]
        if above and self._fs.entry(above) is None:
            return  # it came and went as a whole, or the directory above is walked for itself
        try:
            status = self._beneath.lstat(path)
            if known is not None and known.group:
                raise _LinksError
            if stat.S_ISDIR(status.st_mode):
                self._import_special(path, status)
                if deep or known is None or not known.is_dir:
                    self._walk_all(path)
            elif status.st_nlink > 1:
                raise _LinksError
            elif known is None or not self._is_unchanged(status, self._fs.seen(path)):
                self._import(path, status, known)
        except _ChangingError:
            self.unsettled.append(path)
        except (OSError, UnsafePath, BadPath, _RefusedError) as error:
            self._report_gone(path, error, known)

    def _report_gone(self, path: bytes, error: Exception, known: Entry | None) -> None:
        """What is gone goes, without a word: that is what was told."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError) or not path:
            self._report(path, error, known=known is not None)
        elif known is not None:
            if known.group:
                raise _LinksError
            self._fs.remove(self._place(path))

    def import_one(self, name: bytes) -> Digest:
        """Import one file as the top itself."""
        status = self._beneath.lstat(name)
        self._fs.make_parents(self._top)
        known = self._fs.entry(self._top)
        seen = self._fs.seen(self._top) if known else None
        if not self._is_unchanged(status, seen):
            known = self._import_file(name, self._top, status, known)
        self._meter.count(1, 0)
        self._meter.tell()
        return Digest(known.root if known else NO_DIGEST)

    # the walk

    def _walk(self, directory: bytes) -> Iterator[bytes]:
        """Bring one directory up to date; yield each directory in it that is to be walked next."""
        prefix = directory + b"/" if directory else b""
        try:
            names = self._names(directory)
            children = self._fs.children_with_seen(self._place(directory))
        except (OSError, UnsafePath, BadPath) as error:
            self._report(directory, error, known=True)
            return
        for name, is_there, known, seen in _pair(names, children):
            if not is_there:
                self._fs.remove(self._place(prefix + name))
            elif self._import_name(directory, prefix, name, known, seen):
                yield prefix + name

    def _names(self, directory: bytes) -> list[bytes]:
        if self._options.one_filesystem and self._beneath.lstat(directory).st_dev != self._device:
            return []
        names = self._beneath.names(directory)
        if not directory and STAGING in names:
            names.remove(STAGING)
        return names

    def _import_name(
        self, directory: bytes, prefix: bytes, name: bytes, known: Entry | None, seen: bytes | None
    ) -> bool:
        """Bring one name up to date; True for a directory that is to be walked."""
        try:
            status = self._beneath.lstat_in(directory, name)
            if seen is None or not self._is_unchanged(status, seen):
                self._import(prefix + name, status, known)
            elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                self._meter.count(1, status.st_size)
                return False
            elif not stat.S_ISDIR(status.st_mode) and known is not None:
                self._pass_link(prefix + name, status, known)
        except (OSError, UnsafePath, BadPath, _RefusedError) as error:
            self._report(prefix + name, error, known=known is not None)
            return False
        return stat.S_ISDIR(status.st_mode)

    def _is_unchanged(self, status: os.stat_result, seen: bytes | None) -> bool:
        if seen != pack_signature(status):
            return False
        return not (self._options.checksum and stat.S_ISREG(status.st_mode))

    def _pass_link(self, path: bytes, status: os.stat_result, known: Entry) -> None:
        """Leave a file as it is, but see to its other names."""
        if status.st_nlink > 1 and not self._join(path, status, known):
            self._remember(path, status, known.group)
        self._meter.count(1, known.size)

    def _import(self, path: bytes, status: os.stat_result, known: Entry | None) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._import_special(path, status)
        elif status.st_nlink > 1 and self._join(path, status, known):
            self._meter.count(1, status.st_size)
            return
        elif stat.S_ISREG(status.st_mode):
            self._import_file(path, self._place(path), status, known)
        else:
            self._import_special(path, status)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            self._remember(path, status, 0)
        self._meter.count(1, 0)

    def _place(self, path: bytes) -> bytes:
        return b"/".join(part for part in (self._top, path) if part)

    # what is at a name

    def _import_special(self, path: bytes, status: os.stat_result) -> None:
        """Import whatever is all metadata: directories, symlinks, nodes."""
        start = time.time_ns()
        with self._beneath.pin(path) as handle:
            xattrs = _check_xattrs(read_xattrs(handle))
        link = self._beneath.readlink(path) if stat.S_ISLNK(status.st_mode) else b""
        entry = make_entry(path.rpartition(b"/")[2], status, xattrs, link=link)
        if self._top and not path:
            entry = replace(entry, group=APART)
        self._fs.set(self._place(path), entry, _sign(status, start))

    def _import_file(self, path: bytes, place: bytes, status: os.stat_result, known: Entry | None) -> Entry:
        """Import a regular file; return its entry."""
        entry, seen, taker = self._read_file(path, known)
        if known is None:
            self._fs.add(place, entry, seen)
        else:
            self._fs.set(place, entry, seen)
        if taker is not None:
            taker.accept(entry, status.st_nlink)
        return entry

    def _read_file(self, path: bytes, known: Entry | None) -> _Read:
        """Import a file's content."""
        old = Digest(known.root) if known is not None and known.is_file and known.root != NO_DIGEST else None
        reads = _READS
        while reads:
            fd = self._beneath.open_read(path)
            try:
                found = self._read_open(fd, path, old, known)
            except PoolFull:
                if not self._allowance.give_up():
                    raise
                continue
            finally:
                os.close(fd)
            if found is not None:
                return found
            reads -= 1
        raise _ChangingError("changed while being read")

    def _read_open(self, fd: int, path: bytes, old: Digest | None, known: Entry | None) -> _Read | None:
        """The same for an open file; None when it changed meanwhile."""

        ended = False

        def read(offset: int, into: memoryview) -> int:
            nonlocal ended
            room = status.st_size + 1 - offset  # one more byte tells that it grows; some never end
            if ended or room <= 0:
                return 0
            part = into[:room]
            count = os.preadv(fd, [part], offset)
            ended = count == room - 1 < len(part)
            self._meter.count(0, count)
            return count

        start = time.time_ns()
        status = os.fstat(fd)
        keep = self._allowance.admits(status.st_size, changed=old is not None and _differs(known, status))
        offer = self._options.offer if old is None else None
        name, sparse = path.rpartition(b"/")[2], is_sparse(fd, status)
        tee = offer(path, fd, status.st_size, lambda: make_entry(name, status, sparse=sparse)) if offer else None
        whole = False
        try:
            compare = self._options.compare
            same = compare(fd, status.st_size, old) if compare is not None and old is not None and keep else None
            done = ingest(self._fs.pool, read, status.st_size, old, keep, tee, same)
            xattrs = _check_xattrs(read_xattrs(Handle(fd)))
            whole = done.size == status.st_size and pack_signature(os.fstat(fd)) == pack_signature(status)
        finally:
            if tee is not None and not whole:
                tee.refuse()
        if not whole:
            return None
        return _Read(make_entry(name, status, xattrs, root=done.root, sparse=sparse), _sign(status, start), tee)

    # hard links

    def _remember(self, path: bytes, status: os.stat_result, group: int) -> None:
        self._links[status.st_dev, status.st_ino] = _Links(path, group, status.st_nlink - 1)

    def _join(self, path: bytes, status: os.stat_result, known: Entry | None) -> bool:
        """Make a name one more link to an inode that was imported already; False when it is the first."""
        links = self._links.get((status.st_dev, status.st_ino))
        if links is None:
            return False
        group = _group_of(links.first)
        first, place = self._place(links.first), self._place(path)
        if known is None or known.group != group or not self._fs.is_same(first, place):
            self._fs.link(first, place, group)
        links.group, links.joined = group, True
        links.missing -= 1
        if not links.missing:
            del self._links[status.st_dev, status.st_ino]
        return True

    def _settle_links(self) -> None:
        """Take the group from files whose other names are no longer in this tree."""
        for links in self._links.values():
            if links.group and not links.joined:
                path = self._place(links.first)
                entry = self._fs.entry(path)
                if entry is not None:
                    self._fs.set(path, replace(entry, group=0), self._fs.seen(path))

    # trouble

    def _report(self, path: bytes, error: Exception, *, known: bool) -> None:
        reason = str(error)
        if isinstance(error, PacketFSError):
            reason = error.message
        elif isinstance(error, FileNotFoundError):
            reason = "vanished"
            if known and path:
                self._fs.remove(self._place(path))
        elif isinstance(error, OSError):
            reason = str(error.strerror)
        self._listener(Trouble(path or self._beneath.root, reason))


class _Meter:
    """Files and bytes so far, told now and then."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._files = self._bytes = 0
        self._next_files, self._next_bytes = PROGRESS_FILES, PROGRESS_BYTES

    def count(self, files: int, size: int) -> None:
        self._files += files
        self._bytes += size
        if self._files >= self._next_files or self._bytes >= self._next_bytes:
            self.tell()

    def tell(self) -> None:
        self._next_files, self._next_bytes = self._files + PROGRESS_FILES, self._bytes + PROGRESS_BYTES
        self._listener(Progress(self._files, self._bytes, 0))


def _pair(
    names: list[bytes], children: Iterator[tuple[Entry, bytes | None]]
) -> Iterator[tuple[bytes, bool, Entry | None, bytes | None]]:
    """Yield each name, whether the disk has it, and what the namespace has under it."""
    end: tuple[None, None] = (None, None)
    known, seen = next(children, end)
    for name in names:
        while known is not None and known.name < name:
            yield known.name, False, known, seen
            known, seen = next(children, end)
        if known is not None and known.name == name:
            yield name, True, known, seen
            known, seen = next(children, end)
        else:
            yield name, True, None, None
    while known is not None:
        yield known.name, False, known, seen
        known, seen = next(children, end)


def _group_of(first: bytes) -> int:
    """Return the number that all names of an inode carry: it follows from the first of them, and is never 0."""
    return int.from_bytes(digest_of(first)[:8], "little") or 1


def _sign(status: os.stat_result, start_ns: int) -> bytes | None:
    """Return the signature to keep; none where it could hide a change that came right after."""
    return None if Signature.of(status).is_racy(start_ns) else pack_signature(status)


def _differs(known: Entry | None, status: os.stat_result) -> bool:
    """Say whether a file looks changed, not just read again."""
    return known is not None and (known.size, known.mtime_ns) != (status.st_size, status.st_mtime_ns)


def _check_xattrs(xattrs: Xattrs) -> Xattrs:
    if sum(len(name) + len(value) + 8 for name, value in xattrs) > _XATTRS_MAX:
        raise _RefusedError("its extended attributes take more than 4 MiB")
    return xattrs
