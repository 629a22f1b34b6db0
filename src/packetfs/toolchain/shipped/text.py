"""Shipped programs about lines: count, wc, grep, sample."""

from __future__ import annotations

from packetfs.toolchain.python.decorator import program
from packetfs.toolchain.python.language import DROP, PASS, Array, Record
from packetfs.toolchain.shipped.fields import Positive, emit_record, fnv1a, without_end

records = Array(1)
size = Array(1, name="bytes")
lines = Array(1)
words = Array(1)
matches = Array(1)


@program
def count(record: Record) -> None:
    """Count records and their bytes.

    Example: pfs run count --records packet pfs:/data.bin
    """
    records[0] += 1
    size[0] += len(record)


@program
def wc(record: Record) -> None:
    """Count lines, words and bytes, as wc does: words are what stands between white space, whatever it is.

    Example: pfs run wc book.txt
    """
    if len(record) > 0 and record[-1] == ord("\n"):
        lines[0] += 1  # first, as wc writes it: maps are shown in the order in which a program names them
    inside = False
    found = 0
    for byte in record:
        if byte in b" \t\n\v\f\r":
            inside = False
        elif not inside:
            inside = True
            found += 1
    words[0] += found
    size[0] += len(record)


@program
def grep(record: Record, *, pattern: bytes = b"", invert: bool = False, newline: bool = True) -> int:
    """Write the lines that contain a text, and count them.

    pattern: the text; every line contains the empty one
    invert: write the lines that do not contain it
    newline: end the last line of a file with a newline where it has none; only where records are lines

    Example: pfs run grep --arg pattern=ERROR app.log
    """
    if (without_end(record).find(pattern) >= 0) == invert:
        return DROP
    matches[0] += 1
    emit_record(record, newline)
    return PASS


@program
def sample(record: Record, *, every: Positive = 100, by_index: bool = False, newline: bool = True) -> int:
    """Write one record of many: chosen by the hash of its content, so that equal records are chosen alike.

    every: one record of so many on average
    by_index: choose each so-manieth record of a file instead, the first one included
    newline: end the last line of a file with a newline where it has none; only where records are lines

    Example: pfs run sample --arg every=1000 app.log
    """
    where = record.number if by_index else fnv1a(record)
    if where % every:
        return DROP
    emit_record(record, newline)
    return PASS
