"""Programs as kernels on lanes in Python: what a GPU would answer, as vm/single.py answers for an interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fuzz.ptx.launch import Launch
from fuzz.ptx.reader import read
from packetfs.engines.gpu.kernel import RESULTS, module
from packetfs.engines.ir.written import STOPPED
from packetfs.toolchain.python.backend import GPUS, translate
from packetfs.vm.context import GOLDEN
from packetfs.vm.image import Image
from packetfs.vm.layout import Fault, Stop
from packetfs.vm.single import Ended

ROOM: Final = 4096
"""Bytes that a lane may emit."""
SEED: Final = 5
SHARD: Final = 65_534
RECORD_BASE: Final = 5
FILE_ID: Final = 9
_THREADS: Final = 4


def ptx_of(images: Sequence[Image], architecture: str) -> str:
    """Return the PTX of one kernel for each image."""
    return translate(module(images), GPUS[architecture]).decode()


class Kernels:
    """Kernels of some images, on a device of their own."""

    def __init__(self, images: Sequence[Image], architecture: str = "sm_90") -> None:
        self.images, self.ptx = images, ptx_of(images, architecture)
        self.module = read(self.ptx)

    def run(self, number: int, records: Sequence[bytes], fuel: int) -> list[tuple[Ended | Stop, bytes]]:
        """Run one image's kernel over records; return how each ended, or what it needs the host for, and its maps."""
        image, launch, count = self.images[number], Launch(self.module), len(records)
        place = launch.memory.place
        own = image.maps_bytes
        maps = bytearray(image.initial.ljust(own, b"\0") * count)
        out, results = bytearray(ROOM * count), bytearray(len(RESULTS) * 8 * count)
        buffers = (bytearray(b"".join(records)), _bounds(records), maps, out, results)
        numbers = count, ROOM, fuel, 0, RECORD_BASE, SHARD, FILE_ID, (SEED * GOLDEN + SHARD) % (1 << 64)
        launch.run(f"run{number}", (*map(place, buffers), *numbers), blocks=-(-count // _THREADS), threads=_THREADS)
        words = memoryview(results).cast("Q")
        return [
            (_ended(words[i::count].tolist(), out[i * ROOM :]), bytes(maps[i * own : (i + 1) * own]))
            for i in range(count)
        ]


def _bounds(records: Sequence[bytes]) -> bytearray:
    at, bounds = 0, bytearray()
    for record in records:
        bounds += at.to_bytes(8, "little") + (at + len(record)).to_bytes(8, "little")
        at += len(record)
    return bounds


def _ended(words: list[int], out: bytearray) -> Ended | Stop:
    result, fault, pc, address, executed, emitted = words
    if fault >= STOPPED:
        return Stop(fault - STOPPED)
    return Ended(result, Fault(fault), pc, address, executed, bytes(out[:emitted]))
