"""Parts of records that several shipped programs read: lines without their end, columns, decimal numbers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from packetfs.toolchain.python.language import Span, between, emit, length, one_of, u64

Offset: TypeAlias = Annotated[int, between(0, (1 << 32) - 1)]
Column: TypeAlias = Annotated[int, between(1, 65_535)]
ColumnOrNone: TypeAlias = Annotated[int, between(0, 65_535)]
Byte: TypeAlias = Annotated[bytes, length(1)]
Width: TypeAlias = Annotated[int, one_of(1, 2, 4, 8)]
WidthOrNone: TypeAlias = Annotated[int, one_of(0, 1, 2, 4, 8)]
Decimals: TypeAlias = Annotated[int, between(0, 18)]
Positive: TypeAlias = Annotated[int, between(1)]


def line_start(record: Span, start: int, at: int) -> int:
    """Return where the line begins that byte `at` is in; one begins at `start`."""
    return start + u64(record[start:at].rfind(b"\n") + 1)


def line_stop(record: Span, at: int) -> int:
    """Return where the line ends that byte `at` is in, behind its newline."""
    found = record.find(b"\n", at)
    return len(record) if found < 0 else u64(found) + 1


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
    if line.find(b'"') < 0:
        return _plain_field(line, delimiter, number)
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


def _plain_field(line: Span, delimiter: int, number: int) -> Span:
    """Return column `number` of a line without quotes."""
    start = 0
    if number > 1:
        before = line.find_nth(delimiter, number - 1)
        if before < 0:
            return line[len(line) :]
        start = u64(before) + 1
    stop = line.find(delimiter, start)
    return line[start:] if stop < 0 else line[start:stop]


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
