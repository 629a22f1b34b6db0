"""PacketFS: files are programs of 64-byte packets; a copy moves offsets, a read runs the program.

Programs in Python import their words from here (`from packetfs import program, Array, emit`); each is loaded when it is
first asked for, so that `pfs --version` pays for none of them.
"""

from __future__ import annotations

from packetfs.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packetfs.frontends.python.pool import Pool as Pool
    from packetfs.toolchain.allowed import between as between
    from packetfs.toolchain.allowed import length as length
    from packetfs.toolchain.allowed import one_of as one_of
    from packetfs.toolchain.python.decorator import program as program
    from packetfs.toolchain.python.language import ABORTED as ABORTED
    from packetfs.toolchain.python.language import AND as AND
    from packetfs.toolchain.python.language import DROP as DROP
    from packetfs.toolchain.python.language import FIRST as FIRST
    from packetfs.toolchain.python.language import LAST as LAST
    from packetfs.toolchain.python.language import MAX as MAX
    from packetfs.toolchain.python.language import MIN as MIN
    from packetfs.toolchain.python.language import NO_NUMBER as NO_NUMBER
    from packetfs.toolchain.python.language import OR as OR
    from packetfs.toolchain.python.language import PASS as PASS
    from packetfs.toolchain.python.language import REDIRECT as REDIRECT
    from packetfs.toolchain.python.language import SIGNED_MAX as SIGNED_MAX
    from packetfs.toolchain.python.language import SIGNED_MIN as SIGNED_MIN
    from packetfs.toolchain.python.language import SUM as SUM
    from packetfs.toolchain.python.language import TX as TX
    from packetfs.toolchain.python.language import XOR as XOR
    from packetfs.toolchain.python.language import Array as Array
    from packetfs.toolchain.python.language import Hash as Hash
    from packetfs.toolchain.python.language import Record as Record
    from packetfs.toolchain.python.language import Span as Span
    from packetfs.toolchain.python.language import emit as emit
    from packetfs.toolchain.python.language import i8 as i8
    from packetfs.toolchain.python.language import i16 as i16
    from packetfs.toolchain.python.language import i32 as i32
    from packetfs.toolchain.python.language import i64 as i64
    from packetfs.toolchain.python.language import u8 as u8
    from packetfs.toolchain.python.language import u16 as u16
    from packetfs.toolchain.python.language import u32 as u32
    from packetfs.toolchain.python.language import u64 as u64

__version__ = "0.1.0"

__all__ = (
    "ABORTED",
    "AND",
    "DROP",
    "FIRST",
    "LAST",
    "MAX",
    "MIN",
    "NO_NUMBER",
    "OR",
    "PASS",
    "REDIRECT",
    "SIGNED_MAX",
    "SIGNED_MIN",
    "SUM",
    "TX",
    "XOR",
    "Array",
    "Hash",
    "Pool",
    "Record",
    "Span",
    "between",
    "emit",
    "i8",
    "i16",
    "i32",
    "i64",
    "length",
    "one_of",
    "program",
    "u8",
    "u16",
    "u32",
    "u64",
)  # fmt: skip
"""What programs in Python are written with, and `Pool`, which opens a pool from Python."""


def __getattr__(name: str) -> object:
    if name == "program":
        from packetfs.toolchain.python.decorator import program as found

        return found
    if name == "Pool":
        from packetfs.frontends.python import pool

        return pool.Pool
    if name in __all__:
        from packetfs.toolchain.python import language

        return getattr(language, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
