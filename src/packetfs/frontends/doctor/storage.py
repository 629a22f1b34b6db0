"""The disk where the pool lies: room, holes, extended attributes, shared maps."""

from __future__ import annotations

import mmap
import os
import tempfile

from packetfs.errors import PacketFSError
from packetfs.frontends.cli.sizes import format_size
from packetfs.frontends.doctor.verdict import Need, Verdict
from packetfs.limits import KIB, MIB
from packetfs.pool.storage import DISK
from packetfs.typing import Final, Iterator

FREE_MIN: Final = 1024 * MIB
"""Bytes: less leaves no room for a few segments of the arena."""
_TRIAL: Final = 256 * KIB


def examine_storage(pool: str) -> Iterator[Verdict]:
    """Yield the verdicts about the directory that holds the pool, or will hold it."""
    place = nearest(pool)
    yield check_space(place)
    if not os.access(place, os.W_OK | os.X_OK):
        advice = "Choose another place with --pool or $PACKETFS_POOL."
        yield Verdict("pool's place", Need.ADVISED, False, f"{place} is not writable for you", advice)
        return
    with tempfile.TemporaryFile(dir=place) as trial:
        trial.write(bytes(range(1, 256)) * (_TRIAL // 255 + 1))
        trial.flush()
        yield check_map(trial.fileno(), place)
        yield check_holes(trial.fileno(), place)
        yield check_xattrs(trial.fileno(), place)


def nearest(path: str) -> str:
    """Return the path itself, or the deepest directory above it that exists."""
    path = os.path.abspath(path)
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    return path


def check_space(place: str, minimum: int = FREE_MIN) -> Verdict:
    """Room on the disk."""
    state = os.statvfs(place)
    free = state.f_bavail * state.f_frsize
    found = f"{format_size(free)} free at {place} ({filesystem_type(place)})"
    advice = "Free some space, or put the pool on another disk."
    return Verdict("disk space", Need.ADVISED, free >= minimum, found, advice)


def check_map(fd: int, place: str) -> Verdict:
    """Files can be mapped; some network filesystems cannot."""
    advice = "Put the pool on a local disk."
    try:
        with mmap.mmap(fd, mmap.PAGESIZE) as mapped:
            good = mapped[0] == 1
    except (OSError, ValueError) as error:
        return Verdict("mapped files", Need.REQUIRED, False, f"{place}: {error}", advice)
    return Verdict("mapped files", Need.REQUIRED, good, "work", advice)


def check_holes(fd: int, place: str) -> Verdict:
    """Punching holes gives space back without moving anything."""
    advice = "`pfs gc` cannot give space back here; ext4, XFS, Btrfs, ZFS and tmpfs can."
    before = os.fstat(fd).st_blocks
    try:
        DISK.punch(fd, 0, _TRIAL // 2)
    except PacketFSError as error:
        return Verdict("punched holes", Need.ADVISED, False, error.message, advice)
    good = os.fstat(fd).st_blocks < before
    return Verdict("punched holes", Need.ADVISED, good, "give space back" if good else f"not on {place}", advice)


def check_xattrs(fd: int, place: str) -> Verdict:
    """Extended attributes of files, which a sync carries."""
    try:
        os.setxattr(fd, "user.packetfs.trial", b"1")
    except OSError as error:
        advice = "Files are copied without their extended attributes here."
        return Verdict("extended attributes", Need.OPTIONAL, False, f"{place}: {error.strerror}", advice)
    return Verdict("extended attributes", Need.OPTIONAL, True, "work")


def filesystem_type(place: str, table: str = "/proc/self/mounts") -> str:
    """Return the type of the filesystem that holds `place`."""
    best, kind = "", "unknown"
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                _, point, name = line.split(" ")[:3]
                inside = place == point or place.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, name
    except (OSError, ValueError):
        return "unknown"
    return kind
