"""Which mounts of PacketFS there are, by the kernel's own list: looking at a dead one would be an error itself."""

from __future__ import annotations

import os
import re

from packetfs.dataclass import dataclass
from packetfs.typing import Final

TABLE: Final = "/proc/self/mountinfo"
TYPE: Final = b"fuse.packetfs"
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount: its directory, its pool, and the number of its device (`major:minor`)."""

    directory: bytes
    pool: bytes
    device: str

    @property
    def alive(self) -> bool:
        """Whether a server answers; the kernel tells at once when there is none."""
        try:
            os.statvfs(self.directory)
        except OSError:
            return False
        return True


def mounts(table: str = TABLE) -> list[Mounted]:
    """Return the mounts of PacketFS, oldest first."""
    with open(table, "rb") as lines:
        found = [_parse(line) for line in lines]
    return [mount for mount in found if mount is not None]


def find_mount(directory: str, table: str = TABLE) -> Mounted | None:
    """Return the topmost mount of PacketFS at a directory. No link in its last part is followed."""
    above, name = os.path.split(os.path.abspath(directory))
    wanted = os.fsencode(os.path.join(os.path.realpath(above), name))
    return next((mount for mount in reversed(mounts(table)) if mount.directory == wanted), None)


def _parse(line: bytes) -> Mounted | None:
    """Read `id parent major:minor root directory options [tags] - type source options`."""
    left, _, right = line.partition(b" - ")
    first, last = left.split(), right.split()
    if len(first) < 5 or len(last) < 2 or last[0] != TYPE:
        return None
    return Mounted(_plain(first[4]), _plain(last[1]), first[2].decode("ascii", "replace"))


def _plain(text: bytes) -> bytes:
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), text)
