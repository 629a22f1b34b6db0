"""A whole job as packets and back: it goes on in another directory, in another process, on another machine.

    HEAD (kind JOB; length = bytes of the stream), then DATA and FILL packets of one stream:
        u64 each: bytes of job.json, program, reduced and spool; bytes of output that were delivered
        then those bytes, in that order
    then its microVMs, each behind a HEAD of kind MICROVM (vm/snapshot.py)

Files do not move: they are named in job.json, or handed to resume_job where they lie elsewhere. What is thawed is
hostile: resuming checks it as it checks what a dead process left.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from typing import Final

from packetfs.engines.columns import states
from packetfs.engines.job import make_directory
from packetfs.engines.jobfile import JobFile, read_job, read_job_program
from packetfs.engines.ledger import Control
from packetfs.engines.table import Table, attach_table, create_table, look_at_table, remove_table
from packetfs.errors import BadJob, BadPacket, JobBusy
from packetfs.limits import JOB_STREAM_MAX
from packetfs.packet.codec import decode, encode
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import PACKET, Buffer, Op
from packetfs.vm.image import load
from packetfs.vm.snapshot import MOVABLE, chunks, freeze, thaw

PARTS: Final = ("job.json", "program", "reduced", "spool")
_SIZES: Final = struct.Struct("<5Q")
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

    BadPacket, BadJob, BadProgram or BadMicroVM when the packets are no job; then nothing is left behind.
    """
    data = memoryview(packets).cast("B")
    stream, behind = _stream(data)
    sizes = _SIZES.unpack_from(stream) if len(stream) >= _SIZES.size else ()
    if not sizes or _SIZES.size + sum(sizes[:-1]) != len(stream):
        raise BadJob(path="the snapshot", reason="its sizes do not add up")
    directory = make_directory(parent)
    try:
        _write_parts(directory, stream, sizes[:-1])
        _fill_table(directory, data[behind:], stream[len(stream) - sizes[-2] :], sizes[-1])
    except BaseException:
        remove_table(directory)
        raise
    return directory


def _stream(data: memoryview) -> tuple[bytes, int]:
    """Return the stream of the job and where its microVMs begin."""
    head = Head.parse(decode(data))
    if head.kind is not Kind.JOB or head.length > JOB_STREAM_MAX:
        raise BadPacket(reason=f"a job begins with a HEAD of its kind, of at most {JOB_STREAM_MAX} bytes")
    stream, at = bytearray(), PACKET
    while len(stream) < head.length:
        packet = decode(data, at)
        if packet.op is Op.DATA:
            stream += packet.body[: packet.length]
        elif packet.op is Op.FILL and packet.operand <= head.length - len(stream):
            stream += packet.body[: packet.length] * (packet.operand // packet.length)
        else:
            raise BadPacket(reason=f"{packet.op.name} does not belong into a job")
        at += PACKET
    if len(stream) != head.length:
        raise BadPacket(reason=f"a job has {len(stream)} bytes instead of {head.length}")
    return bytes(stream), at


def _write_parts(directory: str, stream: bytes, sizes: tuple[int, ...]) -> None:
    at = _SIZES.size
    for name, size in zip(PARTS[:-1], sizes, strict=False):
        if size:
            with open(f"{directory}/{name}", "wb") as file:
                file.write(stream[at : at + size])
        at += size


def _fill_table(directory: str, microvms: memoryview, spool: bytes, delivered: int) -> None:
    job = read_job(directory)
    image = load(read_job_program(directory, job))
    if image.maps_bytes != job.maps_bytes:
        raise BadJob(path=directory, reason="its maps are not those of its program")
    with create_table(directory, job.maps_bytes) as table:
        with open(f"{directory}/spool", "wb") as file:
            file.write(spool)
        table.ledger.spooled, table.ledger.delivered = len(spool), delivered
        thaw(microvms, table.contexts, table.spill, table.maps, table.maps_bytes)
