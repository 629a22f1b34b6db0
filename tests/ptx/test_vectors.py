"""The lane of a GPU in Python means what the PTX ISA says: one kernel for each vector."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.ptx.launch import Launch
from fuzz.ptx.reader import read
from tests.ptx.rig import ARCHITECTURES, HEAD, assemble, needs_ptxas

VECTORS = """
add.s32         7fffffff 1                 = 80000000
add.s64         ffffffffffffffff 2         = 1
sub.s16         0 1                        = ffff
mul.lo.s32      ffffffff ffffffff          = 1
mul.lo.s64      100000001 100000001        = 200000001
mul.hi.u32      ffffffff ffffffff          = fffffffe
mul.hi.s32      ffffffff ffffffff          = 0
mul.hi.u64      ffffffffffffffff 2         = 1
mul.hi.s64      ffffffffffffffff 2         = ffffffffffffffff
mul.wide.u32    ffffffff ffffffff          = fffffffe00000001
mul.wide.s32    ffffffff 2                 = fffffffffffffffe
mul.wide.u16    ffff ffff                  = fffe0001
mad.lo.s32      3 5 fffffff0               = ffffffff
mad.lo.s64      3 5 fffffffffffffff1       = 0
mad.wide.u32    ffffffff 2 1               = 1ffffffff
mad.wide.s32    ffffffff 2 1               = ffffffffffffffff
div.u32         ffffffff 2                 = 7fffffff
div.s32         fffffff9 2                 = fffffffd
div.s64         7 fffffffffffffffe         = fffffffffffffffd
div.u64         ffffffffffffffff a         = 1999999999999999
rem.u32         fffffff9 2                 = 1
rem.s32         fffffff9 2                 = ffffffff
rem.s64         7 fffffffffffffffe         = 1
rem.u64         ffffffffffffffff a         = 5
neg.s32         1                          = ffffffff
neg.s64         8000000000000000           = 8000000000000000
abs.s32         fffffffb                   = 5
abs.s64         5                          = 5
min.s64         ffffffffffffffff 1         = ffffffffffffffff
min.u64         ffffffffffffffff 1         = 1
max.s32         ffffffff 1                 = 1
max.u32         ffffffff 1                 = ffffffff
and.b32         f0f0f0f0 ff00ff00          = f000f000
or.b64          f0f0f0f0f0f0f0f0 0f        = f0f0f0f0f0f0f0ff
xor.b16         ffff f0f                   = f0f0
not.b32         0                          = ffffffff
not.b64         ffff0000ffff0000           = ffff0000ffff
shl.b32         1 1f                       = 80000000
shl.b32         1 20                       = 0
shl.b64         ffffffffffffffff 28        = ffffff0000000000
shl.b64         1 ffffffff                 = 0
shr.u32         80000000 1f                = 1
shr.u64         8000000000000000 40        = 0
shr.s32         80000000 1f                = ffffffff
shr.s64         8000000000000000 ffffffff  = ffffffffffffffff
shr.s64         7fffffffffffffff 3e        = 1
shr.u16         8000 4                     = 800
shr.s16         8000 4                     = f800
shf.l.wrap.b32  89abcdef 01234567 8        = 23456789
shf.r.wrap.b32  89abcdef 01234567 8        = 6789abcd
shf.l.wrap.b32  89abcdef 01234567 20       = 1234567
prmt.b32        33221100 77665544 123      = 112233
prmt.b32        33221100 77665544 7531     = 77553311
prmt.b32        800011ff 77665544 ba98     = ff0000ff
bfe.u32         fedcba98 8 10              = dcba
bfe.s32         fedcba98 8 10              = ffffdcba
bfe.s64         fedcba9876543210 3c 4      = ffffffffffffffff
bfe.u32         ffffffff 0 0               = 0
bfi.b32         ff 0 4 8                   = ff0
bfi.b64         0 ffffffffffffffff 20 10   = ffff0000ffffffff
brev.b32        1                          = 80000000
brev.b64        3                          = c000000000000000
popc.b32        f0f0                       = 8
popc.b64        ffffffffffffffff           = 40
clz.b32         0                          = 20
clz.b64         1                          = 3f
setp.lt.s32     ffffffff 1                 = 1
setp.lt.u32     ffffffff 1                 = 0
setp.le.u64     5 5                        = 1
setp.ge.s64     8000000000000000 0         = 0
setp.gt.u16     ffff 1                     = 1
setp.gt.s16     ffff 1                     = 0
setp.eq.b64     1 1                        = 1
setp.ne.b32     1 1                        = 0
selp.b64        5 6 1                      = 5
selp.b32        5 6 0                      = 6
and.pred        1 0                        = 0
or.pred         1 0                        = 1
xor.pred        1 1                        = 0
not.pred        0                          = 1
cvt.u64.u32     ffffffff                   = ffffffff
cvt.s64.s32     ffffffff                   = ffffffffffffffff
cvt.u32.u64     123456789abcdef0           = 9abcdef0
cvt.s64.s8      180                        = ffffffffffffff80
cvt.u64.u8      180                        = 80
cvt.s32.s16     ffff8000                   = ffff8000
cvt.u16.u32     12345678                   = 5678
cvt.u32.u16     ffff                       = ffff
cvt.s16.s8      ff                         = ffff
mov.b64         123456789                  = 123456789
"""
"""By hand, from the text of the PTX ISA (sections 9.7.1 to 9.7.9)."""


def widths_of(opcode: str, count: int) -> list[int]:
    """Return the bits of the result and the operands."""
    stem, *_, kind = opcode.split(".")
    bits = 1 if kind == "pred" else max(int(kind[1:]), 16)
    operands = [bits] * count
    if stem in ("shl", "shr", "bfe"):
        operands[1:] = [32] * (count - 1)
    elif stem in ("shf", "bfi"):
        operands[2:] = [32] * (count - 2)
    elif stem == "selp":
        operands[2] = 1
    result = {"setp": 1, "popc": 32, "clz": 32}.get(stem, bits)
    if "wide" in opcode:
        result, operands[2:] = 2 * bits, [2 * bits] * (count - 2)
    if stem == "cvt":
        result = max(int(opcode.split(".")[1][1:]), 16)
    return [result, *operands]


def kernel_of(opcode: str, count: int, number: int = 0) -> str:
    """Return a kernel that loads operands, executes one instruction and stores what comes of it."""
    result, *operands = widths_of(opcode, count)
    lines = [f".visible .entry kernel{number}(.param .u64 in, .param .u64 out)", "{"]
    lines += [f".reg .b{bits} %w{bits}_<9>;" for bits in (16, 32, 64)]
    lines += [".reg .pred %w1_<9>;", ".reg .b64 %a;", ".reg .b64 %b;"]
    lines += ["ld.param.b64 %a, [in];", "ld.param.b64 %b, [out];"]
    for at, bits in enumerate(operands):
        lines.append(f"ld.global.b{max(bits, 16)} %w{max(bits, 16)}_{at}, [%a+{8 * at}];")
        if bits == 1:
            lines.append(f"setp.ne.b16 %w1_{at}, %w16_{at}, 0;")
    names = ", ".join(f"%w{bits}_{at}" for at, bits in enumerate(operands))
    lines.append(f"{opcode} %w{result}_8, {names};")
    if result == 1:
        lines.append("selp.b64 %w64_8, 1, 0, %w1_8;")
    stored = max(result, 16) if result > 1 else 64
    lines += [f"st.global.b{stored} [%b], %w{stored}_8;", "ret;", "}"]
    return "\n".join(lines)


def vectors() -> list[tuple[str, list[int], int]]:
    found = []
    for line in VECTORS.strip().splitlines():
        given, wanted = line.split("=")
        opcode, *numbers = given.split()
        found.append((opcode, [int(number, 16) for number in numbers], int(wanted, 16)))
    return found


@pytest.mark.parametrize(("opcode", "numbers", "wanted"), vectors())
def test_vectors(opcode: str, numbers: list[int], wanted: int) -> None:
    launch = Launch(read(HEAD + kernel_of(opcode, len(numbers))))
    given, out = bytearray(b"".join(n.to_bytes(8, "little") for n in numbers)), bytearray(8)
    launch.run("kernel0", (launch.memory.place(given), launch.memory.place(out)), blocks=1, threads=1)
    assert int.from_bytes(out, "little") == wanted


@needs_ptxas
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_vectors_are_ptx(architecture: str, tmp_path: Path) -> None:
    """What the oracle takes for an instruction, ptxas takes too."""
    kernels = (kernel_of(opcode, len(numbers), at) for at, (opcode, numbers, _) in enumerate(vectors()))
    assemble(HEAD.replace("sm_75", architecture).replace("6.3", "8.7") + "\n".join(kernels), architecture, tmp_path)
