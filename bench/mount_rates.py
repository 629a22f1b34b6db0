"""What is measured on a mount: bytes and requests a second, and how long a request waits while others are served."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import time
from pathlib import Path

PAUSE = 0.001
FORGETTING = 1.0
"""Seconds for the kernel to tell what it dropped: that is no part of a stat."""
STEP = 1 << 20


def warm_memory(size: int) -> None:
    """Touch memory once: a virtual machine gets pages at their first touch, which costs more than copying."""
    with mmap.mmap(-1, size) as memory:
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1


def drop_caches(what: int) -> None:
    Path("/proc/sys/vm/drop_caches").write_text(str(what))


def read_rate(file: Path) -> float:
    """Return MB/s of one pass through a file of which the kernel has no pages."""
    buffer = mmap.mmap(-1, STEP)
    done = 0
    with file.open("rb", buffering=0) as source:
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begun = time.perf_counter()
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


def write_rate(file: Path, content: mmap.mmap) -> float:
    """Return MB/s of writing and syncing one file, a mebibyte at a time out of aligned memory, as cp and dd do."""
    view = memoryview(content)
    begun = time.perf_counter()
    with file.open("wb", buffering=0) as target:
        for at in range(0, len(view), STEP):
            target.write(view[at : at + STEP])
        os.fsync(target.fileno())
    return len(view) / (time.perf_counter() - begun) / 1e6


def noise(size: int) -> mmap.mmap:
    """Return bytes that were never written before."""
    content = mmap.mmap(-1, size)
    for at in range(0, size, STEP):
        content[at : at + STEP] = os.urandom(min(STEP, size - at))
    return content


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


def disk_use(folder: Path) -> int:
    """Return the bytes that files below a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
