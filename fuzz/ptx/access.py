"""Loads, stores and atomics of PTX, as functions of a frame."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, and_, or_, xor
from typing import Final

from fuzz.ptx.frame import Frame, taker, target
from fuzz.ptx.numbers import signed
from fuzz.ptx.steps import Step, bits_of
from fuzz.ptx.syntax import Address, Function, Group, Instruction, Operand, Refused

_SPACES: Final = ("param", "global", "local", "const")
_ORDER: Final = ("volatile", "weak", "relaxed", "acquire", "release", "acq_rel", "cta", "gpu", "sys", "nc")
"""Words that say what other lanes see, and when; one lane sees its own accesses in order."""


def _shape(i: Instruction) -> tuple[str, int, str, tuple[str, ...]]:
    """Return space, elements, type and what else an opcode says."""
    *words, kind = i.opcode[1:]
    rest = [word for word in words if word not in _ORDER]
    space = next((word for word in rest if word in _SPACES), "")
    count = next((int(word[1:]) for word in rest if word in ("v2", "v4")), 1)
    return space, count, kind, tuple(word for word in rest if word not in (space, f"v{count}"))


def _access(i: Instruction, memory: int) -> tuple[str, str, int, Address, tuple[Operand, ...]]:
    """Return space, type, bytes, address and the elements of a ld or st; memory: which operand is the address."""
    space, count, kind, other = _shape(i)
    elements = i.operands[1 - memory]
    parts = elements.parts if isinstance(elements, Group) else (elements,)
    where = i.operands[memory]
    if other or len(i.operands) != 2 or len(parts) != count or not isinstance(where, Address):
        raise Refused(str(i))
    return space, kind, bits_of(kind) // 8, where, parts


def load(function: Function, i: Instruction) -> Step:
    """ld: what is narrower than its register is extended, with its sign where the type has one."""
    space, kind, size, where, parts = _access(i, 1)
    names = [target(function, part, 8 * size, wider=True) for part in parts]

    def step(frame: Frame) -> None:
        at = 0 if space == "param" else _aligned(frame.address(where, space), size * len(names))
        for number, (name, mask) in enumerate(names):
            value = _parameter(frame, where, number * size, size) if space == "param" else (
                frame.lane.memory.load(at + number * size, size)
            )  # fmt: skip
            frame.values[name] = (signed(value, 8 * size) if kind[0] == "s" else value) & mask

    return step


def _aligned(address: int, size: int) -> int:
    if address % size:
        raise Refused(f"{size} bytes at {address:#x} are not aligned")
    return address


def _parameter(frame: Frame, where: Address, further: int, size: int) -> int:
    data, at = frame.parameter(Address(where.base, where.offset + further), size)
    return int.from_bytes(data[at : at + size], "little")


def store(function: Function, i: Instruction) -> Step:
    """st: the low bits of what may be a wider register."""
    space, _, size, where, parts = _access(i, 0)
    takes = [taker(function, part, 8 * size, wider=True) for part in parts]

    def to_parameter(frame: Frame) -> None:
        for number, take in enumerate(takes):
            data, at = frame.parameter(Address(where.base, where.offset + number * size), size)
            data[at : at + size] = (take(frame.values) & (1 << 8 * size) - 1).to_bytes(size, "little")

    def step(frame: Frame) -> None:
        at = _aligned(frame.address(where, space), size * len(takes))
        for number, take in enumerate(takes):
            frame.lane.memory.store(at + number * size, size, take(frame.values))

    return to_parameter if space == "param" else step


_CHANGES: Final[dict[str, Callable[[int, int], int]]] = {
    "add": add, "and": and_, "or": or_, "xor": xor, "exch": lambda _, new: new, "min": min, "max": max,
}  # fmt: skip


def atomic(function: Function, i: Instruction) -> Step:
    """atom: the old value goes to a register. red: it does not."""
    space, _, kind, (operation, *other) = _shape(i)
    size = bits_of(kind) // 8
    returned, operands = i.opcode[0] == "atom", list(i.operands)
    name, mask = target(function, operands.pop(0), 8 * size) if returned else ("", 0)
    where, *sources = operands
    takes = [taker(function, source, 8 * size) for source in sources]
    change = _change(operation, kind)
    if other or space == "param" or not isinstance(where, Address) or len(takes) != 1 + (operation == "cas"):
        raise Refused(str(i))

    def step(frame: Frame) -> None:
        memory, at = frame.lane.memory, frame.address(where, space)
        old = memory.load(at, size)
        memory.store(at, size, change(old, *(take(frame.values) for take in takes)))
        if returned:
            frame.values[name] = old & mask

    return step


def _change(operation: str, kind: str) -> Callable[..., int]:
    """Return what an atomic stores, of the old value and its operands."""
    if operation == "cas":
        return lambda old, expected, new: new if old == expected else old
    change = _CHANGES.get(operation)
    if change is None:
        raise Refused(f"atom.{operation}")
    if kind[0] != "s":
        return change
    bits, plain = bits_of(kind), change
    return lambda old, new: plain(signed(old, bits), signed(new, bits))
