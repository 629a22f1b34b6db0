"""Atomics of 32 and 64 bits: what is in memory afterwards, what is fetched, what neighbours and upper halves become."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.vm.golden.case import M32, M64, Golden

_SIMPLE: dict[str, Callable[[int, int], int]] = {
    "add": lambda old, src: old + src,
    "or": lambda old, src: old | src,
    "and": lambda old, src: old & src,
    "xor": lambda old, src: old ^ src,
}
_PAIRS = (
    (0x1122334455667788, 0x0102030405060708),
    (0x0F0F0F0F0F0F0F0F, 0x3C3C3C3C3C3C3C3C),
    (M64, 1),
    (0xFFFFFFFF_00000000, 0xF0F0F0F0_F0F0F0F0),
    (0, M64),
)
_HELD = 0xAABBCCDD_11223344


def files() -> Iterator[tuple[str, list[Golden]]]:
    for name in _SIMPLE:
        yield f"lock_{name}", list(_simple(name))
    yield "lock_xchg", list(_exchange())
    yield "lock_cmpxchg", list(_compare())
    yield "lock_edges", list(_edges())


def _cut(value: int, old: int, bits: int) -> int:
    """Return the 8 bytes of memory after their low `bits` became `value`."""
    return value & M64 if bits == 64 else (old & ~M32) | (value & M32)


def _simple(name: str) -> Iterator[Golden]:
    for suffix, bits in (("", 64), ("32", 32)):
        for old, src in _PAIRS:
            new = _cut(_SIMPLE[name](old, src), old, bits)
            begin = f"lddw r1, {old:#x}; stxdw [r10-8], r1; lddw r2, {src:#x}"
            for fetch in ("", "fetch "):
                does = f"{begin}; lock {fetch}{name}{suffix} [r10-8], r2"
                yield Golden(
                    f"{fetch}{name}{suffix} {old:#x}, {src:#x}: memory", f"{does}; ldxdw r0, [r10-8]; exit", new
                )
                source = (old if bits == 64 else old & M32) if fetch else src
                yield Golden(f"{fetch}{name}{suffix} {old:#x}, {src:#x}: source", f"{does}; mov r0, r2; exit", source)


def _exchange() -> Iterator[Golden]:
    for suffix, bits in (("", 64), ("32", 32)):
        for old, src in _PAIRS:
            does = f"lddw r1, {old:#x}; stxdw [r10-8], r1; lddw r2, {src:#x}; lock xchg{suffix} [r10-8], r2"
            yield Golden(
                f"xchg{suffix} {old:#x}, {src:#x}: memory", f"{does}; ldxdw r0, [r10-8]; exit", _cut(src, old, bits)
            )
            fetched = old if bits == 64 else old & M32
            yield Golden(f"xchg{suffix} {old:#x}, {src:#x}: source", f"{does}; mov r0, r2; exit", fetched)


def _compare() -> Iterator[Golden]:
    for suffix, bits in (("", 64), ("32", 32)):
        mask = M64 if bits == 64 else M32
        for what, r0 in (
            ("equal", _HELD),
            ("other", 5),
            ("low half equal", _HELD & M32),
            ("upper half other", _HELD ^ (1 << 63)),
            ("low half other", _HELD ^ 1),
        ):
            equal = (r0 & mask) == (_HELD & mask)
            new = _cut(0x9988776655443322, _HELD, bits) if equal else _HELD
            does = f"lddw r1, {_HELD:#x}; stxdw [r10-8], r1; lddw r0, {r0:#x}; lddw r2, 0x9988776655443322; "
            does += f"lock cmpxchg{suffix} [r10-8], r2"
            yield Golden(f"cmpxchg{suffix} {what}: memory", f"{does}; ldxdw r0, [r10-8]; exit", new)
            yield Golden(f"cmpxchg{suffix} {what}: r0", f"{does}; exit", _HELD & mask)
            yield Golden(f"cmpxchg{suffix} {what}: source", f"{does}; mov r0, r2; exit", 0x9988776655443322)
    yield Golden(
        "cmpxchg of r0",
        f"lddw r0, {_HELD:#x}; stxdw [r10-8], r0; lock cmpxchg [r10-8], r0; ldxdw r1, [r10-8]; xor r0, r1; exit",
        0,
    )
    yield Golden(
        "cmpxchg32 of a negative word",
        "mov r0, -1; stxdw [r10-8], r0; mov r2, 7; lock cmpxchg32 [r10-8], r2; exit",
        M32,
    )


def _edges() -> Iterator[Golden]:
    twice = "mov r0, 0; stxdw [r10-8], r0; mov r2, 1"
    yield Golden(
        "in the memory",
        "mov r2, 1; lock add [r1], r2; lock fetch add [r1], r2; lock fetch add [r1], r2; mov r0, r2; exit",
        0x0807060504030203,
        mem=bytes(range(1, 9)),
    )
    yield Golden(
        "base and source are one", "mov r2, r10; add r2, -8; stdw [r2], 3; lock fetch add [r2], r2; mov r0, r2; exit", 3
    )
    yield Golden(
        "base and source are one: memory",
        "mov r2, r10; add r2, -8; stdw [r2], 3; lock fetch add [r2], r2; ldxdw r0, [r10-8]; exit",
        0x2000_0FFB,
    )
    yield Golden("r10 as the source", f"{twice}; lock add [r10-8], r10; ldxdw r0, [r10-8]; exit", 0x2000_1000)
    yield Golden(
        "not aligned", f"{twice}; stxdw [r10-16], r0; lock add [r10-11], r2; ldxdw r0, [r10-16]; exit", 1 << 40
    )
    yield Golden(
        "a word that is not aligned",
        f"{twice}; stxdw [r10-16], r0; lock or32 [r10-9], r2; ldxdw r0, [r10-16]; exit",
        1 << 56,
    )
    yield Golden(
        "a greatest offset",
        "mov r2, r10; add r2, -32767; mov r3, 4; lock add [r2+32759], r3; ldxdw r0, [r10-8]; exit",
        4,
    )
    yield Golden(
        "with fetch the old word is not sign-extended",
        "stdw [r10-8], -1; mov r2, 1; lock fetch add32 [r10-8], r2; mov r0, r2; exit",
        M32,
    )
    mem = bytes(8)
    for name in ("add", "fetch or", "xchg", "cmpxchg"):
        for suffix, size in (("", 8), ("32", 4)):
            yield Golden(
                f"{name}{suffix} into the last bytes",
                f"mov r0, 0; mov r2, 6; lock {name}{suffix} [r1+{8 - size}], r2; ldxdw r0, [r1]; exit",
                6 << (8 * (8 - size)),
                mem=mem,
            )
            yield Golden(
                f"{name}{suffix} one too far",
                f"mov r2, 6; lock {name}{suffix} [r1+{9 - size}], r2; exit",
                error="fault ADDRESS at 1",
                mem=mem,
            )
            yield Golden(
                f"{name}{suffix} one before",
                f"mov r2, 6; lock {name}{suffix} [r1-1], r2; exit",
                error="fault ADDRESS at 1",
                mem=mem,
            )
