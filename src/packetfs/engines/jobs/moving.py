"""A whole job as packets and back: it goes on in another directory, in another process, on another machine.

    HEAD (kind JOB; length = bytes of the stream), then DATA and FILL packets of one stream:
        u64 each: bytes of job.json, program, reduced and spool; bytes of output that were delivered
        then those bytes, in that order
    then its microVMs, each behind a HEAD of kind MICROVM (vm/snapshot.py)

Files do not move: they are named in job.json, or handed to resume_job where they lie elsewhere. What is thawed is
hostile: every size is looked at before anything of it is made, and resuming checks it as it checks what a dead process
left.
"""

from __future__ import annotations

import os
import struct
import time

from packetfs.engines.jobs.job import make_directory
from packetfs.engines.jobs.jobfile import JobFile, read_job, read_job_program
from packetfs.engines.live.columns import states
from packetfs.engines.live.ledger import SLOTS, Control
from packetfs.engines.live.table import PAGE, Table, attach_table, create_table, look_at_table, remove_table
from packetfs.errors import BadJob, BadMicroVM, BadPacket, JobBusy, TableFull
from packetfs.limits import (
    COPIED_MAX,
    JOB_FILE_MAX,
    JOB_STREAM_MAX,
    MAP_MEMORY_MAX,
    PROGRAM_BYTES_MAX,
    TOTALS_MAX,
    UNION_BYTES_MAX,
    UNION_ENTRIES_MAX,
)
from packetfs.packet.codec import decode, encode
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import PACKET, Buffer, Op
from packetfs.typing import Final, Iterator, Sequence
from packetfs.vm.image import load
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE
from packetfs.vm.memory import COPY_AT
from packetfs.vm.snapshot import MOVABLE, chunks, freeze, thaw

PARTS: Final = ("job.json", "program", "reduced", "spool")
_SIZES: Final = struct.Struct("<5Q")
_MOST: Final = (
    JOB_FILE_MAX,
    PROGRAM_BYTES_MAX,
    TOTALS_MAX + MAP_MEMORY_MAX + UNION_BYTES_MAX + 8 * UNION_ENTRIES_MAX,
    JOB_STREAM_MAX,
    COPIED_MAX,
)
"""The most of each of these numbers."""
_VM_HEAD: Final = struct.Struct("<8xQ36xI8x")
"""Of the HEAD of a microVM: bytes of its stream, and its slot."""
PAUSE_SECONDS: Final = 5.0
"""Seconds that freezing waits for the turns of a paused job to end."""


def freeze_job(directory: str) -> bytes:
    """Return a job as packets: one that no process runs, or one that is paused (jobs.control); JobBusy for others.

    Batches that a killed process was running are not in it: they begin again.
    """
    job = read_job(directory)
    table = _quiet_table(directory, job)
    try:
        return _head(directory, table) + b"".join(_microvms(table))
    finally:
        table.close()


def _quiet_table(directory: str, job: JobFile) -> Table:
    try:
        return attach_table(directory, job.maps_bytes)
    except JobBusy:
        table = look_at_table(directory, job.maps_bytes)
        if _comes_to_rest(table):
            return table
        table.close()
        raise


def _comes_to_rest(table: Table) -> bool:
    """Wait until no turn is under way in a job that was asked to pause."""
    deadline = time.monotonic() + PAUSE_SECONDS
    while table.ledger.control is Control.PAUSE:
        if not any(table.ledger.claims):
            return True
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    return False


def _head(directory: str, table: Table) -> bytes:
    parts = [_part(directory, name) for name in PARTS]
    low, end = table.ledger.spool_low, table.ledger.spooled
    parts[-1] = parts[-1][low:end]
    stream = _SIZES.pack(*map(len, parts), table.ledger.delivered) + b"".join(parts)
    return encode(Head(Kind.JOB, len(stream)).packet()) + b"".join(chunks(stream))


def _part(directory: str, name: str) -> bytes:
    try:
        with open(f"{directory}/{name}", "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _microvms(table: Table) -> Iterator[bytes]:
    memory = (table.contexts, table.spill, table.maps, table.maps_bytes)
    for first, count in table.touched():
        found = states(table.words, first, count)
        slots = [first + index for index, state in enumerate(found) if state in MOVABLE]
        yield freeze(*memory, slots)


def thaw_job(packets: Buffer, parent: str | None) -> str:
    """Make a job of its packets, in a new directory in `parent`, and return that; resume_job lets it go on.

    BadPacket, BadJob, BadProgram or BadMicroVM when the packets are no job, TableFull where there is no room for it;
    then nothing is left behind.
    """
    stream = _Stream(memoryview(packets).cast("B"))
    *sizes, delivered = _sizes(stream)
    directory = make_directory(parent)
    try:
        _write_parts(directory, stream, sizes)
        _fill_table(directory, stream.behind(), sizes[-1], delivered)
    except BaseException:
        remove_table(directory)
        raise
    return directory


class _Stream:
    """The bytes of a frozen job, piece by piece: a few packets may stand for a GiB of zeros."""

    def __init__(self, data: memoryview) -> None:
        head = Head.parse(decode(data))
        if head.kind is not Kind.JOB or head.length > JOB_STREAM_MAX:
            raise BadPacket(reason=f"a job begins with a HEAD of its kind, of at most {JOB_STREAM_MAX} bytes")
        self.length = head.length
        self._data, self._at = data, PACKET
        self._rest, self._zeros = b"", 0

    def pieces(self, size: int) -> Iterator[bytes | int]:
        """Yield the next `size` bytes; a number stands for so many zeros."""
        while size:
            if not self._rest and not self._zeros:
                self._read()
            if self._zeros:
                count = min(size, self._zeros)
                self._zeros -= count
                yield count
            else:
                piece, self._rest = self._rest[:size], self._rest[size:]
                count = len(piece)
                yield piece
            size -= count

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        return b"".join(bytes(piece) for piece in self.pieces(size))

    def behind(self) -> memoryview:
        """Return the packets behind the stream, all of which must have been taken."""
        if self._rest or self._zeros:
            raise BadPacket(reason=f"a job has more than the {self.length} bytes that its HEAD says")
        return self._data[self._at :]

    def _read(self) -> None:
        packet = decode(self._data, self._at)
        self._at += PACKET
        if packet.op is Op.DATA:
            self._rest = packet.body[: packet.length]
        elif packet.op is Op.FILL and packet.length == 1 and not packet.body[0]:
            self._zeros = packet.operand
        else:
            raise BadPacket(reason=f"{packet.op.name} does not belong into a job, or is no FILL of zeros")


def _sizes(stream: _Stream) -> tuple[int, ...]:
    """Return the sizes of the parts, and how much was delivered; all are possible."""
    sizes = _SIZES.unpack(stream.take(_SIZES.size)) if stream.length >= _SIZES.size else (0,) * len(_MOST)
    fits = all(size <= most for size, most in zip(sizes, _MOST, strict=True))
    if not fits or _SIZES.size + sum(sizes[:-1]) != stream.length:
        raise BadJob(path="the snapshot", reason="its sizes do not add up, or are too large")
    return sizes


def _write_parts(directory: str, stream: _Stream, sizes: Sequence[int]) -> None:
    """Write the files; zeros are left out of them, and take no memory."""
    for name, size in zip(PARTS, sizes, strict=True):
        if not size:
            continue
        try:
            with open(f"{directory}/{name}", "wb") as file:
                for piece in stream.pieces(size):
                    if isinstance(piece, int):
                        file.seek(piece, os.SEEK_CUR)
                    else:
                        file.write(piece)
                file.truncate(size)
        except OSError as error:
            raise TableFull(path=directory, reason=f"{name}: {error.strerror}") from None


def _fill_table(directory: str, microvms: memoryview, spooled: int, delivered: int) -> None:
    job = read_job(directory)
    image = load(read_job_program(directory, job))
    if image.maps_bytes != job.maps_bytes:
        raise BadJob(path=directory, reason="its maps are not those of its program")
    with create_table(directory, job.maps_bytes) as table:
        table.ledger.spooled, table.ledger.delivered = spooled, delivered
        _allocate(table, microvms)
        # Where each is in its program and file is looked at when it goes on, by run() and the recovery: looking here
        # too takes 0.3 s for 65,535 of them.
        thaw(microvms, table.contexts, table.spill, table.maps, table.maps_bytes)


def _allocate(table: Table, microvms: memoryview) -> None:
    """Make sure of the memory of all microVMs that the packets name, before any of it is stored to."""
    spills = dict(_wanted(microvms, table.maps_bytes))
    table.need_room(sum(spills.values()) + len(spills) * (CONTEXT_BYTES + table.maps_bytes))
    for first, count in _ranges(sorted(spills)):
        table.allocate(first, count)
    for slot, size in spills.items():
        if size:
            table.allocate_spill(slot, size)


def _wanted(microvms: memoryview, maps_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (slot, bytes of its spill) of each microVM; whether its packets are right is looked at later."""
    heads = bytes(microvms[::PACKET])
    at = heads.find(Op.HEAD)
    while at >= 0:
        if (at + 1) * PACKET > len(microvms):
            raise BadMicroVM(reason="its packets are cut off")
        length, slot = _VM_HEAD.unpack_from(microvms, at * PACKET)
        if slot >= SLOTS:
            raise BadMicroVM(reason=f"slot {slot} is outside of the table")
        parts = length - maps_bytes - CONTEXT_BYTES
        yield slot, min(COPY_AT + -(-parts // PAGE) * PAGE, SPILL_STRIDE) if parts > 0 else 0
        at = heads.find(Op.HEAD, at + 1)


def _ranges(slots: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, count) of numbers that follow each other."""
    start = 0
    for index in range(1, len(slots) + 1):
        if index == len(slots) or slots[index] != slots[index - 1] + 1:
            yield slots[start], index - start
            start = index
