"""What can go wrong with a job."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError


class SourceChanged(PacketFSError):
    """{path} changed while a job was reading it: {reason}"""

    exit_code = 3
    hint = "Run the job again when nothing writes to the file."


class BadCapture(PacketFSError, ValueError):
    """{path} cannot be read as a pcap file: {reason}"""

    exit_code = 13
    hint = "Only the classic pcap format is read; `editcap -F pcap` writes it."


class NoKernel(PacketFSError, ValueError):
    """{name} cannot run as a kernel on a GPU: {reason}"""

    exit_code = 2
    hint = "docs/vm.md lists the helpers that kernels have."


class DeriveFailed(PacketFSError):
    """A derived file cannot be made: {reason}"""

    exit_code = 3
    hint = "`pfs disasm` shows the file's program; derive it again with another program, or with more fuel."


class JobBusy(PacketFSError):
    """The job in {path} is being run by process {owner}."""

    exit_code = 11
    hint = "Wait until that process has ended, or end it."


class BadJob(PacketFSError):
    """The job in {path} cannot be resumed: {reason}"""

    exit_code = 13
    hint = "Remove its directory and run the program again."


class OutputGone(PacketFSError):
    """The job in {path} cannot be resumed: {count} of its output went to a file that its process did not finish."""

    exit_code = 1
    hint = "`pfs vms --drop` it and run the program again; under `pfs run --keep` a job keeps what it gives to -o FILE."


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
