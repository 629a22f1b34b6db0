"""Bytes that cross the network when a program goes to the file instead: `pfs run --node`, 1 % of the lines selected.

    python -m bench.node [--bytes 1000000000] [--share 0.01]

The far side is this machine behind a stand-in for ssh; lines are random, so that compression hides nothing. Ends with
exit code 1 where more than 2 % of the file moved, or what came back is not what was selected.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from packetfs.engines.remote.node import NodeJob, run_on_node
from packetfs.engines.results.result import ignore
from packetfs.packet.layout import Buffer
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.program import Program

LINE: Final = 100
"""Bytes of a line."""
MARK: Final = ord("!")
_NOT_A_LINE_FEED: Final = bytes(byte if byte != 10 else 32 for byte in range(256))
MOST: Final = 0.02
"""Share of the file that may move."""
SHELL: Final = Path(__file__).resolve().parents[1] / "tests" / "net" / "shell.py"
SELECT: Final = """
    ldxdw r1, [r1+0]
    ldxb r3, [r1+0]
    jne r3, 33, out
    call 4096
    out:
    mov r0, 2
    exit
"""
"""Emits the lines that begin with an exclamation mark."""


def write_lines(path: Path, size: int, share: float) -> str:
    """Write random lines and return the SHA-256 of those that are selected."""
    chosen, every = hashlib.sha256(), round(1 / share)
    with path.open("wb") as file:
        for first in range(0, size // LINE, 10_000):
            block = bytearray(os.urandom(10_000 * LINE).translate(_NOT_A_LINE_FEED))
            block[::LINE] = b"." * 10_000
            block[LINE - 1 :: LINE] = b"\n" * 10_000
            for at in range(-first % every * LINE, len(block), every * LINE):
                block[at] = MARK
                chosen.update(block[at : at + LINE])
            file.write(block)
    return chosen.hexdigest()


def measure(path: Path, out: Callable[[Buffer], None]) -> tuple[int, float]:
    """Return bytes moved and seconds."""
    shell = (sys.executable, str(SHELL), str(path.parent / "far"))
    job = NodeJob(
        "far",
        Program(pad(assemble(SELECT))),
        "line",
        (os.fsencode(path),),
        shell=shell,
        far_command=f"{sys.executable} -m packetfs",
    )
    begun = time.monotonic()
    _, moved = run_on_node(job, out, ignore)
    return moved, time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--share", type=float, default=0.01)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-node-") as base:
        path, got = Path(base) / "lines", hashlib.sha256()
        wanted = write_lines(path, options.bytes, options.share)
        moved, seconds = measure(path, got.update)
        size = path.stat().st_size
    good = got.hexdigest() == wanted
    print(f"{size:,} bytes, {options.share:.1%} selected: {moved:,} moved ({moved / size:.3%}) in {seconds:.2f} s")
    print(f"the lines that came back are {'' if good else 'NOT '}those that were selected")
    return 0 if good and moved <= size * MOST else 1


if __name__ == "__main__":
    sys.exit(main())
