"""What shards counted, and which of their microVMs faulted."""

from __future__ import annotations

from packetfs.dataclass import asdict, dataclass, field
from packetfs.engines.input.shards import Batch
from packetfs.engines.live.columns import column, states
from packetfs.engines.results.result import FaultReport
from packetfs.json import dumps, loads
from packetfs.limits import FAULTS_MAX
from packetfs.typing import Any, Final, Sequence
from packetfs.vm.context import Context
from packetfs.vm.image import Image
from packetfs.vm.layout import SLOTS_A_PACKET, ContextFlag, Fault, State

VERDICTS: Final = 6
COUNTS: Final = 7 + VERDICTS
"""Numbers in totals."""
_LIKELY_FIRST: Final = (2, 1, 0, 3, 4, 5)
"""PASS, DROP, and what few programs return."""


@dataclass(slots=True)
class Totals:
    """Sums over shards that follow each other; of a job, `shards` also numbers the next one."""

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

    def merge(self, more: Totals) -> None:
        """Count what the shards that follow counted."""
        if more.records:
            self.last = more.last
        self.shards += more.shards
        self.records += more.records
        self.bytes += more.bytes
        self.executed += more.executed
        self.emitted += more.emitted
        self.verdicts = [mine + other for mine, other in zip(self.verdicts, more.verdicts, strict=True)]
        self.faulted += more.faulted
        self.faults += more.faults[: max(0, FAULTS_MAX - len(self.faults))]

    def counts(self) -> tuple[int, ...]:
        """Return all of it but the faults: COUNTS numbers."""
        sums = (self.shards, self.records, self.bytes, self.executed, self.emitted)
        return (*sums, *self.verdicts, self.last, self.faulted)

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


def pack_faults(faults: list[FaultReport]) -> bytes:
    """Return them as JSON, nothing where there are none."""
    if not faults:
        return b""
    return dumps([asdict(fault) for fault in faults]).encode()


def unpack_totals(counts: Sequence[int], faults: bytes) -> Totals:
    """Return what `counts` and `pack_faults` gave; of what was damaged since, it may raise anything that wrong types
    do."""
    *sums, last, faulted = counts
    shards, records, size, executed, emitted, *verdicts = sums
    if len(verdicts) != VERDICTS or not all(map(is_count, counts)):
        raise ValueError("a count is no number")
    reports = _read_faults(faults) if faults else []
    return Totals(shards, records, size, executed, emitted, verdicts, last, faulted, reports)


def _read_faults(packed: bytes) -> list[FaultReport]:
    reports = loads(packed)
    if not isinstance(reports, list) or len(reports) > FAULTS_MAX:
        raise ValueError("these are no reports of faults")
    return [_fault(one) for one in reports]


def is_count(number: object) -> bool:
    """Tell whether something read is a number of something."""
    return type(number) is int and 0 <= number < 1 << 64


def _fault(fields: dict[str, Any]) -> FaultReport:
    """Return a report as it was written; everything in it will be shown."""
    words = (fields["file"], fields["instruction"])
    numbers = (value for name, value in fields.items() if name not in ("file", "instruction"))
    if not all(isinstance(word, str) for word in words) or not all(map(is_count, numbers)):
        raise ValueError("a fault has fields that cannot be")
    return FaultReport(**{**fields, "fault": Fault(fields["fault"])})
