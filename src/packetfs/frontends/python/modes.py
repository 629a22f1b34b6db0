"""What the modes of open() say, to a type checker and to who opens a file."""

from __future__ import annotations

from typing import Literal

from packetfs.typing import TypeAlias

Reading: TypeAlias = Literal["rb", "br"]
Writing: TypeAlias = Literal["wb", "bw", "xb", "ab", "r+b", "rb+", "w+b", "wb+", "x+b", "xb+", "a+b", "ab+"]
Texting: TypeAlias = Literal["r", "rt", "w", "wt", "x", "xt", "a", "at", "r+", "w+", "x+", "a+"]


def kind_of(mode: str) -> str:
    """Return which of `r`, `w`, `x` and `a` a mode is, with its `+`; what builtins.open refuses is a ValueError."""
    letters = set(mode)
    kinds = letters & set("rwxa")
    if len(kinds) != 1 or len(letters) != len(mode) or letters - set("rwxabt+") or {"b", "t"} <= letters:
        raise ValueError(f"{mode!r} is not a mode of open()")
    return kinds.pop() + ("+" if "+" in letters else "")
