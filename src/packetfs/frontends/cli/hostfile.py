"""Files of this machine that a command reads or writes by itself: `-` is standard input, and outputs appear whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from packetfs.typing import BinaryIO, Final

STDIN: Final = b"-"


@contextmanager
def open_source(name: bytes) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `-`."""
    if name != STDIN:
        with open(name, "rb") as file:
            yield file
    elif sys.stdin is None:
        raise FileNotFoundError(2, "No such file", "standard input")
    else:
        yield sys.stdin.buffer


@contextmanager
def replacing(path: bytes) -> Iterator[BinaryIO]:
    """Write a file that takes its name only when it is whole; devices and pipes are written as they are."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
        return
    draft = b"%s.%d.pfs-draft" % (path, os.getpid())
    try:
        with _create(draft, path) as file:
            yield file
        os.replace(draft, path)
    except BaseException:
        if os.path.lexists(draft):
            os.unlink(draft)
        raise


def _create(draft: bytes, path: bytes) -> BinaryIO:
    """Create the draft of a file; an error names the file, as nobody asked for the draft."""
    try:
        return open(draft, "xb")
    except OSError as error:
        error.filename = path
        raise
