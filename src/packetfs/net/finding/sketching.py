"""Which names differ, at a cost that follows the difference: the receiver's sketch, and what the sender makes of it.

The receiver sends coded symbols of the ids of its names (packet/sketch.py); the sender takes its own off and peels the
rest. Where that does not succeed, the counts that are left tell how large the difference is about, and so how many
symbols more are needed, or that a list of all names is cheaper. Before that, the sender asks which directories the
receiver has as they are (subtrees.py): each is one name of the list, and where some lie elsewhere, of a new sketch. A
list is also what repairs anything that goes wrong.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from math import inf
from struct import Struct

from packetfs.dataclass import dataclass
from packetfs.errors import BadMessage
from packetfs.limits import NAMES_MAX, SKETCH_FIRST, SKETCH_ROUNDS, SUBTREES_SHARE, SYMBOLS_MAX
from packetfs.net.finding.comparing import OwnNames
from packetfs.net.finding.names import ID, Selected, Selection, ids_of, walk
from packetfs.net.finding.subtrees import Answered, Asked
from packetfs.net.link.channel import Channel
from packetfs.net.wire.messages import Difference, More, Sketch
from packetfs.net.wire.varint import Cursor, unzigzag, write_varint, zigzag
from packetfs.packet.digest import Digest
from packetfs.packet.sketch import SYMBOL, sketch, sketch_peel
from packetfs.packet.tree import Store
from packetfs.typing import Final

_SUMS: Final = Struct("<QI")
_COUNT_MAX: Final = 1 << 30
_SYMBOL_COST: Final = 14
"""Bytes of a symbol on the wire: 8 of ids, 4 of checks, and its count less the expected one."""
_NAME_COST: Final = 50
"""Bytes of a name in a listing, most of them a root."""
_DIFFERENCE_COST: Final = (_NAME_COST + ID) // 2
"""Bytes that a difference costs once it is known: half of them are the sender's, and listed, the others ids."""
KEY: Final = 32


def share(place: int) -> float:
    """Return the part of all ids that are part of a symbol."""
    return 1 / (1 + place / 2)


def pack_symbols(symbols: bytes, start: int, items: int) -> bytes:
    """Return symbols as they travel: those from `start` on of a set of `items`."""
    out = bytearray()
    for place, (ids, checks, count) in enumerate(SYMBOL.iter_unpack(symbols), start):
        out += _SUMS.pack(ids, checks)
        write_varint(out, zigzag(count - round(items * share(place))))
    return bytes(out)


def unpack_symbols(data: bytes, start: int, items: int) -> bytes:
    """Return what `pack_symbols` was given; BadMessage when it is not that."""
    cursor, out, place = Cursor(data), bytearray(), start
    while not cursor.done:
        ids, checks = _SUMS.unpack(cursor.take(_SUMS.size))
        count = unzigzag(cursor.varint()) + round(items * share(place))
        if abs(count) > _COUNT_MAX or place >= SYMBOLS_MAX:
            raise BadMessage(reason=f"symbol {place} of a sketch with a count of {count}")
        out += SYMBOL.pack(ids, checks, count)
        place += 1
    return bytes(out)


def subtract(ours: bytes, theirs: bytes) -> bytes:
    """Return the symbols of the difference."""
    out = bytearray()
    for a, b in zip(SYMBOL.iter_unpack(ours), SYMBOL.iter_unpack(theirs), strict=True):
        out += SYMBOL.pack(a[0] ^ b[0], a[1] ^ b[1], a[2] - b[2])
    return bytes(out)


def estimate(symbols: bytes) -> int:
    """Return about how many ids differ, from the counts of symbols that could not be peeled.

    A symbol's count is a sum of +1 and -1, each there with the symbol's share; symbol 0 has all of them. Each adds to
    the variance of the counts, whatever its sign.
    """
    counts = [count for _, _, count in SYMBOL.iter_unpack(symbols)]
    net = counts[0] if counts else 0
    places = range(len(counts) // 4, len(counts))
    spread = sum(share(place) * (1 - share(place)) for place in places)
    squares = sum((counts[place] - net * share(place)) ** 2 for place in places)
    return max(abs(net), round(squares / spread)) if spread else 0


def symbols_wanted(have: int, differ: int) -> int:
    """Return how many symbols will do where so many ids differ and `have` symbols did not."""
    return max(have + have // 4, round(1.45 * differ) + 64)


def cost_of_sketch(have: int, wanted: int, differ: int) -> float:
    """Return the bytes of the symbols that are wanted beyond those that are there, and of what they tell.

    Infinity where a sketch cannot have so many.
    """
    return (wanted - have) * _SYMBOL_COST + differ * _DIFFERENCE_COST if wanted <= SYMBOLS_MAX else inf


# the sender


def _all(_: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Differing:
    """The names that a sender lists: those that are `selected` of a walk in which a directory of `held` is one name."""

    held: Collection[Digest] = ()
    selected: Selected = _all


def find_difference(channel: Channel, store: Store, root: Digest) -> Differing:
    """Learn from the receiver's sketch which names differ, and tell the receiver its part of them; return ours."""
    found, theirs = _Search(channel, store, root).run()
    channel.send(Difference(0, b"") if theirs is None else Difference(1, theirs))
    return found


class _Search:
    """A sender that looks for the names that differ."""

    def __init__(self, channel: Channel, store: Store, root: Digest) -> None:
        self._channel = channel
        self._store = store
        self._root = root
        self._said = self._hear()
        self._ids = ids_of(store, root, self._said.key)
        self._symbols = b""
        self._asked: Asked | None = None
        self._held: Collection[Digest] = ()
        self._cost_of_list = len(self._ids) // ID * _NAME_COST

    def run(self) -> tuple[Differing, bytes | None]:
        """Return what is to be listed, and the ids of the receiver's part; None where no sketch tells them."""
        for _ in range(SKETCH_ROUNDS):
            start = len(self._symbols) // SYMBOL.size
            theirs = unpack_symbols(self._said.symbols, start, self._said.items)
            end = start + len(theirs) // SYMBOL.size
            self._symbols += subtract(sketch(self._ids, start, end), theirs)
            mine, other, whole = sketch_peel(self._symbols)
            if whole and end:
                return Differing(self._held, Selection(self._ids, mine)), other
            more = self._go_on(end) if theirs else None
            if more is None:
                break
            self._channel.send(more)
            self._said = self._hear()
        return Differing(self._asked.held if self._asked is not None else ()), None

    def _hear(self) -> Sketch:
        said = self._channel.expect(Sketch)
        if len(said.key) != KEY or said.items > NAMES_MAX:
            raise BadMessage(reason=f"a sketch of {said.items} names with a key of {len(said.key)} bytes")
        return said

    def _go_on(self, have: int) -> More | None:
        """Say how it goes on from a sketch that is too small; None where a list costs least."""
        differ = estimate(self._symbols)
        wanted = symbols_wanted(have, differ)
        onward = cost_of_sketch(have, wanted, differ)
        if self._asked is None:
            self._asked = Asked(self._store, self._root, self._said.key)
            self._asked.ask(self._channel, int(min(onward, self._cost_of_list)) // SUBTREES_SHARE)
            self._cost_of_list = sum(_NAME_COST for _ in walk(self._store, self._root, self._asked.held))
            if self._begin_anew(differ, min(onward, self._cost_of_list)):
                return More(SKETCH_FIRST, 1)
        return More(wanted - have, 0) if onward < self._cost_of_list else None

    def _begin_anew(self, differ: int, cost: float) -> bool:
        """Let directories that moved be one name each, if that costs less."""
        moved = self._asked.moved if self._asked is not None else ()
        if not moved:
            return False
        ids = ids_of(self._store, self._root, self._said.key, moved)
        gone, surplus = (len(self._ids) - len(ids)) // ID, len(self._ids) // ID - self._said.items
        left = sum(max(0, (differ + more) // 2 - gone) for more in (surplus, -surplus))
        if cost_of_sketch(0, SKETCH_FIRST + symbols_wanted(0, left), left) >= cost:
            return False
        self._held, self._ids, self._symbols = moved, ids, b""
        return True


# the receiver


def new_key() -> bytes:
    """Return a key for one sync: no names are made beforehand whose ids are equal."""
    return os.urandom(KEY)


def offer_sketch(channel: Channel, store: Store, root: Digest) -> OwnNames:
    """Send symbols of a tree's names until the sender knows what differs, or lists all of its own."""
    key = new_key()
    answered = Answered(store, root, key)
    ids = ids_of(store, root, key)
    start, more, held = 0, SKETCH_FIRST, set[Digest]()
    for _ in range(SKETCH_ROUNDS + 1):
        end = start + more
        items = len(ids) // ID
        channel.send(Sketch(key, items, pack_symbols(sketch(ids, start, end), start, items)))
        answer = answered.answer(channel, channel.receive())
        if isinstance(answer, Difference) and answer.whole:
            return OwnNames(store, root, answered.held, held, Selection(ids, answer.ids))
        if isinstance(answer, Difference):
            return OwnNames(store, root, answered.held, answered.held, None)
        if not isinstance(answer, More):
            break
        if answer.anew:
            held = answered.moved
            ids, end = ids_of(store, root, key, held), 0
        if not 0 < answer.symbols <= SYMBOLS_MAX - end:
            break
        start, more = end, answer.symbols
    raise BadMessage(reason="what does not follow a sketch")
