"""Python files that hold programs: executed once, so that their maps and constants have values."""

from __future__ import annotations

import os
import sys
import traceback
from types import FunctionType, ModuleType

from packetfs.errors import NotTranslatable, UnknownProgram
from packetfs.toolchain.python.decorator import PythonProgram

_MODULE = "packetfs_program"
"""The name under which a file is executed: not __main__, so that its own `if __name__` part does not run."""


def find_program(path: str, function: str | None) -> PythonProgram:
    """Return the program of a file, or its function of that name; NotTranslatable when the file itself fails."""
    found = vars(_execute(path))
    programs = {each.name: each for each in found.values() if isinstance(each, PythonProgram) and _is_own(each)}
    names = ", ".join(sorted(programs))
    if function is not None:
        named = found.get(function)
        if isinstance(named, PythonProgram):
            return named
        if isinstance(named, FunctionType):
            return PythonProgram(named)
        raise UnknownProgram(name=f"{path}:{function}", reason=f"the file has {names or 'no function of that name'}")
    if len(programs) == 1:
        return programs.popitem()[1]
    reason = f"name one of {names} behind a colon" if programs else "no function has @program"
    raise UnknownProgram(name=path, reason=reason)


def _is_own(program: PythonProgram) -> bool:
    return program.function.__module__ == _MODULE


def _execute(path: str) -> ModuleType:
    """Execute a file, with its directory searched for what it imports, as Python does for scripts."""
    module = ModuleType(_MODULE)
    module.__file__ = path
    directory = os.path.dirname(os.path.abspath(path))
    sys.modules[_MODULE] = module
    before = list(sys.path)
    sys.path.insert(0, directory)
    try:
        with open(path, "rb") as file:
            text = file.read()
        exec(compile(text, path, "exec"), vars(module))  # noqa: S102  # the user's own program
    except (Exception, SystemExit) as error:  # whatever the user's file raises is told with its place
        raise NotTranslatable(file=path, line=_line(error, path), reason=_reason(error)) from None
    finally:
        sys.path[:] = before
    return module


def _line(error: BaseException, path: str) -> int:
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return lines[-1] if lines else 0


def _reason(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
