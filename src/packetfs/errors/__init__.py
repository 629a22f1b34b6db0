"""Every error a user can meet: the docstring is the message, with the fields filled in.

Each class has an exit code (docs/exit-codes.md is generated from them) and a hint that names the remedy.
Modules follow the layers. A class that means the same as a builtin inherits it too. A module is loaded when one of its
errors is first asked for: making all of these classes takes as long as an eighth of `pfs --version`. So what is loaded
by every run names them when they are raised, as `errors.BadJob`: that is a tenth of it.
"""

# ruff: noqa: F403, F405 (what `import *` brings is named below)
from __future__ import annotations

from packetfs.importlib import import_module
from packetfs.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packetfs.errors.base import *
    from packetfs.errors.engines import *
    from packetfs.errors.frontends import *
    from packetfs.errors.fs import *
    from packetfs.errors.net import *
    from packetfs.errors.packet import *
    from packetfs.errors.pool import *
    from packetfs.errors.toolchain import *
    from packetfs.errors.vm import *

_NAMES = {
    "base": "PacketFSError Partial UsageError",
    "engines": (
        "BadCapture BadJob DeriveFailed JobBusy JobCancelled MapTooLarge MicroVMsFaulted NoJob NoKernel "
        "OutputGone SourceChanged TableFull"
    ),
    "frontends": (
        "AlreadyMounted AlreadyThere DamageFound Exists HostBroken HostDenied HostFailure HostFull "
        "HostMissing InternalError IsADirectory LibraryMissing MountBusy MountFailed MountFull MountMissing "
        "MountPointTaken MountRefused MountUnsaved NoThreads NotEmpty NotMounted SnapshotReadOnly Unhealthy "
        "UnknownCommand"
    ),
    "fs": (
        "BadNamespace BadPath BadSnapshotName DestinationBusy DestinationDenied DestinationFull DestinationRefused "
        "NoSnapshot NotADirectory NotAFile NotContiguous NotFound PathTooLong SnapshotExists SnapshotMounted "
        "SourceDenied SourceUnavailable TooManyWatches UnsafePath"
    ),
    "net": (
        "Abandoned BadKeys BadMessage BadToken BaseMoved CertificateExpired CertificateRefused Disconnected "
        "FarSideFailed GrantMissing HistoryFull InTheWay IntoPool KeyExists KeyNotShown NoDaemon NoKey NoKeys "
        "NoSuchKey NoSuchServer NotGranted NothingThere NotListening OtherMean OtherSideFailed Overlap OverQuota "
        "RevokedKey SamePool ServerFull ServerStopping Stalled TooLong UnknownKey Unreachable Unverified Vanished "
        "VersionMismatch WrongServer"
    ),
    "packet": "BadPacket BadProgram NotRunYet UnknownFeature",
    "pool": (
        "CorruptDatabase CorruptExtent DatabaseFailed DatabaseUnavailable ExtentRange ExtentTooLong "
        "MissingExtent NoRoomToCollect NotAPool PoolAccess PoolBusy PoolClosed PoolExists PoolFailed PoolFull "
        "PoolReadOnly"
    ),
    "toolchain": (
        "BadArgument BadObject BadSource CompileFailed NoCompiler NotTranslatable ProgramFaulted "
        "TranslationFailed UnknownProgram"
    ),
    "vm": "BadAssembly BadMicroVM IllegalInstruction",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> type[PacketFSError]:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: type[PacketFSError] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]


def error_classes() -> list[type[PacketFSError]]:
    """Return every error, in the order of the layers."""
    return [__getattr__(name) for name in _MODULES]
