"""FILE arguments of `pfs run` as sources: files of this machine, pfs:PATH in the chosen pool, - for a pipe."""

from __future__ import annotations

import os
import stat
import sys

from packetfs.contextlib import contextmanager
from packetfs.engines.input.source import HostFile, PoolFile, Source, is_made_up, let_open
from packetfs.errors import UsageError
from packetfs.frontends.cli.names import pool_name, raw
from packetfs.packet.digest import Digest
from packetfs.typing import TYPE_CHECKING, Iterator, Sequence

if TYPE_CHECKING:
    from packetfs.engines.input.records import Records
    from packetfs.frontends.cli.reading import View
    from packetfs.pool.pool import Pool


@contextmanager
def open_sources(
    names: Sequence[str], pool: str, snapshot: str | None, records: Records | None = None
) -> Iterator[list[Source]]:
    """Open every FILE in order; the pool is opened once, if any lies in it. `records` of pipes flow (engines/pipe)."""
    _check(names, snapshot)
    if not any(name.startswith("pfs:") for name in names):
        with _opened(names, None, records) as sources:
            yield sources
        return
    with open_stored(pool, snapshot) as stored, _opened(names, stored, records) as sources:
        yield sources


@contextmanager
def _opened(names: Sequence[str], stored: tuple[View, Pool] | None, records: Records | None) -> Iterator[list[Source]]:
    sources: list[Source] = []
    let_open(sum(not name.startswith("pfs:") for name in names))
    try:
        for name in names:
            sources.append(_open(name, stored, records))  # noqa: PERF401 (they are closed where the next cannot be had)
        yield sources
    finally:
        for source in sources:
            source.close()


@contextmanager
def open_stored(pool: str, snapshot: str | None) -> Iterator[tuple[View, Pool]]:
    from packetfs.frontends.cli.reading import View  # a file of this machine needs no pool
    from packetfs.fs.filesystem import open_names
    from packetfs.pool.pool import Pool

    with Pool.open(pool) as opened, open_names(opened) as filesystem:
        yield View(filesystem, snapshot), opened


def _open(name: str, stored: tuple[View, Pool] | None, records: Records | None) -> Source:
    if name == "-" or is_stream(name) or (not name.startswith("pfs:") and is_made_up(raw(name))):
        from packetfs.engines.input.pipe import Pipe

        if name == "-":
            return Pipe(_stdin(), records=records)
        return Pipe(os.open(raw(name), os.O_RDONLY | os.O_CLOEXEC), name, records)
    if stored is None or not name.startswith("pfs:"):
        return HostFile(raw(name), name)
    view, pool = stored
    return PoolFile(pool, Digest(view.file(pool_name(name)).root), name)


def is_stream(name: str) -> bool:
    """Tell whether a name is that of a pipe or terminal, as `<(command)` of a shell gives."""
    try:
        mode = os.stat(raw(name)).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _check(names: Sequence[str], snapshot: str | None) -> None:
    if list(names).count("-") > 1:
        raise UsageError(reason="standard input can be read once: `-` stands for it one time")
    if snapshot is not None and not any(name.startswith("pfs:") for name in names):
        raise UsageError(reason="--snapshot goes with pfs:PATH only")


def _stdin() -> int:
    if sys.stdin is None:
        raise FileNotFoundError(2, "No such file", "standard input")
    return os.dup(sys.stdin.fileno())
