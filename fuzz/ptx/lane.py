"""One lane of a kernel: its functions, called from one another, over the memory of the launch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fuzz.ptx import access, steps
from fuzz.ptx.frame import Frame, taker
from fuzz.ptx.memory import BASES, Memory
from fuzz.ptx.steps import RETURN, Make, Step
from fuzz.ptx.syntax import Function, Group, Instruction, Module, Refused, Register, Symbol, Variable

STEPS_MAX: Final = 1 << 24
"""Instructions of one lane at most: what takes more has lost count of its fuel."""
DEPTH_MAX: Final = 24
"""Functions that may be active at once."""
Code = dict[str, list[Step]]
"""Steps of functions, by name; made when one first runs."""


@dataclass(slots=True)
class Lane:
    """special: what the hardware's registers hold. places: addresses of the module's variables. spent: instructions."""

    module: Module
    memory: Memory
    special: dict[str, int]
    places: dict[str, int]
    code: Code
    spent: int = 0
    depth: int = field(default=0)

    def run(self, function: Function, arguments: dict[str, bytearray]) -> dict[str, bytearray]:
        """Execute a function to its end; return its parameters, with what it put into results."""
        if self.depth == DEPTH_MAX:
            raise Refused(f"more than {DEPTH_MAX} functions at once")
        used, self.depth = self.memory.local_used, self.depth + 1
        frame = Frame(self, function, dict(self.special), dict(self.places), dict(arguments))
        for variable in function.variables:
            self._declare(frame, variable)
        for result in function.results:
            frame.parameters[result.name] = bytearray(result.size)
        self._execute(frame)
        self.memory.forget(used)
        self.depth -= 1
        return frame.parameters

    def _declare(self, frame: Frame, variable: Variable) -> None:
        if variable.space == "param":
            frame.parameters[variable.name] = bytearray(variable.size)
        elif variable.space == "local":
            frame.places[variable.name] = BASES["local"] + self.memory.local(variable.size, variable.align)
        else:
            raise Refused(f"a variable in {variable.space} within a function")

    def _execute(self, frame: Frame) -> None:
        body = self._steps(frame.function)
        pc, count = 0, 0
        try:
            while pc != RETURN:
                count += 1
                to = body[pc](frame)
                pc = pc + 1 if to is None else to
                if self.spent + count > STEPS_MAX:
                    raise Refused(f"more than {STEPS_MAX} instructions")
        except KeyError as error:
            raise Refused(f"{frame.function.body[pc]} reads {error}, which nothing wrote") from None
        except IndexError:
            raise Refused(f"{frame.function.name} has no end") from None
        self.spent += count

    def _steps(self, function: Function) -> list[Step]:
        if function.name not in self.code:
            self.code[function.name] = [step_of(function, i) for i in function.body]
        return self.code[function.name]


def step_of(function: Function, i: Instruction) -> Step:
    """Return what executes an instruction; Refused for one that is not known."""
    make = _MAKES.get(i.opcode[0])
    step = make(function, i) if make else steps.compute(function, i)
    if step is None:
        raise Refused(f"the instruction {i} is not known")
    if not i.guard:
        return step
    holds, wanted, guarded = taker(function, Register(i.guard), 1), i.wanted, step

    def when(frame: Frame) -> int | None:
        return guarded(frame) if holds(frame.values) == wanted else None

    return when


def _call(_: Function, i: Instruction) -> Step:
    """call (results), function, (arguments): all are parameters that the caller declared."""
    parts = [p.parts if isinstance(p, Group) else (p,) for p in i.operands]
    if not isinstance(i.operands[0], Group):
        parts.insert(0, ())
    results, (callee,), *behind = parts
    given = behind[0] if behind else ()
    if i.opcode[1:] not in ((), ("uni",)) or len(behind) > 1 or not isinstance(callee, Symbol):
        raise Refused(str(i))
    names = [operand.name for operand in given if isinstance(operand, Symbol)]
    into = [operand.name for operand in results if isinstance(operand, Symbol)]
    return lambda frame: _run_callee(frame, callee.name, names, into)


def _run_callee(frame: Frame, callee: str, given: list[str], into: list[str]) -> None:
    function = frame.lane.module.functions.get(callee)
    if function is None or function.entry or len(function.parameters) != len(given):
        raise Refused(f"{callee} is no function of {len(given)} parameters")
    if len(function.results) != len(into):
        raise Refused(f"{callee} does not return {len(into)} values")
    arguments = {p.name: bytearray(frame.parameters[name]) for p, name in zip(function.parameters, given, strict=True)}
    if any(len(arguments[p.name]) != p.size for p in function.parameters):
        raise Refused(f"{callee} takes parameters of other sizes")
    made = frame.lane.run(function, arguments)
    for result, name in zip(function.results, into, strict=True):
        frame.parameters[name][:] = made[result.name]


_MAKES: Final[dict[str, Make]] = {
    "mov": steps.move, "cvt": steps.convert_step, "cvta": steps.change_space,
    "bra": steps.branch, "brx": steps.branch_by_index, "ret": steps.leave, "exit": steps.leave, "trap": steps.trap,
    "fence": steps.nothing, "membar": steps.nothing, "call": _call,
    "ld": access.load, "st": access.store, "atom": access.atomic, "red": access.atomic,
}  # fmt: skip
