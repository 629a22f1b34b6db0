"""HEAD opens every program: format version, digest suite, chunker and its parameter, logical length, feature bits."""

from __future__ import annotations

import struct

from packetfs import errors
from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum
from packetfs.limits import MEAN, MEAN_MAX, MEAN_MIN
from packetfs.packet.codec import Packet
from packetfs.packet.layout import Op
from packetfs.typing import Final

VERSION: Final = 1
DIGEST_SUITE: Final = 1
CHUNKER: Final = 1
TREE_RULE: Final = 1
DERIVED: Final = 1
"""Required feature: packets of op CALL follow those that produce bytes, and how many come out only a run can tell. The
length is 0."""
PATCHES: Final = 2
"""Required feature of a segment: extents of its pool may be stored as patches, which others would take for garbage."""
KNOWN_FEATURES: Final = DERIVED | PATCHES

_BODY: Final = struct.Struct("<4sHBBBB6xQQ16s")


class Kind(IntEnum):
    """What a program describes."""

    FILE = 1
    DIRECTORY = 2
    SNAPSHOT = 3
    SEGMENT = 4
    DELTA = 5
    PROGRAM = 6
    MICROVM = 7
    JOB = 8


@dataclass(frozen=True, slots=True)
class Head:
    """The parameters that, with the content, fix a root. `length`: bytes of a file, entries of a directory."""

    kind: Kind
    length: int
    mean: int = MEAN
    required: int = 0
    ignorable: int = 0
    identity: bytes = bytes(16)

    def packet(self) -> Packet:
        body = _BODY.pack(
            b"PKFS", VERSION, self.kind, DIGEST_SUITE, CHUNKER, TREE_RULE, self.required, self.ignorable, self.identity
        )
        return Packet(Op.HEAD, length=self.mean, operand=self.length, body=body)

    @classmethod
    def parse(cls, packet: Packet, *, derived: bool = False) -> Head:
        """Return the head that `packet` is; UnknownFeature when a newer version wrote it, NotRunYet when it is that of
        a derived file and the caller does not say that it can do with one."""
        if packet.op is not Op.HEAD:
            raise errors.BadPacket(reason=f"a program begins with {packet.op.name} instead of HEAD")
        _, version, kind, suite, chunker, tree, required, ignorable, identity = _BODY.unpack(packet.body)
        _check_known(version, suite, chunker, tree, required)
        if kind not in Kind.__members__.values():
            raise errors.BadPacket(reason=f"HEAD has the unknown kind {kind}")
        if required & DERIVED and kind != Kind.FILE:
            raise errors.BadPacket(reason="HEAD says that it is a derived file, and its kind that it is none")
        if required & PATCHES and kind != Kind.SEGMENT:
            raise errors.BadPacket(reason="HEAD says that extents may be patches, and its kind that it is no segment")
        if required & DERIVED and not derived:
            raise errors.NotRunYet
        check_mean(packet.length)
        return cls(Kind(kind), packet.operand, packet.length, required, ignorable, identity)


def _check_known(version: int, suite: int, chunker: int, tree: int, required: int) -> None:
    wanted = {
        "format version": (version, VERSION),
        "digest suite": (suite, DIGEST_SUITE),
        "chunker": (chunker, CHUNKER),
        "tree rule": (tree, TREE_RULE),
    }
    for name, (found, known) in wanted.items():
        if found != known:
            raise errors.UnknownFeature(feature=f"{name} {found}")
    if required & ~KNOWN_FEATURES:
        raise errors.UnknownFeature(feature=f"feature bits {required & ~KNOWN_FEATURES:#x}")


def check_mean(mean: int) -> None:
    """Refuse a mean chunk size that the cutter does not define."""
    if mean & (mean - 1) or not MEAN_MIN <= mean <= MEAN_MAX:
        raise errors.BadPacket(
            reason=f"a mean of {mean} bytes; it must be a power of two from {MEAN_MIN} to {MEAN_MAX}"
        )
