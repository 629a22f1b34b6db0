"""The one error boundary: whatever ends a command becomes one clear sentence, a remedy and an exit code."""

from __future__ import annotations

import os
import sys

from packetfs.errors import PacketFSError
from packetfs.frontends import settings
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.output import Json, Output, OutputClosed
from packetfs.typing import Callable


def guard(action: Callable[[], int], output: Output) -> int:
    """Run `action` and return the exit code of the process."""
    try:
        code = action()
        output.flush()
    except OutputClosed:
        _silence()
        return ExitCode.CLOSED
    except KeyboardInterrupt as ended:
        _settle(output)
        output.warn("pfs: interrupted")
        return getattr(ended, "exit_code", ExitCode.INTERRUPTED)
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
    known = error if isinstance(error, PacketFSError) else _translated(error)
    if output.json:
        fields: dict[str, Json] = {"code": known.exit_code, "error": type(known).__name__}
        output.warn_record("error", {**fields, "message": known.message, "hint": known.hint})
        return known.exit_code
    output.warn(f"pfs: {known.message}")
    if known.hint:
        output.warn(f"hint: {known.hint}")
    return known.exit_code


def _translated(error: Exception) -> PacketFSError:
    from packetfs.errors.system import translate  # only mistakes pay for it

    return translate(error)


def _silence() -> None:
    """Point stdout at nothing, or Python complains about the closed pipe while it exits."""
    if sys.stdout is None:
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
