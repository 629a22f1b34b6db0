"""Which values an argument takes: from a least to a most, or a choice; of bytes, how many there are.

A program says it where it declares the argument: `column: Annotated[int, between(1, 65_535)] = 1`. It is checked when
a value is given, so that a program never sees a value that it was not made for.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.limits import ARGUMENT_BYTES_MAX
from packetfs.typing import Final, TypeAlias

Content: TypeAlias = "int | bytes"
RANGES: Final = {"u64": (0, (1 << 64) - 1), "i64": (-(1 << 63), (1 << 63) - 1), "bool": (0, 1)}
"""Least and most of each kind of number."""
KINDS: Final = (*RANGES, "bytes")


@dataclass(frozen=True, slots=True)
class Allowed:
    """`choices`, if there are any; else numbers from `least` to `most`, or bytes of so many. None: as the kind says."""

    least: int | None = None
    most: int | None = None
    choices: tuple[Content, ...] = ()

    def bounds(self, kind: str) -> tuple[int, int]:
        """Return the least and the most number, or length of bytes."""
        least, most = RANGES.get(kind, (0, ARGUMENT_BYTES_MAX))
        return least if self.least is None else self.least, most if self.most is None else self.most

    def fits(self, kind: str, value: Content) -> bool:
        """Tell whether an argument of this kind takes a value."""
        if isinstance(value, bytes) is not (kind == "bytes") or (self.choices and value not in self.choices):
            return False
        least, most = self.bounds(kind)
        return least <= (len(value) if isinstance(value, bytes) else value) <= most

    def words(self, kind: str) -> str:
        """Return what an argument of this kind takes, in words; nothing where that is all that its kind holds."""
        if self.choices:
            *others, last = (show(kind, choice) for choice in self.choices)
            return f"{', '.join(others)} or {last}" if others else last
        if self.least is None and self.most is None:
            return ""
        least, most = self.bounds(kind)
        if kind != "bytes":
            return f"{least:,} or more" if self.most is None else f"{least:,} to {most:,}"
        if least == most:
            return f"{least} byte{'' if least == 1 else 's'}"
        return f"{least} to {most} bytes"

    def is_possible(self, kind: str) -> bool:
        """Tell whether a declaration makes sense: what it names are values of this kind."""
        least, most = self.bounds(kind)
        low, high = RANGES.get(kind, (0, ARGUMENT_BYTES_MAX))
        return low <= least <= most <= high and all(Allowed().fits(kind, choice) for choice in self.choices)


ANY: Final = Allowed()


def between(least: int, most: int | None = None) -> Allowed:
    """Allow numbers from `least` to `most`, both included; without `most`, as many as fit."""
    return Allowed(least, most)


def length(least: int, most: int | None = None) -> Allowed:
    """Allow bytes of `least` to `most`; without `most`, exactly so many."""
    return Allowed(least, least if most is None else most)


def one_of(*choices: Content) -> Allowed:
    """Allow these values and no other."""
    return Allowed(choices=choices)


_ESCAPES: Final = {b"\n": "\\n", b"\t": "\\t", b"\r": "\\r", b"\0": "\\0", b"\\": "\\\\"}


def show(kind: str, value: Content) -> str:
    """Return a value as it would be written on the command line."""
    if isinstance(value, int):
        return ("yes" if value else "no") if kind == "bool" else str(int(value))
    letters = (bytes([byte]) for byte in value)
    return "".join(
        _ESCAPES.get(each) or (each.decode() if 32 <= each[0] < 127 else f"\\x{each[0]:02x}") for each in letters
    )
