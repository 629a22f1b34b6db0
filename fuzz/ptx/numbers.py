"""What instructions make of numbers, by opcode (PTX ISA, 9.7). Registers hold unsigned numbers of their width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import add, and_, eq, ge, gt, le, lt, mul, ne, or_, sub, xor
from typing import Final

from fuzz.ptx.syntax import Refused

Apply = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Formula:
    """d = apply(a, b ...), cut to `result` bits; sources: bits of a, b ..."""

    result: int
    sources: tuple[int, ...]
    apply: Apply


def formula(opcode: tuple[str, ...]) -> Formula | None:
    """Return what an opcode computes from registers alone; None when it is not of that kind, or not known."""
    *stem, kind = opcode
    if kind == "pred":
        return _PREDICATES.get(".".join(stem))
    make = _FAMILIES.get(".".join(stem))
    known = kind[1:] in ("16", "32", "64") and kind[0] in "bsu"
    return make(int(kind[1:]), kind[0] == "s") if make and known else None


def signed(value: int, bits: int) -> int:
    """Return what an unsigned number means as a signed one."""
    return value - (1 << bits) if value >> bits - 1 else value


def convert(value: int, source: str, target: str) -> int:
    """Return the low bits of a `source` (u8, s32 ...) as a `target`; negative where that is signed."""
    value &= (1 << int(source[1:])) - 1
    if source[0] == "s":
        value = signed(value, int(source[1:]))
    value &= (1 << int(target[1:])) - 1
    return signed(value, int(target[1:])) if target[0] == "s" else value


Family = Callable[[int, bool], Formula]


def _of(count: int, apply: Apply) -> Family:
    """Return a family whose operands are all of one width, and whose sign does not matter."""
    return lambda bits, _: Formula(bits, (bits,) * count, apply)


def _ordered(count: int, apply: Apply, result: int = 0) -> Family:
    """Return a family that takes its operands as what their type says. result: its bits, if not the operands'."""

    def make(bits: int, sign: bool) -> Formula:
        def on_signed(*values: int) -> int:
            return apply(*(signed(value, bits) for value in values))

        return Formula(result or bits, (bits,) * count, on_signed if sign else apply)

    return make


def _nonzero(apply: Apply) -> Family:
    """Return a division: PTX leaves open what comes of 0, and of the one quotient that does not fit."""

    def make(bits: int, sign: bool) -> Formula:
        def divide(a: int, b: int) -> int:
            if b == 0 or (sign and (a, b) == (1 << bits - 1, (1 << bits) - 1)):
                raise Refused(f"{a} / {b} of {bits} bits is not defined")
            return apply(signed(a, bits), signed(b, bits)) if sign else apply(a, b)

        return Formula(bits, (bits, bits), divide)

    return make


def _quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) if (a < 0) == (b < 0) else -(abs(a) // abs(b))


def _remainder(a: int, b: int) -> int:
    return abs(a) % abs(b) if a >= 0 else -(abs(a) % abs(b))


def _wide(apply: Apply, added: int) -> Family:
    """Return a multiplication with a result of twice the width. added: operands of that width behind the two."""

    def make(bits: int, sign: bool) -> Formula:
        def multiply(a: int, b: int, *c: int) -> int:
            return apply(*((signed(a, bits), signed(b, bits)) if sign else (a, b)), *c)

        return Formula(2 * bits, (bits, bits, *(2 * bits,) * added), multiply)

    return make


def _high(bits: int, sign: bool) -> Formula:
    def multiply(a: int, b: int) -> int:
        return (signed(a, bits) * signed(b, bits) if sign else a * b) >> bits

    return Formula(bits, (bits, bits), multiply)


def _left(bits: int, _: bool) -> Formula:
    return Formula(bits, (bits, 32), lambda a, b: a << b if b < bits else 0)


def _right(bits: int, sign: bool) -> Formula:
    """More than the width counts as the width."""
    return Formula(bits, (bits, 32), lambda a, b: (signed(a, bits) if sign else a) >> min(b, bits))


def _funnel_left(bits: int, _: bool) -> Formula:
    return Formula(bits, (bits, bits, 32), lambda a, b, c: (b << bits | a) << c % bits >> bits)


def _funnel_right(bits: int, _: bool) -> Formula:
    return Formula(bits, (bits, bits, 32), lambda a, b, c: (b << bits | a) >> c % bits)


def _select(bits: int, _: bool) -> Formula:
    return Formula(bits, (bits, bits, 1), lambda a, b, p: a if p else b)


def _permute(bits: int, _: bool) -> Formula:
    """prmt: each nibble of c chooses a byte of {b, a}, or with its top bit that byte's sign eight times."""

    def permute(a: int, b: int, c: int) -> int:
        made = 0
        for i in range(4):
            byte = (b << 32 | a) >> 8 * (c >> 4 * i & 7) & 255
            made |= (byte if not c >> 4 * i & 8 else 255 * (byte >> 7)) << 8 * i
        return made

    return Formula(bits, (bits, bits, bits), permute)


def _extract(bits: int, sign: bool) -> Formula:
    """bfe: `length` bits from `start` on; those above the top repeat the sign, or are 0."""

    def extract(a: int, start: int, length: int) -> int:
        value = (signed(a, bits) if sign else a) >> (start & 255)
        length &= 255
        value &= (1 << length) - 1
        return signed(value, length) if sign and length else value

    return Formula(bits, (bits, 32, 32), extract)


def _insert(bits: int, _: bool) -> Formula:
    def insert(a: int, b: int, start: int, length: int) -> int:
        mask = ((1 << (length & 255)) - 1) << (start & 255) & (1 << bits) - 1
        return b & ~mask | a << (start & 255) & mask

    return Formula(bits, (bits, bits, 32, 32), insert)


def _reversed(bits: int, _: bool) -> Formula:
    return Formula(bits, (bits,), lambda a: int(f"{a:0{bits}b}"[::-1], 2))


def _counted(apply: Callable[[int, int], int]) -> Family:
    """Return a family that counts bits: the count has 32."""
    return lambda bits, _: Formula(32, (bits,), lambda a: apply(a, bits))


_COMPARISONS: Final = {
    "eq": eq,
    "ne": ne,
    "lt": lt,
    "le": le,
    "gt": gt,
    "ge": ge,
    "lo": lt,
    "ls": le,
    "hi": gt,
    "hs": ge,
}
_FAMILIES: Final[dict[str, Family]] = {
    "add": _of(2, add), "sub": _of(2, sub), "mul.lo": _of(2, mul), "mad.lo": _of(3, lambda a, b, c: a * b + c),
    "mul.wide": _wide(mul, 0), "mad.wide": _wide(lambda a, b, c: a * b + c, 1), "mul.hi": _high,
    "div": _nonzero(_quotient), "rem": _nonzero(_remainder), "neg": _of(1, lambda a: -a),
    "min": _ordered(2, min), "max": _ordered(2, max), "abs": _ordered(1, abs),
    "and": _of(2, and_), "or": _of(2, or_), "xor": _of(2, xor), "not": _of(1, lambda a: ~a),
    "shl": _left, "shr": _right, "shf.l.wrap": _funnel_left, "shf.r.wrap": _funnel_right,
    "selp": _select, "prmt": _permute, "bfe": _extract, "bfi": _insert, "brev": _reversed,
    "popc": _counted(lambda a, _: a.bit_count()), "clz": _counted(lambda a, bits: bits - a.bit_length()),
} | {f"setp.{name}": _ordered(2, holds, 1) for name, holds in _COMPARISONS.items()}  # fmt: skip
_PREDICATES: Final = {
    "and": Formula(1, (1, 1), and_), "or": Formula(1, (1, 1), or_), "xor": Formula(1, (1, 1), xor),
    "not": Formula(1, (1,), lambda a: 1 - a),
}  # fmt: skip
