"""Turn a program's text, as `pfs disasm` writes it, back into packets: the same bytes, 64 for each packet.

A text of packets begins with a word in capitals (HEAD, DATA, COPY ...); one that begins with anything else is eBPF:
directives (.context, .map, .entry) and instructions, as docs/isa.md lists them, and becomes a program for microVMs.
What `pfs run` takes as PROGRAM besides text (a shipped name, FILE.py, FILE.c or FILE.o, with :FUNCTION where there are
several) becomes a program file, too: it needs no compiler where it is run. A FILE.py is executed, as there.
With --run, write what the packets of a file produce instead: the file itself. COPY and TREE take their extents from the
pool. With --ptx, write the kernel that a program is on a GPU, one thread a record: text for ptxas and drivers. Helpers
that kernels do not have are named, and nothing is written.
"""

from __future__ import annotations

import re
from contextlib import ExitStack

from packetfs.errors import BadPacket, BadSource, UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.hostfile import open_source, replacing
from packetfs.frontends.cli.names import raw
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.programs import ThrowAwayStore, with_head
from packetfs.limits import PROGRAM_TEXT_MAX
from packetfs.packet.execute import execute
from packetfs.packet.layout import Mark
from packetfs.packet.text import assemble
from packetfs.packet.tree import Store
from packetfs.typing import Final, Iterable, Iterator

EXAMPLES: Final = (
    ("pfs disasm notes.txt > notes.pfs && pfs asm notes.pfs -o notes.bin", "to text and back to packets"),
    ("pfs disasm pfs:notes.txt | pfs asm --run", "through text to the file's own bytes"),
    ("echo 'FILL 10 x \"ab\"' | pfs asm --run", "run a program written by hand"),
    ("printf 'mov r0, 2\\nexit\\n' | pfs asm -o pass.bin", "a program for microVMs"),
    ("pfs asm count.py -o count.program && pfs run count.program notes.txt", "a program file from Python"),
    ("pfs asm --ptx sm_90 fnv | ptxas -arch=sm_90 - -o fnv.cubin", "a kernel for GPUs from Hopper on"),
)
OPTIONS: Final = ("pool",)


def declare(arguments: Arguments) -> None:
    """Add the text and the output."""
    add = arguments.add
    add(
        "text",
        metavar="TEXT",
        nargs="?",
        default="-",
        help="the text, or a program to be made (default: -, standard input)",
    )
    add("-o", "--output", metavar="OUT", help="write to this file instead of standard output")
    add("--run", action="store_true", help="run the program and write what it produces")
    add("--ptx", metavar="ARCH", help="write PTX for GPUs from there on: sm_75, sm_80, sm_90, sm_100, sm_120")


def run(options: Options, output: Output) -> int:
    """Assemble, and run where asked."""
    program = _assembled(options)
    if options.ptx is not None:
        _write([_kernel(program, options)], options, output)
    elif options.run:
        with ExitStack() as stack:
            _write(_produce(program, options, stack), options, output)
    else:
        _write([program], options, output)
    return 0


def _assembled(options: Options) -> bytes:
    """Return the packets that TEXT says, or that are made of what it names."""
    from packetfs.toolchain.sources import is_source

    if is_source(options.text):
        return _made(options)
    text = _text(options.text)
    return _program(text, options) if _is_ebpf(text) else _packets(text, _named(options))


def _kernel(packets: bytes, options: Options) -> bytes:
    from packetfs.engines.gpu.ptx import make_ptx  # LLVM's part is in a process of its own, and rarely asked for
    from packetfs.vm.image import load
    from packetfs.vm.program import decode_program, is_program

    name = _named(options)
    if not is_program(packets):
        raise UsageError(reason=f"{name} is no program for microVMs; only those become kernels")
    return make_ptx(load(decode_program(packets)), name, options.ptx)


def _packets(text: str, name: str) -> bytes:
    """Return the packets that lines describe; BadSource names the line that is wrong."""
    parts = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            parts.append(assemble((line,)))
        except BadPacket as error:
            reason = str(error.fields["reason"]).removeprefix("line 1: ").removeprefix("This is not a valid packet: ")
            raise BadSource(file=name, line=number, reason=reason) from None
    return b"".join(parts)


def _named(options: Options) -> str:
    return "standard input" if options.text == "-" else str(options.text)


def _made(options: Options) -> bytes:
    from packetfs.toolchain.sources import find_program
    from packetfs.vm.program import encode_program

    _refuse_run(options)
    return encode_program(find_program(options.text).program)


def _refuse_run(options: Options) -> None:
    if options.run:
        raise UsageError(reason=f"{options.text} is a program for microVMs; `pfs run` runs those")


def _is_ebpf(text: str) -> bool:
    words = (line.split(";", 1)[0].split() for line in text.splitlines())
    first = next((found[0] for found in words if found), "HEAD")
    return re.fullmatch("[A-Z]+", first) is None


def _program(text: str, options: Options) -> bytes:
    from packetfs.toolchain.text import read_program  # most texts are packets
    from packetfs.vm.program import encode_program

    _refuse_run(options)
    return encode_program(read_program(text, _named(options)))


def _text(name: str) -> str:
    with open_source(raw(name)) as file:
        data = file.read(PROGRAM_TEXT_MAX + 1)
    if len(data) > PROGRAM_TEXT_MAX:
        raise UsageError(reason=f"{name} has more than {PROGRAM_TEXT_MAX} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(reason=f"{name} is not a program's text: {error}") from None


def _write(pieces: Iterable[bytes], options: Options, output: Output) -> None:
    if options.output is None:
        for piece in pieces:
            output.write(piece)
        return
    with replacing(raw(options.output)) as file:
        for piece in pieces:
            file.write(piece)


def _produce(program: bytes, options: Options, stack: ExitStack) -> Iterator[bytes]:
    """Run the program; the pool is opened only when something in it is needed."""
    opened: list[Store] = []

    def behind() -> Store:
        if not opened:
            from packetfs.frontends.cli.opening import open_pool  # most programs by hand need no pool

            opened.append(stack.enter_context(open_pool(options)))
        return opened[0]

    store = ThrowAwayStore(behind=behind)
    return execute(store, store.put(with_head(program), mark=Mark.PROGRAM))
