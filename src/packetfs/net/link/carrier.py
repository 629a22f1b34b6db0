"""How the far side is reached: a child process whose stdin and stdout carry the frames, or a daemon.

For another host the child is ssh (or the user's `-e` command) and runs `pfs serve --stdio` there, behind two pipes; for
this host it is another Python process, so that both cores work and one code path is all there is. That one has a Unix
socket, through which large content is handed over by offset, and a process group: Ctrl-C at the terminal is for this
side alone, the other one ends with the connection.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from packetfs.errors import Disconnected, Unreachable
from packetfs.net.job import Endpoint, Job
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.paced import Pace
from packetfs.net.link.pulse import Pulse
from packetfs.net.link.stream import PipeStream
from packetfs.net.link.unix import UnixStream
from packetfs.typing import Final, Protocol, Self

_LOCAL: Final = (sys.executable, "-m", "packetfs", "serve", "--stdio")
_SSH: Final = ("ssh",)
_PATIENCE: Final = 10.0
"""Seconds that a far side has to end by itself after the connection was closed."""


class Carrying(Protocol):
    """An open way to a far side."""

    channel: FrameChannel

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def reach(job: Job, far: Endpoint) -> Carrying:
    """Return the way to one side of a job."""
    way: Carrying
    if far.daemon:
        from packetfs.net.link.visitor import Visitor  # TLS is for those who use it

        way = Visitor(far.host or "", job.keys)
    else:
        way = Carrier(far.host, job.shell, job.far_command)
    if job.rate and far.host is not None:
        way.channel.keep_to(Pace(job.rate))
    return way


class Carrier:
    """A running far side and the channel to it."""

    def __init__(self, host: str | None, shell: tuple[str, ...] | None, far_command: str) -> None:
        self.peer = host or ""
        command = _LOCAL if host is None else (*(shell or _SSH), host, f"{far_command} serve --stdio")
        if shell is not None and host is not None:
            command = (*shell, host, *shlex.split(far_command), "serve", "--stdio")
        self._stream: UnixStream | ChildStream
        try:
            self._process, self._stream = _start_here(command) if host is None else _start_there(command)
        except OSError as error:
            raise Unreachable(peer=host or "the other process", reason=f"{command[0]}: {error.strerror}") from None
        self.channel = FrameChannel(self._stream, self.peer)
        self._pulse = Pulse(self.channel)

    def __enter__(self) -> Self:
        self._pulse.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pulse.__exit__(kind, error, at)
        self._stream.close()
        try:
            self._process.wait(_PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()
        if isinstance(error, Disconnected) and not self.channel.received:
            reason = "pfs is not installed there, or not on its PATH (--far-command says where it is)"
            if self._process.returncode not in (126, 127):
                reason = f"the command that should have reached it ended with exit code {self._process.returncode}"
            raise Unreachable(peer=self.peer or "the other process", reason=reason) from None


def _start_here(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], UnixStream]:
    near, far = socket.socketpair()
    with far:
        try:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                command, stdin=far.fileno(), stdout=far.fileno(), process_group=0
            )
        except OSError:
            near.close()
            raise
    return process, UnixStream(near)


def _start_there(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], ChildStream]:
    process = subprocess.Popen(  # noqa: S603 (the user's own command, no shell)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    return process, ChildStream(process)


class ChildStream(PipeStream):
    """The pipes of a child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 (PIPE was asked for)
        assert process.stdout is not None  # noqa: S101
        self._pipes = (process.stdin, process.stdout)
        super().__init__(process.stdout.fileno(), process.stdin.fileno())

    def close(self) -> None:
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.close()
