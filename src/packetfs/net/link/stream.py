"""What carries the frames: bytes in both directions over two pipes or one socket, and a peer that must go on living.

No call waits for ever. A read ends when nothing came for `patience` seconds; a write, when for so long nothing went out
and nothing came in. A peer that computes for long says so by heartbeats (pulse.py), which count as life.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import termios

from packetfs.limits import PATIENCE
from packetfs.net.wire.batch import Origin
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, Protocol

_PIPE_SIZE: Final = 1 << 20
_PARTS: Final = 512
"""Parts that one call writes: the kernel takes 1,024."""
_SOON: Final = 0.1
"""Seconds that room is awaited before it matters whether the peer lives: to ask for that costs more than the wait."""


class Stream(Protocol):
    """Bytes to and from a peer. Errors are OSErrors; TimeoutError where the peer shows no life."""

    @property
    def patience(self) -> float:
        """Seconds that are waited."""

    def read_into(self, view: memoryview) -> int:
        """Read at least one byte and return how many; 0 at the end."""

    def write(self, parts: list[Buffer]) -> None:
        """Write all parts."""

    def write_from(self, origin: Origin, parts: list[Buffer]) -> None:
        """Write parts that also lie in a file, from where it is cheaper."""

    def hears(self, seconds: float) -> bool:
        """Tell whether there is something to read, or the end, within some seconds."""


class HandingStream(Stream, Protocol):
    """A stream between two processes of one machine, which open files pass through too."""

    def hand(self, descriptor: int, parts: list[Buffer]) -> None:
        """Write all parts; with the first byte of them the other side gets the file."""

    def handed(self) -> int | None:
        """Return a file that came with what was read, once, for the caller to close."""


class PipeStream:
    """Two descriptors: pipes, a socket, or files in tests. They are not blocking while this is open."""

    def __init__(self, reading: int, writing: int, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._reading, self._writing = reading, writing
        self._is_empty = False
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(reading, select.POLLIN)
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        self._writable.register(writing, select.POLLOUT)

    def read_into(self, view: memoryview) -> int:
        while True:
            if self._is_empty and not self.hears(self.patience):
                raise TimeoutError
            try:
                count = os.readv(self._reading, [view])
            except BlockingIOError:
                self._is_empty = True
                continue
            self._is_empty = 0 < count < len(view)  # it is not tried: an attempt that fails costs as much as one more
            return count

    def write(self, parts: list[Buffer]) -> None:
        views = [memoryview(part) for part in parts if len(part)]
        while views:
            try:
                count = os.writev(self._writing, views[:_PARTS])
            except BlockingIOError:
                await_room(self._writable, self._reading, self.patience)
                continue
            while views and count >= len(views[0]):
                count -= len(views.pop(0))
            if views:
                views[0] = views[0][count:]
                await_room(self._writable, self._reading, self.patience)

    def write_from(self, origin: Origin, parts: list[Buffer]) -> None:
        """Write parts that also lie in a file: out of the page cache, which spares two copies of them.

        What the file cannot give comes from memory: it may have shrunk, and not all of them can be spliced. Should it
        have other bytes by now, the receiver's root tells, as with any file that changes while it is sent.
        """
        at, end = origin.offset, origin.offset + sum(map(len, parts))
        while at < end:
            try:
                count = os.splice(origin.descriptor, self._writing, end - at, offset_src=at)
            except BlockingIOError:
                await_room(self._writable, self._reading, self.patience)
                continue
            except OSError:
                break
            if not count:
                break
            at += count
            if at < end:
                await_room(self._writable, self._reading, self.patience)
        if at < end:
            self.write([memoryview(b"".join(parts))[at - origin.offset :]])

    def hears(self, seconds: float) -> bool:
        return bool(self._readable.poll(seconds * 1000))


def await_room(writable: select.poll, reading: int, patience: float) -> None:
    """Wait until the peer takes more; TimeoutError when it neither does so nor says anything meanwhile."""
    if writable.poll(_SOON * 1000):
        return
    heard = _waiting(reading)
    while not writable.poll(patience * 1000):
        before, heard = heard, _waiting(reading)
        if before == heard:
            raise TimeoutError


def _waiting(descriptor: int) -> int:
    """Return the bytes that wait to be read: heartbeats of a peer that computes gather there."""
    count = array.array("i", [0])
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
