"""What can go wrong between two machines."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError


class BadMessage(PacketFSError, ValueError):
    """The other side sent something that cannot be right: {reason}"""

    exit_code = 20
    hint = "Both sides must run PacketFS, and nothing else may write to the connection (a login script that prints?)."


class VersionMismatch(PacketFSError):
    """The far side speaks protocol {theirs}, this side {ours}."""

    exit_code = 14
    hint = "Install the same version of PacketFS on both sides."


class Disconnected(PacketFSError, ConnectionError):
    """The connection to {peer} ended in the middle of a sync: {reason}"""

    exit_code = 20
    hint = "Nothing is damaged: run the same command again, it goes on where it stopped."


class Stalled(PacketFSError, TimeoutError):
    """{peer} has shown no life for {seconds} seconds."""

    exit_code = 20
    hint = "Nothing is damaged: see whether it still runs and can be reached, then run the same command again."


class Unreachable(PacketFSError, ConnectionError):
    """{peer} cannot be reached: {reason}"""

    exit_code = 20
    hint = "Try the same command that PacketFS runs: ssh HOST pfs --version."


class OtherSideFailed(PacketFSError):
    """{reason}"""


class Overlap(PacketFSError, ValueError):
    """{source} and {destination} overlap: a sync would copy its own copy, or delete its own source."""

    exit_code = 2
    hint = "Choose a destination that is neither inside the source nor around it."


class InTheWay(PacketFSError, FileExistsError):
    """{path} is a directory that is not empty, and the source has something else of that name."""

    exit_code = 3
    hint = "Empty it, or run with --delete."


class NothingThere(PacketFSError, FileNotFoundError):
    """{path}: no such file or directory."""

    exit_code = 4
    hint = "A path inside a pool is written pfs:PATH."


class FarSideFailed(PacketFSError):
    """{peer}: {reason}"""

    exit_code = 20
    hint = "The message comes from the far side."


class Abandoned(PacketFSError):
    """{path}: the sender took it back, as it changed while it was read"""

    exit_code = 3
    hint = "Run the same command again."


class Vanished(PacketFSError):
    """{path} changed or vanished while it was being sent."""

    exit_code = 3
    hint = "Run the same command again when nothing writes to it."


class Unverified(PacketFSError):
    """What was built at {path} is not what the sender announced; it was not committed."""

    exit_code = 13
    hint = "Run the same command again; if it happens twice, run it with --checksum."


class TooLong(PacketFSError, ValueError):
    """{path} would have runs of {size} bytes; at most {limit} are taken."""

    exit_code = 13
