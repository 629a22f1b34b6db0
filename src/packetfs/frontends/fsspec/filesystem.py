"""The fsspec filesystem. Its paths have no slash in front; `url.py` says what its URLs look like.

Roots of programs name contents, so checksums and change keys cost nothing, and a copy is a name. What fsspec's own
classes do file by file is done here in one turn of the pool, so that it is one commit.
"""

from __future__ import annotations

import io
import os
import stat
from datetime import datetime

from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from packetfs.errors import IsADirectory, NotADirectory
from packetfs.frontends.fsspec.ranged import RangedFile
from packetfs.frontends.fsspec.transaction import PoolTransaction
from packetfs.frontends.fsspec.url import PROTOCOL, join_url, refuse_unmarked, split_url
from packetfs.frontends.python.modes import kind_of
from packetfs.frontends.python.pool import Pool
from packetfs.frontends.python.records import Stat
from packetfs.limits import WRITER_WAIT
from packetfs.typing import Any, Final

_NANO: Final = 1_000_000_000


class PacketFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files of a pool.

    `pool` is its directory (else that of $PACKETFS_POOL, or the user's own); `snapshot` shows that snapshot, which
    never changes; `wait` is for how many seconds a change waits for another process that writes.
    """

    protocol = PROTOCOL
    root_marker = ""
    transaction_type = PoolTransaction

    def __init__(
        self,
        pool: str | os.PathLike[str] | None = None,
        snapshot: str | None = None,
        wait: float = WRITER_WAIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool: Final = Pool(pool, snapshot=snapshot, wait=wait)

    # URLs

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return split_url(stringify_path(path)).path

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        refuse_unmarked(path)
        parts = split_url(path)
        named = {"pool": parts.pool, "snapshot": parts.snapshot}
        return {key: value for key, value in named.items() if value is not None}

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL that says pool and snapshot, too: it means the same in any process."""
        return join_url(self.pool.path, self.pool.snapshot_name, self._strip_protocol(name))

    @property
    def fsid(self) -> str:
        return f"{PROTOCOL}:{self.pool.path}@{self.pool.snapshot_name or ''}"

    # looking

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return what is known of a path; links are followed, and say so."""
        name = self._strip_protocol(path)
        found = self.pool.stat(name, follow=False)
        if found.target is None:
            return _info(name, found)
        target = self.pool.stat(name) if self.pool.exists(name) else found
        return {**_info(name, target), "islink": True, "destination": found.target}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List a directory; of a file, itself."""
        listed = self.pool.ls(self._strip_protocol(path))
        if not detail:
            return [each.path for each in listed]
        return [_info(each.path, each) if each.target is None else self.info(each.path) for each in listed]

    def exists(self, path: str, **_: Any) -> bool:
        return self.pool.exists(self._strip_protocol(path))

    def checksum(self, path: str) -> int:
        """Return the root of a file as a number: equal numbers are equal contents, in any pool."""
        return int(self._root(path), 16)

    def ukey(self, path: str) -> str:
        """Return the root of a file, which changes with its content and with nothing else."""
        return self._root(path)

    def _root(self, path: str) -> str:
        found = self.pool.stat(self._strip_protocol(path))
        return found.root if found.root is not None else str(super().ukey(path))

    def created(self, path: str) -> datetime:
        """Return when the content was made: a content that changes is a new one."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        return self.pool.stat(self._strip_protocol(path)).modified

    # reading

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return bytes of a file; what lies outside of the range is not read."""
        return self.pool.read_bytes(self._strip_protocol(path), start, end)

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Return many ranges, each path looked up once; joining near ones (`max_gap`) would win nothing."""
        del max_gap
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        firsts = starts if isinstance(starts, list) else [starts] * len(paths)
        lasts = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(firsts) == len(lasts):
            raise ValueError("paths, starts and ends must be of one length")
        names = self._strip_protocol(paths)
        try:
            return list(self.pool.cat_ranges(names, firsts, lasts))
        except Exception:
            if on_error != "return":
                raise
        return list(map(self._try_cat, names, firsts, lasts))

    def _try_cat(self, path: str, start: int | None, end: int | None) -> bytes | Exception:
        try:
            return self.pool.read_bytes(path, start, end)
        except Exception as error:  # the caller asked for errors as results
            return error

    def _open(self, path: str, mode: str = "rb", **options: Any) -> io.BufferedIOBase | RangedFile:
        kind = kind_of(mode)
        if kind != "r":
            return self.pool.writer(path, kind)
        if options.get("cache_type") == "none":
            return RangedFile(self, path, **options)
        return self.pool.reader(path)

    # changing

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **_: Any) -> None:
        """Make a buffer the content of a file."""
        name = self._strip_protocol(path)
        with self.pool.together():
            if mode == "create" and self.pool.exists(name):
                raise FileExistsError(name)
            self.pool.write_bytes(name, value)

    def pipe(self, path: Any, value: Any = None, **kwargs: Any) -> None:
        """Write one file, or a dict of them in one commit."""
        with self.pool.together():
            super().pipe(path, value, **kwargs)

    def put_file(self, lpath: Any, rpath: str, callback: Any = None, mode: str = "overwrite", **_: Any) -> None:
        """Store a file of this machine; it is read once, and kept aside nowhere."""
        name = self._strip_protocol(rpath)
        if mode == "create" and self.pool.exists(name):
            raise FileExistsError(name)
        if os.path.isdir(lpath):
            self.makedirs(name, exist_ok=True)
            return
        with open(lpath, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.pool.write_stream(name, file)
        if callback is not None:
            callback.set_size(size)
            callback.relative_update(size)

    def put(self, lpath: Any, rpath: Any, *args: Any, **kwargs: Any) -> None:
        """Store files and directories of this machine in one commit."""
        with self.pool.together():
            super().put(lpath, rpath, *args, **kwargs)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a file: the new name has the same root, and no content is touched."""
        old, new = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.pool.stat(old).is_dir:
            self.makedirs(new, exist_ok=True)
        elif old != new:
            self.pool.copy(old, new)

    def copy(self, path1: Any, path2: Any, *args: Any, **kwargs: Any) -> None:
        """Copy files and directories in one commit."""
        with self.pool.together():
            super().copy(path1, path2, *args, **kwargs)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any) -> None:
        """Move: one path by giving it its new name, several by copying names, in one commit either way."""
        with self.pool.together():
            if isinstance(path1, str) and isinstance(path2, str) and self.pool.exists(self._strip_protocol(path1)):
                self._move(path1, path2)
            else:
                super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)

    def _move(self, path1: str, path2: str) -> None:
        old, new = self._strip_protocol(path1), self._strip_protocol(path2)
        if old != new and (path2.endswith("/") or self.isdir(new)):
            new = f"{new}/{old.rpartition('/')[2]}".lstrip("/")
        if old != new:
            self.pool.mv(old, new)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove in one commit; a directory goes as a whole."""
        with self.pool.together():
            if maxdepth is not None:
                super().rm(path, recursive=recursive, maxdepth=maxdepth)
                return
            for each in reversed(self.expand_path(path)):
                if not recursive and self.isdir(each):
                    raise IsADirectory(path=os.fsencode(each))
                self.pool.rm(each, recursive=recursive)

    def rm_file(self, path: str) -> None:
        """Remove a file, or an empty directory."""
        self.pool.rm(self._strip_protocol(path))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        name = self._strip_protocol(path)
        if not self.pool.stat(name, follow=False).is_dir:
            raise NotADirectory(path=os.fsencode(name))
        self.pool.rm(name)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        self.pool.mkdir(self._strip_protocol(path), parents=create_parents)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        name = self._strip_protocol(path)
        if name or not exist_ok:
            self.pool.mkdir(name, parents=True, exist_ok=exist_ok)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make an empty file, or (not `truncate`) note a new time on one that is there."""
        name = self._strip_protocol(path)
        if truncate or not self.pool.exists(name):
            self.pool.write_bytes(name, b"")
        else:
            self.pool.touch(name)

    def start_transaction(self) -> Any:
        """Begin a transaction that `end_transaction` ends."""
        started = self.transaction
        started.start()
        return started

    def __repr__(self) -> str:
        return f"<packetfs filesystem of {self.pool!r}>"

    def _repr_html_(self) -> str:
        return self.pool._repr_html_()


def _info(name: str, found: Stat) -> dict[str, Any]:
    """Return fsspec's record of a path."""
    return {
        "name": name,
        "size": found.size if found.is_file else 0,
        "type": found.type if found.type in ("file", "directory") else "other",
        "mode": found.mode,
        "uid": found.uid,
        "gid": found.gid,
        "mtime": found.mtime_ns / _NANO,
        "created": found.mtime_ns / _NANO,
        "root": found.root,
        "islink": stat.S_ISLNK(found.mode),
    }
