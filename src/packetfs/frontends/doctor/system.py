"""The kernel and the memory that processes share."""

from __future__ import annotations

import os
import re

from packetfs.frontends.cli.sizes import format_size
from packetfs.frontends.doctor.verdict import Need, Verdict
from packetfs.limits import MIB
from packetfs.typing import Final

KERNEL_MIN: Final = (5, 0)
"""Linux 5.6 has openat2, which confines writes to the destination in one call; from 5.0 on a walk does the same."""
SHARED_MIN: Final = 256 * MIB


def check_kernel(name: str | None = None, release: str | None = None) -> Verdict:
    """Linux, and new enough."""
    system = os.uname()
    name, release = name or system.sysname, release or system.release
    match = re.match(r"(\d+)\.(\d+)", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    return Verdict(
        "kernel",
        Need.REQUIRED,
        name == "Linux" and version >= KERNEL_MIN,
        f"{name} {release}",
        f"Use Linux {KERNEL_MIN[0]}.{KERNEL_MIN[1]} or newer.",
    )


def check_shared_memory(path: str = "/dev/shm", minimum: int = SHARED_MIN) -> Verdict:  # noqa: S108 (its fixed place)
    """Room where processes share pages that no file backs; pools themselves are mapped files and need none of it."""
    try:
        state = os.statvfs(path)
    except OSError as error:
        return Verdict("shared memory", Need.ADVISED, False, f"{path}: {error.strerror}", f"Mount a tmpfs at {path}.")
    free = state.f_bavail * state.f_frsize
    advice = f"Make it larger: mount -o remount,size={minimum // MIB * 2}M {path} (in a container: --shm-size=512m)."
    return Verdict("shared memory", Need.ADVISED, free >= minimum, f"{format_size(free)} free in {path}", advice)


def check_memory(path: str = "/proc/meminfo", minimum: int = SHARED_MIN) -> Verdict:
    """Memory that is free for use; a side of a sync stays below 30 MB, the page cache makes it fast."""
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            match = re.search(r"MemAvailable:\s+(\d+) kB", lines.read())
    except OSError:
        match = None
    free = int(match[1]) * 1024 if match else 0
    return Verdict("memory", Need.ADVISED, free >= minimum, f"{format_size(free)} available", "End something large.")
