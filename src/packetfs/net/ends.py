"""Opens the two ends of a sync from what an endpoint says: a path in a pool, or one of the host with its history.

A process is one end of a sync, and loads what that end needs: the modules of both would take 1.5 MB more.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum
from packetfs.errors import NotFound, NothingThere, PoolBusy
from packetfs.errors.system import destination_error, source_error
from packetfs.events import Listener
from packetfs.fs.filesystem import FileSystem, open_names
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import make_entry
from packetfs.limits import GUEST_HISTORIES, HISTORY_POLL, MEAN
from packetfs.net.history import bound_histories, commit_history, open_history, settle_source, settle_target
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool
from packetfs.typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from packetfs.fs.mirroring.file import Offer
    from packetfs.net.receiving.target import Target
    from packetfs.net.sending.source import Source


class Shape(IntEnum):
    """What a source is."""

    DIRECTORY = 1
    FILE = 2


@dataclass(frozen=True, slots=True)
class Place:
    """One end on this machine. `pool` is a pool's directory or "" for a plain path, which `history` remembers.

    A peer with few rights has its place confined (confine.py). In a pool, `limited` says that it knows of no content
    but what its path has. On the host, `path` names an open directory by its descriptor, `key` is what the history
    calls it, `leaf` the one file in it that is meant, and `asked` what the peer called it, which is what it is told.
    """

    pool: str
    path: bytes
    history: str
    limited: bool = False
    key: bytes = b""
    leaf: bytes = b""
    asked: bytes = b""
    wait: float = 0.0
    """Seconds to wait for another writer of the pool."""
    prepare: Callable[[FileSystem], None] | None = None
    """What gives derived files of the pool their content, before anything is sent."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a target is brought up to date. `name` is the single file that is sent, b"" for a directory.

    `follows`: the last sync was of the same connection, so that nothing is looked for but what is sent. `snapshots`: a
    pool keeps what it holds in the end under a name.
    """

    delete: bool = False
    checksum: bool = False
    dry_run: bool = False
    name: bytes = b""
    follows: bool = False
    snapshots: bool = True


OpenTarget: TypeAlias = Callable[[Terms], AbstractContextManager["Target"]]
"""Opens a target for one sync, once and again."""


def mean_of(place: Place) -> int:
    """Return the chunk mean at this end: a pool's own, else the default."""
    if not place.pool:
        return MEAN
    with Pool.open(place.pool) as pool:
        return pool.mean


def shape_of(place: Place) -> Shape:
    """Tell what a source is; NotFound when it is not there."""
    if place.pool:
        with Pool.open(place.pool) as pool, open_names(pool) as fs:
            entry = fs.entry(_inside(place.path))
            if entry is None:
                raise NotFound(path=b"pfs:" + place.path)
            return Shape.DIRECTORY if entry.is_dir else Shape.FILE
    path = os.path.join(place.path, place.leaf) if place.leaf else place.path
    try:
        status = os.stat(path) if path.endswith(b"/") else os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise NothingThere(path=place.asked or place.path) from None
    except OSError as error:
        raise source_error(place.asked or place.path, error) from None
    return Shape.DIRECTORY if stat.S_ISDIR(status.st_mode) else Shape.FILE


def _inside(path: bytes) -> bytes:
    return b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))


def load_source(place: Place) -> None:
    """Load what `open_source` will need, while the other side starts."""
    import packetfs.net.sending.source

    if not place.pool:
        import packetfs.fs.mirroring.mirror  # noqa: F401


@contextmanager
def open_source(
    place: Place, mean: int, keep: int, listener: Listener, *, checksum: bool, offer: Offer | None = None
) -> Iterator[Source]:
    """Open the end that sends; a plain directory is mirrored into its history first, and new files are offered."""
    from packetfs.net.sending.source import HostSource, PoolSource

    if place.pool:
        with _open_writable(place) as pool, open_names(pool) as fs:
            if place.prepare is not None and not place.limited:
                place.prepare(fs)
            yield PoolSource(fs, _inside(place.path), limited=place.limited)
            fs.commit()
        return
    from packetfs.fs.mirroring.edited import Edited
    from packetfs.fs.mirroring.mirror import MirrorOptions, mirror

    shape = shape_of(place)
    real, key = _real_source(place, shape)
    with _source_history(place, key, mean) as fs:
        root, name = (real, b"") if shape is Shape.DIRECTORY else os.path.split(real)
        edited = Edited()
        mirror(fs, real, name, MirrorOptions(budget=keep, checksum=checksum, offer=offer, edited=edited), listener)
        top = top_entry(root) if shape is Shape.DIRECTORY else None
        with Beneath(root) as host:
            source = HostSource(fs, host, top, edited)
            commit_history(fs)
            try:
                yield source
                settle_source(fs, source.root, keep)
            finally:
                source.close()


@contextmanager
def _source_history(place: Place, key: bytes, mean: int) -> Iterator[FileSystem]:
    """Open the history of a source; those of peers who choose the directories are bounded together."""
    role = "guest" if place.key else "source"
    try:
        with open_history(place.history, role, key, mean) as fs:
            yield fs
    finally:
        if place.key:
            bound_histories(place.history, role, GUEST_HISTORIES)


def _open_writable(place: Place) -> Pool:
    """Open a pool as its writer, after the one before if that ends in time."""
    until = time.monotonic() + place.wait
    kind = _discreet() if place.limited else Pool
    while True:
        try:
            return kind.open(place.pool, writable=True)
        except PoolBusy:
            if time.monotonic() >= until:
                raise
        time.sleep(HISTORY_POLL)


def _discreet() -> type[Pool]:
    from packetfs.net.access.scope import DiscreetPool  # a sync of one's own has no secrets

    return DiscreetPool


def _real_source(place: Place, shape: Shape) -> tuple[bytes, bytes]:
    """Return the path that a source is read by, and the one that it is remembered by."""
    if place.key:
        return os.path.join(place.path, place.leaf) if place.leaf else place.path, place.key
    real = os.path.realpath(place.path) if shape is Shape.DIRECTORY else _real_file(place.path)
    return real, real


def _real_file(path: bytes) -> bytes:
    return os.path.join(os.path.realpath(os.path.dirname(path) or b"."), os.path.basename(path))


def top_entry(root: bytes) -> Entry:
    """Return the entry of a source directory itself."""
    return make_entry(b".", os.stat(root))


@contextmanager
def open_target(place: Place, terms: Terms, mean: int, listener: Listener) -> Iterator[Target]:
    """Open the end that receives. One file goes into an existing directory, or gets the name that the path ends in."""
    with open_targets(place, terms.name, mean, listener) as opened, opened(terms) as target:
        yield target


@contextmanager
def open_targets(place: Place, name: bytes, mean: int, listener: Listener) -> Iterator[OpenTarget]:
    """Open what several syncs into one place share; `name` is that of a single file."""
    if place.pool:
        with _open_writable(place) as pool, open_names(pool) as fs:
            yield lambda terms: closing(_pool_target(fs, place, terms))
        return
    from packetfs.net.receiving.target_host import HostTarget

    root, key, rename = _real_target(place, name)
    with open_history(place.history, "target", key, mean) as fs:

        @contextmanager
        def open_one(terms: Terms) -> Iterator[Target]:
            try:
                target = HostTarget(
                    root,
                    fs,
                    listener,
                    delete=terms.delete,
                    checksum=terms.checksum,
                    dry_run=terms.dry_run,
                    rename=rename,
                    follows=terms.follows,
                    shown=place.asked,
                )
            except OSError as error:
                raise destination_error(place.asked or root, error) from None
            with closing(target):
                yield target
            if not terms.dry_run:
                settle_target(fs)

        yield open_one


def _real_target(place: Place, name: bytes) -> tuple[bytes, bytes, tuple[bytes, bytes] | None]:
    """Return the directory that receives, what it is remembered by, and the name that a single file gets in it."""
    root, rename = place.path or b".", None
    if place.key:
        rename = (name, place.leaf or name) if name else None
        return root, place.key + (b"\0" + name if rename and not place.leaf else b""), rename
    if name and not os.path.isdir(root) and not root.endswith(b"/"):
        root, last = os.path.split(root)
        rename = (name, last)
    elif name:
        rename = (name, name)
    root = os.path.realpath(root or b".")
    return root, root + (b"\0" + rename[1] if rename else b""), rename


def _pool_target(fs: FileSystem, place: Place, terms: Terms) -> Target:
    from packetfs.net.receiving.target_pool import PoolTarget

    rename = None
    path = _inside(place.path)
    existing = fs.entry(path)
    if terms.name and not (existing is not None and existing.is_dir) and not place.path.endswith(b"/"):
        path, _, name = path.rpartition(b"/")
        rename = (terms.name, name)
    elif terms.name:
        rename = (terms.name, terms.name)
    return PoolTarget(
        fs,
        path,
        delete=terms.delete,
        checksum=terms.checksum,
        dry_run=terms.dry_run,
        rename=rename,
        limited=place.limited,
        snapshots=terms.snapshots,
    )
