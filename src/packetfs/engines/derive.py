"""Running derived files: each call is a job over what the one before gave, and its output becomes a file of the pool.

Fuel bounds each record, DERIVED_GROWTH what may come out, CALLS_MAX how many follow each other: so a derived file that
came from somebody else costs no more than its input makes it. A program that faults makes no file.
"""

from __future__ import annotations

from packetfs.dataclass import replace
from packetfs.engines.input.records import RecordKind, Records, parse_records
from packetfs.engines.input.source import PoolFile
from packetfs.engines.jobs.job import run_job
from packetfs.engines.memo.memo import Memory
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import JobEvent, JobListener
from packetfs.errors import DeriveFailed
from packetfs.events import Trouble
from packetfs.fs.posix.stream import Stream
from packetfs.fs.streams.ingest import Ingested
from packetfs.limits import DERIVED_GROWTH, DERIVED_MAX, DERIVED_SMALL, FUEL_MAX, PROGRAM_BYTES_MAX
from packetfs.packet.derived import Call, parse_derived
from packetfs.packet.digest import Digest, digest_of, short
from packetfs.packet.layout import Buffer, CallRecords
from packetfs.pool.pool import Pool
from packetfs.typing import Callable, Final
from packetfs.vm.program import Program, decode_program

_KINDS: Final = {
    CallRecords.FIXED: RecordKind.FIXED,
    CallRecords.LINE: RecordKind.LINE,
    CallRecords.LINES: RecordKind.LINES,
    CallRecords.PCAP: RecordKind.PCAP,
    CallRecords.EXTENT: RecordKind.EXTENT,
}
NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}
"""What a CALL packet says for each kind of records."""


def call_of(program: Digest, records: Records, fuel: int) -> Call:
    """Return the call of a program over records."""
    return Call(program, NUMBERS[records.kind], records.size, fuel)


class Deriver:
    """Runs derived files; `memory`: what the pool remembers, if that is wanted. `listener` hears what a job tells."""

    def __init__(
        self, *, memory: Callable[[Pool], Memory] | None = None, parent: str | None = None, listener: JobListener
    ) -> None:
        self._memory = memory
        self._options = JobOptions(parent=parent)
        self._listener = listener

    def __call__(self, pool: Pool, root: Digest) -> Ingested:
        """Run the derived file `root` into the pool; DeriveFailed where it makes no file."""
        derived = parse_derived(short(root), pool.read(root))
        store = _Beside(pool, derived.base)
        source = PoolFile(store, store.root, "the source of a derived file")
        done = Ingested(store.root, source.size, 0, 0)
        for call in derived.calls:
            done = self._run(pool, call, PoolFile(store, done.root, "the source of a derived file"))
        return done

    def _run(self, pool: Pool, call: Call, source: PoolFile) -> Ingested:
        program = decode_program(pool.read(call.program, PROGRAM_BYTES_MAX))
        most = min(DERIVED_SMALL + DERIVED_GROWTH * source.size, DERIVED_MAX)
        stream = Stream(pool)

        def take(data: Buffer) -> None:
            if stream.size + len(data) > most:
                raise DeriveFailed(reason=f"its program makes more than {most:,} bytes of {source.size:,}")
            stream.write(stream.size, memoryview(data).cast("B"))

        self._job(program, call, source, take, self._memory(pool) if self._memory is not None else None)
        return stream.settle()

    def _job(
        self, program: Program, call: Call, source: PoolFile, take: Callable[[Buffer], None], memory: Memory | None
    ) -> None:
        troubles: list[str] = []

        def hear(event: JobEvent) -> None:
            if isinstance(event, Trouble):
                troubles.append(event.reason)
            self._listener(event)

        options = replace(self._options, fuel=min(call.fuel, FUEL_MAX))
        records = parse_records(str(Records(_KINDS[call.records], call.size)))  # which refuses sizes that cannot be
        result = run_job(program, [source], records, out=take, options=options, listener=hear, memory=memory)
        if result.faulted:
            raise DeriveFailed(reason=f"{result.faulted:,} microVMs faulted, the first one: {result.faults[0]}")
        if troubles:
            raise DeriveFailed(reason=troubles[0])


class _Beside:
    """A pool, and beside it one program that it may have lost: that of the source, which the derived file contains."""

    def __init__(self, pool: Pool, program: bytes) -> None:
        self._pool = pool
        self._program = program
        self.root = digest_of(program)

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:
        """Keep a payload."""
        return self._pool.put(payload, digest, mark=mark)

    def read(self, digest: Digest) -> bytes:
        """Return a payload."""
        return self._program if digest == self.root else self._pool.read(digest)

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return part of a payload."""
        return self._pool.read_range(digest, offset, length)

    def read_into(self, digest: Digest, offset: int, out: memoryview) -> None:
        """Fill `out` with part of a payload."""
        self._pool.read_into(digest, offset, out)
