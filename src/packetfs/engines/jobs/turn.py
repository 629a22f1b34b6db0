"""A turn: the microVMs of one batch each execute a slice, over one window of their file.

What an interpreter cannot do alone is done here: it is shown more of the file, its output is taken away, its helpers of
Python are answered, records are numbered.
"""

from __future__ import annotations

from itertools import accumulate, compress
from mmap import MAP_PRIVATE, mmap
from struct import pack

from packetfs import errors
from packetfs.dataclass import dataclass, field
from packetfs.engines.input.lines import LineCounter, count_lines, find_newline, first_lines
from packetfs.engines.input.records import RecordKind, Records
from packetfs.engines.input.shards import Batch
from packetfs.engines.input.source import Source
from packetfs.engines.input.view import View
from packetfs.engines.jobs.delivery import Delivery
from packetfs.engines.live.columns import ENDED, begin, column, states, unfinished
from packetfs.engines.live.ledger import Control
from packetfs.engines.live.table import Table
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import JobListener, Traced
from packetfs.errors.system import source_error
from packetfs.limits import MEMO_VALUE_MAX, OUTPUT_BUFFER, PASS_OUTPUT, RUN_WINDOW, SLOTS_A_CALL, WINDOW_TAIL
from packetfs.packet.layout import Buffer
from packetfs.threading import Event
from packetfs.typing import TYPE_CHECKING, Iterator, Sequence
from packetfs.vm.context import BASE_UNKNOWN, Context
from packetfs.vm.image import Image
from packetfs.vm.layout import ContextFlag, State, Stop
from packetfs.vm.machine import TWIN, Machine

if TYPE_CHECKING:
    from packetfs.engines.memo.memo import Memo, Remembered

CALLS_A_TURN = 32
"""Windows of a long shard that it sees in one turn."""
TOGETHER = 32
"""MicroVMs that run in one call at the most. Of more each would get a slice in which few records end, and one that a
slice cuts off goes on in the interpreter: with 256 a sum of a column took 1.5 times as long (measured)."""
SLICE_MIN = 1024
"""Slots of a slice at the least: fewer, and pausing would be most of the work."""


@dataclass(slots=True)
class Live:
    """A batch and what a worker knows of it. `output`: what it emits, where all of that is remembered: it takes no
    microVM. `known`: what is remembered of its shards, where that was looked up and is not all.
    `located`: the first lines of its shards were looked up; `lines`: newlines before it in its file, if they were
    counted; `emitted`: output of the shards that are to be remembered, by index."""

    batch: Batch
    output: Sequence[Buffer] | None = None
    known: Sequence[Remembered | None] = ()
    located: bool = False
    lines: int | None = None
    finished: bool = False
    faulted: bool = False
    emitted: dict[int, bytearray] = field(default_factory=dict)

    @property
    def living(self) -> int:
        """How many microVMs it takes."""
        return self.batch.count if self.output is None else 0


@dataclass(frozen=True, slots=True)
class Work:
    """What the turns of one job share."""

    image: Image
    machine: Machine
    prepared: object
    table: Table
    sources: Sequence[Source]
    records: Records
    options: JobOptions
    counters: Sequence[LineCounter]
    delivery: Delivery
    listener: JobListener
    stopped: Event
    memo: Memo | None = None

    @property
    def interrupted(self) -> bool:
        """Tell a turn that it should end early."""
        return self.stopped.is_set() or self.table.ledger.control is not Control.RUN


def begin_batch(work: Work, live: Live) -> None:
    """Make the microVMs of a batch READY, or DONE where their results are remembered; their slots must be free. A
    process that dies here leaves them claimed."""
    table, image, batch = work.table, work.image, live.batch
    if live.output is not None:
        live.finished = True
        work.delivery.pass_on(batch.shard, batch.count, live.output)
        return
    table.ledger.claims[batch.slot] = 1
    table.allocate(batch.slot, batch.count)
    if image.initial:
        for slot in range(batch.slot, batch.slot + batch.count):
            at = slot * image.maps_bytes
            table.maps[at : at + len(image.initial)] = image.initial
    begin(table.words, batch, work.records, work.options.seed)
    if work.memo is not None:
        _recall(work, work.memo, live)
    table.ledger.claims[batch.slot] = 0


def _recall(work: Work, memo: Memo, live: Live) -> None:
    """Let the shards that are remembered be done, and deliver what they emitted."""
    batch, table, source = live.batch, work.table, work.sources[live.batch.file]
    found, live.known = live.known or memo.recall_batch(source, batch), ()
    for index, known in enumerate(found):
        if known is None:
            live.emitted[index] = bytearray()
        else:
            memo.restore(known, table.contexts, table.maps, batch.slot + index)
    live.finished = not live.emitted
    output = [known.output if known is not None else b"" for known in found]
    if any(output) or live.finished:
        work.delivery.add(batch.shard, batch.count, live.finished, list(map(len, output)), output)


class Turns:
    """One worker's buffers, and the turns that it takes."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._view = View(maps=work.machine is not TWIN)
        self._out: mmap | bytearray = bytearray()
        self._used = 0
        self._taken: list[bytes] = []

    def take(self, live: Live) -> None:
        """Give each microVM of the batch that is not held or ended a slice, and hand over what they emitted."""
        batch, table = live.batch, self._work.table
        self._out = self._out or mmap(-1, OUTPUT_BUFFER, MAP_PRIVATE)  # memory that nobody emits into is never touched
        table.need_room()
        table.ledger.claims[batch.slot] = 1
        words, where = table.words, (batch.slot, batch.count)
        before = column(words, *where, "emitted").tolist()
        for first, last in _ranges(unfinished(words, *where), table.ledger.held):
            if not self._run(live, first, last):
                break
        found = states(words, *where)
        live.finished, live.faulted = all(state in ENDED for state in found), State.FAULTED in found
        self._hand_over(live, before, column(words, *where, "emitted").tolist())
        if live.finished and self._work.memo is not None:
            self._remember(self._work.memo, live)
        if live.finished:
            table.clear_spill(*where)
        table.ledger.claims[batch.slot] = 0

    def _hand_over(self, live: Live, before: list[int], after: list[int]) -> None:
        lengths = [new - old for old, new in zip(before, after, strict=True)]
        data = b"".join([*self._taken, memoryview(self._out)[: self._used]])
        self._taken, self._used = [], 0
        if self._work.memo is not None and live.emitted and data:
            _gather(self._work.memo, live, lengths, memoryview(data))
        if live.finished and any(lengths) and not any(before):  # all of it in one turn: it lies in order of the shards
            first = next(index for index, length in enumerate(lengths) if length)
            lengths = [0] * first + [sum(lengths)]  # not to the first microVM: its turn may be over
        self._work.delivery.add(live.batch.shard, live.batch.count, live.finished, lengths, [data])

    def _remember(self, memo: Memo, live: Live) -> None:
        batch, table = live.batch, self._work.table
        size, source = self._work.image.maps_bytes, self._work.sources[batch.file]
        for index, output in live.emitted.items():
            slot = batch.slot + index
            maps = table.maps[slot * size : (slot + 1) * size]
            memo.hold(-len(output))
            memo.keep(source, batch, index, Context(table.contexts, slot), maps, output)
        live.emitted.clear()

    def _run(self, live: Live, first: int, last: int) -> bool:
        """Run microVMs `first` to `last`; False when the turn must end, for a pause or because it emitted a lot."""
        work, batch, slot = self._work, live.batch, first
        self._look(live, first)
        if work.records.by_lines and not live.located:
            self._locate(live)
        together = min(last - first + 1, TOGETHER)
        slots = work.options.slice_slots or max(SLICE_MIN, self._slots_a_call() // together)
        bounds = memoryview(batch.bounds).cast("B") if batch.bounds else b""
        for _ in range(CALLS_A_TURN + last - first):
            room = memoryview(self._out)[self._used :]
            behind = min(slot + together, last + 1)
            slot, stop, used = self._call(batch, slot, behind - slot, bounds, room, slots)
            room.release()
            self._used += used
            if slot > last:
                return True
            if (slot < behind and not self._help(live, slot, stop)) or work.interrupted:
                return False
        return False

    def _slots_a_call(self) -> int:
        machine = self._work.machine
        return SLOTS_A_CALL[machine.like(self._work.prepared) or machine.name]

    def _call(
        self, batch: Batch, first: int, count: int, bounds: Buffer, room: memoryview, slots: int
    ) -> tuple[int, Stop, int]:
        """Let the interpreter run; what it cannot look at is read, which says why."""
        work, view = self._work, self._view
        table, records = work.table, work.records
        try:
            return work.machine.run(
                work.prepared,
                table.contexts,
                table.spill,
                table.maps,
                first,
                count,
                view.data,
                view.start,
                view.final,
                records.framing,
                records.size,
                bounds,
                room,
                slots,
                work.options.fuel,
                batch.file,
            )
        except OSError as error:
            view.read_again()
            raise source_error(work.sources[batch.file].name, error) from None

    def _help(self, live: Live, slot: int, stop: Stop) -> bool:
        """Do what a microVM stopped for; False when that ends the turn."""
        if stop is Stop.WINDOW:
            self._look_on(live, slot)
        elif stop is Stop.OUTPUT:
            return self._make_room(slot)
        elif stop is Stop.INDEX:
            self._number(live)
        elif stop is Stop.HELPER:
            self._answer(live.batch.file, slot)
        return True

    def _answer(self, file: int, slot: int) -> None:
        """Answer a helper that the core does not, over a copy of the record: Python cannot bear that it vanishes."""
        from packetfs.vm.helpers import answer  # the core answers nearly all helpers itself

        work, table = self._work, self._work.table
        context = Context(table.contexts, slot)
        start = context.record_start
        record = work.sources[file].read(start, context.record_stop)
        line = answer(work.image, table.contexts, table.spill, table.maps, slot, record, start, file)
        if line is not None:
            work.listener(Traced(work.sources[file].name, slot, line))

    def _make_room(self, slot: int) -> bool:
        """Take away what was emitted; what does not even fit an empty buffer gets a larger one."""
        if self._used:
            self._taken.append(bytes(memoryview(self._out)[: self._used]))
            self._used = 0
        else:
            self._out = bytearray(Context(self._work.table.contexts, slot).fault_address)
        return sum(map(len, self._taken)) < PASS_OUTPUT

    # the window

    def _look(self, live: Live, slot: int) -> None:
        """Look at all of a batch, or at as much of a long shard as fits from where it goes on."""
        batch = live.batch
        start, stop = max(0, batch.start - 1), batch.stop + self._tail(batch)
        source = self._work.sources[batch.file]
        reach = self._view.reach(source) + WINDOW_TAIL
        if stop - start > reach and batch.count == 1 and live.located:
            start = self._needs(live, slot)[0]
        self._view.cover(source, start, min(stop, start + reach))

    def _tail(self, batch: Batch) -> int:
        """Return how many bytes behind the batch its last record may need."""
        records = self._work.records
        if records.by_lines:
            return WINDOW_TAIL
        if records.kind is RecordKind.FIXED:
            return min(-batch.stop % records.size, RUN_WINDOW)
        return max(batch.bounds[-1] - batch.stop, 0) if batch.bounds else 0

    def _needs(self, live: Live, slot: int) -> tuple[int, int]:
        """Return (start, stop) of the record that a microVM is at or in; stop is 0 if it is not known yet."""
        context, bounds = Context(self._work.table.contexts, slot), live.batch.bounds
        if context.flags & ContextFlag.IN_RECORD:
            return context.record_start, context.record_stop
        position, records = context.position, self._work.records
        if not bounds:
            return position, position + (records.size if records.kind is RecordKind.FIXED else 0)
        at = min(2 * position, len(bounds) - 2)
        return bounds[at], bounds[at + 1]

    def _look_on(self, live: Live, slot: int) -> None:
        """Show more of the file: the record's end, the next window of a long shard, or twice as much of a line."""
        view, source = self._view, self._work.sources[live.batch.file]
        start, stop = self._needs(live, slot)
        rest = max(view.stop - start, 0) if start >= view.start else 0
        longer = view.stop + max(WINDOW_TAIL, rest) if rest else 0
        wanted = max(stop, longer, min(start + view.reach(source), live.batch.stop + WINDOW_TAIL))
        before = (view.start, view.stop)
        if not view.cover(source, start, wanted) and (view.start, view.stop) == before:
            reason = f"microVM {slot} waits for bytes of {source.name} that do not exist"
            raise errors.BadJob(path=self._work.table.directory, reason=reason)

    # lines

    def _locate(self, live: Live) -> None:
        """Let each shard that has not begun begin with the first line that does in it."""
        batch, words = live.batch, self._work.table.words
        positions = column(words, batch.slot, batch.count, "position")
        waiting = [state == State.READY for state in states(words, batch.slot, batch.count)]
        if all(waiting) and self._view.has(max(0, batch.start - 1), batch.stop):
            positions[:] = self._first_lines(batch)
        else:
            for index in compress(range(batch.count), waiting):
                positions[index] = self._first_line(batch, index)
        live.located = True

    def _first_lines(self, batch: Batch) -> memoryview:
        """Return the same as `_first_line` for all shards of a batch that is in view."""
        edges, view = pack(f"{batch.count + 1}Q", *batch.starts, batch.stop), self._view
        try:
            return memoryview(first_lines(view.data, view.start, edges)).cast("Q")
        except OSError as error:
            view.read_again()
            raise source_error(self._work.sources[batch.file].name, error) from None

    def _first_line(self, batch: Batch, index: int) -> int:
        """Return where the first line that begins in a shard does, or where the shard ends."""
        start, stop = batch.edges(index)
        if not start:
            return 0
        found = find_newline(self._work.sources[batch.file], start - 1, stop - 1)
        return stop if found < 0 else found + 1

    def _number(self, live: Live) -> None:
        """Number the first record of each shard: the lines before the batch, and those in it before the shard."""
        batch, words = live.batch, self._work.table.words
        source = self._work.sources[batch.file]
        if live.lines is None:
            live.lines = self._work.counters[batch.file].before(batch.start)
        count, at = live.lines, batch.start
        bases = column(words, batch.slot, batch.count, "record_base")
        for index in range(batch.count):
            first = self._first_line(batch, index)
            count += count_lines(source, at, first)
            at = max(at, first)
            if bases[index] == BASE_UNKNOWN:
                bases[index] = count


def _gather(memo: Memo, live: Live, lengths: Sequence[int], data: memoryview) -> None:
    """Keep what shards emitted that are to be remembered; one that emits too much for that is given up."""
    for index, end in enumerate(accumulate(lengths)):
        kept, size = live.emitted.get(index), lengths[index]
        if kept is None or not size:
            continue
        if len(kept) + size <= MEMO_VALUE_MAX and memo.hold(size):
            kept += data[end - size : end]
        else:
            memo.hold(-len(live.emitted.pop(index)))


def _ranges(slots: Sequence[int], held: memoryview) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of what may run: all at once where nothing is held, for a run passes over what has ended."""
    if slots and not any(held[slots[0] : slots[-1] + 1]):
        yield slots[0], slots[-1]
        return
    for slot in slots:
        if not held[slot]:
            yield slot, slot
