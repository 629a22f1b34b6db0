"""SQLite through a Storage, for crash tests: the checksum VFS on top, this VFS below it, a recorded disk at the bottom.

The extension wraps whatever VFS is the default when it is loaded, once per process, under one name. So a copy of it
with another name inside is loaded over this VFS, and databases of ordinary pools keep theirs. There is no shared memory
here: such databases are opened with exclusive locking.
"""

from __future__ import annotations

import os
import tempfile

import apsw

from packetfs.packet.layout import Buffer
from packetfs.pool.database import extension_path, load_checksums
from packetfs.pool.storage import Storage
from packetfs.typing import Final

_BELOW: Final = "pfs-storage"
_INSIDE: Final = b"cksmvfs\0"
_RENAMED: Final = b"cksmrec\0"
CHECKSUMMED: Final = "cksmrec"

_storages: dict[str, Storage] = {}
_registered: list[StorageVfs] = []


def install(root: str, storage: Storage) -> str:
    """Send databases below `root` through `storage`; return the name of the VFS to open them with."""
    _storages[os.path.realpath(root)] = storage
    if not _registered:
        load_checksums()
        before = apsw.vfs_names()[0]
        _registered.append(StorageVfs())
        _load_renamed()
        apsw.set_default_vfs(before)
    return CHECKSUMMED


def remove(root: str) -> None:
    """Forget what install said."""
    _storages.pop(os.path.realpath(root), None)


def _load_renamed() -> None:
    with open(extension_path(), "rb") as file:
        code = file.read().replace(_INSIDE, _RENAMED)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "cksumvfs.so")
        with open(path, "wb") as copy:
            copy.write(code)
        load_checksums(path)


def _storage_of(path: str) -> Storage | None:
    return next((storage for root, storage in _storages.items() if path.startswith(root + "/")), None)


class StorageVfs(apsw.VFS):
    """Opens what lies below an installed root through its Storage, everything else as the system does."""

    def __init__(self) -> None:
        super().__init__(_BELOW, "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        storage = _storage_of(path) if path else None
        if storage is None or path is None:
            return apsw.VFSFile("unix", name, flags)
        return StorageFile(storage, path, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        storage = _storage_of(filename)
        if storage is None:
            super().xDelete(filename, syncdir)
            return
        storage.unlink(filename)
        if syncdir:
            storage.sync_directory(os.path.dirname(filename))


class StorageFile(apsw.VFSFile):
    """One file of a database. Names become durable with the first sync, as SQLite's own VFS does for its journals."""

    def __init__(self, storage: Storage, path: str, flags: list[int]) -> None:
        self._storage = storage
        self._path = path
        self._is_new = not os.path.exists(path)
        mode = os.O_RDWR if flags[0] & apsw.SQLITE_OPEN_READWRITE else os.O_RDONLY
        create = os.O_CREAT if flags[0] & apsw.SQLITE_OPEN_CREATE else 0
        try:
            self._fd = storage.open(path, mode | create)
        except FileNotFoundError as error:
            raise apsw.CantOpenError(str(error)) from error
        flags[1] = flags[0]

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return self._storage.read(self._fd, amount, offset)

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802
        self._storage.write(self._fd, [bytes(data)], offset)

    def xSync(self, flags: int) -> None:  # noqa: N802, ARG002
        self._storage.sync(self._fd)
        if self._is_new:
            self._storage.sync_directory(os.path.dirname(self._path))
            self._is_new = False

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._storage.truncate(self._fd, newsize)

    def xFileSize(self) -> int:  # noqa: N802
        return self._storage.size(self._fd)

    def xLock(self, level: int) -> None:  # noqa: N802
        """Grant every lock: the pool's lease lets one process write, and its connection is the only one."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Nothing was locked."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802, ARG002
        return False

    def xClose(self) -> None:  # noqa: N802
        self._storage.close(self._fd)
