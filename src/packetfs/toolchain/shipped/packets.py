"""The packets of the shipped programs, each in a file of its own. Who runs one needs nothing else of the catalogue."""

from __future__ import annotations

import os

from packetfs.typing import Final

COMPILED: Final = os.path.join(os.path.dirname(__file__), "compiled")


def is_shipped(name: str) -> bool:
    """Tell whether there is a shipped program of that name."""
    return name.isidentifier() and os.path.isfile(_place(name))


def packets_of(name: str) -> bytes:
    """Return the packets of a shipped program, with its arguments at their defaults."""
    with open(_place(name), "rb") as file:
        return file.read()


def _place(name: str) -> str:
    return os.path.join(COMPILED, f"{name}.packets")
