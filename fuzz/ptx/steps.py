"""Instructions as functions of a frame: computing, moving, converting. Loads, stores and calls stand beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from fuzz.ptx.frame import Frame, Take, Values, taker, target, width
from fuzz.ptx.memory import BASES
from fuzz.ptx.numbers import Apply, convert, formula
from fuzz.ptx.syntax import Function, Group, Instruction, Operand, Refused, Register, Symbol

Step: TypeAlias = Callable[[Frame], int | None]
"""Executes an instruction; returns where to go on, or None for the next one."""
Make: TypeAlias = Callable[[Function, Instruction], Step]
RETURN: Final = -1


def bits_of(kind: str) -> int:
    """Return the bits of an instruction's type."""
    if kind[0] not in "bsu" or kind[1:] not in ("8", "16", "32", "64"):
        raise Refused(f"type .{kind}")
    return int(kind[1:])


def compute(function: Function, i: Instruction) -> Step | None:
    """Return the step of an instruction that computes from registers; None when it is not of that kind."""
    found = formula(i.opcode)
    if found is None:
        return None
    if len(i.operands) != len(found.sources) + 1:
        raise Refused(f"{i} has {len(i.operands)} operands")
    name, mask = target(function, i.operands[0], found.result)
    takes = [taker(function, operand, bits) for operand, bits in zip(i.operands[1:], found.sources, strict=True)]
    return _step_of(name, mask, found.apply, takes)


def _step_of(name: str, mask: int, apply: Apply, takes: list[Take]) -> Step:
    if len(takes) == 2:
        first, second = takes

        def of_two(frame: Frame) -> None:
            values = frame.values
            values[name] = apply(first(values), second(values)) & mask

        return of_two

    def of_any(frame: Frame) -> None:
        frame.values[name] = apply(*(take(frame.values) for take in takes)) & mask

    return of_any


# mov


def move(function: Function, i: Instruction) -> Step:
    """mov: a register, a number, an address, a special register; or the parts of a register together or apart."""
    to, source = i.operands
    if isinstance(to, Group):
        return _apart(function, to, source)
    bits = 1 if i.opcode[-1] == "pred" else bits_of(i.opcode[-1])
    name, _ = target(function, to, bits)
    if isinstance(source, Symbol):
        return _address_of(name, source.name)
    take = _together(function, source, bits) if isinstance(source, Group) else taker(function, source, bits)

    def step(frame: Frame) -> None:
        frame.values[name] = take(frame.values)

    return step


def _address_of(name: str, variable: str) -> Step:
    def step(frame: Frame) -> None:
        space = next((v.space for v in frame.function.variables if v.name == variable), "global")
        frame.values[name] = frame.place(variable) - BASES[space]

    return step


def _together(function: Function, group: Group, bits: int) -> Take:
    part = bits // len(group.parts)
    takes = [taker(function, operand, part) for operand in group.parts]

    def take(values: Values) -> int:
        return sum(one(values) << part * at for at, one in enumerate(takes))

    return take


def _apart(function: Function, group: Group, source: Operand) -> Step:
    bits = width(function, source)
    part, take = bits // len(group.parts), taker(function, source, bits)
    names = [(at, *target(function, p, part)) for at, p in enumerate(group.parts) if p != Register("_")]

    def step(frame: Frame) -> None:
        value = take(frame.values)
        for at, name, mask in names:
            frame.values[name] = value >> part * at & mask

    return step


# cvt, cvta


def convert_step(function: Function, i: Instruction) -> Step:
    """cvt.TO.FROM: source and destination may be wider than their types say."""
    if len(i.opcode) != 3:
        raise Refused(f"cvt with {i.opcode[1:]}")
    (_, to, source), (into, value) = i.opcode, i.operands
    name, mask = target(function, into, bits_of(to), wider=True)
    take = taker(function, value, bits_of(source), wider=True)

    def step(frame: Frame) -> None:
        frame.values[name] = convert(take(frame.values), source, to) & mask

    return step


def change_space(function: Function, i: Instruction) -> Step:
    """cvta: an address of a space becomes generic, or with `to` the other way."""
    *between, kind = i.opcode[1:]
    backward, space = between[:1] == ["to"], between[-1]
    if kind != "u64" or space not in BASES or len(between) != 1 + backward:
        raise Refused(f"cvta of {i.opcode}")
    base, (name, mask) = BASES[space] * (-1 if backward else 1), target(function, i.operands[0], 64)
    if isinstance(i.operands[1], Symbol):
        return _address_of(name, i.operands[1].name)
    take = taker(function, i.operands[1], 64)

    def step(frame: Frame) -> None:
        frame.values[name] = take(frame.values) + base & mask

    return step


# jumps


def _target_of(function: Function, name: str) -> int:
    if name not in function.labels:
        raise Refused(f"{function.name} has no label {name}")
    return function.labels[name]


def branch(function: Function, i: Instruction) -> Step:
    """bra: `uni` says that all lanes go, which changes nothing for one."""
    if i.opcode[1:] not in ((), ("uni",)) or not isinstance(i.operands[0], Symbol):
        raise Refused(str(i))
    to = _target_of(function, i.operands[0].name)
    return lambda _: to


def branch_by_index(function: Function, i: Instruction) -> Step:
    """brx.idx: to one of a list of labels."""
    index, table = i.operands
    assert isinstance(table, Symbol)
    take, places = taker(function, index, 32), [_target_of(function, name) for name in function.targets[table.name]]

    def step(frame: Frame) -> int:
        at = take(frame.values)
        if at >= len(places):
            raise Refused(f"brx.idx {at} of {len(places)}")
        return places[at]

    return step


def leave(_: Function, i: Instruction) -> Step:
    """ret, and exit, which only kernels may say here."""
    if i.opcode[1:] not in ((), ("uni",)):
        raise Refused(str(i))
    return lambda _: RETURN


def trap(_: Function, i: Instruction) -> Step:
    """trap: a kernel must never come here."""

    def step(frame: Frame) -> None:
        raise Refused(f"{i} in {frame.function.name}")

    return step


def nothing(_: Function, i: Instruction) -> Step:  # noqa: ARG001 (all are made alike)
    """Fences order what several lanes see; lanes run one after the other here."""
    return lambda _: None
