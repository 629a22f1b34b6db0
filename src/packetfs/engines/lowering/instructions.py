"""What instructions do that go on behind themselves, whatever a register is and wherever memory lies."""

from __future__ import annotations

from abc import ABC, abstractmethod

from packetfs.engines.lowering.graph import Step
from packetfs.typing import Callable, Final, Generic, Protocol, TypeVar
from packetfs.vm.isa import ATOMIC32, ATOMIC64
from packetfs.vm.slots import LDDW

V = TypeVar("V")
_SIZES: Final = {"b": 1, "h": 2, "w": 4, "dw": 8}


class Computing(Protocol[V]):
    """What instructions do to 64-bit values, as Arithmetic does it to numbers of IR."""

    def unary(self, name: str, value: V) -> V | None: ...
    def binary(self, name: str, bits: int, left: V, right: V) -> V: ...
    def move_signed(self, name: str, value: V) -> V: ...
    def signed(self, value: V, bits: int) -> V: ...
    def condition(self, name: str, bits: int, left: V, right: V) -> V: ...
    def select(self, condition: V, then: V, other: V) -> V: ...


class Lowering(ABC, Generic[V]):
    """A program on its way into code of one shape. V: what a register holds there."""

    def __init__(self, arithmetic: Computing[V]) -> None:
        self._arithmetic = arithmetic

    # what each shape says

    @abstractmethod
    def constant(self, number: int) -> V:
        """Return a number, -2**63 to 2**63 - 1."""

    @abstractmethod
    def register(self, number: int) -> V: ...

    @abstractmethod
    def keep(self, number: int, value: V) -> None:
        """Set a register."""

    @abstractmethod
    def load(self, step: Step, size: int) -> V:
        """Return the bytes at [src + offset], zero-extended."""

    @abstractmethod
    def store(self, step: Step, value: V, size: int) -> None:
        """Store the low bytes of a value at [dst + offset]."""

    @abstractmethod
    def exchange(self, step: Step, change: Callable[[V], V], size: int) -> V:
        """Replace the bytes at [dst + offset] by what `change` makes of them, zero-extended; return what was there."""

    # what instructions do

    def lower(self, step: Step) -> None:
        """Append an instruction that is no jump and no call."""
        instruction, name = step.instruction, step.row.mnemonic
        if instruction.opcode == LDDW:
            value = instruction.imm64
            self.keep(instruction.dst, self.constant(value - (1 << 64) if value >> 63 else value))
        elif instruction.opcode in (ATOMIC32, ATOMIC64):
            self._exchange(step)
        elif name.startswith("ldx"):
            self._load(step)
        elif name.startswith("st"):
            by_register = name.startswith("stx")
            value_of = self.register(instruction.src) if by_register else self.constant(instruction.imm)
            self.store(step, value_of, _SIZES[name.removeprefix("stx" if by_register else "st")])
        else:
            self.keep(instruction.dst, self._computed(step))

    def condition(self, step: Step) -> V:
        """Return whether a conditional jump is taken."""
        name, bits = _width(step.row.mnemonic)
        left = self.register(step.instruction.dst)
        return self._arithmetic.condition(name, bits, left, self._operand(step))

    def _operand(self, step: Step) -> V:
        if "src" in step.row.used:
            return self.register(step.instruction.src)
        return self.constant(step.instruction.imm)

    def _computed(self, step: Step) -> V:
        name, bits = _width(step.row.mnemonic)
        if name.startswith("movsx"):
            return self._arithmetic.move_signed(step.row.mnemonic, self.register(step.instruction.src))
        if name == "mov":
            value = self._operand(step)
            return self._arithmetic.binary(name, bits, value, value)
        own = self.register(step.instruction.dst)
        made = self._arithmetic.unary(step.row.mnemonic, own)
        return made if made is not None else self._arithmetic.binary(name, bits, own, self._operand(step))

    def _load(self, step: Step) -> None:
        """ldxb to ldxdw, and ldxsb to ldxsw, which extend the sign."""
        letters = step.row.mnemonic.removeprefix("ldx")
        size = _SIZES[letters.removeprefix("s")]
        made = self.load(step, size)
        self.keep(step.instruction.dst, self._arithmetic.signed(made, 8 * size) if letters.startswith("s") else made)

    def _exchange(self, step: Step) -> None:
        """Nobody else sees this memory, so an atomic is a load, what it makes of that, and a store."""
        name, bits = _width(step.row.mnemonic.removeprefix("lock ").removeprefix("fetch "))
        operand, expected = self.register(step.instruction.src), self.register(0)

        def change(old: V) -> V:
            if name == "xchg":
                return operand
            if name == "cmpxchg":
                same = self._arithmetic.condition("jeq", bits, old, expected)
                return self._arithmetic.select(same, operand, old)
            return self._arithmetic.binary(name, 64, old, operand)

        old = self.exchange(step, change, bits // 8)
        if name == "cmpxchg":
            self.keep(0, old)
        elif step.row.writes:
            self.keep(step.instruction.src, old)


def _width(mnemonic: str) -> tuple[str, int]:
    """Return the name of an instruction without its width, and its bits."""
    return (mnemonic[:-2], 32) if mnemonic.endswith("32") else (mnemonic, 64)
