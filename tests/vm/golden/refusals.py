"""What a loader must refuse: opcodes that are none, reserved fields that are not zero, registers that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack

from tests.vm.golden.case import Golden

_EXIT = pack("<BBhi", 0x95, 0, 0, 0)
_LD, _LDX, _ST, _STX, _ALU, _JMP, _JMP32, _ALU64 = range(8)
_ALU_CODES = {
    "add": 0x00,
    "sub": 0x10,
    "mul": 0x20,
    "div": 0x30,
    "or": 0x40,
    "and": 0x50,
    "lsh": 0x60,
    "rsh": 0x70,
    "mod": 0x90,
    "xor": 0xA0,
    "mov": 0xB0,
    "arsh": 0xC0,
}
_JUMP_CODES = {
    "jeq": 0x10,
    "jgt": 0x20,
    "jge": 0x30,
    "jset": 0x40,
    "jne": 0x50,
    "jsgt": 0x60,
    "jsge": 0x70,
    "jlt": 0xA0,
    "jle": 0xB0,
    "jslt": 0xC0,
    "jsle": 0xD0,
}
_SIZES = {"w": 0x00, "h": 0x08, "b": 0x10, "dw": 0x18}


def files() -> Iterator[tuple[str, list[Golden]]]:
    yield "reserved_arithmetic", list(_arithmetic())
    yield "reserved_jumps", list(_jumps())
    yield "reserved_memory", list(_memory())
    yield "refused_opcodes", list(_opcodes())
    yield "refused_registers", list(_registers())


def _slot(code: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return pack("<BBhi", code, src << 4 | dst, offset, imm)


def _refused(name: str, slot: bytes, why: str, more: bytes = b"") -> Golden:
    return Golden(name, raw=(slot + more + _EXIT).hex(" "), error=f"refused at 0: {why}")


def _not_zero(name: str, code: int, fields: str, more: bytes = b"", **others: int) -> Iterator[Golden]:
    """Yield a case for each reserved field, with small and with extreme values."""
    for field in fields.split():
        for value in {"dst": (1,), "src": (8,), "offset": (1,), "imm": (1, -1 << 31)}[field]:
            fills = {**others, field: value}
            yield _refused(f"{name}: {field} {value}", _slot(code, **fills), f"{field} is {value}", more)


def _arithmetic() -> Iterator[Golden]:
    for suffix, group in (("32", _ALU), ("", _ALU64)):
        for name, code in _ALU_CODES.items():
            odd = name in ("div", "mod", "mov")
            yield from _not_zero(f"{name}{suffix} imm", group | code, "src" if odd else "src offset")
            yield from _not_zero(f"{name}{suffix} reg", group | code | 8, "imm" if odd else "imm offset", src=1)
            for source in (0, 8):
                for offset in _no_variants(name, source, suffix):
                    slot = _slot(group | code | source, offset=offset)
                    yield _refused(f"{name}{suffix} {'reg' if source else 'imm'}: offset {offset}", slot, "offset is")
        for offset in (8, 16) if suffix else (8, 16, 32):
            yield from _not_zero(f"movsx{offset} {suffix or 64}", group | 0xB8, "imm", src=1, offset=offset)
        for name, code in (("sdiv", 0x30), ("smod", 0x90)):
            yield from _not_zero(f"{name}{suffix} imm", group | code, "src", offset=1)
            yield from _not_zero(f"{name}{suffix} reg", group | code | 8, "imm", src=1, offset=1)
        yield from _not_zero(f"neg{suffix}", group | 0x80, "src offset imm")
    for name, code in (("le", 0xD4), ("be", 0xDC), ("bswap", 0xD7)):
        for bits in (16, 32, 64):
            yield from _not_zero(f"{name}{bits}", code, "src offset", imm=bits)
        for bits in (0, 8, 15, 17, 24, 48, 63, 128, -16):
            yield _refused(f"{name} of {bits} bits", _slot(code, imm=bits), f"imm is {bits}")


def _no_variants(name: str, source: int, suffix: str) -> tuple[int, ...]:
    """Offsets that select nothing where some do."""
    if name in ("div", "mod"):
        return (2, -1, 8)
    if name != "mov":
        return ()
    return (1, 24, -8, *((32,) if suffix else (64,))) if source else (1, 8, 16, 32)


def _jumps() -> Iterator[Golden]:
    for suffix, group in (("", _JMP), ("32", _JMP32)):
        for name, code in _JUMP_CODES.items():
            yield from _not_zero(f"{name}{suffix} imm", group | code, "src")
            yield from _not_zero(f"{name}{suffix} reg", group | code | 8, "imm", src=1)
    yield from _not_zero("ja", 0x05, "dst src imm")
    yield from _not_zero("ja32", 0x06, "dst src offset")
    yield from _not_zero("call", 0x85, "dst offset", imm=5)
    yield from _not_zero("call local", 0x85, "dst offset", src=1)
    yield from _not_zero("callx", 0x8D, "src offset imm")
    yield from _not_zero("exit", 0x95, "dst src offset imm")
    for src in (3, 4, 15):
        yield _refused(f"call of kind {src}", _slot(0x85, src=src, imm=5), f"src is {src}")


def _memory() -> Iterator[Golden]:
    for name, size in _SIZES.items():
        yield from _not_zero(f"ldx{name}", 0x61 | size, "imm", src=1)
        yield from _not_zero(f"st{name}", 0x62 | size, "src")
        yield from _not_zero(f"stx{name}", 0x63 | size, "imm", src=1)
        if name != "dw":
            yield from _not_zero(f"ldxs{name}", 0x81 | size, "imm", src=1)
    for name, code in (("atomic32", 0xC3), ("atomic64", 0xDB)):
        for imm in (0x02, 0x10, 0x20, 0x30, 0x42, 0x60, 0x90, 0xB0, 0xE0, 0xF0, 0xF2, 0x100, 0x101, -1, 0x10000):
            yield _refused(f"{name}: operation {imm:#x}", _slot(code, 1, 2, 0, imm), f"imm is {imm}")
    yield from _wide()


def _wide() -> Iterator[Golden]:
    plain = _slot(0)
    yield from _not_zero("lddw", 0x18, "offset", plain)
    for what, second in (
        ("opcode", _slot(0x95)),
        ("dst", _slot(0, dst=1)),
        ("src", _slot(0, src=1)),
        ("offset", _slot(0, offset=1)),
        ("another lddw", _slot(0x18)),
    ):
        yield _refused(f"lddw: {what} in the second slot", _slot(0x18), "second slot", second)
    for src in (7, 8, 15):
        yield _refused(f"lddw of kind {src}", _slot(0x18, src=src), f"src is {src}", plain)
    for src in (1, 3, 4, 5):
        for value in (1, -1):
            more = _slot(0, imm=value)
            yield _refused(f"lddw of kind {src}: next_imm {value}", _slot(0x18, src=src), f"next_imm is {value}", more)
    yield Golden("lddw that is cut", raw=_slot(0x18).hex(" "), error="refused at 0: second slot")
    yield Golden("lddw that is cut behind exit", raw=(_EXIT + _slot(0x18)).hex(" "), error="refused at 1: second slot")
    yield _refused("a platform's variable", _slot(0x18, src=3), "variables", plain)
    yield _refused("a map of a program without", _slot(0x18, src=5), "no map 0", plain)
    yield _refused("a map's value of a program without", _slot(0x18, src=6), "no map 0", plain)


def _legal() -> set[int]:
    """Every opcode of the RFC but the group packet, and callx, from classes, codes and sources."""
    legal = {group | code | source for group in (_ALU, _ALU64) for code in _ALU_CODES.values() for source in (0, 8)}
    legal |= {group | code | source for group in (_JMP, _JMP32) for code in _JUMP_CODES.values() for source in (0, 8)}
    legal |= {mode | size for mode in (0x61, 0x62, 0x63) for size in _SIZES.values()} | {0x81, 0x89, 0x91}
    return legal | {0x84, 0x87, 0xD4, 0xDC, 0xD7, 0x05, 0x06, 0x85, 0x8D, 0x95, 0x18, 0xC3, 0xDB}


def _opcodes() -> Iterator[Golden]:
    for code in sorted(set(range(256)) - _legal()):
        yield _refused(f"opcode {code:#04x}", _slot(code), f"no opcode {code:#04x}")


def _registers() -> Iterator[Golden]:
    for what, slot in (
        ("mov imm", _slot(0xB7, dst=11)),
        ("mov reg to", _slot(0xBF, dst=15)),
        ("mov reg from", _slot(0xBF, src=11)),
        ("neg", _slot(0x87, dst=12)),
        ("bswap", _slot(0xD7, dst=12, imm=32)),
        ("jeq", _slot(0x15, dst=11)),
        ("jeq with", _slot(0x1D, src=13)),
        ("ldxw to", _slot(0x61, dst=11)),
        ("ldxw from", _slot(0x61, src=14)),
        ("stw", _slot(0x62, dst=11)),
        ("stxw to", _slot(0x63, dst=11)),
        ("stxw of", _slot(0x63, src=11)),
        ("atomic to", _slot(0xDB, dst=11)),
        ("atomic of", _slot(0xDB, src=11)),
        ("callx", _slot(0x8D, dst=11)),
    ):
        yield _refused(f"{what}: no such register", slot, "no register")
    yield _refused("lddw: no such register", _slot(0x18, dst=11), "no register", _slot(0))
    for what, slot in (
        ("mov imm", _slot(0xB7, dst=10)),
        ("mov32 reg", _slot(0xBC, dst=10)),
        ("movsx", _slot(0xBF, dst=10, offset=8)),
        ("add imm", _slot(0x07, dst=10, imm=8)),
        ("sdiv", _slot(0x3F, dst=10, offset=1)),
        ("neg", _slot(0x87, dst=10)),
        ("be16", _slot(0xDC, dst=10, imm=16)),
        ("bswap64", _slot(0xD7, dst=10, imm=64)),
        ("ldxdw", _slot(0x79, dst=10, src=1)),
        ("ldxsw", _slot(0x81, dst=10, src=1)),
        ("fetch add", _slot(0xDB, dst=1, src=10, imm=1)),
        ("fetch xor32", _slot(0xC3, dst=1, src=10, imm=0xA1)),
        ("xchg", _slot(0xDB, dst=1, src=10, imm=0xE1)),
    ):
        yield _refused(f"{what}: r10 is read only", slot, "r10")
    yield _refused("lddw: r10 is read only", _slot(0x18, dst=10), "r10", _slot(0))
