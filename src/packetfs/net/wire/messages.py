"""The messages of a sync and their bytes: docs/wire.md is generated from these tables.

A frame is length u32, type u8, flags u8, payload. Flag 1: the payload is zstd, behind its decoded length as u32.
Fields follow each other in the order of the tables; there is nothing optional. Who speaks when:

    client -> far       HELLO
    far -> client       WELCOME
    receiver -> sender  READY
    sender -> receiver  BATCH ... of new files, if the receiver is empty
    receiver -> sender  STATE (it may come before those batches: nobody waits for the other here)
    sender -> receiver  BEGIN
    receiver -> sender  SKETCH (only in mode SKETCH); while that is not enough, the sender answers MORE
    sender -> receiver  SUBTREES (only then, before MORE or DIFFERENCE); HELD answers each
    sender -> receiver  DIFFERENCE (only then); where no root is shared: LISTING ..., LISTED
    receiver -> sender  WANT, SIGNATURES (only after LISTED)
    sender -> receiver  MATCHED, if those were not the last SIGNATURES; more of them follow
    sender -> receiver  BATCH ..., COMMIT
    receiver -> sender  DONE
    sender -> receiver  BEGIN, BATCH ..., COMMIT for each later change, where HELLO asked for WATCH; DONE answers
    either              FAILED, instead of anything else; the connection ends
    either              HEARTBEAT, at any time; nobody answers it

Instead of a sync, a program can be sent to where the files are:

    client -> far       RUN
    far -> client       OUTPUT, TOLD ... as they come; FAULTED ..., MAPPED ..., RAN
"""

from __future__ import annotations

import struct

from packetfs.dataclass import dataclass, fields
from packetfs.enum import IntEnum, IntFlag
from packetfs.errors import BadMessage
from packetfs.limits import (
    DRIFT_MAX,
    FRAME_MAX,
    MAP_KEY_MAX,
    MAP_VALUE_MAX,
    NAMED_MAX,
    NUMBERS_MAX,
    PATH_MAX,
    ROOTS_HELD,
)
from packetfs.net.wire.varint import Cursor, write_bytes, write_varint
from packetfs.packet.digest import DIGEST, NO_DIGEST, Digest
from packetfs.typing import Any, ClassVar, Final, TypeAlias, TypeVar

PROTOCOL: Final = 6
MAGIC: Final = b"PacketFS"
FRAME: Final = struct.Struct("<IBB")
COMPRESSED: Final = 1


class Type(IntEnum):
    """The type byte of a frame."""

    HELLO = 1
    WELCOME = 2
    STATE = 3
    BEGIN = 4
    LISTING = 5
    LISTED = 6
    WANT = 7
    BATCH = 8
    COMMIT = 9
    DONE = 10
    FAILED = 11
    READY = 12
    RUN = 13
    OUTPUT = 14
    TOLD = 15
    FAULTED = 16
    MAPPED = 17
    RAN = 18
    HEARTBEAT = 19
    SIGNATURES = 20
    MATCHED = 21
    SKETCH = 22
    MORE = 23
    DIFFERENCE = 24
    SUBTREES = 25
    HELD = 26


class Option(IntFlag):
    """HELLO.options."""

    PULL = 1
    """The far side sends."""
    DELETE = 2
    CHECKSUM = 4
    DRY_RUN = 8
    POOL = 16
    """The path lies in a pool: `pool`, or where that is empty the far side's own."""
    WATCH = 32
    """The connection stands after DONE: the sender goes on with what changes, each time from the root it sent last."""


class Mode(IntEnum):
    """BEGIN.mode: what the sender knows of the receiver."""

    FULL = 0
    """It holds nothing: all content travels."""
    DELTA = 1
    """It holds `base`: exact deltas travel, in one flight."""
    LIST = 2
    """Unknown: names and ids travel first, then what the receiver lacks."""
    SKETCH = 3
    """Unknown, of many names: a sketch tells which of them differ, and only these are listed."""


Drift = tuple[bytes, int, int]
"""A path that is no longer what the last sync left: path, size, mtime in ns (size 0, mtime 0: it is gone)."""
Failure = tuple[bytes, bytes]
"""A path and why the receiver could not handle it."""
Pair = tuple[bytes, bytes]
"""A key of a map and its value."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message: who speaks, where to, and how. `name` is the single file that is sent, empty for a tree."""

    TYPE: ClassVar[Type] = Type.HELLO
    magic: bytes
    protocol: int
    options: int
    pool: bytes
    path: bytes
    name: bytes
    mean: int
    keep: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """The far side's version and chunk mean, and, where it sends, whether the source is a directory 1 or a file 2.
    `hands` 1: an open file came with HELLO, so both may hand files over."""

    TYPE: ClassVar[Type] = Type.WELCOME
    magic: bytes
    protocol: int
    program: bytes
    mean: int
    shape: int
    hands: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The receiver is open; `empty` 1: content may come before anything is compared."""

    TYPE: ClassVar[Type] = Type.READY
    empty: int


@dataclass(frozen=True, slots=True)
class State:
    """What the receiver holds: roots of this dataset, newest first; `empty` 1 when there is nothing at all."""

    TYPE: ClassVar[Type] = Type.STATE
    empty: int
    roots: tuple[Digest, ...]
    drift: tuple[Drift, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """What follows, from which base to which root."""

    TYPE: ClassVar[Type] = Type.BEGIN
    mode: int
    base: Digest
    root: Digest
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Names of the new tree in walk order with their entries and 8-byte extent ids (listing.py)."""

    TYPE: ClassVar[Type] = Type.LISTING
    records: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """The end of the listing."""

    TYPE: ClassVar[Type] = Type.LISTED
    count: int


@dataclass(frozen=True, slots=True)
class Want:
    """Bitmaps: which listed entries need content or change, and which extents of the wanted files are held."""

    TYPE: ClassVar[Type] = Type.WANT
    wanted: bytes
    held: bytes
    signature_bytes: int


@dataclass(frozen=True, slots=True)
class Sketch:
    """Coded symbols of the ids of the receiver's names, the next ones of an endless sequence. `items`: how many names
    there are; `key`: what makes the ids, 32 bytes."""

    TYPE: ClassVar[Type] = Type.SKETCH
    key: bytes
    items: int
    symbols: bytes


@dataclass(frozen=True, slots=True)
class More:
    """So many symbols more are needed. `anew` 1: from the first on, of a set in which a directory that the receiver has
    elsewhere stands for all that is below it."""

    TYPE: ClassVar[Type] = Type.MORE
    symbols: int
    anew: int


@dataclass(frozen=True, slots=True)
class Difference:
    """`whole` 1: ids of the receiver's names that the sender does not have; what the receiver lacks is listed next.
    0: the sketch did not help, all names are listed, but for those in directories that the receiver has."""

    TYPE: ClassVar[Type] = Type.DIFFERENCE
    whole: int
    ids: bytes


@dataclass(frozen=True, slots=True)
class Subtrees:
    """Ids of directories of the new tree, of those above first: 8 bytes for all that is in one, 2 for its path."""

    TYPE: ClassVar[Type] = Type.SUBTREES
    ids: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """Bitmaps: which of these directories the receiver has, with all that is in them, and which at the same path."""

    TYPE: ClassVar[Type] = Type.HELD
    held: bytes
    placed: bytes


@dataclass(frozen=True, slots=True)
class Signatures:
    """Sums of `width` bytes of the blocks of old content that no extent of the new tree has: of `runs` (their lengths,
    as varints) at first, then of what MATCHED left of them. `last` 1: content may follow."""

    TYPE: ClassVar[Type] = Type.SIGNATURES
    block: int
    width: int
    key: int
    last: int
    runs: bytes
    sums: bytes


@dataclass(frozen=True, slots=True)
class Matched:
    """Bitmap: which blocks stand somewhere in the new content. `left`: bytes of it that are not explained yet."""

    TYPE: ClassVar[Type] = Type.MATCHED
    blocks: bytes
    left: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of the items, and what the sender could not read of its tree: only the receiver may have a listener."""

    TYPE: ClassVar[Type] = Type.COMMIT
    root: Digest
    troubles: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What the receiver holds now, could not do, and removed beyond the items; the snapshot, if it took one."""

    TYPE: ClassVar[Type] = Type.DONE
    root: Digest
    failures: tuple[Failure, ...]
    deleted: tuple[bytes, ...]
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """One error that ends the session, as the user shall see it."""

    TYPE: ClassVar[Type] = Type.FAILED
    exit_code: int
    message: bytes
    hint: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """This side lives and is at work, though it has nothing to say; it comes after a while without a frame."""

    TYPE: ClassVar[Type] = Type.HEARTBEAT


@dataclass(frozen=True, slots=True)
class Run:
    """A program as packets, and the files to run it over, which lie there: paths, or pfs:PATH in `pool` (empty: the far
    side's own). `limits`: engine (0 auto, 1 interpreter, 2 native, 3 cpu, 4 lanes), microVMs, workers (0: its own
    choice), fuel, seed, bytes of a shard, repeats, 1 where the pool there may remember results."""

    TYPE: ClassVar[Type] = Type.RUN
    magic: bytes
    protocol: int
    program: bytes
    records: bytes
    pool: bytes
    snapshot: bytes
    paths: tuple[bytes, ...]
    limits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """What the program emitted, in the order of the records."""

    TYPE: ClassVar[Type] = Type.OUTPUT
    data: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """A line that the program traced: in which file, by which microVM. `vm` 0: what is wrong with the file itself."""

    TYPE: ClassVar[Type] = Type.TOLD
    file: bytes
    vm: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Faulted:
    """A microVM that ended early."""

    TYPE: ClassVar[Type] = Type.FAULTED
    shard: int
    vm: int
    file: bytes
    record_start: int
    records: int
    fault: int
    pc: int
    address: int
    instruction: bytes


@dataclass(frozen=True, slots=True)
class Mapped:
    """Entries of a reduced map, by its number in the program; a large map takes several."""

    TYPE: ClassVar[Type] = Type.MAPPED
    map: int
    entries: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """The end of a run. `verdicts`: r0 of 0 to 4, any other. `timings`: microseconds of each run. `remembered`: shards
    whose results were there already. `ways` and `ran`: in which ways records ran, and how many in each; `why`: what
    the engine chose, in words."""

    TYPE: ClassVar[Type] = Type.RAN
    records: int
    size: int
    shards: int
    executed: int
    emitted: int
    last: int
    faulted: int
    engine: bytes
    verdicts: tuple[int, ...]
    timings: tuple[int, ...]
    remembered: int
    ways: tuple[bytes, ...]
    ran: tuple[int, ...]
    why: bytes


SyncMessage: TypeAlias = (
    Hello
    | Welcome
    | Ready
    | State
    | Begin
    | Listing
    | Listed
    | Want
    | Sketch
    | More
    | Difference
    | Subtrees
    | Held
    | Signatures
    | Matched
    | Commit
    | Done
    | Failed
)
RunMessage: TypeAlias = Run | Output | Told | Faulted | Mapped | Ran
Message: TypeAlias = SyncMessage | RunMessage | Heartbeat

_all: Any = Message
MESSAGES: Final[dict[Type, type[Any]]] = {kind.TYPE: kind for kind in _all.__args__}

_TEXT_MAX: Final = FRAME_MAX


def encode_message(message: Message) -> bytes:
    """Return the payload of a message."""
    out = bytearray()
    for field in fields(message):
        _WRITE[str(field.type)](out, getattr(message, field.name))
    return bytes(out)


def decode_message(kind: int, payload: bytes) -> Message:
    """Return the message of type `kind`; BadMessage when the payload is not one."""
    known = MESSAGES.get(kind)  # type: ignore[call-overload]
    if known is None:
        raise BadMessage(reason=f"message type {kind} is unknown")
    cursor = Cursor(payload)
    values = [_READ[str(field.type)](cursor) for field in fields(known)]
    cursor.finish()
    message: Message = known(*values)
    return message


Expected = TypeVar("Expected", bound=Message)


def _write_digest(out: bytearray, digest: Digest) -> None:
    out += digest


def _write_digests(out: bytearray, digests: tuple[Digest, ...]) -> None:
    write_varint(out, len(digests))
    for digest in digests:
        out += digest


def _write_drift(out: bytearray, items: tuple[Drift, ...]) -> None:
    write_varint(out, len(items))
    for path, size, mtime_ns in items:
        write_bytes(out, path)
        write_varint(out, size)
        write_varint(out, mtime_ns % (1 << 64))


def _write_failures(out: bytearray, items: tuple[Failure, ...]) -> None:
    write_varint(out, len(items))
    for path, reason in items:
        write_bytes(out, path)
        write_bytes(out, reason)


def _write_paths(out: bytearray, paths: tuple[bytes, ...]) -> None:
    write_varint(out, len(paths))
    for path in paths:
        write_bytes(out, path)


def _write_numbers(out: bytearray, numbers: tuple[int, ...]) -> None:
    write_varint(out, len(numbers))
    for number in numbers:
        write_varint(out, number)


def _count(cursor: Cursor, limit: int) -> int:
    """Return a count that the rest of the payload can hold; an item costs more memory than bytes in a frame."""
    return cursor.varint(min(cursor.end - cursor.at, limit) + 1)


def _read_signed_time(cursor: Cursor) -> int:
    value = cursor.varint()
    return value - (1 << 64) if value >= 1 << 63 else value


_WRITE: Final[dict[str, Any]] = {
    "int": write_varint,
    "bytes": write_bytes,
    "Digest": _write_digest,
    "tuple[Digest, ...]": _write_digests,
    "tuple[Drift, ...]": _write_drift,
    "tuple[Failure, ...]": _write_failures,
    "tuple[Pair, ...]": _write_failures,
    "tuple[bytes, ...]": _write_paths,
    "tuple[int, ...]": _write_numbers,
}

_READ: Final[dict[str, Any]] = {
    "int": Cursor.varint,
    "bytes": lambda c: c.bytes(_TEXT_MAX),
    "Digest": lambda c: Digest(c.take(DIGEST)),
    "tuple[Digest, ...]": lambda c: tuple(Digest(c.take(DIGEST)) for _ in range(_count(c, ROOTS_HELD))),
    "tuple[Drift, ...]": lambda c: tuple(
        (c.bytes(PATH_MAX), c.varint(), _read_signed_time(c)) for _ in range(_count(c, DRIFT_MAX))
    ),
    "tuple[Failure, ...]": lambda c: tuple(
        (c.bytes(PATH_MAX), c.bytes(_TEXT_MAX)) for _ in range(_count(c, NAMED_MAX))
    ),
    "tuple[Pair, ...]": lambda c: tuple(
        (c.bytes(MAP_KEY_MAX), c.bytes(MAP_VALUE_MAX)) for _ in range(_count(c, NAMED_MAX))
    ),
    "tuple[bytes, ...]": lambda c: tuple(c.bytes(PATH_MAX) for _ in range(_count(c, NAMED_MAX))),
    "tuple[int, ...]": lambda c: tuple(c.varint() for _ in range(_count(c, NUMBERS_MAX))),
}

NO_ROOT: Final = NO_DIGEST
