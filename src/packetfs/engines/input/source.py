"""Where a job's bytes come from: a file of the host, a file in a pool. (pipe.py has what can only be read once.)

A source never keeps what it read. Its size is fixed when it is opened: what is appended meanwhile is not seen, and a
file that becomes shorter is an error, not a wait.
"""

from __future__ import annotations

import mmap
import os
import stat
from abc import ABC, abstractmethod

from packetfs import errors
from packetfs.dataclass import dataclass
from packetfs.errors.system import source_error
from packetfs.limits import KIB
from packetfs.packet.digest import Digest
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.packet.execute import Filling

MADE_UP_MAX: Final = 64 * KIB
"""Bytes that files of /sys say they have at the most: a page of any machine."""
_FEW: Final = 128
"""Files that are opened without a look at what is allowed."""
_OTHERS: Final = 64
"""Descriptors that a process needs for all else: the job, the pool, modules that are loaded late."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How to open a source again, and what tells that it is still the same. kind: `host`, `pool` or `pipe`.

    place: absolute path, or root of the file's program in hex. stamp: mtime in nanoseconds, else 0.
    """

    kind: str
    place: str
    name: str
    size: int
    stamp: int = 0


class Source(ABC):
    """Bytes by offset. `size`: bytes in all, None until the end of a pipe was seen."""

    name: str
    size: int | None
    is_pipe = False
    maps = False
    """Whether `map` gives something."""
    held = 0
    """Bytes of memory that it keeps (pipes)."""

    @abstractmethod
    def read_into(self, start: int, room: memoryview) -> int:
        """Fill `room` with the bytes from `start` on and return how many: less than its size at the end alone."""

    @abstractmethod
    def origin(self) -> Origin:
        """Return how a resumed job finds it."""

    def read(self, start: int, stop: int) -> memoryview:
        """Return the bytes [start, stop); short only at the end."""
        room = memoryview(bytearray(stop - start))
        return room[: self.read_into(start, room)]

    def map(self, start: int, stop: int) -> memoryview | None:  # noqa: ARG002
        """Return the bytes from `start` to `stop`, or to the end, where they lie; None where that cannot be. They may
        change or vanish with the file: only the C core looks at them (native/guard.c)."""
        return None

    def ensure(self, stop: int) -> int:
        """Wait until the bytes before `stop` can be had, or the source ends; return where it ends if known, else how
        far it can be read."""
        return min(stop, self.size) if self.size is not None else stop

    def release(self, start: int) -> None:  # noqa: B027 (only pipes hold anything)
        """Tell that nothing before `start` will be read again."""

    def interrupt(self) -> None:  # noqa: B027 (only pipes wait)
        """End a read that waits, in any thread."""

    def close(self) -> None:  # noqa: B027 (not every source holds a descriptor)
        """Give up what it holds."""


class HostFile(Source):
    """A file of the host, read by pread: no seek position, so any number of threads may read it. A regular one can be
    mapped."""

    def __init__(self, path: str | bytes, name: str | None = None) -> None:
        """Open `path`; SourceUnavailable when it cannot be read, or is no file with a size."""
        self.path = os.path.abspath(os.fsdecode(path))
        self.name = name or os.fsdecode(path)
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise source_error(self.name, error) from None
        status = os.fstat(self._fd)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
            os.close(self._fd)
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "neither a file nor a block device"
            raise errors.SourceUnavailable(path=self.name, reason=f"it is {what}")
        self.size: int = os.lseek(self._fd, 0, os.SEEK_END) if stat.S_ISBLK(status.st_mode) else status.st_size
        self._stamp = status.st_mtime_ns
        self.maps = stat.S_ISREG(status.st_mode) and self.size > 0

    def map(self, start: int, stop: int) -> memoryview | None:
        stop = min(stop, self.size)
        if not self.maps or start >= stop:
            return None
        first = start - start % mmap.ALLOCATIONGRANULARITY
        try:
            mapped = mmap.mmap(self._fd, stop - first, mmap.MAP_SHARED, mmap.PROT_READ, offset=first)
        except (OSError, ValueError):  # a filesystem that cannot, or a file that became shorter: reading says which
            self.maps = False
            return None
        return memoryview(mapped)[start - first :]

    def read_into(self, start: int, room: memoryview) -> int:
        wanted = max(0, min(len(room), self.size - start))
        done = 0
        while done < wanted:
            try:
                count = os.preadv(self._fd, [room[done:wanted]], start + done)
            except OSError as error:
                raise source_error(self.name, error) from None
            if not count:
                reason = f"it had {self.size} bytes and ends now at {start + done}"
                raise errors.SourceChanged(path=self.name, reason=reason)
            done += count
        return done

    def origin(self) -> Origin:
        return Origin("host", self.path, self.name, self.size, self._stamp)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class PoolFile(Source):
    """A file in a pool: its program is run for the bytes that are asked for; each extent is verified by the store."""

    def __init__(self, store: Filling, root: Digest, name: str) -> None:
        from packetfs.fs.leaves import Leaves  # files of this machine need none

        self.store = store
        self.root = root
        self.name = name
        self.program = Leaves(store)
        self.size: int = self.program.size(root)

    def read_into(self, start: int, room: memoryview) -> int:
        from packetfs.packet.execute import fill_from

        stop = min(start + len(room), self.size)
        done = 0
        for at, leaf in self.program.between(self.root, start, stop):
            done += fill_from(self.store, leaf, max(start - at, 0), room[done : stop - start])
        return done

    def origin(self) -> Origin:
        return Origin("pool", self.root.hex(), self.name, self.size)


def let_open(files: int) -> None:
    """Let so many files be open at once, where most shells begin with 1,024; SourceUnavailable where that cannot be."""
    if files <= _FEW:
        return
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit  # few runs have so many

    soft, hard = getrlimit(RLIMIT_NOFILE)
    wanted = files + _OTHERS
    if hard != RLIM_INFINITY and hard < wanted:
        reason = f"{hard - _OTHERS:,} may be open at once here (`ulimit -Hn` says {hard:,})"
        raise errors.SourceUnavailable(path=f"all of {files:,} files", reason=reason)
    if soft != RLIM_INFINITY and soft < wanted:
        setrlimit(RLIMIT_NOFILE, (wanted, hard))


def is_made_up(path: bytes) -> bool:
    """Tell whether a file is made while it is read, as those of /proc and /sys are: its size then says nothing (0, or a
    page), and only its end tells where it ends. What cannot be looked at is none of them."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MADE_UP_MAX:
            return False
        return len(os.pread(fd, max(1, status.st_size), 0)) != status.st_size
    except OSError:
        return True  # who reads it is told why it cannot be
    finally:
        os.close(fd)


def open_origin(origin: Origin, store: Filling | None = None) -> Source:
    """Open a source again; SourceChanged when it is not what it was, SourceUnavailable when it cannot be had."""
    if origin.kind == "pool" and store is not None:
        return PoolFile(store, Digest(bytes.fromhex(origin.place)), origin.name)
    if origin.kind != "host":
        reason = "it was a pipe, which can be read once" if origin.kind == "pipe" else "no pool was named"
        raise errors.SourceUnavailable(path=origin.name, reason=reason)
    file = HostFile(origin.place, origin.name)
    now = file.origin()
    if (now.size, now.stamp) != (origin.size, origin.stamp):
        file.close()
        raise errors.SourceChanged(path=origin.name, reason="its size or time of change is not what it was")
    return file
