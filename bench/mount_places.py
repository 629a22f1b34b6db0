"""What is mounted beside each other: PacketFS, a responder that does nothing, and the mounts of other programs."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, cast

from packetfs.frontends.mount.device import attach, raise_readahead
from packetfs.frontends.mount.mounted import find_mount
from packetfs.frontends.mount.operations import Later, Operations, Parts
from packetfs.frontends.mount.options import parse_options
from packetfs.frontends.mount.server import open_operations
from packetfs.frontends.mount.session import Session
from packetfs.fs.posix.attributes import Attributes
from packetfs.limits import MOUNT_READAHEAD
from packetfs.packet.layout import Buffer

PFS = (sys.executable, "-m", "packetfs")
RESPONDER = Path(__file__).with_name("mount_mfusepy.py")
BUFFER = 16 << 20
DETACH = 2
BEGINS = 30.0
"""Seconds that a peer may take to be mounted."""


class NothingOperations:
    """Directory `d` with any number of names, and one large file: all attributes are constant, all bytes one buffer."""

    def __init__(self, size: int) -> None:
        self._buffer = memoryview(os.urandom(BUFFER))
        self._size = size
        self._directory = self._made(1, stat.S_IFDIR | 0o755, 4096)

    @staticmethod
    def _made(ino: int, mode: int, size: int) -> Attributes:
        return Attributes(ino, mode, 1, 0, 0, 0, size, size // 512, 0, 0, 0)

    def lookup(self, parent: int, name: bytes) -> Attributes:  # noqa: ARG002
        if name == b"large":
            return self._made(3, stat.S_IFREG | 0o644, self._size)
        if name == b"d":
            return self._made(2, stat.S_IFDIR | 0o755, 4096)
        return self._made(1000 + int(name), stat.S_IFREG | 0o644, 0)

    def getattr(self, ino: int) -> Attributes:
        if ino <= 2:
            return self._directory if ino == 1 else self._made(2, stat.S_IFDIR | 0o755, 4096)
        return self._made(ino, stat.S_IFREG | 0o644, self._size if ino == 3 else 0)

    def forget(self, ino: int, count: int) -> None:
        """Nothing is counted."""

    def open(self, ino: int, flags: int) -> int:  # noqa: ARG002
        return ino

    def read(self, handle: int, offset: int, size: int) -> Parts:  # noqa: ARG002
        at = offset % (BUFFER - size)
        return [self._buffer[at : at + min(size, self._size - offset)]]

    def release(self, handle: int) -> None:
        """Nothing is open."""

    def idle(self, now: float) -> float:  # noqa: ARG002
        return 1.0

    def __getattr__(self, name: str) -> Callable[..., object]:
        raise OSError(38, name)


class SlowOperations:
    """A filesystem of which one file takes long to read: each read computes first, in native code or in Python."""

    def __init__(self, operations: Operations, slow: bytes, compute: Callable[[], None]) -> None:
        self._operations = operations
        self._slow = operations.lookup(1, slow).ino
        self._compute = compute
        self._handles: set[int] = set()

    def open(self, ino: int, flags: int) -> int:
        handle = self._operations.open(ino, flags)
        if ino == self._slow:
            self._handles.add(handle)
        return handle

    def read(self, handle: int, offset: int, size: int) -> Parts | Later:
        return self._late if handle in self._handles else self._operations.read(handle, offset, size)

    def _late(self) -> list[Buffer]:
        self._compute()
        return [b"computed"]

    def __getattr__(self, name: str) -> Any:  # everything else is the filesystem's
        return getattr(self._operations, name)


def compute_natively(seconds: float) -> None:
    """Keep a core busy in C that lets other threads of Python run."""
    data, end = bytes(1 << 20), time.monotonic() + seconds
    while time.monotonic() < end:
        hashlib.sha256(data).digest()


def compute_in_python(seconds: float) -> None:
    """Keep the interpreter busy."""
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for number in range(10_000):
            count += number & 7


@contextmanager
def nothing(place: Path, size: int) -> Iterator[Path]:
    """Mount the responder."""
    with _served(place, lambda _: cast("Operations", NothingOperations(size))):
        yield place


@contextmanager
def slow(place: Path, pool: Path, name: bytes, compute: Callable[[], None]) -> Iterator[Path]:
    """Mount a pool of which one file is slow."""

    def operations(stack: ExitStack) -> Operations:
        found, _ = stack.enter_context(open_operations(str(pool), parse_options([])))
        return cast("Operations", SlowOperations(found, name, compute))

    with _served(place, operations):
        yield place


@contextmanager
def _served(place: Path, made: Callable[[ExitStack], Operations]) -> Iterator[None]:
    """Serve operations on a mount from a process of its own."""
    place.mkdir(exist_ok=True)
    read, write = os.pipe()
    device = attach("bench", str(place), parse_options([]))
    child = os.fork()
    if not child:
        with ExitStack() as stack, open(write, "wb", buffering=0, closefd=False) as told:
            Session(device, made(stack), ready=lambda: _tell_up(told), complain=_complain).serve()
        os._exit(0)
    os.close(device)
    try:
        os.read(read, 1)
        _ahead(place)
        yield
    finally:
        gone(place)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tell_up(told: FileIO) -> None:
    told.write(b"1")


@contextmanager
def packetfs(place: Path, pool: Path) -> Iterator[Path]:
    """Mount a pool as a user does."""
    place.mkdir(exist_ok=True)
    subprocess.run([*PFS, "mount", pool, place], check=True, timeout=60, stderr=subprocess.DEVNULL)
    try:
        yield place
    finally:
        subprocess.run([*PFS, "umount", place], check=False, timeout=120)
        gone(place)


def _ahead(place: Path) -> None:
    mounted = find_mount(str(place))
    if mounted is not None:
        raise_readahead(mounted, MOUNT_READAHEAD)


def gone(place: Path) -> None:
    ctypes.CDLL(None).umount2(os.fsencode(place), DETACH)


@contextmanager
def borg(place: Path, home: Path, file: Path) -> Iterator[Path | None]:
    """Mount an archive of borg with one file in it; None where borg is missing."""
    if shutil.which("borg") is None:
        yield None
        return
    environment = {
        **os.environ,
        "BORG_BASE_DIR": str(home / "borg"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }
    archive = f"{home}/borg-repo::a"

    def call(*words: str | Path, cwd: Path | None = None) -> None:
        subprocess.run(["borg", *words], cwd=cwd, env=environment, check=True, timeout=300, stderr=subprocess.DEVNULL)

    place.mkdir(exist_ok=True)
    call("init", "-e", "none", home / "borg-repo")
    call("create", "-C", "none", archive, file.name, cwd=file.parent)
    call("mount", archive, place)
    try:
        yield place / file.name
    finally:
        subprocess.run(["borg", "umount", place], env=environment, check=False, timeout=60)
        gone(place)


@contextmanager
def mfusepy(place: Path, size: int) -> Iterator[Path | None]:
    """Mount a responder made with mfusepy, which serves one buffer as a large file; None where that is missing."""
    if importlib.util.find_spec("mfusepy") is None:
        yield None
        return
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "FUSE_LIBRARY_NAME": "fuse3"}
    with subprocess.Popen([sys.executable, RESPONDER, place, str(size)], env=environment) as server:
        try:
            end = time.monotonic() + BEGINS
            while not os.path.ismount(place) and time.monotonic() < end:
                time.sleep(0.05)
            yield place / "large"
        finally:
            gone(place)
            server.wait(30)
