"""The least that a delta costs with both trees at hand: `zstd -3 --patch-from` and xdelta3 on tars of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

BUFFER_MIN = 1 << 20
BUFFER_MAX = (1 << 31) - (1 << 20)


@dataclass(frozen=True, slots=True)
class Floor:
    """Bytes of a delta, and what making it took; 0 bytes where the program is not installed."""

    tool: str
    bytes: int
    cpu: float
    rss: int
    wall: float


def pack(tree: Path, archive: Path) -> Path:
    """Make a tar in the order of names, so that both states have theirs alike."""
    subprocess.run(["tar", "--sort=name", "-C", str(tree), "-cf", str(archive), "."], check=True)
    return archive


def floors(old: Path, new: Path) -> list[Floor]:
    """Make every delta from one tar to the other. xdelta3 gets a window over the whole old tar, with and without its
    second compression, since either may be the smaller."""
    span = str(min(BUFFER_MAX, max(BUFFER_MIN, old.stat().st_size + 1)))
    out = new.with_name("delta")
    source = ["-s", str(old), str(new), str(out)]
    commands = {
        "zstd -3 --patch-from": ["zstd", "-3", "-qq", "-f", f"--patch-from={old}", str(new), "-o", str(out)],
        "xdelta3": ["xdelta3", "-e", "-f", "-B", span, *source],
        "xdelta3 -S none": ["xdelta3", "-e", "-f", "-B", span, "-S", "none", *source],
    }
    return [delta(tool, command, out) for tool, command in commands.items() if shutil.which(command[0])]


def delta(tool: str, command: list[str], out: Path) -> Floor:
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{tool} failed with {process.returncode}")
    size = out.stat().st_size
    out.unlink()
    return Floor(tool, size, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, time.perf_counter() - start)


def bound(found: list[Floor]) -> int:
    """Give the wire bytes that a copy with a known base may take: 1.3 x the smallest delta and 4 KiB."""
    return int(1.3 * min(floor.bytes for floor in found)) + 4096 if found else 0
