"""The verbs of `pfs`: one module each, imported only when it is chosen.

A command's module has a docstring (its description), EXAMPLES, OPTIONS (which of the shared options it takes),
`declare(arguments)` and `run(options, output) -> exit code`. Its summary stands here, as `pfs --help` imports none.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import Final

GROUPS: Final = ("FILES", "PROGRAMS", "POOL", "TOOL")


@dataclass(frozen=True, slots=True)
class Command:
    """One verb."""

    name: str
    group: str
    summary: str

    @property
    def module(self) -> str:
        return f"{__name__}.{self.name.replace('-', '_')}"


COMMANDS: Final = (
    Command("sync", "FILES", "make a directory, here or on another machine, equal to another"),
    Command("put", "FILES", "copy files and directories into the pool"),
    Command("get", "FILES", "copy files and directories out of the pool"),
    Command("cat", "FILES", "write a file of the pool to standard output"),
    Command("ls", "FILES", "list a directory of the pool"),
    Command("stat", "FILES", "show everything known about a name in the pool"),
    Command("rm", "FILES", "remove files and directories from the pool"),
    Command("mount", "FILES", "mount a pool on a directory of this machine"),
    Command("umount", "FILES", "take the mount of a pool away"),
    Command("run", "PROGRAMS", "run a program over the records of files, where they lie"),
    Command("derive", "PROGRAMS", "make a file that is what a program emits over another one"),
    Command("programs", "PROGRAMS", "list the programs that come with PacketFS, and those in the pool"),
    Command("memo", "PROGRAMS", "show or clear what the pool remembers of runs"),
    Command("vms", "PROGRAMS", "list live microVMs; pause, resume, move and drop their jobs"),
    Command("top", "PROGRAMS", "watch live microVMs"),
    Command("disasm", "PROGRAMS", "show a file as the program that it is"),
    Command("asm", "PROGRAMS", "turn a program's text back into packets"),
    Command("init", "POOL", "create a pool"),
    Command("info", "POOL", "show what a pool holds and what it costs"),
    Command("snapshots", "POOL", "list the snapshots"),
    Command("diff", "POOL", "show what differs between two snapshots, or a snapshot and now"),
    Command("check", "POOL", "verify every byte and name the files that are damaged"),
    Command("repair", "POOL", "rebuild names and index from the arena alone"),
    Command("gc", "POOL", "give back the space of what nothing refers to"),
    Command("doctor", "TOOL", "tell what this machine has, what it lacks, and what to do"),
    Command("serve", "TOOL", "be the far side of a sync, or of a run on another machine"),
    Command("keys", "TOOL", "mint, list and revoke the keys of a daemon; keep those of others"),
    Command("vm-plugin", "TOOL", "run one eBPF program, as conformance suites call it"),
)

BY_NAME: Final = {command.name: command for command in COMMANDS}
