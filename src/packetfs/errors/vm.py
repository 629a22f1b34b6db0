"""What can be wrong with a program that is loaded."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError


class IllegalInstruction(PacketFSError, ValueError):
    """Slot {slot} of the code is refused: {reason}"""

    exit_code = 13
    hint = "`pfs disasm` shows the code; docs/isa.md says what each instruction may have."


class BadMicroVM(PacketFSError, ValueError):
    """The packets of a microVM cannot be used: {reason}"""

    exit_code = 13
    hint = "They are damaged, or belong to another program; the shard can be run again from its start."


class BadAssembly(PacketFSError, ValueError):
    """Line {line}: {reason}"""

    exit_code = 2
    hint = "docs/isa.md lists every instruction as it is written."
