"""A module of IR: what its programs share, then each program with what it calls."""

from __future__ import annotations

from packetfs.engines.ir.access import access
from packetfs.engines.ir.helpers import write_helpers
from packetfs.engines.ir.memory import write_memory, write_shared
from packetfs.engines.ir.program import called, lower
from packetfs.vm.image import Image


def shared(*, aligned: bool) -> str:
    """Return what stands once in a module. aligned: the processor has no accesses that are not."""
    return write_shared() + access(aligned=aligned)


def program(number: int, image: Image) -> str:
    """Return `@programNUMBER(ptr vm, i64 r1, i64 r2) -> i64`, with all that it calls.

    The caller has made sure that nothing is `helpers.missing`, and fills the state (text.STATE) that vm points to.
    """
    return write_memory(number, image) + write_helpers(number, image, called(image)) + lower(number, image)
