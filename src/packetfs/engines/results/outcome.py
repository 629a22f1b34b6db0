"""What shards came to: counts and reduced maps, of all shards of a job so far or of some that follow each other.

    a line of numbers: the counts, how many bytes the faults have, and each map; then the faults, as JSON, and the maps

A job keeps that of the shards that were reduced in one file, written whole, then renamed: a process that takes over the
job reads it, and their microVMs do not matter any more.
"""

from __future__ import annotations

import os
import struct

from packetfs import errors
from packetfs.engines.input.shards import Batch
from packetfs.engines.live.columns import states
from packetfs.engines.live.spool import Taking, take_anything
from packetfs.engines.live.table import Table
from packetfs.engines.results.reduce import reductions
from packetfs.engines.results.totals import COUNTS, Totals, is_count, pack_faults, unpack_totals
from packetfs.limits import PROGRAM_MAPS_MAX, TOTALS_MAX
from packetfs.packet.layout import Buffer
from packetfs.typing import TYPE_CHECKING, Any, Final
from packetfs.vm.image import Image
from packetfs.vm.layout import State

if TYPE_CHECKING:
    from packetfs.engines.results.brief import Brief
    from packetfs.engines.results.narrow import Words

_LINE_MAX: Final = 21 * (COUNTS + 1 + PROGRAM_MAPS_MAX)
DAMAGE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
    MemoryError,
    struct.error,
)
"""What bytes that anyone may have written can raise while they are read."""


class Outcome:
    """Counts and reductions of maps, by the index of the map."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.totals = Totals()
        self.maps = reductions(image)

    def add(self, table: Table, batch: Batch, file: str) -> None:
        """Add a batch whose microVMs have all ended, in order; `file`: the name of what it ran over."""
        self.totals.add(table.words, batch)
        if State.FAULTED in states(table.words, batch.slot, batch.count):
            self.totals.add_faults(table.contexts, table.words, batch, self._image, file)
        for reduction in self.maps.values():
            reduction.add(table.maps, batch.slot, batch.count, self._image.maps_bytes)

    def add_one(self, totals: Totals, maps: Brief) -> None:
        """Add a shard that comes next, by its counts and its maps memory."""
        self.totals.merge(totals)
        for reduction in self.maps.values():
            reduction.add_brief(maps)

    def merge(self, more: Outcome) -> None:
        """Add what the shards that follow came to."""
        self.totals.merge(more.totals)
        for index, reduction in self.maps.items():
            same: Any = more.maps[index]  # of the same map, so of the same kind
            reduction.merge(same)

    def pack(self) -> bytes:
        """Return it as bytes."""
        return b"".join(self.parts())

    def parts(self) -> tuple[bytes, bytes]:
        """Return the front of these bytes, and the maps behind."""
        faults, *maps = [pack_faults(self.totals.faults), *(reduction.pack() for reduction in self.maps.values())]
        line = " ".join(map(str, (*self.totals.counts(), *map(len, (faults, *maps)))))
        return line.encode() + b"\n" + faults, b"".join(maps)


def unpack(image: Image, data: Buffer) -> Outcome:
    """Return what `pack` gave; one of DAMAGE if it is not whole."""
    view = memoryview(data)
    outcome, at, lengths = _counted(image, bytes(view[: _LINE_MAX + TOTALS_MAX]), len(view))
    for reduction, length in zip(outcome.maps.values(), lengths, strict=True):
        reduction.unpack(view[at : at + length])
        at += length
    return outcome


def join(image: Image, front: bytes, maps: Words) -> Outcome:
    """Return the same of what `parts` gave."""
    outcome, behind, lengths = _counted(image, front, len(front) + len(maps))
    if behind != len(front):
        raise ValueError("its maps begin elsewhere")
    at = 0
    for reduction, length in zip(outcome.maps.values(), lengths, strict=True):
        if length and at % 8 == 0:
            reduction.hold(maps, at, length)
        else:
            reduction.unpack(maps.widened()[at : at + length])
        at += length
    return outcome


def _counted(image: Image, front: bytes, size: int) -> tuple[Outcome, int, list[int]]:
    """Return what was counted, where the maps lie behind that in all `size` bytes, and the bytes of each."""
    line = front[:_LINE_MAX].partition(b"\n")[0]
    counts, faults, lengths = _numbers(line, size - len(line) - 1)
    outcome, behind = Outcome(image), len(line) + 1 + faults
    outcome.totals = unpack_totals(counts, front[len(line) + 1 : behind])
    return outcome, behind, lengths


def save(directory: str, outcome: Outcome, taking: Taking = take_anything) -> None:
    """Write what a job came to so far; the old file stays until the new one is whole."""
    data = outcome.pack()
    try:
        with taking(len(data)), open(f"{directory}/reduced.new", "wb") as file:
            file.write(data)
    except OSError as error:
        raise errors.TableFull(path=directory, reason=error.strerror) from None
    os.rename(f"{directory}/reduced.new", f"{directory}/reduced")


def restore(directory: str, image: Image) -> Outcome:
    """Return what `save` wrote, or nothing counted yet; BadJob when the file is damaged."""
    try:
        with open(f"{directory}/reduced", "rb") as file:
            return unpack(image, file.read())
    except FileNotFoundError:
        return Outcome(image)
    except DAMAGE as error:
        raise errors.BadJob(path=directory, reason=f"what was reduced is damaged ({error})") from None


def read_totals(directory: str) -> Totals:
    """Return the counts alone, as far as shards are reduced; nothing counted where there is no such file."""
    try:
        with open(f"{directory}/reduced", "rb") as file:
            line = file.readline(_LINE_MAX)
            counts, faults, _ = _numbers(line, os.fstat(file.fileno()).st_size - len(line))
            return unpack_totals(counts, file.read(faults))
    except FileNotFoundError:
        return Totals()
    except DAMAGE as error:
        raise errors.BadJob(path=directory, reason=f"what was reduced is damaged ({error})") from None


def _numbers(line: bytes, size: int) -> tuple[list[int], int, list[int]]:
    """Return the counts, the bytes of the faults and of each map behind them: all `size` bytes behind the line."""
    numbers = list(map(int, line.split()))
    counts, (faults, *lengths) = numbers[:COUNTS], numbers[COUNTS:]
    if not all(map(is_count, numbers)) or faults > TOTALS_MAX or faults + sum(lengths) != size:
        raise ValueError("its lengths are not those of the file")
    return counts, faults, lengths
