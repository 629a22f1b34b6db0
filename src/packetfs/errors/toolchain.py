"""What can be wrong with the source of a program."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError
from packetfs.errors.vm import BadAssembly


class ProgramFaulted(PacketFSError):
    """The program faulted at slot {slot} ({instruction}): {reason}"""

    hint = "docs/vm.md says what each fault means."


class BadObject(PacketFSError, ValueError):
    """{file}: {reason}"""

    exit_code = 13
    hint = "Compile it with `clang -target bpf -O2 -g`, or hand `pfs` the C source itself."


class CompileFailed(PacketFSError, ValueError):
    """{file} cannot be compiled: {reason}"""

    exit_code = 2
    hint = "The message is the compiler's; PacketFS has not run anything."


class BadSource(BadAssembly):
    """{file}, line {line}: {reason}"""

    exit_code = 2
    hint = "docs/isa.md lists the instructions, docs/programs.md the directives, docs/format.md the packets."


class NoCompiler(PacketFSError):
    """{file} is C, and there is no clang on this machine to compile it."""

    exit_code = 17
    hint = "Install clang (apt install clang), or compile on another machine: objects and programs run without it."


class NotTranslatable(PacketFSError, ValueError):
    """{file}, line {line}: {reason}"""

    exit_code = 2
    hint = "docs/programs.md says what programs in Python may use."


class TranslationFailed(PacketFSError):
    """{name} could not be translated to eBPF: {reason}"""

    exit_code = 2
    hint = "Make the function smaller, or use fewer variables at a time: a function has 512 bytes of stack."


class BadArgument(PacketFSError, ValueError):
    """The argument {name} of {program}: {reason}"""

    exit_code = 2
    hint = "`pfs programs PROGRAM` lists its arguments and what they take; they are written --arg NAME=VALUE."


class UnknownProgram(PacketFSError, LookupError):
    """There is no program {name}: {reason}"""

    exit_code = 4
    hint = "`pfs programs` lists those that come with PacketFS; others are files: .py, .c, .o, .s, or program files."
