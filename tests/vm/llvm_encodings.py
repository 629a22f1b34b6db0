"""What LLVM's assembler makes of each instruction; `python -m tests.vm.llvm_encodings` writes llvm_encodings.txt.

A line holds our text, LLVM's text for the same, and the bytes that llvm-mc makes of LLVM's text. LLVM 19 wrote it;
the file is compared with our table everywhere, and where llvm-mc is installed, that is asked again.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

from packetfs.vm.assembly import assemble, line_of
from packetfs.vm.instruction import Instruction, encode
from packetfs.vm.isa import OPCODES, Opcode

FILE = Path(__file__).parent / "llvm_encodings.txt"
LLVM_MC = next((path for name in ("llvm-mc-19", "llvm-mc-20", "llvm-mc-21") if (path := which(name))), None)
UNKNOWN = frozenset({"call local", "call btf"})
"""LLVM writes these as plain numbers and loses src; a call of a symbol that is defined is a local call."""


def samples() -> Iterator[str]:
    """Yield lines of our assembler: every instruction with two settings of its operands."""
    for row in OPCODES:
        if row.mnemonic not in UNKNOWN:
            for dst, src, offset, imm in ((1, 2, 3, 4), (9, 10, -32768, -2147483648)):
                yield line_of(encode(_sample(row, dst, src, offset, imm)), 0)


def _sample(row: Opcode, dst: int, src: int, offset: int, imm: int) -> Instruction:
    values = {"dst": dst, "src": src, "offset": offset, "imm": imm, "next_imm": imm + 1}
    fixed = {"src": row.src, "offset": row.offset, "imm": row.imm}
    fields = {name: value if name in row.used else fixed.get(name, 0) for name, value in values.items()}
    if row.mnemonic == "lddw" and row.src:
        fields["next_imm"] = 0  # LLVM's ld_pseudo takes imm alone
    if row.mnemonic == "call":
        fields["imm"] = abs(imm) % 1000
    if row.mnemonic == "ja32":
        fields["imm"] = offset  # LLVM prints 32 bits here, and reads 16
    return Instruction(row.code, **fields)


def ask() -> list[tuple[str, str, bytes]]:
    """Return for each sample our text, LLVM's text for our bytes, and LLVM's bytes for its text."""
    ours = list(samples())
    code = "\n".join(",".join(map(hex, assemble(line))) for line in ours)
    texts = [
        " ".join(line.split()) for line in _run("-disassemble", code).splitlines() if line.split(".text")[-1].strip()
    ]
    made = re.findall(r"encoding: \[([^]]*)\]", _run("-show-encoding", "\n".join(texts)))
    return list(zip(ours, texts, (bytes(int(byte, 16) for byte in part.split(",")) for part in made), strict=True))


def _run(option: str, text: str) -> str:
    command = [str(LLVM_MC), "-triple", "bpf", "-mcpu=v4", option]
    return subprocess.run(command, input=text + "\n", capture_output=True, text=True, check=True).stdout


def recorded() -> list[tuple[str, str, bytes]]:
    """Return the lines of the file: our text, LLVM's text, LLVM's bytes."""
    lines = [line.split(" | ", 2) for line in FILE.read_text().splitlines()]
    return [(ours, theirs, bytes.fromhex(code)) for ours, theirs, code in lines]


if __name__ == "__main__":
    FILE.write_text("".join(f"{line} | {text} | {code.hex()}\n" for line, text, code in ask()))
