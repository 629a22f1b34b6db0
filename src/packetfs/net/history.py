"""What this side remembers of a plain directory between syncs: a pool of its own for each, in the user's data.

It is a cache: nothing in it is the only copy of anything. So it is not made durable, its content is kept within a
budget, and one that is damaged goes and is made anew. Those of directories that are no more stay.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from packetfs.errors import (
    BadNamespace,
    BadProgram,
    CorruptDatabase,
    CorruptExtent,
    HistoryFull,
    MissingExtent,
    NotAPool,
    PacketFSError,
    PoolBusy,
    PoolFailed,
    PoolFull,
)
from packetfs.fs.budget import UNLIMITED, tidy
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import HISTORY_POLL, HISTORY_WAIT, NAMES_ROOM, ROOTS_HELD
from packetfs.packet.digest import Digest, digest_of
from packetfs.pool.gc import discard_content
from packetfs.pool.pool import Pool
from packetfs.typing import Final

_DAMAGE: Final = (BadNamespace, BadProgram, CorruptDatabase, CorruptExtent, MissingExtent, NotAPool)
_SYNCED: Final = b"synced"
_DIGEST: Final = 32


@contextmanager
def open_history(base: str, role: str, place: bytes, mean: int) -> Iterator[FileSystem]:
    """Open the memory of `place` (a real path) as `role`, made if it is missing or unusable: "source", "target", or
    "guest" for a source of peers whose rights are limited, who choose the places themselves (`bound_histories`).

    Another sync that has it open is waited for, up to HISTORY_WAIT seconds; then it is PoolBusy, with its process.
    """
    key = digest_of(b"%s\0%d\0%s" % (role.encode(), mean, place))
    path = os.path.join(base, f"{role}-{key[:12].hex()}")
    with _full_named(base):
        fs = _wait_for(path, mean)
        with fs.pool, fs:
            try:
                yield fs
            except _DAMAGE:
                _discard(path)  # the next sync starts without it, and works
                raise


@contextmanager
def _full_named(base: str) -> Iterator[None]:
    """Tell which directory has no room: nobody who syncs from one disk to another thinks of a third."""
    try:
        yield
    except PoolFull:
        raise HistoryFull(path=base) from None


def bound_histories(base: str, role: str, most: int) -> None:
    """Let go of those of a role that were used longest ago, until the others take `most` bytes; what is open stays."""
    with suppress(OSError), _alone(base):
        found = [each for each in os.scandir(base) if each.name.startswith(f"{role}-")]
        found.sort(key=lambda each: each.stat().st_mtime_ns, reverse=True)
        total = 0
        for each in found:
            total += _disk_bytes(each.path)
            if total > most and not _is_open(each.path):
                _discard(each.path)


def _disk_bytes(path: str) -> int:
    return sum(os.lstat(os.path.join(at, name)).st_blocks * 512 for at, _, names in os.walk(path) for name in names)


def _is_open(path: str) -> bool:
    """Tell whether a sync has a history open; while `_alone`, none can open it behind that."""
    try:
        Pool.open(path, writable=True).close()
    except PoolBusy:
        return True
    except PacketFSError:
        return False  # damaged, or the disk is full
    return False


def commit_history(fs: FileSystem) -> None:
    """Commit what was imported; where the disk is full, without content."""
    try:
        fs.pool.flush()
    except PoolFull:
        if not discard_content(fs.pool):
            raise
    fs.commit()


def settle_source(fs: FileSystem, root: Digest, budget: int) -> None:
    """After a sync: remember that a receiver has this root, and bring the history within its budget."""
    found = fs.note(_SYNCED) or b""
    roots = [Digest(found[at : at + _DIGEST]) for at in range(0, len(found), _DIGEST)]
    roots = [root, *(other for other in roots if other != root)][:ROOTS_HELD]
    with _harmless(fs):
        fs.set_note(_SYNCED, b"".join(roots))
        fs.commit()
        tidy(fs, budget, roots)


def settle_target(fs: FileSystem) -> None:
    """After a sync: free the programs of files that were replaced, if that pays by now."""
    with _harmless(fs):
        tidy(fs, UNLIMITED, ())


@contextmanager
def _harmless(fs: FileSystem) -> Iterator[None]:
    """Let nothing that fails here spoil a sync that is done."""
    try:
        yield
    except _DAMAGE:
        _discard(fs.pool.path)
    except PacketFSError:
        with suppress(PacketFSError):
            fs.rollback()


def _wait_for(path: str, mean: int) -> FileSystem:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    deadline = time.monotonic() + HISTORY_WAIT
    while True:
        try:
            with _alone(os.path.dirname(path)):
                return _open_or_make(path, mean)
        except PoolBusy:
            if time.monotonic() >= deadline:
                raise
        time.sleep(HISTORY_POLL)


@contextmanager
def _alone(base: str) -> Iterator[None]:
    """Keep others from taking for damaged what is only being made."""
    fd = os.open(os.path.join(base, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _open_or_make(path: str, mean: int) -> FileSystem:
    if os.path.isdir(path):
        os.utime(path)
        try:
            return _open_names(Pool.open(path, writable=True))
        except _DAMAGE:
            _discard(path)
    return _open_names(Pool.create(path, mean=mean, durable=False))


def _open_names(pool: Pool) -> FileSystem:
    try:
        try:
            return FileSystem(pool)
        except (PoolFailed, PoolFull):
            _make_room(pool)
            return FileSystem(pool)
    except BaseException:
        pool.close()
        raise


def _make_room(pool: Pool) -> None:
    """Give up all content if the disk is full, which SQLite calls an I/O error where it shares memory."""
    status = os.statvfs(pool.path)
    if status.f_bavail * status.f_frsize < NAMES_ROOM and not discard_content(pool):
        raise PoolFull(path=pool.path)


def _discard(path: str) -> None:
    import shutil  # 0.5 MB for what hardly ever happens

    shutil.rmtree(path, ignore_errors=True)
