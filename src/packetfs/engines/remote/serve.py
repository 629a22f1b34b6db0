"""The far side of `node.py`: run a program that came over a channel on files of this machine."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, contextmanager

from packetfs.dataclass import dataclass, replace
from packetfs.engines.input.records import parse_records
from packetfs.engines.jobs.job import run_job
from packetfs.engines.options import ENGINES, JobOptions, check_options
from packetfs.engines.results.result import FaultReport, JobEvent, MapResult, RunResult, Traced
from packetfs.errors import BadMessage, JobCancelled
from packetfs.events import Trouble
from packetfs.limits import MIB
from packetfs.net.link.channel import FrameChannel
from packetfs.net.wire.messages import Faulted, Mapped, Output, Pair, Ran, Run, Told
from packetfs.packet.layout import Buffer
from packetfs.typing import TYPE_CHECKING, Callable, Final, Iterator, Sequence, TypeAlias
from packetfs.vm.layout import MapFlag
from packetfs.vm.program import Program, decode_program

if TYPE_CHECKING:
    from packetfs.engines.input.source import Source
    from packetfs.engines.memo.memo import Memory


@dataclass(frozen=True, slots=True)
class Opened:
    """The files of a request, and what their pool remembers, if that is used; `count` is told how many of a run's
    shards were remembered, and how many it has."""

    sources: Sequence[Source]
    memory: Memory | None = None
    count: Callable[[int, int], None] | None = None


OpenFiles: TypeAlias = Callable[[Run], AbstractContextManager[Opened]]
"""Opens the files of a request: frontends know pools and names."""

_OUTPUT: Final = MIB
_ENTRIES: Final = 256 * 1024
"""Bytes of output, and about as many of entries, in one frame."""
_LOOK: Final = 0.1
"""Seconds after which the watch ends, once the run has."""
_LIMITS: Final = 8
"""Numbers in Run.limits."""


def answer_run(channel: FrameChannel, request: Run, open_files: OpenFiles, parent: str) -> None:
    """Run what `request` asks for and send everything that came of it. The job is cancelled when the near side speaks
    or goes away before the end."""
    program = decode_program(request.program)
    records = parse_records(_ascii(request.records))
    options = options_of(request.limits, parent)
    answer = _Answer(channel)
    try:
        with watched(channel, answer.cancelled.set), open_files(request) as opened:
            result = run_job(
                program,
                opened.sources,
                records,
                out=answer.output,
                options=options,
                listener=answer.tell,
                memory=opened.memory,
            )
            if opened.count is not None:
                opened.count(result.remembered, result.shards)
    except JobCancelled:
        said = channel.receive()  # or it raises why the other side is gone
        raise BadMessage(reason=f"{type(said).__name__} while a program runs") from None
    answer.result(result, program)


def may_remember(request: Run) -> bool:
    """Tell whether a request lets the pool remember results: it says so, and does not measure."""
    return bool(request.limits[7:8] == (1,) and request.limits[6] == 1)


def options_of(limits: tuple[int, ...], parent: str) -> JobOptions:
    """Return the options that a request asks for; BadMessage when they are not numbers that make sense. More workers
    than cores help nobody here."""
    if len(limits) != _LIMITS or not 0 <= limits[0] < len(ENGINES):
        raise BadMessage(reason="the limits of a run are not what this version knows")
    engine, vms, workers, fuel, seed, shard, repeat, _ = limits
    options = JobOptions(
        engine=ENGINES[engine],
        vms=vms or None,
        workers=workers or None,
        fuel=fuel,
        seed=seed,
        shard_bytes=shard,
        repeat=repeat,
        parent=parent,
    )
    try:
        check_options(options)
    except ValueError as error:
        raise BadMessage(reason=f"limits of a run: {error}") from None
    return replace(options, workers=min(options.workers, os.cpu_count() or 1) if options.workers else None)


@contextmanager
def watched(channel: FrameChannel, interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt` when the near side speaks or goes away within the block: nobody waits for the rest then."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            if channel.hears(_LOOK):
                if not ended.is_set():
                    interrupt()
                return

    thread = threading.Thread(target=watch, name="near side", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Answer:
    """Sends what comes of a run; output and events may come from several threads."""

    def __init__(self, channel: FrameChannel) -> None:
        self.cancelled = threading.Event()
        """Nobody waits for the rest."""
        self._channel = channel
        self._lock = threading.Lock()

    def output(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        with self._lock:
            for at in range(0, len(view), _OUTPUT):
                self._channel.send(Output(bytes(view[at : at + _OUTPUT])))

    def tell(self, event: JobEvent) -> None:
        if self.cancelled.is_set():  # a job tells its progress ten times a second, so this ends it soon
            raise JobCancelled
        if isinstance(event, Traced):
            told = Told(os.fsencode(event.file), event.vm, event.text.encode("utf-8", "backslashreplace"))
        elif isinstance(event, Trouble):
            told = Told(event.path, 0, event.reason.encode("utf-8", "backslashreplace"))
        else:
            return
        with self._lock:
            self._channel.send(told)

    def result(self, result: RunResult, program: Program) -> None:
        for fault in result.faults:
            self._channel.send(_faulted(fault))
        places = {id(definition): number for number, definition in enumerate(program.maps)}
        for found in result.maps:
            if not found.definition.flags & MapFlag.READ_ONLY:
                for entries in _portions(found):
                    self._channel.send(Mapped(places[id(found.definition)], entries))
        self._channel.send(_ran(result))


def _ascii(data: bytes) -> str:
    if not data.isascii():
        raise BadMessage(reason="the kind of records is not ASCII")
    return data.decode()


def _portions(found: MapResult) -> Iterator[tuple[Pair, ...]]:
    definition = found.definition
    count = max(1, _ENTRIES // (definition.key_size + definition.value_size))
    for at in range(0, len(found.entries), count):
        yield tuple(found.entries[at : at + count])


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
        result.remembered,
        tuple(way.encode() for way, _ in result.ran),
        tuple(count for _, count in result.ran),
        result.why.encode(),
    )
