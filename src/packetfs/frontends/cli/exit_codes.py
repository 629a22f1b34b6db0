"""What each exit code of `pfs` means; docs/exit-codes.md is generated from here and from the classes in errors."""

from __future__ import annotations

from packetfs.enum import IntEnum


class ExitCode(IntEnum):
    """A number has one meaning for ever; scripts depend on it."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code

    DONE = 0, "done; nothing was left out"
    FAILED = 1, "failed; the message says why"
    USAGE = 2, "the command line was not understood; nothing was touched"
    PARTIAL = 3, "partly done: some files could not be handled, each was named, the rest is done"
    NOT_FOUND = 4, "what was named is not there, or not of the kind that is needed"
    EXISTS = 5, "what should be made is there already"
    NO_POOL = 10, "no pool can be used at that place"
    LOCKED = 11, "another process is writing there"
    FULL = 12, "no space left; what was there before is still there, whole"
    DAMAGED = 13, "damaged data was found; the affected files are named where that can be told"
    TOO_NEW = 14, "a newer version of PacketFS wrote this, or speaks on the other side"
    DENIED = 15, "permission denied, or open for reading only"
    DISK = 16, "the disk or the database failed to read or write"
    LIBRARY = 17, "a library is missing or too old; `pfs doctor` says which"
    UNSAFE = 18, "a path was refused because it could lead outside the destination"
    UNREACHABLE = 20, "the other machine could not be reached, or the connection broke"
    INTERRUPTED = 130, "interrupted (Ctrl-C); the pool is valid, running it again goes on"
    CLOSED = 141, "what read our output closed it (as `| head` does)"
