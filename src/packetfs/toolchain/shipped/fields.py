"""Parts of records that several shipped programs read: lines without their end, columns, decimal numbers."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from packetfs.toolchain.python.language import Span, between, emit, i64, length, one_of

Offset: TypeAlias = Annotated[int, between(0, (1 << 32) - 1)]
Column: TypeAlias = Annotated[int, between(1, 65_535)]
ColumnOrNone: TypeAlias = Annotated[int, between(0, 65_535)]
Byte: TypeAlias = Annotated[bytes, length(1)]
Width: TypeAlias = Annotated[int, one_of(1, 2, 4, 8)]
WidthOrNone: TypeAlias = Annotated[int, one_of(0, 1, 2, 4, 8)]
Decimals: TypeAlias = Annotated[int, between(0, 18)]
Positive: TypeAlias = Annotated[int, between(1)]

NO_NUMBER: Final = -(1 << 63)
"""What `fixed` returns for what is no number, or too large for one."""
TOO_LARGE: Final = 9 * 10**18
"""From here on numbers are refused: a sum with one more digit could leave 64 bits."""


def without_end(record: Span) -> Span:
    """Return a line without the newline that ends it, and without a carriage return before that."""
    size = len(record)
    if size > 0 and record[size - 1] == ord("\n"):
        size -= 1
        if size > 0 and record[size - 1] == ord("\r"):
            size -= 1
    return record[:size]


def emit_record(record: Span, newline: bool) -> None:
    """Write a record; where `newline`, with a newline if it has none: the last line of a file, as grep does."""
    if newline and (len(record) == 0 or record[-1] != ord("\n")):
        emit(record, b"\n")
    else:
        emit(record)


def field_of(line: Span, delimiter: int, number: int) -> Span:
    """Return column `number` (the first is 1; 0 is the whole line) as it is written; empty where there is none.

    As RFC 4180 has it: a field that begins with a double quote ends at the first delimiter behind its closing one, and
    two quotes inside stand for one. A line ends every field, as records are lines.
    """
    if number == 0:
        return line
    size = len(line)
    left = number
    start = 0
    at = 0
    quoted = False
    while at < size:
        byte = line[at]
        if byte == ord('"') and (at == start or line[start] == ord('"')):
            quoted = not quoted
        elif byte == delimiter and not quoted:
            if left == 1:
                break
            left -= 1
            start = at + 1
        at += 1
    if left > 1:
        return line[size:]
    return line[start:at]


def is_quoted(field: Span) -> bool:
    """Tell whether a field stands in double quotes."""
    return len(field) >= 2 and field[0] == ord('"') and field[-1] == ord('"')


def column_of(line: Span, delimiter: int, number: int) -> Span:
    """Return column `number` without the quotes around it; two quotes inside stay two."""
    found = field_of(line, delimiter, number)
    if number > 0 and is_quoted(found):
        return found[1:-1]
    return found


def means(written: Span, text: bytes) -> bool:
    """Tell whether a field in quotes stands for a text."""
    inside = written[1:-1]
    size = len(inside)
    at = 0
    for byte in text:
        if at >= size or inside[at] != byte:
            return False
        at += 2 if byte == ord('"') else 1
    return at == size


def trimmed(text: Span) -> Span:
    """Return a text without spaces and tabs around it."""
    start = 0
    stop = len(text)
    while start < stop and text[start] in b" \t":
        start += 1
    while start < stop and text[stop - 1] in b" \t":
        stop -= 1
    return text[start:stop]


def fixed(text: Span, decimals: int) -> i64:
    """Return a decimal number in units of 10**-decimals, halves rounded away from zero; NO_NUMBER where it is none."""
    digits = trimmed(text)
    negative = digits.startswith(b"-")
    if negative or digits.startswith(b"+"):
        digits = digits[1:]
    point = digits.find(ord("."))
    whole = digits if point < 0 else digits[:point]
    fraction = digits[len(digits) :] if point < 0 else digits[point + 1 :]
    if len(whole) + len(fraction) == 0 or not _all_digits(whole) or not _all_digits(fraction):
        return i64(NO_NUMBER)
    total = _scaled(_scaled(0, whole, len(whole)), fraction, decimals)
    if total >= TOO_LARGE:
        return i64(NO_NUMBER)
    if len(fraction) > decimals and fraction[decimals] >= ord("5"):
        total += 1
    return -i64(total) if negative else i64(total)


def _all_digits(text: Span) -> bool:
    for byte in text:  # noqa: SIM110  # programs have no comprehensions
        if byte < ord("0") or byte > ord("9"):
            return False
    return True


def _scaled(start: int, digits: Span, places: int) -> int:
    """Put `places` digits behind a number, zeros where there are fewer; TOO_LARGE stays what it is."""
    total = start
    for at in range(places):
        if total >= TOO_LARGE // 10:
            return TOO_LARGE
        total *= 10
        if at < len(digits):
            total += digits[at] - ord("0")
    return total


def fnv1a(data: Span) -> int:
    """Return the 64-bit FNV-1a hash of bytes."""
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3
    return h


def number_at(record: Span, offset: int, width: int, big: bool) -> int:
    """Return the number of 1, 2, 4 or 8 bytes at `offset`; the caller has made sure that it is there."""
    if width == 1:
        return record[offset]
    if width == 2:
        return record.u16be(offset) if big else record.u16(offset)
    if width == 4:
        return record.u32be(offset) if big else record.u32(offset)
    return record.u64be(offset) if big else record.u64(offset)


def is_there(record: Span, offset: int, width: int) -> bool:
    """Tell whether a number of 1, 2, 4 or 8 bytes lies at `offset`."""
    known = width in (1, 2, 4, 8)
    return known and width <= len(record) and offset <= len(record) - width
