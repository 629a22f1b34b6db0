"""What machine code follows from, so that code made before is found without making its IR or loading LLVM.

Code follows from the program and the size of its records, from the modules that write IR, from the C core whose fields
it reads, from LLVM, and from the processor. Modules and libraries are known by their sizes and times of change, as
Python knows its bytecode.
"""

from __future__ import annotations

import os
import struct

from packetfs.accel import native
from packetfs.importlib import find_spec
from packetfs.packet.digest import digest_of
from packetfs.typing import Final, Iterator
from packetfs.vm.image import Image

MANY: Final = "packetfs_records"
"""Runs records of a fixed size, one after the other."""
ONE: Final = "packetfs_record"
"""Runs the record at hand."""
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_WRITERS: Final = ("engines/lowering", "engines/compiled", "engines/lanes", "vm", "toolchain/python/backend.py")
_FILE: Final = struct.Struct("<QQ")
_SIZE: Final = struct.Struct("<Q")
_CPUINFO: Final = "/proc/cpuinfo"
_CPUINFO_READ: Final = 8192
"""Bytes that hold what is said of the first processor."""
_CHANGING: Final = (
    "processor", "cpu MHz", "bogomips", "BogoMIPS", "physical id", "core id", "apicid", "initial apicid", "siblings",
    "cpu cores", "microcode", "cache size",
)  # fmt: skip
"""Lines that say nothing of what a processor executes, and differ from one to the next or from time to time."""


def of_program(image: Image) -> bytes:
    """Return what names a program, whatever makes code of it: it costs a tenth of a recipe, which begins with it."""
    parts = (image.code, image.shared, repr((image.entry, int(image.context), image.maps, image.maps_bytes)).encode())
    return digest_of(b"".join(map(digest_of, parts)))


def recipe(image: Image, size: int) -> bytes:
    """Return what decides the code of a program for records of `size` bytes, 0 for those of any size."""
    return of_program(image) + digest_of(_makers()) + _SIZE.pack(size)


_makers_known: Final[list[bytes]] = []


def _makers() -> bytes:
    """Return what is known of all that makes code here; of this process alone where that cannot be found out."""
    if not _makers_known:
        try:
            _makers_known.append(b"".join(_known(path) for path in _files()) + processor().encode())
        except OSError:
            _makers_known.append(os.urandom(16))
    return _makers_known[0]


def _files() -> Iterator[str]:
    for place in _WRITERS:
        yield from _modules(os.path.join(_PACKAGE, place))
    yield str(getattr(native, "__file__", ""))
    found = find_spec("llvmlite")
    for folder in (found and found.submodule_search_locations) or ():
        yield os.path.join(folder, "_version.py")
        yield from _modules(os.path.join(folder, "binding"))


def _modules(place: str) -> Iterator[str]:
    """Yield a file, or the files in a directory, which are modules and shared libraries."""
    if not os.path.isdir(place):
        yield place
        return
    for name in sorted(os.listdir(place)):
        if not name.startswith("__pycache__"):
            yield os.path.join(place, name)


def _known(path: str) -> bytes:
    status = os.stat(path)
    return path.encode(errors="surrogateescape") + _FILE.pack(status.st_size, status.st_mtime_ns)


def processor() -> str:
    """Return what the processor is called and can do, as the kernel says it, or where it does not as LLVM does."""
    try:
        file = os.open(_CPUINFO, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        from packetfs.toolchain.python.backend import host

        return " ".join(host())
    try:
        text = os.read(file, _CPUINFO_READ).decode(errors="replace")
    finally:
        os.close(file)
    lines = (line for line in text.partition("\n\n")[0].splitlines() if not line.startswith(_CHANGING))
    return "\n".join((os.uname().machine, *lines))
