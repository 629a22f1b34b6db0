"""A job on the machine that has the files: the program goes there, its output and its reduced maps come back.

The carrier is that of a sync: ssh runs `pfs serve --stdio`, or a daemon listens there; either answers RUN. What comes
back is checked against the program that was sent: maps that it does not have, or entries of other sizes, end the job.
"""

from __future__ import annotations

import os

from packetfs.dataclass import dataclass, field
from packetfs.engines.options import ENGINES, JobOptions
from packetfs.engines.results.result import VERDICT_NAMES, WAYS, FaultReport, JobListener, MapResult, RunResult, Traced
from packetfs.engines.results.tables import check_union
from packetfs.errors import BadMessage
from packetfs.events import Trouble
from packetfs.limits import FAULTS_MAX
from packetfs.net.link.carrier import Carrier, Carrying
from packetfs.net.link.channel import FrameChannel
from packetfs.net.wire.batch import Batch
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Faulted, Mapped, Message, Output, Ran, Run, Told
from packetfs.packet.layout import Buffer
from packetfs.typing import Callable, Final, Iterator
from packetfs.vm.layout import SLOTS_A_PACKET, Fault, MapFlag, MapType
from packetfs.vm.program import MapDefinition, Program, encode_program

_WHY_MAX: Final = 1000
"""Bytes of RAN.why: a sentence, which is shown."""
_ARRAYS: Final = (MapType.ARRAY, MapType.PERCPU_ARRAY)


@dataclass(frozen=True, slots=True)
class NodeJob:
    """What to run where. `files`: paths on that machine, or pfs:PATH in `pool` (empty: its own choice). `memo`: whether
    that pool may remember results. `daemon`: `host` is the address of one, and `keys` the directory of this side's."""

    host: str
    program: Program
    records: str
    files: tuple[bytes, ...]
    pool: str = ""
    snapshot: str = ""
    options: JobOptions = field(default_factory=JobOptions)
    shell: tuple[str, ...] | None = None
    far_command: str = "pfs"
    memo: bool = True
    daemon: bool = False
    keys: str = ""


def run_on_node(job: NodeJob, out: Callable[[Buffer], None], listener: JobListener) -> tuple[RunResult, int]:
    """Run `job` on its node and return its result with the bytes that crossed the network, both ways."""
    with _reach(job) as carrier:
        carrier.channel.send(request_of(job))
        result = collect(job.program, out, listener, carrier.channel)
        return result, carrier.channel.sent + carrier.channel.received


def _reach(job: NodeJob) -> Carrying:
    if not job.daemon:
        return Carrier(job.host, job.shell, job.far_command)
    from packetfs.net.link.visitor import Visitor  # TLS is for those who use it

    return Visitor(job.host, job.keys)


def request_of(job: NodeJob) -> Run:
    """Return the message that asks for `job`."""
    options = job.options
    limits = (
        ENGINES.index(options.engine),
        options.vms or 0,
        options.workers or 0,
        options.fuel,
        options.seed,
        options.shard_bytes,
        options.repeat,
        int(job.memo),
    )
    pool, snapshot = os.fsencode(job.pool), os.fsencode(job.snapshot)
    packets = encode_program(job.program)
    return Run(MAGIC, PROTOCOL, packets, job.records.encode(), pool, snapshot, job.files, limits)


def collect(program: Program, out: Callable[[Buffer], None], listener: JobListener, channel: FrameChannel) -> RunResult:
    """Return the result that the far side sends; BadMessage when it cannot be one of `program`."""
    collector = _Collector(program, out, listener)
    while True:
        message = channel.receive()
        if isinstance(message, Ran):
            return collector.result(message)
        collector.hear(message)


class _Collector:
    """Puts a result together from messages."""

    def __init__(self, program: Program, out: Callable[[Buffer], None], listener: JobListener) -> None:
        self._maps = program.maps
        self._out = out
        self._listener = listener
        self._entries: list[dict[bytes, bytes]] = [{} for _ in program.maps]
        self._faults: list[FaultReport] = []
        self._keys = self._keys_bytes = 0

    def hear(self, message: Message | Batch) -> None:
        if isinstance(message, Output):
            self._out(message.data)
        elif isinstance(message, Told):
            self._tell(message)
        elif isinstance(message, Faulted):
            self._fault(message)
        elif isinstance(message, Mapped):
            self._take(message)
        else:
            raise BadMessage(reason=f"{type(message).__name__} where the result of a run belongs")

    def _tell(self, told: Told) -> None:
        if told.vm:
            self._listener(Traced(_text(told.file), told.vm, _text(told.text)))
        else:
            self._listener(Trouble(told.file, _text(told.text)))

    def _fault(self, message: Faulted) -> None:
        if len(self._faults) >= FAULTS_MAX:
            raise BadMessage(reason=f"more than {FAULTS_MAX} faults")
        self._faults.append(_report(message))

    def _take(self, message: Mapped) -> None:
        if message.map >= len(self._maps):
            raise BadMessage(reason=f"map {message.map} of a program that has {len(self._maps)}")
        definition, held = self._maps[message.map], self._entries[message.map]
        for key, value in message.entries:
            check_entry(definition, key, value)
            if key in held:
                raise BadMessage(reason="an entry of a map twice")
            if definition.type not in _ARRAYS:  # of a table, this is the union over all shards
                self._keys += 1
                self._keys_bytes += len(key) + len(value)
                check_union(definition, self._keys, self._keys_bytes)
            held[key] = value

    def result(self, ran: Ran) -> RunResult:
        engine = _text(ran.engine)
        if len(ran.verdicts) != len(VERDICT_NAMES) or not ran.timings or engine not in ENGINES:
            raise BadMessage(reason="a run without verdicts or timings, or by an engine that is unknown")
        if ran.faulted < len(self._faults):
            raise BadMessage(reason=f"{ran.faulted} faults were announced, {len(self._faults)} told")
        ways = tuple(map(_text, ran.ways))
        if len(ran.ran) != len(ways) or len(set(ways)) != len(ways) or not set(ways) <= set(WAYS):
            raise BadMessage(reason="a run whose records ran in ways that are unknown")
        if len(ran.why) > _WHY_MAX or not _text(ran.why).isprintable():
            raise BadMessage(reason="why an engine was chosen is no sentence")
        if ran.remembered > ran.shards:
            raise BadMessage(reason=f"{ran.remembered} of {ran.shards} shards were remembered")
        timings = tuple(micro / 1e6 for micro in ran.timings)
        return RunResult(
            records=ran.records,
            bytes=ran.size,
            shards=ran.shards,
            executed=ran.executed,
            emitted=ran.emitted,
            verdicts=ran.verdicts,
            last=ran.last,
            maps=tuple(self._reduced()),
            faults=tuple(self._faults),
            engine=engine,
            seconds=min(timings),
            faulted=ran.faulted,
            timings=timings,
            remembered=ran.remembered,
            why=_text(ran.why),
            ran=tuple(zip(ways, ran.ran, strict=True)),
        )

    def _reduced(self) -> Iterator[MapResult]:
        for definition, held in zip(self._maps, self._entries, strict=True):
            if definition.type is not MapType.RINGBUF:
                yield MapResult(definition, tuple(held.items()))


def check_entry(definition: MapDefinition, key: bytes, value: bytes) -> None:
    """Refuse an entry that a map cannot have."""
    if definition.type is MapType.RINGBUF or definition.flags & MapFlag.READ_ONLY:
        raise BadMessage(reason="an entry of a map that has no results")
    if len(key) != definition.key_size or len(value) != definition.value_size:
        raise BadMessage(reason="an entry whose size is not that of its map")
    if definition.type in _ARRAYS and int.from_bytes(key, "little") >= definition.max_entries:
        raise BadMessage(reason="an entry of an array beyond its end")


def _report(message: Faulted) -> FaultReport:
    if message.fault not in Fault.__members__.values() or not message.fault:
        raise BadMessage(reason=f"fault {message.fault} is unknown")
    packet, slot = divmod(message.pc, SLOTS_A_PACKET)
    return FaultReport(
        shard=message.shard,
        vm=message.vm,
        file=_text(message.file),
        record_start=message.record_start,
        records=message.records,
        fault=Fault(message.fault),
        pc=message.pc,
        packet=1 + packet,
        slot=slot,
        instruction=_text(message.instruction),
        address=message.address,
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
