"""The words behind -o, as mount(8), fstab and users write them."""

from __future__ import annotations

from collections.abc import Iterable

from packetfs.dataclass import dataclass
from packetfs.errors import UsageError
from packetfs.typing import Final

READ_ONLY: Final = 1
FLAGS: Final = {
    "ro": (READ_ONLY, True),
    "rw": (READ_ONLY, False),
    "nosuid": (2, True),
    "suid": (2, False),
    "nodev": (4, True),
    "dev": (4, False),
    "noexec": (8, True),
    "exec": (8, False),
    "sync": (16, True),
    "async": (16, False),
    "dirsync": (128, True),
    "nosymfollow": (256, True),
    "noatime": (1024, True),
    "atime": (1024, False),
    "nodiratime": (2048, True),
    "diratime": (2048, False),
    "relatime": (1 << 21, True),
    "norelatime": (1 << 21, False),
    "strictatime": (1 << 24, True),
    "nostrictatime": (1 << 24, False),
    "lazytime": (1 << 25, True),
    "nolazytime": (1 << 25, False),
}
"""Words that are bits of mount(2), and whether they set or clear them."""
_SAFE: Final = 2 | 4
"""nosuid and nodev: a pool may come from anybody."""
_PASSED_OVER: Final = frozenset(
    (
        "defaults",
        "auto",
        "noauto",
        "user",
        "nouser",
        "users",
        "owner",
        "group",
        "_netdev",
        "nofail",
        "fsname",
        "subtype",
    )
)
"""Words for mount(8) and systemd alone, which hand them on."""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What was asked for. `default_permissions` is always on: it is the kernel that checks permissions."""

    flags: int = _SAFE
    allow_other: bool = False
    noderive: bool = False
    snapshot: bytes | None = None

    @property
    def read_only(self) -> bool:
        return bool(self.flags & READ_ONLY) or self.snapshot is not None


def parse_options(texts: Iterable[str]) -> MountOptions:
    """Read the values of -o; the last word wins."""
    flags, words, snapshot = _SAFE, set(), None
    for word in (word for text in texts for word in text.split(",") if word):
        name, is_pair, value = word.partition("=")
        if name in FLAGS and not is_pair:
            bit, is_set = FLAGS[name]
            flags = flags | bit if is_set else flags & ~bit
        elif word in ("allow_other", "default_permissions", "noderive"):
            words.add(word)
        elif name == "snapshot" and value:
            snapshot = value.encode("utf-8", "surrogateescape")
        elif word == "remount":
            raise UsageError(
                reason="-o remount: a mount keeps its options; `pfs umount DIR`, then mount it with others"
            )
        elif name not in _PASSED_OVER and not name.startswith(("x-", "comment")):
            raise UsageError(reason=f"-o {word}: there is no such option; `pfs mount --help` lists them")
    flags |= READ_ONLY if snapshot is not None else 0
    return MountOptions(flags, "allow_other" in words, "noderive" in words, snapshot)
