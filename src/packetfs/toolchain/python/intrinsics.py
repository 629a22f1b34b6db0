"""The helpers that look at bytes, as functions: in a program a call of one is a call of the helper, in plain Python it
is the helper's definition."""

from __future__ import annotations

from packetfs.typing import Callable, Final
from packetfs.vm import search
from packetfs.vm.layout import HELPERS


def find(data: bytes, word: bytes) -> int:
    """Return where a word is first, or -1."""
    return search.find(data, word)[0]


def find_byte(data: bytes, byte: int, nth: int) -> int:
    """Return where a byte is for the n-th time, the first is 1, or -1."""
    return search.find_byte(data, byte & 0xFF, nth)[0]


def find_last_byte(data: bytes, byte: int) -> int:
    """Return where a byte is last, or -1."""
    return search.find_last_byte(data, byte & 0xFF)[0]


def count_byte(data: bytes, byte: int) -> int:
    """Return how often a byte occurs."""
    return search.count_byte(data, byte & 0xFF)[0]


def count_words(data: bytes) -> int:
    """Return how many stretches there are that are not white space."""
    return search.count_words(data)[0]


def count_parts(data: bytes, byte: int, word: bytes) -> int:
    """Return how many parts, each ended by a byte or by the end of the data, contain a word."""
    return search.count_parts(data, byte & 0xFF, word)[0]


def decimal(text: bytes, places: int) -> int:
    """Return a decimal number in units of 10**-places, or -(2**63)."""
    return search.decimal(text, places)[0]


_NUMBERS: Final = {helper.name: helper.number for helper in HELPERS}
NUMBERS: Final[dict[Callable[..., int], int]] = {
    function: _NUMBERS[function.__name__]
    for function in (find, find_byte, find_last_byte, count_byte, count_words, count_parts, decimal)
}
"""The helper of each function."""
UNSIGNED: Final = frozenset((count_byte, count_words, count_parts))
"""Those whose result has no sign."""
