"""Loads, stores, sign-extending loads, wide immediates and maps: sizes, offsets, both ends of each range, faults."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vm.golden.case import M64, Golden, signed

_MEM = bytes.fromhex("8899aabbccddeeff0102030405060708807f")
_SIZES = (("b", 1), ("h", 2), ("w", 4), ("dw", 8))
_CTX, _STACK, _DATA, _MAPS, _MAP, _SHARED, _RESERVE, _CODE = (number << 28 for number in range(1, 9))
_ARRAY = "ARRAY key 4 value 8 entries 4"
_BYTES = "ARRAY key 4 value 24 entries 1"


def files() -> Iterator[tuple[str, list[Golden]]]:
    yield "ldx", list(_loads())
    yield "ldxs", list(_signed_loads())
    yield "st", list(_stores())
    yield "stack", list(_stack())
    yield "bounds", list(_bounds())
    yield "lddw", list(_wide())
    yield "maps", list(_maps())


def _loads() -> Iterator[Golden]:
    for name, size in _SIZES:
        for at in (0, 1, 3, 8, len(_MEM) - size):
            result = int.from_bytes(_MEM[at : at + size], "little")
            yield Golden(f"ldx{name} at {at}", f"lddw r0, {M64:#x}; ldx{name} r0, [r1+{at}]; exit", result, mem=_MEM)
        first = int.from_bytes(_MEM[:size], "little")
        yield Golden(f"ldx{name} into its own base", f"ldx{name} r1, [r1]; mov r0, r1; exit", first, mem=_MEM)
        yield Golden(
            f"ldx{name} with the greatest offset", f"sub r1, 32767; ldx{name} r0, [r1+32767]; exit", first, mem=_MEM
        )
        yield Golden(
            f"ldx{name} with the least offset",
            f"add r1, 16384; add r1, 16384; ldx{name} r0, [r1-32768]; exit",
            first,
            mem=_MEM,
        )
        yield Golden(f"ldx{name} of a fresh stack", f"lddw r0, {M64:#x}; ldx{name} r0, [r10-{size}]; exit", 0)


def _signed_loads() -> Iterator[Golden]:
    for name, size in _SIZES[:3]:
        for at in (0, 1, 5, 8, 12, len(_MEM) - size):
            result = signed(int.from_bytes(_MEM[at : at + size], "little"), 8 * size) & M64
            yield Golden(f"ldxs{name} at {at}", f"ldxs{name} r0, [r1+{at}]; exit", result, mem=_MEM)
        yield Golden(
            f"ldxs{name} beyond the end", f"ldxs{name} r0, [r1+{len(_MEM)}]; exit", error="fault ADDRESS at 0", mem=_MEM
        )


def _changed(at: int, size: int, value: int) -> int:
    memory = bytearray(b"\x11\x22\x33\x44\x55\x66\x77\x88" * 2)
    memory[at : at + size] = (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")
    return int.from_bytes(memory[4:12], "little")


def _stores() -> Iterator[Golden]:
    """Neighbours stay as they are: 16 known bytes, a store into them, and the middle 8 are the result."""
    mem = b"\x11\x22\x33\x44\x55\x66\x77\x88" * 2
    for name, size in _SIZES:
        for at in (4, 5, 7):
            for value in (0xF1E2D3C4B5A69788, 0):
                asm = f"lddw r2, {value:#x}; stx{name} [r1+{at}], r2; ldxdw r0, [r1+4]; exit"
                yield Golden(f"stx{name} {value:#x} at {at}", asm, _changed(at, size, value), mem=mem)
        for imm in (-2, 0x7FFFFFFF, -(1 << 31)):
            asm = f"st{name} [r1+5], {imm}; ldxdw r0, [r1+4]; exit"
            yield Golden(f"st{name} {imm}", asm, _changed(5, size, imm), mem=mem)
        asm = f"mov r2, 0; stx{name} [r1+4], r1; ldxdw r0, [r1+4]; exit"
        yield Golden(f"stx{name} of its own base", asm, _changed(4, size, _DATA + 256), mem=mem)
        for what, place in (("the memory", "[r1+0]"), ("the stack", f"[r10-{size}]")):
            asm = f"st{name} {place}, 0x5a; ldx{name} r0, {place}; exit"
            yield Golden(f"st{name} to {what} and back", asm, 0x5A, mem=mem)
        yield Golden(
            f"stx{name} into the last bytes",
            f"mov r2, 3; stx{name} [r1+{16 - size}], r2; ldx{name} r0, [r1+{16 - size}]; exit",
            3,
            mem=mem,
        )


def _stack() -> Iterator[Golden]:
    yield Golden(
        "all of a frame",
        "mov r1, 1; stxb [r10-512], r1; stxb [r10-1], r1; ldxb r0, [r10-512]; ldxb r2, [r10-1]; add r0, r2; exit",
        2,
    )
    yield Golden(
        "a frame is zero",
        "mov r0, 0; mov r1, r10; mov r2, 64; next: add r1, -8; ldxdw r3, [r1]; or r0, r3; sub r2, 1; "
        "jne r2, 0, next; exit",
        0,
    )
    yield Golden("the first byte of all frames", "ldxb r0, [r10-4096]; exit", 0)
    yield Golden("a store into it", "mov r1, 6; stxb [r10-4096], r1; ldxdw r0, [r10-4096]; exit", 6)
    for name, size in _SIZES:
        yield Golden(f"ldx{name} below all frames", f"ldx{name} r0, [r10-4097]; exit", error="fault ADDRESS at 0")
        yield Golden(f"st{name} below all frames", f"st{name} [r10-4097], 1; exit", error="fault ADDRESS at 0")
        yield Golden(
            f"ldx{name} behind the stack", f"ldx{name} r0, [r10{1 - size:+}]; exit", error="fault ADDRESS at 0"
        )
        yield Golden(f"st{name} behind the stack", f"st{name} [r10{1 - size:+}], 1; exit", error="fault ADDRESS at 0")
    yield Golden("far behind the stack", "ldxb r0, [r10+32767]; exit", error="fault ADDRESS at 0")
    yield Golden("not aligned", "lddw r1, 0x1122334455667788; stxdw [r10-13], r1; ldxw r0, [r10-11]; exit", 0x33445566)


def _bounds() -> Iterator[Golden]:
    """Of 18 bytes of memory, with every size: the last that fits, one further, one before; and what is not mapped."""
    for name, size in _SIZES:
        last = len(_MEM) - size
        yield Golden(
            f"ldx{name} at the end", f"ldx{name} r0, [r1+{last}]; exit", int.from_bytes(_MEM[last:], "little"), mem=_MEM
        )
        for what, offset in (
            ("one too far", last + 1),
            ("behind the end", len(_MEM)),
            ("one before", -1),
            ("far", 32767),
        ):
            yield Golden(
                f"ldx{name} {what}",
                f"mov r0, 0; ldx{name} r0, [r1{offset:+}]; exit",
                error="fault ADDRESS at 1",
                mem=_MEM,
            )
            yield Golden(
                f"stx{name} {what}",
                f"mov r0, 0; stx{name} [r1{offset:+}], r0; exit",
                error="fault ADDRESS at 1",
                mem=_MEM,
            )
            yield Golden(f"st{name} {what}", f"st{name} [r1{offset:+}], 1; exit", error="fault ADDRESS at 0", mem=_MEM)
    for what, address in (
        ("null", 0),
        ("a small number", 4096),
        ("the context of a program that has none", _CTX),
        ("maps of a program without", _MAPS),
        ("a map's handle", _MAP),
        ("read-only maps of a program without", _SHARED),
        ("the reserve while nothing is reserved", _RESERVE),
        ("code", _CODE),
        ("a region that is none", 9 << 28),
        ("the last address", (1 << 32) - 1),
        ("upper half not zero", (1 << 32) + _STACK),
        ("all ones", M64),
        ("a host's address", 0x7FFFFFFFE000),
    ):
        yield Golden(f"load: {what}", f"lddw r1, {address:#x}; ldxb r0, [r1]; exit", error="fault ADDRESS at 2")
        yield Golden(f"store: {what}", f"lddw r1, {address:#x}; stb [r1], 1; exit", error="fault ADDRESS at 2")
        yield Golden(f"atomic: {what}", f"lddw r1, {address:#x}; lock add [r1], r0; exit", error="fault ADDRESS at 2")
    yield Golden("an offset cannot wrap below zero", "mov r1, 0; ldxb r0, [r1-1]; exit", error="fault ADDRESS at 1")
    yield Golden("nor above 2**64", "mov r1, -1; ldxb r0, [r1+1]; exit", error="fault ADDRESS at 1")
    yield Golden(
        "an address that was computed",
        "lddw r2, 0x130000100; sub r2, r1; add r2, r1; lddw r3, 0x100000000; sub r2, r3; ldxb r0, [r2]; exit",
        0x88,
        mem=_MEM,
    )
    yield Golden("empty memory", "ldxb r0, [r1]; exit", error="fault ADDRESS at 0")
    yield Golden(
        "output before a fault stays",
        "mov r2, 2; call emit; ldxb r0, [r1+18]; exit",
        error="fault ADDRESS at 2",
        mem=_MEM,
        output=_MEM[:2],
    )


def _wide() -> Iterator[Golden]:
    for value in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x1_0000_0000, 0x1122334455667788, 1 << 63, M64):
        yield Golden(f"lddw {value:#x}", f"lddw r0, {value:#x}; exit", value)
    for number in range(1, 10):
        yield Golden(
            f"lddw into r{number}", f"lddw r{number}, 0x8877665544332211; mov r0, r{number}; exit", 0x8877665544332211
        )
    yield Golden("the address of a function", "lddw r0, code f; exit; f: exit", _CODE + 3)
    yield Golden("the address of a function before", "ja +1; f: exit; lddw r0, code f; ja f", _CODE + 1)
    yield Golden(
        "six in a row",
        "; ".join(f"lddw r{i}, {1 << (8 * i):#x}" for i in range(6))
        + "; or r0, r1; or r0, r2; or r0, r3; or r0, r4; or r0, r5; exit",
        0x10101010101,
    )


def _maps() -> Iterator[Golden]:
    yield Golden("a map by its index", "lddw r0, map 1; exit", _MAP + 1, maps=f"{_ARRAY}; {_ARRAY}")
    yield Golden("a map by its descriptor", "lddw r0, map_fd 1; exit", _MAP + 1, maps=f"{_ARRAY}; {_ARRAY}")
    for word in ("value", "value_fd"):
        yield Golden(f"{word}: content is zero", f"lddw r1, {word} 0; ldxdw r0, [r1]; exit", 0, maps=_BYTES)
        yield Golden(
            f"{word}: what is stored stays",
            f"lddw r1, {word} 0 + 16; stdw [r1], 77; lddw r2, {word} 0; ldxdw r0, [r2+16]; exit",
            77,
            maps=_BYTES,
        )
        yield Golden(
            f"{word}: the next entry",
            f"lddw r1, {word} 0 + 8; lddw r2, {word} 0 + 16; mov r0, r2; sub r0, r1; exit",
            8,
            maps=_ARRAY,
        )
    yield Golden(
        "behind all maps", "lddw r1, value 0; ldxb r0, [r1+4096]; exit", error="fault ADDRESS at 2", maps=_BYTES
    )
    yield Golden("before all maps", "lddw r1, value 0; ldxb r0, [r1-1]; exit", error="fault ADDRESS at 2", maps=_BYTES)
    yield Golden(
        "a handle is no memory", "lddw r1, map 0; ldxb r0, [r1]; exit", error="fault ADDRESS at 2", maps=_ARRAY
    )
    key = "stw [r10-4], {}; mov r2, r10; add r2, -4; lddw r1, map 0; call map_lookup_elem"
    yield Golden(
        "a look-up", key.format(2) + "; stdw [r0], 9; lddw r1, value 0 + 16; ldxdw r0, [r1]; exit", 9, maps=_ARRAY
    )
    yield Golden("a look-up beyond the last", key.format(4) + "; exit", 0, maps=_ARRAY)
    yield Golden(
        "a look-up in what is no map",
        "mov r1, 5; mov r2, r10; call map_lookup_elem; exit",
        error="fault MAP at 2",
        maps=_ARRAY,
    )
    table = "HASH key 4 value 8 entries 2"
    put = (
        "stw [r10-4], {}; stdw [r10-16], {}; lddw r1, map 0; mov r2, r10; add r2, -4; mov r3, r10; add r3, -16; "
        "mov r4, {}; call map_update_elem"
    )
    get = "stw [r10-4], {}; lddw r1, map 0; mov r2, r10; add r2, -4; call map_lookup_elem"
    gone = "stw [r10-4], {}; lddw r1, map 0; mov r2, r10; add r2, -4; call map_delete_elem"
    yield Golden(
        "a table: put and get", f"{put.format(7, 70, 0)}; {get.format(7)}; ldxdw r0, [r0]; exit", 70, maps=table
    )
    yield Golden("a table: absent", f"{put.format(7, 70, 0)}; {get.format(8)}; exit", 0, maps=table)
    yield Golden(
        "a table: put again",
        f"{put.format(7, 70, 0)}; {put.format(7, 71, 0)}; {get.format(7)}; ldxdw r0, [r0]; exit",
        71,
        maps=table,
    )
    yield Golden(
        "a table: new and held", f"{put.format(7, 70, 0)}; {put.format(7, 71, 1)}; exit", -17 & M64, maps=table
    )
    yield Golden("a table: held and absent", f"{put.format(7, 70, 2)}; exit", -2 & M64, maps=table)
    yield Golden("a table: flags that are none", f"{put.format(7, 70, 4)}; exit", -22 & M64, maps=table)
    yield Golden(
        "a table: full",
        f"{put.format(1, 1, 0)}; {put.format(2, 2, 0)}; {put.format(3, 3, 0)}; exit",
        -7 & M64,
        maps=table,
    )
    yield Golden("a table: deleted", f"{put.format(7, 70, 0)}; {gone.format(7)}; {get.format(7)}; exit", 0, maps=table)
    yield Golden("a table: delete what is absent", f"{gone.format(7)}; exit", -2 & M64, maps=table)
    yield Golden(
        "a table: room after a delete",
        f"{put.format(1, 1, 0)}; {put.format(2, 2, 0)}; {gone.format(1)}; {put.format(3, 33, 0)}; "
        f"{get.format(3)}; ldxdw r0, [r0]; exit",
        33,
        maps=table,
    )
    yield Golden("an array: delete", f"{gone.format(1)}; exit", -22 & M64, maps=_ARRAY)
    yield Golden("an array: put as new", f"{put.format(1, 5, 1)}; exit", -17 & M64, maps=_ARRAY)
    yield Golden("an array: put beyond", f"{put.format(4, 5, 0)}; exit", -7 & M64, maps=_ARRAY)
    yield Golden(
        "an array: put", f"{put.format(3, 55, 2)}; lddw r1, value 0 + 24; ldxdw r0, [r1]; exit", 55, maps=_ARRAY
    )
    yield Golden(
        "a key that is not there to be read",
        "lddw r1, map 0; mov r2, 0; call map_lookup_elem; exit",
        error="fault ADDRESS at 3",
        maps=_ARRAY,
    )
    yield Golden(
        "values not at a map's offset", "lddw r1, value 0 + 24; exit", error="refused at 0: offset 24", maps=_BYTES
    )
    yield Golden("values of a table", "lddw r1, value 0; exit", error="refused at 0: no address", maps=table)
