"""A launch: a kernel, a grid of one dimension, its arguments; lane after lane."""

from __future__ import annotations

from fuzz.ptx.lane import Code, Lane
from fuzz.ptx.memory import Memory
from fuzz.ptx.syntax import Function, Module, Refused


class Launch:
    """A module on its device, with memory that stays between launches."""

    def __init__(self, module: Module) -> None:
        self.module, self.memory, self.code = module, Memory(), Code()
        self.places = {
            variable.name: self.memory.place(
                bytearray(variable.content.ljust(variable.size, b"\0")), constant=variable.space == "const"
            )
            for variable in module.variables
        }

    def run(self, kernel: str, arguments: tuple[int, ...], *, blocks: int, threads: int) -> int:
        """Run a kernel; return the instructions that all lanes executed. Refused for what the oracle does not know."""
        function = self.module.kernel(kernel)
        return sum(
            self._lane(function, arguments, (block, blocks, thread, threads))
            for block in range(blocks)
            for thread in range(threads)
        )

    def _lane(self, function: Function, arguments: tuple[int, ...], where: tuple[int, int, int, int]) -> int:
        block, blocks, thread, threads = where
        special = {"%ctaid.x": block, "%nctaid.x": blocks, "%tid.x": thread, "%ntid.x": threads}
        lane = Lane(self.module, self.memory, special, self.places, self.code)
        if len(arguments) != len(function.parameters):
            raise Refused(f"{function.name} takes {len(function.parameters)} arguments")
        given = zip(function.parameters, arguments, strict=True)
        lane.run(function, {p.name: bytearray(value.to_bytes(p.size, "little")) for p, value in given})
        return lane.spent
