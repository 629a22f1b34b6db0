"""What can go wrong with a pool."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError


class NotAPool(PacketFSError):
    """There is no pool at {path}: {reason}"""

    exit_code = 10
    hint = "`pfs init` creates one; `--pool` names another."


class PoolExists(PacketFSError):
    """There is a pool at {path} already."""

    exit_code = 10
    hint = "Use it, or name another directory."


class PoolBusy(PacketFSError):
    """The pool {path} is being written by {owner}."""

    exit_code = 11
    hint = "Wait until that process has ended, or end it; readers are not affected."


class PoolFull(PacketFSError):
    """No space left for {path}. Nothing that was stored before is lost."""

    exit_code = 12
    hint = "Free some space, or collect what no snapshot needs with `pfs gc`, and run the same command again."


class NoRoomToCollect(PoolFull):
    """No space left for {path}: what changed is written before anything is freed, and other files fill that disk."""

    hint = "Nothing is lost. Free some of that disk, 200 bytes for each name that changed, and run `pfs gc` again."


class PoolAccess(PacketFSError):
    """{path} cannot be used: {reason}"""

    exit_code = 15
    hint = "Run as the owner of the pool, or mend the permissions or the mount options."


class PoolFailed(PacketFSError):
    """Reading or writing {path} failed: {reason}. The pool takes no more writes until it is opened again."""

    exit_code = 16
    hint = "Look at the disk first (kernel log, SMART). What was committed before is on disk; `pfs check` verifies it."


class PoolReadOnly(PacketFSError):
    """The pool {path} is open for reading only."""

    exit_code = 15
    hint = "Open it for writing."


class PoolClosed(PacketFSError, ValueError):
    """The pool {path} is closed."""

    exit_code = 1


class ExtentTooLong(PacketFSError, ValueError):
    """An extent of {length} bytes is longer than the limit of {limit} bytes."""

    exit_code = 13


class ExtentRange(PacketFSError, ValueError):
    """The extent {digest} has {size} bytes; {length} bytes from {offset} on are not all in it."""

    exit_code = 13
    hint = "`pfs check` tells which files are affected."


class MissingExtent(PacketFSError, LookupError):
    """The pool {path} does not hold the extent {digest}."""

    exit_code = 13
    hint = "`pfs check` tells which files need it; `pfs sync --checksum` from who has them whole brings it back."


class CorruptExtent(PacketFSError):
    """The extent {digest} at {path}, offset {offset}, is damaged: {reason}"""

    exit_code = 13
    hint = "`pfs check` tells which files need it; `pfs sync --checksum` from who has them whole brings it back."


class CorruptDatabase(PacketFSError):
    """The database {path} is damaged: {reason}"""

    exit_code = 13
    hint = "`pfs repair` restores the last snapshot from the arena."


class DatabaseUnavailable(PacketFSError):
    """SQLite cannot be used: {reason}"""

    exit_code = 17
    hint = "Install the `apsw` wheel from PyPI (at least 3.51.3), which brings the checksum extension."


class DatabaseFailed(PacketFSError):
    """SQLite cannot work on {path}: {reason}"""

    exit_code = 16
    hint = "Run the command again; `pfs check` verifies the pool."
