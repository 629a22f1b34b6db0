"""C source to an object, by the machine's clang in a child process with a time limit."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from packetfs.errors import CompileFailed, NoCompiler
from packetfs.limits import C_SECONDS, OBJECT_BYTES_MAX
from packetfs.toolchain import header
from packetfs.typing import Final, Iterator

CPU: Final = "v4"
"""LLVM's name for all of RFC 9669: signed division, 32-bit jumps, sign-extending loads, byte swaps."""
_OLDER_CPU: Final = "v3"
_NEW: Final = tuple(f"clang-{version}" for version in range(30, 17, -1))
_OLD: Final = tuple(f"clang-{version}" for version in range(17, 13, -1))
_NAMES: Final = (*_NEW, "clang", *_OLD)
"""Newest first. 18 is the first that knows v4, and what a system calls `clang` may be older than one beside it."""
_ERROR: Final = re.compile(r"^(?P<where>.+?:\d+:\d+): (?:fatal )?error: (?P<what>.+)$", re.MULTILINE)
_WRONG: Final = re.compile(r"error: (?P<what>.+)$", re.MULTILINE)
_MESSAGE_MAX: Final = 300
"""Characters of a compiler's message that are shown."""


def find_clang() -> str | None:
    """Return the path of the newest clang that is installed; None where there is none."""
    return next((found for found in map(shutil.which, _NAMES) if found is not None), None)


def compile_c(file: str, *, cpu: str = CPU, include: tuple[str, ...] = ()) -> bytes:
    """Return the object that clang makes of a C file; CompileFailed names file and line, NoCompiler the file.

    `include`: directories that are searched before those of the system. `packetfs.h` is always found. A clang that
    does not know `cpu` compiles for v3.
    """
    clang = find_clang()
    if clang is None:
        raise NoCompiler(file=file)
    with tempfile.TemporaryDirectory(prefix="packetfs-c-") as room:
        Path(room, header.NAME).write_text(header.header())
        Path(room, "gnu").mkdir()
        Path(room, "gnu", "stubs-32.h").touch()  # glibc's headers ask for it, as eBPF is none of its machines
        target = Path(room, "program.o")
        for version in (cpu, _OLDER_CPU):
            command = [clang, *_flags(version, include, room), "-o", str(target), "--", os.path.abspath(file)]
            ended = _run(command, file)
            if b"unknown target CPU" not in ended.stderr:
                break
        if ended.returncode:
            raise CompileFailed(file=file, reason=_reason(ended.stderr.decode(errors="replace"), file))
        with target.open("rb") as written:
            return written.read(OBJECT_BYTES_MAX + 1)


def _flags(cpu: str, include: tuple[str, ...], room: str) -> Iterator[str]:
    yield from ("-target", "bpf", f"-mcpu={cpu}", "-O2", "-g", "-c", "-fno-stack-protector", "-fno-color-diagnostics")
    yield from (f"-I{directory}" for directory in include)
    yield from ("-idirafter", room)
    # <linux/bpf.h> includes <asm/types.h>, which Debian keeps in a directory that only native targets search.
    yield from ("-idirafter", f"/usr/include/{platform.machine()}-linux-gnu")


def _run(command: list[str], file: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603 (a compiler of this machine, no shell)
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=C_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CompileFailed(file=file, reason=f"clang took more than {C_SECONDS:.0f} seconds") from None
    except OSError as error:
        raise CompileFailed(file=file, reason=f"{command[0]} does not start: {error.strerror}") from None


def _reason(said: str, file: str) -> str:
    """Return the first error of the compiler's output, with file and line where it names them."""
    found = _ERROR.search(said)
    if found:
        where = found["where"].removeprefix(os.path.abspath(file)).lstrip(":")
        what = f"{'line ' if where[:1].isdigit() else ''}{where}: {found['what']}"
    else:
        wrong = _WRONG.search(said)
        what = wrong["what"] if wrong else said.strip().splitlines()[-1] if said.strip() else "clang failed"
    return what[:_MESSAGE_MAX]
