"""Searching and counting in bytes: the definition of helpers 4097 to 4102 and 4104, whose C is native/search.c.

Each function returns its answer and how many bytes decided it: who asks pays for those.
"""

from __future__ import annotations

from packetfs.typing import Final, TypeAlias

NOWHERE: Final = -1
NO_NUMBER: Final = -(1 << 63)
"""What `decimal` returns for what is no number, or too large for one."""
DECIMAL_END: Final = 9 * 10**18
"""From here on numbers are refused: a sum with one more digit could leave 64 bits."""
DECIMALS_MAX: Final = 18
DIGIT: Final = 8
"""Bytes that a digit counts as: it takes so much longer to look at."""

Answer: TypeAlias = tuple[int, int]
"""What is returned, and how many bytes decided it."""


def find(data: bytes, word: bytes) -> Answer:
    """Find the first occurrence of a word; the empty one is at 0."""
    return _found(data, data.find(word), len(word))


def find_byte(data: bytes, byte: int, nth: int) -> Answer:
    """Find the n-th occurrence of a byte, the first is 1; there is no 0th one."""
    at = -1
    for _ in range(min(nth, len(data) + 1)):
        at = data.find(byte, at + 1)
        if at < 0:
            break
    return _found(data, at, 1)


def find_last_byte(data: bytes, byte: int) -> Answer:
    """Find the last occurrence of a byte."""
    at = data.rfind(byte)
    return at, len(data) - max(at, 0)


def count_byte(data: bytes, byte: int) -> Answer:
    """Count a byte."""
    return data.count(byte), len(data)


def count_words(data: bytes) -> Answer:
    """Count stretches of bytes that are not white space; what is before the data counts as white space."""
    return len(data.split()), len(data)


def count_parts(data: bytes, byte: int, word: bytes) -> Answer:
    """Count the parts, each ended by a byte or by the end of the data, that contain a word.

    The byte that ends a part is not of it, so a word that holds that byte is in none; the empty word is in every part.
    Behind the last such byte there is no part where there is nothing.
    """
    parts = data.split(bytes((byte,)))
    if not parts[-1]:
        parts.pop()
    return sum(word in part for part in parts), len(data)


def decimal(text: bytes, decimals: int) -> Answer:
    """Return a decimal number in units of 10**-decimals, halves rounded away from zero; NO_NUMBER where it is none.

    Spaces and tabs around it do not count. A sign and a point may be there, with at least one digit at either side.
    """
    digits = text.strip(b" \t")
    negative = digits[:1] == b"-"
    whole, _, fraction = (digits[1:] if digits[:1] in (b"-", b"+") else digits).partition(b".")
    asked = DIGIT * len(text)
    if decimals > DECIMALS_MAX or not (whole + fraction).isdigit():
        return NO_NUMBER, asked
    scaled = (whole + fraction[:decimals].ljust(decimals, b"0")).lstrip(b"0")
    total = int(scaled[: DECIMALS_MAX + 2] or b"0")
    if total >= DECIMAL_END:
        return NO_NUMBER, asked
    total += fraction[decimals : decimals + 1] >= b"5"
    return -total if negative else total, asked


def _found(data: bytes, at: int, length: int) -> Answer:
    return (NOWHERE, len(data)) if at < 0 else (at, at + length)
