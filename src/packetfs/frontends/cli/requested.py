"""Files that a run asked for by another machine reads: those that are named, within the rights of who asks.

Who came by ssh may name what its user could, a pool too. A key names absolute paths and pfs:PATH in the server's pool;
files of the host are opened beneath the directory that it was given, through no symbolic link. What the pool remembers
of runs is for those who may read all of it: how fast an answer comes would tell others what is in it.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack, contextmanager

from packetfs.engines.input.source import HostFile, PoolFile, Source
from packetfs.engines.remote.serve import Opened, may_remember
from packetfs.errors import NotGranted, SourceUnavailable, UsageError
from packetfs.errors.system import source_error
from packetfs.frontends import settings
from packetfs.frontends.cli.inputs import is_stream, open_sources, open_stored
from packetfs.frontends.cli.remembering import remembering
from packetfs.fs.host.beneath import Beneath
from packetfs.net.access.rights import Rights, clean
from packetfs.net.wire.messages import Run
from packetfs.packet.digest import Digest
from packetfs.typing import Final, Iterator

_POOL: Final = b"pfs:"


@contextmanager
def open_requested(request: Run, pool: str | None, rights: Rights) -> Iterator[Opened]:
    """Open the files of a request; standard input is the connection, and none of them."""
    if not request.paths or any(path in (b"", b"-") or b"\0" in path for path in request.paths):
        raise UsageError(reason="a run on a node needs files that lie there")
    sources = _as_user(request, pool) if rights.grants is None else _as_granted(request, pool, rights)
    wanted = may_remember(request) and rights.has_whole_pool
    with sources as opened, remembering(opened, _note, wanted=wanted) as memory:
        yield Opened(opened, memory, memory.count if memory is not None else None)


@contextmanager
def _as_user(request: Run, pool: str | None) -> Iterator[list[Source]]:
    names = [os.fsdecode(os.path.expanduser(path) if path.startswith(b"~") else path) for path in request.paths]
    if any(map(is_stream, names)):
        raise UsageError(reason="a run on a node reads files, not pipes or terminals")
    chosen = settings.pool_path(os.fsdecode(request.pool) or pool)
    with open_sources(names, chosen, os.fsdecode(request.snapshot) or None) as sources:
        yield sources


@contextmanager
def _as_granted(request: Run, pool: str | None, rights: Rights) -> Iterator[list[Source]]:
    own = settings.pool_path(pool)
    asked = os.fsdecode(request.pool)
    if asked and os.path.abspath(asked) != os.path.abspath(own):
        raise NotGranted(name=rights.name, action="use", path=f"the pool {asked}")
    snapshot = os.fsdecode(request.snapshot) or None
    if snapshot is not None and not rights.has_whole_pool:
        raise NotGranted(name=rights.name, action="read", path=f"the snapshot {snapshot}")
    with ExitStack() as stack:
        in_pool = any(path.startswith(_POOL) for path in request.paths)
        view, store = stack.enter_context(open_stored(own, snapshot)) if in_pool else (None, None)
        sources: list[Source] = []
        for path in request.paths:
            if view is None or store is None or not path.startswith(_POOL):
                sources.append(_beneath(path, rights))
            else:
                inside = clean(path.removeprefix(_POOL)).lstrip(b"/")
                rights.grant(inside, in_pool=True, write=False)
                sources.append(PoolFile(store, Digest(view.file(inside).root), os.fsdecode(path)))
            stack.callback(sources[-1].close)
        yield sources


def _beneath(path: bytes, rights: Rights) -> HostFile:
    """Open a file of the host that a key may read."""
    if not path.startswith(b"/"):
        raise UsageError(reason=f"{os.fsdecode(path)!r}: on a daemon FILE begins with / or with pfs:")
    inside = clean(path)
    grant = rights.grant(inside, in_pool=False, write=False)
    below = inside[len(grant.path.rstrip(b"/")) :].lstrip(b"/")
    try:
        with Beneath(grant.path) as host:
            if stat.S_ISDIR(host.lstat(below).st_mode):
                raise SourceUnavailable(path=path, reason="it is a directory")
            file = host.open_read(below)
    except OSError as error:
        raise source_error(path, error) from None
    try:
        return HostFile(f"/proc/self/fd/{file}", os.fsdecode(path))
    finally:
        os.close(file)


def _note(text: str) -> None:
    print(text, file=sys.stderr)
