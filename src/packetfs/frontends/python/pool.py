"""`packetfs.Pool`: a pool for scripts and notebooks. Paths are text, `docs/notes.txt`; an empty one is the pool's root.

Reading never waits for anybody and never gets in anybody's way. Each change is durable when the call returns; many
changes at once are cheaper, and all or nothing, in `with pool.transaction():`.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from packetfs.dataclass import replace
from packetfs.errors import BadPath, Exists, IsADirectory, NotADirectory, NotEmpty, NotFound, UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.sizes import format_size
from packetfs.frontends.python.connection import connect, disconnect
from packetfs.frontends.python.content import span
from packetfs.frontends.python.create import create_pool
from packetfs.frontends.python.files import ReadFile, TextFile, WriteFile, read_span
from packetfs.frontends.python.handle import Handle, raw_name
from packetfs.frontends.python.modes import Reading, Texting, Writing, kind_of
from packetfs.frontends.python.paths import Path, join, matches, raw, text
from packetfs.frontends.python.program import Program
from packetfs.frontends.python.records import Listing, Snapshots, Stat, Taken, make_stat, make_taken
from packetfs.frontends.python.storing import copied, new_directory, new_file, source_of, stream_of
from packetfs.frontends.python.table import table
from packetfs.fs.graft import graft
from packetfs.fs.streams.window import ReadInto
from packetfs.limits import MEAN
from packetfs.packet.layout import Buffer
from packetfs.typing import BinaryIO, overload


class Pool(Handle):
    """An open pool: the one at `path`, else at $PACKETFS_POOL, else the user's own (as for `pfs`).

    `snapshot` shows the names of that snapshot, which never change. `wait` is for how many seconds a change waits for
    another process that writes; then PoolBusy says which one it is.
    """

    def __init__(self, path: Path | None = None, *, snapshot: str | None = None, wait: float = 0.0) -> None:
        chosen = None if path is None else os.fsdecode(path)
        super().__init__(connect(settings.pool_path(chosen)), snapshot, wait)
        if snapshot is not None:
            try:
                self._resolve("")
            except BaseException:
                self.close()
                raise

    @classmethod
    def create(cls, path: Path, *, mean: int = MEAN, durable: bool = True, wait: float = 0.0) -> Pool:
        """Make a pool in a new or empty directory and open it; `mean` is the mean size of a chunk."""
        create_pool(os.fsdecode(path), mean, durable)
        return cls(path, wait=wait)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the pool, and of the writer's lease with the last object on it; open files and views live on."""
        if not self._closed:
            self._closed = True
            self._connection.settle()
            disconnect(self._connection)

    def release(self) -> None:
        """Give the writer's lease back now; without this it goes a moment after the last change."""
        self._connection.settle()

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path, self._snapshot, self._wait)

    # looking

    def stat(self, path: Path = "", *, follow: bool = True) -> Stat:
        """Return what a path stands for; `follow=False` looks at a link itself."""
        if not follow:
            there = self._find(self._place(path))
            if there is None:
                raise NotFound(path=raw(path))
            return make_stat(raw(path), there)
        return make_stat(raw(path), self._resolve(path)[1])

    def exists(self, path: Path) -> bool:
        """Tell whether a path leads to something; a link out of the pool does not."""
        try:
            return self._find(self._lead(path)) is not None
        except BadPath:
            return False

    def ls(self, path: Path = "") -> Listing:
        """Return what is in a directory, by name; of a file, itself."""
        place, entry = self._resolve(path)
        if not entry.is_dir:
            return Listing([make_stat(raw(path), entry)])
        return Listing(make_stat(join(raw(path), child.name), child) for child in self._children(place, entry))

    def walk(self, path: Path = "") -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield (directory, names of directories, other names) from the top down, as os.walk does."""
        listed = self.ls(path)
        below = [each.name for each in listed if each.is_dir]
        yield text(raw(path)), below, [each.name for each in listed if not each.is_dir]
        for name in below:
            yield from self.walk(join(raw(path), raw(name)))

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that match, in order: `*`, `?` and `[...]` in a name, `**` for any directories between."""
        parts = [part for part in pattern.split("/") if part]
        return sorted(set(self._glob("", parts)))

    def _glob(self, above: str, parts: list[str]) -> Iterator[str]:
        if not parts:
            yield above
            return
        if parts[0] == "**":
            yield from self._glob(above, parts[1:]) if parts[1:] else ()
        here = self._find(raw(above))
        for each in self.ls(above) if here is not None and here.is_dir else ():
            if parts[0] == "**":
                yield from self._glob(each.path, parts) if each.is_dir else ()
                yield from () if parts[1:] else (each.path,)
            elif matches(each.name, parts[0]):
                yield from self._glob(each.path, parts[1:])

    # reading

    @overload
    def open(self, path: Path, mode: Reading) -> ReadFile: ...

    @overload
    def open(self, path: Path, mode: Writing) -> WriteFile: ...

    @overload
    def open(
        self,
        path: Path,
        mode: Texting = "r",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> TextFile: ...

    @overload
    def open(
        self,
        path: Path,
        mode: str,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.BufferedIOBase | TextFile: ...

    def open(
        self,
        path: Path,
        mode: str = "r",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.BufferedIOBase | TextFile:
        """Open a file as the builtin does: `r`, `w`, `x`, `a`, with `+` and `b`. Missing directories are made.

        `rb` gives a file with `view`, `views`, `root`, `program`. What writes becomes the file when it is closed.
        """
        kind = kind_of(mode)
        file = self.reader(path) if kind == "r" else self.writer(path, kind)
        if "b" in mode:
            return file
        return TextFile(file, encoding or "utf-8", errors, newline)

    def reader(self, path: Path) -> ReadFile:
        """Open a file for reading bytes."""
        return ReadFile(self._connection, *self._file(path)[:2])

    def writer(self, path: Path, mode: str = "w") -> WriteFile:
        """Open a file for writing bytes: anew (`w`, `x`), at its end (`a`), or over what it has (`r+`)."""
        place = self._new_place(path)
        entry = self._find(place)
        self._refuse(place, mode, entry is not None, entry is not None and entry.is_dir)
        file = WriteFile(self._connection, text(place), self._wait, lambda done: self._keep(done.read_at, place, mode))
        if entry is not None and mode[0] in "ar":
            with self.reader(text(place)) as old:
                while part := old.read(1 << 20):
                    file.write(part)
            file.seek(0, os.SEEK_END if mode[0] == "a" else os.SEEK_SET)
        return file

    def _refuse(self, place: bytes, mode: str, is_there: bool, is_dir: bool) -> None:
        if is_dir:
            raise IsADirectory(path=place)
        if mode[0] == "x" and is_there:
            raise Exists(path=place)
        if mode[0] == "r" and not is_there:
            raise NotFound(path=place)

    def _keep(self, source: ReadInto, place: bytes, mode: str = "w") -> None:
        """Store a stream as the content of a file; what an old file has of owner, mode and attributes stays."""
        with self._changing() as fs:
            old = fs.entry(place)
            self._refuse(place, "w" if mode[0] in "ra" else mode, old is not None, old is not None and old.is_dir)
            fs.make_parents(place)
            fs.put_file(place, source, new_file(place, old))

    def read_bytes(self, path: Path, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes [start:end] of a file, as a slice counts them."""
        _, root, size = self._file(path)
        return read_span(self._connection.contents, root, *span(size, start, end))

    def read_text(self, path: Path, encoding: str = "utf-8") -> str:
        """Return a file as text."""
        return self.read_bytes(path).decode(encoding)

    def cat_ranges(self, paths: Sequence[Path], starts: Sequence[int], ends: Sequence[int]) -> list[bytes]:
        """Return the bytes [start:end] of each path; a path that comes again is looked up once."""
        known = {path: self._file(path) for path in dict.fromkeys(paths)}
        ranges = ((known[path], start, end) for path, start, end in zip(paths, starts, ends, strict=True))
        contents = self._connection.contents
        return [read_span(contents, root, *span(size, start, end)) for (_, root, size), start, end in ranges]

    def view(
        self, path: Path, start: int | None = None, end: int | None = None, *, copy: bool | None = None
    ) -> memoryview:
        """Return bytes of a file as a read-only buffer, where they lie in the mapped arena if one extent has them all.

        `copy=False` is NotContiguous where several extents would have to be joined; `copy=True` always copies.
        """
        name, root, size = self._file(path)
        return self._connection.contents.view(name, root, *span(size, start, end), copy=copy)

    def program(self, path: Path) -> Program:
        """Return the program that a file is: it shows its first packets, and gives all when iterated."""
        return Program(self._connection, *self._file(path)[:2])

    # changing

    def write_bytes(self, path: Path, data: Buffer) -> None:
        """Make `data` (any buffer) the content of a file."""
        self._keep(source_of(data), self._new_place(path))

    def write_text(self, path: Path, data: str, encoding: str = "utf-8") -> None:
        """Make a text the content of a file."""
        self.write_bytes(path, data.encode(encoding))

    def write_stream(self, path: Path, file: BinaryIO) -> None:
        """Make what a binary file object still has the content of a file; nothing is kept aside on the way."""
        self._keep(stream_of(file), self._new_place(path))

    def touch(self, path: Path) -> None:
        """Make an empty file, or note the time on one that is there."""
        place = self._new_place(path)
        with self._changing() as fs:
            entry = fs.entry(place)
            if entry is not None:
                fs.set(place, replace(entry, mtime_ns=time.time_ns()))
                return
        self.write_bytes(path, b"")

    def mkdir(self, path: Path, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a directory."""
        place = self._new_place(path)
        with self._changing() as fs:
            old = fs.entry(place)
            if old is not None:
                if exist_ok and old.is_dir:
                    return
                raise Exists(path=place)
            if parents:
                fs.make_parents(place)
            fs.set(place, new_directory(place))

    def rm(self, path: Path, *, recursive: bool = False) -> None:
        """Remove a file, a link or an empty directory; `recursive`, a directory with all that is in it."""
        self._need_writable()
        place = self._place(path)
        with self._changing() as fs:
            entry = fs.entry(place)
            if entry is None:
                raise NotFound(path=place)
            if entry.is_dir and not recursive and next(iter(fs.children(place)), None) is not None:
                raise NotEmpty(path=place or b"the pool's root")
            fs.remove(place)

    def mv(self, old: Path, new: Path) -> None:
        """Give what is at `old` the path `new`, in place of a file or an empty directory there: atomically."""
        before, after = self._place(old), self._new_place(new, follow=False)
        with self._changing() as fs:
            moved = fs.entry(before)
            if moved is None:
                raise NotFound(path=before)
            fs.make_parents(after)
            there = fs.entry(after)
            if there is not None and there.is_dir:
                if not moved.is_dir:
                    raise IsADirectory(path=after)
                if before != after and next(iter(fs.children(after)), None) is not None:
                    raise NotEmpty(path=after)
            elif there is not None and moved.is_dir:
                raise NotADirectory(path=after)
            fs.rename(before, after)

    def copy(self, old: Path, new: Path) -> None:
        """Make `new` the same content as `old`, a file or a directory: no byte of content is read or written."""
        before, after = self._lead(old), self._new_place(new)
        with self._changing() as fs:
            entry = fs.entry(before)
            there = fs.entry(after)
            if entry is None:
                raise NotFound(path=before)
            if there is not None and (there.is_dir or entry.is_dir):
                raise Exists(path=after)
            fs.make_parents(after)
            if entry.is_dir:
                fs.tree_root(before)
                graft(fs, after, fs.entry(before) or entry)
            else:
                fs.set(after, copied(after, entry))

    # snapshots

    def snapshot(self, name: str, path: Path = "") -> Taken:
        """Keep a directory as it is now under a name; `Pool(path, snapshot=name)` or `at` shows it."""
        self._refuse_inside()
        place = self._lead(path)
        with self._changing() as fs:
            self._run_waiting(fs)
            return make_taken(fs.snapshot(raw_name(name), place))

    def snapshots(self) -> Snapshots:
        """Return all snapshots, oldest first."""
        with self._names() as fs:
            return Snapshots(make_taken(each) for each in fs.snapshots())

    def drop_snapshot(self, name: str) -> None:
        """Forget a snapshot; `pfs gc` gives back what it alone held."""
        self._refuse_inside()
        with self._changing() as fs:
            fs.drop_snapshot(raw_name(name))

    def _refuse_inside(self) -> None:
        """A snapshot is durable at once, and so would be what came before it in a transaction."""
        if self._has_turn():
            raise UsageError(reason="snapshots are taken and dropped outside of transactions")

    def at(self, name: str) -> Pool:
        """Return the pool as a snapshot has it; paths begin at the directory that it was taken of."""
        return Pool(self.path, snapshot=name, wait=self._wait)

    # showing

    def __repr__(self) -> str:
        shown = f", snapshot={self._snapshot!r}" if self._snapshot is not None else ""
        return f"Pool({self.path!r}{shown})"

    def _repr_html_(self) -> str:
        self._need_open()
        stored = self._connection.extent(lambda pool: pool.content_bytes)
        rows = [
            ("directory", self.path),
            ("shows", "the live names" if self._snapshot is None else f"snapshot {self._snapshot}"),
            ("at its root", ", ".join(each.name + "/" * each.is_dir for each in self.ls()[:20]) or "nothing"),
            ("stored content", format_size(stored)),
            ("snapshots", ", ".join(each.name for each in self.snapshots()[-10:]) or "none"),
        ]
        return table("PacketFS pool", ("", ""), rows)


def _reopen(path: str, snapshot: str | None, wait: float) -> Pool:
    return Pool(path, snapshot=snapshot, wait=wait)
