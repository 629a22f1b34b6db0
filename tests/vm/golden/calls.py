"""Calls: helpers by number, local functions, callx, registers and frames across them, depth, and programs' ends."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vm.golden.case import M64, Golden

_CODE = 8 << 28


def files() -> Iterator[tuple[str, list[Golden]]]:
    yield "call", list(_helpers())
    yield "call_local", list(_local())
    yield "callx", list(_through_registers())
    yield "exit", list(_exits())


def _helpers() -> Iterator[Golden]:
    yield Golden("the clock does not end the program", "mov r1, -1; call 5; mov r0, 2; exit", 2)
    yield Golden(
        "helpers leave r1 to r9 alone",
        "; ".join(f"mov r{i}, {1 << i}" for i in range(1, 10))
        + "; call 8; "
        + "; ".join(f"add r0, r{i}" for i in range(1, 10))
        + "; exit",
        (1 << 10) - 2,
    )
    yield Golden("the processor is 0", "mov r0, 7; call get_smp_processor_id; exit", 0)
    yield Golden("a random number has 32 bits", "call get_prandom_u32; rsh r0, 32; exit", 0)
    yield Golden(
        "the clock counts slots",
        "call 5; mov r6, r0; mov r1, 1; ja +0; call 5; jgt r0, r6, +1; ja +1; mov r0, 1; jeq r0, 1, +1; "
        "mov r0, 0; exit",
        1,
    )
    yield Golden("emit", "mov r2, 3; call emit; exit", 0, mem=b"abcdef", output=b"abc")
    yield Golden("emit nothing", "mov r2, 0; call emit; exit", 0, mem=b"abcdef")
    yield Golden(
        "emit twice",
        "mov r6, r1; mov r2, 2; call emit; mov r1, r6; add r1, 4; mov r2, 2; call emit; exit",
        0,
        mem=b"abcdef",
        output=b"abef",
    )
    yield Golden(
        "emit from the stack",
        "stdw [r10-8], 0x64636261; mov r1, r10; add r1, -8; mov r2, 4; call emit; exit",
        0,
        output=b"abcd",
    )
    yield Golden("emit beyond the end", "mov r2, 7; call emit; exit", error="fault ADDRESS at 1", mem=b"abcdef")
    yield Golden("emit from nowhere", "mov r1, 0; mov r2, 1; call emit; exit", error="fault ADDRESS at 2")
    yield Golden("no such helper", "call 4; exit", error="refused at 0: no helper 4")
    yield Golden("no helper 0", "call 0; exit", error="refused at 0: no helper 0")
    yield Golden("no helper of a negative number", "call -5; exit", error="refused at 0: no helper -5")
    yield Golden("no helper behind ours", "call 4999; exit", error="refused at 0: no helper 4999")
    yield Golden("no functions by BTF id", "call btf 1; exit", error="refused at 0: BTF")


def _local() -> Iterator[Golden]:
    yield Golden("a function", "mov r1, 3; mov r2, 4; call local f; exit; f: mov r0, r1; add r0, r2; exit", 7)
    yield Golden("a function before its caller", "ja main; f: mov r0, 6; exit; main: call local f; add r0, 1; exit", 7)
    yield Golden(
        "r6 to r9 are kept",
        "mov r6, 6; mov r7, 7; mov r8, 8; mov r9, 9; call local f; mov r0, r6; add r0, r7; add r0, r8; "
        "add r0, r9; exit; f: mov r6, 0; mov r7, 0; mov r8, 0; mov r9, 0; exit",
        30,
    )
    yield Golden(
        "r6 to r9 are seen by the function",
        "mov r6, 6; mov r9, 9; call local f; exit; f: mov r0, r6; add r0, r9; exit",
        15,
    )
    yield Golden(
        "r1 to r5 are what the function left",
        "mov r1, 1; mov r5, 5; call local f; mov r0, r1; add r0, r5; exit; f: mov r1, 10; mov r5, 50; exit",
        60,
    )
    yield Golden(
        "a frame of its own", "mov r6, r10; call local f; sub r6, r0; mov r0, r6; exit; f: mov r0, r10; exit", 512
    )
    yield Golden("r10 comes back", "mov r6, r10; call local f; mov r0, r10; sub r0, r6; exit; f: mov r0, 0; exit", 0)
    yield Golden(
        "frames do not touch", "stdw [r10-8], 11; call local f; ldxdw r0, [r10-8]; exit; f: stdw [r10-8], 22; exit", 11
    )
    yield Golden(
        "a frame can be handed down",
        "mov r1, r10; add r1, -8; call local f; ldxdw r0, [r10-8]; exit; f: stdw [r1], 33; exit",
        33,
    )
    yield Golden(
        "what a function stored stays until the next record",
        "call local f; call local g; exit; f: stdw [r10-8], 5; exit; g: ldxdw r0, [r10-8]; exit",
        5,
    )
    yield Golden(
        "functions in functions",
        "mov r0, 0; call local a; exit; a: add r0, 1; call local b; add r0, 10; exit; b: add r0, 100; exit",
        111,
    )
    down = "mov r1, {}; call local f; exit; f: mov r0, r1; jeq r1, 0, end; sub r1, 1; call local f; end: exit"
    yield Golden("seven functions deep", down.format(6), 0)
    yield Golden("eight functions deep", down.format(7), error="fault DEPTH at 6")
    yield Golden("a function that calls itself for ever", "f: call local f; exit", error="fault DEPTH at 0")
    yield Golden(
        "a factorial",
        "mov r1, 5; call local f; exit; f: jgt r1, 1, more; mov r0, 1; exit; more: mov r6, r1; sub r1, 1; "
        "call local f; mul r0, r6; exit",
        120,
    )
    yield Golden("a call to the next slot", "call local +0; mov r0, 1; exit", 1)
    yield Golden(
        "depth is free again",
        "mov r6, 100; again: call local f; sub r6, 1; jne r6, 0, again; mov r0, 5; exit; f: exit",
        5,
    )
    yield Golden(
        "calls use fuel: at the jump", "again: call local f; ja again; f: exit", error="fault FUEL at 0", fuel=299
    )
    yield Golden(
        "calls use fuel: at the call", "again: call local f; ja again; f: exit", error="fault FUEL at 2", fuel=300
    )
    yield Golden("outside the code", "call local +5; exit", error="refused at 0: slot 6")
    yield Golden("before the code", "call local -2; exit", error="refused at 0: slot -1")
    yield Golden("into a wide instruction", "call local +1; lddw r0, 1; exit", error="refused at 0: middle of lddw")


def _through_registers() -> Iterator[Golden]:
    yield Golden("a helper", "mov r1, -1; mov r2, 5; callx r2; mov r0, 2; exit", 2)
    yield Golden("the same helper as call", "mov r0, 3; mov r3, 8; callx r3; exit", 0)
    yield Golden(
        "every register",
        "; ".join(f"mov r{i}, 8; mov r0, 9; callx r{i}; jne r0, 0, exit" for i in range(1, 10))
        + "; mov r0, 8; callx r0; add r0, 4; exit",
        4,
    )
    yield Golden("a function", "lddw r2, code f; mov r1, 20; callx r2; exit; f: mov r0, r1; add r0, 2; exit", 22)
    yield Golden("r6 to r9 are kept", "mov r6, 6; lddw r2, code f; callx r2; mov r0, r6; exit; f: mov r6, 1; exit", 6)
    yield Golden(
        "one of two functions",
        "lddw r2, code f; lddw r3, code g; jset r1, 0, +1; mov r2, r3; callx r2; exit; f: mov r0, 1; exit; "
        "g: mov r0, 2; exit",
        2,
    )
    yield Golden("a number that is computed", "mov r2, 4; add r2, 4; callx r2; exit", 0)
    yield Golden("no such helper", "mov r2, 4; callx r2; exit", error="fault HELPER at 1")
    yield Golden("no helper 0", "callx r9; exit", error="fault HELPER at 0")
    for what, value in (
        ("the second slot of a wide instruction", _CODE + 1),
        ("behind the code", _CODE + 4),
        ("far behind the code", _CODE + 0xFFFFFFF),
        ("the stack", 2 << 28),
        ("a map's handle", 5 << 28),
        ("upper half not zero", (1 << 32) + 5),
        ("a negative number", M64),
    ):
        yield Golden(f"no function: {what}", f"lddw r2, {value:#x}; callx r2; exit", error="fault TARGET at 2")
    yield Golden("itself for ever", "f: lddw r2, code f; callx r2; exit", error="fault DEPTH at 2")


def _exits() -> Iterator[Golden]:
    yield Golden("at once", "exit", 0)
    yield Golden("with r0", "mov r0, -1; exit", M64)
    yield Golden("the first that is met", "mov r0, 1; exit; mov r0, 2; exit", 1)
    yield Golden("not the last instruction", "ja b; a: mov r0, 4; exit; b: ja a", 4)
    yield Golden(
        "of a function goes on behind the call", "mov r0, 1; call local f; add r0, 1; exit; f: add r0, 1; exit", 3
    )
    yield Golden("code that runs off its end", "mov r0, 1", error="refused at 0: runs off its end")
    yield Golden("off its end behind a branch", "exit; jne r0, 0, -2", error="refused at 1: runs off its end")
    yield Golden("off its end behind a call", "exit; call local -2", error="refused at 1: runs off its end")
