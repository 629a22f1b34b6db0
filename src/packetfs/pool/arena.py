"""The arena: segment files that extents are appended to, never moved in, and read from by pread.

A segment is durable before the next one is begun, so after an unclean stop only the last one can be torn. How what is
appended comes into the file says `tail.py`.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Sequence
from itertools import islice

from packetfs.dataclass import replace
from packetfs.errors import BadPacket, NotAPool, PoolAccess, PoolFull, PoolReadOnly
from packetfs.limits import (
    ROOM_ASKED,
    ROOM_KEPT,
    SEGMENT,
    SEGMENTS_MAX,
    SEGMENTS_OPEN,
)
from packetfs.packet.layout import PACKET, Buffer, Encoding, Mark
from packetfs.pool.extent import flags_of, header_maker, padded
from packetfs.pool.past import BLOCK, read_pieces, room_for
from packetfs.pool.segment import SegmentFile
from packetfs.pool.storage import Storage
from packetfs.pool.superblock import COPIES, FIRST, Superblock, decode_superblock, encode_superblock
from packetfs.pool.tail import Tail
from packetfs.typing import Final

_NOTHING_GATHERED: Final = 1 << 63
"""A reader finds every position in the files, also those that a writer has added since."""
_NOTHING: Final = memoryview(b"")
_BYTE: Final = bytearray(1)
"""Where bytes go that nobody wants."""
_TOGETHER: Final = 256
"""Chunks of one write: each is three of the 1,024 buffers that the kernel takes."""
_PLAIN: Final = flags_of(Mark.DATA, Encoding.RAW)
_PADS: Final = tuple(bytes(n) for n in range(PACKET))


class Arena:
    """Append, read, erase and punch by absolute position: segment number * 256 MiB + offset in its file."""

    def __init__(self, storage: Storage, path: str, block: Superblock, writable: bool) -> None:
        self.path = path
        self.secret = block.secret
        self._storage = storage
        self._block = block
        self.writable = writable
        self._header = header_maker(block.secret)
        self._files: dict[int, SegmentFile] = {}
        self._lock = threading.RLock()
        self._room = 0
        self._entry_unsynced = False
        self._unsynced = False
        self.last = self.segments()[-1]
        self.end = self.measure_end()
        begun, is_cache = self.last * SEGMENT, not block.durable
        self._tail = Tail(storage, self._open_last, begun, self.end, is_cache=is_cache) if writable else None

    # where things are

    @property
    def written(self) -> int:
        """Where that begins which is only gathered yet. A reader finds every position in the files, also those that a
        writer has added since."""
        return self._tail.written if self._tail is not None else _NOTHING_GATHERED

    def segments(self) -> list[int]:
        """Return the numbers of the segments on disk, in order."""
        names = os.listdir(self.path)
        return sorted(int(name) for name in names if len(name) == 8 and name.isdecimal() and int(name) < SEGMENTS_MAX)

    def measure_end(self) -> int:
        """Return where the next extent would go by what is on disk."""
        last = self.segments()[-1]
        return last * SEGMENT + max(FIRST, padded(self.segment_size(last)))

    def segment_path(self, number: int) -> str:
        return segment_path(self.path, number)

    def segment_size(self, number: int) -> int:
        return self._storage.size(self.file(number).fd)

    def blocks_of(self, number: int) -> int:
        """Return the bytes that a segment takes on the disk."""
        return os.fstat(self.file(number).fd).st_blocks * 512

    def stop_of(self, position: int) -> int:
        """Return where the segment that `position` is in ends by now."""
        number = position // SEGMENT
        return number * SEGMENT + self.segment_size(number)

    def file(self, number: int) -> SegmentFile:
        """Return the open file of a segment; FileNotFoundError when there is none."""
        found = self._files.get(number)
        return found if found is not None else self._open(number)

    def _open_last(self) -> SegmentFile:
        return self.file(self.last)

    def _open(self, number: int) -> SegmentFile:
        with self._lock:
            if len(self._files) >= SEGMENTS_OPEN:
                del self._files[next(iter(self._files))]
            flags = os.O_RDWR if self.writable else os.O_RDONLY
            opened = SegmentFile(self._storage, self._storage.open(self.segment_path(number), flags), flags)
            self._files[number] = opened
            return opened

    # reading

    def read(self, position: int, length: int) -> bytes:
        """Return the bytes at `position`: fewer at the end of a segment, none where there is no segment."""
        if position >= self.written:
            with self._lock:
                if position >= self.written:
                    return self._writer.read(position, length)
        try:
            return self._storage.read(self.file(position // SEGMENT).fd, length, position % SEGMENT)
        except FileNotFoundError:
            return b""

    def read_into(self, position: int, *out: memoryview) -> int:
        """Fill `out`, one after the other, from `position` on and return how many bytes there were."""
        if position >= self.written:
            done = 0
            for each in out:
                data = self.read(position + done, len(each))
                each[: len(data)] = data
                done += len(data)
            return done
        try:
            return self._storage.read_into(self.file(position // SEGMENT).fd, out, position % SEGMENT)
        except FileNotFoundError:
            return 0

    def read_each(self, places: Sequence[tuple[int, int]], rooms: Iterable[memoryview]) -> list[memoryview]:
        """Return up to 64 pieces as `read` does, by position and length, each in a room of its own (see `room_for`).

        They are not wanted again soon: what the page cache lacks does not enter it, and is waited for together. Nothing
        is returned where not all is there.
        """
        found: list[memoryview] = []
        asked: list[tuple[int, int, int, int, memoryview]] = []
        numbers: list[int] = []
        files: list[SegmentFile] = []  # they stay open meanwhile
        for (position, length), room in zip(places, rooms, strict=False):
            file = self._file_of(position) if room_for(length) <= len(room) else None
            if file is None:
                found.append(memoryview(self.read(position, length)))
                continue
            offset = position % SEGMENT
            numbers.append(len(found))
            files.append(file)
            asked.append((file.fd, file.past, offset, length, room))
            start = offset % BLOCK
            found.append(room[start : start + length])
        for number, is_whole in zip(numbers, read_pieces(asked), strict=True):
            if not is_whole:
                found[number] = _NOTHING
        return found

    def _file_of(self, position: int) -> SegmentFile | None:
        """Return the file that has what is at a position; None where none has."""
        try:
            return self.file(position // SEGMENT) if position < self.written else None
        except FileNotFoundError:
            return None

    def is_gathered(self, position: int) -> bool:
        """Say whether what is at `position` is only in memory yet."""
        return position >= self.written

    def peek(self, position: int, length: int) -> Buffer | None:
        """Return bytes at `position` as `read` does; None where the disk would have to be waited for."""
        if position >= self.written:
            return self.read(position, length)
        found = bytearray(length)
        try:
            count = os.preadv(self.file(position // SEGMENT).fd, [found], position % SEGMENT, os.RWF_NOWAIT)
        except OSError as error:  # a filesystem that cannot tell is waited for
            return None if error.errno == errno.EAGAIN else self.read(position, length)
        return found if count == length else None

    def is_near(self, position: int) -> bool:
        """Say whether the byte at `position`, which is in its file, can be had without waiting for the disk."""
        try:
            return os.preadv(self.file(position // SEGMENT).fd, (_BYTE,), position % SEGMENT, os.RWF_NOWAIT) == 1
        except OSError as error:
            return error.errno != errno.EAGAIN

    def peek_into(self, position: int, out: memoryview) -> int:
        """Fill `out` from `position` on with what is in a file and in memory; return how many bytes there were."""
        out = out[: max(self.written - position, 0)]
        try:
            return os.preadv(self.file(position // SEGMENT).fd, [out], position % SEGMENT, os.RWF_NOWAIT)
        except OSError as error:  # a filesystem that cannot tell is waited for
            return 0 if error.errno == errno.EAGAIN else self.read_into(position, out)

    def next_data(self, position: int, stop: int) -> int:
        """Return the first position from here on that is not in a hole, at most `stop`, in whole packets."""
        fd = self.file(position // SEGMENT).fd
        base = position - position % SEGMENT
        try:
            return min(stop, base + os.lseek(fd, position % SEGMENT, os.SEEK_DATA) // PACKET * PACKET)
        except OSError:
            return stop

    def forget_cached(self, number: int) -> None:
        """Let the kernel drop its cache of a segment, so that what is read next comes from the disk."""
        os.posix_fadvise(self.file(number).fd, 0, 0, os.POSIX_FADV_DONTNEED)

    # writing

    def append(self, digest: bytes, stored: Buffer, size: int, flags: int) -> int:
        """Add an extent and return its position. A call that raises has added nothing."""
        with self._lock:
            length = len(stored)
            taken = PACKET + padded(length)
            if flags >> 2 & 3 == Mark.DATA:  # programs may take of what is kept: they are small, and make content whole
                self._take_room(taken)
            if self.end + taken > (self.last + 1) * SEGMENT:
                self._begin_segment()
            position = self.end
            header = self._header(position, digest, length, size, flags)
            self._add([(header, stored, _PADS[-length % PACKET])], taken)
            return position

    def extend(self, chunks: Iterable[tuple[bytes, Buffer]]) -> list[int]:
        """Add chunks of content one behind the other, as many as one write takes and the segment has room for, and
        return their positions. A call that raises has added none."""
        with self._lock:
            extents: list[tuple[Buffer, ...]] = []
            positions: list[int] = []
            end, stop = self.end, (self.last + 1) * SEGMENT
            for digest, chunk in islice(chunks, _TOGETHER):
                size = len(chunk)
                taken = PACKET + padded(size)
                if end + taken > stop:
                    if positions:
                        break
                    self._begin_segment()
                    end, stop = self.end, (self.last + 1) * SEGMENT
                extents.append((self._header(end, digest, size, size, _PLAIN), chunk, _PADS[-size % PACKET]))
                positions.append(end)
                end += taken
            if positions:
                self._take_room(end - self.end)
                self._add(extents, end - self.end)
            return positions

    def _add(self, extents: Sequence[Sequence[Buffer]], size: int) -> None:
        self._unsynced = True
        self._writer.add(extents, size)
        self.end += size

    @property
    def _writer(self) -> Tail:
        if self._tail is None:
            raise PoolReadOnly(path=self.path)
        return self._tail

    def write_out(self) -> None:
        """Hand everything gathered to the kernel; when that fails it stays gathered and readable."""
        with self._lock:
            if self._tail is not None:
                self._tail.write_out()

    def sync(self) -> None:
        """Make everything appended so far durable."""
        with self._lock:
            self.write_out()
            if self._unsynced:
                self._storage.sync(self.file(self.last).fd)
            if self._entry_unsynced:
                self._storage.sync_directory(self.path)
            self._unsynced = self._entry_unsynced = False

    def erase(self, position: int) -> None:
        """Overwrite a header with zeros: the extent is gone for every scan."""
        with self._lock:
            if position >= self.last * SEGMENT:
                self._writer.erase(position)
            else:
                self._storage.write(self.file(position // SEGMENT).fd, [bytes(PACKET)], position % SEGMENT)

    def sync_last(self) -> None:
        """Make the last segment durable whoever wrote it, and the names of all."""
        self.sync_segment(self.last)
        self._storage.sync_directory(self.path)

    def sync_segment(self, number: int) -> None:
        self._storage.sync(self.file(number).fd)

    def punch(self, start: int, stop: int) -> None:
        """Free the blocks between two positions of one segment, and those at the edges that hold zeros otherwise."""
        first, last = start // BLOCK * BLOCK, -(-stop // BLOCK) * BLOCK
        start = start if any(self.read(first, start - first)) else first
        stop = stop if any(self.read(stop, last - stop)) else last
        self._storage.punch(self.file(start // SEGMENT).fd, start % SEGMENT, stop - start)

    @property
    def may_have_patches(self) -> bool:
        """Whether there may be any: a pool that is not durable does not say."""
        return self._block.patches or not self._block.durable

    def announce_patches(self) -> None:
        """Say in the first segment, one copy after the other, that there are patches: who does not know them would take
        them for garbage. A pool that is not durable is a cache, which is made anew then."""
        if self.may_have_patches:
            return
        block, number = replace(self._block, patches=True), self.segments()[0]
        pages = memoryview(encode_superblock(block, number))
        for start in COPIES:
            self._storage.write(self.file(number).fd, [pages[start : start + FIRST // len(COPIES)]], start)
            self.sync_segment(number)
        self._block = block

    def restore_superblock(self, number: int) -> None:
        """Write the first pages of a segment again."""
        self._storage.write(self.file(number).fd, [encode_superblock(self._block, number)], 0)
        self._storage.sync(self.file(number).fd)

    def _take_room(self, length: int) -> None:
        """Know that content of this length is added."""
        if length > self._room:
            self._look_for_room(length)
        self._room -= length

    def _look_for_room(self, length: int) -> None:
        """Refuse what would leave less than ROOM_KEPT on the disk: collecting and removing need that themselves."""
        free = self._storage.free(self.file(self.last).fd) - self._writer.pending - ROOM_KEPT
        self._room = min(free, max(length, ROOM_ASKED))
        if length > self._room:
            self._room = 0
            raise PoolFull(path=self.path)

    def _begin_segment(self) -> None:
        """Go on in a new file. Until it is ready nothing changes, so a full disk can be tried again."""
        if self._block.durable:
            self.sync()
        self.write_out()
        create_segment(self._storage, self.path, self._block, self.last + 1)
        self._entry_unsynced = self._unsynced = True
        self.last += 1
        self.end = self.last * SEGMENT + FIRST
        self._writer.begin(self.end)

    def close(self) -> None:
        if self._tail is not None:
            self._tail.close()
        self._files.clear()


def segment_path(path: str, number: int) -> str:
    return f"{path}/{number:08d}"


def create_segment(storage: Storage, path: str, block: Superblock, number: int) -> None:
    """Write a segment that has no extents yet; it becomes durable with the next sync."""
    fd = storage.open(segment_path(path, number), os.O_RDWR | os.O_CREAT)
    try:
        storage.write(fd, [encode_superblock(block, number)], 0)
    finally:
        storage.close(fd)


def read_superblock(storage: Storage, path: str) -> Superblock:
    """Return the settings that the first readable segment names; NotAPool when none does."""
    try:
        names = sorted(name for name in os.listdir(path) if len(name) == 8 and name.isdecimal())
    except PermissionError as error:
        raise PoolAccess(path=os.path.dirname(path), reason=os.strerror(error.errno or 0)) from None
    except OSError as error:
        raise NotAPool(path=os.path.dirname(path), reason=os.strerror(error.errno or 0)) from None
    for name in names:
        fd = storage.open(f"{path}/{name}", os.O_RDONLY)
        try:
            block = decode_superblock(storage.read(fd, FIRST, 0), int(name))
            return replace(block, patches=True) if int(name) else block  # the first says so, which cannot be read
        except BadPacket:
            continue
        finally:
            storage.close(fd)
    raise NotAPool(path=os.path.dirname(path), reason="no segment of an arena is readable")
