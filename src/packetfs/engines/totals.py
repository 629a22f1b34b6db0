"""What a job counted so far, over the batches that were reduced, and its one file: written whole, then renamed.

A process that takes over a job reads it: batches before `batches` are in it, their microVMs do not matter any more.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO, Final

from packetfs.dataclass import asdict, dataclass, field
from packetfs.engines.columns import column, states
from packetfs.engines.reduce import ArrayReduction, Reduction, reductions
from packetfs.engines.result import FaultReport
from packetfs.engines.shards import Batch
from packetfs.engines.spool import Taking, take_anything
from packetfs.errors import BadJob, TableFull
from packetfs.limits import FAULTS_MAX, TOTALS_MAX
from packetfs.vm.context import Context
from packetfs.vm.image import Image
from packetfs.vm.layout import SLOTS_A_PACKET, ContextFlag, Fault, State

VERDICTS: Final = 6
_LIKELY_FIRST: Final = (2, 1, 0, 3, 4, 5)
"""PASS, DROP, and what few programs return."""
_PAIR: Final = struct.Struct("<II")


@dataclass(slots=True)
class Totals:
    """Sums over all shards of the first `batches` batches; `shards` also numbers the next shard."""

    batches: int = 0
    shards: int = 0
    records: int = 0
    bytes: int = 0
    executed: int = 0
    emitted: int = 0
    verdicts: list[int] = field(default_factory=lambda: [0] * VERDICTS)
    last: int = 0
    faulted: int = 0
    faults: list[FaultReport] = field(default_factory=list)

    def add(self, words: memoryview, batch: Batch) -> None:
        """Count a batch whose microVMs have all ended, in order."""
        where = batch.slot, batch.count
        records = column(words, *where, "records").tolist()
        self.batches += 1
        self.shards += batch.count
        self.bytes += batch.stop - batch.start
        self.records += sum(records)
        self.executed += sum(column(words, *where, "executed").tolist())
        self.emitted += sum(column(words, *where, "emitted").tolist())
        left = sum(records)
        for i in _LIKELY_FIRST:
            count = sum(column(words, *where, "verdicts", i).tolist())
            self.verdicts[i] += count
            left -= count
            if not left:
                break  # each record has one verdict, and a column costs a cache line a microVM
        results = column(words, *where, "result")
        for i in range(batch.count - 1, -1, -1):
            if records[i]:
                self.last = results[i]
                break

    def add_faults(self, contexts: memoryview, words: memoryview, batch: Batch, image: Image, file: str) -> None:
        """Report the microVMs of a batch that faulted."""
        found = [i for i, state in enumerate(states(words, batch.slot, batch.count)) if state == State.FAULTED]
        self.faulted += len(found)
        for i in found[: max(0, FAULTS_MAX - len(self.faults))]:
            self.faults.append(report(Context(contexts, batch.slot + i), image, file, batch))


def report(context: Context, image: Image, file: str, batch: Batch) -> FaultReport:
    """Say where a context faulted."""
    from packetfs.vm.assembly import line_of  # brings the table of instructions, which only faults need

    inside = context.flags & ContextFlag.IN_RECORD
    start = context.record_start if inside else context.position
    if not inside and batch.firsts:
        start = batch.bounds[2 * start] if 2 * start < len(batch.bounds) else batch.stop
    packet, slot = divmod(context.pc, SLOTS_A_PACKET)
    return FaultReport(
        shard=context.shard,
        vm=context.vm,
        file=file,
        record_start=start,
        records=context.records,
        fault=Fault(context.fault),
        pc=context.pc,
        packet=1 + packet,
        slot=slot,
        instruction=line_of(image.code, context.pc) if inside else "before its first instruction",
        address=context.fault_address,
    )


def save(directory: str, totals: Totals, found: dict[int, Reduction], taking: Taking = take_anything) -> None:
    """Write what was counted and reduced; the old file stays until the new one is whole."""
    blobs = {index: _pack(reduction) for index, reduction in found.items()}
    head = {"totals": asdict(totals), "maps": {str(index): len(blob) for index, blob in blobs.items()}}
    line = json.dumps(head).encode() + b"\n"
    try:
        with taking(len(line) + sum(map(len, blobs.values()))), open(f"{directory}/reduced.new", "wb") as file:
            file.write(line)
            file.writelines(blobs.values())
    except OSError as error:
        raise TableFull(path=directory, reason=error.strerror) from None
    os.rename(f"{directory}/reduced.new", f"{directory}/reduced")


_DAMAGE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
    MemoryError,
    struct.error,
)
"""What a file that anyone may have written can raise while it is read."""


def restore(directory: str, image: Image) -> tuple[Totals, dict[int, Reduction]]:
    """Return what `save` wrote, or nothing counted yet; BadJob when the file is damaged."""
    found = reductions(image)
    try:
        with open(f"{directory}/reduced", "rb") as file:
            head, lengths = _head(file)
            for index, length in lengths.items():
                _unpack(found[index], file, length)
        return _totals(head), found
    except FileNotFoundError:
        return Totals(), found
    except _DAMAGE as error:
        raise BadJob(path=directory, reason=f"what was reduced is damaged ({error})") from None


def read_totals(directory: str) -> Totals:
    """Return the counts alone, as far as batches are reduced; nothing counted where there is no such file."""
    try:
        with open(f"{directory}/reduced", "rb") as file:
            return _totals(_head(file)[0])
    except FileNotFoundError:
        return Totals()
    except _DAMAGE as error:
        raise BadJob(path=directory, reason=f"what was reduced is damaged ({error})") from None


def _head(file: BinaryIO) -> tuple[dict[str, dict[str, Any]], dict[int, int]]:
    """Return the first line, and the bytes of each map behind it: all of the file."""
    line = file.readline(TOTALS_MAX + 1)
    if len(line) > TOTALS_MAX:
        raise ValueError(f"its first line has more than {TOTALS_MAX} bytes")
    head = json.loads(line)
    lengths = {int(index): length for index, length in head["maps"].items()}
    size = os.fstat(file.fileno()).st_size
    if not all(map(_is_count, lengths.values())) or len(line) + sum(lengths.values()) != size:
        raise ValueError("its lengths are not those of the file")
    return head, lengths


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 1 << 64


def _totals(head: dict[str, dict[str, Any]]) -> Totals:
    fields = dict(head["totals"])
    reports = fields.pop("faults")
    numbers = [*fields["verdicts"], *(value for name, value in fields.items() if name != "verdicts")]
    if len(fields["verdicts"]) != VERDICTS or not all(map(_is_count, numbers)) or len(reports) > FAULTS_MAX:
        raise ValueError("a count is no number")
    return Totals(**fields, faults=[_fault(one) for one in reports])


def _fault(fields: dict[str, Any]) -> FaultReport:
    """Return a report as it was written; everything in it will be shown."""
    words = (fields["file"], fields["instruction"])
    numbers = (value for name, value in fields.items() if name not in ("file", "instruction"))
    if not all(isinstance(word, str) for word in words) or not all(map(_is_count, numbers)):
        raise ValueError("a fault has fields that cannot be")
    return FaultReport(**{**fields, "fault": Fault(fields["fault"])})


def _pack(reduction: Reduction) -> bytes:
    if isinstance(reduction, ArrayReduction):
        return bytes(reduction.memory or b"")
    rows = [_PAIR.pack(len(key), len(value)) + key + value for key, value in reduction.values.items()]
    return b"".join(rows)


def _unpack(reduction: Reduction, file: BinaryIO, length: int) -> None:
    if isinstance(reduction, ArrayReduction):
        if length not in (0, reduction.size):
            raise ValueError(f"{length} bytes of an array of {reduction.size}")
        reduction.memory = bytearray(file.read(length)) if length else None
        return
    size = _PAIR.size + sum(reduction.sizes)
    if length % size:
        raise ValueError(f"{length} bytes of entries of {size}")
    for _ in range(length // size):
        row = file.read(size)
        if _PAIR.unpack_from(row) != reduction.sizes:
            raise ValueError("an entry is not of its map's sizes")
        key = row[_PAIR.size : _PAIR.size + reduction.sizes[0]]
        if key in reduction.values:
            raise ValueError("a key is there twice")
        reduction.put(key, row[_PAIR.size + len(key) :])
