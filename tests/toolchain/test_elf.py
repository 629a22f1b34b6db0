"""Objects: read as pyelftools reads them, linked by every kind of reference; hostile ones are refused, and quickly."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from packetfs.engines.machines import every_machine as find_machines
from packetfs.errors import BadObject, CompileFailed, NoCompiler, PacketFSError, UnknownProgram
from packetfs.packet.layout import Field
from packetfs.toolchain import clang, elf
from packetfs.toolchain.btf import Types
from packetfs.toolchain.declarations import Declarations
from packetfs.toolchain.elf import read_object
from packetfs.toolchain.header import header
from packetfs.toolchain.link import link, programs
from packetfs.toolchain.text import read_program, write_program
from packetfs.vm.image import load
from packetfs.vm.instruction import iterate
from packetfs.vm.layout import HELPERS, RECORD_CONTEXT, ContextKind, MapFlag, MapType, Reducer, Show
from packetfs.vm.program import MapDefinition, decode_program, encode_program
from tests.toolchain.compiled import OBJECTS, compiled, read
from tests.toolchain.rig import run

NAMES = sorted(path.stem for path in OBJECTS.glob("*.c"))


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_read_as_pyelftools_reads_them(name: str) -> None:
    data, ours = compiled(name), read(name)
    theirs = ELFFile(io.BytesIO(data))
    assert [section.name for section in ours.sections] == [section.name for section in theirs.iter_sections()]
    for section, other in zip(ours.sections, theirs.iter_sections(), strict=True):
        assert section.size == other["sh_size"]
        if section.type not in (elf.SectionType.NOBITS, elf.SectionType.NULL):
            assert section.data == other.data()
        if isinstance(other, RelocationSection) and section.info in ours.relocations:
            wanted = [(row["r_offset"], row["r_info_type"]) for row in other.iter_relocations()]
            assert [(row.offset, row.type) for row in ours.relocations[section.info]] == wanted
    table = theirs.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    for symbol, found in zip(ours.symbols, table.iter_symbols(), strict=True):
        assert (symbol.value, symbol.size) == (found["st_value"], found["st_size"])
        assert not found.name or symbol.name == found.name


@pytest.mark.parametrize("name", NAMES)
def test_every_program_links_loads_and_survives_packets_and_text(name: str) -> None:
    for function in programs(read(name)):
        program = link(read(name), function.name)
        load(program)
        assert decode_program(encode_program(program)) == program
        assert read_program("\n".join(write_program(program))) == program
        assert link(read(name), function.name) == program, "the same object gives the same program"


def maps_of(name: str, function: str | None = None) -> dict[str, MapDefinition]:
    return {found.name.decode(): found for found in link(read(name), function).maps}


def test_maps_say_what_their_types_say() -> None:
    maps = maps_of("relocations")
    by_source = maps["by_source"]
    assert (by_source.type, by_source.key_size, by_source.value_size) == (MapType.HASH, 4, 16)
    assert by_source.max_entries == 64
    assert (by_source.reducer, by_source.width, by_source.show) == (Reducer.SUM, 8, Show.IPV4)
    assert (maps["by_kind"].type, maps["by_kind"].value_size) == (MapType.PERCPU_ARRAY, 8)
    assert (maps["hidden"].reducer, maps["hidden"].width, maps["hidden"].show) == (Reducer.SUM, 4, Show.UNSIGNED)
    assert maps[".bss"].reducer is Reducer.SUM
    assert maps[".data"].initial.startswith(struct.pack("<iiQQ", -5, 0, 7, 9).rstrip(b"\0"))
    assert maps[".data"].reducer is Reducer.LAST
    assert maps[".rodata"].flags == MapFlag.READ_ONLY
    assert b"size %d\0" in maps[".rodata"].initial + b"\0"


def test_tags_and_mixed_values_say_how_shards_become_one() -> None:
    maps = maps_of("own", "echo")
    assert (maps["words"].reducer, maps["words"].width, maps["words"].show) == (Reducer.MAX, 4, Show.TEXT)
    assert maps["mixed"].reducer is Reducer.LAST


def test_legacy_maps() -> None:
    maps = maps_of("legacy")
    assert list(maps) == ["first_byte", "sizes", "a_name_that_is_t", "devices"]
    assert (maps["first_byte"].key_size, maps["first_byte"].max_entries) == (1, 16)
    assert maps["a_name_that_is_t"].type is MapType.LRU_HASH
    assert (maps["devices"].type, maps["devices"].flags) == (MapType.HASH, MapFlag.READ_ONLY)


def test_sections_say_what_a_program_gets() -> None:
    assert link(read("own"), "echo").context is ContextKind.PACKETFS
    assert link(read("atomics")).context is ContextKind.XDP
    assert [function.name for function in programs(read("own"))] == ["echo", "address"]


@pytest.mark.parametrize("machine", find_machines(), ids=lambda machine: machine.name)
def test_our_own_context_and_functions_of_three_sections(machine: object) -> None:
    records = [b"first one", b"short", b"third one", b"first one!!"]
    ended = run(link(read("own"), "echo"), records, machine)  # type: ignore[arg-type]
    assert ended.output == b"first onethird onefirst one!!"
    assert ended.maps["words"] == {b"first on": 11, b"third on": 9}
    assert ended.verdicts == (1, 1, 0, 0, 0, 2), "4 * the index: 0, drop, 8, 12"


def test_addresses_of_functions() -> None:
    program = link(read("own"), "address")
    assert [i.src for _, i in iterate(program.code) if i.opcode == 0x18] == [4]
    assert run(program, [b"x"]).verdicts == (0, 0, 0, 0, 0, 1), "region CODE = 8"


def test_the_header_can_be_had_without_compiling() -> None:
    command = [sys.executable, "-m", "packetfs.toolchain.header"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == header()


def test_the_header_says_what_the_tables_say() -> None:
    text = header()
    for row in RECORD_CONTEXT:
        assert isinstance(row, Field)
        assert f"__u{8 * row.size} {row.name};" in text
    for helper in HELPERS:
        assert f"{helper.name})(" in text
        assert f"(void *){helper.number};" in text


# what is refused


def source(tmp_path: Path, text: str) -> bytes:
    (tmp_path / "program.c").write_text(f'#include "packetfs.h"\n{text}')
    return clang.compile_c(str(tmp_path / "program.c"))


MAP = """struct { __uint(type, %s); __uint(max_entries, %s); __type(key, __u32); __type(value, __u64); }
m SEC(".maps");"""
LOOK = 'SEC("packetfs") int f(void *c) { __u32 k = 0; return bpf_map_lookup_elem(&m, &k) != 0; }'
REFUSED = {
    "several": ('SEC("xdp") int a(void *c) { return 1; } SEC("xdp") int b(void *c) { return 2; }', "FILE:NAME: a, b"),
    "none": ("int unused;", "no program for records"),
    "for sockets": ('SEC("tc") int a(void *c) { return 1; }', "sections of code: tc"),
    "undefined": ('int far(void); SEC("xdp") int a(void *c) { return far(); }', "section xdp, a, slot 0: far is not"),
    "variable elsewhere": ('extern int v; SEC("xdp") int a(void *c) { return v; }', "v is not defined"),
    "unknown helper": ('SEC("xdp") int a(void *c) { return ((int (*)(void))25)(); }', "slot 0: it calls helper 25"),
    "map type": (MAP % (11, 1) + LOOK, "map m has type 11 (LPM_TRIE)"),
    "unknown type": (MAP % (99, 1) + LOOK, "map m has type 99 (unknown)"),
    "pointers in data": (
        'int x; int *volatile p = &x; SEC("xdp") int a(void *c) { return *p; }',
        "section .data: it holds the address of x",
    ),
    "tag": (MAP.replace("m SEC", "m PACKETFS_REDUCE(mean) SEC") % (1, 1) + LOOK, "tagged 'mean'"),
    "large data": (
        'volatile char v[70000]; SEC("xdp") int a(void *c) { return v[9]; }',
        "section .bss: it has 70000 bytes",
    ),
    "another section": (
        'SEC("odd") volatile int v; SEC("xdp") int a(void *c) { return v; }',
        "refers to section odd",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_linked_is_said_with_its_place(tmp_path: Path, name: str) -> None:
    text, said = REFUSED[name]
    data = source(tmp_path, text)
    with pytest.raises(BadObject) as caught:
        link(read_object(data, "program.o"))
    assert said in caught.value.message
    assert caught.value.message.startswith("program.o: ")


def test_maps_that_are_too_large_are_refused_when_loaded(tmp_path: Path) -> None:
    program = link(read_object(source(tmp_path, MAP % (2, 16_000_000) + LOOK), "program.o"))
    with pytest.raises(PacketFSError, match="more than"):
        load(program)


def test_a_function_is_chosen_by_name() -> None:
    with pytest.raises(UnknownProgram, match=":nobody: the file has swap, head, tail, bytes, reports"):
        link(read("packets"), "nobody")
    with pytest.raises(BadObject, match="shaper is of section tc"):
        link(read("own"), "shaper")


def test_compilers_say_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CompileFailed, match=r"program\.c cannot be compiled: line 2:\d+: .*undeclared"):
        source(tmp_path, 'SEC("xdp") int a(void *c) { return nothing; }')
    with pytest.raises(CompileFailed, match=r"no such file"):
        clang.compile_c(str(tmp_path / "none.c"))
    monkeypatch.setattr(clang, "C_SECONDS", 0.0)
    with pytest.raises(CompileFailed, match="more than 0 seconds"):
        source(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoCompiler, match="no clang"):
        source(tmp_path, "")


def poke(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def section_at(data: bytes, index: int) -> int:
    return int.from_bytes(data[40:48], "little") + 64 * index


def index_of(name: str, section: str) -> int:
    return next(found.index for found in read(name).sections if found.name == section)


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: data[:0],
    "a header alone": lambda data: data[:64],
    "cut": lambda data: data[: len(data) // 2],
    "another machine": lambda data: poke(data, 18, b"\x3e\0"),
    "big-endian": lambda data: poke(data, 5, b"\2"),
    "32 bits": lambda data: poke(data, 4, b"\1"),
    "linked": lambda data: poke(data, 16, b"\2"),
    "sections far away": lambda data: poke(data, 40, b"\xff" * 8),
    "65,535 sections": lambda data: poke(data, 60, b"\xff\xff"),
    "no names": lambda data: poke(data, 62, b"\xff\xff"),
    "names that are all": lambda data: poke(data, section_at(data, 1), b"\xff" * 4),
    "a section of 2**63 bytes": lambda data: poke(data, section_at(data, 3) + 32, b"\0" * 7 + b"\x80"),
    "a section behind the end": lambda data: poke(data, section_at(data, 3) + 24, b"\xff" * 8),
    "all sections on the whole file": lambda data: overlap(data),
}


def overlap(data: bytes) -> bytes:
    for index in range(1, int.from_bytes(data[60:62], "little")):
        data = poke(data, section_at(data, index) + 24, struct.pack("<QQ", 0, len(data)))
    return data


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_objects_are_refused(name: str) -> None:
    with pytest.raises(BadObject):
        read_object(HOSTILE[name](compiled("relocations")), "hostile.o")


@pytest.mark.parametrize("name", NAMES)
def test_changed_bytes_never_harm(name: str) -> None:
    """Any change gives another program or a refusal of ours: no other exception, no hang."""
    dice, data = random.Random(name), compiled(name)
    held = sorted(
        {section_at(data, index) + at for index in range(len(read(name).sections)) for at in range(64)}
        | set(range(64))
        | set(range(len(data) - 4096, len(data)))
    )
    functions = [function.name for function in programs(read(name))]
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 8))):
            where = dice.choice(held) if dice.random() < 0.7 else dice.randrange(len(data))
            changed[where] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        try:
            found = read_object(bytes(changed), "changed.o")
            encode_program(link(found, dice.choice(functions)))
        except PacketFSError:
            continue


@pytest.mark.parametrize("name", ["relocations", "own"])
def test_changed_types_never_harm(name: str) -> None:
    dice, found = random.Random(name), read(name)
    btf = found.section(".BTF")
    assert btf is not None
    for _ in range(600):
        changed = bytearray(btf.data)
        for _ in range(dice.choice((1, 2, 8))):
            changed[dice.randrange(len(changed))] = dice.choice((0, 1, 0xFF, dice.randrange(256)))
        try:
            types = Types(bytes(changed), "changed.o")
            for symbol in found.symbols:
                number = types.variable(symbol.name)
                if number is not None:
                    types.shape(number)
                    types.members(number)
        except BadObject:
            continue


def test_types_that_contain_themselves_end() -> None:
    def btf(*types: bytes) -> bytes:
        body, strings = b"".join(types), b"\0m\0"
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(strings)) + body + strings

    typedef = struct.pack("<III", 1, 8 << 24, 1)
    array = struct.pack("<III", 0, 3 << 24, 0) + struct.pack("<III", 1, 1, 1000)
    structure = struct.pack("<III", 1, 4 << 24 | 2, 8) + struct.pack("<III", 1, 1, 0) * 2
    for data in (btf(typedef), btf(array)):
        with pytest.raises(BadObject):
            Types(data, "x.o").size(1)
    assert Types(btf(structure), "x.o").shape(1).widths == frozenset()


def test_declarations_need_types() -> None:
    bare = read("relocations")
    without = elf.Object("x.o", tuple(s for s in bare.sections if s.name != ".BTF"), bare.symbols, {})
    maps = bare.section(".maps")
    assert maps is not None
    with pytest.raises(BadObject, match="compile it with -g"):
        Declarations(without).map(maps, next(s for s in bare.symbols if s.name == "by_kind"))
