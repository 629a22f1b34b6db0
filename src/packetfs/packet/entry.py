"""One name of a directory <-> an ENTRY packet and the DATA packets of its tail."""

from __future__ import annotations

import stat
import struct

from packetfs import errors
from packetfs.dataclass import dataclass
from packetfs.limits import ENTRY_TAIL_MAX
from packetfs.packet.digest import DIGEST, NO_DIGEST
from packetfs.packet.layout import BODY, HEADER, PACKET, EntryFlag, Op
from packetfs.typing import Final

_ENTRY: Final = struct.Struct("<BBHIQ32sIIIHH")
_DATA: Final = struct.Struct("<BBHIQ48s")
_U64: Final = struct.Struct("<Q")
_U32: Final = struct.Struct("<I")
_U16: Final = struct.Struct("<H")
_XATTR: Final = struct.Struct("<HI")
_WRAP: Final = 1 << 64
_SIGN: Final = 1 << 63
_SPARSE, _GROUP, _RDEV, _TARGET, _XATTRS = (int(flag) for flag in EntryFlag)  # an IntFlag costs a microsecond a test

APART: Final = 1
"""The group of a directory that was stored as a tree of its own: those below it are that tree's, and none around it."""
TIME_MAX: Final = (1 << 63) - 1
"""Nanoseconds, the year 2262: disks can hold later ones, entries cannot."""


def nearest_time(time_ns: int) -> int:
    """Return the time itself, or the one nearest to it that an entry can hold."""
    return max(-TIME_MAX, min(time_ns, TIME_MAX))


@dataclass(frozen=True, slots=True)
class Entry:
    """A name and what it stands for. `mode` has the file type; times are nanoseconds; `xattrs` are sorted by name.

    Names of one file share a `group`, which is unique in the tree that was stored; a directory's is 0 or APART.
    """

    name: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    root: bytes = NO_DIGEST
    target: bytes = b""
    rdev: int = 0
    group: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    sparse: bool = False

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


def encode_entry(entry: Entry) -> bytes:
    """Return the packets of one entry: ENTRY, then its tail in DATA packets."""
    name = entry.name
    check_name(name)
    flags, tail = _encode_tail(entry)
    if len(tail) > ENTRY_TAIL_MAX:
        raise errors.BadPacket(reason=f"ENTRY: a tail of {len(tail)} bytes")
    if len(entry.root) != DIGEST:
        raise errors.BadPacket(reason=f"ENTRY: a root of {len(entry.root)} bytes")
    try:
        first = _ENTRY.pack(
            *(Op.ENTRY, flags, 0, len(tail), entry.mtime_ns % _WRAP),
            *(entry.root, entry.mode, entry.uid, entry.gid, len(name), 0),
        )
    except struct.error as error:
        raise errors.BadPacket(reason=f"ENTRY: a field does not fit: {error}") from None
    return first + data_packets(tail)


def data_packets(data: bytes) -> bytes:
    """Return `data` as DATA packets of at most 48 bytes each; not by `encode`, which takes three times as long."""
    if len(data) <= BODY:
        return _DATA.pack(Op.DATA, 0, 0, len(data), 0, data) if data else b""
    parts = (data[at : at + BODY] for at in range(0, len(data), BODY))
    return b"".join([_DATA.pack(Op.DATA, 0, 0, len(part), 0, part) for part in parts])


def _encode_tail(entry: Entry) -> tuple[int, bytes]:
    flags = _SPARSE if entry.sparse else 0
    parts = [entry.name, _U64.pack(entry.size)]
    if entry.group:
        flags |= _GROUP
        parts.append(_U64.pack(entry.group))
    if entry.rdev:
        flags |= _RDEV
        parts.append(_U64.pack(entry.rdev))
    if entry.target:
        flags |= _TARGET
        parts += (_U32.pack(len(entry.target)), entry.target)
    if entry.xattrs:
        flags |= _XATTRS
        parts.append(_U16.pack(len(entry.xattrs)))
        for name, value in sorted(entry.xattrs):
            parts += (_XATTR.pack(len(name), len(value)), name, value)
    return flags, b"".join(parts)


def tail_size(entry: Entry) -> int:
    """Return how long a tail with all optional fields would be; no entry is read back whose tail is too long."""
    xattrs = sum(_XATTR.size + len(name) + len(value) for name, value in entry.xattrs)
    return len(entry.name) + 3 * _U64.size + _U32.size + len(entry.target) + _U16.size + xattrs


def leaf_size(data: bytes | memoryview, offset: int) -> int:
    """Return the bytes of the leaf at `offset`: one packet, or an ENTRY with its tail."""
    if data[offset] != Op.ENTRY:
        return PACKET
    tail = _U32.unpack_from(data, offset + 4)[0]
    if tail > ENTRY_TAIL_MAX:
        raise errors.BadPacket(reason=f"ENTRY: a tail of {tail} bytes")
    size = PACKET * (1 + -(-tail // BODY))
    if offset + size > len(data):
        raise errors.BadPacket(reason="ENTRY: the tail is cut short")
    return int(size)


def decode_entry(leaf: bytes | memoryview) -> Entry:
    """Return the entry that one leaf holds; BadPacket when it is not one."""
    if len(leaf) < PACKET or leaf[0] != Op.ENTRY:
        raise errors.BadPacket(reason="a directory holds something else than entries")
    _, flags, _, size, mtime, root, mode, uid, gid, name_length, _ = _ENTRY.unpack_from(leaf)
    tail = _Tail(_join(leaf, size))
    name = tail.take(name_length)
    entry = Entry(
        name,
        mode,
        uid,
        gid,
        mtime - _WRAP if mtime >= _SIGN else mtime,
        tail.number(_U64),
        root,
        group=tail.number(_U64) if flags & _GROUP else 0,
        rdev=tail.number(_U64) if flags & _RDEV else 0,
        target=tail.take(tail.number(_U32)) if flags & _TARGET else b"",
        xattrs=tail.xattrs() if flags & _XATTRS else (),
        sparse=flags & _SPARSE != 0,
    )
    tail.finish()
    if encode_entry(entry) != leaf:
        raise errors.BadPacket(reason="ENTRY: not in its one canonical form")
    return entry


def _join(leaf: bytes | memoryview, length: int) -> bytes:
    """Return the tail's bytes; that its packets are what they should be shows when the entry is encoded again."""
    if len(leaf) != PACKET * (1 + -(-length // BODY)):
        raise errors.BadPacket(reason=f"ENTRY: {len(leaf)} bytes for a tail of {length}")
    if length <= BODY:
        return bytes(leaf[PACKET + HEADER : PACKET + HEADER + length])
    return b"".join([leaf[at + HEADER : at + PACKET] for at in range(PACKET, len(leaf), PACKET)])[:length]


class _Tail:
    """A cursor over a tail; every take is checked."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise errors.BadPacket(reason="ENTRY: the tail is cut short")
        part = self._data[self._at : end]
        self._at = end
        return part

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.take(form.size))[0])

    def xattrs(self) -> tuple[tuple[bytes, bytes], ...]:
        pairs = []
        for _ in range(self.number(_U16)):
            name_length, value_length = _XATTR.unpack(self.take(_XATTR.size))
            pairs.append((self.take(name_length), self.take(value_length)))
        return tuple(pairs)

    def finish(self) -> None:
        if self._at != len(self._data):
            raise errors.BadPacket(reason="ENTRY: bytes after the end of its tail")


def check_name(name: bytes) -> None:
    """Refuse what cannot be a name: it would be a path, or no name at all."""
    if not name or len(name) > 255 or name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise errors.BadPacket(reason=f"ENTRY: {name[:64]!r} cannot be a name")
