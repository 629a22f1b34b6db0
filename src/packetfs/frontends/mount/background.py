"""A server in the background: the caller waits until the mount is up, and leaves with its exit code otherwise."""

from __future__ import annotations

import os

from packetfs.typing import Final

_UP: Final = b"\1"


class Background:
    """Made where one process becomes two: nothing of a pool may be open then, as SQLite must not be carried over."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        self._child = os.fork()
        self.is_caller: Final = self._child != 0
        os.close(self._write if self.is_caller else self._read)
        if not self.is_caller:
            os.setsid()

    def wait(self) -> int:
        """Return 0 once the mount is up, else the exit code of the server, which has said why."""
        told = os.read(self._read, 1)
        os.close(self._read)
        if told == _UP:
            return 0
        _, status = os.waitpid(self._child, 0)
        return os.waitstatus_to_exitcode(status) or 1

    def release(self) -> None:
        """Let the caller go, and keep nothing of its: no terminal, no directory."""
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        if null > 2:
            os.close(null)
        os.write(self._write, _UP)
        os.close(self._write)
