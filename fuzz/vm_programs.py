"""Random programs that are legal and mostly sensible: arithmetic of all widths, branches, loops, calls, memory, maps.

Made as bytes at once, with addresses of maps resolved, since a fuzzer makes a million of them: r6 holds the context,
r7 the record, r8 a value, r9 counts loops, and what faults now and then is meant to.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from struct import Struct
from typing import Final

from packetfs.vm.layout import REGION_SHIFT, ContextKind, Region

SLOT: Final = Struct("<BBhi")
NUMBERS: Final = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 255, 256, 0x7FFF, 0x8000, -1 << 31, -1, -2, -8)
WIDES: Final = (0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 0x8000000080000000, 0x0102030405060708)
ARITHMETIC: Final = (0x00, 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0)
DIVISIONS: Final = (0x30, 0x90)
CONDITIONS: Final = (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0)
ATOMICS: Final = (0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1)
SIZES: Final = ((0x10, 1), (0x08, 2), (0x00, 4), (0x18, 8))
ARRAY, TABLE, RING, WIDE_TABLE, FIXED = range(5)
"""Indices of the maps that programs expect: see vm_differential.MAPS."""
KEYS: Final = {ARRAY: 4, TABLE: 8, WIDE_TABLE: 13, FIXED: 4}
VALUES: Final = {ARRAY: 8, TABLE: 8, WIDE_TABLE: 21, FIXED: 8}

Item = bytes | tuple[str, int]
"""A slot, or one that is known when all functions have their places."""


def slot(op: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return SLOT.pack(op, dst | src << 4, offset, imm)


def wide(dst: int, value: int) -> list[Item]:
    low, high = value & 0xFFFFFFFF, value >> 32
    return [slot(0x18, dst, imm=_signed(low)), slot(0, imm=_signed(high))]


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


class Programs:
    """A source of programs."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.functions = 0
        pieces: tuple[tuple[int, Callable[[int], list[Item]]], ...] = (
            (24, self.arithmetic), (6, self.divide), (6, self.convert), (5, self.constant),
            (10, self.stack_access), (8, self.record_load), (3, self.record_store), (4, self.context_load),
            (6, self.atomic), (1, self.wild),
            (5, self.look_up), (4, self.update), (2, self.delete), (3, self.emit), (3, self.reserve),
            (4, self.plain_call), (2, self.bytes_call), (1, self.asking_call), (3, self.search),
            (8, self.branch), (4, self.repeat), (3, self.call), (2, self.call_by_value), (1, self.leave),
        )  # fmt: skip
        self.pieces = [piece for weight, piece in pieces for _ in range(weight)]

    def make(self, kind: ContextKind) -> bytes:
        """Return the code of one program for records of this kind of context; its entry is slot 0."""
        rng = self.rng
        self.functions = rng.choice((0, 0, 0, 1, 2))
        parts = [self.main(kind), *(self.function(i) for i in range(self.functions))]
        begins, at = [], 0
        for part in parts:
            begins.append(at)
            at += len(part)
        items = [item for part in parts for item in part]
        code = [item if isinstance(item, bytes) else _link(item, here, begins) for here, item in enumerate(items)]
        if rng.random() < 0.15:
            self._bend(code)
        return b"".join(code)

    def main(self, kind: ContextKind) -> list[Item]:
        op = {ContextKind.PACKETFS: 0x79, ContextKind.XDP: 0x61, ContextKind.RAW: 0xBF}[kind]
        begin: list[Item] = [slot(0xBF, 6, 1), slot(op, 7, 1)]
        return [*begin, slot(0xBF, 8, 2), *self.block(self.rng.randrange(1, 9), 0), slot(0xBF, 0, 8), slot(0x95)]

    def function(self, level: int) -> list[Item]:
        return [*self.block(self.rng.randrange(4), level + 1), slot(0x95)]

    def block(self, count: int, level: int) -> list[Item]:
        choice = self.rng.choice
        return [item for _ in range(count) for item in choice(self.pieces)(level)]

    # values

    def register(self) -> int:
        """Return one that may be changed without much harm."""
        return self.rng.choice((0, 1, 2, 3, 4, 5, 8, 8, 8))

    def any_register(self) -> int:
        return self.rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10))

    def number(self) -> int:
        rng = self.rng
        return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.getrandbits(32) - (1 << 31)

    def arithmetic(self, _: int) -> list[Item]:
        return [self._operate(self.rng.choice(ARITHMETIC), 0)]

    def divide(self, _: int) -> list[Item]:
        return [self._operate(self.rng.choice(DIVISIONS), self.rng.getrandbits(1))]

    def _operate(self, op: int, offset: int) -> bytes:
        bits = self.rng.getrandbits(2)
        width = 0x07 if bits & 1 else 0x04
        if bits & 2:
            return slot(op | width | 8, self.register(), self.any_register(), offset)
        return slot(op | width, self.register(), 0, offset, self.number())

    def convert(self, _: int) -> list[Item]:
        choice, dst = self.rng.choice, self.register()
        kind = self.rng.randrange(4)
        if kind == 0:
            return [slot(choice((0x87, 0x84)), dst)]
        if kind == 1:
            return [slot(choice((0xD4, 0xDC, 0xD7)), dst, imm=choice((16, 32, 64)))]
        if kind == 2:
            return [slot(0xBF, dst, self.any_register(), choice((8, 16, 32)))]
        return [slot(0xBC, dst, self.any_register(), choice((8, 16)))]

    def constant(self, _: int) -> list[Item]:
        return wide(self.register(), self.rng.choice(WIDES) if self.rng.getrandbits(1) else self.rng.getrandbits(64))

    # memory

    def stack_at(self) -> int:
        return -self.rng.choice((8, 8, 16, 16, 24, 32, 7, 3, 64, 65, 72, 200, 390, 505, 512))

    def _access(self, base: int, offset: int) -> bytes:
        rng = self.rng
        size, _ = rng.choice(SIZES)
        kind = rng.randrange(5)
        if kind < 2:
            return slot(0x61 | size, self.register(), base, offset)
        if kind == 2:
            return slot(0x81 | (size if size != 0x18 else 0), self.register(), base, offset)
        if kind == 3:
            return slot(0x62 | size, base, 0, offset, self.number())
        return slot(0x63 | size, base, self.any_register(), offset)

    def stack_access(self, _: int) -> list[Item]:
        return [self._access(10, self.stack_at())]

    def record_load(self, _: int) -> list[Item]:
        size, _width = self.rng.choice(SIZES)
        mode = 0x81 if self.rng.random() < 0.2 and size != 0x18 else 0x61
        return [slot(mode | size, self.register(), 7, self.rng.choice((0, 0, 0, 1, 2, 3, 4, 5, 8, 20)))]

    def record_store(self, _: int) -> list[Item]:
        return [self._access(7, self.rng.choice((0, 1, 2, 4, 5, 8, 11)))]

    def context_load(self, _: int) -> list[Item]:
        if self.rng.random() < 0.1:
            return [self._access(6, self.rng.choice((0, 8, 24, 60)))]
        size, width = self.rng.choice(SIZES)
        return [slot(0x61 | size, self.register(), 6, self.rng.randrange(0, 64, width))]

    def atomic(self, _: int) -> list[Item]:
        rng = self.rng
        size = rng.choice((0xC3, 0xDB))
        lead: list[Item] = []
        base, offset = 10, self.stack_at()
        kind = rng.randrange(4)
        if kind == 0:
            base, offset = 7, rng.choice((0, 1, 4))
        elif kind == 1:
            lead, base, offset = wide(5, Region.MAPS << REGION_SHIFT), 5, rng.choice((0, 4, 8, 16, 31, 3000))
        return [*lead, slot(size, base, self.register(), offset, rng.choice(ATOMICS))]

    def wild(self, _: int) -> list[Item]:
        lead: list[Item] = []
        base = self.register()
        if self.rng.getrandbits(1):
            offset = self.rng.choice((0, 1, 8, 256, 260, 4095, 4096, 0xFFFFFFF))
            lead = wide(base, self.rng.randrange(10) << REGION_SHIFT | offset)
        return [*lead, self._access(base, self.rng.choice((0, 0, 1, -1, 8, 0x7FFF, -0x8000)))]

    # helpers

    def _key(self, at: int) -> list[Item]:
        """Put a small key at r10 - at."""
        rng = self.rng
        if rng.random() < 0.25:
            return [slot(0x7B, 10, self.register(), -at)]
        return [slot(0x7A, 10, 0, -at, rng.randrange(6)), *([slot(0x7A, 10, 0, 8 - at, 0)] if at > 8 else [])]

    def _map(self, index: int) -> list[Item]:
        if self.rng.random() < 0.01:
            index = self.rng.choice((5, 99))
        return wide(1, Region.MAP << REGION_SHIFT | index)

    def _point(self, register: int, at: int) -> list[Item]:
        return [slot(0xBF, register, 10), slot(0x07, register, imm=-at)]

    def look_up(self, _: int) -> list[Item]:
        index = self.rng.choice((ARRAY, TABLE, WIDE_TABLE, FIXED))
        at = 16 if index == WIDE_TABLE else 8
        then = [self._access(0, self.rng.randrange(0, max(VALUES[index] - 7, 2)))]
        if self.rng.random() < 0.9:
            then.insert(0, slot(0x15, 0, offset=1))
        return [*self._key(at), *self._map(index), *self._point(2, at), slot(0x85, imm=1), *then]

    def update(self, _: int) -> list[Item]:
        index = self.rng.choice((ARRAY, TABLE, TABLE, WIDE_TABLE, FIXED, RING))
        at = 16 if index == WIDE_TABLE else 8
        value = self.rng.choice((24, 24, 24, 8, 40))
        flags = self.rng.choice((0, 0, 0, 1, 2, 3))
        args = [*self._point(2, at), *self._point(3, value), slot(0xB7, 4, imm=flags)]
        return [*self._key(at), *self._map(index), *args, slot(0x85, imm=2)]

    def delete(self, _: int) -> list[Item]:
        index = self.rng.choice((TABLE, TABLE, WIDE_TABLE, ARRAY))
        at = 16 if index == WIDE_TABLE else 8
        return [*self._key(at), *self._map(index), *self._point(2, at), slot(0x85, imm=3)]

    def emit(self, _: int) -> list[Item]:
        rng = self.rng
        size, at = rng.choice(((0, 40), (1, 40), (2, 40), (8, 40), (16, 40), (33, 40), (64, 64), (200, 210)))
        register = rng.choice((1, 2))
        source = self._point(register, at)
        if rng.getrandbits(1):
            source = [slot(0xBF, register, rng.choice((6, 7, 7, 7)))]
        if register == 1:
            return [*source, slot(0xB7, 2, imm=size), slot(0x85, imm=4096)]
        return [*source, *self._map(RING), slot(0xB7, 3, imm=size), slot(0x85, imm=130)]

    def reserve(self, _: int) -> list[Item]:
        rng = self.rng
        size = rng.choice((0, 1, 8, 24, 500, 4088, 4089, 9000))
        room = [*self._map(RING), slot(0xB7, 2, imm=size), slot(0x85, imm=131)]
        used = [slot(0x15, 0, offset=1), self._access(0, rng.choice((0, 0, 0, 8, -8, -4)))]
        end = [slot(0xBF, 1, 0), slot(0x15, 0, offset=1), slot(0x85, imm=rng.choice((132, 132, 133)))]
        return [*room, *used, *(end if rng.random() < 0.85 else [])]

    def plain_call(self, _: int) -> list[Item]:
        return [slot(0x85, imm=self.rng.choice((5, 7, 8, 51)))]

    def bytes_call(self, _: int) -> list[Item]:
        rng = self.rng
        offset, size = rng.choice((0, 1, 4, 30)), rng.choice((0, 1, 4, 9, 40))
        lead = [slot(0xB7, 2, imm=offset), *self._point(3, 32), slot(0xB7, 4, imm=size)]
        if rng.random() < 0.2:
            lead[1:3] = [slot(0xBF, 3, 7), slot(0x07, 3, imm=rng.choice((0, 1, 3)))]
        return [*lead, slot(0x85, imm=rng.choice((189, 190)))]

    def asking_call(self, _: int) -> list[Item]:
        rng = self.rng
        number = rng.choice((6, 28, 44, 65))
        if number == 6:
            return [slot(0x7A, 10, 0, -8, 0x64257825), *self._point(1, 8), slot(0xB7, 2, imm=5), slot(0x85, imm=6)]
        if number == 28:
            sizes = [slot(0xB7, 2, imm=rng.choice((0, 4, 8, 3))), slot(0xB7, 4, imm=rng.choice((0, 4, 16)))]
            return [slot(0xBF, 1, 7), *sizes, *self._point(3, 16), slot(0x85, imm=28)]
        delta = slot(0xB7, 2, imm=rng.choice((-300, -20, -4, -1, 0, 1, 3, 9, 400)))
        again = [slot(0x79, 7, 6)] if rng.random() < 0.8 else []
        return [slot(0xBF, 1, 6), delta, slot(0x85, imm=number), *again]

    def search(self, _: int) -> list[Item]:
        """Helpers 4097 to 4104 on the record, the stack or any register."""
        rng = self.rng
        span: list[Item] = [slot(0xBF, 1, 7), slot(0xB7, 2, imm=rng.choice((0, 1, 7, 15, 33, 40)))]
        kind = rng.randrange(4)
        if kind == 0:
            span = [*self._point(1, 64), slot(0xB7, 2, imm=rng.choice((3, 64, 65)))]
        elif kind == 1:
            span[rng.getrandbits(1)] = slot(0xBF, rng.choice((1, 2)), rng.choice((6, 8, 9)))
        word: list[Item] = [*self._point(3, 16), slot(0xB7, 4, imm=rng.choice((0, 1, 2, 9)))]
        if rng.getrandbits(1):
            word[:2] = [slot(0xBF, 3, 7), slot(0x07, 3, imm=rng.choice((0, 1, 5)))]
        byte: list[Item] = [
            slot(0xB7, 3, imm=rng.choice((0, 10, 32, 0x31, 255))),
            slot(0xB7, 4, imm=rng.choice((0, 1, 1, 3))),
        ]
        if rng.random() < 0.25:
            count = [slot(0xBF, 3, 2), slot(0xBF, 2, 1), *self._map(rng.choice((ARRAY, ARRAY, ARRAY, TABLE, FIXED)))]
            width = rng.choice((1, 2, 4, 8, -1, -2, -8, 3))
            shape = [slot(0xB7, 4, imm=rng.choice((0, 1, 2, 7))), slot(0xB7, 5, imm=width)]
            return [*span, *count, *shape, slot(0x85, imm=4103)]
        number = rng.choice((4097, 4098, 4099, 4100, 4101, 4102, 4104))
        if number == 4104:
            inside: list[Item] = [slot(0xBF, 4, 7), slot(0x07, 4, imm=rng.choice((0, 1, 5)))]
            at = self._point(4, 16) if rng.getrandbits(1) else inside
            return [*span, byte[0], *at, slot(0xB7, 5, imm=rng.choice((0, 1, 2, 9, 70))), slot(0x85, imm=number)]
        return [*span, *(word if number == 4097 else byte), slot(0x85, imm=number)]

    # control

    def _condition(self, offset: int) -> bytes:
        rng = self.rng
        bits, op = rng.getrandbits(2), rng.choice(CONDITIONS)
        width = 0x05 if bits & 1 else 0x06
        if bits & 2:
            return slot(op | width | 8, self.any_register(), self.any_register(), offset)
        return slot(op | width, self.any_register(), 0, offset, self.number())

    def branch(self, level: int) -> list[Item]:
        then = self.block(self.rng.randrange(3), level)
        if self.rng.getrandbits(1):
            return [self._condition(len(then)), *then]
        other = self.block(self.rng.randrange(3), level)
        skip = slot(0x05, offset=len(other)) if self.rng.getrandbits(1) else slot(0x06, imm=len(other))
        return [self._condition(len(then) + 1), *then, skip, *other]

    def repeat(self, level: int) -> list[Item]:
        rng = self.rng
        body = self.block(rng.randrange(1, 3), level)
        back = -len(body) - 2
        kind = rng.randrange(4)
        if kind == 0:
            start = -len(body) - 1
            return [*body, slot(0x05, offset=start) if rng.random() < 0.1 else self._condition(start)]
        count = slot(0xB7, 9, imm=rng.randrange(6))
        down = slot(0x17 if kind == 1 else 0x14, 9, imm=1)
        return [count, *body, down, slot(0x65 if kind < 3 else 0x66, 9, 0, back)]

    def call(self, level: int) -> list[Item]:
        target = self._target(level)
        return [("call", target)] if target is not None else [slot(0x07, 8, imm=1)]

    def call_by_value(self, level: int) -> list[Item]:
        if self.rng.random() < 0.4:
            number = self.rng.choice((5, 7, 8, 51, 4, 999))
            return [slot(0xB7, 5, imm=number), slot(0x8D, 5)]
        target = self._target(level)
        if target is None:
            return [slot(0x8D, self.register())] if self.rng.random() < 0.1 else []
        return [("address", target), slot(0), slot(0x8D, 4)]

    def _target(self, level: int) -> int | None:
        """Mostly functions behind this one, so that most programs end by themselves."""
        if self.rng.random() < 0.07:
            return self.rng.randrange(self.functions + 1)
        return self.rng.randrange(level + 1, self.functions + 1) if level < self.functions else None

    def leave(self, _: int) -> list[Item]:
        return [self._condition(1), slot(0x95)]

    def _bend(self, code: list[bytes]) -> None:
        """Make one instruction a jump to anywhere."""
        starts = [i for i in range(len(code)) if not (i and code[i - 1][0] == 0x18)]
        here, target = self.rng.choice(starts), self.rng.choice(starts)
        if code[here][0] != 0x18 and here < len(code) - 1:
            code[here] = self._condition(target - here - 1)


def _link(item: tuple[str, int], here: int, begins: list[int]) -> bytes:
    kind, function = item
    if kind == "call":
        return slot(0x85, 0, 1, imm=begins[function] - here - 1)
    return slot(0x18, 4, imm=_signed(Region.CODE << REGION_SHIFT | begins[function]))
