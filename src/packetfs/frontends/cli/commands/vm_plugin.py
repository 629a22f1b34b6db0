"""Run one eBPF program, as conformance suites and fuzzers call a plugin: hex in, hex out.

Standard input has the program as a line of hex, MEM is the memory that it gets, as hex too: r1 = its address, or 0
where there is none, r2 = its length. r0 at the end goes to standard output as hex. An illegal program or a fault is a
message on standard error and an exit code that is not 0. A wrapper of one line makes this the plugin of
bpf_conformance_runner: `exec pfs vm-plugin "$@"`.
"""

from __future__ import annotations

import sys

from packetfs.dataclass import replace
from packetfs.engines.machines import choose
from packetfs.engines.options import COMPILING, ENGINES
from packetfs.errors import ProgramFaulted, UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.output import Output
from packetfs.limits import CODE_SLOTS_MAX, FUEL
from packetfs.typing import Final
from packetfs.vm.assembly import line_of
from packetfs.vm.image import load
from packetfs.vm.layout import FAULT_MEANING, ContextKind, Fault
from packetfs.vm.machine import Machine
from packetfs.vm.padding import pad
from packetfs.vm.program import Program
from packetfs.vm.single import run_single

EXAMPLES: Final = (
    ("echo 'b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00' | pfs vm-plugin", "prints 2a"),
    ("pfs vm-plugin '01 02' --program '71 10 01 00 00 00 00 00 95 00 00 00 00 00 00 00'", "the second byte"),
    ("xxd -p program.o | pfs vm-plugin --elf --engine interpreter", "an object of clang -target bpf, in Python"),
)
OPTIONS: Final = ()

_INPUT_MAX: Final = 16 * 1024 * 1024
"""Characters of hex: 65,536 slots with two blanks a byte are 2 MiB, and objects have debug information too."""


def declare(arguments: Arguments) -> None:
    """Add the memory, the program's form and the engine."""
    add = arguments.add
    add("memory", metavar="MEM", nargs="?", default="", help="bytes of the memory, as hex (default: none)")
    add("--engine", metavar="ENGINE", choices=ENGINES, default="auto", help=f"{', '.join(ENGINES)} (default: auto)")
    add(
        "--lane",
        metavar="N",
        type=int,
        default=0,
        help="the lane that the record takes, with --engine lanes (default: 0)",
    )
    add("--program", metavar="HEX", help="the program, instead of standard input")
    add("--elf", action="store_true", help="the program is an ELF object; section xdp gets Linux's xdp_md")
    add("--fuel", metavar="N", type=int, default=FUEL, help=f"instructions that it may execute (default: {FUEL:,})")
    add("--debug", action="store_true", help="taken for the runner's sake; changes nothing")


def run(options: Options, output: Output) -> int:
    """Run it and write r0."""
    if not 0 < options.fuel <= 1 << 56:
        raise UsageError(reason="--fuel takes 1 to 2**56")
    memory = _bytes(options.memory, "MEM")
    text = sys.stdin.read(_INPUT_MAX + 1) if options.program is None else options.program
    program = _program(_bytes(text, "the program"), elf=options.elf)
    ended = run_single(_machine(options), load(program), memory, fuel=options.fuel)
    if ended.fault != Fault.NONE:
        reason = FAULT_MEANING[ended.fault]
        if ended.fault in (Fault.ADDRESS, Fault.READ_ONLY):
            reason += f" ({ended.address:#x})"
        raise ProgramFaulted(slot=ended.pc, instruction=line_of(program.code, ended.pc), reason=reason)
    if options.engine == "lanes" and not dict(ended.ran)["lanes"]:
        output.warn("lanes do not run this program: the interpreter did")
    output.line(f"{ended.result:x}")
    return 0


def _machine(options: Options) -> Machine:
    machine = choose(options.engine)
    if options.engine in COMPILING:
        from packetfs.engines.compiled.cache import keep_code

        keep_code(settings.code_path())
    if options.engine != "lanes":
        return machine
    from packetfs.engines.lanes.machine import lane
    from packetfs.engines.lanes.shape import LANES as WIDTH

    if not 0 <= options.lane < WIDTH:
        raise UsageError(reason=f"--lane takes 0 to {WIDTH - 1}")
    return lane(options.lane)


def _bytes(text: str, what: str) -> bytes:
    if len(text) > _INPUT_MAX:
        raise UsageError(reason=f"{what} has more than {_INPUT_MAX} characters")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise UsageError(reason=f"{what} is not hex: {error}") from None


def _program(data: bytes, *, elf: bool) -> Program:
    if not elf:
        if len(data) > CODE_SLOTS_MAX * 8:
            raise UsageError(reason=f"a program has at most {CODE_SLOTS_MAX} slots of 8 bytes")
        return Program(pad(data), context=ContextKind.RAW)
    from packetfs.toolchain.elf import read_object  # what has no object does not pay for the reader
    from packetfs.toolchain.link import link

    program = link(read_object(data, "standard input"))
    raw = program.context == ContextKind.PACKETFS
    return replace(program, context=ContextKind.RAW) if raw else program
