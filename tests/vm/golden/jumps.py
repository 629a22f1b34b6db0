"""JMP and JMP32: every condition with immediate and register, taken and not, both directions, and loops."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

from tests.vm.golden.case import M32, M64, Golden, extended, signed

_PAIRS = (
    (5, 5),
    (5, 6),
    (6, 5),
    (M64, 1),
    (1, M64),
    (0, 0),
    (0x1_0000_0005, 5),
    (0x5_0000_0001, 0x4_0000_0002),
    (0x8000_0000, 0x7FFF_FFFF),
    (0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000),
    (0xA5, 0x5A),
)
_IMMEDIATES = (
    (5, 5),
    (5, 6),
    (6, 5),
    (M64, 1),
    (1, -1),
    (M32, -1),
    (0x8000_0000, -(1 << 31)),
    (0xFFFF_FFFF_8000_0000, -(1 << 31)),
    (0x1_0000_0000, 0),
    (0x7F00_0000_0000_0000, -(1 << 31)),
)
_UNSIGNED: dict[str, Callable[[int, int], bool]] = {
    "jeq": operator.eq,
    "jne": operator.ne,
    "jgt": operator.gt,
    "jge": operator.ge,
    "jlt": operator.lt,
    "jle": operator.le,
    "jset": lambda a, b: bool(a & b),
}
_SIGNED: dict[str, Callable[[int, int], bool]] = {
    "jsgt": operator.gt,
    "jsge": operator.ge,
    "jslt": operator.lt,
    "jsle": operator.le,
}


def files() -> Iterator[tuple[str, list[Golden]]]:
    for name in (*_UNSIGNED, *_SIGNED):
        yield name, list(_condition(name))
    yield "ja", list(_unconditional())


def _holds(name: str, a: int, b: int, bits: int) -> bool:
    mask = (1 << bits) - 1
    if name in _SIGNED:
        return _SIGNED[name](signed(a, bits), signed(b, bits))
    return _UNSIGNED[name](a & mask, b & mask)


def _condition(name: str) -> Iterator[Golden]:
    for suffix, bits in (("", 64), ("32", 32)):
        for a, b in _PAIRS:
            asm = f"lddw r1, {a:#x}; lddw r2, {b:#x}; mov r0, 1; {name}{suffix} r1, r2, +1; mov r0, 0; exit"
            yield Golden(f"{name}{suffix} {a:#x}, register {b:#x}", asm, int(_holds(name, a, b, bits)))
        for a, imm in _IMMEDIATES:
            asm = f"lddw r1, {a:#x}; mov r0, 1; {name}{suffix} r1, {imm}, +1; mov r0, 0; exit"
            yield Golden(f"{name}{suffix} {a:#x}, immediate {imm}", asm, int(_holds(name, a, extended(imm), bits)))
        taken = int(_holds(name, 9, 9, bits))
        asm = f"mov r1, 9; mov r0, 1; {name}{suffix} r1, r1, +1; mov r0, 0; exit"
        yield Golden(f"{name}{suffix} of a register and itself", asm, taken)
        yield _backward(name, suffix, bits)


def _backward(name: str, suffix: str, bits: int) -> Golden:
    """Count down from 6 as long as the condition holds between r1 and 3 (0x3 for jset), at most 10 times."""
    value, rounds = 6, 0
    while True:
        rounds, value = rounds + 1, value - 1
        if rounds == 10 or not _holds(name, value, 3, bits):
            break
    asm = f"mov r1, 6; mov r0, 0; again: add r0, 1; sub r1, 1; jeq r0, 10, exit; {name}{suffix} r1, 3, again; exit"
    return Golden(f"{name}{suffix} backwards", asm, rounds)


def _unconditional() -> Iterator[Golden]:
    for name in ("ja", "ja32"):
        yield Golden(f"{name} over one", f"mov r0, 1; {name} +1; mov r0, 2; exit", 1)
        yield Golden(f"{name} to the next", f"mov r0, 1; {name} +0; mov r0, 2; exit", 2)
        yield Golden(f"{name} backwards", f"{name} +2; mov r0, 7; exit; {name} -3", 7)
        yield Golden(f"{name} over a wide instruction", f"mov r0, 1; {name} +2; lddw r0, 0x5; exit", 1)
        yield Golden(f"{name} is the last", f"{name} end; back: mov r0, 3; exit; end: {name} back", 3)
        skipped = "; ".join(["mov r0, 1"] * 300)
        yield Golden(f"{name} over 300", f"mov r0, 9; {name} exit; {skipped}; exit", 9)
        yield Golden(f"{name} over 300 backwards", f"{name} end; back: exit; {skipped}; end: mov r0, 8; {name} back", 8)
    yield Golden(
        "a sum of 1 to 100", "mov r1, 100; mov r0, 0; again: add r0, r1; sub r1, 1; jne r1, 0, again; exit", 5050
    )
    yield Golden(
        "nested loops",
        "mov r1, 7; mov r0, 0; outer: mov r2, 6; inner: add r0, 1; sub r2, 1; jsgt r2, 0, inner; "
        "sub32 r1, 1; jne32 r1, 0, outer; exit",
        42,
    )
    yield Golden(
        "two jumps to one place",
        "mov r0, 1; jeq r0, 1, end; mov r0, 2; jeq r0, 2, end; mov r0, 3; end: add r0, 10; exit",
        11,
    )
    yield from _fuel()


def _fuel() -> Iterator[Golden]:
    """Fuel is tested where a jump goes back and at local calls: by hand, slots executed up to there."""
    loop = "mov r1, 3; again: sub r1, 1; jne r1, 0, again; mov r0, 1; exit"
    yield Golden("fuel that is just enough", loop, 1, fuel=5)
    yield Golden("fuel that is one short", loop, error="fault FUEL at 1", fuel=4)
    yield Golden("fuel for one round", loop, error="fault FUEL at 1", fuel=3)
    yield Golden("a jump to itself ends", "ja -1", error="fault FUEL at 0", fuel=1000)
    yield Golden("a far jump to itself ends", "ja32 -1", error="fault FUEL at 0", fuel=1000)
    yield Golden("a condition on itself ends", "jeq r0, 0, -1; exit", error="fault FUEL at 0", fuel=1000)
    yield Golden("a loop of two jumps ends", "a: ja b; b: ja a", error="fault FUEL at 0", fuel=999)
    yield Golden("forward jumps need no fuel", "ja +0; ja +0; ja +0; mov r0, 4; exit", 4, fuel=1)
    yield Golden(
        "wide instructions count two",
        "again: lddw r1, 1; add r0, 1; jne r0, 3, again; exit",
        error="fault FUEL at 0",
        fuel=7,
    )
    yield Golden(
        "wide instructions count two, enough", "again: lddw r1, 1; add r0, 1; jne r0, 3, again; exit", 3, fuel=8
    )
