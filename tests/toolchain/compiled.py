"""Our C programs, compiled once for all tests of this directory. clang is a dependency of the tests: tools/setup."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from packetfs.toolchain.clang import compile_c, find_clang
from packetfs.toolchain.elf import Object, read_object

OBJECTS = Path(__file__).resolve().parent / "objects"


@cache
def compiled(name: str) -> bytes:
    """Return the object of a C file of `objects`."""
    assert find_clang() is not None, "there is no clang: run tools/setup as root, or `apt install clang-19 libbpf-dev`"
    return compile_c(str(OBJECTS / f"{name}.c"))


@cache
def read(name: str) -> Object:
    return read_object(compiled(name), f"{name}.o")
