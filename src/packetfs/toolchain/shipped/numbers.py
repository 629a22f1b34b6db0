"""Shipped programs about fields: histogram, csv, topk, filter."""

from __future__ import annotations

from typing import Final

from packetfs.toolchain.python.decorator import program
from packetfs.toolchain.python.language import (
    DROP,
    NO_NUMBER,
    PASS,
    SIGNED_MAX,
    SIGNED_MIN,
    Array,
    Hash,
    Record,
    Span,
    i64,
    u64,
)
from packetfs.toolchain.shipped.fields import (
    Byte,
    Column,
    ColumnOrNone,
    Decimals,
    Offset,
    Positive,
    Width,
    WidthOrNone,
    column_of,
    emit_record,
    field_of,
    is_quoted,
    is_there,
    line_stop,
    means,
    number_at,
    without_end,
)

counts = Array(65_536)
large = Hash(8, 65_536)
keys = Hash(64, 16_384, name="counts")
rows = Array(1, name="count")
total = Array(1, signed=True, name="sum", decimals="decimals")
smallest = Hash(1, 1, SIGNED_MIN, name="min", decimals="decimals")
largest = Hash(1, 1, SIGNED_MAX, name="max", decimals="decimals")
skipped = Array(1)
dropped = Array(1)

SIGNED_LAST: Final = (1 << 63) - 1


@program(records="packet")
def histogram(
    record: Record,
    *,
    offset: Offset = 0,
    width: Width = 1,
    big: bool = False,
    stride: int = 0,
    column: ColumnOrNone = 0,
    delimiter: Byte = b",",
    bin: Positive = 1,  # noqa: A002  # the field's word for it
) -> None:
    """Count the values of a number at an offset of each record, or in a column of each line; those below 65,536 in
    counts, others in large.

    offset: where the number begins, in bytes
    width: its bytes
    big: its first byte is the highest, as in network headers
    stride: a record has a number in every so many bytes, each at the offset in its own; 0 = one number
    column: take whole numbers of this column instead; the first is 1; 0 = the number at the offset
    delimiter: the byte between columns; it does not count inside double quotes
    bin: width of a class of values, named by its lowest one

    Example: pfs run histogram --records fixed:65536 --arg stride=64 --arg offset=2 --arg width=2 packets.bin
    """
    if column:
        found = column_of(without_end(record), delimiter[0], column).decimal(0)
        if found < 0:
            skipped[0] += 1
        else:
            _count(u64(found), bin)
    elif stride > 0:
        _count_all(record[offset:], stride, width, big, bin)
    elif is_there(record, offset, width):
        _count(number_at(record, offset, width, big), bin)
    else:
        skipped[0] += 1


def _count(value: int, bin: int) -> None:  # noqa: A002
    lowest = value // bin * bin if bin > 1 else value
    if lowest < len(counts):
        counts[lowest] += 1
    elif not large.add(lowest):
        dropped[0] += 1


def _count_all(data: Span, stride: int, width: int, big: bool, bin: int) -> None:  # noqa: A002
    """Count a number in every `stride` bytes; two bytes have no value that an array of all of them lacks."""
    if width <= 2 and bin == 1:
        counts.tally(data, stride, -i64(width) if big else i64(width))
        return
    at = 0
    while at + width <= len(data):
        _count(number_at(data, at, width, big), bin)
        at += stride


@program(records="lines")
def csv(
    record: Record, *, column: Column = 1, delimiter: Byte = b",", decimals: Decimals = 0, header: bool = True
) -> None:
    """Count, sum, smallest and largest number of a column, in units of 10**-decimals.

    column: the first is 1
    delimiter: the byte between columns; it does not count inside double quotes
    decimals: digits behind the point that count; more are rounded
    header: the first line of each file is no data

    Example: pfs run csv --arg column=4 --arg decimals=2 sales.csv
    """
    end = len(record)
    start = 0
    if header and record.offset == 0 and end > 0:
        start = line_stop(record, 0)
    found = 0
    added: i64 = 0
    low: i64 = SIGNED_LAST
    high: i64 = -SIGNED_LAST
    while start < end:
        stop = line_stop(record, start)
        value = column_of(without_end(record[start:stop]), delimiter[0], column).decimal(decimals)
        start = stop
        if value == NO_NUMBER:
            skipped[0] += 1
            continue
        found += 1
        added += value
        low = min(low, value)
        high = max(high, value)
    if found > 0:
        rows[0] += found
        total[0] += added
        smallest[0] = min(smallest.get(0, low), low)
        largest[0] = max(largest.get(0, high), high)


@program
def topk(record: Record, *, column: ColumnOrNone = 0, delimiter: Byte = b",") -> None:
    """Count how often each key occurs: a column's text, or the whole line. The first 64 bytes of a key count.

    column: the first is 1; 0 is the whole line
    delimiter: the byte between columns; it does not count inside double quotes

    Example: pfs run topk --arg column=1 --arg "delimiter= " access.log
    """
    written = field_of(without_end(record), delimiter[0], column)
    added = _add_unquoted(written[1:-1]) if column > 0 and is_quoted(written) else keys.add(written)
    if not added:
        dropped[0] += 1


def _add_unquoted(inside: Span) -> bool:
    """Count the key that a field in quotes stands for: two quotes inside are one."""
    key = bytearray(64)
    size = len(inside)
    at = 0
    used = 0
    while at < size and used < 64:
        key[used] = inside[at]
        at += 2 if inside[at] == ord('"') else 1
        used += 1
    return keys.add(key[:used])


@program
def filter(  # noqa: A001  # what it is called everywhere
    record: Record,
    *,
    column: ColumnOrNone = 0,
    delimiter: Byte = b",",
    equals: bytes = b"",
    minimum: i64 = -(1 << 63) + 1,
    maximum: i64 = (1 << 63) - 1,
    decimals: Decimals = 0,
    offset: Offset = 0,
    width: WidthOrNone = 0,
    big: bool = False,
    invert: bool = False,
    newline: bool = True,
) -> int:
    """Write the records whose field has a value: a column's text or number, or a number at an offset.

    column: the first is 1; 0 is the whole line
    delimiter: the byte between columns; it does not count inside double quotes
    equals: the field is this text; where it is empty, the field is a number
    minimum: the smallest number that is written, in units of 10**-decimals
    maximum: the largest one
    decimals: digits behind the point that count in a column
    offset: where the number begins in the record, where width is given
    width: bytes of a number at the offset; 0 = a column
    big: its first byte is the highest
    invert: write the others
    newline: end the last line of a file with a newline where it has none; only where records are lines

    Example: pfs run filter --arg column=2 --arg equals=error app.csv
    """
    chosen = False
    if width:
        if is_there(record, offset, width):
            number = number_at(record, offset, width, big)
            chosen = number < 1 << 63 and i64(number) >= minimum and i64(number) <= maximum
    else:
        written = field_of(without_end(record), delimiter[0], column)
        quoted = column > 0 and is_quoted(written)
        if len(equals) > 0:
            chosen = means(written, equals) if quoted else written == equals
        else:
            value = (written[1:-1] if quoted else written).decimal(decimals)
            chosen = value != NO_NUMBER and value >= minimum and value <= maximum
    if chosen == invert:
        return DROP
    emit_record(record, newline)
    return PASS
