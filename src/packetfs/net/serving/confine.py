"""Where a peer's path leads, within its rights: nothing that it put there, or swaps meanwhile, leads outside.

The directory is opened without following a symbolic link and then named by its descriptor, so that it stays the same
one whatever becomes of the names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from packetfs.dataclass import replace
from packetfs.errors import GrantMissing, NothingThere, UnsafePath
from packetfs.fs.host.beneath import Beneath
from packetfs.net.access.rights import Grant, Rights, clean
from packetfs.net.ends import Place
from packetfs.typing import Final

_NOWHERE: Final = b"/dev/null/nothing"
"""A path at which nothing can be: what a dry run finds where it must not make a directory."""


@contextmanager
def confined(place: Place, rights: Rights, *, write: bool, single: bool = False, make: bool = False) -> Iterator[Place]:
    """Yield `place` as the peer may use it; NotGranted, UnsafePath. `make`: directories that are missing are made."""
    if rights.grants is None:
        yield place
        return
    path = clean(place.path)
    if place.pool:
        inside = path.lstrip(b"/")
        grant = rights.grant(inside, in_pool=True, write=write)
        slash = b"/" if place.path.endswith(b"/") and inside else b""
        yield replace(place, path=inside + slash, limited=bool(grant.path))
        return
    grant = rights.grant(path, in_pool=False, write=write)
    with _open(grant) as host:
        rest = path[len(grant.path.rstrip(b"/")) :].lstrip(b"/")
        single = single and not place.path.endswith(b"/")
        directory, leaf = _settle(host, rest, make, single) if write else _look(host, rest)
        if write and leaf and not single:
            raise UnsafePath(path=path, reason="it is not a directory")
        key = os.path.join(os.path.realpath(grant.path), rest)
        handle = b"/proc/self/fd/%d/." % host.directory(directory) if directory is not None else _NOWHERE
        yield replace(place, path=handle, leaf=leaf, key=key, asked=path)


@contextmanager
def _open(grant: Grant) -> Iterator[Beneath]:
    try:
        host = Beneath(grant.path)
    except (FileNotFoundError, NotADirectoryError):
        raise GrantMissing(path=grant.path) from None
    with host:
        yield host


def _look(host: Beneath, rest: bytes) -> tuple[bytes | None, bytes]:
    """Return the directory that a source is, or the one that holds it and its name."""
    try:
        is_directory = stat.S_ISDIR(host.lstat(rest).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise NothingThere(path=rest) from None
    parent, _, name = rest.rpartition(b"/")
    return (rest, b"") if is_directory else (parent, name)


def _settle(host: Beneath, rest: bytes, make: bool, single: bool) -> tuple[bytes | None, bytes]:
    """Return the directory that a target is, made if it may be; where it is a file, or is to be, parent and name."""
    at = b""
    names = rest.split(b"/") if rest else []
    for number, name in enumerate(names):
        below = at + b"/" + name if at else name
        try:
            is_directory = stat.S_ISDIR(host.lstat(below).st_mode)
        except FileNotFoundError:
            if single and number == len(names) - 1:
                return at, name
            if not make:
                return None, b""
            host.mkdir(below, 0o777)
            is_directory = True
        if not is_directory:
            if number == len(names) - 1:
                return at, name
            raise UnsafePath(path=rest, reason=f"{below.decode('utf-8', 'replace')} is not a directory")
        at = below
    return rest, b""
