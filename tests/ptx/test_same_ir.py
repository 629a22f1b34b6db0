"""What LLVM makes of integer IR for a lane gives what it gives as this machine's own code."""

from __future__ import annotations

import itertools
import random

from fuzz.ptx.launch import Launch
from fuzz.ptx.reader import read
from tests.ptx.rig import LANE, Native, pointwise, ptx_of, run_pointwise

EDGES = (0, 1, 2, 7, 31, 32, 33, 63, 64, 127, 128, 255, 1 << 15, (1 << 16) - 1, 1 << 31, (1 << 32) - 1, 1 << 32,
         (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1, 0x0102030405060708, 0x8090A0B0C0D0E0F0)  # fmt: skip


ONE, TWO, THREE = ("ctpop", "bitreverse", "bswap"), ("smin", "smax", "umin", "umax"), ("fshl", "fshr")
"""Intrinsics of so many operands."""


def operations(bits: int) -> dict[str, str]:
    """Return what makes %r of %x, %y and %z by name: all that IR may do with integers of that width."""
    kind, made = f"i{bits}", dict[str, str]()
    for name in ("add", "sub", "mul", "and", "or", "xor"):
        made[name] = f"%r = {name} {kind} %x, %y"
    for name in ("udiv", "urem", "sdiv", "srem"):
        made[name] = f"%p = and {kind} %y, {(1 << bits - 1) - 1}\n%q = or {kind} %p, 1\n%r = {name} {kind} %x, %q"
    for name in ("shl", "lshr", "ashr"):
        made[name] = f"%n = and {kind} %y, {bits - 1}\n%r = {name} {kind} %x, %n"
    for count, names in enumerate((ONE, TWO, THREE), 1):
        operands = ", ".join(f"{kind} %{register}" for register in "xyz"[:count])
        made |= {name: f"%r = call {kind} @llvm.{name}.{kind}({operands})" for name in names}
    for name in ("ctlz", "cttz"):
        made[name] = f"%r = call {kind} @llvm.{name}.{kind}({kind} %x, i1 false)"
    for name in ("eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"):
        made[name] = f"%t = icmp {name} {kind} %x, %y\n%r = select i1 %t, {kind} %z, {kind} %x"
    made |= {f"{name}_{bits}": f"%r = or {kind} %x, 0" for name in ("zext", "sext")}
    return {name: body for name, body in made.items() if bits > 8 or name != "bswap"}


def function(name: str, bits: int, body: str) -> str:
    """Return a function of three numbers of 64 bits that does `body` with their low ones."""
    cut = [
        f"%{to} = trunc i64 %{given} to i{bits}" if bits < 64 else f"%{to} = or i64 %{given}, 0"
        for given, to in zip("abc", "xyz", strict=True)
    ]
    extend = "sext" if name.startswith("sext") else "zext"
    widen = f"%w = {extend} i{bits} %r to i64" if bits < 64 else "%w = or i64 %r, 0"
    return "\n".join((f"define i64 @{name}{bits}(i64 %a, i64 %b, i64 %c) {{", *cut, body, widen, "ret i64 %w", "}\n"))


def declarations(bits: int) -> str:
    counts = [(name, count) for count, names in enumerate((ONE, TWO, THREE), 1) for name in names]
    lines = [f"declare i{bits} @llvm.{name}.i{bits}({', '.join([f'i{bits}'] * count)})" for name, count in counts]
    lines += [f"declare i{bits} @llvm.{name}.i{bits}(i{bits}, i1)" for name in ("ctlz", "cttz")]
    return "\n".join(line for line in lines if bits > 8 or "bswap" not in line) + "\n"


def inputs() -> list[tuple[int, int, int]]:
    rng = random.Random(7)
    pairs = rng.sample(list(itertools.product(EDGES, EDGES)), 60)
    wild = [(rng.getrandbits(64), rng.getrandbits(64), rng.getrandbits(64)) for _ in range(20)]
    return [(a, b, rng.choice(EDGES)) for a, b in pairs] + wild


def test_native_code_of_the_same_ir_agrees() -> None:
    widths, names, ir = (8, 16, 32, 64), list[str](), ""
    for bits in widths:
        made = operations(bits)
        names += [f"{name}{bits}" for name in made]
        ir += declarations(bits) + "".join(function(name, bits, body) for name, body in made.items())
    given, native = inputs(), Native(ir)
    launch = Launch(read(ptx_of(ir + LANE + "".join(pointwise(name) for name in names))))
    for name in names:
        got = run_pointwise(launch, f"kernel_{name}", given)
        assert got == [native.call(name, values) for values in given], name
    assert len(names) > 130
