"""Every error a user can meet: the docstring is the message, with the fields filled in.

Each class has an exit code (docs/exit-codes.md is generated from them) and a hint that names the remedy.
Sections follow the layers. A class that means the same as a builtin inherits it too.
"""

from __future__ import annotations


class PacketFSError(Exception):
    """PacketFS failed: {reason}"""

    exit_code = 1
    hint = ""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(_fill(type(self).__doc__ or "", fields))

    @property
    def message(self) -> str:
        return str(self.args[0])


def _fill(template: str, fields: dict[str, object]) -> str:
    from string import Formatter  # compiles patterns, which only errors are to pay for

    known = {name for _, name, _, _ in Formatter().parse(template) if name}
    shown = {name: _printable(fields.get(name, "?")) for name in known}
    return template.format(**shown).strip()


def _printable(value: object) -> object:
    """Names from disks and peers may hold any byte: control characters must not reach a terminal."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class UsageError(PacketFSError, ValueError):
    """{reason}"""

    exit_code = 2
    hint = "`pfs COMMAND --help` shows what a command takes."


class Partial(PacketFSError):
    """{count} of the files could not be handled; each is named above, the rest is done."""

    exit_code = 3
    hint = "Mend what is named and run the same command again."


# packet


class BadPacket(PacketFSError, ValueError):
    """This is not a valid packet: {reason}"""

    exit_code = 13
    hint = "The data is damaged or was not written by PacketFS; `pfs check` tells which files are affected."


class UnknownFeature(PacketFSError):
    """This data needs {feature}, which this version of PacketFS does not know."""

    exit_code = 14
    hint = "Read it with a newer version of PacketFS."


class BadProgram(PacketFSError, ValueError):
    """The program {root} cannot be run: {reason}"""

    exit_code = 13
    hint = "`pfs check` tells which files are affected."


# pool


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
    hint = "`pfs check` tells which files need it; a sync from a peer that has them brings it back."


class CorruptExtent(PacketFSError):
    """The extent {digest} at {path}, offset {offset}, is damaged: {reason}"""

    exit_code = 13
    hint = "`pfs check` tells which files need it; a sync from a peer that has them brings it back."


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


# vm


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


# toolchain


class ProgramFaulted(PacketFSError):
    """The program faulted at slot {slot} ({instruction}): {reason}"""

    hint = "docs/vm.md says what each fault means."


class BadObject(PacketFSError, ValueError):
    """{file}: {reason}"""

    exit_code = 13
    hint = "Compile it with `clang -target bpf -O2 -g`, or hand `pfs` the C source itself."


class CompileFailed(PacketFSError, ValueError):
    """{file} cannot be compiled: {reason}"""

    exit_code = 2
    hint = "The message is the compiler's; PacketFS has not run anything."


class BadSource(BadAssembly):
    """{file}, line {line}: {reason}"""

    exit_code = 2
    hint = "docs/isa.md lists the instructions, docs/programs.md the directives, docs/format.md the packets."


class NoCompiler(PacketFSError):
    """{file} is C, and there is no clang on this machine to compile it."""

    exit_code = 17
    hint = "Install clang (apt install clang), or compile on another machine: objects and programs run without it."


class NotTranslatable(PacketFSError, ValueError):
    """{file}, line {line}: {reason}"""

    exit_code = 2
    hint = "docs/programs.md says what programs in Python may use."


class TranslationFailed(PacketFSError):
    """{name} could not be translated to eBPF: {reason}"""

    exit_code = 2
    hint = "Make the function smaller, or use fewer variables at a time: a function has 512 bytes of stack."


class BadArgument(PacketFSError, ValueError):
    """The argument {name} of {program}: {reason}"""

    exit_code = 2
    hint = "`pfs programs PROGRAM` lists its arguments and what they take; they are written --arg NAME=VALUE."


class UnknownProgram(PacketFSError, LookupError):
    """There is no program {name}: {reason}"""

    exit_code = 4
    hint = "`pfs programs` lists those that come with PacketFS; others are files: .py, .c, .o, .s, or program files."


# fs


class UnsafePath(PacketFSError, ValueError):
    """The path {path} is refused: {reason}."""

    exit_code = 18
    hint = "Remove what stands in the way, or name the directory that is meant."


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


class SourceUnavailable(PacketFSError):
    """{path} cannot be read: {reason}"""

    exit_code = 4


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


class NoSnapshot(PacketFSError, LookupError):
    """There is no snapshot called {name}."""

    exit_code = 4
    hint = "`pfs snapshots` lists them."


class SnapshotExists(PacketFSError, FileExistsError):
    """A snapshot called {name} exists already; snapshots never change."""

    exit_code = 5
    hint = "Take it under another name."


class BadNamespace(PacketFSError):
    """The pool's names cannot be used: {reason}"""

    exit_code = 13
    hint = "`pfs repair` rebuilds them from the last snapshot."


# net


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


# engines


class SourceChanged(PacketFSError):
    """{path} changed while a job was reading it: {reason}"""

    exit_code = 3
    hint = "Run the job again when nothing writes to the file."


class BadCapture(PacketFSError, ValueError):
    """{path} cannot be read as a pcap file: {reason}"""

    exit_code = 13
    hint = "Only the classic pcap format is read; `editcap -F pcap` writes it."


class JobBusy(PacketFSError):
    """The job in {path} is being run by process {owner}."""

    exit_code = 11
    hint = "Wait until that process has ended, or end it."


class BadJob(PacketFSError):
    """The job in {path} cannot be resumed: {reason}"""

    exit_code = 13
    hint = "Remove its directory and run the program again."


class NoJob(PacketFSError, LookupError):
    """There is no job {name}."""

    exit_code = 4
    hint = "`pfs vms` lists the jobs that are live."


class JobCancelled(PacketFSError):
    """The job was cancelled."""

    exit_code = 130


class MicroVMsFaulted(PacketFSError):
    """{count} ended early, as named above (at most the first 1,000 are); what else there was went on."""

    exit_code = 3
    hint = "`pfs disasm` shows the packet and slot of the program where each stopped."


class MapTooLarge(PacketFSError):
    """The map {name} has too many keys over all shards: at most {entries} of at most {size} bytes in all are kept."""

    exit_code = 12
    hint = "Let the program keep fewer keys (a part of the field, a hash of it), or emit them instead."


class TableFull(PacketFSError):
    """There is no room in {path} for the live microVMs: {reason}"""

    exit_code = 12
    hint = "Run with fewer live microVMs (--vms), or make that file system larger."


# frontends


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


class InternalError(PacketFSError):
    """This is a fault in PacketFS: {kind}: {reason}"""

    hint = "Please report it, with what the same command prints after `export PACKETFS_TRACEBACK=1`."


class UnknownCommand(UsageError):
    """There is no command {name}{suggestion}"""

    hint = "`pfs --help` lists the commands."


class Unhealthy(PacketFSError):
    """{count} of the things that PacketFS needs are missing on this machine; each is named above."""


class DamageFound(PacketFSError):
    """{count} damaged things were found; each is named above."""

    exit_code = 13
    hint = "`pfs repair` rebuilds names and index; a sync from a peer that has the content brings it back."


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


class MountBusy(PacketFSError):
    """{path} is in use{users}."""

    exit_code = 11
    hint = "End what uses it (or leave the directory), or take the mount out of sight now with `pfs umount --lazy`."
