"""The code of a program for a block of records: every node, under the mask of the lanes that are there.

Lanes part where a condition varies. From there on each node has a mask, and the first node in order that has lanes is
the next one to run: so lanes that left a loop early wait behind it until all are there.
"""

from __future__ import annotations

from packetfs.engines.lanes.cells import ALL, MASK, ROLLBACK, WORDS, Block, Lifted, Value
from packetfs.engines.lanes.facts import CLOCK, Facts, Node, State, goes_on
from packetfs.engines.lanes.fuel import Fuel
from packetfs.engines.lanes.memory import Memory
from packetfs.engines.lanes.shape import LANES
from packetfs.engines.lowering.graph import Step
from packetfs.engines.lowering.instructions import Lowering
from packetfs.typing import Callable, Final
from packetfs.vm.isa import CALL, CALLX, EXIT, FRAME_POINTER, REGISTERS
from packetfs.vm.layout import REGION_SHIFT, STACK_BYTES, ContextKind, Region

_NOTHING: Final = "zeroinitializer"


class Program(Lowering[Value]):
    """Appends a program to a block's text: from `begin` on to the label `done`, with r0 in its vector."""

    def __init__(self, block: Block, memory: Memory, facts: Facts, done: str) -> None:
        super().__init__(Lifted(block))
        self._block, self._text, self._memory, self._facts = block, block.text, memory, facts
        self.fuel: Final = Fuel(block)
        self._done = done
        text = block.text
        self._labels = {node: text.name("node") for node in facts.nodes}
        self._tries = {node: text.name("try") for node in facts.nodes if node in facts.parted}
        self._masks = {node: text.cell(MASK, "mask") for node in self._tries}
        self._behind = self._following(done)
        self._mask = ALL
        self._node: Node = ()
        self._state: State = ()
        self._after: State = ()

    def _following(self, done: str) -> dict[Node, str]:
        """Return, for each node with a mask, where the next one is that lanes may wait at."""
        behind, label = {}, done
        for node in reversed(self._facts.nodes):
            behind[node] = label
            if node in self._tries or node in self._facts.meetings:
                label = self._way_to(node)
        return behind

    def _way_to(self, node: Node) -> str:
        return self._tries.get(node, self._labels[node])

    def begin(self) -> None:
        """Set registers, masks and counters, and go to the entry. Ends the block."""
        block = self._block
        for mask in self._masks.values():
            block.set(mask, _NOTHING, MASK)
        for cell in block.vectors:
            block.set(cell, _NOTHING, WORDS)
        for number in range(REGISTERS):
            block.set(block.numbers[number], "0")
        block.set(block.numbers[1], self._first_argument())
        block.set(block.numbers[2], block.length)
        block.set(block.numbers[FRAME_POINTER], str(Region.STACK << REGION_SHIFT | STACK_BYTES))
        self.fuel.begin()
        entry = (self._facts.graph.entry,)
        self._state = self._entry_state()
        self._mask = block.everyone
        self._go(entry)

    def _entry_state(self) -> State:
        return tuple(fact._replace(varies=False) for fact in self._facts.at[(self._facts.graph.entry,)])

    def _first_argument(self) -> str:
        data = Region.DATA << REGION_SHIFT | 256
        if self._block.image.context is not ContextKind.RAW:
            return str(Region.CTX << REGION_SHIFT)
        empty = self._text.new(f"icmp eq i64 {self._block.length}, 0")
        return self._text.new(f"select i1 {empty}, i64 0, i64 {data}")

    def emit(self) -> None:
        """Append all nodes."""
        for node in self._facts.nodes:
            self._begin_node(node)
            self._run(node)

    def _begin_node(self, node: Node) -> None:
        text, block = self._text, self._block
        self._node, self._state, self._mask = node, self._facts.at[node], block.everyone
        if node in self._tries:
            text.begin(self._tries[node])
            mask = block.get(self._masks[node], MASK)
            text.branch(block.any(mask), self._labels[node], self._behind[node])
        text.begin(self._labels[node])
        if node in self._tries:
            self._mask = block.get(self._masks[node], MASK)
            block.set(self._masks[node], _NOTHING, MASK)

    @property
    def _parted(self) -> bool:
        return self._node in self._tries

    # registers

    def constant(self, number: int) -> Value:
        return Value(str(number))

    def register(self, number: int) -> Value:
        fact, block = self._state[number], self._block
        if fact.varies:
            return Value(block.get(block.vectors[number], WORDS), lanes=True)
        if fact.value is not None:
            return Value(str(fact.value - (1 << 64) if fact.value >> 63 else fact.value))
        return Value(block.get(block.numbers[number]))

    def keep(self, number: int, value: Value) -> None:
        """Set a register, of which `_after` knows whether it varies then."""
        block = self._block
        if self._after[number].varies:
            block.blend(self._mask if self._parted else ALL, block.splat(value), block.vectors[number])
        else:
            block.set(block.numbers[number], value.text)

    # from node to node

    def _go(self, target: Node) -> None:
        """Hand the lanes of the mask over to a node and go on with the first that has lanes. Ends the block."""
        self._hand_over(target, self._mask)
        waits = self._parted and target > self._node
        self._text.jump(self._behind[self._node] if waits else self._way_to(target))

    def _hand_over(self, target: Node, mask: str) -> None:
        block, wanted = self._block, self._facts.at[target]
        parted = target in self._tries
        for number, fact in enumerate(wanted):
            if fact.varies and not self._state[number].varies:
                value = block.splat(self.register(number))
                apart = parted or target in self._facts.meetings
                block.blend(mask if apart else ALL, value, block.vectors[number])
        if parted:
            waiting = block.get(self._masks[target], MASK)
            block.set(self._masks[target], self._text.new(f"or {MASK} {waiting}, {mask}"), MASK)

    def _run(self, node: Node) -> None:
        run = self._facts.run(node)
        for step in run.steps[:-1]:
            if not goes_on(step):
                self._drop()
                return
            self._step(step, step.slot - run.slot)
        step = run.last
        targets = self._facts.targets(node, self._state)
        ends = self._facts.ends(node)
        if not targets and not ends:
            self._drop()
            return
        jumps = step.is_jump or ends
        calls = step.is_local_call or step.instruction.opcode in (CALLX, EXIT)
        if not jumps and not calls:
            self._step(step, step.slot - run.slot)
        elif calls and not ends:
            self._move(node, step, step.slot - run.slot)
        self.fuel.spend(run.next - run.slot, self._mask, parted=self._parted)
        if ends:
            self._end()
        elif jumps and not step.is_plain_jump:
            self._jump(step, targets)
        else:
            if targets[0][-1] <= step.slot if jumps else self._is_call(step, targets[0]):
                self.fuel.test()
            self._go(targets[0])

    def _is_call(self, step: Step, target: Node) -> bool:
        return step.instruction.opcode != EXIT and len(target) > len(self._node)

    def _drop(self) -> None:
        self._text.jump(ROLLBACK)

    def _end(self) -> None:
        if not self._state[0].varies:
            block = self._block
            mask = self._mask if self._parted else ALL
            block.blend(mask, block.splat(self.register(0)), block.vectors[0])
        self._text.jump(self._behind[self._node] if self._parted else self._done)

    def _jump(self, step: Step, targets: tuple[Node, ...]) -> None:
        block, text = self._block, self._text
        taken, behind = targets
        condition = self.condition(step)
        back = taken[-1] <= step.slot
        if not condition.lanes and not self._parted:
            yes, no = text.name("yes"), text.name("no")
            text.branch(condition.text, yes, no)
            text.begin(yes)
            if back:
                self.fuel.test()
            self._go(taken)
            text.begin(no)
            self._go(behind)
            return
        if condition.lanes:
            goes = block.both(self._mask, condition.text)
        else:
            goes = text.new(f"select i1 {condition.text}, {MASK} {self._mask}, {MASK} zeroinitializer")
        stays = block.without(self._mask, goes)
        if back:
            self.fuel.test()
        self._hand_over(taken, goes)
        self._hand_over(behind, stays)
        first = min(targets)
        if back and self._parted:
            text.branch(block.any(goes), self._labels[taken], self._behind[self._node])
        elif not self._parted:
            text.jump(self._way_to(first))
        else:
            text.jump(self._behind[self._node])

    # calls: the callee's r6 to r9 are ours, saved behind the registers

    def _move(self, node: Node, step: Step, cost: int) -> None:
        self._after, depth = self._facts.leave(node, self._state), len(node) - 1
        if step.instruction.opcode == EXIT:
            saved = REGISTERS + 4 * (depth - 1)
            moves = [(saved + i, 6 + i) for i in range(4)]
        elif self._is_call(step, self._facts.targets(node, self._state)[0]):
            moves = [(6 + i, REGISTERS + 4 * depth + i) for i in range(4)]
        else:
            self.keep(0, self._answer(self._state[step.instruction.dst].value or 0, cost))
            self._state = self._after
            return
        values = [(to, self.register(number)) for number, to in moves]
        for to, value in values:
            self.keep(to, value)
        self._state = self._after

    def _answer(self, number: int, cost: int) -> Value:
        """Return what a helper does. The time is what was spent, also by records in front: only one lane knows it."""
        block, text = self._block, self._text
        if number != CLOCK:
            return Value("0")
        alone = text.new(f"bitcast {MASK} {block.everyone} to i{LANES}")
        less = text.new(f"sub i{LANES} {alone}, 1")
        more = text.new(f"and i{LANES} {alone}, {less}")
        text.unless(text.new(f"icmp ne i{LANES} {more}, 0"), ROLLBACK)
        first = text.new(f"add i64 {block.fields.load('%vm', 'executed')}, {cost}")
        return Value(text.new(f"add i64 {first}, {self.fuel.of_only()}"))

    # one instruction that goes on behind itself

    def _step(self, step: Step, cost: int) -> None:
        self._after = self._facts.advance(step, self._state, parted=self._parted)
        if step.instruction.opcode == CALL:
            self.keep(0, self._answer(step.instruction.imm, cost))
        else:
            self.lower(step)
        self._state = self._after

    def load(self, step: Step, size: int) -> Value:
        source = step.instruction.src
        at = (self.register(source), self._state[source], step.instruction.offset)
        return self._memory.load(*at, size, self._mask)

    def store(self, step: Step, value: Value, size: int) -> None:
        to = step.instruction.dst
        at = (self.register(to), self._state[to], step.instruction.offset)
        self._memory.store(*at, value, size, self._mask)

    def exchange(self, step: Step, change: Callable[[Value], Value], size: int) -> Value:
        to = step.instruction.dst
        at = (self.register(to), self._state[to], step.instruction.offset)
        old = self._memory.load(*at, size, self._mask)
        self._memory.store(*at, change(old), size, self._mask)
        return old
