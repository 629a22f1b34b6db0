"""The code of a program for one record: every run of its graph, one instruction after the other."""

from __future__ import annotations

from packetfs.engines.compiled.calls import Calls
from packetfs.engines.compiled.frame import Frame
from packetfs.engines.compiled.graph import Graph, Run, Step, make_graph
from packetfs.engines.compiled.kinds import NUMBER, Kind, State, advance, find_kinds, is_exact
from packetfs.engines.compiled.memory import Memory
from packetfs.typing import Final
from packetfs.vm.isa import ATOMIC32, ATOMIC64, CALL, CALLX, EXIT, FRAME_POINTER, REGISTERS
from packetfs.vm.layout import HEADROOM, REGION_SHIFT, STACK_BYTES, ContextKind, Region
from packetfs.vm.slots import LDDW

_SIZES: Final = {"b": 1, "h": 2, "w": 4, "dw": 8}
_UNKNOWN: Final[State] = tuple(Kind(Region.STACK) if r == FRAME_POINTER else NUMBER for r in range(REGISTERS))


class Program:
    """Appends the program to the frame's text: from `begin` on to the block `done`, with r0 in its cell."""

    def __init__(self, frame: Frame, done: str) -> None:
        self._frame = frame
        self._text = frame.text
        self._graph: Final[Graph] = make_graph(frame.image)
        self._kinds = find_kinds(self._graph, frame.image.context)
        self._labels = {slot: frame.text.name(f"slot{slot}_") for slot in self._graph.runs}
        self._memory = Memory(frame, exact=is_exact(self._graph))
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
        for step in run.steps[:-1]:
            self._step(step, kinds, step.slot - run.slot)
            kinds = advance(step, kinds, self._frame.image.context)
        self._last(run, kinds)

    def _last(self, run: Run, kinds: State) -> None:
        """Append the last step of a run, and where it goes on."""
        step, cost, frame = run.last, run.last.slot - run.slot, self._frame
        opcode = step.instruction.opcode
        if step.is_local_call:
            self._calls.call_local(step, str(step.target), cost)
        elif opcode == CALLX:
            self._calls.call_by_register(step, frame.register(step.instruction.dst), cost)
        else:
            jumps = step.is_jump or opcode == EXIT
            if not jumps:
                self._step(step, kinds, cost)
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
            text.branch(self._condition(step), taken, self._labels[behind])
        text.begin(taken)
        if step.target < step.behind:
            self._calls.test_fuel(step.target)
        text.jump(self._labels[step.target])

    def _condition(self, step: Step) -> str:
        name, bits = _width(step.row.mnemonic)
        left = self._frame.register(step.instruction.dst)
        return self._frame.arithmetic.condition(name, bits, left, self._operand(step))

    def _operand(self, step: Step) -> str:
        if "src" in step.row.used:
            return self._frame.register(step.instruction.src)
        return str(step.instruction.imm)

    # one instruction that goes on behind itself

    def _step(self, step: Step, kinds: State, cost: int) -> None:
        instruction, row, frame = step.instruction, step.row, self._frame
        if instruction.opcode == LDDW:
            value = instruction.imm64
            frame.keep(instruction.dst, str(value - (1 << 64) if value >> 63 else value))
        elif instruction.opcode == CALL:
            self._calls.call_helper(step, kinds, cost)
        elif instruction.opcode in (ATOMIC32, ATOMIC64):
            self._atomic(step, kinds, cost)
        elif row.mnemonic.startswith(("ldx", "st")):
            self._access(step, kinds, cost)
        else:
            self._compute(step)

    def _compute(self, step: Step) -> None:
        self._frame.keep(step.instruction.dst, self._computed(step))

    def _computed(self, step: Step) -> str:
        frame, name = self._frame, step.row.mnemonic
        if name.startswith("movsx"):
            return frame.arithmetic.move_signed(name, frame.register(step.instruction.src))
        own = frame.register(step.instruction.dst)
        base, bits = _width(name)
        made = frame.arithmetic.unary(name, own)
        return made if made is not None else frame.arithmetic.binary(base, bits, own, self._operand(step))

    def _access(self, step: Step, kinds: State, cost: int) -> None:
        instruction, name, frame = step.instruction, step.row.mnemonic, self._frame
        if name.startswith("ldx"):
            signed = name.startswith("ldxs")
            size = _SIZES[name.removeprefix("ldxs" if signed else "ldx")]
            address = self._address(instruction.src, instruction.offset)
            made = self._memory.load(step, kinds[instruction.src], address, size, cost)
            if signed:
                cut = frame.arithmetic.cut(made, 8 * size)
                made = frame.arithmetic.extend(cut, 8 * size, signed=True)
            frame.keep(instruction.dst, made)
            return
        by_register = name.startswith("stx")
        size = _SIZES[name.removeprefix("stx" if by_register else "st")]
        value = frame.register(instruction.src) if by_register else str(instruction.imm)
        address = self._address(instruction.dst, instruction.offset)
        self._memory.store(step, kinds[instruction.dst], address, value, size, cost)

    def _atomic(self, step: Step, kinds: State, cost: int) -> None:
        instruction, frame = step.instruction, self._frame
        address = self._address(instruction.dst, instruction.offset)
        operand, expected = frame.register(instruction.src), frame.register(0)
        name, old = self._memory.atomic(step, kinds[instruction.dst], address, operand, expected, cost)
        if name == "cmpxchg":
            frame.keep(0, old)
        elif step.row.writes:
            frame.keep(instruction.src, old)

    def _address(self, register: int, offset: int) -> str:
        return self._text.new(f"add i64 {self._frame.register(register)}, {offset}")


def _width(mnemonic: str) -> tuple[str, int]:
    """Return the name of an instruction without its width, and its bits."""
    return (mnemonic[:-2], 32) if mnemonic.endswith("32") else (mnemonic, 64)
