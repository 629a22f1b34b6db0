"""Mount a pool and serve it: what `pfs mount` and `mount.packetfs` do."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from packetfs.errors import AlreadyMounted, HostMissing, MountMissing, MountPointTaken, NotADirectory, PacketFSError
from packetfs.frontends.deriving import derive
from packetfs.frontends.mount.background import Background
from packetfs.frontends.mount.device import DEVICE, attach, detach, raise_readahead
from packetfs.frontends.mount.mounted import find_mount
from packetfs.frontends.mount.operations import Operations
from packetfs.frontends.mount.options import MountOptions
from packetfs.frontends.mount.session import Session
from packetfs.fs.filesystem import FileSystem, open_names
from packetfs.limits import MOUNT_READAHEAD
from packetfs.pool.pool import Pool
from packetfs.typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def mount(pool: str, directory: str, options: MountOptions, *, foreground: bool, up: Callable[[], None]) -> int:
    """Mount, and serve until the mount is gone; return the exit code. In the background another process serves."""
    place = _check_place(directory)
    if foreground:
        _serve(pool, place, options, up, _to_stderr)
        return 0
    background = Background()
    if background.is_caller:
        code = background.wait()
        if not code:
            up()
        return code
    _serve(pool, place, options, background.release, _to_system_log)
    return 0


def _check_place(directory: str) -> str:
    """Return the absolute path of an empty directory; a mount that a killed server left there is taken away."""
    if not os.path.exists(DEVICE):
        raise MountMissing(what=DEVICE)
    place = os.path.abspath(directory)
    there = find_mount(place)
    if there is not None and there.alive:
        raise AlreadyMounted(pool=there.pool, path=directory)
    if there is not None:
        detach(place, lazy=True)
    place = os.path.realpath(place)
    if not os.path.exists(place):
        raise HostMissing(file=directory)
    if not os.path.isdir(place):
        raise NotADirectory(path=directory)
    if os.listdir(place):
        raise MountPointTaken(path=directory, reason="it is not empty")
    return place


def _serve(
    path: str, place: str, options: MountOptions, up: Callable[[], None], complain: Callable[[str], None]
) -> None:
    with open_operations(path, options) as (operations, watch):
        device = attach(path, place, options)
        try:
            session = Session(
                device,
                operations,
                watch=watch,
                ready=lambda: _is_up(place, up),
                complain=complain,
            )
            with _until_signalled(session, place):
                session.serve()
        finally:
            _leave(place)
            os.close(device)


@contextmanager
def open_operations(path: str, options: MountOptions) -> Iterator[tuple[Operations, Callable[[], None] | None]]:
    """Open a pool, and what is to be mounted of it; at the end everything is durable.

    The second that it gives looks whether another process changed the pool, where that can be and matters.
    """
    with Pool.open(path, writable=not options.read_only) as pool, open_names(pool) as names:
        operations: Operations
        watch = None
        if options.snapshot is not None:
            from packetfs.fs.posix.frozen import FrozenOperations

            operations = FrozenOperations(names, options.snapshot)
        else:
            from packetfs.fs.posix.operations import Operations as LiveOperations

            operations = live = LiveOperations(names, deriver=None if options.noderive else derive)
            watch = _watcher(names, live.refresh) if options.read_only else None
        try:
            yield operations, watch
        finally:
            operations.close()


def _watcher(names: FileSystem, refresh: Callable[[], None]) -> Callable[[], None]:
    """Return what calls `refresh` when another process has committed names since the last time."""
    seen = -1

    def watch() -> None:
        nonlocal seen
        (version,) = names.names.row("PRAGMA data_version")
        if version != seen:
            refresh()
        seen = version

    return watch


def _is_up(place: str, up: Callable[[], None]) -> None:
    mounted = find_mount(place)
    if mounted is not None:
        raise_readahead(mounted, MOUNT_READAHEAD)
    up()


@contextmanager
def _until_signalled(session: Session, place: str) -> Iterator[None]:
    """Let a signal take the mount away while the loop goes on: the kernel may have pages to write first."""
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    woken = signal.set_wakeup_fd(session.on_wake(lambda: _go(session, place)))
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)


def _go(session: Session, place: str) -> None:
    session.end_soon()
    threading.Thread(target=_leave, args=(place,), daemon=True).start()


def _leave(place: str) -> None:
    """Take the mount away, if it is still there; files that are open stay usable until they are closed."""
    if find_mount(place) is None:
        return
    try:
        detach(place, lazy=True)
    except (OSError, PacketFSError) as error:
        _to_stderr(str(error))


def _to_stderr(text: str) -> None:
    if sys.stderr is not None:
        print(f"pfs: {text}", file=sys.stderr, flush=True)


def _to_system_log(text: str) -> None:
    import syslog  # only faults need it

    syslog.syslog(syslog.LOG_ERR, f"pfs mount: {text}")
