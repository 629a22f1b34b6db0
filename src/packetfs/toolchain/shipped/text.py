"""Shipped programs about lines: count, wc, grep, sample."""

from __future__ import annotations

from packetfs.toolchain.python.decorator import program
from packetfs.toolchain.python.language import DROP, PASS, Array, Record, Span, u64
from packetfs.toolchain.shipped.fields import Positive, emit_record, fnv1a, line_start, line_stop, without_end

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


@program(records="lines")
def wc(record: Record) -> None:
    """Count lines, words and bytes, as wc does: words are what stands between white space, whatever it is.

    Example: pfs run wc book.txt
    """
    lines[0] += record.count(b"\n")  # first, as wc writes it: maps are shown in the order in which a program names them
    words[0] += record.count_words()
    size[0] += len(record)


@program(records="lines:262144")  # with four times as many, a gigabyte took 5 ms more of 75 (by hand)
def grep(
    record: Record, *, pattern: bytes = b"", invert: bool = False, count: bool = False, newline: bool = True
) -> int:
    """Write the lines that contain a text, and count them.

    pattern: the text; every line contains the empty one
    invert: write the lines that do not contain it
    count: only count them
    newline: end the last line of a file with a newline where it has none; only where records are lines

    Example: pfs run grep --arg pattern=ERROR app.log
    """
    end = len(record)
    start = 0
    chosen = 0
    within = len(pattern) > 0 and pattern.find(b"\n") < 0 and pattern.find(b"\r") < 0  # where it is, a line contains it
    if within and count:
        chosen = record.count_parts(b"\n", pattern)
        if invert:
            chosen = record.count_parts(b"\n", b"") - chosen
        start = end
    while start < end:
        hit = record.find(pattern, start)
        low = end if hit < 0 else line_start(record, start, u64(hit))
        if invert and low > start:
            chosen += _write(record[start:low], count, newline)
        if hit < 0:
            break
        start = line_stop(record, u64(hit))
        line = record[low:start]
        if (within or without_end(line).find(pattern) >= 0) != invert:
            chosen += _write(line, count, newline)
    if chosen == 0:
        return DROP
    matches[0] += chosen
    return PASS


def _write(part: Span, count: bool, newline: bool) -> int:
    """Write lines, unless they are only counted, and return how many they are."""
    if not count:
        emit_record(part, newline)
    return part.count(b"\n") + (1 if part[-1] != ord("\n") else 0)


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
