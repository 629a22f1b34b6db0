"""A daemon's Unix socket: who connects is known by the kernel, and must be the daemon's own user, or root.

Open files pass through it, so that content which lies in one is told by offset (handing.py).
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import stat
import struct

from packetfs.errors import NoDaemon, NotGranted, NotListening, PacketFSError
from packetfs.limits import PATIENCE
from packetfs.net.access.rights import Rights
from packetfs.net.link.stream import PipeStream, await_room
from packetfs.packet.layout import Buffer
from packetfs.typing import Final

_CREDENTIALS: Final = struct.Struct("iII")
"""struct ucred: pid, uid, gid."""
_INT: Final = array.array("i").itemsize
_ROOM: Final = socket.CMSG_SPACE(_INT)
"""Room for the one descriptor that comes at a time: the kernel closes what is beyond it."""


class UnixStream(PipeStream):
    """A connected Unix socket."""

    def __init__(self, connected: socket.socket, patience: float = PATIENCE) -> None:
        self._socket = connected
        self._ending: PacketFSError | None = None
        self._handed: int | None = None
        super().__init__(connected.fileno(), connected.fileno(), patience)

    def read_into(self, view: memoryview) -> int:
        count = self._receive(view)
        if not count and self._ending is not None:
            reason, self._ending = self._ending, None
            raise reason
        return count

    def _receive(self, view: memoryview) -> int:
        while True:
            try:
                count, ancillary, _, _ = self._socket.recvmsg_into([view], _ROOM, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                if not self.hears(self.patience):
                    raise TimeoutError from None
                continue
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self._keep(array.array("i", data[: len(data) // _INT * _INT]))
            return count

    def _keep(self, descriptors: array.array[int]) -> None:
        """Keep the last file that came: a peer hands one over at a time, and waits for nothing."""
        for descriptor in descriptors:
            if self._handed is not None:
                os.close(self._handed)
            self._handed = descriptor

    def hand(self, descriptor: int, parts: list[Buffer]) -> None:
        frame = b"".join(parts)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        while True:
            try:
                count = self._socket.sendmsg([frame], rights)
                break
            except BlockingIOError:
                await_room(self._writable, self._reading, self.patience)
        self.write([memoryview(frame)[count:]])

    def handed(self) -> int | None:
        found, self._handed = self._handed, None
        return found

    def end(self, reason: PacketFSError) -> None:
        """Let whoever reads from this stream meet `reason`, once: called from another thread."""
        self._ending = reason
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        if (left := self.handed()) is not None:
            os.close(left)
        self._socket.close()


class UnixGuest:
    """A process of this machine."""

    def __init__(self, stream: UnixStream, uid: int) -> None:
        self.stream = stream
        self._uid = uid

    def rights(self) -> Rights:
        """Return the daemon's own: its user could do all that without it."""
        if self._uid not in (0, os.geteuid()):
            raise NotGranted(name=f"user {self._uid}", action="use", path="this socket")
        return Rights(f"user {self._uid}")

    def check(self) -> None:
        """The daemon's own user stays what it is."""


class UnixDoor:
    """A socket in the filesystem, for its owner only; one that a dead daemon left is replaced."""

    def __init__(self, path: str) -> None:
        self.address = path
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _bind(self.listening, path)
        except OSError as error:
            self.listening.close()
            raise NotListening(address=path, reason=error.strerror or str(error)) from None

    def admit(self, raw: socket.socket, peer: str) -> UnixGuest:  # noqa: ARG002 (the kernel knows better)
        found = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return UnixGuest(UnixStream(raw), _CREDENTIALS.unpack(found)[1])


def _bind(listening: socket.socket, path: str) -> None:
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:  # a file that is no socket refuses too
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)  # nobody listens there any more
    before = os.umask(0o177)
    try:
        listening.bind(path)
    finally:
        os.umask(before)
    listening.listen()


def visit(path: str) -> UnixStream:
    """Connect to a daemon of this machine."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(path)
    except OSError as error:
        connected.close()
        raise NoDaemon(peer=path, reason=error.strerror or str(error)) from None
    return UnixStream(connected)
