"""eBPF to LLVM IR, instruction by instruction, with the meaning of vm/interpreter.py: result, faults and fuel, to the
slot. Blocks are straight runs; registers are variables that LLVM keeps where it likes."""

from __future__ import annotations

from packetfs.engines.ir import calls
from packetfs.engines.ir.function import ENDS, Function
from packetfs.engines.ir.helpers import answered
from packetfs.engines.lowering.graph import Step
from packetfs.engines.lowering.instructions import Lowering
from packetfs.typing import Callable
from packetfs.vm.image import Image


def called(image: Image) -> frozenset[int]:
    """Return the numbers of the helpers that the IR of a program calls: with callx, all that there are."""
    function = Function(0, image)
    named = frozenset(step.instruction.imm for step in function.steps if step.row.mnemonic == "call")
    return named | answered(image) if function.indirect else named


def lower(number: int, image: Image) -> str:
    """Return the IR function `@programNUMBER(vm, r1, r2)`: r0, or 0 where the state tells of a fault."""
    f = Function(number, image)
    f.enter()
    Program(f).emit()
    calls.write_return(f)
    if f.indirect:
        calls.write_callx(f, answered(image))
    f.leave()
    head = f"define internal i64 @program{number}(ptr %vm, i64 %a1, i64 %a2) {{\n"
    return head + f.text.lines() + "}\n"


class Program(Lowering[str]):
    """Appends a program to a function."""

    def __init__(self, f: Function) -> None:
        super().__init__(f.arithmetic)
        self._f = f

    def emit(self) -> None:
        """Append all instructions."""
        f, runs = self._f, False
        for step in f.steps:
            if step.slot in f.begins:
                if runs:
                    f.pay(step.slot)
                    f.text.jump(f"s{step.slot}")
                f.text.begin(f"s{step.slot}")
                f.begin = step.slot
            runs = step.row.mnemonic not in ENDS and not step.is_jump
            if runs:
                self.lower(step)
            else:
                self._control(step)

    # registers and memory

    def constant(self, number: int) -> str:
        return str(number)

    def register(self, number: int) -> str:
        return self._f.take(number)

    def keep(self, number: int, value: str) -> None:
        self._f.give(number, value)

    def load(self, step: Step, size: int) -> str:
        return self._fetch(self._find(step, step.instruction.src, size, store=False), size)

    def store(self, step: Step, value: str, size: int) -> None:
        self._put(self._find(step, step.instruction.dst, size, store=True), value, size)

    def exchange(self, step: Step, change: Callable[[str], str], size: int) -> str:
        pointer = self._find(step, step.instruction.dst, size, store=True)
        old = self._fetch(pointer, size)
        self._put(pointer, change(old), size)
        return old

    def _find(self, step: Step, register: int, size: int, *, store: bool) -> str:
        return self._f.find(step.slot, register, step.instruction.offset, size, store=store)

    def _fetch(self, pointer: str, size: int) -> str:
        return self._f.arithmetic.extend(self._f.text.fetch(pointer, 8 * size), 8 * size)

    def _put(self, pointer: str, value: str, size: int) -> None:
        self._f.text.put(pointer, self._f.arithmetic.cut(value, 8 * size), 8 * size)

    # control

    def _control(self, step: Step) -> None:
        f, slot = self._f, step.slot
        match step.row.mnemonic:
            case "exit":
                f.pay(slot + 1)
                f.text.jump("return")
            case "call":
                calls.call_helper(f, f.site(slot), step.instruction.imm)
            case "call local":
                calls.call_local(f, f.site(slot), str(step.target), f"s{step.target}")
            case "callx":
                calls.call_register(f, f.site(slot), f.take(step.instruction.dst))
            case "ja" | "ja32":
                f.pay(slot + 1)
                self._go(step)
            case _:
                self._branch(step)

    def _branch(self, step: Step) -> None:
        f, holds = self._f, self.condition(step)
        f.pay(step.behind)
        taken, not_taken = f.split(holds, "taken")
        f.text.begin(taken)
        self._go(step)
        f.text.begin(not_taken)
        f.text.jump(f"s{step.behind}")

    def _go(self, step: Step) -> None:
        """Go where a jump leads; to its own slot or before it only with fuel."""
        if step.target <= step.slot:
            self._f.test(str(step.target))
        self._f.text.jump(f"s{step.target}")
