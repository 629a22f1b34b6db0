"""What can go wrong around a command: files of the host, arguments, mounts, Python."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError, UsageError


class HostFailure(PacketFSError):
    """{file}: {reason}"""


class HostMissing(HostFailure):
    """{file}: there is no such file or directory"""

    exit_code = 4


class HostDenied(HostFailure):
    """{file}: permission denied"""

    exit_code = 15
    hint = "Run as a user who may, or mend the permissions."


class HostFull(HostFailure):
    """{file}: no space left"""

    exit_code = 12
    hint = "Free some space on that disk and run the same command again; what was there before is still there, whole."


class HostBroken(HostFailure):
    """{file}: the disk failed to read or write"""

    exit_code = 16
    hint = "Look at the disk first (kernel log, SMART)."


class NoThreads(PacketFSError):
    """The system lets no thread begin."""

    hint = "End other processes of this user or container, or raise their limit (`ulimit -u`, that of its pids)."


class InternalError(PacketFSError):
    """This is a fault in PacketFS: {kind}: {reason}"""

    hint = "Please report it, with what the same command prints after `export PACKETFS_TRACEBACK=1`."


class UnknownCommand(UsageError):
    """There is no command {name}{suggestion}"""

    hint = "`pfs --help` lists the commands."


class Unhealthy(PacketFSError):
    """{count} of the things that PacketFS needs are missing on this machine; each is named above."""


class DamageFound(PacketFSError):
    """Damage was found: {count} in all, each is named above."""

    exit_code = 13
    hint = "`pfs repair` rebuilds names and index; `pfs sync --checksum` from who has it brings content back."


class LibraryMissing(PacketFSError):
    """The library {name} cannot be loaded: {reason}"""

    exit_code = 17
    hint = "`pfs doctor` tells what is missing and how to install it."


class AlreadyThere(PacketFSError, FileExistsError):
    """{path} is there already, and what is in it would go."""

    exit_code = 5
    hint = "--replace makes it equal to the source; `pfs sync` adds to it instead."


class Exists(PacketFSError, FileExistsError):
    """There is a {path} in the pool already."""

    exit_code = 5


class IsADirectory(PacketFSError, IsADirectoryError):
    """{path} is a directory."""

    exit_code = 4


class NotEmpty(PacketFSError, OSError):
    """{path} is a directory with names in it."""

    exit_code = 5
    hint = "Pass recursive=True to remove it with all that is in it."


class SnapshotReadOnly(PacketFSError, PermissionError):
    """{name} is a snapshot: it never changes."""

    exit_code = 15
    hint = "Change the pool's live names instead."


class MountMissing(PacketFSError):
    """A pool cannot be mounted on this machine: there is no {what}."""

    exit_code = 17
    hint = "As root: `modprobe fuse` makes /dev/fuse, `apt install fuse3` brings fusermount3. `pfs doctor` tells more."


class MountFailed(PacketFSError):
    """{path} cannot be mounted on: {reason}"""

    exit_code = 15
    hint = "Look at the directory, and at the kernel log."


class MountRefused(MountFailed):
    """{path} cannot be mounted on: {reason}"""

    hint = "Mount on a directory of your own; for allow_other root must put user_allow_other into /etc/fuse.conf."


class MountPointTaken(PacketFSError, FileExistsError):
    """{path} cannot be mounted on: {reason}"""

    exit_code = 5
    hint = "Mount on an empty directory: what is in it would be out of reach."


class AlreadyMounted(PacketFSError):
    """The pool {pool} is mounted on {path} already."""

    exit_code = 11
    hint = "`pfs umount DIR` takes a mount away."


class NotMounted(PacketFSError):
    """No pool is mounted on {path}."""

    exit_code = 4
    hint = "`findmnt -t fuse.packetfs` lists the mounts of pools."


class MountUnsaved(PacketFSError):
    """{path} stays mounted, as what was written last cannot be made durable: {reason}."""

    exit_code = 16
    hint = "Look at the disk of the pool and try again; `pfs umount --lazy` takes the mount away all the same."


class MountFull(MountUnsaved):
    """{path} stays mounted, as what was written last cannot be made durable: {reason}."""

    exit_code = 12
    hint = "Free some space on the pool's disk and try again; `pfs umount --lazy` takes the mount away all the same."


class MountBusy(PacketFSError):
    """{path} is in use{users}."""

    exit_code = 11
    hint = "End what uses it (or leave the directory), or take the mount out of sight now with `pfs umount --lazy`."
