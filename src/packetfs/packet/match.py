"""The delta kernel's definition: instructions and literals that make a window of the new file from one of the old.

Most of a changed file lies where it lay, or a constant *shift* away. So a search first tries the shifts of the last
copies, then a chained hash of the old bytes near the shift of the last long copy (*home*), then one of sparse, longer
samples of the whole window. A match is widened to both sides. Copies stay *pending* until a long one is found, and one
that reaches back over them takes their place: a choice made too early costs nothing. A copy is taken when it saves
more than it costs, with literals counted at what zstd leaves of them.

The constants were tuned on databases, logs, tables, sources and random bytes with scattered edits, where the result is
smaller than xdelta3's with the whole base in memory (bench/delta_kernel.py). Output is part of no format: any reader
takes what any version writes. The native twin emits the same bytes.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.packet.varint import encode_varint, zigzag
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

WINDOW_MAX: Final = 1 << 30
OFFSET_MAX: Final = 1 << 62
SHIFTS: Final = 3
"""Recent shifts tried first, besides home."""
PENDING: Final = 16
"""Copies that may still be replaced."""
LONG: Final = 512
"""Bytes of a copy that is certainly right: it becomes home, and all pending is written."""
TRIED_MIN: Final = 4
"""Bytes that a tried shift must match."""
RUN_MIN: Final = 32
"""Bytes of a FILL."""
WEIGHT_MAX: Final = 6
"""What a literal byte costs after compression, in 1/16 bytes; less where few values occur (`weigh`)."""
SAMPLES: Final = 4096
"""Bytes at least that are looked at to know."""
BYTE: Final = 16
"""What an instruction byte costs, in 1/16 bytes: little of them is redundant."""
NEAR_WIDTH: Final = 8
"""Bytes hashed at every NEAR_STRIDE-th old position within NEAR_REACH of home; a search tries the last NEAR_TRIES."""
NEAR_STRIDE: Final = 4
NEAR_REACH: Final = 32768
NEAR_BITS: Final = 15
NEAR_RING: Final = 1 << 15
"""Links kept: positions further back than NEAR_RING strides are forgotten."""
NEAR_TRIES: Final = 8
FAR_WIDTH: Final = 24
"""Bytes hashed at every FAR_STRIDE-th old position; asked only where FAR_GAP bytes are not explained yet."""
FAR_STRIDE: Final = 16
FAR_BITS_MIN: Final = 10
FAR_BITS_MAX: Final = 18
FAR_GAP: Final = 32
STEP_SHIFT: Final = 9
"""With each 512 bytes of a gap the search gets 2 positions coarser, up to STEP_MAX; odd steps meet every residue."""
STEP_MAX: Final = 31
MIX1: Final = 0x9E3779B185EBCA87
MIX2: Final = 0xC2B2AE3D27D4EB4F
_U64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Op:
    """new[at : at + length] is old[source : source + length], or (source -1) the byte new[at] repeated."""

    at: int
    source: int
    length: int

    @property
    def end(self) -> int:
        return self.at + self.length

    @property
    def is_fill(self) -> bool:
        return self.source < 0

    @property
    def shift(self) -> int:
        return self.source - self.at


def match_python(old: Buffer, old_base: int, new: Buffer, expected: int, /) -> tuple[bytes, bytes, int]:
    """Return (instructions, literals, expected): `new` as packed instructions on `old`, which lies at `old_base`.

    `expected` is the base offset where a copy of the first new byte costs least; the one returned belongs to the byte
    after the last.
    """
    if not 0 <= old_base <= OFFSET_MAX or not 0 <= expected <= OFFSET_MAX:
        raise ValueError("offsets are integers from 0 to 2**62")
    before, after = bytes(old), bytes(new)
    if max(len(before), len(after)) > WINDOW_MAX:
        raise ValueError("a window is 1 GiB at the most")
    pending = Pending(after, expected - old_base)
    Search(before, after, pending).run()
    shift = pending.close()
    return bytes(pending.instructions), bytes(pending.literals), shift + len(after) + old_base


class Pending:
    """Copies that are chosen but not written, and the two streams that they are written to."""

    def __init__(self, new: bytes, shift: int) -> None:
        self.instructions, self.literals = bytearray(), bytearray()
        self.floor = 0  # new bytes below it are written
        self.home = shift
        self._weight = weigh(new)
        self.shifts = [shift] * SHIFTS
        self._new = new
        self._written = shift
        self._ops: list[Op] = []

    @property
    def made(self) -> int:
        return self._ops[-1].end if self._ops else self.floor

    def worth_of(self, op: Op) -> int:
        """Literal bytes saved and instructions spared less this one's cost; literals that dropped ones leave count."""
        kept = self._kept_before(op)
        dropped = range(kept, len(self._ops))
        covered = op.length - sum(self._ops[i].length for i in dropped)
        if kept:
            covered -= max(0, self._ops[kept - 1].end - op.at)
        return sum(self._cost(self._ops[i], i) for i in dropped) + covered * self._weight - self._cost(op, kept)

    def take(self, op: Op) -> None:
        """Add a copy; those that it covers go."""
        del self._ops[self._kept_before(op) :]
        if self.made > op.at:
            last = self._ops[-1]
            self._ops[-1] = Op(last.at, last.source, op.at - last.at)
        if len(self._ops) == PENDING:
            self._write(1)
        self._ops.append(op)
        if not op.is_fill:
            self._remember(op.shift)
        if op.length >= LONG:
            self.home = self.home if op.is_fill else op.shift
            self._write(len(self._ops))

    def close(self) -> int:
        """Write all that is left, and return the last shift."""
        self._write(len(self._ops))
        self._write_literal(len(self._new))
        return self._written

    def _kept_before(self, op: Op) -> int:
        """Return how many copies stay: one that `op` covers goes, and one whose rest does not pay."""
        kept = len(self._ops)
        while kept:
            last = self._ops[kept - 1]
            rest = op.at - last.at
            if rest > 0 and not (last.end > op.at and rest * self._weight <= self._cost(last, kept - 1)):
                break
            kept -= 1
        return kept

    def _cost(self, op: Op, count: int) -> int:
        """Return the cost of an instruction after `count` copies, with a byte for the head of a literal behind it."""
        shift = next((last.shift for last in reversed(self._ops[:count]) if not last.is_fill), self._written)
        operand = 1 if op.is_fill else len(encode_varint(zigzag(op.shift - shift)))
        return BYTE * (len(encode_varint(op.length << 2)) + operand + 1)

    def _remember(self, shift: int) -> None:
        at = self.shifts.index(shift) if shift in self.shifts else SHIFTS - 1
        del self.shifts[at]
        self.shifts.insert(0, shift)

    def _write(self, count: int) -> None:
        for op in self._ops[:count]:
            self._write_literal(op.at)
            if op.is_fill:
                self.instructions += encode_varint(op.length << 2 | 2) + self._new[op.at : op.at + 1]
            else:
                offset = zigzag(op.shift - self._written)
                self.instructions += encode_varint(op.length << 2 | 1) + encode_varint(offset)
                self._written = op.shift
            self.floor = op.end
        del self._ops[:count]

    def _write_literal(self, end: int) -> None:
        if end > self.floor:
            self.instructions += encode_varint((end - self.floor) << 2)
            self.literals += self._new[self.floor : end]
            self.floor = end


class Search:
    """Finds copies for the new window, from its start to its end."""

    def __init__(self, old: bytes, new: bytes, pending: Pending) -> None:
        self._old, self._new, self._pending = old, new, pending
        self._near: dict[int, int] = {}
        self._links: dict[int, int] = {}
        self._indexed = 0  # the near index has seen old positions below it, as far as they were in reach
        self._far: dict[int, int] | None = None
        self._far_bits = FAR_BITS_MIN

    def run(self) -> None:
        at = 0
        while at < len(self._new):
            worth, op = 0, None
            for candidate in self._candidates(at):
                found = self._pending.worth_of(candidate)
                if found > worth:
                    worth, op = found, candidate
            if op is not None:
                self._pending.take(op)
                at = self._pending.made
            else:
                at += min(1 + 2 * ((at - self._pending.made) >> STEP_SHIFT), STEP_MAX)

    def _candidates(self, at: int) -> Iterator[Op]:
        """Yield copies and runs that cover new[at], in the order in which the first of equal worth wins."""
        for source, least in self._sources(at):
            if source < 0:
                end = _run_end(self._new, at)
                if end - at >= RUN_MIN:
                    yield Op(at, -1, end - at)
            elif self._new[at : at + least] == self._old[source : source + least]:
                yield self._widen(at, source)

    def _sources(self, at: int) -> Iterator[tuple[int, int]]:
        """Yield old positions that may match new[at] and the bytes that must; -1 stands for a run."""
        left = len(self._new) - at
        if left >= TRIED_MIN:
            for shift in (*self._pending.shifts, self._pending.home):
                if 0 <= at + shift <= len(self._old) - TRIED_MIN:
                    yield at + shift, TRIED_MIN
        if left >= NEAR_WIDTH:
            if self._new[at : at + 8] == self._new[at : at + 1] * 8:
                yield -1, RUN_MIN
            yield from ((source, NEAR_WIDTH) for source in self._chain(at))
        if left >= FAR_WIDTH and at - self._pending.floor >= FAR_GAP:
            if self._far is None:
                self._far = self._index_far()
            source = self._far.get(_hash_far(self._new, at, self._far_bits))
            if source is not None:
                yield source, FAR_WIDTH

    def _widen(self, at: int, source: int) -> Op:
        length = shared_front(self._new, at, self._old, source)
        back = shared_back(self._new, at, self._old, source, min(at - self._pending.floor, source))
        return Op(at - back, source - back, back + length)

    def _chain(self, at: int) -> Iterator[int]:
        self._index_near(at + self._pending.home)
        position = self._near.get(_hash_near(self._new, at))
        for _ in range(NEAR_TRIES):
            if position is None or position + NEAR_STRIDE * NEAR_RING <= self._indexed:
                return
            yield position
            position = self._links.get(position)

    def _index_near(self, middle: int) -> None:
        """Index what came into reach; positions only go up, so a chain goes down."""
        start = max(self._indexed, middle - NEAR_REACH)
        end = min(len(self._old) - NEAR_WIDTH + 1, middle + NEAR_REACH)
        if start >= end:
            return
        first = -(-start // NEAR_STRIDE) * NEAR_STRIDE
        for position in range(first, end, NEAR_STRIDE):
            slot = _hash_near(self._old, position)
            if slot in self._near:
                self._links[position] = self._near[slot]
            self._near[slot] = position
        self._indexed = first + -(-max(0, end - first) // NEAR_STRIDE) * NEAR_STRIDE

    def _index_far(self) -> dict[int, int]:
        samples = len(self._old) // FAR_STRIDE
        self._far_bits = min(FAR_BITS_MAX, max(FAR_BITS_MIN, samples.bit_length()))
        positions = range(0, len(self._old) - FAR_WIDTH + 1, FAR_STRIDE)
        return {_hash_far(self._old, position, self._far_bits): position for position in positions}


def weigh(data: bytes) -> int:
    """Return log2 of how many values occur: bits, DNA and digits compress so well that short copies do not pay."""
    values = len(set(data[:: max(1, len(data) // SAMPLES)]))
    return min(WEIGHT_MAX, max(1, (values - 1).bit_length()))


def shared_front(a: bytes, at_a: int, b: bytes, at_b: int) -> int:
    """Return how many bytes a[at_a:] and b[at_b:] share at their front, looking at twice as many each time."""
    done, step = 0, 64
    while (left := a[at_a + done : at_a + done + step]) == b[at_b + done : at_b + done + step] and len(left) == step:
        done, step = done + step, step * 2
    right = b[at_b + done : at_b + done + step]
    size = min(len(left), len(right))
    difference = int.from_bytes(left[:size], "little") ^ int.from_bytes(right[:size], "little")
    return done + (((difference & -difference).bit_length() - 1) // 8 if difference else size)


def shared_back(a: bytes, at_a: int, b: bytes, at_b: int, limit: int) -> int:
    """Return how many bytes a[:at_a] and b[:at_b] share at their ends, `limit` at the most."""
    done, step = 0, 64
    while done < limit:
        size = min(step, limit - done)
        left, right = a[at_a - done - size : at_a - done], b[at_b - done - size : at_b - done]
        if left != right:
            difference = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
            return done + size - 1 - (difference.bit_length() - 1) // 8
        done, step = done + size, step * 2
    return limit


def _run_end(data: bytes, at: int) -> int:
    step = 64
    while data[at : at + step] == data[at : at + 1] * step:
        step *= 2
    return at + step - len(data[at : at + step].lstrip(data[at : at + 1])) - max(0, at + step - len(data))


def _hash_near(data: bytes, at: int) -> int:
    return (int.from_bytes(data[at : at + 8], "little") * MIX1 & _U64) >> (64 - NEAR_BITS)


def _hash_far(data: bytes, at: int, bits: int) -> int:
    first, second, third = (int.from_bytes(data[at + k : at + k + 8], "little") for k in (0, 8, 16))
    value = ((first * MIX1 & _U64) ^ second) * MIX2 & _U64
    return ((value ^ value >> 29 ^ third) * MIX1 & _U64) >> (64 - bits)
