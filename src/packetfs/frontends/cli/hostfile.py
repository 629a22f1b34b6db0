"""Files of this machine that a command reads or writes by itself: `-` is standard input, and outputs appear whole."""

from __future__ import annotations

import io
import os
import sys

from packetfs.contextlib import contextmanager
from packetfs.typing import Any, BinaryIO, Final, Iterator

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
        with _open(path, "wb", path) as file:
            yield file
        return
    draft = b"%s.%d.pfs-draft" % (path, os.getpid())
    try:
        with _open(draft, "xb", path) as file:
            yield file
        os.replace(draft, path)
    except BaseException:
        if os.path.lexists(draft):
            os.unlink(draft)
        raise


class _Named(io.FileIO):
    """A file whose errors name what was asked for, also those of writing; nobody asked for a draft."""

    def __init__(self, path: bytes, mode: str, asked: bytes) -> None:
        self._asked = asked
        with self._naming():
            super().__init__(path, mode)

    def write(self, data: Any) -> int:
        with self._naming():
            return super().write(data)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = self._asked
            raise


def _open(path: bytes, mode: str, asked: bytes) -> BinaryIO:
    return io.BufferedWriter(_Named(path, mode, asked))
