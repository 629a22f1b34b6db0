"""What can go wrong with names and files."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError


class UnsafePath(PacketFSError, ValueError):
    """The path {path} is refused: {reason}."""

    exit_code = 18
    hint = "Remove what stands in the way, or name the directory that is meant."


class TooManyWatches(PacketFSError):
    """The system gives no more watches for the directories of {path}."""

    exit_code = 12
    hint = "Each directory takes one: raise them as root with sysctl fs.inotify.max_user_watches=1000000."


class DestinationBusy(PacketFSError):
    """Another job is writing into {path}."""

    exit_code = 11
    hint = "Wait until it has ended; two jobs never write into one directory at a time."


class DestinationFull(PacketFSError):
    """No space left for {path}. What was there before is still there, whole."""

    exit_code = 12
    hint = "Free some space on that disk and run the same command again."


class DestinationRefused(PacketFSError):
    """{path} cannot be used for temporary files: {reason}"""

    exit_code = 15
    hint = "Look at what it holds and remove it, or run as its owner."


class DestinationDenied(PacketFSError):
    """The destination {path} cannot be written: permission denied."""

    exit_code = 15
    hint = "Run as a user who may, or mend the permissions."


class SourceUnavailable(PacketFSError):
    """{path} cannot be read: {reason}"""

    exit_code = 4


class SourceDenied(SourceUnavailable):
    """The source {path} cannot be read: {reason}"""

    exit_code = 15
    hint = "Run as a user who may, or mend the permissions."


class NotFound(PacketFSError, FileNotFoundError):
    """There is no {path} in the pool."""

    exit_code = 4
    hint = "`pfs ls` lists what is there."


class NotADirectory(PacketFSError, NotADirectoryError):
    """{path} is not a directory."""

    exit_code = 4


class NotContiguous(PacketFSError, ValueError):
    """{path} lies in {count} parts in the arena, so there is no single view of that range."""

    exit_code = 4
    hint = "Ask for a range inside one extent, or for all parts with `views`."


class NotAFile(PacketFSError, ValueError):
    """{path} is not a regular file: only those have content to read."""

    exit_code = 4


class BadPath(PacketFSError, ValueError):
    """{path} cannot be a path in the pool: {reason}"""

    exit_code = 2


class PathTooLong(BadPath):
    """{path} has {count} bytes; a path, without what stands above the files, may have {most}."""

    exit_code = 2
    hint = "Move what lies so deep further up, or sync a directory on the way to it by itself."


class BadSnapshotName(PacketFSError, ValueError):
    """'{name}' cannot be the name of a snapshot."""

    exit_code = 2
    hint = "It is a name as that of a file: 1 to 255 bytes without a slash."


class NoSnapshot(PacketFSError, LookupError):
    """There is no snapshot called {name}."""

    exit_code = 4
    hint = "`pfs snapshots` lists them."


class SnapshotMounted(PacketFSError):
    """The snapshot {name} is mounted: it cannot be dropped."""

    exit_code = 11
    hint = "`findmnt -t fuse.packetfs` lists the mounts, and `pfs umount` takes one away; then drop it."


class SnapshotExists(PacketFSError, FileExistsError):
    """A snapshot called {name} exists already; snapshots never change."""

    exit_code = 5
    hint = "Take it under another name."


class BadNamespace(PacketFSError):
    """The pool's names cannot be used: {reason}"""

    exit_code = 13
    hint = "`pfs repair` rebuilds them from the last snapshot."
