"""Import a directory of the host into the namespace: what a stat proves unchanged is not read, the rest is compared.

Names of the disk and of the namespace are walked in step, both sorted as bytes, a directory before what is in it. A
file that cannot be read, vanishes or keeps changing is Trouble, and the walk goes on: what vanished goes from the
namespace too, whatever else is in trouble stays there as it was.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from functools import partial

from packetfs.dataclass import dataclass, replace
from packetfs.errors import BadPath, PacketFSError, SourceUnavailable, UnsafePath
from packetfs.errors.system import source_error
from packetfs.events import Listener, Trouble, ignore
from packetfs.fs.budget import UNLIMITED, Allowance
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import make_entry, pack_signature, read_xattrs
from packetfs.fs.host.staging import STAGING
from packetfs.fs.mirroring.edited import Edited
from packetfs.fs.mirroring.file import ChangingError, Intake, Offer, RefusedError, check_xattrs, sign
from packetfs.fs.mirroring.hardlinks import HardLinks
from packetfs.fs.mirroring.meter import Meter
from packetfs.fs.mirroring.prints import PrintNotes
from packetfs.fs.streams.window import let_go
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import APART, Entry
from packetfs.typing import Final


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """How to import. `budget`: bytes of content that the pool may hold; beyond, it gets the programs alone. Anything
    but UNLIMITED says that the pool is a cache, whose content may go. `checksum`: read what looks unchanged,
    and hash all that is read.

    `one_filesystem`: leave a directory empty on which something else is mounted. `offer`: is asked for each file that
    is new, and may return what takes its program while it is made. `edited`: is told where files differ from what they
    were.
    """

    budget: int = UNLIMITED
    checksum: bool = False
    one_filesystem: bool = False
    offer: Offer | None = None
    edited: Edited | None = None


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
    except RefusedError as error:
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
        self._links = HardLinks(fs, self._place)
        self._meter = Meter(listener)
        self._prints = PrintNotes(fs, active=options.budget != UNLIMITED, trusting=not options.checksum)
        self._removed = False
        self._intake = Intake(fs.pool, beneath, self._allowance, self._meter, offer=options.offer)
        self._listener = listener
        self.unsettled: list[bytes] = []

    def import_tree(self) -> Digest:
        os.close(self._beneath.open_directory(b""))  # without this one there is nothing to do
        self._fs.make_parents(self._top)
        self._import_special(b"", self._beneath.lstat(b""))
        self._walk_all(b"")
        self._links.settle()
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
        if self._removed:
            self._prints.tidy()
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
        except ChangingError:
            self.unsettled.append(path)
        except (OSError, UnsafePath, BadPath, RefusedError) as error:
            self._report_gone(path, error, known)

    def _report_gone(self, path: bytes, error: Exception, known: Entry | None) -> None:
        """What is gone goes, without a word: that is what was told."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError) or not path:
            self._report(path, error, known=known is not None)
        elif known is not None:
            if known.group:
                raise _LinksError
            self._remove(path)

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
                self._remove(prefix + name)
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
        except (OSError, UnsafePath, BadPath, RefusedError) as error:
            self._report(prefix + name, error, known=known is not None)
            return False
        return stat.S_ISDIR(status.st_mode)

    def _is_unchanged(self, status: os.stat_result, seen: bytes | None) -> bool:
        if seen != pack_signature(status):
            return False
        return not (self._options.checksum and stat.S_ISREG(status.st_mode))

    def _pass_link(self, path: bytes, status: os.stat_result, known: Entry) -> None:
        """Leave a file as it is, but see to its other names."""
        if status.st_nlink > 1 and not self._links.join(path, status, known):
            self._links.remember(path, status, known.group)
        self._meter.count(1, known.size)

    def _import(self, path: bytes, status: os.stat_result, known: Entry | None) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._import_special(path, status)
        elif status.st_nlink > 1 and self._links.join(path, status, known):
            self._meter.count(1, status.st_size)
            return
        elif stat.S_ISREG(status.st_mode):
            self._import_file(path, self._place(path), status, known)
        else:
            self._import_special(path, status)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            self._links.remember(path, status, 0)
        self._meter.count(1, 0)

    def _remove(self, path: bytes) -> None:
        self._fs.remove(self._place(path))
        self._removed = True

    def _place(self, path: bytes) -> bytes:
        return b"/".join(part for part in (self._top, path) if part)

    # what is at a name

    def _import_special(self, path: bytes, status: os.stat_result) -> None:
        """Import whatever is all metadata: directories, symlinks, nodes."""
        start = time.time_ns()
        with self._beneath.pin(path) as handle:
            xattrs = check_xattrs(read_xattrs(handle))
        link = self._beneath.readlink(path) if stat.S_ISLNK(status.st_mode) else b""
        entry = make_entry(path.rpartition(b"/")[2], status, xattrs, link=link)
        if self._top and not path:
            entry = replace(entry, group=APART)
        self._fs.set(self._place(path), entry, sign(status, start))

    def _import_file(self, path: bytes, place: bytes, status: os.stat_result, known: Entry | None) -> Entry:
        """Import a regular file; return its entry."""
        entry, seen, taker, edits, prints = self._intake.read(path, known, partial(self._prints.load, place, known))
        if known is not None and edits is not None and self._options.edited is not None:
            self._options.edited.note(Digest(known.root), Digest(entry.root), edits)
        if known is None:
            self._fs.add(place, entry, seen)
        else:
            self._fs.set(place, entry, seen)
        self._prints.keep(place, entry, prints)
        if taker is not None:
            taker.accept(entry, status.st_nlink)
        return entry

    # trouble

    def _report(self, path: bytes, error: Exception, *, known: bool) -> None:
        reason = str(error)
        if isinstance(error, PacketFSError):
            reason = error.message
        elif isinstance(error, FileNotFoundError):
            reason = "vanished"
            if known and path:
                self._remove(path)
        elif isinstance(error, OSError):
            reason = str(error.strerror)
        self._listener(Trouble(path or self._beneath.shown, reason))


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
