"""One file of the host on its way into the namespace: read once, by whoever wants its program while it is made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from packetfs.errors import PoolFull
from packetfs.fs.budget import Allowance
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import Handle, Signature, Xattrs, is_sparse, make_entry, pack_signature, read_xattrs
from packetfs.fs.mirroring.meter import Meter
from packetfs.fs.streams.ingest import ingest
from packetfs.fs.streams.prints import Look, Mapped, Prints
from packetfs.fs.streams.tee import Tee
from packetfs.fs.streams.window import ReadInto
from packetfs.limits import ENTRY_TAIL_MAX
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.packet.rivals import Span
from packetfs.pool.pool import Pool
from packetfs.typing import Final, NamedTuple, Protocol, TypeAlias

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

PrintNotes: TypeAlias = Callable[[int, Look], Prints | None]


class RefusedError(Exception):
    """A file is left as the namespace had it, for the reason given."""


class ChangingError(RefusedError):
    """The same, as somebody writes to it."""


class Read(NamedTuple):
    """A file that was read: its entry, its signature unless that could hide a change, and who took its program.

    `edits`: as in Ingested. `prints` has the fingerprints of its program, if they were made.
    """

    entry: Entry
    seen: bytes | None
    taker: Taker | None
    edits: Sequence[Span] | None
    prints: Prints | None


class Intake:
    """Reads files of one directory of the host into a pool. `allowance`: what content is kept there."""

    def __init__(
        self,
        pool: Pool,
        beneath: Beneath,
        allowance: Allowance,
        meter: Meter,
        *,
        offer: Offer | None,
    ) -> None:
        self._pool = pool
        self._beneath = beneath
        self._allowance = allowance
        self._meter = meter
        self._offer = offer

    def read(self, path: bytes, known: Entry | None, print_notes: PrintNotes) -> Read:
        """Take in the content of a file, along what is `known` of it; ChangingError when it does not keep still.

        `print_notes` is asked for its fingerprints with its size, and what shows it.
        """
        old = Digest(known.root) if known is not None and known.is_file and known.root != NO_DIGEST else None
        reads = _READS
        while reads:
            fd = self._beneath.open_read(path)
            try:
                found = self._read_open(fd, path, old, known, print_notes)
            except PoolFull:
                if not self._allowance.give_up():
                    raise
                continue
            finally:
                os.close(fd)
            if found is not None:
                return found
            reads -= 1
        raise ChangingError("changed while being read")

    def _read_open(
        self,
        fd: int,
        path: bytes,
        old: Digest | None,
        known: Entry | None,
        print_notes: PrintNotes,
    ) -> Read | None:
        """The same for an open file; None when it changed meanwhile."""
        start = time.time_ns()
        status = os.fstat(fd)
        keep = self._allowance.admits(status.st_size, changed=old is not None and _differs(known, status))
        offer = self._offer if old is None else None
        name, sparse = path.rpartition(b"/")[2], is_sparse(fd, status)
        tee = offer(path, fd, status.st_size, lambda: make_entry(name, status, sparse=sparse)) if offer else None
        whole = False
        try:
            read = _reading(fd, status.st_size, self._meter)
            prints = print_notes(status.st_size, Mapped(fd, status.st_size))
            done = ingest(self._pool, read, old, keep, tee, prints=prints)
            xattrs = check_xattrs(read_xattrs(Handle(fd)))
            whole = done.size == status.st_size and pack_signature(os.fstat(fd)) == pack_signature(status)
        finally:
            if tee is not None and not whole:
                tee.refuse()
        if not whole:
            return None
        entry = make_entry(name, status, xattrs, root=done.root, sparse=sparse)
        return Read(entry, sign(status, start), tee, done.edits, prints)


def _reading(fd: int, size: int, meter: Meter) -> ReadInto:
    """Return what reads an open file up to one byte more than its size, which tells that it grows: some never end."""
    ended = False
    reached = 0

    def read(offset: int, into: memoryview) -> int:
        nonlocal ended, reached
        room = size + 1 - offset
        part = into[: max(room, 0)]
        count = os.preadv(fd, [part], offset) if room > 0 and not (ended and offset == size) else 0
        ended = ended or count == room - 1 < len(part)
        if offset + count > reached:  # what lies before was looked at otherwise
            meter.count(0, offset + count - reached)
            reached = offset + count
        return count

    return read


def sign(status: os.stat_result, start_ns: int) -> bytes | None:
    """Return the signature to keep; none where it could hide a change that came right after."""
    return None if Signature.of(status).is_racy(start_ns) else pack_signature(status)


def check_xattrs(xattrs: Xattrs) -> Xattrs:
    """Refuse more attributes than an entry has room for."""
    if sum(len(name) + len(value) + 8 for name, value in xattrs) > _XATTRS_MAX:
        raise RefusedError("its extended attributes take more than 4 MiB")
    return xattrs


def _differs(known: Entry | None, status: os.stat_result) -> bool:
    """Say whether a file looks changed, not just read again."""
    return known is not None and (known.size, known.mtime_ns) != (status.st_size, status.st_mtime_ns)
