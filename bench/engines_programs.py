"""The programs of bench/engines.py, each with what it must not take longer than, and uBPF's published figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from packetfs.vm.assembly import assemble
from packetfs.vm.image import Image, load
from packetfs.vm.layout import ContextKind
from packetfs.vm.program import Program

RECORD: Final = 64


@dataclass(frozen=True, slots=True)
class Timed:
    """A program that gets a record's address in r1 and its length in r2. bound: ns a record, None: only told."""

    name: str
    about: str
    text: str
    bound: float | None = None

    def image(self) -> Image:
        return load(Program(assemble(self.text), (), ContextKind.RAW))


_WORDS: Final = "\n".join(f"ldxdw r3, [r1+{at}]\n add r0, r3" for at in range(8, RECORD, 8))
PROGRAMS: Final = (
    Timed(
        "filter", "7 instructions, 2 fields, 1 record in 37 falls out",
        """mov r0, 0\n ldxb r3, [r1+12]\n jgt r3, 250, out\n ldxh r4, [r1+14]\n jgt r4, 65000, out
        mov r0, 2\n out: exit""", 1.0,
    ),
    Timed("sum", "16 instructions, 8 words", f"ldxdw r0, [r1+0]\n {_WORDS}\n exit", 2.0),
    Timed(
        "fnv", "FNV-1a over 64 bytes, a loop of 5 instructions a byte",
        """lddw r0, 0xcbf29ce484222325\n lddw r5, 0x100000001b3\n mov r4, r1\n add r4, r2
        again: ldxb r3, [r1+0]\n xor r0, r3\n mul r0, r5\n add r1, 1\n jlt r1, r4, again\n exit""", 30.0,
    ),
    Timed(
        "toss", "7 instructions, 2 fields, half of the records take each way",
        """mov r0, 1\n ldxb r3, [r1+3]\n jgt r3, 127, out\n mov r0, 2\n ldxh r4, [r1+40]\n jlt r4, 20000, out
        mov r0, 0\n out: exit""",
    ),
    Timed(
        "parse", "5 branches on header fields",
        """mov r0, 2\n ldxh r3, [r1+12]\n jeq r3, 8, out\n mov r0, 1\n ldxb r4, [r1+14]\n and r4, 15\n jlt r4, 5, out
        ldxb r5, [r1+23]\n jeq r5, 17, out\n mov r0, 0\n jne r5, 6, out\n mov r0, 2\n ldxh r4, [r1+36]
        jne r4, 443, out\n mov r0, 3\n out: exit""",
    ),
    Timed(
        "mix", "splitmix64 of one word: two multiplications",
        """ldxdw r0, [r1+8]\n mov r3, r0\n rsh r3, 30\n xor r0, r3\n lddw r4, 0xbf58476d1ce4e5b9\n mul r0, r4
        mov r3, r0\n rsh r3, 27\n xor r0, r3\n lddw r4, 0x94d049bb133111eb\n mul r0, r4
        mov r3, r0\n rsh r3, 31\n xor r0, r3\n and r0, 3\n exit""",
    ),
)  # fmt: skip
