"""A snapshot: a named root. Its record in the arena is a program of one entry, marked so that a scan finds it."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.errors import BadProgram
from packetfs.packet.codec import decode, encode
from packetfs.packet.digest import Digest, short
from packetfs.packet.entry import Entry, decode_entry, encode_entry
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import PACKET


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The directory `path` as it was at `time_ns`. `record` is the digest of its program in the arena."""

    name: bytes
    root: Digest
    path: bytes
    time_ns: int
    record: Digest


def encode_snapshot(name: bytes, directory: Entry, path: bytes, time_ns: int, mean: int) -> bytes:
    """Return the program of a snapshot: HEAD and one ENTRY, whose target is the path and whose time is the moment."""
    entry = Entry(
        name,
        directory.mode,
        directory.uid,
        directory.gid,
        time_ns,
        directory.size,
        directory.root,
        target=path,
        xattrs=directory.xattrs,
    )
    return encode(Head(Kind.SNAPSHOT, 1, mean).packet()) + encode_entry(entry)


def decode_root_entry(record: Digest, program: bytes) -> Entry:
    """Return the entry in a snapshot's program: the directory with its owner and mode, under the snapshot's name."""
    head = Head.parse(decode(program))
    if head.kind is not Kind.SNAPSHOT:
        raise BadProgram(root=short(record), reason="it is not a snapshot")
    return decode_entry(program[PACKET:])


def decode_snapshot(record: Digest, program: bytes) -> Snapshot:
    """Return the snapshot that a stored program describes."""
    entry = decode_root_entry(record, program)
    return Snapshot(entry.name, Digest(entry.root), entry.target, entry.mtime_ns, record)
