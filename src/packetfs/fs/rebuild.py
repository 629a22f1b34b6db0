"""Names from the arena alone: what `repair` does when everything else is gone.

The arena holds every program and the record of every snapshot. The namespace becomes what the last snapshot of each
path says; what changed after it is lost, its content included as soon as gc has run.
"""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.dataclass import dataclass
from packetfs.errors import PacketFSError
from packetfs.events import Listener, Trouble, ignore
from packetfs.fs.filesystem import NAMES, FileSystem
from packetfs.fs.graft import graft
from packetfs.fs.snapshot import Snapshot, decode_root_entry, decode_snapshot
from packetfs.packet.layout import Mark
from packetfs.pool.pool import Pool


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many snapshots were found, which of them the live names are from, and how many directories have gaps."""

    snapshots: int
    restored: tuple[Snapshot, ...]
    broken: int


def forget_names(pool: Pool) -> None:
    """Delete the database of names, damaged or not; nothing may have it open."""
    for suffix in ("", "-wal", "-shm"):
        pool.storage.unlink(f"{pool.path}/{NAMES}.db{suffix}")


def rebuild(fs: FileSystem, listener: Listener = ignore) -> Rebuilt:
    """Fill a fresh namespace from the snapshots in the arena, and commit: killed and run again, it does the same."""
    found = sorted(find_snapshots(fs.pool, listener), key=lambda snapshot: (snapshot.time_ns, snapshot.name))
    newest = {snapshot.path: snapshot for snapshot in found}
    restored = sorted(newest.values(), key=lambda snapshot: snapshot.time_ns)
    broken = 0
    for snapshot in restored:
        entry = decode_root_entry(snapshot.record, fs.pool.read(snapshot.record))
        broken += graft(fs, snapshot.path, entry, listener)
    for snapshot in found:
        fs.adopt_snapshot(snapshot)
    fs.commit()
    return Rebuilt(len(found), tuple(restored), broken)


def find_snapshots(pool: Pool, listener: Listener = ignore) -> Iterator[Snapshot]:
    """Yield every snapshot whose record is in the arena; damaged ones are told as Trouble."""
    for extent in pool.scan():
        if extent.mark is not Mark.SNAPSHOT or not pool.holds(extent.digest):
            continue
        try:
            yield decode_snapshot(extent.digest, pool.read(extent.digest))
        except PacketFSError as error:
            listener(Trouble(b"(a snapshot)", error.message))
