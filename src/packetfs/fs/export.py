"""Write a stored file or tree out to a directory of the host.

Each file is made aside and renamed into place whole; directories get their times and permissions last, from the inside
out. What cannot be read or written is told as Trouble, and the rest is done; a full disk ends it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from packetfs.dataclass import dataclass, field
from packetfs.errors import DestinationFull, PacketFSError
from packetfs.errors.system import destination_error
from packetfs.events import Listener, Progress, Trouble, ignore
from packetfs.fs.directory import entries_of
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.staging import Staging
from packetfs.fs.host.writer import Writer
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.packet.execute import execute
from packetfs.packet.layout import HEADER, Op
from packetfs.packet.tree import Store, leaves, produces


@dataclass(slots=True)
class Exported:
    """What was written: files, and their logical bytes."""

    files: int = 0
    size: int = 0


@dataclass(slots=True)
class _Job:
    store: Store
    staging: Staging
    listener: Listener
    as_root: bool
    done: Exported = field(default_factory=Exported)
    links: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    """The first path of each hard-link group, by the tree that it belongs to."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A directory that is being filled; `tree` is the one around it that hard links belong to."""

    path: bytes
    tree: bytes
    entry: Entry
    entries: Iterator[Entry]


def export(store: Store, entry: Entry, root: bytes, path: bytes, listener: Listener = ignore) -> Exported:
    """Write what `entry` stands for to `path` below the host's directory `root`, in place of what is there.

    A directory that is there already keeps what the entry does not have. Owners and devices are those of the entry for
    the superuser alone.
    """
    with Beneath(root) as beneath, _staging(beneath) as staging:
        job = _Job(store, staging, listener, os.geteuid() == 0)
        stack: list[_Open] = []
        _export_one(job, path, entry, stack)
        while stack:
            at = stack[-1]
            inner = _next(job, at)
            if inner is not None:
                _export_one(job, at.path + b"/" + inner.name if at.path else inner.name, inner, stack)
            else:
                stack.pop()
                _finish_directory(job, at)
        return job.done


def _staging(beneath: Beneath) -> Staging:
    try:
        return Staging(beneath)
    except OSError as error:
        raise destination_error(beneath.shown, error) from None


def _next(job: _Job, at: _Open) -> Entry | None:
    try:
        return next(at.entries, None)
    except PacketFSError as error:
        job.listener(Trouble(at.path, error.message))
        return None


def _export_one(job: _Job, path: bytes, entry: Entry, stack: list[_Open]) -> None:
    """Write one entry; a directory is opened for what is in it."""
    tree = stack[-1].tree if stack else path
    try:
        if entry.is_dir:
            if path:
                job.staging.make_directory(path)
            stack.append(_Open(path, path if entry.group else tree, entry, entries_of(job.store, Digest(entry.root))))
            return
        problems = _write(job, path, tree, entry)
    except DestinationFull:
        raise  # nor is there room for what follows
    except (PacketFSError, OSError) as error:
        job.listener(Trouble(path, error.message if isinstance(error, PacketFSError) else str(error.strerror)))
        return
    for problem in problems:
        job.listener(Trouble(path, problem))
    job.done.files += 1
    job.done.size += entry.size if entry.is_file else 0
    job.listener(Progress(job.done.files, job.done.size, 0))


def _write(job: _Job, path: bytes, tree: bytes, entry: Entry) -> tuple[str, ...]:
    first = job.links.get((tree, entry.group)) if entry.group else None
    if first is not None:
        job.staging.link(first, path)
        return ()
    if entry.is_file:
        with job.staging.create(path) as writer:
            _write_content(job.store, entry, writer)
            committed = job.staging.commit(writer, entry, as_root=job.as_root)
    else:
        committed = job.staging.make(path, entry, as_root=job.as_root)
    if entry.group:
        job.links[tree, entry.group] = path
    return committed.problems


def _write_content(store: Store, entry: Entry, writer: Writer) -> None:
    """Run a file's program into a new file; zeros become holes again where the file had holes."""
    if entry.root == NO_DIGEST:
        return
    root = Digest(entry.root)
    if not entry.sparse:
        for piece in execute(store, root):
            writer.write(piece)
        return
    for at, leaf in leaves(store, root):
        size = produces(leaf)
        if leaf[0] == Op.FILL and not any(leaf[HEADER:]):
            writer.skip(size)
        else:
            for piece in execute(store, root, at, size):
                writer.write(piece)


def _finish_directory(job: _Job, at: _Open) -> None:
    if not at.path:
        return
    try:
        for problem in job.staging.beneath.set_metadata(at.path, at.entry, as_root=job.as_root):
            job.listener(Trouble(at.path, problem))
    except (PacketFSError, OSError) as error:
        job.listener(Trouble(at.path, error.message if isinstance(error, PacketFSError) else str(error.strerror)))
