"""What stands beside the engines, built when it is needed: loops of gcc -O3, and code as a simple translator makes it.

The translator is what uBPF's is: one x86 instruction or two for each of the program, registers where uBPF has them, a
call for each record, and no check of anything. Only what bench/engines_programs.py uses is known to it.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench.engines_programs import PROGRAMS, Timed
from packetfs.vm.instruction import Instruction, iterate_rows
from packetfs.vm.isa import Opcode
from packetfs.vm.slots import LDDW, width

Peer = Callable[[int, int], tuple[int, int]]
"""Runs over so many records at an address, and returns the sum of all r0 and the last one."""
_REGISTERS: Final = ("rax", "rdi", "rsi", "rdx", "r10", "r8", "rbx", "r13", "r14", "r15", "rbp")
_SAVED: Final = ("rbp", "rbx", "r13", "r14", "r15")
_LOADS: Final = {"ldxb": "movzbl", "ldxh": "movzwl", "ldxw": "movl", "ldxdw": "movq"}
_PLAIN: Final = {"add": "add", "sub": "sub", "and": "and", "or": "or", "xor": "xor", "mov": "mov", "mul": "imul"}
_SHIFTS: Final = {"lsh": "shl", "rsh": "shr", "arsh": "sar"}
_JUMPS: Final = {"jeq": "je", "jne": "jne", "jgt": "ja", "jge": "jae", "jlt": "jb", "jle": "jbe", "ja": "jmp"}
_STACK: Final = 512


def translate(program: Timed) -> str:
    """Return a function in x86 assembler."""
    lines = [f".globl simple_{program.name}", f"simple_{program.name}:"]
    lines += [f"  push %{name}" for name in _SAVED]
    lines += ["  mov %rsp, %rbp", f"  sub ${_STACK}, %rsp"]
    for slot, instruction, row in iterate_rows(program.image().code):
        lines += [f".L{program.name}{slot}:", *(f"  {line}" for line in _one(program.name, slot, instruction, row))]
    return "\n".join(lines)


def _one(name: str, slot: int, instruction: Instruction, row: Opcode) -> Iterator[str]:
    mnemonic, to, source = row.mnemonic, _REGISTERS[instruction.dst], _REGISTERS[min(instruction.src, 10)]
    operand = f"%{source}" if "src" in row.used else f"${instruction.imm}"
    if instruction.opcode == LDDW:
        yield f"movabs ${instruction.imm64}, %{to}"
    elif mnemonic in _LOADS:
        narrow = to if mnemonic == "ldxdw" else _low(to)
        yield f"{_LOADS[mnemonic]} {instruction.offset}(%{source}), %{narrow}"
    elif mnemonic in _PLAIN:
        yield f"{_PLAIN[mnemonic]} {operand}, %{to}"
    elif mnemonic in _SHIFTS:
        yield f"{_SHIFTS[mnemonic]} {operand}, %{to}"
    elif mnemonic in _JUMPS:
        if mnemonic != "ja":
            yield f"cmp {operand}, %{to}"
        target = slot + width(instruction.opcode) + int(getattr(instruction, row.targets))
        yield f"{_JUMPS[mnemonic]} .L{name}{target}"
    elif mnemonic == "exit":
        yield "mov %rbp, %rsp"
        yield from (f"pop %{saved}" for saved in reversed(_SAVED))
        yield "ret"
    else:
        raise NotImplementedError(mnemonic)


def _low(register: str) -> str:
    """Return the lower half of a register."""
    return f"{register}d" if register[1:].isdigit() else f"e{register[1:]}"


def build(folder: Path) -> dict[str, dict[str, Peer]]:
    """Compile all peers; by the name of the program, then `native` and `simple`."""
    assembler, library = folder / "simple.S", folder / "peers.so"
    text = "\n".join(translate(program) for program in PROGRAMS)
    assembler.write_text(f'.text\n{text}\n.section .note.GNU-stack,"",@progbits\n')
    source = Path(__file__).with_name("engines.c")
    flags = ["-O3", "-march=native", "-fPIC", "-shared", "-o", str(library)]
    subprocess.run(["gcc", *flags, str(source), str(assembler)], check=True)
    loaded = ctypes.CDLL(str(library))
    return {
        program.name: {
            "native": _peer(loaded[f"native_{program.name}"]),
            "simple": _peer(loaded["call_each"], loaded[f"simple_{program.name}"]),
        }
        for program in PROGRAMS
    }


def _peer(function: ctypes._NamedFuncPointer, *before: object) -> Peer:
    function.restype = ctypes.c_uint64
    last = ctypes.c_uint64()

    def run(address: int, count: int) -> tuple[int, int]:
        total = function(*before, ctypes.c_void_p(address), ctypes.c_size_t(count), ctypes.byref(last))
        return total, last.value

    return run
