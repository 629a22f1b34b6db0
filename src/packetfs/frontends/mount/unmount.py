"""Take a mount away, and wait until its server has made everything durable."""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Iterator

from packetfs.errors import MountBusy, MountFull, MountUnsaved, NotMounted
from packetfs.frontends.mount.device import detach
from packetfs.frontends.mount.mounted import Mounted, find_mount
from packetfs.fs.host.syscalls import sync_filesystem
from packetfs.typing import Final

_PATIENCE: Final = 60.0
"""Seconds for the server to settle and commit: an overlay of a gigabyte takes some."""
_RETRY: Final = 0.05
_RETRIES: Final = 20
"""A file that was closed a moment ago may still be busy: its release is on its way."""
_SHOWN: Final = 3


def unmount(directory: str, *, lazy: bool) -> None:
    """Unmount a pool. A dead server's mount goes as well."""
    mounted = find_mount(directory)
    if mounted is None:
        raise NotMounted(path=directory)
    if mounted.alive and not lazy:
        _make_durable(directory)
    servers = list(_servers(mounted))
    _detach(directory, lazy=lazy or not mounted.alive)
    if not lazy:
        _await(servers)


def _make_durable(directory: str) -> None:
    """Write everything while somebody can be told that it failed: a server without a mount can tell nobody.

    A sync of the root is one of everything that the server has; the kernel's pages go there first.
    """
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # who may not look in may take it away all the same
        return
    try:
        sync_filesystem(root)
        os.fsync(root)
    except OSError as error:
        kind = MountFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else MountUnsaved
        raise kind(path=directory, reason=(error.strerror or str(error)).lower()) from None
    finally:
        os.close(root)


def _detach(directory: str, *, lazy: bool) -> None:
    for attempt in range(_RETRIES + 1):
        try:
            return detach(directory, lazy=lazy)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if attempt == _RETRIES:
                raise MountBusy(path=directory, users=_users(directory)) from None
            time.sleep(_RETRY)
    return None


def _servers(mounted: Mounted) -> Iterator[int]:
    """Yield a descriptor of each process that may serve this mount: it has /dev/fuse and the pool's lease open.

    A pool can be mounted several times, read-only; which of its servers is this mount's no kernel before 6.16 tells.
    """
    lease = os.path.join(mounted.pool, b"leases")
    for pid in _processes():
        held = set(_links(pid))
        if b"/dev/fuse" in held and lease in held:
            try:
                yield os.pidfd_open(pid)
            except OSError:
                continue


def _await(servers: list[int]) -> None:
    """Wait until one of them has ended: the others serve other mounts, and go on."""
    waiting = select.poll()
    for descriptor in servers:
        waiting.register(descriptor, select.POLLIN)
    if servers:
        waiting.poll(_PATIENCE * 1000)
    for descriptor in servers:
        os.close(descriptor)


def _users(directory: str) -> str:
    """Name the processes that have something open below a directory, as far as this user may see them."""
    place = os.fsencode(os.path.realpath(directory))
    found = [pid for pid in _processes() if any(_below(link, place) for link in _links(pid))]
    names = [f"{_command(pid)} ({pid})" for pid in found[:_SHOWN]]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f" by {', '.join(names)}{more}" if names else ""


def _below(link: bytes, place: bytes) -> bool:
    return link == place or link.startswith(place + b"/")


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _links(pid: int) -> Iterator[bytes]:
    """Yield what a process has open, and where it is."""
    try:
        names = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return
    for name in (f"/proc/{pid}/cwd", *names):
        try:
            yield os.fsencode(os.readlink(name))
        except OSError:
            continue


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
