"""The live microVMs of a job, in a directory of shared memory: what a killed process leaves behind is all there.

    contexts, spill, maps   one slot a microVM, sparse; slot = id of the microVM; slot 0 is not used
    ledger                  who runs the job, what is asked of it, which batches run (ledger.py)
    spool                   output that waits for an earlier shard (spool.py)
    reduced                 result of the batches that were reduced already (totals.py)
    job.json, program       what the job is (jobfile.py)
    lock                    held by the process that runs the job; the kernel drops it when that dies

A store into shared memory that is full would kill the process. So contexts and maps are allocated before they are
touched; spills, which most programs never touch, are not, but nothing is taken, and no turn begins, unless all that the
turns under way could store to would still be free.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct

from packetfs import errors
from packetfs.contextlib import contextmanager, suppress
from packetfs.engines.live.ledger import LEDGER_BYTES, SLOTS, Ledger
from packetfs.limits import TABLE_ROOM
from packetfs.threading import Lock
from packetfs.typing import Final, Iterator
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE

PAGE: Final = mmap.PAGESIZE
_MADV_POPULATE_WRITE: Final = 23
"""Of Linux; Python has no name for it yet."""
PUNCH_MIN: Final = 64 * 1024
"""Bytes from which memory is given back instead of being zeroed: what is not touched again costs nothing."""
_FLOCK: Final = struct.Struct("@hhqqi4x")
_WHOLE: Final = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""A lock of an open file description on all of a file: unlike flock's, it can be asked about without being taken."""
FILES: Final = ("contexts", "spill", "maps", "ledger", "spool", "reduced", "reduced.new", "job.json", "program", "lock")
"""Everything that a job's directory may hold."""


class Table:
    """The mapped files. `contexts`, `spill` and `maps` are what the interpreters take; `words` are the contexts in 64
    bits; `ledger` tells the rest."""

    def __init__(self, directory: str, maps_bytes: int, lock: int) -> None:
        self.directory = directory
        self.maps_bytes = maps_bytes
        self._lock = lock
        self._populated = self._closed = False
        self._taking = Lock()
        self.spill_need = 0
        """Bytes of spills that the turns under way may store to, at the most."""
        sizes = _sizes(maps_bytes)
        self._files = _open_files(directory, sizes)
        self._mappings = {name: mmap.mmap(fd, sizes[name]) for name, fd in self._files.items()}
        self._views = {name: memoryview(mapping) for name, mapping in self._mappings.items()}
        self.contexts = self._views["contexts"]
        self.spill = self._views["spill"]
        self.maps = self._views["maps"][: SLOTS * maps_bytes]
        self.words = self.contexts.cast("Q")
        self.ledger = Ledger(self._views["ledger"])

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def allocate(self, slot: int, count: int) -> None:
        """Make sure that contexts and maps of these slots can be stored to; TableFull when they cannot."""
        with self.taking(count * (CONTEXT_BYTES + self.maps_bytes)):
            if not self._populated:
                self._allocate("contexts", slot * CONTEXT_BYTES, count * CONTEXT_BYTES)
            if self.maps_bytes:
                self._allocate("maps", slot * self.maps_bytes, count * self.maps_bytes)

    def allocate_spill(self, slot: int, size: int) -> None:
        """Make sure that the first `size` bytes of a spill can be stored to."""
        self._allocate("spill", slot * SPILL_STRIDE, size)

    def need_room(self, size: int = 0) -> None:
        """Raise TableFull unless `size` bytes can be taken, and all that turns may store to is free beside them."""
        found = os.statvfs(self.directory)
        wanted = size + self.spill_need + TABLE_ROOM
        if found.f_bavail * found.f_frsize < wanted:
            raise errors.TableFull(path=self.directory, reason=f"{wanted} bytes have to be free")

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Let one thread at a time take memory: what one found free, another could take meanwhile."""
        with self._taking:
            self.need_room(size)
            yield

    def own(self) -> None:
        """Be known as the process that runs the job."""
        self._allocate("ledger", 0, LEDGER_BYTES)
        self.ledger.owner = os.getpid()

    def _allocate(self, name: str, start: int, size: int) -> None:
        try:
            os.posix_fallocate(self._files[name], start, size)
        except OSError as error:
            raise errors.TableFull(path=self.directory, reason=f"{size} bytes for {name}: {error.strerror}") from None

    def populate(self) -> None:
        """Allocate and map all contexts in one step, for jobs that use nearly all of them."""
        try:
            self._mappings["contexts"].madvise(_MADV_POPULATE_WRITE)
        except OSError:  # there is no room, or this Linux is older than 5.14
            self._allocate("contexts", 0, SLOTS * CONTEXT_BYTES)
        self._populated = True

    def touched(self) -> Iterator[tuple[int, int]]:
        """Yield (slot, count) of contexts that were ever stored to; looking at others would allocate them."""
        return touched(self._files["contexts"])

    def clear(self, slot: int, count: int) -> None:
        """Make contexts, spills and maps of these slots zero, and give back the memory of spills and large maps."""
        self.contexts[slot * CONTEXT_BYTES : (slot + count) * CONTEXT_BYTES] = bytes(count * CONTEXT_BYTES)
        self.clear_spill(slot, count)
        self.clear_maps(slot, count)

    def clear_spill(self, slot: int, count: int) -> None:
        """Give back the spills of microVMs that have ended."""
        self._punch("spill", slot * SPILL_STRIDE, (slot + count) * SPILL_STRIDE)

    def clear_maps(self, slot: int, count: int) -> None:
        start, stop = slot * self.maps_bytes, (slot + count) * self.maps_bytes
        first, last = -(-start // PAGE) * PAGE, stop // PAGE * PAGE
        if stop - start < PUNCH_MIN:
            self.maps[start:stop] = bytes(stop - start)
            return
        self._punch("maps", first, last)
        self.maps[start:first] = bytes(first - start)
        self.maps[last:stop] = bytes(stop - last)

    def _punch(self, name: str, start: int, stop: int) -> None:
        """Give back whole pages; zero them where the file system cannot."""
        try:
            self._mappings[name].madvise(mmap.MADV_REMOVE, start, stop - start)
        except OSError:
            self._views[name][start:stop] = bytes(stop - start)

    def close(self) -> None:
        """Unmap, and let another process take the job."""
        if self._closed:
            return
        self._closed = True
        self.ledger.close()
        self.words.release()
        self.maps.release()
        for view in self._views.values():
            view.release()
        for name, mapping in self._mappings.items():
            with suppress(BufferError):  # the traceback of an error looks at it still, and it goes with that
                mapping.close()
            os.close(self._files[name])
        if self._lock >= 0:
            os.close(self._lock)


def create_table(directory: str, maps_bytes: int) -> Table:
    """Make an empty table in a directory that has none; a spool of a job that was thawed stays."""
    lock = _take_lock(directory)
    try:
        for name, size in _sizes(maps_bytes).items():
            fd = os.open(f"{directory}/{name}", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, size)
            finally:
                os.close(fd)
        os.close(os.open(f"{directory}/spool", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        os.close(lock)
        raise errors.TableFull(path=directory, reason=error.strerror) from None
    return _opened(directory, maps_bytes, lock)


def attach_table(directory: str, maps_bytes: int) -> Table:
    """Take over a table; JobBusy while a live process runs its job."""
    return _opened(directory, maps_bytes, _take_lock(directory))


def _opened(directory: str, maps_bytes: int, lock: int) -> Table:
    try:
        table = Table(directory, maps_bytes, lock)
    except BaseException:
        os.close(lock)
        raise
    try:
        table.own()
    except BaseException:
        table.close()
        raise
    return table


def look_at_table(directory: str, maps_bytes: int) -> Table:
    """Map a table that another process may be running; nothing in it is to be stored to."""
    return Table(directory, maps_bytes, -1)


def touched(contexts: int) -> Iterator[tuple[int, int]]:
    """Yield (slot, count) where the sparse file of contexts, open as `contexts`, has data."""
    at, end = 0, os.fstat(contexts).st_size
    while at < end:
        try:
            start = os.lseek(contexts, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = os.lseek(contexts, start, os.SEEK_HOLE)
        first = start // CONTEXT_BYTES
        yield first, -(-at // CONTEXT_BYTES) - first


def is_running(directory: str) -> bool:
    """Tell whether a live process runs the job in `directory`; OSError when there is no such job."""
    fd = os.open(f"{directory}/lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        query = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _WHOLE)
    finally:
        os.close(fd)
    return bool(_FLOCK.unpack(query)[0] != fcntl.F_UNLCK)


def remove_table(directory: str) -> None:
    """Remove a job's directory: its known files, and nothing else."""
    for name in FILES:
        try:
            os.unlink(f"{directory}/{name}")
        except FileNotFoundError:
            continue
    os.rmdir(directory)


def _take_lock(directory: str) -> int:
    fd = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE)
    except OSError:
        os.close(fd)
        raise errors.JobBusy(path=directory, owner=_owner(directory)) from None
    return fd


def _owner(directory: str) -> str:
    try:
        with open(f"{directory}/ledger", "rb") as file:
            return str(int.from_bytes(file.read(8)[4:], "little") or "unknown")
    except OSError:
        return "unknown"


def _sizes(maps_bytes: int) -> dict[str, int]:
    return {
        "contexts": SLOTS * CONTEXT_BYTES,
        "spill": SLOTS * SPILL_STRIDE,
        "maps": max(SLOTS * maps_bytes, PAGE),
        "ledger": LEDGER_BYTES,
    }


def _open_files(directory: str, sizes: dict[str, int]) -> dict[str, int]:
    files: dict[str, int] = {}
    try:
        for name, size in sizes.items():
            files[name] = _open_file(directory, name, size)
    except BaseException:
        for fd in files.values():
            os.close(fd)
        raise
    return files


def _open_file(directory: str, name: str, size: int) -> int:
    """Open a file that must have `size` bytes: beyond its end, a load would kill the process."""
    try:
        fd = os.open(f"{directory}/{name}", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise errors.BadJob(path=directory, reason=f"{name}: {error.strerror}") from None
    if os.fstat(fd).st_size != size:
        os.close(fd)
        raise errors.BadJob(path=directory, reason=f"{name} has not {size} bytes")
    return fd
