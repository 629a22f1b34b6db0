"""Shipped programs against plain Python on random content; their packets are what their sources translate to."""

from __future__ import annotations

import csv
import random
import re
import struct
import subprocess
from collections import Counter
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.engines.input.records import parse_records
from packetfs.errors import BadArgument, UnknownProgram
from packetfs.limits import FUEL
from packetfs.toolchain.arguments import Argument
from packetfs.toolchain.python.language import Record, Span
from packetfs.toolchain.shipped import catalogue
from packetfs.toolchain.shipped.fields import column_of, without_end
from packetfs.toolchain.shipped.packets import packets_of
from packetfs.vm.program import decode_program, encode_program
from tests.toolchain import rig
from tests.toolchain.rig import Outcome, run, signed
from tools import ship

ZERO = bytes(4)
WIDE = Context(prec=80, rounding=ROUND_HALF_UP)
WORDS = [
    b"error",
    b"ok",
    b"warning",
    b"a,b",
    b"",
    b"  x ",
    b"12",
    b"-3.5",
    b"0.125",
    b"1e5",
    b"99999999999999999999",
    b"+7.",
]


def executed(name: str, records: list[bytes], **given: str | int | bytes) -> Outcome:
    outcome = run(catalogue.find(name).program(given), records)
    assert not outcome.faulted, outcome.line
    return outcome


def lines(seed: int, count: int = 60) -> list[bytes]:
    draw = random.Random(seed)
    made = [b",".join(_quoted(draw, draw.choice(WORDS)) for _ in range(draw.randrange(5))) for _ in range(count)]
    return [line + draw.choice((b"\n", b"\n", b"\r\n")) for line in made] + [b"last"]


def _quoted(draw: random.Random, word: bytes) -> bytes:
    return b'"' + word + b'"' if b"," in word or draw.random() < 0.1 else word


def columns(line: bytes) -> list[bytes]:
    body = re.sub(rb"\r?\n\Z", b"", line)
    found = re.split(rb",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*\Z)", body)
    return [each[1:-1] if len(each) >= 2 and each[:1] == each[-1:] == b'"' else each for each in found]


def test_packets_are_what_the_sources_say() -> None:
    stale = [path.name for path, content in ship.files().items() if path.read_bytes() != content]
    assert stale == [], "run `python -m tools.ship`"


def test_packets_decode_and_encode() -> None:
    for each in catalogue.programs():
        packets = packets_of(each.name)
        assert encode_program(decode_program(packets)) == packets
        assert encode_program(each.program({})) == packets, "defaults are what the packets hold"
        assert each.summary
        assert each.example.startswith(f"pfs run {each.name}")


@pytest.mark.parametrize("seed", range(3))
def test_count_and_wc(seed: int) -> None:
    given = [*lines(seed), b"", b" two  words\t\x0b\n"]
    size = sum(map(len, given))
    assert executed("count", given).maps == {"records": {ZERO: len(given)}, "bytes": {ZERO: size}}
    words = sum(len(re.findall(rb"[^ \t\n\v\f\r]+", line)) for line in given)
    ended = sum(line.endswith(b"\n") for line in given)
    assert executed("wc", given).maps == {"words": {ZERO: words}, "bytes": {ZERO: size}, "lines": {ZERO: ended}}


@pytest.mark.parametrize("pattern", [b"", b"e", b"error", b"a,b", b"warning,ok", b"x" * 100, b"\n", b"k\n"])
@pytest.mark.parametrize("invert", [False, True])
def test_grep(pattern: bytes, invert: bool) -> None:
    given = [*lines(4)[:-1], b"xerror" * 9 + b"\n", b"eerror\n", b"x" * 100]
    wanted = [line for line in given if (pattern in re.sub(rb"\r?\n\Z", b"", line)) != invert]
    outcome = executed("grep", given, pattern=pattern, invert=int(invert))
    assert outcome.output == b"".join(line if line.endswith(b"\n") else line + b"\n" for line in wanted)
    assert executed("grep", given, pattern=pattern, invert=int(invert), newline=0).output == b"".join(wanted)
    assert outcome.maps == {"matches": {ZERO: len(wanted)} if wanted else {}}
    assert outcome.verdicts == (0, len(given) - len(wanted), len(wanted), 0, 0, 0)


@settings(max_examples=60)
@given(
    parts=st.lists(
        st.sampled_from([b"a", b"ab", b"b", b"\n", b"\r\n", b"\r", b"x" * 70, b" "]), min_size=1, max_size=40
    ),
    pattern=st.sampled_from([b"", b"a", b"ab", b"bab", b"b\na", b"\r", b"\n", b"ab\r", b"x" * 69]),
    invert=st.booleans(),
    count=st.booleans(),
)
def test_grep_over_many_lines_at_once(parts: list[bytes], pattern: bytes, invert: bool, count: bool) -> None:
    """As line by line: a text is found within a line only, and not in the end of one."""
    data = b"".join(parts)
    found = [line for line in lines_in(data) if (pattern in re.sub(rb"\r?\n\Z", b"", line)) != invert]
    outcome = executed("grep", [data], pattern=pattern, invert=int(invert), count=int(count))
    wanted = b"".join(found)
    assert outcome.output == (b"" if count or not found else wanted if wanted.endswith(b"\n") else wanted + b"\n")
    assert outcome.maps == {"matches": {ZERO: len(found)} if found else {}}


@pytest.mark.skipif(native is None, reason="the twin takes half a minute")
def test_grep_of_the_shortest_lines_takes_half_of_its_fuel() -> None:
    size = parse_records(catalogue.find("grep").records).size
    assert 4 * rig.FUEL <= FUEL
    assert executed("grep", [b"\n" * (size // 2)], count=1).maps == {"matches": {ZERO: size // 2}}
    assert executed("grep", [b"\n" * (size // 2)]).output == b"\n" * (size // 2)


def lines_in(data: bytes) -> list[bytes]:
    return [line for line in re.findall(rb"[^\n]*\n?", data) if line]


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.sampled_from([b"1,2\n", b"7,-3.5\r\n", b'"a,b",9\n', b"\n", b",\n", b"x,y,z\n", b'3,"4"\n']), max_size=20
    ),
    column=st.integers(1, 3),
)
def test_csv_over_many_lines_at_once(rows: list[bytes], column: int) -> None:
    given = b"head,head,head\n" + b"".join(rows) + b"5,6"
    at_once, apart = (executed("csv", records, column=column, decimals=1) for records in ([given], lines_in(given)))
    assert at_once.maps == apart.maps


def counted(values: Iterable[int]) -> dict[str, dict[bytes, int]]:
    """Return the maps of a histogram: small values in an array, others in a hash."""
    found = Counter(values)
    small = {key.to_bytes(4, "little"): count for key, count in found.items() if key < 65_536}
    large = {key.to_bytes(8, "little"): count for key, count in found.items() if key >= 65_536}
    return {"counts": small, "large": large}


@pytest.mark.parametrize(("width", "big"), [(1, 0), (2, 0), (2, 1), (4, 0), (4, 1), (8, 0), (8, 1)])
@pytest.mark.parametrize("bin", [1, 3])
def test_histogram_of_numbers(width: int, big: int, bin: int) -> None:  # noqa: A002
    draw = random.Random(width)
    given = [bytes(draw.choices((0, 1, 255), k=draw.randrange(12))) for _ in range(200)]
    maps = executed("histogram", given, offset=2, width=width, big=big, bin=bin).maps
    there = [each for each in given if len(each) >= 2 + width]
    values = [int.from_bytes(each[2 : 2 + width], "big" if big else "little") // bin * bin for each in there]
    assert {"counts": maps["counts"], "large": maps["large"]} == counted(values)
    assert maps["skipped"].get(ZERO, 0) == len(given) - len(there)
    strided = executed("histogram", given, offset=2, width=width, big=big, bin=bin, stride=5).maps
    parts = [each[at : at + width] for each in given for at in range(2, len(each) - width + 1, 5)]
    values = [int.from_bytes(part, "big" if big else "little") // bin * bin for part in parts]
    assert {"counts": strided["counts"], "large": strided["large"]} == counted(values)


def test_histogram_of_a_column_and_of_too_many_values() -> None:
    given = [b"a,%d\n" % (n % 7) for n in range(50)] + [b"a\n", b"a,-1\n"]
    outcome = executed("histogram", given, column=2)
    assert outcome.maps["counts"] == {n.to_bytes(4, "little"): len(range(n, 50, 7)) for n in range(7)}
    assert outcome.maps["skipped"] == {ZERO: 2}
    many = [struct.pack("<I", 65_536 + n) for n in range(65_600)]
    assert executed("histogram", many, width=4).maps["dropped"] == {ZERO: 64}


def exact(text: bytes, decimals: int) -> int | None:
    body = text.strip(b" \t").decode()
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", body) or not re.search(r"\d", body):
        return None
    value = int(WIDE.quantize(WIDE.multiply(Decimal(body), 10**decimals), Decimal(1)))
    return value if abs(value) < 9 * 10**18 else None


@pytest.mark.parametrize("decimals", [0, 2, 9])
@pytest.mark.parametrize("column", [1, 3])
def test_csv(decimals: int, column: int) -> None:
    given = [b"head,head,head\n", *lines(9, 120), b" 12.5\t,1,2\n", b"-.5,-.,.\n"]
    rows = [([re.sub(rb"\r?\n\Z", b"", line), *columns(line)] + [b""] * 4)[column] for line in given[1:]]
    numbers = [value for value in (exact(each, decimals) for each in rows) if value is not None]
    maps = executed("csv", given, column=column, decimals=decimals).maps
    assert maps["count"] == ({ZERO: len(numbers)} if numbers else {})
    assert maps["skipped"] == {ZERO: len(rows) - len(numbers)}
    assert signed(maps["sum"]).get(ZERO, 0) == sum(numbers)
    assert signed(maps["min"]) == ({b"\0": min(numbers)} if numbers else {})
    assert signed(maps["max"]) == ({b"\0": max(numbers)} if numbers else {})


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [(b"1.005", 2, 101), (b"-1.005", 2, -101), (b"1.0049999", 2, 100), (b"8999999999999999999", 0, 8999999999999999999),
     (b"9000000000000000000", 0, None), (b"10", 18, None), (b"0", 18, 0), (b"1.", 1, 10), (b".5", 0, 1),
     (b".", 0, None), (b"", 0, None), (b"-", 0, None), (b"--1", 0, None), (b"1 2", 0, None), (b"0x10", 0, None)],
)  # fmt: skip
def test_decimal_numbers(text: bytes, decimals: int, value: int | None) -> None:
    given = [b"h\n", text + b"\n"]
    maps = executed("csv", given, decimals=decimals).maps
    assert signed(maps["max"]) == ({} if value is None else {b"\0": value})
    assert Span(text).decimal(decimals) == (-(1 << 63) if value is None else value), "the plain function says the same"


def test_topk() -> None:
    given = [*lines(11, 200), b"k" * 70 + b"\n", b"k" * 80 + b"\n"]
    for column in (0, 1, 2):
        keys = [([re.sub(rb"\r?\n\Z", b"", line), *columns(line)] + [b""] * 4)[column] for line in given]
        counted = Counter(key[:64].ljust(64, b"\0") for key in keys)
        assert executed("topk", given, column=column).maps == {"counts": dict(counted), "dropped": {}}
    many = [b"%d\n" % n for n in range(17_000)]
    assert executed("topk", many).maps["dropped"] == {ZERO: 17_000 - 16_384}


def test_filter_of_columns() -> None:
    given = lines(12, 150)
    rows = [(columns(line) + [b""] * 4, line) for line in given]
    equal = executed("filter", given, column=2, equals=b"error", newline=0)
    assert equal.output == b"".join(line for row, line in rows if row[1] == b"error")
    between = executed("filter", given, column=1, minimum=-40, maximum=200, decimals=1, newline=0)
    values = [(exact(row[0], 1), line) for row, line in rows]
    wanted = [line for value, line in values if value is not None and -40 <= value <= 200]
    assert between.output == b"".join(wanted)
    assert wanted
    other = executed("filter", given, column=1, minimum=-40, maximum=200, decimals=1, invert=1, newline=0)
    assert sorted((between.output + other.output).splitlines()) == sorted(b"".join(given).splitlines())


def test_filter_of_numbers() -> None:
    given = [struct.pack(">HI", n * 300 % 65536, n) for n in range(500)] + [b"\1"]
    outcome = executed("filter", given, width=2, big=1, minimum=1000, maximum=9000, newline=0)
    assert outcome.output == b"".join(each for each in given[:-1] if 1000 <= int.from_bytes(each[:2], "big") <= 9000)


def fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def test_digests() -> None:
    given = [*lines(13), b"", b"123456789", bytes(range(256))]
    assert crc32c(b"123456789") == 0xE3069283
    assert fnv1a(b"foobar") == 0x85944171F73967E8
    assert executed("fnv", given).output == b"".join(b"%016x\n" % fnv1a(each) for each in given)
    assert executed("crc32c", given).output == b"".join(b"%08x\n" % crc32c(each) for each in given)
    bare = [re.sub(rb"\r?\n\Z", b"", each) for each in given]
    assert executed("crc32c", given, strip=1).output == b"".join(b"%08x\n" % crc32c(each) for each in bare)
    assert executed("fnv", given, strip=1).output == b"".join(b"%016x\n" % fnv1a(each) for each in bare)


def test_sample() -> None:
    given = [b"line %d\n" % n for n in range(2000)]
    assert executed("sample", given, every=7).output == b"".join(each for each in given if fnv1a(each) % 7 == 0)
    assert executed("sample", given, every=100, by_index=1).output == b"".join(given[::100])
    assert executed("sample", [b"a\n", b"b"], every=1).output == b"a\nb\n"
    assert executed("sample", [b"a\n", b"b"], every=1, newline=0).output == b"a\nb"


def ethernet(kind: int, body: bytes, vlans: int = 0) -> bytes:
    return bytes(12) + b"".join(struct.pack(">HH", 0x8100, 5) for _ in range(vlans)) + struct.pack(">H", kind) + body


def ipv4(protocol: int, body: bytes, *, options: int = 0, fragment: int = 0) -> bytes:
    head = struct.pack(">BBHHHBBH8x", 0x45 + options, 0, 20 + 4 * options + len(body), 0, fragment, 64, protocol, 0)
    return head + bytes(4 * options) + body


def ipv6(protocol: int, body: bytes) -> bytes:
    return struct.pack(">IHBB32x", 6 << 28, len(body), protocol, 64) + body


def test_pcap() -> None:
    ends = struct.pack(">HH", 50_000, 443) + bytes(16)
    answer = struct.pack(">HH", 53, 50_000) + bytes(4)
    hop = bytes([17, 0]) + bytes(6)
    first, later = bytes([6, 0, 0, 1]) + bytes(4), bytes([6, 0, 0, 9]) + bytes(4)
    given = [
        (ethernet(0x0800, ipv4(6, ends)), 0x0800, 6, 443),
        (ethernet(0x0800, ipv4(6, ends, options=3), vlans=2), 0x0800, 6, 443),
        (ethernet(0x0800, ipv4(17, answer, fragment=0x2000)), 0x0800, 17, 53),
        (ethernet(0x0800, ipv4(17, answer, fragment=7)), 0x0800, 17, None),
        (ethernet(0x0800, ipv4(1, b"ping")), 0x0800, 1, None),
        (ethernet(0x86DD, ipv6(17, answer)), 0x86DD, 17, 53),
        (ethernet(0x86DD, ipv6(0, hop + answer), vlans=1), 0x86DD, 17, 53),
        (ethernet(0x86DD, ipv6(44, first + ends)), 0x86DD, 6, 443),
        (ethernet(0x86DD, ipv6(44, later + ends)), 0x86DD, 6, None),
        (ethernet(0x86DD, ipv6(58, b"")), 0x86DD, 58, None),
        (ethernet(0x0806, bytes(28)), 0x0806, None, None),
    ]
    broken = [b"", bytes(13), ethernet(0x0800, bytes(19)), ethernet(0x0800, ipv4(6, b"abc"))]
    maps = executed("pcap", [each[0] for each in given] + broken).maps
    assert maps["packets"] == {ZERO: len(given) + 4}
    assert maps["bytes"] == {ZERO: sum(len(each[0]) for each in given) + sum(map(len, broken))}
    assert maps["cut_short"] == {ZERO: 4}
    types = Counter(each[1] for each in given) + Counter({0x0800: 2})
    assert maps["ether_types"] == {key.to_bytes(2, "little"): n for key, n in types.items()}
    protocols = Counter(each[2] for each in given if each[2] is not None) + Counter({6: 1})
    assert maps["protocols"] == {bytes([key]): n for key, n in protocols.items()}
    ports = Counter(each[3] for each in given if each[3])
    assert maps["ports"] == {key.to_bytes(2, "little"): n for key, n in ports.items()}
    sizes: Counter[int] = Counter()
    for packet, _, _, port in given:
        sizes[port or 0] += len(packet)
    assert maps["port_bytes"] == {key.to_bytes(2, "little"): n for key, n in sizes.items() if key}


def drawn(draw: random.Random, argument: Argument) -> int | bytes:
    """Return a value that the argument takes, often the least or the most."""
    if argument.allowed.choices:
        return draw.choice(argument.allowed.choices)
    least, most = argument.allowed.bounds(argument.kind)
    number = draw.choice((least, most, draw.randint(least, most), max(least, min(2, most))))
    return draw.randbytes(number) if argument.kind == "bytes" else number


QUOTED = [
    (b'1,"a,b",x', [b"1", b"a,b", b"x"]),
    (b'"say ""hi""",2', [b'say "hi"', b"2"]),
    (b'"",""""', [b"", b'"']),
    (b'5" disk,"x"', [b'5" disk', b"x"]),
    (b'a""b,c', [b'a""b', b"c"]),
    (b'"a,b', [b'"a,b']),
]


@pytest.mark.parametrize(("line", "fields"), QUOTED)
def test_quotes_are_those_of_rfc_4180(line: bytes, fields: list[bytes]) -> None:
    """As Python's csv module reads them, but for a quote that is never closed."""
    for number, wanted in enumerate(fields, 1):
        given = [line + b"\r\n"]
        assert executed("topk", given, column=number).maps["counts"] == {wanted.ljust(64, b"\0"): 1}
        if wanted:
            assert executed("filter", given, column=number, equals=wanted).output == given[0]
            assert executed("filter", given, column=number, equals=wanted + b"x").output == b""
            assert executed("filter", given, column=number, equals=wanted[:-1] or b"no").output == b""
    if line.count(b'"') % 2 == 0 or line[:1] != b'"':
        assert next(csv.reader([line.decode()])) == [each.decode() for each in fields]


def test_words_are_those_of_wc_on_text_and_as_posix_says_on_any_bytes() -> None:
    draw = random.Random(8)
    text = bytes(draw.choice(b"ab.1 \t\r\f\v\n") for _ in range(20_000))
    said = subprocess.run(("wc",), input=text, capture_output=True, check=True, env={"LC_ALL": "C"}).stdout.split()
    counted = executed("wc", re.findall(rb"[^\n]*\n|[^\n]+", text)).maps
    assert [counted[name][ZERO] for name in ("lines", "words", "bytes")] == [int(word) for word in said]
    noise = draw.randbytes(20_000)
    assert executed("wc", [noise]).maps["words"] == {ZERO: len(noise.split())}


@pytest.mark.parametrize("name", [each.name for each in catalogue.programs()])
def test_any_bytes_and_arguments_do_no_harm(name: str) -> None:
    """Random records and arguments never fault: what would, an argument does not take."""
    draw = random.Random(name)
    for _ in range(15):
        given: dict[str, str | int | bytes] = {}
        for argument in catalogue.find(name).arguments:
            given[argument.name] = drawn(draw, argument)
        records = [draw.randbytes(draw.choice((0, 1, 13, 14, 34, 60, 200))) for _ in range(40)]
        assert not run(catalogue.find(name).program(given), records).faulted, given


def test_the_plain_functions_work_in_python() -> None:
    assert without_end(Record(b"ab\r\n")) == b"ab"
    assert column_of(Record(b'a,"b,c",d'), 44, 2) == b"b,c"
    assert Record(b"\1\2\3\4").u16be(-3) == 0x0203


def test_unknown_names_and_arguments() -> None:
    with pytest.raises(UnknownProgram, match="neither a file of that name nor one of count, crc32c"):
        catalogue.find("nothing")
    with pytest.raises(UnknownProgram, match="did you mean wc"):
        catalogue.find("wcc")
    with pytest.raises(BadArgument, match="it has only pattern, invert, count, newline"):
        catalogue.find("grep").program({"text": "x"})
