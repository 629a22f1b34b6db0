"""What PROGRAM on a command line means, and what is said where it means nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from packetfs.errors import BadArgument, BadObject, BadSource, NotTranslatable, PacketFSError, UnknownProgram
from packetfs.toolchain.shipped import catalogue
from packetfs.toolchain.shipped.packets import packets_of
from packetfs.toolchain.sources import find_program as choose
from packetfs.toolchain.sources import found_in
from packetfs.vm.layout import ContextKind
from packetfs.vm.program import encode_program
from tests.toolchain.rig import run

TWO = """
from packetfs import program, emit
import beside

@program(records="fixed:3")
def first(record, *, text: bytes = beside.TEXT):
    '''Write a text.

    More words.
    '''
    emit(text)

@program
def second(record):
    emit(b"second")

def third(record):
    emit(b"third")

if __name__ == "__main__":
    raise SystemExit("not a script here")
"""
C = """
#include "packetfs.h"
SEC("packetfs") int one(void *c) { return 2; }
SEC("packetfs") int two(void *c) { return 3; }
"""


@pytest.fixture
def two(tmp_path: Path) -> str:
    (tmp_path / "beside.py").write_text("TEXT = b'first'\n")
    path = tmp_path / "two.py"
    path.write_text(TWO)
    return str(path)


def test_shipped_names_win() -> None:
    chosen = choose("grep", ["pattern=a=b", "invert=yes"])
    assert (chosen.name, chosen.records, chosen.description) == ("grep", "lines:262144", catalogue.find("grep").summary)
    assert run(chosen.program, [b"a=b\n", b"c\n"]).output == b"c\n"


def test_digits_behind_the_point() -> None:
    assert choose("csv", ["decimals=3"]).decimals == {b"sum": 3, b"min": 3, b"max": 3}
    assert choose("csv").decimals[b"sum"] == 0
    assert choose("grep").decimals == {}


def test_python_files(two: str) -> None:
    chosen = choose(f"{two}:first", ["text=x\\ty"])
    assert (chosen.name, chosen.records, chosen.description) == ("first", "fixed:3", "Write a text.")
    assert run(chosen.program, [b"abc"]).output == b"x\ty"
    assert run(choose(f"{two}:first").program, [b"abc"]).output == b"first"
    assert run(choose(f"{two}:third").program, [b"abc"]).output == b"third"
    with pytest.raises(UnknownProgram, match="name one of first, second behind a colon"):
        choose(two)
    with pytest.raises(UnknownProgram, match="the file has first, second"):
        choose(f"{two}:fourth")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x = 1\ny = (\n", 2, "never closed"),
        ("x = 1\n\ny = 1 / 0\n", 3, "ZeroDivisionError"),
        ("import nothing_here\n", 1, "nothing_here"),
        ("\nraise SystemExit(0)\n", 2, "SystemExit"),
    ],
)
def test_python_files_that_fail(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(NotTranslatable, match=reason) as caught:
        choose(str(path))
    assert caught.value.fields["line"] == line


def test_packets(tmp_path: Path) -> None:
    packets = packets_of("count")
    path = tmp_path / "some.program"
    path.write_bytes(packets)
    assert encode_program(choose(str(path)).program) == packets
    assert encode_program(found_in(packets, "pfs:/count").program) == packets
    with pytest.raises(BadArgument, match="none of that name; it has no arguments"):
        choose(str(path), ["a=b"])


def test_assembler(tmp_path: Path) -> None:
    path = tmp_path / "three.s"
    path.write_text("mov r0, 3\nexit\n")
    chosen = choose(str(path))
    assert chosen.program.context is ContextKind.PACKETFS
    assert run(chosen.program, [b""]).verdicts == (0, 0, 0, 1, 0, 0)
    path.write_text(".map hits array key 4 value 8 entries 1 reduce sum 8\nlddw r0, value 0 + 0\nexit\n")
    assert [each.name for each in choose(str(path)).program.maps] == [b"hits"]
    with pytest.raises(UnknownProgram, match="begins at its first instruction"):
        choose(f"{path}:main")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSource, match=r"three\.s, line 1: it is no text"):
        choose(str(path))


def test_c_and_objects(tmp_path: Path) -> None:
    from packetfs.toolchain.clang import compile_c

    path = tmp_path / "some.c"
    path.write_text(C)
    assert run(choose(f"{path}:two").program, [b""]).verdicts == (0, 0, 0, 1, 0, 0)
    (tmp_path / "some.o").write_bytes(compile_c(str(path)))
    assert run(choose(f"{tmp_path}/some.o:one").program, [b""]).verdicts == (0, 0, 1, 0, 0, 0)
    with pytest.raises(BadObject, match="one, two"):
        choose(str(tmp_path / "some.o"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither"),
        (b"hello", "neither"),
        (b"\x7fELF", "no ELF file"),
        (packets_of("count")[:128], "ends where a CODE packet is due"),
    ],
)
def test_files_that_are_no_programs(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(PacketFSError, match=reason):
        choose(str(path))


def test_what_is_not_there(tmp_path: Path) -> None:
    for name in ("nothing", "./wc", str(tmp_path), f"{tmp_path}/x.o", f"{tmp_path}/x.py", "a:b", ":", ""):
        with pytest.raises(UnknownProgram):
            choose(name)
    with pytest.raises(BadArgument, match="write NAME=VALUE"):
        choose("grep", ["pattern"])
    with pytest.raises(BadArgument, match="given twice"):
        choose("grep", ["pattern=a", "pattern=b"])


@pytest.mark.parametrize(
    ("language", "name", "given", "output", "maps"),
    [
        ("python", "slow.py", ["limit=10"], b"12ms GET /a took=12\n", {"hits": 1, "paths": 1}),
        ("c", "histogram.c", [], b"", {"counts": 19}),
        ("", "pass.s", [], b"", {}),
    ],
)
def test_examples_of_the_documentation(
    tmp_path: Path, language: str, name: str, given: list[str], output: bytes, maps: dict[str, int]
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "programs.md").read_text()
    found = re.search(
        rf"^```{language}\n(.*?)^```$", text[text.index("## Assembler") if not language else 0 :], re.S | re.M
    )
    assert found is not None
    path = tmp_path / name
    path.write_text(found[1])
    outcome = run(choose(str(path), given).program, [b"GET /a took=12\n", b"GET /b took=9\n", b"\xffother\n", b""])
    assert outcome.output == output
    assert not outcome.faulted
    assert {key: len(value) for key, value in outcome.maps.items()} == maps
    if not language:
        assert outcome.verdicts == (0, 2, 2, 0, 0, 0)
