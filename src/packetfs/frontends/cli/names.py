"""Names are bytes: how they come from the command line, and how they are shown to people and in JSON."""

from __future__ import annotations

import os

from packetfs.errors import UsageError

PREFIX = b"pfs:"


def raw(argument: str) -> bytes:
    """Return the bytes that the user typed."""
    return os.fsencode(argument)


def pool_name(argument: str) -> bytes:
    """Return a path inside the pool: `pfs:` and slashes around it are optional; `b""` is the pool's root."""
    if not argument:
        raise UsageError(reason="an empty path; write pfs: for the pool's root")
    name = raw(argument).removeprefix(PREFIX)
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise UsageError(reason=f"{argument!r}: paths inside a pool have no '..'")
    return b"/".join(parts)


def text(name: bytes) -> str:
    """Return a name as a string that gives the same bytes back when it is written."""
    return name.decode("utf-8", "surrogateescape")


def printable(name: bytes | str) -> str:
    """Return a name that is safe on a terminal: control characters and broken UTF-8 are shown as escapes."""
    shown = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return shown if shown.isprintable() else "".join(map(_escape, shown))


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")


def path_fields(path: bytes, key: str = "path") -> dict[str, str]:
    """Return the JSON fields of a path: as text, and exactly (in hexadecimal) where it is not valid UTF-8."""
    try:
        return {key: path.decode("utf-8")}
    except UnicodeDecodeError:
        return {key: path.decode("utf-8", "replace"), f"{key}_hex": path.hex()}
