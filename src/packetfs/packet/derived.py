"""Derived files: programs that end with CALL packets. What stands before is the content that the first one is run on.

HEAD has the feature DERIVED and the length 0, for nobody knows how many bytes come out before it was run. A program
that calls several hands the output of each to the next: so a file derived of a derived file is no other kind of thing,
and nothing can contain itself.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass, replace
from packetfs.errors import BadProgram
from packetfs.limits import CALLS_MAX
from packetfs.packet.codec import Packet, decode, encode
from packetfs.packet.digest import Digest
from packetfs.packet.head import DERIVED, Head, Kind
from packetfs.packet.layout import BODY, PACKET, CallRecords, Op
from packetfs.packet.tree import Store, produces, split


@dataclass(frozen=True, slots=True)
class Call:
    """A CALL packet: which program is run, over which records, with how much fuel for each."""

    program: Digest
    records: CallRecords
    size: int
    fuel: int


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived file: `base`, the canonical program of the content that its first call is run on, and the calls."""

    base: bytes
    calls: tuple[Call, ...]


def derive(program: bytes, call: Call) -> bytes:
    """Return the program of what `call` makes of a file, given the file's root program."""
    head = Head.parse(decode(program), derived=True)
    if head.kind is not Kind.FILE:
        raise BadProgram(root="of a derived file", reason=f"it would be derived of a {head.kind.name}")
    made = encode(Head(Kind.FILE, 0, head.mean, DERIVED).packet()) + program[PACKET:] + _encode(call)
    parse_derived("of a derived file", made)
    return made


def parse_derived(name: str, program: bytes) -> Derived:
    """Return what a derived file is made of; BadProgram where it is none."""
    head = Head.parse(decode(program), derived=True)
    parts = list(split(program[PACKET:]))
    first = next((at for at, part in enumerate(parts) if part[0] == Op.CALL), len(parts))
    calls = tuple(_decode(name, part) for part in parts[first:])
    if head.kind is not Kind.FILE or not head.required & DERIVED or head.length or not 1 <= len(calls) <= CALLS_MAX:
        raise BadProgram(root=name, reason=f"a derived file has 1 to {CALLS_MAX} calls, and no length")
    length = sum(map(produces, parts[:first]))
    base = encode(replace(head, length=length, required=head.required & ~DERIVED).packet()) + b"".join(parts[:first])
    return Derived(base, calls)


def is_derived(store: Store, root: Digest) -> bool:
    """Tell whether a root is that of a derived file."""
    return bool(Head.parse(decode(store.read(root)), derived=True).required & DERIVED)


def _encode(call: Call) -> bytes:
    body = (call.program + bytes([call.records])).ljust(BODY, b"\0")
    return encode(Packet(Op.CALL, length=call.size, operand=call.fuel, body=body))


def _decode(name: str, part: bytes) -> Call:
    packet = decode(part)
    if packet.op is not Op.CALL or packet.vm:
        raise BadProgram(root=name, reason=f"{packet.op.name} stands behind a call")
    return Call(Digest(packet.body[:32]), CallRecords(packet.body[32]), packet.length, packet.operand)
