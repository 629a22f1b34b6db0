"""Functions of the language, one for each construct, that the tests run both as programs and as Python."""

from __future__ import annotations

from typing import Any

from packetfs import DROP, PASS, SIGNED_MAX, Array, Hash, emit, i8, i16, i32, i64, u8, u16, u32, u64

WEIGHT = 7
NAME = b"name"
counts = Array(256)
totals = Array(4, signed=True)
keys = Hash(4, 8)
words = Hash(16, 6)
best = Hash(8, 3, SIGNED_MAX)


def wraps(record: Any) -> None:
    """Arithmetic of u64."""
    a = 0
    for byte in record:
        a = a * 31 + byte - WEIGHT
        emit(a + 1, b" ", a - 300, b" ", a * a, b" ", a & 0xFF, b" ", a | 1, b" ", a ^ 0x5555, b"\n")
    emit(a // 7, b" ", a % 7, b" ", -a, b" ", ~a, b"\n")


def shifts(record: Any) -> None:
    """Shifts by any count."""
    for byte in record:
        x = (byte * 0x0101010101010101) ^ 0x1234567890
        emit(x << (byte & 127), b" ", x >> (byte & 127), b" ", x << 3, b" ", x >> 60, b" ", 1 << (byte & 70), b"\n")
        y = i64(x) - 5
        emit(y >> (byte & 127), b" ", y << 2, b" ", y >> 63, b"\n")


def signed_division(record: Any) -> None:
    """Rounding of i64 towards minus infinity."""
    last: i64 = 100
    for byte in record:
        x = i64(byte) - 128
        if x != 0:
            emit(
                last // x, b" ", last % x, b" ", (last - 256) // x, b" ", (-last) % x, b" ", x // 7, b" ", x % -7, b"\n"
            )
        last = x * 1000


def divides(record: Any) -> None:
    """Division by what may be zero."""
    for at in range(len(record) - 1 if len(record) > 0 else 0):
        emit(record[at] // record[at + 1], b" ", record[at] % (record[at + 1] & 15), b"\n")


def compares(record: Any) -> None:
    """Comparisons of both signs, chains, and what is equal."""
    for byte in record:
        x = byte * 0x0123456789ABCDEF
        y = i64(x)
        emit(int(x < 1 << 63), int(x >= byte), int(x == byte), int(x != 5), b" ")
        emit(int(y < 0), int(y <= -5), int(y > i64(byte)), int(10 < byte <= 100 < 200), int(byte in (1, 2, 65)), b"\n")


def converts(record: Any) -> None:
    """Every width."""
    for byte in record:
        x = byte * 0x9E3779B97F4A7C15
        emit(
            u8(x),
            b" ",
            u16(x),
            b" ",
            u32(x),
            b" ",
            u64(x),
            b" ",
            i8(x),
            b" ",
            i16(x),
            b" ",
            i32(x),
            b" ",
            i64(x),
            b"\n",
        )


def logic(record: Any) -> int:
    """and, or, not look no further than needed; if, elif, else."""
    if (len(record) > 3 and record[3] == 65) or (len(record) > 1 and not record[1]):
        emit(b"first")
    elif not (len(record) > 0 and record[0] > 100):
        emit(b"second")
    else:
        emit(b"third")
    ok = len(record) > 2 or len(record) == 1
    same = ok == (len(record) != 2)
    emit(int(ok), int(same), int(bool(len(record))), 5 if ok else 6)
    return PASS if ok else DROP


def loops(record: Any) -> None:
    """while, break, continue, nested, and variables behind them."""
    at = 0
    found = 0
    while at < len(record):
        byte = record[at]
        at += 1
        if byte == 0:
            continue
        inner = 0
        while True:
            inner += 3
            if inner > byte:
                break
        found += inner
        if found > 1000:
            break
    while True:
        last = found
        if last % 2 == 0:
            break
        found += 1
    emit(at, b" ", found, b" ", last)


def ranges(record: Any) -> None:
    """range of every form; the counter is the loop's own."""
    size = len(record)
    for i in range(size):
        emit(i)
        i += 5
    for i in range(2, size, 3):
        emit(i, b",")
    for j in range(i64(size) - 1, -1, -1):
        emit(j, b";")
    for j in range(i64(size), -5, -4):
        emit(j, b":")
    for _ in range(1 << 63, (1 << 64) - 1, 1 << 62):
        emit(b"!")
    for i in range(0, size, (1 << 64) - 1):
        emit(i)


def numbers(record: Any) -> None:
    """Numbers in the record, from the front and from the end."""
    emit(record[0], b" ", record.u16(0), b" ", record.u32(1), b" ", record.u64(0), b" ")
    emit(record.u16be(2), b" ", record.u32be(1), b" ", record.u64be(0), b" ", record[-1], b" ", record.u32(-4), b" ")
    emit(record[len(record) - 3], b" ", record[i64(record[0]) - 128], b" ", record[record[1]])


def slices(record: Any) -> None:
    """Bounds of slices inside, outside, and from the end."""
    emit(
        record[:3], b"|", record[3:], b"|", record[2:5], b"|", record[:-1], b"|", record[-4:], b"|", record[-3:-1], b"|"
    )
    emit(record[5:2], b"|", record[:][1:][1:3], b"|")
    if len(record) > 1:
        low = record[0] & 15
        high = i64(record[1]) - 128
        emit(record[low:], b"|", record[high:], b"|", record[:high], b"|", record[low:high], b"|", record[high:low])
        part = record[low:]
        emit(len(part), part[0])


def texts(record: Any) -> None:
    """What bytes can be asked."""
    emit(int(b"ab" in record), int(65 in record), int(record == b"abab"), int(record[:2] != b"ab"), b" ")
    emit(int(record.startswith(b"ab")), int(record.endswith(b"b")), int(record in b"abc"), b" ")
    emit(record.find(b"ba"), b" ", record.find(b"a"), b" ", record.find(b""), b" ", record.find(b"bab", 2), b" ")
    emit(record.count(b"a"), b" ", record.find(record[:3], 1), b" ", NAME[1], len(NAME), b" ")
    emit(record.find_nth(b"a", 2), b" ", record.find_nth(98, len(record)), b" ", record.rfind(b"b"), b" ")
    emit(record.count_parts(b"b", b"a"), b" ", record.count_parts(97, record[:2]), b" ")
    emit(record.count_parts(b"a", b""), b" ", record[1:].count_parts(b"\0", NAME), b" ")
    emit(record.count_words(), b" ", record.decimal(2), b" ", record[1:].decimal(0), b" ", record[:6].decimal(1))
    if record and record[0] in b"abc":
        emit(b"letter")


def buffers(record: Any) -> None:
    """Room of the program's own, written and read; and records that are changed."""
    text = bytearray(20)
    for at in range(min(len(record), 20)):
        text[at] = record[at] + 1
        text[at] ^= 3
    emit(text[:10], text[19])
    for at in range(len(record)):
        record[at] = record[at] + at
    emit(record)


def maps(record: Any) -> None:
    """Arrays and hashes: add, put, get, in, del."""
    for byte in record:
        counts[byte] += 1
        totals[byte & 3] -= i64(byte)
        if (byte & 7) in keys:
            keys[byte & 7] *= 3
        else:
            keys[byte & 7] = byte
        best[byte & 1] = max(best.get(byte & 1, -1000), i64(byte) - 200)
        if byte == 90:
            del keys[byte & 7]
    emit(keys.get(1), b" ", keys.get(2, 77), b" ", keys[3], b" ", len(counts), b" ")
    emit(int(words.add(record, 2)), int(words.put(record[:2], len(record))), int(words.add(record[1:])))


def overfills(record: Any) -> None:
    """A map that is full faults where nobody could hear of it."""
    for byte in record:
        words[record[byte & 7 :]] += 1


def helper(value: Any, low: Any, high: Any = 200) -> Any:
    """Cut a number."""
    if value < low:
        return low
    if value > high:
        value = high
    return value


def pick(text: Any, table: Any, *, skip: int = 1) -> Any:
    """Take bytes and a map, return bytes."""
    table[0] += 1
    while len(text) > 0 and text[0] < 64:
        text = text[skip:]
    return text


def silent(value: Any) -> None:
    """Return nothing, from two places."""
    if value > 10:
        return
    emit(b"small")


def calls(record: Any) -> None:
    """Functions of the source, with bytes, maps, defaults and names."""
    emit(helper(len(record), 3), b" ", helper(1000, 0, high=5), b" ", helper(high=9, value=7, low=1), b" ")
    emit(pick(record, counts), b" ", pick(record, counts, skip=2))
    silent(len(record))
    a, b = len(record), 5
    a, b = b, a
    emit(a, b, min(a, b, 3), max(a, b), abs(i64(a) - i64(b)))


def arguments(record: Any, *, pattern: bytes = b"ab", times: int = 2, shift: i64 = -1, loud: bool = False) -> None:
    """Every kind of argument."""
    for _ in range(times):
        emit(pattern, shift * 2, b"!" if loud else b".")
    emit(record.find(pattern), len(pattern))


def fields(record: Any) -> None:
    """What the record knows about itself."""
    emit(record.number, b" ", record.offset, b" ", record.file, b"\n")


CASES = (
    wraps, shifts, signed_division, divides, compares, converts, logic, loops, ranges, numbers, slices, texts, buffers,
    maps, overfills, calls, arguments, fields,
)  # fmt: skip
MAPS = {"counts": counts, "totals": totals, "keys": keys, "words": words, "best": best}
