"""Compare two trees in everything that a copy must keep; `python -m bench.compare LEFT RIGHT` shows what differs.

It knows nothing of PacketFS: names, kinds, content, modes, owners, times, link targets, extended attributes, device
numbers and which names are hard links of one file.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass

BLOCK = 1 << 20
STAGING = b".packetfs-staging"


@dataclass(frozen=True, slots=True)
class Record:
    """What one name stands for; `link` is the smallest name of the same inode, so it is alike in equal trees."""

    kind: int
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    mtime_ns: int = 0
    size: int = 0
    target: bytes = b""
    rdev: int = 0
    link: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def differences(left: bytes, right: bytes, content_only: bool = False) -> Iterator[str]:
    """Yield one line for each name that differs; content_only leaves all metadata aside."""
    mine, theirs = records(left, content_only), records(right, content_only)
    for name in sorted(mine.keys() | theirs.keys()):
        shown = os.fsdecode(name)
        if name not in theirs:
            yield f"{shown}: only in {os.fsdecode(left)}"
        elif name not in mine:
            yield f"{shown}: only in {os.fsdecode(right)}"
        elif mine[name] != theirs[name]:
            yield f"{shown}: {mine[name]} is not {theirs[name]}"
        elif stat.S_ISREG(mine[name].kind) and not same_content(left + b"/" + name, right + b"/" + name):
            yield f"{shown}: content differs"


def records(root: bytes, content_only: bool = False) -> dict[bytes, Record]:
    found: dict[bytes, Record] = {}
    first: dict[tuple[int, int], bytes] = {}
    for name in names(root):
        found[name] = record(root, name, first, content_only)
    return found


def names(root: bytes) -> Iterator[bytes]:
    """Yield every name below root, sorted by directory, staging areas left out."""
    pending = [b""]
    while pending:
        folder = pending.pop()
        yield folder or b"."
        for entry in sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name):
            path = os.path.join(folder, entry.name)
            if entry.name == STAGING:
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            else:
                yield path


def record(root: bytes, name: bytes, first: dict[tuple[int, int], bytes], content_only: bool = False) -> Record:
    path = os.path.join(root, name)
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    size = status.st_size if stat.S_ISREG(kind) else 0
    target = os.readlink(path) if stat.S_ISLNK(kind) else b""
    if content_only:
        return Record(kind, size=size, target=target)
    link = first.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else b""
    return Record(
        kind,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid) if os.geteuid() == 0 else (0, 0),
        mtime_ns=status.st_mtime_ns,
        size=size,
        target=target,
        rdev=status.st_rdev,
        link=b"" if stat.S_ISDIR(kind) else link,
        xattrs=xattrs(path),
    )


def xattrs(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    try:
        held = sorted(os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False))
    except OSError:
        return ()  # this filesystem has none
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in held)


def same_content(left: bytes, right: bytes) -> bool:
    with open(left, "rb", buffering=0) as a, open(right, "rb", buffering=0) as b:
        while True:
            mine, theirs = a.read(BLOCK), b.read(BLOCK)
            if mine != theirs:
                return False
            if not mine:
                return True


def main() -> int:
    found = 0
    for line in differences(os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])):
        print(line)
        found = 1
    return found


if __name__ == "__main__":
    sys.exit(main())
