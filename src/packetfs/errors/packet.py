"""What can be wrong with packets."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError


class BadPacket(PacketFSError, ValueError):
    """This is not a valid packet: {reason}"""

    exit_code = 13
    hint = "The data is damaged or was not written by PacketFS; `pfs check` tells which files are affected."


class UnknownFeature(PacketFSError):
    """This data needs {feature}, which this version of PacketFS does not know."""

    exit_code = 14
    hint = "Read it with a newer version of PacketFS."


class NotRunYet(PacketFSError):
    """This is a derived file whose program has not run yet, so there is no content."""

    exit_code = 4
    hint = "Read it once by its name in the pool (`pfs cat`, `pfs get`, the mount): that runs it."


class BadProgram(PacketFSError, ValueError):
    """The program {root} cannot be run: {reason}"""

    exit_code = 13
    hint = "`pfs check` tells which files are affected."
