"""A job on the machine that has the files: the program goes there, its output and its reduced maps come back.

The carrier is that of a sync: ssh runs `pfs serve --stdio`, which answers RUN. What comes back is checked against the
program that was sent: maps that it does not have, or entries of other sizes, end the job.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from packetfs.engines.options import ENGINES, JobOptions
from packetfs.engines.result import VERDICT_NAMES, FaultReport, JobListener, MapResult, RunResult, Traced
from packetfs.errors import BadMessage
from packetfs.net.carrier import Carrier
from packetfs.net.channel import FrameChannel
from packetfs.net.wire import MAGIC, PROTOCOL, Faulted, Mapped, Output, Pair, Ran, Run, Told
from packetfs.packet.layout import Buffer
from packetfs.vm.layout import SLOTS_A_PACKET, Fault, MapType
from packetfs.vm.program import MapDefinition, Program, encode_program


@dataclass(frozen=True, slots=True)
class NodeJob:
    """What to run where. `files`: paths on that machine, or pfs:PATH in `pool` (empty: the one that it would choose)."""

    host: str
    program: Program
    records: str
    files: tuple[bytes, ...]
    pool: str = ""
    snapshot: str = ""
    options: JobOptions = field(default_factory=JobOptions)
    shell: tuple[str, ...] | None = None
    far_command: str = "pfs"


def run_on_node(job: NodeJob, out: Callable[[Buffer], None], listener: JobListener) -> tuple[RunResult, int]:
    """Run `job` on its node and return its result with the bytes that crossed the network, both ways."""
    with Carrier(job.host, job.shell, job.far_command) as carrier:
        carrier.channel.send(request_of(job))
        result = _Collector(job.program, out, listener).collect(carrier.channel)
        return result, carrier.channel.sent + carrier.channel.received


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
    )
    pool, snapshot = os.fsencode(job.pool), os.fsencode(job.snapshot)
    packets = encode_program(job.program)
    return Run(MAGIC, PROTOCOL, packets, job.records.encode(), pool, snapshot, job.files, limits)


def options_of(limits: tuple[int, ...], parent: str) -> JobOptions:
    """Return the options that a request asks for; BadMessage when it is not seven numbers that make sense."""
    if len(limits) != 7 or limits[0] >= len(ENGINES):
        raise BadMessage(reason="the limits of a run are not what this version knows")
    engine, vms, workers, fuel, seed, shard, repeat = limits
    return JobOptions(
        engine=ENGINES[engine],
        vms=vms or None,
        workers=workers or None,
        fuel=fuel,
        seed=seed,
        shard_bytes=shard,
        repeat=max(1, repeat),
        parent=parent,
    )


class _Collector:
    """Puts a result together from messages."""

    def __init__(self, program: Program, out: Callable[[Buffer], None], listener: JobListener) -> None:
        self._maps = program.maps
        self._out = out
        self._listener = listener
        self._entries: list[list[Pair]] = [[] for _ in program.maps]
        self._faults: list[FaultReport] = []

    def collect(self, channel: FrameChannel) -> RunResult:
        while True:
            message = channel.receive()
            if isinstance(message, Output):
                self._out(message.data)
            elif isinstance(message, Told):
                self._listener(Traced(_text(message.file), message.vm, _text(message.text)))
            elif isinstance(message, Faulted):
                self._faults.append(_report(message))
            elif isinstance(message, Mapped):
                self._take(message)
            elif isinstance(message, Ran):
                return self._result(message)
            else:
                raise BadMessage(reason=f"{type(message).__name__} where the result of a run belongs")

    def _take(self, message: Mapped) -> None:
        if message.map >= len(self._maps):
            raise BadMessage(reason=f"map {message.map} of a program that has {len(self._maps)}")
        check_entries(self._maps[message.map], message.entries)
        self._entries[message.map] += message.entries

    def _result(self, ran: Ran) -> RunResult:
        if len(ran.verdicts) != len(VERDICT_NAMES) or not ran.timings:
            raise BadMessage(reason="a run without verdicts or timings")
        timings = tuple(micro / 1e6 for micro in ran.timings)
        maps = [
            MapResult(definition, tuple(entries))
            for definition, entries in zip(self._maps, self._entries, strict=True)
            if definition.type is not MapType.RINGBUF
        ]
        return RunResult(
            records=ran.records,
            bytes=ran.size,
            shards=ran.shards,
            executed=ran.executed,
            emitted=ran.emitted,
            verdicts=ran.verdicts,
            last=ran.last,
            maps=tuple(maps),
            faults=tuple(self._faults),
            engine=_text(ran.engine),
            seconds=min(timings),
            faulted=ran.faulted,
            timings=timings,
        )


def check_entries(definition: MapDefinition, entries: tuple[Pair, ...]) -> None:
    """Refuse entries that a map cannot have."""
    if len(entries) > definition.max_entries:
        raise BadMessage(reason="a map with more entries than it can hold")
    for key, value in entries:
        if len(key) != definition.key_size or len(value) != definition.value_size:
            raise BadMessage(reason="an entry whose size is not that of its map")


def _report(message: Faulted) -> FaultReport:
    if message.fault not in Fault.__members__.values():
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
