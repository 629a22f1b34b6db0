"""Operations on bytes that are written in the language itself: a program that uses one has its code inlined."""

from __future__ import annotations

from packetfs.toolchain.python import intrinsics
from packetfs.toolchain.python.language import Span, i64


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


def contains(text: Span, word: Span) -> bool:
    """Tell whether a word occurs."""
    return intrinsics.find(text, word) >= 0


def has_byte(text: Span, byte: int) -> bool:
    """Tell whether a byte occurs."""
    return byte < 256 and intrinsics.find_byte(text, byte, 1) >= 0


def find(text: Span, word: Span, start: int) -> i64:
    """Return where a word occurs from `start` on, or -1, as bytes.find does."""
    if start > len(text):
        return i64(-1)
    at = intrinsics.find(text[start:], word)
    return at if at < 0 else at + i64(start)


def find_byte(text: Span, byte: int, start: int) -> i64:
    """Return where a byte occurs from `start` on, or -1."""
    at = intrinsics.find_byte(text[start:], byte, 1)
    return at if at < 0 else at + i64(start)
