"""`@packetfs.program`: marks a function as a program. Nothing is translated before it is asked for."""

from __future__ import annotations

from packetfs.typing import TYPE_CHECKING, Callable, Sequence, overload

if TYPE_CHECKING:
    from packetfs.toolchain.arguments import Argument
    from packetfs.toolchain.python.translate import Translation
    from packetfs.vm.program import Program


class PythonProgram:
    """A function that is a program. Calling it gives the program with arguments: `grep(pattern=b"ERROR")`.

    `function` is the plain function, for trying it on a Record; `records` says which records it is made for.
    """

    def __init__(self, function: Callable[..., object], records: str = "line") -> None:
        self.function = function
        self.records = records
        self.name = getattr(function, "__name__", "program")
        self.__doc__ = function.__doc__
        self._translation: Translation | None = None

    def __call__(self, **given: str | int | bytes) -> Program:
        """Return the program with these arguments, the others at their defaults.

        NotTranslatable names file and line of what is not supported; BadArgument, an argument that does not fit.
        """
        from packetfs.toolchain.arguments import bind

        made = self.translate()
        return bind(self.name, made.program, made.arguments, given)

    @property
    def arguments(self) -> Sequence[Argument]:
        """The arguments that it takes."""
        return self.translate().arguments

    def translate(self) -> Translation:
        """Return the program and its arguments; the work is done once."""
        if self._translation is None:
            from packetfs.toolchain.python.translate import translate

            self._translation = translate(self.function, self.records)
        return self._translation


@overload
def program(function: Callable[..., object], /) -> PythonProgram: ...
@overload
def program(*, records: str = "line") -> Decorator: ...
def program(function: Callable[..., object] | None = None, /, *, records: str = "line") -> PythonProgram | Decorator:
    """Make a function of one record a program; docs/programs.md says what it may use.

    records: what one call sees, where the user does not say it: line, lines, packet, fixed:N, pcap or extent.
    Keyword-only parameters (`def f(record, *, limit: int = 10)`) are arguments that are chosen when it is run.
    """
    if function is not None:
        return PythonProgram(function, records)
    return Decorator(records)


class Decorator:
    """`@program(records=...)`: waits for the function."""

    def __init__(self, records: str) -> None:
        self._records = records

    def __call__(self, function: Callable[..., object]) -> PythonProgram:
        return PythonProgram(function, self._records)
