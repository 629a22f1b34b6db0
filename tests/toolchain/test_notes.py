"""What programs say of themselves: declared, kept in their packets, held against what a user gives, and hostile."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadArgument, BadObject, BadProgram, BadSource, NotTranslatable
from packetfs.limits import ARGUMENT_BYTES_MAX, DECIMALS_MAX, NOTES_BYTES_MAX
from packetfs.toolchain import notes
from packetfs.toolchain.allowed import ANY, RANGES, Allowed, between, length, one_of
from packetfs.toolchain.arguments import Argument, read
from packetfs.toolchain.notes import Notes, attach, decimals_of, notes_of
from packetfs.toolchain.shipped import catalogue
from packetfs.toolchain.shipped.packets import packets_of
from packetfs.toolchain.sources import find_program
from packetfs.toolchain.text import read_program, write_program
from packetfs.vm.program import Program, decode_program, encode_program
from tests.toolchain.rig import run

PYTHON = """
from typing import Annotated
import typing
from packetfs import Array, between, emit, i64, length, one_of, program

total = Array(1, decimals="digits")
Small = Annotated[int, between(1, 9)]

@program(records="fixed:3")
def small(
    record,
    *,
    size: Small = 4,
    shift: Annotated[i64, between(-5, 5)] = -5,
    mark: Annotated[bytes, length(1)] = b";",
    way: "typing.Annotated[bytes, one_of(b'up', b'down')]" = b"up",
    digits: Annotated[int, one_of(0, 2)] = 2,
    plain: int = 0,
):
    '''Write the size.

    size: how much
    way: where to
    '''
    total[0] += 1
    emit(size, mark, way)
"""
ASSEMBLER = """
.summary "Records of a few bytes."
.records fixed:8
.argument least u64 default 3 least 1 most 9 meaning "bytes; \\"few\\""
.argument how bytes default "a" choices "a" "b"
.decimals total digits
.argument digits u64 default 1
.map total array key 4 value 8 entries 1 reduce sum
  lddw r3, value 1 + 0
  ldxdw r0, [r3+0]
  exit
"""
SMALL = Argument("n", "u64", 0, 1, allowed=between(1, 9))


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.py"
    path.write_text(PYTHON.replace('"typing', "typing").replace(']" = b', "] = b"))
    return str(path)


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        (SMALL, "0", "0 is not possible; it takes 1 to 9"),
        (SMALL, "10", "10 is not possible; it takes 1 to 9"),
        (SMALL, "-1", "-1 is not possible; it takes 1 to 9"),
        (SMALL, "1" * 200, "of so many digits is not possible"),
        (SMALL, "", "'' is no number; it takes 1 to 9"),
        (replace(SMALL, allowed=between(1)), "0", "it takes 1 or more"),
        (replace(SMALL, allowed=one_of(1, 2, 4, 8)), "3", "3 is not possible; it takes 1, 2, 4 or 8"),
        (replace(SMALL, allowed=one_of(7)), "3", "it takes 7"),
        (replace(SMALL, kind="bytes", default=b",", allowed=length(1)), "", "'' has 0 bytes; it takes 1 byte"),
        (replace(SMALL, kind="bytes", default=b",", allowed=length(1)), "\\t,", "has 2 bytes; it takes 1 byte"),
        (
            replace(SMALL, kind="bytes", default=b",", allowed=length(2, 3)),
            ",",
            "',' has 1 byte; it takes 2 to 3 bytes",
        ),
        (replace(SMALL, kind="bytes", default=b"a", allowed=one_of(b"a", b"\0")), "b", r"it takes a or \0"),
    ],
)
def test_what_is_refused_is_told_in_one_sentence(argument: Argument, value: str, said: str) -> None:
    with pytest.raises(BadArgument) as caught:
        read("some", argument, value)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith("The argument n of some: ")
    assert said in caught.value.message


@given(st.integers(-(1 << 64), 1 << 65), st.integers(0, 99), st.integers(0, 99))
def test_numbers_are_taken_exactly_from_the_least_to_the_most(value: int, one: int, other: int) -> None:
    allowed = between(min(one, other), max(one, other))
    assert allowed.fits("u64", value) is (min(one, other) <= value <= max(one, other))
    for kind, (least, most) in RANGES.items():
        assert ANY.fits(kind, value) is (least <= value <= most)
    assert not ANY.fits("bytes", value)


def test_lengths_and_kinds() -> None:
    assert ANY.fits("bytes", bytes(ARGUMENT_BYTES_MAX))
    assert not ANY.fits("bytes", bytes(ARGUMENT_BYTES_MAX + 1))
    assert not ANY.fits("u64", b"1")
    assert [length(1, 3).fits("bytes", bytes(size)) for size in range(5)] == [False, True, True, True, False]
    for allowed, kind in (
        (between(5, 4), "u64"),
        (between(-1, 4), "u64"),
        (one_of(b"a"), "u64"),
        (length(257), "bytes"),
    ):
        assert not allowed.is_possible(kind)


def test_python_declares_what_arguments_take(small: str) -> None:
    found = find_program(small)
    assert (found.records, found.description, found.decimals) == ("fixed:3", "Write the size.", {b"total": 2})
    told = [(each.name, each.kind, each.takes, each.meaning) for each in found.arguments]
    assert told == [
        ("size", "u64", "1 to 9", "how much"), ("shift", "i64", "-5 to 5", ""), ("mark", "bytes", "1 byte", ""),
        ("way", "bytes", "up or down", "where to"), ("digits", "u64", "0 or 2", ""), ("plain", "u64", "", ""),
    ]  # fmt: skip
    assert run(find_program(small, ["size=9", "way=down"]).program, [b"abc"]).output == b"9;down"
    for wrong in ("size=0", "size=10", "shift=-6", "mark=", "way=left", "digits=1", "plain=-1"):
        with pytest.raises(BadArgument, match=f"The argument {wrong.partition('=')[0]} of small: .*it takes"):
            find_program(small, [wrong])


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("Annotated[int, between(1, 9)] = 0", "x does not take its default; it takes 1 to 9"),
        ("Annotated[int, between(9, 1)] = 5", "what x takes is no u64"),
        ("Annotated[int, one_of(b'a')] = 5", "what x takes is no u64"),
        ("Annotated[bytes, length(300)] = b''", "what x takes is no bytes"),
        ("Annotated[float, between(1, 9)] = 5", "needs a type"),
        ("Annotated[int, nothing(1)] = 5", "the type of x cannot be read: name 'nothing'"),
        ("int = b'5'", "the default of x is no u64"),
    ],
)
def test_declarations_that_make_no_sense_are_refused_with_their_line(
    tmp_path: Path, declared: str, reason: str
) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(
        "from __future__ import annotations\nfrom typing import Annotated\nfrom packetfs import *\n"
        f"@program\ndef f(record, *, x: {declared}):\n    pass\n"
    )
    with pytest.raises(NotTranslatable, match=reason) as caught:
        find_program(str(path))
    assert caught.value.fields["line"] == 5


def test_a_program_file_knows_what_its_source_said(small: str, tmp_path: Path) -> None:
    path = tmp_path / "small.program"
    path.write_bytes(encode_program(find_program(small).program))
    found, source = find_program(str(path)), find_program(small)
    assert (found.arguments, found.records, found.decimals) == (source.arguments, source.records, source.decimals)
    assert find_program(str(path), ["digits=0"]).decimals == {b"total": 0}
    assert run(find_program(str(path), ["mark=!"]).program, [b"abc"]).output == b"4!up"
    with pytest.raises(BadArgument, match="0 is not possible"):
        find_program(str(path), ["size=0"])


def test_assembler_declares_them_too(tmp_path: Path) -> None:
    path = tmp_path / "few.s"
    path.write_text(ASSEMBLER)
    found = find_program(str(path), ["least=9"])
    assert (found.records, found.description, found.decimals) == ("fixed:8", "Records of a few bytes.", {b"total": 1})
    assert run(found.program, [b"abc"]).verdicts == (0, 0, 0, 0, 0, 1)
    assert run(find_program(str(path)).program, [b"abc"]).verdicts == (0, 0, 0, 1, 0, 0)
    assert found.arguments[0].meaning == 'bytes; "few"'
    for wrong in ("least=0", "how=c"):
        with pytest.raises(BadArgument, match="it takes"):
            find_program(str(path), [wrong])


C = """
#include "packetfs.h"
const volatile __u64 limit PACKETFS_ARGUMENT("least 1 most 5000 meaning \\"in ms\\"") = 500;
const volatile struct packetfs_bytes mark PACKETFS_ARGUMENT("least 1 most 1") = {1, ","};
const volatile __s64 shift PACKETFS_ARGUMENT("choices -1 1") = -1;
SEC("packetfs") int f(void *c)
{
    packetfs_emit((void *)mark.text, mark.length);
    return limit + shift == 4 ? XDP_TX : XDP_PASS;
}
"""


def test_c_declares_them_too(tmp_path: Path) -> None:
    path = tmp_path / "some.c"
    path.write_text(C)
    found = find_program(str(path), ["limit=3", "shift=1", "mark=;"])
    told = [(each.name, each.kind, each.default, each.takes, each.meaning) for each in found.arguments]
    assert told == [
        ("limit", "u64", 500, "1 to 5,000", "in ms"),
        ("mark", "bytes", b",", "1 byte", ""),
        ("shift", "i64", -1, "-1 or 1", ""),
    ]
    outcome = run(found.program, [b"abc"])
    assert (outcome.output, outcome.verdicts) == (b";", (0, 0, 0, 1, 0, 0))
    outcome = run(find_program(str(path)).program, [b"abc"])
    assert (outcome.output, outcome.verdicts) == (b",", (0, 0, 1, 0, 0, 0))
    for wrong in ("limit=0", "limit=5001", "mark=", "shift=0"):
        with pytest.raises(BadArgument, match="it takes"):
            find_program(str(path), [wrong])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("most 5000", "most 5", "the argument limit: limit does not take its default"),
        ("least 1 most 5000", "at least 5", "the argument limit: "),
        ("const volatile __u64 limit", "const volatile __u32 limit", "limit has 4 bytes at 0: it is no argument"),
    ],
)
def test_c_that_declares_what_cannot_be_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "some.c"
    path.write_text(C.replace(old, new))
    with pytest.raises(BadObject, match=rf"some.c: section \.rodata\.args: {reason}"):
        find_program(str(path))


@pytest.mark.parametrize("name", [each.name for each in catalogue.programs()])
def test_text_gives_back_the_same_packets(name: str) -> None:
    packets = packets_of(name)
    assert encode_program(read_program("\n".join(write_program(decode_program(packets))))) == packets


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (".argument x u64", "cannot be read"),
        (".argument x u64 default", "a word is missing"),
        (".argument x u64 default 1 least 2", "does not take its default"),
        ('.argument x u64 default 1 least "a"', "a word is missing"),
        (".argument x float default 1", "float is none of u64, i64, bool, bytes"),
        (".argument x u64 5", "a word is missing"),
        (".argument x u64 default 1 meaning 99999999999999", "a word is missing"),
        (".argument 1x u64 default 1", "an argument '1x'"),
        (".argument x u64 default 1\n.argument x u64 default 1", "twice"),
        (".summary", "a word is missing"),
        (".records a b", "a word is missing"),
        (".decimals a b", "by an argument that is not there"),
        (".argument x u64 default 1\n.map args array key 4 value 4 entries 1", "outside of the map args"),
    ],
)
def test_directives_that_cannot_be_read(line: str, reason: str) -> None:
    with pytest.raises(BadSource, match=f"few.s, line .*{reason}"):
        read_program(f"{line}\nexit\n", "few.s")


BASE = encode_program(read_program(ASSEMBLER))


def noted(content: bytes) -> Program:
    program = decode_program(BASE)
    maps = [replace(each, initial=content, value_size=max(8, len(content))) if each.name == notes.MAP else each
            for each in program.maps]  # fmt: skip
    return replace(program, maps=tuple(maps))


@pytest.mark.parametrize(
    "said",
    [
        [], 5, {"arguments": 5}, {"arguments": [5]}, {"arguments": [{}]}, {"summary": 5}, {"decimals": []},
        {"decimals": {"a": "b"}}, {"arguments": [{"name": "x", "kind": "u64", "default": 1 << 70}]},
        {"arguments": [{"name": "x\n", "kind": "u64", "default": 1}]},
        {"arguments": [{"name": "x", "kind": "f64", "default": 1}]},
        {"arguments": [{"name": "x", "kind": "bytes", "default": {"hex": "zz"}}]},
        {"arguments": [{"name": "x", "kind": "u64", "default": 1, "least": 2}]},
        {"arguments": [{"name": f"x{i}", "kind": "u64", "default": 1} for i in range(99)]},
        {"arguments": [{"name": "x", "kind": "u64", "default": True}]},
    ],
)  # fmt: skip
def test_notes_that_cannot_be_are_refused(said: Any) -> None:
    with pytest.raises(BadProgram, match="with its notes"):
        notes_of(noted(json.dumps(said).encode()))


@given(st.binary(max_size=300))
def test_any_bytes_as_notes_are_read_or_refused(content: bytes) -> None:
    for data in (content, b'{"arguments":' + content, b"[" * 100_000 if len(content) == 300 else content):
        with suppress(BadProgram):
            notes_of(noted(data[:NOTES_BYTES_MAX]))


def test_what_has_no_room_for_notes_has_none() -> None:
    program = Program(b"\x95" + bytes(7))
    assert notes_of(program) == Notes()
    assert attach(program, Notes("x" * NOTES_BYTES_MAX)) == program
    assert notes_of(attach(program, Notes("x"))) == Notes("x")
    assert attach(attach(program, Notes("x")), Notes("y")) == attach(program, Notes("y"))


def test_digits_that_no_number_has_are_not_shown() -> None:
    program = decode_program(BASE)
    for digits, wanted in ((DECIMALS_MAX, {b"total": DECIMALS_MAX}), (1 << 60, {})):
        content = bytes(8 + 8 + ARGUMENT_BYTES_MAX) + digits.to_bytes(8, "little")
        maps = tuple(replace(each, initial=content) if each.name == b"args" else each for each in program.maps)
        assert decimals_of(replace(program, maps=maps)) == wanted


def test_every_shipped_argument_that_could_harm_says_what_it_takes() -> None:
    takes = {f"{each.name} {one.name}": one.takes for each in catalogue.programs() for one in each.arguments}
    assert takes["csv column"] == "1 to 65,535"
    assert takes["histogram width"] == "1, 2, 4 or 8"
    assert takes["sample every"] == "1 or more"
    assert {takes[name] for name in takes if name.endswith("delimiter")} == {"1 byte"}
    for each in catalogue.programs():
        assert all(one.allowed == Allowed() or one.allowed.fits(one.kind, one.default) for one in each.arguments)
        assert notes_of(each.program({})) == notes_of(decode_program(packets_of(each.name)))
