"""The mount beside a responder that does nothing but answer: what Python and the kernel cost, and what files add.

Both are mounted in one run and asked the same. `python -m bench.mount` prints one JSON object a figure.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import cast

from packetfs.frontends.mount.device import attach, raise_readahead
from packetfs.frontends.mount.mounted import find_mount
from packetfs.frontends.mount.operations import Operations, Parts
from packetfs.frontends.mount.options import parse_options
from packetfs.frontends.mount.session import Session
from packetfs.fs.posix.attributes import Attributes
from packetfs.limits import MOUNT_READAHEAD

PFS = (sys.executable, "-m", "packetfs.frontends.cli.main")
BUFFER = 16 << 20
DETACH = 2
PAUSE = 0.001
FORGETTING = 1.0
"""Seconds for the kernel to tell what it dropped: that is no part of a stat."""


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


@contextmanager
def nothing(place: Path, size: int) -> Iterator[Path]:
    """Mount the responder, served by a process of its own."""
    read, write = os.pipe()
    device = attach("nothing", str(place), parse_options([]))
    child = os.fork()
    if not child:
        with open(write, "wb", buffering=0, closefd=False) as told:
            operations = cast("Operations", NothingOperations(size))
            Session(device, operations, ready=lambda: _tell_up(told), complain=_complain).serve()
        os._exit(0)
    os.close(device)
    try:
        os.read(read, 1)
        _ahead(place)
        yield place
    finally:
        _gone(place)
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
    subprocess.run([*PFS, "mount", pool, place], check=True, timeout=60, stderr=subprocess.DEVNULL)
    try:
        yield place
    finally:
        subprocess.run([*PFS, "umount", place], check=False, timeout=120)
        _gone(place)


def _ahead(place: Path) -> None:
    mounted = find_mount(str(place))
    if mounted is not None:
        raise_readahead(mounted, MOUNT_READAHEAD)


def _gone(place: Path) -> None:
    ctypes.CDLL(None).umount2(os.fsencode(place), DETACH)


def drop_caches(what: int) -> None:
    Path("/proc/sys/vm/drop_caches").write_text(str(what))


def read_rate(file: Path) -> float:
    """Return MB/s of one pass with a cold page cache."""
    drop_caches(1)
    buffer = bytearray(1 << 20)
    done, begun = 0, time.perf_counter()
    with file.open("rb", buffering=0) as source:
        while count := source.readinto(buffer):
            done += count
    return done / (time.perf_counter() - begun) / 1e6


def stat_rate(directory: Path, count: int, *, cached: bool) -> float:
    """Return stats a second of `count` files that the kernel does not know, or does."""
    names = [os.fsencode(directory / str(number)) for number in range(count)]
    drop_caches(2)
    time.sleep(FORGETTING)
    if cached:
        for name in names:
            os.stat(name)
    begun = time.perf_counter()
    for name in names:
        os.stat(name)
    return count / (time.perf_counter() - begun)


def create_rate(directory: Path, count: int) -> float:
    """Return files made a second, with the sync that makes them durable."""
    begun = time.perf_counter()
    for number in range(count):
        os.close(os.open(directory / str(number), os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644))
    subprocess.run(["sync", "-f", directory], check=True, timeout=60)
    return count / (time.perf_counter() - begun)


def write_rate(file: Path, content: memoryview) -> float:
    """Return MB/s of writing and syncing one file."""
    begun = time.perf_counter()
    with file.open("wb", buffering=0) as target:
        for at in range(0, len(content), 1 << 20):
            target.write(content[at : at + (1 << 20)])
        os.fsync(target.fileno())
    return len(content) / (time.perf_counter() - begun) / 1e6


def patience(directory: Path, command: str, count: int) -> float:
    """Return the 99th percentile of stats that the kernel cannot answer, in ms, while a command runs."""
    drop_caches(2)
    time.sleep(FORGETTING)
    times = []
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as busy:
        for number in range(count):
            if busy.poll() is not None:
                break
            begun = time.perf_counter()
            os.stat(directory / str(number))
            times.append(time.perf_counter() - begun)
            time.sleep(PAUSE)
    return sorted(times)[len(times) * 99 // 100] * 1e3


def source_tree(home: Path) -> Path:
    """Return an archive of a source tree: that of this Python's own library, with a git history."""
    tree = home / "tree"
    shutil.copytree(Path(os.__file__).parent, tree, ignore=shutil.ignore_patterns("site-packages", "__pycache__"))
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e@example", "commit", "-qm", "1"],
    ):
        subprocess.run(["git", *words], cwd=tree, check=True, timeout=60)
    subprocess.run(["tar", "-cf", home / "tree.tar", "tree"], cwd=home, check=True, timeout=60)
    return home / "tree.tar"


def seconds_of(*command: str | Path, cwd: Path) -> float:
    begun = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return time.perf_counter() - begun


def unpack_and_look(name: str, place: Path, archive: Path) -> None:
    """Tell how long tar and git take in a directory."""
    tell(f"tar x, {name}", seconds_of("tar", "-xf", archive, cwd=place), "s")
    status = ("git", "-c", "safe.directory=*", "status", "--porcelain")
    seconds_of(*status, cwd=place / "tree")
    tell(f"git status, {name}", seconds_of(*status, cwd=place / "tree"), "s")


def tell(what: str, value: float, unit: str) -> None:
    print(json.dumps({"what": what, "value": round(value, 3), "unit": unit}), flush=True)


def measure(size: int, count: int, home: Path) -> None:
    place, pool = home / "mnt", home / "pool"
    place.mkdir()
    with nothing(place, size):
        tell("nothing: read", max(read_rate(place / "large") for _ in range(3)), "MB/s")
        tell("nothing: stat, uncached", max(stat_rate(place / "d", count, cached=False) for _ in range(3)), "1/s")
        tell("nothing: stat, cached", stat_rate(place / "d", count, cached=True), "1/s")
    subprocess.run([*PFS, "init", pool], check=True, timeout=60, stderr=subprocess.DEVNULL)
    content = memoryview(os.urandom(size))
    with packetfs(place, pool):
        tell("write, unique", write_rate(place / "large", content), "MB/s")
        tell("write, duplicate", write_rate(place / "again", content), "MB/s")
        (place / "d").mkdir()
        tell("create, durable", create_rate(place / "d", count), "1/s")
    with packetfs(place, pool):
        tell("read, first", read_rate(place / "large"), "MB/s")
        tell("read, warm pool", max(read_rate(place / "large") for _ in range(3)), "MB/s")
        tell("stat, uncached", max(stat_rate(place / "d", count, cached=False) for _ in range(3)), "1/s")
        tell("stat, cached", stat_rate(place / "d", count, cached=True), "1/s")
        reading = f"cat {place}/large {place}/large"
        drop_caches(1)
        tell("stat p99 while reading", patience(place / "d", reading, count), "ms")
        writing = f"dd if={place}/large of={place}/copy bs=1M conv=fsync"
        tell("stat p99 while writing", patience(place / "d", writing, count), "ms")
        archive = source_tree(home)
        (home / "beside").mkdir()
        unpack_and_look("disk", home / "beside", archive)
        unpack_and_look("mount", place, archive)
        tell("memory of the server", server_memory(place) / 1e6, "MB")


def server_memory(place: Path) -> int:
    """Return the bytes that the server of a mount has for itself, without the pages of the mapped arena."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        if b"mount" in words and os.fsencode(place) in words:
            return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.mount", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--home", type=Path, help="where the pool lies (default: the temporary directory)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.home) as home:
        try:
            measure(options.megabytes * 1_000_000, options.files, Path(home))
        finally:
            _gone(Path(home) / "mnt")


if __name__ == "__main__":
    main()
