"""How a lane runs: control, calls, memory of all spaces, atomics; and what it refuses instead of guessing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.ptx.launch import Launch
from fuzz.ptx.reader import read
from fuzz.ptx.syntax import Refused
from tests.ptx.rig import ARCHITECTURES, HEAD, LANE, assemble, needs_ptxas, ptx_of

KERNEL = (
    LANE
    + """
@table = internal constant [4 x i64] [i64 10, i64 20, i64 30, i64 40]

define internal i64 @sum(i64 %n, ptr %deep) noinline {
  %stop = icmp eq i64 %n, 0
  br i1 %stop, label %end, label %more
more:
  %mine = alloca i64
  store i64 %n, ptr %mine
  %less = sub i64 %n, 1
  %rest = call i64 @sum(i64 %less, ptr %mine)
  %kept = load i64, ptr %mine
  %all = add i64 %rest, %kept
  ret i64 %all
end:
  %above = load i64, ptr %deep
  ret i64 %above
}

define ptx_kernel void @kernel(ptr addrspace(1) %in, ptr addrspace(1) %out, ptr addrspace(1) %count, i8 %small) {
  %lane = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %wide = zext i32 %lane to i64
  %start = alloca i64
  store i64 1000, ptr %start
  %sum = call i64 @sum(i64 %wide, ptr %start)
  %p = getelementptr i16, ptr addrspace(1) %in, i64 %wide
  %v = load i16, ptr addrspace(1) %p
  %s = sext i16 %v to i64
  switch i16 %v, label %other [
    i16 0, label %zero i16 1, label %one i16 2, label %two i16 3, label %three i16 4, label %four i16 5, label %five ]
zero:
  br label %other
one:
  %o1 = atomicrmw add ptr addrspace(1) %count, i64 1 monotonic
  br label %other
two:
  %o2 = atomicrmw xor ptr addrspace(1) %count, i64 256 monotonic
  br label %other
three:
  %o3 = atomicrmw xchg ptr addrspace(1) %count, i64 77 seq_cst
  br label %other
four:
  %o4 = cmpxchg ptr addrspace(1) %count, i64 77, i64 99 seq_cst seq_cst
  %o5 = extractvalue { i64, i1 } %o4, 0
  br label %other
five:
  %at = and i64 %wide, 3
  %tp = getelementptr [4 x i64], ptr @table, i64 0, i64 %at
  %tv = load i64, ptr %tp
  br label %other
other:
  %old = phi i64 [ 5, %zero ], [ %o1, %one ], [ %o2, %two ], [ %o3, %three ], [ %o5, %four ], [ %tv, %five ], [ %s, %0 ]
  %z = zext i8 %small to i64
  %y = add i64 %old, %z
  %x = mul i64 %sum, 10000
  %w = add i64 %x, %y
  %op = getelementptr i64, ptr addrspace(1) %out, i64 %wide
  store i64 %w, ptr addrspace(1) %op
  ret void
}
"""
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_control_calls_memory_and_atomics(architecture: str) -> None:
    ptx = ptx_of(KERNEL, architecture)
    launch = Launch(read(ptx))
    given = bytearray(b"".join(n.to_bytes(2, "little", signed=True) for n in (1, 1, 2, 3, 4, 5, 0, -9)))
    out, count = bytearray(64), bytearray((5).to_bytes(8, "little"))
    launch.run("kernel", (*map(launch.memory.place, (given, out, count)), 200), blocks=1, threads=8)
    sums = [1000] + [1 + n * (n + 1) // 2 for n in range(1, 8)]  # the innermost call reads what its caller stored
    old = [5, 6, 7, 7 ^ 256, 77, 20, 5, -9]  # in the order of the lanes
    assert [int.from_bytes(out[8 * i :][:8], "little") for i in range(8)] == [
        total * 10000 + before + 200 for total, before in zip(sums, old, strict=True)
    ]
    assert int.from_bytes(count, "little") == 99


@needs_ptxas
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ptxas_accepts(architecture: str, tmp_path: Path) -> None:
    assemble(ptx_of(KERNEL, architecture), architecture, tmp_path)


def run(body: str, *, size: int = 16, registers: str = ".reg .b64 %a<9>; .reg .b32 %r<9>; .reg .pred %p<3>;") -> bytes:
    """Run a kernel over a buffer whose address is in %a0; return what the buffer holds then."""
    text = f"{HEAD}.visible .entry kernel(.param .u64 x) {{ {registers} ld.param.b64 %a0, [x]; {body} ret; }}"
    launch, buffer = Launch(read(text)), bytearray(range(size))
    launch.run("kernel", (launch.memory.place(buffer),), blocks=1, threads=1)
    return bytes(buffer)


def test_vectors_and_parts() -> None:
    assert run("ld.global.v2.b32 {%r1, %r2}, [%a0+8]; st.global.v2.b32 [%a0], {%r2, %r1};")[:8] == bytes(
        (12, 13, 14, 15, 8, 9, 10, 11)
    )
    assert run("ld.global.b64 %a1, [%a0]; mov.b64 {_, %r1}, %a1; mov.b64 %a1, {%r1, %r1}; st.b64 [%a0], %a1;")[:8] == (
        bytes((4, 5, 6, 7)) * 2
    )


def test_guards_choose() -> None:
    body = "setp.eq.b64 %p1, %a0, %a0; @%p1 st.b8 [%a0], 9; @!%p1 st.b8 [%a0+1], 9;"
    assert run(body)[:2] == b"\x09\x01"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("ld.global.b64 %a1, [%a0+4];", "not aligned"),
        ("ld.global.v2.b64 {%a1, %a2}, [%a0+8];", "not aligned"),
        ("ld.global.b64 %a1, [%a0+16];", "in no buffer"),
        ("ld.global.b8 %r1, [%a0+-1];", "in no buffer"),
        ("ld.b32 %r1, [0];", "in no buffer"),
        ("add.s64 %a2, %a1, 1;", "nothing wrote"),
        ("add.s32 %r1, %a0, 1;", "has 64 bits, not 32"),
        ("add.s64 %r1, %a0, 1;", "has 32 bits"),
        ("add.s64 %b1, %a0, 1;", "declares no register"),
        ("add.sat.s32 %r1, 1, 1;", "not known"),
        ("add.f32 %r1, 1, 1;", "not known"),
        ("mad.lo.cc.s32 %r1, 1, 1, 1;", "not known"),
        ("vote.sync.any.pred %p1, 1, 1;", "not known"),
        ("bar.sync 0;", "not known"),
        ("cvt.rn.s32.u32 %r1, 1;", "cvt"),
        ("ld.shared.b32 %r1, [0];", "shared"),
        ("atom.global.inc.u32 %r1, [%a0], 1;", "inc"),
        ("div.u32 %r1, 1, 0;", "not defined"),
        ("rem.s32 %r1, -2147483648, -1;", "not defined"),
        ("trap;", "trap"),
        ("bra $nowhere;", "no label"),
        ("call.uni f;", "no function"),
        ("$L: bra $L;", "more than"),
    ],
)
def test_what_is_not_known_or_not_defined_is_refused(body: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.ptx.lane.STEPS_MAX", 1000)
    with pytest.raises(Refused, match=why):
        run(body)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + ".extern .shared .b8 x[];", "directive .shared"),
        (HEAD + ".visible .entry k(.param .f64 x) { ret; }", "type .f64"),
        (HEAD + ".visible .entry k() { .reg .b128 %a<2>; }", "type .b128"),
        (HEAD + ".visible .entry k() { .shared .b8 x[4]; }", "where"),
        (HEAD + ".visible .entry k() {", "the end"),
        (HEAD + ".visible .entry k() { x: ret; ret; x: ret; }", "two labels"),
        (HEAD.replace("64\n", "32\n"), "32"),
        ("\x00", "no token"),
    ],
)
def test_what_is_no_ptx_of_llvm_is_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        Launch(read(text)).run("k", (), blocks=1, threads=1)


def test_local_memory_is_not_zero_before_it_is_written() -> None:
    local = ".local .align 8 .b8 depot[8]; .reg .b64 %a<9>;"
    body = "mov.b64 %a1, depot; ld.local.b64 %a2, [%a1]; st.global.b64 [%a0], %a2;"
    assert run(body, registers=local)[:8] == b"\xa5" * 8


def test_names_of_parameters_end_with_their_scope() -> None:
    function = ".func f(.param .b64 g) { .reg .b64 %a<3>; ld.param.b64 %a1, [g]; st.b8 [%a1], 7; ret; }\n"
    call = "{ .param .b64 p; st.param.b64 [p], %a0; call.uni f, (p); } { .param .b32 p; st.param.b32 [p], 1; }"
    text = f"{HEAD}{function}.visible .entry k(.param .u64 x) {{ .reg .b64 %a<3>; ld.param.b64 %a0, [x]; {call} ret; }}"
    launch, buffer = Launch(read(text)), bytearray(8)
    launch.run("k", (launch.memory.place(buffer),), blocks=1, threads=1)
    assert buffer[0] == 7
