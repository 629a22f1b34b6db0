"""The code of a program for one record: every run of its graph, one instruction after the other."""

from __future__ import annotations

from packetfs.engines.compiled.calls import Calls
from packetfs.engines.compiled.frame import Frame
from packetfs.engines.compiled.kinds import NUMBER, Kind, State, advance, find_kinds, is_exact
from packetfs.engines.compiled.memory import Memory
from packetfs.engines.lowering.graph import Graph, Run, Step, make_graph
from packetfs.engines.lowering.instructions import Lowering
from packetfs.typing import Callable, Final
from packetfs.vm.isa import CALL, CALLX, EXIT, FRAME_POINTER, REGISTERS
from packetfs.vm.layout import HEADROOM, REGION_SHIFT, STACK_BYTES, ContextKind, Region

_UNKNOWN: Final[State] = tuple(Kind(Region.STACK) if r == FRAME_POINTER else NUMBER for r in range(REGISTERS))


class Program(Lowering[str]):
    """Appends the program to the frame's text: from `begin` on to the block `done`, with r0 in its cell."""

    def __init__(self, frame: Frame, done: str) -> None:
        super().__init__(frame.arithmetic)
        self._frame = frame
        self._text = frame.text
        self._graph: Final[Graph] = make_graph(frame.image)
        self._kinds = find_kinds(self._graph, frame.image.context)
        self._labels = {slot: frame.text.name(f"slot{slot}_") for slot in self._graph.runs}
        self._memory = Memory(frame, exact=is_exact(self._graph))
        self._begun, self._kinds_now = 0, _UNKNOWN
        self._calls = Calls(frame, self._memory, self._graph, self._labels, done)

    def begin(self) -> None:
        """Set registers and counters for the record, and go to the program's entry. Ends the block."""
        text, frame = self._text, self._frame
        for number in range(REGISTERS):
            frame.keep(number, "0")
        frame.keep(1, self._first_argument())
        frame.keep(2, frame.length)
        frame.keep(FRAME_POINTER, str(Region.STACK << REGION_SHIFT | STACK_BYTES))
        frame.set(frame.spent, "0")
        frame.set(frame.low, str(STACK_BYTES))
        frame.set(frame.depth, "0", "i32")
        text.jump(self._labels[self._graph.entry])

    def _first_argument(self) -> str:
        frame, data = self._frame, Region.DATA << REGION_SHIFT | HEADROOM
        if frame.image.context is not ContextKind.RAW:
            return str(Region.CTX << REGION_SHIFT)
        empty = self._text.new(f"icmp eq i64 {frame.length}, 0")
        return self._text.new(f"select i1 {empty}, i64 0, i64 {data}")

    def emit(self) -> None:
        """Append all runs."""
        for slot, run in self._graph.runs.items():
            self._text.begin(self._labels[slot])
            self._run(run, self._kinds.get(slot, _UNKNOWN))

    def _run(self, run: Run, kinds: State) -> None:
        self._begun, self._kinds_now = run.slot, kinds
        for step in run.steps[:-1]:
            self._step(step)
            self._kinds_now = advance(step, self._kinds_now, self._frame.image.context)
        self._last(run)

    def _step(self, step: Step) -> None:
        if step.instruction.opcode == CALL:
            self._calls.call_helper(step, self._kinds_now, self._cost(step))
        else:
            self.lower(step)

    def _last(self, run: Run) -> None:
        """Append the last step of a run, and where it goes on."""
        step, frame = run.last, self._frame
        opcode = step.instruction.opcode
        if step.is_local_call:
            self._calls.call_local(step, str(step.target), self._cost(step))
        elif opcode == CALLX:
            self._calls.call_by_register(step, frame.register(step.instruction.dst), self._cost(step))
        else:
            jumps = step.is_jump or opcode == EXIT
            if not jumps:
                self._step(step)
            frame.spend(run.next - run.slot)
            if opcode == EXIT:
                self._calls.leave()
            elif jumps:
                self._jump(step, run.next)
            else:
                self._text.jump(self._labels[run.next])

    def _jump(self, step: Step, behind: int) -> None:
        text = self._text
        taken = text.name("taken")
        if step.is_plain_jump:
            text.jump(taken)
        else:
            text.branch(self.condition(step), taken, self._labels[behind])
        text.begin(taken)
        if step.target < step.behind:
            self._calls.test_fuel(step.target)
        text.jump(self._labels[step.target])

    # registers and memory

    def constant(self, number: int) -> str:
        return str(number)

    def register(self, number: int) -> str:
        return self._frame.register(number)

    def keep(self, number: int, value: str) -> None:
        self._frame.keep(number, value)

    def load(self, step: Step, size: int) -> str:
        source = step.instruction.src
        return self._memory.load(step, self._kinds_now[source], self._address(step, source), size, self._cost(step))

    def store(self, step: Step, value: str, size: int) -> None:
        to = step.instruction.dst
        self._memory.store(step, self._kinds_now[to], self._address(step, to), value, size, self._cost(step))

    def exchange(self, step: Step, change: Callable[[str], str], size: int) -> str:
        to = step.instruction.dst
        return self._memory.exchange(step, self._kinds_now[to], self._address(step, to), change, size, self._cost(step))

    def _address(self, step: Step, register: int) -> str:
        return self._text.new(f"add i64 {self.register(register)}, {step.instruction.offset}")

    def _cost(self, step: Step) -> int:
        """Return the slots of the run before a step, which are not counted yet."""
        return step.slot - self._begun
