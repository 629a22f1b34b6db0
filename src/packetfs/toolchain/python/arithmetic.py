"""Numbers and truth values: what each operator means, and which kinds may meet.

Unsigned and signed numbers never mix by themselves, since neither answer to `a < b` would be the expected one.
"""

from __future__ import annotations

import ast
import operator

from packetfs.toolchain.python.ir import Builder, Storage
from packetfs.toolchain.python.values import (
    MASK,
    Constant,
    Stretch,
    Truth,
    Unsupported,
    Value,
    Word,
    describe,
    literal,
)
from packetfs.typing import Callable, Final

_FOLD: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_PLAIN: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
}
_COMPARE: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}
_FOLD_COMPARE: Final[dict[type[ast.cmpop], Callable[[int, int], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_CONSTANT_BITS: Final = 1024
"""Bits of a constant on its way to one that fits: 1 << 64 is none, (1 << 64) - 1 is."""


def constant(value: int) -> Constant:
    """Return a constant. Between constants numbers are Python's own; where one meets a variable, it must fit."""
    if abs(value) >> _CONSTANT_BITS:
        raise Unsupported("a number is too large")
    return Constant(value)


def binary(b: Builder, op: ast.operator, left: Value, right: Value) -> Value:
    """Return the value of `left op right`."""
    left, right = _pair(b, left, right)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return _fold(op, left.value, right.value)
    if isinstance(op, ast.LShift | ast.RShift):
        return _shift(b, op, left, right)
    signed = _sign(left, right)
    if type(op) in _PLAIN:
        return Word(b.new(f"{_PLAIN[type(op)]} i64 {_any(left)}, {_any(right)}"), signed)
    if isinstance(op, ast.FloorDiv | ast.Mod):
        return _divide(b, op, exact(left, signed=signed), exact(right, signed=signed), signed=signed)
    raise Unsupported("programs divide with // (there are no fractions)" if isinstance(op, ast.Div) else _unknown(op))


def _unknown(op: ast.AST) -> str:
    return f"the operator {type(op).__name__} is not supported"


def number(b: Builder, value: Value, *, signed: bool = False) -> Constant | Word:
    """Return a value as a number: truth values are 0 and 1, of the sign that is wanted."""
    if isinstance(value, Truth):
        known = {"true": Constant(1), "false": Constant(0)}.get(value.text)
        return known or Word(b.new(f"zext i1 {value.text} to i64"), signed)
    if isinstance(value, Constant | Word):
        return value
    raise Unsupported(f"a number is needed here, not {describe(value)}")


def _pair(b: Builder, left: Value, right: Value) -> tuple[Constant | Word, Constant | Word]:
    signed = any(isinstance(each, Word) and each.signed for each in (left, right))
    return number(b, left, signed=signed), number(b, right, signed=signed)


def _fold(op: ast.operator, left: int, right: int) -> Constant:
    fold = _FOLD.get(type(op))
    if fold is None:
        raise Unsupported(
            "programs divide with // (there are no fractions)" if isinstance(op, ast.Div) else _unknown(op)
        )
    if isinstance(op, ast.LShift) and right > _CONSTANT_BITS:
        raise Unsupported("a number is too large")
    try:
        return constant(fold(left, right))
    except (ZeroDivisionError, ValueError) as error:
        raise Unsupported(str(error)) from None


def _sign(left: Constant | Word, right: Constant | Word) -> bool:
    signs = {each.signed for each in (left, right) if isinstance(each, Word)}
    if len(signs) > 1:
        raise Unsupported("a u64 and an i64 meet: convert one of them with u64() or i64()")
    return signs.pop()


def _any(value: Constant | Word) -> str:
    return literal(value.value) if isinstance(value, Constant) else value.text


def exact(value: Constant | Word, *, signed: bool) -> str:
    """Return a number as text where its sign matters; Unsupported when a constant lies outside the type."""
    if isinstance(value, Word):
        return value.text
    if signed and value.value > MASK >> 1:
        raise Unsupported(f"{value.value} is no i64")
    if not signed and value.value < 0:
        raise Unsupported(f"{value.value} meets a u64, which is never negative: convert that with i64()")
    return literal(value.value)


def _shift(b: Builder, op: ast.operator, left: Constant | Word, right: Constant | Word) -> Word:
    signed = isinstance(left, Word) and left.signed
    name = "shl" if isinstance(op, ast.LShift) else "ashr" if signed else "lshr"
    value = exact(left, signed=signed) if name != "shl" else _any(left)
    if isinstance(right, Constant) and right.value < 0:
        raise Unsupported("negative shift count")
    if isinstance(right, Word) and right.signed:
        b.require(b.new(f"icmp sge i64 {right.text}, 0"))
    count = _any(right)
    small = "true" if isinstance(right, Constant) and right.value < 64 else b.new(f"icmp ult i64 {count}, 64")
    if name == "ashr":
        limited = b.new(f"select i1 {small}, i64 {count}, i64 63")
        return Word(b.new(f"ashr i64 {value}, {limited}"), signed)
    shifted = b.new(f"{name} i64 {value}, {count}")
    return Word(b.new(f"select i1 {small}, i64 {shifted}, i64 0"), signed)


def _divide(b: Builder, op: ast.operator, left: str, right: str, *, signed: bool) -> Word:
    b.require(b.new(f"icmp ne i64 {right}, 0"))
    if signed:
        return _divide_signed(b, op, left, right)
    return Word(b.new(f"{'udiv' if isinstance(op, ast.FloorDiv) else 'urem'} i64 {left}, {right}"))


def _divide_signed(b: Builder, op: ast.operator, left: str, right: str) -> Word:
    """Round towards minus infinity, as Python does; -2**63 // -1 wraps, which sdiv leaves undefined."""
    is_minus = b.new(f"icmp eq i64 {right}, -1")
    divisor = b.new(f"select i1 {is_minus}, i64 1, i64 {right}")
    quotient, rest = b.new(f"sdiv i64 {left}, {divisor}"), b.new(f"srem i64 {left}, {divisor}")
    differ = b.new(f"icmp slt i64 {b.new(f'xor i64 {rest}, {divisor}')}, 0")
    off = b.new(f"and i1 {differ}, {b.new(f'icmp ne i64 {rest}, 0')}")
    if isinstance(op, ast.Mod):
        raised = b.new(f"add i64 {rest}, {divisor}")
        floored = b.new(f"select i1 {off}, i64 {raised}, i64 {rest}")
        return Word(b.new(f"select i1 {is_minus}, i64 0, i64 {floored}"), True)
    lowered = b.new(f"sub i64 {quotient}, {b.new(f'zext i1 {off} to i64')}")
    return Word(b.new(f"select i1 {is_minus}, i64 {b.new(f'sub i64 0, {left}')}, i64 {lowered}"), True)


def compare(b: Builder, op: ast.cmpop, left: Value, right: Value) -> Truth:
    """Return the truth of `left op right` for numbers."""
    if isinstance(left, Truth) and isinstance(right, Truth) and isinstance(op, ast.Eq | ast.NotEq):
        return Truth(b.new(f"icmp {_COMPARE[type(op)]} i1 {left.text}, {right.text}"))
    left, right = _pair(b, left, right)
    name = _COMPARE.get(type(op))
    if name is None:
        raise Unsupported(f"the comparison {type(op).__name__} of numbers is not supported")
    if isinstance(left, Constant) and isinstance(right, Constant):
        return Truth("true" if _FOLD_COMPARE[type(op)](left.value, right.value) else "false")
    signed = _sign(left, right)
    prefix = "" if name in ("eq", "ne") else "s" if signed else "u"
    return Truth(b.new(f"icmp {prefix}{name} i64 {exact(left, signed=signed)}, {exact(right, signed=signed)}"))


def negate(b: Builder, value: Value) -> Value:
    """Return `-value`."""
    whole = number(b, value)
    if isinstance(whole, Constant):
        return constant(-whole.value)
    return Word(b.new(f"sub i64 0, {whole.text}"), whole.signed)


def invert(b: Builder, value: Value) -> Value:
    """Return `~value`."""
    whole = number(b, value)
    if isinstance(whole, Constant):
        return constant(~whole.value)
    return Word(b.new(f"xor i64 {whole.text}, -1"), whole.signed)


def truth(b: Builder, value: Value) -> str:
    """Return what Python's `bool` would say, as an i1."""
    match value:
        case Truth(text=text):
            return text
        case Constant(value=number):
            return "true" if number else "false"
        case Word(text=text):
            return b.new(f"icmp ne i64 {text}, 0")
        case Stretch(length=length):
            return b.new(f"icmp ne i64 {length}, 0")
    raise Unsupported(f"{describe(value)} is neither true nor false")


def opposite(b: Builder, value: str) -> str:
    """Return `not value` of an i1."""
    return {"true": "false", "false": "true"}.get(value) or b.new(f"xor i1 {value}, true")


def convert(b: Builder, value: Value, bits: int, *, signed: bool) -> Value:
    """Cut a number to `bits` and read it with that sign."""
    whole = number(b, value)
    if isinstance(whole, Constant):
        cut = whole.value & ((1 << bits) - 1)
        cut -= (1 << bits) if signed and cut >> (bits - 1) else 0
        return Word(b.new(f"add i64 {literal(cut)}, 0"), signed)
    if bits == 64:
        return Word(whole.text, signed)
    cut_word = b.new(f"trunc i64 {whole.text} to i{bits}")
    return Word(b.new(f"{'sext' if signed else 'zext'} i{bits} {cut_word} to i64"), signed)


def extreme(b: Builder, left: Value, right: Value, *, largest: bool) -> Value:
    """Return the larger or the smaller number."""
    op = ast.GtE() if largest else ast.LtE()
    is_left = compare(b, op, left, right).text
    if isinstance(left, Constant) and isinstance(right, Constant):
        return left if is_left == "true" else right
    a, c = _pair(b, left, right)
    return Word(b.new(f"select i1 {is_left}, i64 {_any(a)}, i64 {_any(c)}"), _sign(a, c))


def fit(b: Builder, storage: Storage, value: Value, what: str) -> tuple[str, ...]:
    """Return the IR values to keep in a place; Unsupported when the kinds differ."""
    if storage.kind == "truth" and isinstance(value, Truth):
        return (value.text,)
    if storage.kind == "bytes" and isinstance(value, Stretch):
        return value.address, value.length
    if storage.kind in ("u64", "i64") and isinstance(value, Constant | Word | Truth):
        return (_fit_number(b, storage.kind == "i64", value, what),)
    raise Unsupported(f"{what} holds {_kind(storage)} and cannot hold {describe(value)}")


def _fit_number(b: Builder, signed: bool, value: Constant | Word | Truth, what: str) -> str:
    whole = number(b, value, signed=signed)
    if isinstance(whole, Word) and whole.signed != signed:
        raise Unsupported(f"{what} holds {'an i64' if signed else 'a u64'}: convert {describe(value)} first")
    return exact(whole, signed=signed)


def _kind(storage: Storage) -> str:
    return {"u64": "a u64", "i64": "an i64", "truth": "a truth value", "bytes": "bytes"}[storage.kind]
