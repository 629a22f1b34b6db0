"""A batch: items of control bytes and the literals that they take, each compressed where that pays.

Control is a sequence of items: kind u8, then

    1 ENTRY   shared-prefix length with the last path and the rest of it, content kind, packed entry
    2 BLOCK   length-prefixed instructions that take the next literals of this batch; for the last ENTRY
    3 END     the last ENTRY's content is whole: verify it
    7 ABANDON instead of END: the file changed while it was read, what came of it is no version of it
    8 OFFER   a file of this machine came with the batch: whole content may be copied from it, until the next OFFER
    4 REMOVE  path, as in ENTRY
    5 SOURCE  path of a file to copy from, as it was before this sync or, where it was not, as this sync brought it;
              sources are numbered from 1 in the order they are declared
    6 LINK    path and packed entry, then the path of an earlier name of the same file

A batch is four u32 (control length decoded and stored, literal length decoded and stored), control, literals; a part
whose two lengths are equal is stored as it is, else as one zstd frame.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain

from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum
from packetfs.errors import BadMessage
from packetfs.limits import FRAME_MAX
from packetfs.packet.layout import Buffer
from packetfs.packet.zstd import compress, decompress
from packetfs.typing import Final, NamedTuple

_HEAD: Final = struct.Struct("<IIII")

_SAMPLE: Final = 8 * 1024
"""Bytes tried before a large literal part is compressed: random data is left alone at 1/100 of the cost."""
_WORTH_TRYING: Final = 64
"""Bytes below which a frame's own 9 to 13 bytes eat what zstd saves."""
_SHARE: Final = 8
"""Of noise, one part in so many more is taken for noise without a trial: 0.07 ms among other work (by hand)."""
_SKIPPED_MAX: Final = 8
"""Batches in a row that are sent without a trial."""
_SMALL: Final = 256 * 1024
"""A part up to this size is worth a slow level: it is what a delta costs."""


class Item(IntEnum):
    """Kinds of items in the control part."""

    ENTRY = 1
    BLOCK = 2
    END = 3
    REMOVE = 4
    SOURCE = 5
    LINK = 6
    ABANDON = 7
    OFFER = 8


class Content(IntEnum):
    """What follows an ENTRY.

    LITERAL and EARLY are whole: each instruction stands for one leaf of the file's program, so the receiver need not
    cut; copies are from sources, a COPY from the file of this machine that was offered last. EARLY comes while the
    sender still reads the file: the entry's root follows in a later ENTRY with NONE.
    """

    NONE = 0
    LITERAL = 1
    DELTA = 2
    """Copies from the file's old version, or from the source that is named as base."""
    LISTED = 3
    """Copies from the new file itself, where the receiver holds its extents."""
    EARLY = 4


WHOLE: Final = frozenset((Content.LITERAL, Content.EARLY))


class Origin(NamedTuple):
    """Where the literals of a batch lie, end to end, in an open file."""

    descriptor: int
    offset: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Control bytes and literals in order."""

    control: Buffer
    literals: Sequence[Buffer]
    origin: Origin | None = None
    """Set where the sender may as well take the literals from a file."""
    descriptor: int = -1
    """The open file that an OFFER in it is about; it passes with the batch."""


class Trial:
    """Whether literals are worth compressing: told by samples of one stream, of fewer batches while all are noise."""

    def __init__(self) -> None:
        self._noise = self._skipped = 0

    def __call__(self, parts: list[Buffer]) -> bool:
        if self._skipped < min(self._noise // _SHARE, _SKIPPED_MAX):
            self._skipped += 1
            return False
        self._noise = 0 if _compressible(parts) else self._noise + 1 + self._skipped
        self._skipped = 0
        return not self._noise


def encode_batch(batch: Batch, trial: Callable[[list[Buffer]], bool] | None = None) -> list[Buffer]:
    """Return the payload in parts, so that incompressible literals are not copied; `trial` finds these."""
    raw = sum(map(len, batch.literals))
    control = _pack_control(bytes(batch.control))
    literals = _pack_literals(list(batch.literals), raw, trial or _compressible)
    stored = sum(map(len, literals))
    return [_HEAD.pack(len(batch.control), len(control), raw, stored), control, *literals]


def _pack_control(control: bytes) -> bytes:
    if len(control) < _WORTH_TRYING:
        return control
    packed = compress(control, 12 if len(control) <= _SMALL else 3)
    return packed if len(packed) < len(control) else control


def _pack_literals(parts: list[Buffer], size: int, trial: Callable[[list[Buffer]], bool]) -> list[Buffer]:
    if size > 4 * _SAMPLE and not trial(parts):
        return parts
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    packed = compress(data, 12 if size <= _SMALL else 3)
    return [packed] if len(packed) < size else parts


def _compressible(parts: list[Buffer]) -> bool:
    """Try a sample from the middle on: a delta's parts are a few bytes each, a first copy's whole chunks."""
    if len(parts) == 1:
        half = len(parts[0]) // 2
        parts = [memoryview(parts[0])[:half], memoryview(parts[0])[half:]]
    sample = bytearray()
    middle = len(parts) // 2
    for part in chain(parts[middle:], parts[:middle]):
        sample += memoryview(part)[len(part) // 2 if len(part) > _SAMPLE else 0 :][:_SAMPLE]
        if len(sample) >= 2 * _SAMPLE:
            break
    return len(compress(bytes(sample), 1)) < len(sample) * 0.97


def decode_batch(payload: memoryview) -> Batch:
    """Return the batch of a payload, whose buffer it may share; sizes are checked before anything is decoded."""
    if len(payload) < _HEAD.size:
        raise BadMessage(reason="a batch is cut short")
    control_raw, control_stored, raw, stored = _HEAD.unpack_from(payload)
    middle = _HEAD.size + control_stored
    if middle + stored != len(payload) or control_raw + raw > FRAME_MAX:
        raise BadMessage(reason="a batch whose lengths do not add up")
    control = _unpack(payload[_HEAD.size : middle], control_raw)
    return Batch(control, [_unpack(payload[middle:], raw)])


def _unpack(part: memoryview, size: int) -> Buffer:
    if len(part) == size:
        return part
    data = decompress(part, size)
    if len(data) != size:
        raise BadMessage(reason="a batch part has another length than announced")
    return data
