"""Mounts for tests: each is served from a thread or a process of its own, and is gone at the end whatever happens."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from packetfs.frontends.mount.device import attach
from packetfs.frontends.mount.operations import Operations
from packetfs.frontends.mount.options import parse_options
from packetfs.frontends.mount.session import Session

CAN_MOUNT = os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK)
needs_mount = pytest.mark.skipif(not CAN_MOUNT, reason="needs root and /dev/fuse")
DETACH = 2
HANG = 120
"""Seconds after which a mount is aborted: who waits for it cannot be killed before."""
AT_MOST = pytest.mark.timeout(2 * HANG)
MS_REMOUNT = 32


def detach_anyhow(directory: Path) -> None:
    """Take all mounts at a directory out of sight."""
    libc = ctypes.CDLL(None, use_errno=True)
    while not libc.umount2(os.fsencode(directory), DETACH):
        pass


def await_true(condition: Callable[[], object]) -> None:
    """Wait for what comes by itself: the kernel tells of releases when it likes, a server commits when it is idle."""
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def forget_names(directory: Path) -> None:
    """Let the kernel forget the names of one mount that nobody uses, as it does when memory is short."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, os.fsencode(directory), None, MS_REMOUNT, None):
        raise OSError(ctypes.get_errno(), "mount")


@contextmanager
def served(operations: Operations, directory: Path, options: str = "") -> Iterator[Session]:
    """Serve operations from a thread of this process: calls on the mount must release the GIL, as those of `os` do."""
    directory.mkdir(exist_ok=True)
    begun = threading.Event()
    device = attach("test", str(directory), parse_options([options]))
    guard = subprocess.Popen(["sh", "-c", 'sleep "$1"; umount -f "$2"', "-", str(HANG), directory])
    session = Session(device, operations, ready=begun.set, complain=print)
    thread = threading.Thread(target=session.serve, daemon=True)
    thread.start()
    try:
        assert begun.wait(HANG)
        yield session
    finally:
        detach_anyhow(directory)
        guard.kill()
        guard.wait()
        thread.join(HANG)
        os.close(device)
        assert not thread.is_alive()
