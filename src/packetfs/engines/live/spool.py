"""Output that waits for an earlier shard, in a file of shared memory: a log of what each turn of a batch emitted.

    0..7 batch (its first shard)   8..15 bytes   16..19 microVMs n   20..23 zero
    then n lengths u64, then the bytes of each microVM

n = 0 takes back all that the log has of the batch: it was begun again. The ledger says where the log begins and ends;
what has been delivered is given back from the front.
"""

from __future__ import annotations

import mmap
import os
import struct

from packetfs import errors
from packetfs.contextlib import contextmanager
from packetfs.dataclass import dataclass
from packetfs.engines.live.ledger import SLOTS, Ledger
from packetfs.limits import TAKEN_BACK_MAX
from packetfs.packet.layout import Buffer
from packetfs.typing import TYPE_CHECKING, Callable, Final, Iterator, Sequence, TypeAlias

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_HEADER: Final = struct.Struct("<QQI4x")
PAGE: Final = mmap.PAGESIZE
_PUNCH: Final = 1 << 20
"""Bytes of delivered output that are given back at a time."""


Taking: TypeAlias = "Callable[[int], AbstractContextManager[None]]"
"""Lets so many bytes of shared memory be taken within it (Table.taking)."""


@contextmanager
def take_anything(size: int) -> Iterator[None]:
    """Be the Taking of one that is alone."""
    del size
    yield


@dataclass(frozen=True, slots=True)
class Entry:
    """What one turn emitted: where its header starts, and where its bytes do."""

    start: int
    at: int


class Spool:
    """The log. Its user takes care that one thread at a time calls it."""

    def __init__(self, directory: str, ledger: Ledger, *, keep: bool, taking: Taking = take_anything) -> None:
        self._path = f"{directory}/spool"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._ledger = ledger
        self._keep = keep
        self._taking = taking
        self._held: dict[int, Entry] = {}
        self._punched = 0

    @property
    def held(self) -> int:
        """Bytes between the first undelivered output and the end of the log."""
        return self._ledger.spooled - self._ledger.spool_low

    def append(self, batch: int, lengths: Sequence[int], chunks: Sequence[Buffer]) -> Entry:
        """Log what a turn of a batch emitted. TableFull without room."""
        start = self._ledger.spooled
        head = _HEADER.pack(batch, sum(lengths), len(lengths)) + struct.pack(f"<{len(lengths)}Q", *lengths)
        at = start
        with self._taking(len(head) + sum(lengths)):
            for chunk in (head, *chunks):
                at += self._write(chunk, at)
        entry = Entry(start, start + len(head))
        self._held[start] = entry
        self._ledger.spooled = at
        return entry

    def forget(self, batch: int) -> None:
        """Take back all that was logged of a batch."""
        self._ledger.spooled += self._write(_HEADER.pack(batch, 0, 0), self._ledger.spooled)

    def _write(self, data: Buffer, at: int) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                done += os.pwrite(self._fd, view[done:], at + done)
            except OSError as error:
                raise errors.TableFull(path=self._path, reason=error.strerror) from None
        return done

    def read(self, offset: int, length: int) -> bytes:
        """Return logged bytes."""
        return os.pread(self._fd, length, offset)

    def release(self, entry: Entry) -> None:
        """Tell that an entry was delivered, or taken back; its memory is given back from the front."""
        if self._keep or self._held.get(entry.start) is not entry:
            return
        del self._held[entry.start]
        if not self._held:
            self._ledger.spooled = self._ledger.spool_low = self._punched = 0
            os.ftruncate(self._fd, 0)
            return
        self._ledger.spool_low = next(iter(self._held))  # entries are added, and so kept, in ascending order
        pages = (self._ledger.spool_low - self._punched) // PAGE * PAGE
        if pages >= _PUNCH:
            from packetfs.pool.storage import DISK  # few jobs hold so much

            DISK.punch(self._fd, self._punched, pages)
            self._punched += pages

    def recover(self) -> Iterator[tuple[int, Entry, list[int]]]:
        """Yield (batch, entry, lengths) of the log that a dead process left, in order; without lengths: the batch began
        again. BadJob when it cannot be one."""
        at, end = self._ledger.spool_low, min(self._ledger.spooled, os.fstat(self._fd).st_size)
        taken_back = 0
        while at + _HEADER.size <= end:
            batch, total, count = _HEADER.unpack(self.read(at, _HEADER.size))
            data = at + _HEADER.size + 8 * count
            whole = count <= SLOTS and data <= end
            lengths = struct.unpack(f"<{count}Q", self.read(at + _HEADER.size, 8 * count)) if whole else ()
            taken_back += not count
            if count > SLOTS or data + total > end or sum(lengths) != total or taken_back > TAKEN_BACK_MAX:
                raise errors.BadJob(path=self._path, reason="the log of its output is damaged")
            entry = Entry(at, data)
            if count:
                self._held[at] = entry
            yield batch, entry, list(lengths)
            at = data + total

    def close(self) -> None:
        os.close(self._fd)
