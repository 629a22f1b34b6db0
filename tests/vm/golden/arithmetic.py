"""ALU and ALU64: every operation with immediate and register, 64 and 32 bits wide, at the edges of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.vm.golden.case import M32, M64, Golden, extended, signed

_MIN64, _MIN32 = 1 << 63, 1 << 31
_PLAIN = (0x0123456789ABCDEF, 0x0FEDCBA987654321)
_GENERAL = (_PLAIN, (M64, 1), (_MIN64, M64), (0x1_0000_0000, M32), (7, 0), (0xDEADBEEF_00000005, 0xCAFEBABE_00000003))
_GENERAL_IMM = ((_PLAIN[0], 0x12345678), (M64, 1), (_MIN64, -1), (0x1_0000_0001, -(1 << 31)), (7, 0), (M32, 0x7FFFFFFF))
_COUNTS = (0, 1, 31, 32, 33, 63, 64, 65, M64, 0x1_0000_0004)
_SHIFTED = 0x8123456789ABCDEF
_POSITIVE = 0x0123456701ABCDEF
_QUOTIENTS = (
    (13, 3),
    (-13 & M64, 3),
    (13, -3 & M64),
    (-13 & M64, -3 & M64),
    (-13 & M32, 3),
    (5, 7),
    (0xDEADBEEF_0000000D, 0),
    (0xDEADBEEF_0000000D, 0x5_0000_0000),
    (_MIN64, M64),
    (_MIN32, M32),
    (0xFFFFFFFF_80000000, M64),
    (0xDEADBEEF_00000007, 0xCAFEBABE_00000002),
    (M64, M64),
)
_QUOTIENTS_IMM = (
    (13, 3),
    (-13 & M64, 3),
    (13, -3),
    (-13 & M64, -3),
    (-13 & M32, 3),
    (5, 7),
    (0xDEADBEEF_0000000D, 0),
    (_MIN64, -1),
    (_MIN32, -1),
    (M64, -(1 << 31)),
    (M64, 0x7FFFFFFF),
)


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def _divide(a: int, b: int, bits: int) -> int:
    del bits
    return a // b if b else 0


def _signed_divide(a: int, b: int, bits: int) -> int:
    return _truncated(signed(a, bits), signed(b, bits)) if b else 0


def _modulo(a: int, b: int, bits: int) -> int:
    del bits
    return a - b * (a // b) if b else a


def _signed_modulo(a: int, b: int, bits: int) -> int:
    x, y = signed(a, bits), signed(b, bits)
    return x - y * _truncated(x, y) if b else a


Formula = Callable[[int, int, int], int]
"""Of both operands, cut to their width, and the width; the result is cut afterwards."""

_OPERATIONS: dict[str, Formula] = {
    "add": lambda a, b, bits: a + b,  # noqa: ARG005
    "sub": lambda a, b, bits: a - b,  # noqa: ARG005
    "mul": lambda a, b, bits: a * b,  # noqa: ARG005
    "or": lambda a, b, bits: a + b - (a & b),  # noqa: ARG005
    "and": lambda a, b, bits: a & b,  # noqa: ARG005
    "xor": lambda a, b, bits: a + b - 2 * (a & b),  # noqa: ARG005
    "mov": lambda a, b, bits: b,  # noqa: ARG005
    "lsh": lambda a, b, bits: a * 2 ** (b % bits),
    "rsh": lambda a, b, bits: a // 2 ** (b % bits),
    "arsh": lambda a, b, bits: signed(a, bits) // 2 ** (b % bits),
    "div": _divide,
    "sdiv": _signed_divide,
    "mod": _modulo,
    "smod": _signed_modulo,
}


def files() -> Iterator[tuple[str, list[Golden]]]:
    for name in _OPERATIONS:
        yield name, list(_operation(name))
    yield "neg", list(_negations())
    yield "movsx", list(_extensions())
    yield "swap", list(_swaps())
    yield "registers", list(_registers())


def _pairs(name: str) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    if name in ("lsh", "rsh", "arsh"):
        counts = tuple((value, count) for value in (_SHIFTED, _POSITIVE) for count in _COUNTS)
        return counts[:-5], ((_SHIFTED, 0), (_SHIFTED, 1), (_SHIFTED, 31), (_POSITIVE, 31), (_POSITIVE, 4), (1, 1))
    return (_QUOTIENTS, _QUOTIENTS_IMM) if name in ("div", "sdiv", "mod", "smod") else (_GENERAL, _GENERAL_IMM)


def _operation(name: str) -> Iterator[Golden]:
    formula, (pairs, immediates) = _OPERATIONS[name], _pairs(name)
    for suffix, bits in (("", 64), ("32", 32)):
        mask = (1 << bits) - 1
        for a, b in pairs:
            result = formula(a & mask, b & mask, bits) & mask
            asm = f"lddw r0, {a:#x}; lddw r1, {b:#x}; {name}{suffix} r0, r1; exit"
            yield Golden(f"{name}{suffix} {a:#x} by register {b:#x}", asm, result)
        for a, imm in (*immediates, *(((_SHIFTED, 63), (_SHIFTED, 32)) if bits == 64 and "sh" in name else ())):
            result = formula(a & mask, extended(imm) & mask, bits) & mask
            asm = f"lddw r0, {a:#x}; {name}{suffix} r0, {imm}; exit"
            yield Golden(f"{name}{suffix} {a:#x} by immediate {imm}", asm, result)
        a = 0xDEADBEEF_00000007
        same = formula(a & mask, a & mask, bits) & mask
        yield Golden(
            f"{name}{suffix} of a register by itself", f"lddw r3, {a:#x}; {name}{suffix} r3, r3; mov r0, r3; exit", same
        )
        yield Golden(
            f"{name}{suffix} leaves the source alone",
            f"mov r0, 9; lddw r1, {a:#x}; {name}{suffix} r0, r1; mov r0, r1; exit",
            a,
        )


def _negations() -> Iterator[Golden]:
    for suffix, bits in (("", 64), ("32", 32)):
        mask = (1 << bits) - 1
        for a in (0, 1, M64, M32, _MIN64, _MIN32, *_PLAIN):
            yield Golden(f"neg{suffix} {a:#x}", f"lddw r0, {a:#x}; neg{suffix} r0; exit", -a & mask)


def _extensions() -> Iterator[Golden]:
    values = (
        0x7F,
        0x80,
        0xFF,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x7FFFFFFF,
        0x80000000,
        0xDEADBEEF_12345678,
        0x7FFF7FFF_80008080,
    )
    for bits, width in ((8, 32), (16, 32), (8, 64), (16, 64), (32, 64)):
        for a in values:
            result = signed(a, bits) & ((1 << width) - 1)
            asm = f"lddw r1, {a:#x}; lddw r0, {M64:#x}; movsx{bits}{width} r0, r1; exit"
            yield Golden(f"movsx{bits}{width} {a:#x}", asm, result)
        asm = f"lddw r0, 0x123456789abcdef0; movsx{bits}{width} r0, r0; exit"
        result = signed(0x123456789ABCDEF0, bits) & ((1 << width) - 1)
        yield Golden(f"movsx{bits}{width} of a register into itself", asm, result)


def _swaps() -> Iterator[Golden]:
    for bits in (16, 32, 64):
        for a in (0x0102030405060708, 0xFFFEFDFCFBFAF9F8, 0x8000000000000080, 0, 0xFF00FF00FF00FF00):
            low = a & ((1 << bits) - 1)
            turned = int.from_bytes(low.to_bytes(bits // 8, "little"), "big")
            for name, result in (("le", low), ("be", turned), ("bswap", turned)):
                yield Golden(f"{name}{bits} {a:#x}", f"lddw r0, {a:#x}; {name}{bits} r0; exit", result)


def _registers() -> Iterator[Golden]:
    """Every register as destination and as source."""
    for number in range(10):
        other = (number + 3) % 10
        asm = f"mov r{other}, 5; mov r{number}, 37; add r{number}, r{other}; mov r0, r{number}; exit"
        yield Golden(f"r{number} += r{other}", asm, 42)
    every = "; ".join(f"mov r{i}, {1 << i}" for i in range(10))
    total = "; ".join(f"add r0, r{i}" for i in range(1, 10))
    yield Golden("ten registers are ten", f"{every}; {total}; exit", (1 << 10) - 1)
    yield Golden("r10 is the end of the stack", "mov r0, r10; exit", 0x2000_1000)
    yield Golden("r10 as a source", "mov r0, 1; add r0, r10; sub r0, r10; exit", 1)
    yield Golden("r10 may be compared", "mov r1, r10; jeq r1, r10, +1; exit; mov r0, 1; exit", 1)
    zero = "; ".join(f"or r0, r{i}" for i in range(3, 10))
    yield Golden("all but r1, r2 and r10 begin with zero", f"{zero}; exit", 0)
    yield Golden("without memory r1 and r2 are zero", "mov r0, r1; or r0, r2; exit", 0)
    yield Golden("r1 is the memory, behind 256 bytes", "mov r0, r1; exit", 0x3000_0100, mem=b"x")
    yield Golden("r2 is its length", "mov r0, r2; exit", 5, mem=b"12345")
