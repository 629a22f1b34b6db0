"""Which directories of the new tree the receiver has with all that is in them, wherever they lie.

A directory's root stands for its whole subtree. So the sender asks from the top down, and not below what is held: what
it costs follows what differs and how many directories there are, not how many names. Each question goes as many levels
down as it has room for, so that depth costs no trips. What a sketch is too small for is found this way: a directory
that was renamed, or a tree in which most changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from packetfs.errors import BadMessage
from packetfs.limits import SUBTREES_FIRST, SUBTREES_GROWTH, SUBTREES_MAX
from packetfs.net.finding.names import ID, directories, is_directory, root_of, walk
from packetfs.net.link.channel import Channel
from packetfs.net.wire.batch import Batch
from packetfs.net.wire.listing import Bits
from packetfs.net.wire.messages import Held, Message, Subtrees
from packetfs.packet.digest import Digest, keyed_tag
from packetfs.packet.tree import Store
from packetfs.typing import Final

_PLACE: Final = 2
"""Bytes of a path's id: where two share one, a directory that moved is listed name by name."""
QUESTION: Final = ID + _PLACE
"""Bytes of a question."""


def _tree_id(key: bytes, root: Digest) -> bytes:
    return keyed_tag(key, root)[:ID]


def _place_id(key: bytes, path: bytes) -> bytes:
    return keyed_tag(key, path)[:_PLACE]


# the sender


class Asked:
    """What a sender learned of a receiver's directories, by root; `moved` are held, and not where it has them."""

    def __init__(self, store: Store, root: Digest, key: bytes) -> None:
        self._store = store
        self._root = root
        self._key = key
        self._paths: set[bytes] = set()
        self.held: set[Digest] = set()
        self.moved: set[Digest] = set()

    def ask(self, channel: Channel, room: int) -> None:
        """Ask about as many directories as `room` has bytes for."""
        left, portion = min(room // QUESTION, SUBTREES_MAX), SUBTREES_FIRST
        while left and (asked := list(islice(self._unknown(), min(left, portion)))):
            ids = (_tree_id(self._key, root) + _place_id(self._key, path) for path, root in asked)
            channel.send(Subtrees(b"".join(ids)))
            self._learn(asked, channel.expect(Held))
            left, portion = left - len(asked), portion * SUBTREES_GROWTH

    def _learn(self, asked: list[tuple[bytes, Digest]], said: Held) -> None:
        held, placed = Bits(said.held), Bits(said.placed)
        for number, (path, root) in enumerate(asked):
            self._paths.add(path)
            if held[number]:
                self.held.add(root)
                if not placed[number]:
                    self.moved.add(root)

    def _unknown(self) -> Iterator[tuple[bytes, Digest]]:
        """Yield directories that were not asked about, level by level, but none below one that is held."""
        waiting = deque([(b"", self._root)])
        while waiting:
            above, root = waiting.popleft()
            for path, below in directories(self._store, root, above):
                if path not in self._paths:
                    yield path, below
                if below not in self.held:
                    waiting.append((path + b"/", below))


# the receiver


class Answered:
    """What a receiver told of its directories: where those are that are held, and which of them are not in place."""

    def __init__(self, store: Store, root: Digest, key: bytes) -> None:
        self._store = store
        self._root = root
        self._key = key
        self._left = SUBTREES_MAX
        self.held: dict[Digest, bytes] = {}
        self.moved: set[Digest] = set()

    def answer(self, channel: Channel, message: Message | Batch) -> Message | Batch:
        """Answer questions, if this is one; return what comes behind them."""
        while isinstance(message, Subtrees):
            count, odd = divmod(len(message.ids), QUESTION)
            self._left -= count
            if odd or not count or self._left < 0:
                raise BadMessage(reason=f"questions about subtrees of {len(message.ids)} bytes")
            channel.send(self._answer(message.ids))
            message = channel.receive()
        return message

    def _answer(self, ids: bytes) -> Held:
        wanted: dict[bytes, dict[bytes, list[int]]] = {}
        for number, at in enumerate(range(0, len(ids), QUESTION)):
            places = wanted.setdefault(ids[at : at + ID], {})
            places.setdefault(ids[at + ID : at + QUESTION], []).append(number)
        found: dict[bytes, Digest] = {}
        placed = Bits()
        for path, leaf in walk(self._store, self._root):
            if not is_directory(leaf):
                continue
            root = root_of(leaf)
            tree = _tree_id(self._key, root)
            if tree in wanted:
                found[tree] = root
                self.held.setdefault(root, path)
                for number in wanted[tree].pop(_place_id(self._key, path), ()):
                    placed.set(number)
        self.moved.update(root for tree, root in found.items() if wanted[tree])
        held = Bits()
        for number, at in enumerate(range(0, len(ids), QUESTION)):
            if ids[at : at + ID] in found:
                held.set(number)
        return Held(bytes(held.data), bytes(placed.data))
