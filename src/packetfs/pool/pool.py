"""The pool: payloads by digest in one directory. It is the Store that programs are built on and read from.

    arena/00000000 ...   every payload behind its EXTENT header: the truth
    index                where each digest lies; derived
    leases, verified     who reads and writes, and what was checked since boot; shared memory
    NAME.db              SQLite databases of the layers above

Order of a durable pool: payload, fdatasync, then whatever refers to it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType

from packetfs.errors import (
    CorruptExtent,
    ExtentTooLong,
    MissingExtent,
    NotAPool,
    PacketFSError,
    PoolAccess,
    PoolClosed,
    PoolExists,
    PoolFailed,
    PoolFull,
    PoolReadOnly,
)
from packetfs.limits import APPEND_DIRECT, EXTENT_MAX, INDEX_REST, MEAN, PATCH_MIN, PAYLOAD_MAX, SEGMENT
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.head import check_mean
from packetfs.packet.layout import PACKET, Buffer, Encoding, Mark
from packetfs.packet.zstd import compress
from packetfs.pool.arena import Arena, create_segment, read_superblock, segment_path
from packetfs.pool.extent import Extent, Location, flags_of
from packetfs.pool.index import State, Summary
from packetfs.pool.leases import Leases, Shares
from packetfs.pool.lookup import Like, Lookup
from packetfs.pool.mapping import Mappings
from packetfs.pool.recovery import Places, grow, open_index
from packetfs.pool.scan import scan
from packetfs.pool.sequences import Sequences
from packetfs.pool.storage import DISK, Storage
from packetfs.pool.superblock import Superblock
from packetfs.pool.verified import Verified, boot_id
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.pool.database import Connection

_OWN_NAMES: Final = frozenset(("arena", "leases", "index", "index.new", "verified"))


class Pool:
    """One open pool: any number of readers, or the one writer. Its methods may be called from several threads."""

    def __init__(self, path: str, block: Superblock, storage: Storage, leases: Leases, writable: bool) -> None:
        self.path: Final = path
        self.mean: Final = block.mean
        self.identity: Final = block.identity
        self.durable: Final = block.durable
        self.created: Final = block.created
        self._secret: Final = block.secret
        self.writable: Final = writable
        self.storage: Final = storage
        self.leases: Final = leases
        self.arena: Final = Arena(storage, f"{path}/arena", block, writable)
        self.verified: Final = Verified(storage, f"{path}/verified")
        self.mappings: Final = Mappings(self.arena, Shares(storage, f"{path}/leases"))
        self.lock: Final = threading.RLock()
        self.sequences: Final = Sequences()
        self._places: Final = Places(storage, self.arena, block, f"{path}/index", boot_id())
        self._connections: list[Connection] = []
        self._failed: PacketFSError | None = None
        self._closed = False
        self._live = False
        self._synced = self.arena.end
        opened = open_index(self._places, writable=writable, live_epoch=leases.live_epoch())
        self._content = opened.content
        self._rest_at = 0
        self.lookup: Final = Lookup(self._places, opened.index, self.verified, leases, self.mappings, self.lock)
        if writable and not opened.clean:
            self.begin_writing()

    # opening and closing

    @classmethod
    def create(cls, path: str | bytes, *, mean: int = MEAN, durable: bool = True, storage: Storage = DISK) -> Pool:
        """Make a pool in a new or empty directory and open it for writing."""
        check_mean(mean)
        where = os.path.abspath(os.fsdecode(path))
        block = Superblock(os.urandom(16), os.urandom(32), mean, durable, time.time_ns())
        storage.make_directory(where)
        _refuse_foreign(where)
        leases = Leases(storage, f"{where}/leases", writable=True)
        try:
            leases.acquire_writer()
            _write_first_segment(storage, where, block)
            return cls(where, block, storage, leases, True)
        except BaseException:
            leases.close()
            raise

    @classmethod
    def open(cls, path: str | bytes, *, writable: bool = False, storage: Storage = DISK) -> Pool:
        """Open a pool; PoolBusy when it is to be written and another process does."""
        where = os.path.abspath(os.fsdecode(path))
        block = read_superblock(storage, f"{where}/arena")
        leases = Leases(storage, f"{where}/leases", writable)
        try:
            if writable:
                leases.acquire_writer()
            return cls(where, block, storage, leases, writable)
        except BaseException:
            leases.close()
            raise

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Make everything durable, leave a trusted index, give up the lease. Views and their leases live on."""
        with self.lock:
            if self._closed:
                return
            try:
                for connection in self._connections:
                    connection.close()
                if self.writable and self._failed is None:
                    self._leave_clean()
            finally:
                self._closed = True
                self._release()

    def _leave_clean(self) -> None:
        self.flush()
        if self._live:
            if self.durable:
                self.lookup.index.sync()
            self.lookup.index.write_summary(self._summarise(State.CLEAN))
            if self.durable:
                self.lookup.index.sync_summary()

    def _release(self) -> None:
        self._live = False
        self.mappings.close()
        self.lookup.close()
        self.verified.close()
        self.arena.close()
        self.leases.close()

    # storing

    def put(
        self,
        payload: Buffer,
        digest: Digest | None = None,
        *,
        mark: int = Mark.DATA,
        encoding: int = Encoding.RAW,
        like: Sequence[Like] = (),
    ) -> Digest:
        """Keep `payload` unless it is held, and return its digest; a digest that is given is believed until read.

        `like` are extents that it may differ from in little, side by side: then no more than that is stored.
        """
        data = payload if type(payload) is bytes else memoryview(payload).cast("B")
        if len(data) > PAYLOAD_MAX:
            raise ExtentTooLong(length=len(data), limit=PAYLOAD_MAX)
        believed = digest is not None
        if digest is None:
            digest = digest_of(data)
        with self.lock:
            if not self._live or self._failed is not None:
                self.begin_writing()
            if self.lookup.index.get(digest):
                if self._find_intact(digest, None if believed else data) is not None:
                    return digest
                like = ()  # what mends damage is stored whole, for what is a patch of it
            try:  # failing() would cost 2 us here
                self._append(digest, data, mark, encoding, like)
            except PoolFailed as error:
                self._failed = error
                raise
        return digest

    def _append(self, digest: Digest, data: Buffer, mark: int, encoding: int, like: Sequence[Like]) -> None:
        stored, flags = self._encode(data, mark, encoding, like)
        if self.lookup.index.is_full:
            self._grow_index()
        position = self.arena.append(digest, stored, len(data), flags)
        self._enter([digest], [position])
        self._content += len(stored) if mark == Mark.DATA else 0

    def put_all(self, chunks: Sequence[tuple[Digest, Buffer]]) -> None:
        """Keep some chunks unless they are held, together where that spares writes; their digests are believed."""
        while len(chunks) > 1 and sum(len(chunk) for _, chunk in chunks) >= APPEND_DIRECT:
            done = len(self.put_new(chunks))
            if not done:
                self.put(chunks[0][1], chunks[0][0])
            chunks = chunks[done or 1 :]
        for digest, chunk in chunks:
            self.put(chunk, digest)

    def put_new(self, chunks: Iterable[tuple[Digest, Buffer]]) -> list[int]:
        """Keep the first of some chunks, up to one that may be held, in one write; return where they lie, one behind
        the other. Their digests are believed until read."""
        with self.lock:
            if not self._live or self._failed is not None:
                self.begin_writing()
            find = self.lookup.index.get
            new: dict[Digest, Buffer] = {}
            for digest, chunk in chunks:
                if digest in new or find(digest):
                    break
                new[digest] = chunk
            if self.lookup.index.is_full:
                self._grow_index()
            with self.failing():
                positions = self.arena.extend(new.items())
            if positions:
                self._enter(new, positions)
                self._content += sum(map(len, islice(new.values(), len(positions))))
        return positions

    def _enter(self, digests: Iterable[Digest], positions: Sequence[int]) -> None:
        """Let the index lead to what was appended."""
        put = self.lookup.index.put
        for digest, position in zip(digests, positions, strict=False):
            try:
                put(digest, position // PACKET)
            except ValueError:  # one crowded part of the index is full of slots that were removed
                self._grow_index()
                put = self.lookup.index.put
                put(digest, position // PACKET)
        if positions[-1] >= self._rest_at:
            self.lookup.index.rest()
            self._rest_at = positions[-1] + INDEX_REST

    def _encode(self, data: Buffer, mark: int, encoding: int, like: Sequence[Like]) -> tuple[Buffer, int]:
        """Return what to store of a payload, and the flags that say how."""
        if like and PATCH_MIN <= len(data) <= EXTENT_MAX and mark == Mark.DATA:
            patch = self.lookup.patch_over(memoryview(data), like)
            if patch is not None:
                self.arena.announce_patches()
                return patch[0], flags_of(mark, Encoding.PATCH, patch[1])
        packed = compress(data) if encoding == Encoding.ZSTD else data
        if len(packed) < len(data):
            return packed, flags_of(mark, encoding)
        return data, flags_of(mark, Encoding.RAW)

    def _find_intact(self, digest: Digest, data: Buffer | None) -> Extent | None:
        """Return a good copy that is held. A damaged one leaves the index, so that the new copy takes its place.

        `data` has this digest: comparing bytes with it costs a third of hashing what is held.
        """
        for value in self.lookup.index.get(digest):
            extent = self.lookup.header_at(value * PACKET)
            if extent is None or extent.digest != digest:
                continue
            if self.arena.is_gathered(extent.position) or extent.position in self.verified:
                return extent
            if data is not None and self.lookup.is_equal(extent, data):
                return extent
            try:
                self.lookup.payload_of(extent)
            except (CorruptExtent, MissingExtent):
                self.forget(extent)
            else:
                return extent
        return None

    def find_held(self, digest: Digest, data: Buffer) -> Extent | None:
        """Return a good copy of bytes that have this digest, if one is held."""
        return self._find_intact(digest, data)

    def flush(self) -> None:
        """Make everything put so far durable (in a pool that is not: hand it to the kernel)."""
        with self.lock:
            self._require_sound()
            with self.failing():
                if self.durable:
                    self.arena.sync()
                else:
                    self.arena.write_out()
                self._synced = self.arena.end
                if self._live:
                    self.lookup.index.write_summary(self._summarise(State.LIVE))

    def forget(self, extent: Extent) -> None:
        """Take an extent out of the index."""
        if self.lookup.index.remove(extent.digest, extent.position // PACKET) and extent.mark is Mark.DATA:
            self._content = max(self._content - extent.length, 0)  # an index may have been wrong about it
        self.doubt(extent)

    def doubt(self, extent: Extent) -> None:
        """Believe nothing any more that is remembered of an extent: it is looked at again at the next touch."""
        self.verified.discard(extent.position)
        self.sequences.drop(extent.position)
        self.mappings.unlearn(extent.position // SEGMENT, extent.digest)

    def begin_writing(self) -> None:
        """Refuse what must not write; the first time, tell every later opener not to trust the index on disk."""
        self._require_sound()
        if self._live:
            return
        if not self.writable:
            raise PoolReadOnly(path=self.path)
        with self.failing():
            self.lookup.index.write_summary(self._summarise(State.LIVE))
            if self.durable:
                self.lookup.index.sync_summary()
        self._live = True

    # reading

    def holds(self, digest: Digest) -> bool:
        """Say whether the index leads to an extent of this digest; its payload is checked when it is read."""
        if next(self.lookup.extents(digest), None) is not None:
            return True
        self.lookup.refresh()
        return next(self.lookup.extents(digest), None) is not None

    def expects(self, digest: Digest) -> bool:
        """Say whether the index leads to something for this digest, by 8 bytes of it: `holds` without a look there.

        Enough where the digest stands in a program that this pool has; a fourth of an import went into looking.
        """
        return bool(self.lookup.index.get(digest))

    def lacking(self, leaves: Buffer, start: int = 0) -> int:
        """Return the number of the first of a file's leaves, from `start` on, that copies what `expects` knows nothing
        of; how many leaves there are where none does."""
        return self.lookup.index.lacking(leaves, start)

    def find(self, prefix: bytes) -> Digest | None:
        """Return the digest of an extent that begins with these 8 bytes."""
        return self.lookup.find(prefix)

    def read(self, digest: Digest, limit: int | None = None) -> bytes:
        """Return the payload, compared with its digest at its first touch since boot."""
        return self.lookup.read(digest, limit)

    def read_on_trust(self, digest: Digest, length: int) -> memoryview:
        """Return a payload of this length uncompared: for who makes of it what has a digest of its own, and is compared
        with that. Of an extent of another length it is another payload.

        To compare takes four times what reading does.
        """
        return self.lookup.read_on_trust(digest, length)

    def read_each(
        self, wanted: Iterable[tuple[Digest, int]], rooms: Sequence[memoryview], *, on_trust: bool = True
    ) -> list[Like]:
        """Return those of some extents, by digest and length, that lie there as they are, each in a room of its own:
        memory for it and a packet, as long as `room_for` says, that begins where a page does.

        They are not wanted again soon: what the page cache lacks does not enter it, and is waited for together.
        `on_trust`: they are not compared with their digests.
        """
        return self.lookup.read_each(wanted, rooms, on_trust=on_trust)

    def fingerprint_key(self) -> bytes:
        """Return this pool's own key for fingerprints of chunks."""
        from packetfs.packet.fingerprint import fingerprint_key  # most processes need none

        return fingerprint_key(self._secret)

    def patch_of(self, digest: Digest) -> tuple[bytes, list[Digest]] | None:
        """Return the patch that an extent is stored as, uncompared, and what it is over; None where it is none."""
        return self.lookup.patch_of(digest)

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return part of the payload, which is verified whole at its first touch."""
        return self.lookup.read_range(digest, offset, length)

    def read_into(self, digest: Digest, offset: int, out: memoryview) -> None:
        """Fill `out` with the payload from `offset` on."""
        self.lookup.read_into(digest, offset, out)

    def view(self, digest: Digest) -> memoryview:
        """Return the payload where it lies in the mapped arena; the view, and any slice of it, is a reader's lease."""
        known = self.lookup.known(digest)
        if known is not None:
            return known
        self._hand_over(digest)
        return self.lookup.view(digest)

    def peek(self, digest: Digest, look: bool = True) -> memoryview | None:
        """Return the same as `view`, None where the disk would have to be waited for.

        Without a `look` what was shown before is taken to be in memory still, as who looked at what lies beside it may.
        """
        known = self.lookup.known(digest, look)
        if known is not None:
            return known
        self._hand_over(digest)
        return self.lookup.peek(digest)

    def locate(self, digest: Digest) -> Location:
        """Return where the payload lies: in which segment, and how it is stored there."""
        self._hand_over(digest)
        extent = self.lookup.require(digest)
        return Location(extent.payload // SEGMENT, extent.payload % SEGMENT, extent.length, extent.encoding)

    def descriptor(self, segment: int) -> int:
        """Return the open file of a segment, to be used or duplicated at once."""
        return self.arena.file(segment).fd

    def scan(self) -> Iterator[Extent]:
        """Yield every extent in the arena, in order, whether the index leads to it or not."""
        self._hand_over()
        for extent in scan(self.arena):
            if extent.end <= self.arena.stop_of(extent.position):
                yield extent

    @property
    def content_bytes(self) -> int:
        """Bytes that the DATA payload takes that the index leads to, as it is stored."""
        if self.writable:
            return self._content
        summary = self.lookup.index.summary()
        return summary.content if summary is not None else self._content

    def database(self, name: str) -> Connection:
        """Open the database NAME.db of this pool, checksummed; it is closed with the pool."""
        from packetfs.pool.database import connect

        if not name.isidentifier():
            raise ValueError(name)
        path = f"{self.path}/{name}.db"
        connection = connect(path, writable=self.writable, durable=self.durable, vfs=self.storage.vfs)
        self._connections.append(connection)
        return connection

    # inside

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Let a disk that failed be the end of all writing: what the kernel could not write, it forgets."""
        try:
            yield
        except PoolFailed as error:
            self._failed = error
            raise

    def _grow_index(self) -> None:
        self.lookup.index = grow(self._places, self.lookup.index, private=False)

    def _hand_over(self, digest: Digest | None = None) -> None:
        """Bring what is gathered into the files, where mappings and other processes see it.

        A full disk is no reason to refuse what lies there already: `digest` is what is to be seen, None all.
        """
        if not self.writable:
            return
        try:
            self.arena.write_out()
        except PoolFull:
            if digest is None or any(map(self.arena.is_gathered, self.lookup.positions(digest))):
                raise

    def _summarise(self, state: State) -> Summary:
        index, end = self.lookup.index, self.arena.end
        return Summary(
            state, index.capacity, end, self._synced, self._content, self.identity, self.leases.epoch, self._places.boot
        )

    def _require_sound(self) -> None:
        if self._closed:
            raise PoolClosed(path=self.path)
        if self._failed is not None:
            raise self._failed


def _refuse_foreign(path: str) -> None:
    """Refuse a directory that holds a pool, or anything that is not ours."""
    names = set(os.listdir(path))
    if "arena" in names and is_pool(path):
        raise PoolExists(path=path)
    if names - _OWN_NAMES:
        raise PoolAccess(path=path, reason="the directory is not empty")


def is_pool(path: str) -> bool:
    """Tell whether a directory is a pool's own: an arena with a superblock is in it."""
    try:
        read_superblock(DISK, f"{path}/arena")
    except NotAPool:
        return False
    return True


def _write_first_segment(storage: Storage, path: str, block: Superblock) -> None:
    """Make the pool exist: durable from its first packet to its name."""
    storage.make_directory(f"{path}/arena")
    create_segment(storage, f"{path}/arena", block, 0)
    fd = storage.open(segment_path(f"{path}/arena", 0), os.O_RDWR)
    try:
        storage.sync(fd)
    finally:
        storage.close(fd)
    for directory in (f"{path}/arena", path, os.path.dirname(path)):
        storage.sync_directory(directory)
