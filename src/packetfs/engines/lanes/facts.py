"""What is the same in all lanes: which registers, and at which nodes all lanes arrive together.

The record's address is the same for all records, so pointers, loop counters and the checks of both mostly are one
number. What is loaded varies; what is computed under a condition that varies does too, as lanes then part.
"""

from __future__ import annotations

from itertools import accumulate

from packetfs.engines.lowering.graph import Graph, Run, Step
from packetfs.typing import Final, Iterable, NamedTuple
from packetfs.vm.image import Image
from packetfs.vm.isa import ATOMIC32, ATOMIC64, CALL, CALLX, EXIT, FRAME_POINTER, REGISTERS
from packetfs.vm.layout import FRAME_BYTES, FRAMES, HEADROOM, REGION_SHIFT, STACK_BYTES, ContextKind, Region
from packetfs.vm.slots import LDDW

DATA: Final = Region.DATA << REGION_SHIFT | HEADROOM
STACK: Final = Region.STACK << REGION_SHIFT
CONTEXT: Final = Region.CTX << REGION_SHIFT
CODE: Final = Region.CODE << REGION_SHIFT
CLOCK: Final = 5
PROCESSOR: Final = 8
NODES_MAX: Final = 400
"""More than this, calls in calls counted each time, is not worth a translation."""
_WORD: Final = (1 << 64) - 1
_SAVED: Final = range(6, 10)
_FIELDS: Final = {ContextKind.PACKETFS: (8, 0, 16, 8), ContextKind.XDP: (4, 0, 8, 4), ContextKind.RAW: (0, 0, 0, 0)}
"""Bytes of a pointer; where data, data_meta and data_end are."""

Node = tuple[int, ...]
"""Slots of the calls that led here, and the slot of the run: in their order callees lie between call and return."""


class Fact(NamedTuple):
    """varies: lanes differ. value: the number, if it is known. region: where it points to, a guess."""

    varies: bool = False
    value: int | None = None
    region: Region | None = None


VARIES: Final = Fact(True)
State = tuple[Fact, ...]
"""Of the registers, and behind them of r6 to r9 as each caller saved them."""


class TooLarge(Exception):
    """A program has more nodes than are worth it."""


def constant(value: int) -> Fact:
    region = value >> REGION_SHIFT
    return Fact(value=value & _WORD, region=Region(region) if 0 < region < len(Region) else None)


class Facts:
    """The facts at the beginning of each node, in order. `parted`: nodes that lanes may reach one by one. `meetings`:
    those where lanes that had parted are together again, all of them."""

    def __init__(self, graph: Graph, image: Image, *, known_length: bool) -> None:
        self.graph = graph
        self.kind = image.context
        self.meetings: frozenset[Node] = frozenset()
        self._entry: Node = (graph.entry,)
        self._spread(known_length)
        before, meetings = self._ways, find_meetings(self._entry, self._ways, self._ends) & self.parted
        if meetings:
            self.meetings = meetings
            self._spread(known_length)
        if any(not set(targets) <= set(before.get(node, ())) for node, targets in self._ways.items()):
            self.meetings = frozenset()  # more is known now, and so more nodes are reached: too rare to go on
            self._spread(known_length)
        self.nodes = sorted(self.at)

    def _spread(self, known_length: bool) -> None:
        """Find the facts of all nodes that can be reached, from the entry on."""
        self.at: dict[Node, State] = {self._entry: self._first(known_length)}
        self.parted: set[Node] = set()
        self._ways: dict[Node, tuple[Node, ...]] = {}
        self._ends: set[Node] = set()
        waiting = [self._entry]
        while waiting:
            node = waiting.pop()
            after, targets = self._through(node)
            self._ways[node] = targets
            if self.ends(node):
                self._ends.add(node)
            parts = node in self.parted or self._varying(node)
            waiting += [target for target in targets if self._reach(target, after, parts=parts)]
            if len(self.at) > NODES_MAX:
                raise TooLarge

    def _first(self, known_length: bool) -> State:
        record = constant(DATA) if known_length else Fact(region=Region.DATA)
        facts = [constant(0)] * REGISTERS
        facts[1] = record if self.kind is ContextKind.RAW else constant(CONTEXT)
        facts[2] = Fact()
        facts[FRAME_POINTER] = constant(STACK | STACK_BYTES)
        return tuple(facts)

    def _reach(self, node: Node, state: State, *, parts: bool) -> bool:
        """Add what is known on one way to a node; tell whether that is news."""
        known, parts = self.at.get(node), parts and node not in self.meetings
        joined = state if known is None else tuple(map(_join, known, state))
        news = joined != known or (parts and node not in self.parted)
        self.at[node] = joined
        if parts:
            self.parted.add(node)
        return news

    def _through(self, node: Node) -> tuple[State, tuple[Node, ...]]:
        run, state = self.run(node), self.at[node]
        for step in run.steps[:-1]:
            state = self.advance(step, state, parted=node in self.parted)
            if not goes_on(step):
                return state, ()
        targets = self.targets(node, state)
        return self.leave(node, state), targets

    def _varying(self, node: Node) -> bool:
        """Tell whether lanes part at the end of a node."""
        run, state = self.run(node), self.at[node]
        if not run.last.is_jump or run.last.is_plain_jump:
            return False
        for step in run.steps[:-1]:
            state = self.advance(step, state, parted=node in self.parted)
        return any(fact.varies for fact in operands(run.last, state))

    def run(self, node: Node) -> Run:
        return self.graph.runs[node[-1]]

    def ends(self, node: Node) -> bool:
        """Tell whether the record is over behind a node."""
        return self.run(node).last.instruction.opcode == EXIT and len(node) == 1

    def targets(self, node: Node, state: State) -> tuple[Node, ...]:
        """Return where the last step of a node goes, with the facts before it; nowhere is the end, or the long way."""
        run, calls = self.run(node), node[:-1]
        last = run.last
        if last.instruction.opcode == EXIT:
            return ((*calls[:-1], calls[-1] + 1),) if calls else ()
        if last.is_local_call or last.instruction.opcode == CALLX:
            callee = last.target if last.is_local_call else self.named(last, state)
            if callee is None or len(calls) == FRAMES - 1:
                return ()
            return ((*node[:-1], run.next),) if callee < 0 else ((*calls, last.slot, callee),)
        if last.is_jump:
            taken = (*calls, last.target)
            return (taken,) if last.is_plain_jump else (taken, (*calls, run.next))
        return ((*calls, run.next),) if goes_on(last) else ()

    def named(self, step: Step, state: State) -> int | None:
        """Return the slot of the function that callx calls, -1 - number for a helper, None if it is not known."""
        value = state[step.instruction.dst].value
        if value in (CLOCK, PROCESSOR):
            return -1 - value
        slot = -1 if value is None else value - CODE
        return slot if slot in self.graph.functions else None

    def leave(self, node: Node, state: State) -> State:
        """Return the facts behind the last step of a node, for calls those in the callee."""
        step, parted, depth = self.run(node).last, node in self.parted, len(node) - 1
        opcode = step.instruction.opcode
        callee = self.named(step, state) if opcode == CALLX else None
        if step.is_local_call or (callee is not None and callee >= 0):
            saved = state[: REGISTERS + 4 * depth] + tuple(_under(state[r], parted=parted) for r in _SAVED)
            return _with(saved, FRAME_POINTER, constant(STACK | STACK_BYTES - FRAME_BYTES * (depth + 1)))
        if opcode == EXIT and depth:
            saved = state[REGISTERS + 4 * (depth - 1) : REGISTERS + 4 * depth]
            back = (*state[:6], *(_under(fact, parted=parted) for fact in saved), state[10])
            back += state[REGISTERS : REGISTERS + 4 * (depth - 1)]
            return _with(back, FRAME_POINTER, constant(STACK | STACK_BYTES - FRAME_BYTES * (depth - 1)))
        if callee is not None:
            return _with(state, 0, _under(helper(-1 - callee), parted=parted))
        return self.advance(step, state, parted=parted)

    def advance(self, step: Step, state: State, *, parted: bool) -> State:
        """Return the facts behind a step that goes on behind itself."""
        instruction = step.instruction
        if instruction.opcode == CALL:
            return state if step.is_local_call else _with(state, 0, _under(helper(instruction.imm), parted=parted))
        if instruction.opcode in (ATOMIC32, ATOMIC64):
            state = _with(state, 0, VARIES) if "cmpxchg" in step.row.mnemonic else state
            return _with(state, instruction.src, VARIES) if step.row.writes else state
        if not step.row.writes:
            return state
        return _with(state, instruction.dst, _under(self._made(step, state), parted=parted))

    def _made(self, step: Step, state: State) -> Fact:
        instruction, name = step.instruction, step.row.mnemonic
        own, other = state[instruction.dst], state[min(instruction.src, REGISTERS - 1)]
        if instruction.opcode == LDDW:
            return constant(instruction.imm64)
        if name.startswith("ldx"):
            return self._loaded(other, instruction.offset, name)
        by_register = "src" in step.row.used
        second = other if by_register else constant(instruction.imm & _WORD)
        if name == "mov":
            return second
        varies = any(fact.varies for fact in operands(step, state))
        if name in ("add", "sub"):
            if own.value is not None and second.value is not None:
                return constant(own.value + (second.value if name == "add" else -second.value) & _WORD)
            regions = {own.region, second.region} - {None} if by_register else {own.region}
            return Fact(varies, region=regions.pop() if len(regions) == 1 else None)
        return Fact(varies)

    def _loaded(self, base: Fact, offset: int, name: str) -> Fact:
        at = -1 if base.value is None else base.value + offset - CONTEXT
        size, data, meta, end = _FIELDS[self.kind]
        if not 0 <= at < 64:
            return VARIES
        if name == ("ldxdw" if size == 8 else "ldxw") and at in (data, meta, end):
            return Fact(region=Region.DATA) if at == end else constant(DATA)
        return Fact(varies=self.kind is ContextKind.PACKETFS and 16 < at < 40)


def find_meetings(entry: Node, ways: dict[Node, tuple[Node, ...]], ends: set[Node]) -> frozenset[Node]:
    """Return the nodes that every lane comes by, once, before any lane is behind it in their order.

    Nodes run in order while lanes wait at them. So all have come when none can pass by, end before, or come back.
    """
    order = {node: at for at, node in enumerate(sorted(ways))}
    passed = [0] * (len(order) + 1)
    for node, targets in ways.items():
        here = order[node]
        for there in [order[target] for target in targets] + [len(order)] * (node in ends):
            first, behind = (here + 1, there) if there > here else (there, here + 1)
            passed[first] += 1
            passed[behind] -= 1
    passing = list(accumulate(passed))
    return frozenset(node for node, at in order.items() if not passing[at] and node > entry)


def _join(a: Fact, b: Fact) -> Fact:
    if a == b:
        return a
    value = a.value if a.value == b.value else None
    return Fact(a.varies or b.varies, value, a.region if a.region == b.region else None)


def _under(fact: Fact, *, parted: bool) -> Fact:
    """What some lanes write alone varies."""
    return Fact(True, None, fact.region) if parted else fact


def _with(state: Iterable[Fact], number: int, fact: Fact) -> State:
    made = list(state)
    made[number] = fact
    return tuple(made)


def helper(number: int) -> Fact:
    """Return the fact of what a helper answers."""
    return constant(0) if number == PROCESSOR else VARIES


def goes_on(step: Step) -> bool:
    """Tell whether lanes do this step at all: of the helpers they have those without traces."""
    return step.instruction.opcode != CALL or step.is_local_call or step.instruction.imm in (CLOCK, PROCESSOR)


def operands(step: Step, state: State) -> tuple[Fact, ...]:
    """Return the facts of the registers that a step reads."""
    used = step.row.used
    named = (("dst", step.instruction.dst), ("src", step.instruction.src))
    return tuple(state[number] for name, number in named if name in used and not (name == "dst" and _moves(step)))


def _moves(step: Step) -> bool:
    return step.row.mnemonic.startswith("mov")
