"""The one error boundary: whatever ends a command becomes one clear sentence, a remedy and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from packetfs.errors import (
    HostBroken,
    HostDenied,
    HostFailure,
    HostFull,
    HostMissing,
    InternalError,
    LibraryMissing,
    PacketFSError,
)
from packetfs.frontends import settings
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.output import Json, Output, OutputClosed
from packetfs.typing import Final

BY_ERRNO: Final[dict[int, type[HostFailure]]] = {
    errno.ENOENT: HostMissing,
    errno.EACCES: HostDenied,
    errno.EPERM: HostDenied,
    errno.EROFS: HostDenied,
    errno.ENOSPC: HostFull,
    errno.EDQUOT: HostFull,
    errno.EIO: HostBroken,
}


def guard(action: Callable[[], int], output: Output) -> int:
    """Run `action` and return the exit code of the process."""
    try:
        code = action()
        output.flush()
    except OutputClosed:
        _silence()
        return ExitCode.CLOSED
    except KeyboardInterrupt:
        _settle(output)
        output.warn("pfs: interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:  # the boundary: nothing may pass it as a traceback
        _settle(output)
        return _report(error, output)
    return code


def _settle(output: Output) -> None:
    """Write what was produced before the error, or give it up: Python must not fail over it while it exits."""
    try:
        output.flush()
    except (OSError, OutputClosed):
        _silence()


def _report(error: Exception, output: Output) -> int:
    if settings.wants_traceback():
        import traceback

        traceback.print_exception(error)
    known = translate(error)
    if output.json:
        fields: dict[str, Json] = {"code": known.exit_code, "error": type(known).__name__}
        output.warn_record("error", {**fields, "message": known.message, "hint": known.hint})
        return known.exit_code
    output.warn(f"pfs: {known.message}")
    if known.hint:
        output.warn(f"hint: {known.hint}")
    return known.exit_code


def translate(error: Exception) -> PacketFSError:
    """Return the error in PacketFS's own words; what is none of ours is a fault of the program and says so."""
    if isinstance(error, PacketFSError):
        return error
    if isinstance(error, OSError):
        return BY_ERRNO.get(error.errno or 0, HostFailure)(file=_file(error), reason=_reason(error))
    if isinstance(error, ImportError) and not (error.name or "").startswith("packetfs"):
        return LibraryMissing(name=error.name or "that PacketFS needs", reason=error.msg)
    if isinstance(error, MemoryError):
        return PacketFSError(reason="this machine has no memory left")
    return InternalError(kind=type(error).__name__, reason=str(error) or "no message")


def _file(error: OSError) -> object:
    names = [name for name in (error.filename, error.filename2) if name not in (None, "", b"")]
    return " and ".join(_word(name) for name in names) or "the system refused"


def _word(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()


def _silence() -> None:
    """Point stdout at nothing, or Python complains about the closed pipe while it exits."""
    if sys.stdout is None:
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
