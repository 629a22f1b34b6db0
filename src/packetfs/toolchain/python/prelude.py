"""Operations on bytes that are written in the language itself: a program that uses one has its code inlined."""

from __future__ import annotations

from packetfs.toolchain.python.language import Span, i64, u8

ONES = 0x0101010101010101
HIGHS = 0x8080808080808080


def equal(left: Span, right: Span) -> bool:
    """Tell whether two spans hold the same bytes, by words as long as there are 8."""
    size = len(left)
    if size != len(right):
        return False
    at = 0
    while at + 8 <= size:
        if left.u64(at) != right.u64(at):
            return False
        at += 8
    while at < size:
        if left[at] != right[at]:
            return False
        at += 1
    return True


def starts(text: Span, word: Span) -> bool:
    """Tell whether a span begins with another."""
    return len(word) <= len(text) and equal(text[: len(word)], word)


def ends(text: Span, word: Span) -> bool:
    """Tell whether a span ends with another."""
    return len(word) <= len(text) and equal(text[len(text) - len(word) :], word)


def has_byte(text: Span, byte: int) -> bool:
    """Tell whether a byte occurs."""
    return byte < 256 and next_byte(text, byte, 0) < len(text)


def next_byte(text: Span, byte: int, start: int) -> int:
    """Return where a byte occurs from `start` on, or the length: 8 bytes at a time, zero bytes found by borrows."""
    size = len(text)
    at = start
    pattern = byte * ONES
    while at + 8 <= size:
        word = text.u64(at) ^ pattern
        if (word - ONES) & ~word & HIGHS:
            break
        at += 8
    while at < size and text[at] != byte:
        at += 1
    return at


def position(text: Span, word: Span, start: int) -> int:
    """Return where a word occurs from `start` on, or the length of the text plus one."""
    size = len(text)
    length = len(word)
    if length == 0:
        return min(start, size + 1)
    if length > size:
        return size + 1
    last = size - length
    inside = text[: last + 1]
    at = start
    while at <= last:
        at = next_byte(inside, word[0], at)
        if at > last:
            break
        if equal(text[at : at + length], word):
            return at
        at += 1
    return size + 1


def contains(text: Span, word: Span) -> bool:
    """Tell whether a word occurs."""
    return position(text, word, 0) <= len(text)


def find(text: Span, word: Span, start: int) -> i64:
    """Return where a word occurs from `start` on, or -1, as bytes.find does."""
    at = position(text, word, start)
    if at > len(text):
        return i64(-1)
    return i64(at)


def find_byte(text: Span, byte: int, start: int) -> i64:
    """Return where a byte occurs from `start` on, or -1."""
    at = next_byte(text, u8(byte), start)
    if at >= len(text):
        return i64(-1)
    return i64(at)


def count_byte(text: Span, byte: int) -> int:
    """Return how often a byte occurs."""
    total = 0
    at = next_byte(text, byte, 0)
    while at < len(text):
        total += 1
        at = next_byte(text, byte, at + 1)
    return total
