"""A disk that remembers every write, fails when told, and shows what any crash could have left.

The files are real, in a directory of the caller; beside them every operation is logged. `materialise` replays a prefix
of the log as a machine might that lost power there: what was synced is there; what was not is there, torn, or missing,
in any combination, and a directory's unsynced names are there up to some point. What is written through a mapping and
not synced yet may be anything: such pages come out damaged.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Sequence
from random import Random

from packetfs.dataclass import dataclass, field
from packetfs.enum import Enum
from packetfs.errors import PoolFailed
from packetfs.packet.layout import Buffer
from packetfs.pool.storage import DiskStorage, explain
from packetfs.typing import Final

SECTOR: Final = 512
PAGE: Final = 4096


class Act(Enum):
    """What was done to the disk."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    PUNCH = 4
    SYNC = 5
    MAP = 6
    DIRECTORY = 7
    SYNC_DIRECTORY = 8
    RENAME = 9
    UNLINK = 10
    NOTE = 11


@dataclass(frozen=True, slots=True)
class Operation:
    """One logged operation. `file` numbers the file itself, whatever it is called."""

    act: Act
    file: int = -1
    path: str = ""
    offset: int = 0
    length: int = 0
    data: bytes = b""


class Loss(Enum):
    """What a crash does to writes that were not synced. RANDOM mixes all, tearing writes at sectors or pages."""

    NOTHING = 1
    EVERYTHING = 2
    RANDOM = 3


@dataclass(slots=True)
class _File:
    """A file of the replayed disk: what is safe, and what was done since."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)
    is_mapped: bool = False


class RecordingStorage(DiskStorage):
    """Writes below `root` for real and logs it. `fail_at`: the number of the operation that fails, with `error`."""

    def __init__(self, root: str, *, fail_at: int = -1, error: int = errno.EIO, sticky: bool = False) -> None:
        self.root = os.path.realpath(root)
        self.log: list[Operation] = []
        self.fail_at = fail_at
        self.error = error
        self.sticky = sticky
        self.vfs = ""
        self.calls = 0
        self._numbers: dict[tuple[int, int], int] = {}
        self._maps: dict[int, tuple[mmap.mmap, bytes]] = {}

    def note(self, text: str) -> None:
        """Mark a moment in the log: a test says here what it was promised by now."""
        self.log.append(Operation(Act.NOTE, path=text))

    def open(self, path: str, flags: int) -> int:
        exists = os.path.exists(path)
        if not exists and flags & os.O_CREAT:
            self._before(path)
        fd = super().open(path, flags)
        if not exists and flags & os.O_CREAT:
            self._log(Act.CREATE, fd, path=self._relative(path))
        return fd

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        self._before(fd)
        super().write(fd, buffers, offset)
        self._log(Act.WRITE, fd, offset=offset, data=b"".join(buffers))

    def write_past(self, fd: int, data: memoryview, offset: int) -> int:
        self._before(fd)
        count = super().write_past(fd, data, offset)
        self._log(Act.WRITE, fd, offset=offset, data=bytes(data[:count]))
        return count

    def truncate(self, fd: int, length: int) -> None:
        self._before(fd)
        super().truncate(fd, length)
        self._log(Act.TRUNCATE, fd, length=length)

    def reserve(self, fd: int, length: int) -> None:
        self._before(fd)
        super().reserve(fd, length)
        self._log(Act.TRUNCATE, fd, length=max(length, self.size(fd)))

    def punch(self, fd: int, offset: int, length: int) -> None:
        self._before(fd)
        super().punch(fd, offset, length)
        self._log(Act.PUNCH, fd, offset=offset, length=length)

    def sync(self, fd: int) -> None:
        self._before(fd, final=True)
        self._log_mapped(fd)
        self._log(Act.SYNC, fd)

    def map(self, fd: int, length: int) -> mmap.mmap:
        self._before(fd)
        mapping = super().map(fd, length)
        self._maps[fd] = (mapping, mapping[PAGE:])
        return mapping

    def sync_map(self, fd: int, mapping: mmap.mmap) -> None:  # noqa: ARG002
        self._before(fd, final=True)
        self._log_mapped(fd)
        self._log(Act.SYNC, fd)

    def close(self, fd: int) -> None:
        self._maps.pop(fd, None)
        super().close(fd)

    def make_directory(self, path: str) -> None:
        if not os.path.isdir(path):
            self._before(path)
            super().make_directory(path)
            self.log.append(Operation(Act.DIRECTORY, path=self._relative(path)))

    def sync_directory(self, path: str) -> None:
        self._before(path, final=True)
        self.log.append(Operation(Act.SYNC_DIRECTORY, path=self._relative(path)))

    def rename(self, old: str, new: str) -> None:
        self._before(new)
        super().rename(old, new)
        self.log.append(Operation(Act.RENAME, path=self._relative(old), data=os.fsencode(self._relative(new))))

    def unlink(self, path: str) -> None:
        if os.path.lexists(path):
            self._before(path)
            super().unlink(path)
            self.log.append(Operation(Act.UNLINK, path=self._relative(path)))

    def _before(self, where: str | int, *, final: bool = False) -> None:
        """Count a call, and fail it if it is the one; `final` calls are barriers, which fail with PoolFailed."""
        self._log_dirty()
        number = self.calls
        self.calls += 1
        if self.fail_at < 0 or number < self.fail_at or (number > self.fail_at and not self.sticky):
            return
        path = where if isinstance(where, str) else f"descriptor {where}"
        error = OSError(self.error, os.strerror(self.error))
        raise PoolFailed(path=path, reason=os.strerror(self.error)) if final else explain(error, path)

    def _log(self, act: Act, fd: int, *, path: str = "", offset: int = 0, length: int = 0, data: bytes = b"") -> None:
        self.log.append(Operation(act, self._number(fd, act), path, offset, length, data))

    def _log_mapped(self, fd: int) -> None:
        """Log what a mapping of this file holds: a sync of the file makes that durable too."""
        if fd in self._maps:
            self._log(Act.WRITE, fd, offset=PAGE, data=self._maps[fd][0][PAGE:])

    def _log_dirty(self) -> None:
        """Log which files were written through their mappings since the last look."""
        for fd, (mapping, before) in self._maps.items():
            if not mapping.closed and mapping[PAGE:] != before:
                self._maps[fd] = (mapping, mapping[PAGE:])
                self.log.append(Operation(Act.MAP, self._number(fd, Act.MAP)))

    def _number(self, fd: int, act: Act) -> int:
        status = os.fstat(fd)
        key = (status.st_dev, status.st_ino)
        if act is Act.CREATE:  # an inode number may come back after an unlink
            self._numbers[key] = len(self.log)
        return self._numbers.setdefault(key, len(self.log))

    def _relative(self, path: str) -> str:
        return os.path.relpath(os.path.realpath(path), self.root)


def materialise(log: Sequence[Operation], target: str, loss: Loss, seed: int = 0) -> None:
    """Write into the empty directory `target` what a crash after the last operation of `log` may have left."""
    random = Random(seed)  # noqa: S311 - choices of a test, not secrets
    disk = _Disk()
    for operation in log:
        disk.apply(operation)
    disk.settle(loss, random)
    disk.write(target)


class _Disk:
    """Files and names as they are safe, with what is pending."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int | None] = {}
        self._pending: list[Operation] = []
        self._acts: Final[dict[Act, Callable[[Operation], None]]] = {
            Act.SYNC: self._sync,
            Act.MAP: self._map,
        }

    def apply(self, operation: Operation) -> None:
        if operation.act is Act.NOTE:
            return
        if operation.act is Act.SYNC_DIRECTORY:
            self._sync_names()
        elif operation.act in self._acts:
            self._acts[operation.act](operation)
        elif operation.act in (Act.WRITE, Act.TRUNCATE, Act.PUNCH):
            self._file(operation).pending.append(operation)
        else:
            self._file(operation)
            self._pending.append(operation)

    def settle(self, loss: Loss, random: Random) -> None:
        """Decide what became of everything that is pending."""
        count = len(self._pending)
        kept = {Loss.NOTHING: count, Loss.EVERYTHING: 0, Loss.RANDOM: random.randint(0, count)}
        for operation in self._pending[: kept[loss]]:
            self._name(operation)
        for file in self._files.values():
            for operation in file.pending:
                for part in _survivors(operation, loss, random):
                    _change(file.safe, part)
            if file.is_mapped:
                _scribble(file.safe, random)

    def write(self, target: str) -> None:
        for name, number in sorted(self._names.items()):
            path = os.path.join(target, name)
            if number is None:
                os.makedirs(path, exist_ok=True)
        for name, number in self._names.items():
            if number is not None and os.path.isdir(os.path.dirname(os.path.join(target, name))):
                with open(os.path.join(target, name), "wb") as file:
                    file.write(self._files[number].safe)

    def _file(self, operation: Operation) -> _File:
        return self._files.setdefault(operation.file, _File())

    def _sync(self, operation: Operation) -> None:
        file = self._file(operation)
        for pending in file.pending:
            _change(file.safe, pending)
        file.pending.clear()
        file.is_mapped = False

    def _map(self, operation: Operation) -> None:
        self._file(operation).is_mapped = True

    def _sync_names(self) -> None:
        """Everything about names up to here is safe: filesystems write their journal in order."""
        for pending in self._pending:
            self._name(pending)
        self._pending.clear()

    def _name(self, operation: Operation) -> None:
        if operation.act is Act.CREATE:
            self._names[operation.path] = operation.file
        elif operation.act is Act.DIRECTORY:
            self._names[operation.path] = None
        elif operation.act is Act.UNLINK:
            self._names.pop(operation.path, None)
        elif operation.path in self._names:
            self._names[os.fsdecode(operation.data)] = self._names.pop(operation.path)


def _change(data: bytearray, operation: Operation) -> None:
    if operation.act is Act.TRUNCATE:
        del data[operation.length :]
        data.extend(bytes(operation.length - len(data)))
        return
    inside = max(0, min(operation.length, len(data) - operation.offset))
    content = operation.data if operation.act is Act.WRITE else bytes(inside)
    if len(data) < operation.offset:
        data.extend(bytes(operation.offset - len(data)))
    data[operation.offset : operation.offset + len(content)] = content


def _survivors(operation: Operation, loss: Loss, random: Random) -> list[Operation]:
    """Return which parts of a pending operation reached the disk."""
    if loss is Loss.NOTHING:
        return [operation]
    if loss is Loss.EVERYTHING or random.random() < 0.3:
        return []
    if operation.act is not Act.WRITE or random.random() < 0.5:
        return [operation]
    unit = random.choice((SECTOR, PAGE))
    return [part for part in _split(operation, unit) if random.random() < 0.5]


def _split(operation: Operation, unit: int) -> list[Operation]:
    parts = []
    start, end = operation.offset, operation.offset + len(operation.data)
    while start < end:
        stop = min(end, (start // unit + 1) * unit)
        data = operation.data[start - operation.offset : stop - operation.offset]
        parts.append(Operation(Act.WRITE, operation.file, offset=start, data=data))
        start = stop
    return parts


def _scribble(data: bytearray, random: Random) -> None:
    """Damage pages of a file that is mapped for writing, but for the first, which is only written by pwrite."""
    for start in range(PAGE, len(data), PAGE):
        if random.random() < 0.3:
            data[start : start + PAGE] = random.randbytes(min(PAGE, len(data) - start))
