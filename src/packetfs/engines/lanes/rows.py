"""Records into rows: whole lines of 64 bytes are transposed in registers, what is left over is gathered."""

from __future__ import annotations

from packetfs.engines.compiled.recipe import processor
from packetfs.engines.lanes.cells import ALL, MASK, WORDS
from packetfs.engines.lanes.shape import LANES
from packetfs.engines.lowering.text import Text
from packetfs.typing import Final, Sequence

_LINE: Final = "<8 x i64>"
_POINTERS: Final = f"<{LANES} x ptr>"
_LINE_BYTES: Final = 64
_AHEAD: Final = 4096
"""Bytes ahead of a block at which lines are asked for: from memory that saves a tenth to a third of the time, in cache
nothing is lost; 2 to 8 KiB are alike (measured on an EPYC without AVX-512)."""
_ASKS_ITSELF: Final = "avx512bw"
"""A processor with these vectors: on the one that was measured (Zen 4) asking took up to a third more, at any distance,
in pages of 4 KiB and of 2 MiB, and gained nothing."""
_STAGES: Final = (
    (1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)
"""Which lines are mixed, by their distance, and what the first and the second become of both."""


def fetch_ahead(text: Text, host: str, size: int) -> None:
    """Ask for the lines of records that come later, where that is of use. Behind the last record it asks for what
    nobody reads; that cannot fault."""
    if _ASKS_ITSELF in processor().split():
        return
    text.declared.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    for at in range(_AHEAD, _AHEAD + LANES * size, _LINE_BYTES):
        line = text.new(f"getelementptr i8, ptr {host}, i64 {at}")
        text.do(f"call void @llvm.prefetch.p0(ptr {line}, i32 0, i32 3, i32 1)")


def take_records(text: Text, rows: str, host: str, size: int) -> None:
    """Fill the rows of records that lie behind each other at `host`."""
    lines, left = divmod(size, 64)
    for line in range(lines):
        halves = [
            transpose(text, [_line(text, host, (first + i) * size + 64 * line) for i in range(8)])
            for first in range(0, LANES, 8)
        ]
        for row in range(8):
            whole = _joined(text, [half[row] for half in halves])
            _put(text, rows, 8 * line + row, whole)
    for at in range(64 * lines, 64 * lines + left, 8):
        _put(text, rows, at // 8, _gather(text, host, size, at))


def _line(text: Text, host: str, at: int) -> str:
    return text.new(f"load {_LINE}, ptr {text.new(f'getelementptr i8, ptr {host}, i64 {at}')}, align 1")


def transpose(text: Text, lines: Sequence[str]) -> list[str]:
    """Return the columns of eight lines of eight words."""
    made = list(lines)
    for distance, first, second in _STAGES:
        for one in (i for i in range(8) if not i & distance):
            pair = made[one], made[one + distance]
            made[one], made[one + distance] = (_shuffle(text, pair, order) for order in (first, second))
    return made


def _shuffle(text: Text, pair: tuple[str, str], order: Sequence[int]) -> str:
    places = ", ".join(f"i32 {index}" for index in order)
    return text.new(f"shufflevector {_LINE} {pair[0]}, {_LINE} {pair[1]}, <{len(order)} x i32> <{places}>")


def _joined(text: Text, halves: Sequence[str]) -> str:
    return _shuffle(text, (halves[0], halves[1]), range(LANES))


def _put(text: Text, rows: str, row: int, words: str) -> None:
    at = text.new(f"getelementptr i8, ptr {rows}, i64 {row * 8 * LANES}")
    text.do(f"store {WORDS} {words}, ptr {at}, align 8")


def _gather(text: Text, host: str, size: int, at: int) -> str:
    """Return eight bytes of each record; those behind a record's end are zero."""
    short = min(size - at, 8)
    if short < 8 and size < 8:
        return _gather_bytes(text, host, size)
    begin = at if short == 8 else size - 8
    places = ", ".join(f"i64 {lane * size + begin}" for lane in range(LANES))
    pointers = text.new(f"getelementptr i8, ptr {host}, {WORDS} <{places}>")
    name = f"@llvm.masked.gather.v{LANES}i64.v{LANES}p0"
    words = text.call(
        f"declare {WORDS} {name}({_POINTERS}, i32, {MASK}, {WORDS})",
        f"call {WORDS} {name}({_POINTERS} {pointers}, i32 1, {MASK} {ALL}, {WORDS} zeroinitializer)",
    )
    return text.new(f"lshr {WORDS} {words}, splat (i64 {8 * (8 - short)})") if short < 8 else words


def _gather_bytes(text: Text, host: str, size: int) -> str:
    words = "zeroinitializer"
    for lane in range(LANES):
        at = text.new(f"getelementptr i8, ptr {host}, i64 {lane * size}")
        number = text.new(f"load i{8 * size}, ptr {at}, align 1")
        number = text.new(f"zext i{8 * size} {number} to i64")
        words = text.new(f"insertelement {WORDS} {words}, i64 {number}, i64 {lane}")
    return words
