"""A program as straight runs: where they begin, which instructions they have, where they go on."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import Final, Iterator, Sequence
from packetfs.vm.image import Image
from packetfs.vm.instruction import Instruction, iterate_rows
from packetfs.vm.isa import CALL, CALLX, EXIT, JA, JA32, LOCAL, Opcode
from packetfs.vm.layout import REGION_SHIFT, Region
from packetfs.vm.slots import LDDW, width

_CODE: Final = Region.CODE << REGION_SHIFT


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction and its row of the table."""

    slot: int
    instruction: Instruction
    row: Opcode

    @property
    def behind(self) -> int:
        """The slot behind it."""
        return self.slot + width(self.instruction.opcode)

    @property
    def target(self) -> int:
        """Where a jump or local call goes."""
        return self.behind + int(getattr(self.instruction, self.row.targets))

    @property
    def is_local_call(self) -> bool:
        return self.instruction.opcode == CALL and self.instruction.src == LOCAL

    @property
    def is_jump(self) -> bool:
        return bool(self.row.targets) and self.instruction.opcode not in (CALL, LDDW)

    @property
    def is_plain_jump(self) -> bool:
        return self.instruction.opcode in (JA, JA32)


@dataclass(frozen=True, slots=True)
class Run:
    """Instructions that follow each other; only the last may go elsewhere. `next`: the slot behind them."""

    slot: int
    steps: Sequence[Step]
    next: int

    @property
    def last(self) -> Step:
        return self.steps[-1]


@dataclass(frozen=True, slots=True)
class Graph:
    """All runs by their first slot. functions: slots that callx may name. returns: slots behind calls of functions."""

    runs: dict[int, Run]
    entry: int
    functions: frozenset[int]
    returns: frozenset[int]


def steps_of(image: Image) -> list[Step]:
    """Return all instructions of a program that was checked."""
    return [Step(*row) for row in iterate_rows(image.code)]


def make_graph(image: Image) -> Graph:
    """Return the graph of a program that was checked."""
    steps = steps_of(image)
    by_slot = {step.slot: step for step in steps}
    called = {step.target for step in steps if step.is_local_call}
    functions = frozenset(called | {slot for step in steps for slot in _named(step) if slot in by_slot})
    returns = {step.behind for step in steps if step.is_local_call or step.instruction.opcode == CALLX}
    leaders = {image.entry} | functions | returns
    for step in steps:
        if step.is_jump:
            leaders |= {step.target, step.behind}
        elif step.instruction.opcode == EXIT:
            leaders.add(step.behind)
    reached = _reached(by_slot, leaders, image.entry, functions | returns)
    return Graph(reached, image.entry, functions & reached.keys(), frozenset(returns & reached.keys()))


def _named(step: Step) -> Iterator[int]:
    """Yield the function whose address a lddw loads."""
    value = step.instruction.imm64
    if step.instruction.opcode == LDDW and value >> REGION_SHIFT == Region.CODE:
        yield value - _CODE


def _reached(
    by_slot: dict[int, Step], leaders: set[int], entry: int, more: frozenset[int] | set[int]
) -> dict[int, Run]:
    """Return the runs that can be reached. `more`: slots that calls and returns go to."""
    runs: dict[int, Run] = {}
    waiting = [entry, *sorted(more)]
    while waiting:
        slot = waiting.pop()
        if slot not in runs and slot in by_slot:
            run = runs[slot] = _run(by_slot, leaders, slot)
            waiting += successors(run)
    return dict(sorted(runs.items()))


def _run(by_slot: dict[int, Step], leaders: set[int], first: int) -> Run:
    steps = [by_slot[first]]
    while not _ends(steps[-1]) and steps[-1].behind not in leaders and steps[-1].behind in by_slot:
        steps.append(by_slot[steps[-1].behind])
    return Run(first, steps, steps[-1].behind)


def _ends(step: Step) -> bool:
    return step.is_jump or step.is_local_call or step.instruction.opcode in (EXIT, CALLX)


def successors(run: Run) -> tuple[int, ...]:
    """Return the slots that follow a run within its function; calls of functions come back behind them."""
    last = run.last
    if last.instruction.opcode == EXIT:
        return ()
    if last.is_local_call:
        return (last.target,)
    if last.is_jump:
        return (last.target,) if last.is_plain_jump else (last.target, run.next)
    return (run.next,)
