"""What the lanes of a block spend: counted once while they are together, by the number of lanes once they part.

No lane has a counter of its own. What one lane can have spent at the most is what all that ran costs together; where
that is not below the limit, the block is dropped, and counted exactly record by record.
"""

from __future__ import annotations

from packetfs.engines.lanes.cells import ALL, MASK, Block
from packetfs.engines.lanes.shape import LANES

_BITS = f"i{LANES}"


class Fuel:
    """Appends the counting of slots. `together`: of each lane; apart: of all lanes, of one, and the most of one."""

    def __init__(self, block: Block) -> None:
        self._block, self._text = block, block.text
        self._together = block.text.cell("i64", "together")
        self._apart = block.text.cell("i64", "apart")
        self._last = block.text.cell("i64", "last")
        self._most = block.text.cell("i64", "most")
        self.limit = block.text.cell("i64", "limit")

    def begin(self) -> None:
        for cell in (self._together, self._apart, self._last, self._most):
            self._block.set(cell, "0")

    def spend(self, slots: int, mask: str, *, parted: bool) -> None:
        """Count slots that the lanes of a mask have executed."""
        if not self._block.safety.fuel:
            return
        if not parted:
            self._add(self._together, str(slots))
            return
        text = self._text
        lanes = text.new(f"bitcast {MASK} {mask} to {_BITS}")
        name = f"@llvm.ctpop.{_BITS}"
        counted = text.call(f"declare {_BITS} {name}({_BITS})", f"call {_BITS} {name}({_BITS} {lanes})")
        self._add(self._apart, self._times(counted, slots))
        self._add(self._last, self._times(text.new(f"lshr {_BITS} {lanes}, {LANES - 1}"), slots))
        self._add(self._most, str(slots))

    def _times(self, number: str, slots: int) -> str:
        return self._text.new(f"mul i64 {self._text.new(f'zext {_BITS} {number} to i64')}, {slots}")

    def _add(self, cell: str, more: str) -> None:
        self._block.set(cell, self._text.new(f"add i64 {self._block.get(cell)}, {more}"))

    def test(self) -> None:
        """Drop the block if a lane's fuel, or the slice, may be used up."""
        if self._block.safety.fuel:
            most = self._sum(self._together, self._most)
            good = self._text.new(f"icmp slt i64 {most}, {self._block.get(self.limit)}")
            self._block.require(good, ALL, lanes=False)

    def _sum(self, *cells: str) -> str:
        first, second = (self._block.get(cell) for cell in cells)
        return self._text.new(f"add i64 {first}, {second}")

    def total(self) -> str:
        """Return what all lanes spent, if all have a record."""
        each = self._text.new(f"mul i64 {self._block.get(self._together)}, {LANES}")
        return self._text.new(f"add i64 {each}, {self._block.get(self._apart)}")

    def of_last(self) -> str:
        """Return what the last lane spent."""
        return self._sum(self._together, self._last)

    def of_only(self) -> str:
        """Return what was spent, if only one lane has a record."""
        return self._sum(self._together, self._apart)
