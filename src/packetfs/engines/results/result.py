"""What a job gives back: counts, verdicts, reduced maps, and every microVM that ended early, in words."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.events import Event
from packetfs.typing import Callable, Final, Sequence, TypeAlias
from packetfs.vm.layout import FAULT_MEANING, Fault
from packetfs.vm.program import MapDefinition

WAYS: Final = ("lanes", "compiled", "interpreted")
"""How records run, where an engine has several ways."""
VERDICT_NAMES: Final = ("ABORTED", "DROP", "PASS", "TX", "REDIRECT", "other")
"""What the six counters of verdicts count: r0 of 0 to 4, and any other."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A line that a program wrote with trace_printk."""

    file: str
    vm: int
    text: str


JobEvent: TypeAlias = Event | Traced
JobListener: TypeAlias = Callable[[JobEvent], None]


def ignore(event: JobEvent) -> None:
    """Be the listener of a job that nobody watches."""


@dataclass(frozen=True, slots=True)
class FaultReport:
    """A microVM that ended before its shard did: which shard of which file, at which record, and where in the program.

    `record_start`: offset of the record in its file. `records`: how many of the shard's records were done before.
    `pc`: slot of the code; `packet` and `slot`: the same as packet of the program and slot in it. `address`: what could
    not be reached, or the helper's number.
    """

    shard: int
    vm: int
    file: str
    record_start: int
    records: int
    fault: Fault
    pc: int
    packet: int
    slot: int
    instruction: str
    address: int

    def __str__(self) -> str:
        what = FAULT_MEANING[self.fault]
        if self.fault in (Fault.ADDRESS, Fault.READ_ONLY):
            what += f" ({self.address:#x})"
        elif self.fault in (Fault.HELPER, Fault.TARGET, Fault.MAP):
            what += f" ({self.address})"
        return (
            f"{self.file}: {what} in packet {self.packet} slot {self.slot} ({self.instruction}), microVM {self.vm}, "
            f"shard {self.shard}, its record {self.records} at byte {self.record_start}"
        )


@dataclass(frozen=True, slots=True)
class MapResult:
    """A map of all shards together: (key, value) sorted by key. Keys of arrays are u32, values of zeros left out."""

    definition: MapDefinition
    entries: Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run computed.

    `bytes` and `records`: input. `executed`: slots of code. `emitted`: bytes of output. `verdicts`: as VERDICT_NAMES.
    `last`: r0 of the last record that ended. `faults`: those of the first FAULTS_MAX shards that have one; `faulted`:
    how many shards have one. `seconds`: the best run; `timings`: every run, in order (JobOptions.repeat). `remembered`:
    shards whose results were there already (memo.py). `ran`: how many records ran in which way, for engines that have
    several; records that were paused count where they ended. `why`: what such an engine chose, in words.
    """

    records: int
    bytes: int
    shards: int
    executed: int
    emitted: int
    verdicts: tuple[int, ...]
    last: int
    maps: tuple[MapResult, ...]
    faults: tuple[FaultReport, ...]
    engine: str
    seconds: float
    faulted: int = 0
    timings: tuple[float, ...] = ()
    remembered: int = 0
    ran: tuple[tuple[str, int], ...] = ()
    why: str = ""

    @property
    def best_ns(self) -> float:
        """Nanoseconds a record in the best run."""
        return min(self.timings or (self.seconds,)) * 1e9 / max(self.records, 1)

    @property
    def median_ns(self) -> float:
        """Nanoseconds a record in the median run."""
        ordered = sorted(self.timings or (self.seconds,))
        return ordered[len(ordered) // 2] * 1e9 / max(self.records, 1)
