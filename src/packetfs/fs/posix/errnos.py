"""Errors of the layers below as POSIX knows them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from packetfs.errors import PacketFSError, PoolAccess, PoolBusy, PoolFull, PoolReadOnly
from packetfs.typing import Final, NoReturn, Protocol, TypeVar

_NUMBERS: Final[tuple[tuple[type[PacketFSError], int], ...]] = (
    (PoolFull, errno.ENOSPC),
    (PoolReadOnly, errno.EROFS),
    (PoolAccess, errno.EACCES),
    (PoolBusy, errno.EBUSY),
)
P = ParamSpec("P")
R = TypeVar("R")


class Writes(Protocol):
    """What knows whether it may change anything."""

    @property
    def writable(self) -> bool: ...

    def changed(self) -> None:
        """Count a change that was made."""

    def failed(self) -> None:
        """Look whether more than one operation failed."""


S = TypeVar("S", bound=Writes)
T = TypeVar("T")


def fail(number: int) -> NoReturn:
    """Raise the error that POSIX has under a number."""
    raise OSError(number, os.strerror(number))


def as_os_error(error: PacketFSError) -> OSError:
    """Return what an error of the pool is for a caller of POSIX: damage of any kind is EIO."""
    number = next((number for kind, number in _NUMBERS if isinstance(error, kind)), errno.EIO)
    return OSError(number, error.message)


def looks(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """Let an operation that only looks raise nothing but OSError."""

    @wraps(method)
    def run(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except PacketFSError as error:
            raise as_os_error(error) from error

    return run


def changes(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The same for one that changes something: refused where nothing may be written, and counted where done."""

    @wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not self.writable:
            fail(errno.EROFS)
        try:
            result = method(self, *args, **kwargs)
            self.changed()
        except PacketFSError as error:
            self.failed()
            raise as_os_error(error) from error
        return result

    return run


def later(job: Callable[[], R]) -> Callable[[], R]:
    """Let what is called after its operation has returned raise nothing but OSError."""

    def run() -> R:
        try:
            return job()
        except PacketFSError as error:
            raise as_os_error(error) from error

    return run
