"""Arithmetic, conversions and conditions of eBPF as LLVM IR: what vm/operations.py does with numbers, on registers."""

from __future__ import annotations

import re
from typing import Final

from packetfs.engines.ir.text import Text

_PLAIN: Final = {"add": "add", "sub": "sub", "mul": "mul", "or": "or", "and": "and", "xor": "xor"}
_SHIFTS: Final = {"lsh": "shl", "rsh": "lshr", "arsh": "ashr"}
_DIVISIONS: Final = {"div": "udiv", "mod": "urem", "sdiv": "sdiv", "smod": "srem"}
CONDITIONS: Final = {
    "jeq": "eq", "jne": "ne", "jgt": "ugt", "jge": "uge", "jlt": "ult", "jle": "ule",
    "jsgt": "sgt", "jsge": "sge", "jslt": "slt", "jsle": "sle",
}  # fmt: skip
_MOVSX: Final = re.compile(r"movsx(8|16|32)(64|32)")
_SWAP: Final = re.compile(r"(le|be|bswap)(16|32|64)")


def binary(text: Text, name: str, a: str, b: str, bits: int) -> str:
    """Return `a` combined with `b`, both of so many bits."""
    kind = f"i{bits}"
    if name == "mov":
        return b
    if name in _PLAIN:
        return text.new(f"{_PLAIN[name]} {kind} {a}, {b}")
    if name in _SHIFTS:
        return text.new(f"{_SHIFTS[name]} {kind} {a}, {text.new(f'and {kind} {b}, {bits - 1}')}")
    return _divided(text, name, a, b, kind)


def _divided(text: Text, name: str, a: str, b: str, kind: str) -> str:
    """Divide by what is neither 0 nor, where the quotient may not fit, -1: IR leaves those open, eBPF does not."""
    zero = text.new(f"icmp eq {kind} {b}, 0")
    safe = text.new(f"select i1 {zero}, {kind} 1, {kind} {b}")
    if name in ("div", "mod"):
        made = text.new(f"{_DIVISIONS[name]} {kind} {a}, {safe}")
    else:
        minus = text.new(f"icmp eq {kind} {b}, -1")
        safer = text.new(f"select i1 {minus}, {kind} 1, {kind} {safe}")
        quotient = text.new(f"{_DIVISIONS[name]} {kind} {a}, {safer}")
        negated = text.new(f"sub {kind} 0, {a}") if name == "sdiv" else "0"
        made = text.new(f"select i1 {minus}, {kind} {negated}, {kind} {quotient}")
    return text.new(f"select i1 {zero}, {kind} {'0' if 'div' in name else a}, {kind} {made}")


def unary(text: Text, mnemonic: str, dst: str, src: str) -> str | None:
    """Return what an instruction of one operand makes of 64-bit registers; None when it is none of those."""
    if mnemonic in ("neg", "neg32"):
        cut = narrow(text, dst, 32 if mnemonic == "neg32" else 64)
        bits = 32 if mnemonic == "neg32" else 64
        return widen(text, text.new(f"sub i{bits} 0, {cut}"), bits)
    if moved := _MOVSX.fullmatch(mnemonic):
        low = text.new(f"trunc i64 {src} to i{moved[1]}")
        return widen(text, text.new(f"sext i{moved[1]} {low} to i{moved[2]}"), int(moved[2]))
    if swapped := _SWAP.fullmatch(mnemonic):
        bits = int(swapped[2])
        low = narrow(text, dst, bits)
        return widen(
            text, low if swapped[1] == "le" else text.new(f"call i{bits} @llvm.bswap.i{bits}(i{bits} {low})"), bits
        )
    return None


def condition(text: Text, name: str, a: str, b: str, bits: int) -> str:
    """Return the i1 that says whether a jump is taken."""
    if name == "jset":
        return text.new(f"icmp ne i{bits} {text.new(f'and i{bits} {a}, {b}')}, 0")
    return text.new(f"icmp {CONDITIONS[name]} i{bits} {a}, {b}")


def narrow(text: Text, value: str, bits: int) -> str:
    """Return the low bits of a 64-bit value."""
    return value if bits == 64 else text.new(f"trunc i64 {value} to i{bits}")


def widen(text: Text, value: str, bits: int) -> str:
    """Return a value of so many bits as an unsigned one of 64."""
    return value if bits == 64 else text.new(f"zext i{bits} {value} to i64")
