"""Which names differ, at a cost that follows the difference: the receiver's sketch, and what the sender makes of it.

The receiver sends coded symbols of the ids of its names (packet/sketch.py); the sender takes its own off and peels the
rest. Where that does not succeed, the counts that are left tell how large the difference is about, and so how many
symbols more are needed, or that a list of all names is cheaper. A list is also what repairs anything that goes wrong.
"""

from __future__ import annotations

import os
from struct import Struct

from packetfs.errors import BadMessage
from packetfs.limits import NAMES_MAX, SKETCH_FIRST, SKETCH_ROUNDS, SYMBOLS_MAX
from packetfs.net.channel import Channel
from packetfs.net.names import ID, Selection, ids_of
from packetfs.net.varint import Cursor, unzigzag, write_varint, zigzag
from packetfs.net.wire import Difference, More, Sketch
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


# the sender


def find_difference(channel: Channel, store: Store, root: Digest) -> Selection | None:
    """Learn from the receiver's sketch which names differ, and tell the receiver its part of them; return ours, or None
    where all names must be listed."""
    peeled = _peel(channel, store, root)
    if peeled is None:
        channel.send(Difference(0, b""))
        return None
    names, theirs = peeled
    channel.send(Difference(1, theirs))
    return names


def _peel(channel: Channel, store: Store, root: Digest) -> tuple[Selection, bytes] | None:
    said = channel.expect(Sketch)
    if len(said.key) != KEY or said.items > NAMES_MAX:
        raise BadMessage(reason=f"a sketch of {said.items} names with a key of {len(said.key)} bytes")
    ids, items, symbols = ids_of(store, root, said.key), said.items, b""
    for _ in range(SKETCH_ROUNDS):
        start = len(symbols) // SYMBOL.size
        theirs = unpack_symbols(said.symbols, start, items)
        end = start + len(theirs) // SYMBOL.size
        symbols += subtract(sketch(ids, start, end), theirs)
        mine, other, whole = sketch_peel(symbols)
        if whole and end:
            return Selection(ids, mine), other
        more = symbols_wanted(symbols, len(ids) // ID) - end
        if more <= 0 or not theirs:
            return None
        channel.send(More(more))
        said = channel.expect(Sketch)
    return None


def symbols_wanted(symbols: bytes, names: int) -> int:
    """Return how many symbols will do, 0 where a list of so many names costs less."""
    have = len(symbols) // SYMBOL.size
    wanted = max(have + have // 4, round(1.45 * estimate(symbols)) + 64)
    return 0 if wanted > SYMBOLS_MAX or (wanted - have) * _SYMBOL_COST > names * _NAME_COST else wanted


# the receiver


def new_key() -> bytes:
    """Return a key for one sync: no names are made beforehand whose ids are equal."""
    return os.urandom(KEY)


def offer_sketch(channel: Channel, store: Store, root: Digest) -> Selection | None:
    """Send symbols of a tree's names until the sender knows what differs; return the names that it lacks, or None where
    it lists all of its own."""
    key = new_key()
    ids = ids_of(store, root, key)
    items, start, more = len(ids) // ID, 0, SKETCH_FIRST
    for _ in range(SKETCH_ROUNDS + 1):
        end = start + more
        channel.send(Sketch(key, items, pack_symbols(sketch(ids, start, end), start, items)))
        answer = channel.receive()
        if isinstance(answer, Difference):
            return Selection(ids, answer.ids) if answer.whole else None
        if not isinstance(answer, More) or not 0 < answer.symbols <= SYMBOLS_MAX - end:
            break
        start, more = end, answer.symbols
    raise BadMessage(reason="what does not follow a sketch")
