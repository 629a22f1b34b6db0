"""The far side of `node.py`: run a program that came over a channel on files of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, TypeAlias

from packetfs.engines.job import run_job
from packetfs.engines.node import options_of
from packetfs.engines.records import parse_records
from packetfs.engines.result import FaultReport, JobEvent, MapResult, RunResult, Traced
from packetfs.errors import BadMessage
from packetfs.limits import MIB
from packetfs.net.channel import FrameChannel
from packetfs.net.wire import Faulted, Mapped, Output, Pair, Ran, Run, Told
from packetfs.packet.layout import Buffer
from packetfs.vm.program import decode_program

if TYPE_CHECKING:
    from packetfs.engines.source import Source

OpenSources: TypeAlias = Callable[[Run], AbstractContextManager[list["Source"]]]
"""Opens the files of a request: frontends know pools and names."""

_OUTPUT: Final = MIB
_ENTRIES: Final = 256 * 1024
"""Bytes of output, and about as many of entries, in one frame."""


def answer_run(channel: FrameChannel, request: Run, open_sources: OpenSources, parent: str) -> None:
    """Run what `request` asks for and send everything that came of it."""
    program = decode_program(request.program)
    records = parse_records(_ascii(request.records))
    options = options_of(request.limits, parent)

    def tell(event: JobEvent) -> None:
        if isinstance(event, Traced):
            channel.send(Told(os.fsencode(event.file), event.vm, event.text.encode()))

    def send_output(data: Buffer) -> None:
        view = memoryview(data)
        for at in range(0, len(view), _OUTPUT):
            channel.send(Output(bytes(view[at : at + _OUTPUT])))

    with open_sources(request) as sources:
        result = run_job(program, sources, records, out=send_output, options=options, listener=tell)
    for fault in result.faults:
        channel.send(_faulted(fault))
    places = {id(definition): number for number, definition in enumerate(program.maps)}
    for found in result.maps:
        for entries in _portions(found):
            channel.send(Mapped(places[id(found.definition)], entries))
    channel.send(_ran(result))


def _ascii(data: bytes) -> str:
    if not data.isascii():
        raise BadMessage(reason="the kind of records is not ASCII")
    return data.decode()


def _portions(found: MapResult) -> Iterator[tuple[Pair, ...]]:
    definition = found.definition
    count = max(1, _ENTRIES // (definition.key_size + definition.value_size))
    for at in range(0, len(found.entries), count):
        yield found.entries[at : at + count]


def _faulted(fault: FaultReport) -> Faulted:
    return Faulted(
        fault.shard,
        fault.vm,
        os.fsencode(fault.file),
        fault.record_start,
        fault.records,
        int(fault.fault),
        fault.pc,
        fault.address,
        fault.instruction.encode(),
    )


def _ran(result: RunResult) -> Ran:
    timings = tuple(round(seconds * 1e6) for seconds in result.timings or (result.seconds,))
    return Ran(
        result.records,
        result.bytes,
        result.shards,
        result.executed,
        result.emitted,
        result.last,
        result.faulted,
        result.engine.encode(),
        result.verdicts,
        timings,
    )
