"""The fields of each packet as tables. Pages and tests are made of them; who reads packets knows them by heart, and is
spared 0.3 ms."""

from __future__ import annotations

from packetfs.packet.layout import Field, Op
from packetfs.typing import Final

HEADER_FIELDS: Final = (
    Field(0, 1, "op", "what the packet does"),
    Field(1, 1, "flags", "per op; an unknown bit is an error"),
    Field(2, 2, "vm", "the microVM that runs it; 0 = any; always 0 at rest and on the wire"),
    Field(4, 4, "length", "per op"),
    Field(8, 8, "operand", "per op"),
    Field(16, 48, "body", "per op"),
)

FIELDS: Final[dict[Op, tuple[Field, ...]]] = {
    Op.NOP: (Field(4, 60, "zero", "must be zero"),),
    Op.HEAD: (
        Field(4, 4, "mean", "mean bytes of a chunk, a power of two; PROGRAM: 65,536"),
        Field(8, 8, "length", "what it produces: bytes (FILE, MICROVM), entries (DIRECTORY), slots of code (PROGRAM)"),
        Field(16, 4, "magic", '"PKFS"'),
        Field(20, 2, "version", "1"),
        Field(22, 1, "kind", "FILE 1, DIRECTORY 2, SNAPSHOT 3, SEGMENT 4, DELTA 5, PROGRAM 6, MICROVM 7, JOB 8"),
        Field(23, 1, "digest suite", "1 = BLAKE3-256"),
        Field(24, 1, "chunker", "1 = MinCDC over 32 bytes, runs first"),
        Field(25, 1, "tree rule", "1 = a node ends where a leaf's key is 0 modulo 128, after 1,024 leaves or 1 MiB"),
        Field(26, 6, "zero", "must be zero"),
        Field(32, 8, "required", "feature bits that a reader must know"),
        Field(40, 8, "ignorable", "feature bits that a reader may pass over"),
        Field(48, 16, "identity", "SEGMENT: pool id; PROGRAM: context u8, 4, 0, 0, entry u32; MICROVM: vm.md; else 0"),
    ),
    Op.DATA: (
        Field(4, 4, "length", "bytes of the body that are data, 1 to 48; the rest must be zero"),
        Field(8, 8, "zero", "must be zero"),
        Field(16, 48, "data", "the bytes"),
    ),
    Op.FILL: (
        Field(4, 4, "pattern length", "1 to 48"),
        Field(8, 8, "length", "bytes produced, at least 1: the pattern repeated, cut at the end"),
        Field(16, 48, "pattern", "zero beyond its length"),
    ),
    Op.COPY: (
        Field(1, 1, "flags", "1 = PROGRAM: bytes of the output of program `digest`"),
        Field(4, 4, "length", "bytes produced, at least 1"),
        Field(8, 8, "operand", "where in the extent they begin"),
        Field(16, 32, "digest", "the extent"),
        Field(48, 16, "zero", "must be zero"),
    ),
    Op.TREE: (
        Field(4, 4, "zero", "must be zero"),
        Field(8, 8, "length", "what the nested program produces, at least 1"),
        Field(16, 32, "digest", "the node: an extent that holds packets"),
        Field(48, 1, "level", "1 = its node holds leaves; always one more than the level inside the node"),
        Field(49, 15, "zero", "must be zero"),
    ),
    Op.ENTRY: (
        Field(1, 1, "flags", "SPARSE 1, GROUP 2, RDEV 4, TARGET 8, XATTRS 16"),
        Field(4, 4, "tail length", "bytes that follow in DATA packets"),
        Field(8, 8, "mtime", "nanoseconds since 1970, signed"),
        Field(16, 32, "root", "program of the file or directory; zero for other kinds"),
        Field(48, 4, "mode", "type and permissions as in stat"),
        Field(52, 4, "uid", "owner"),
        Field(56, 4, "gid", "group"),
        Field(60, 2, "name length", "1 to 255"),
        Field(62, 2, "zero", "must be zero"),
    ),
    Op.EXTENT: (
        Field(1, 1, "flags", "2 bits each: encoding RAW 0, ZSTD 1, PATCH 2; mark DATA 0, PROGRAM 1, SNAPSHOT 2; depth"),
        Field(4, 4, "length", "bytes of the payload as stored, which follows and is padded to 64"),
        Field(8, 8, "logical length", "bytes of the payload when decoded"),
        Field(16, 32, "id", "BLAKE3 of the decoded payload; keyed in an encrypted pool"),
        Field(48, 16, "tag", "keyed BLAKE3 of the first 48 bytes and the arena position; AEAD tag when encrypted"),
    ),
    Op.CODE: (
        Field(4, 12, "zero", "must be zero"),
        Field(16, 48, "code", "six eBPF slots of 8 bytes; a wide instruction never begins in the last one"),
    ),
    Op.MAP: (
        Field(4, 4, "length", "bytes of initial content, which follow in DATA packets"),
        Field(8, 8, "zero", "must be zero"),
        Field(16, 4, "type", "HASH 1, ARRAY 2, PERCPU_HASH 5, PERCPU_ARRAY 6, LRU_HASH 9, RINGBUF 27 (as Linux)"),
        Field(20, 4, "key size", "bytes, 1 to 512; 4 in arrays; 0 in RINGBUF"),
        Field(24, 4, "value size", "bytes, 1 to 65,536; 0 in RINGBUF"),
        Field(28, 4, "entries", "at most so many"),
        Field(32, 4, "flags", "128 = READ_ONLY, shared by all microVMs; others are ignored"),
        Field(36, 1, "reducer", "LAST 0, SUM 1, MIN 2, MAX 3, SIGNED_MIN 4, SIGNED_MAX 5, OR 6, AND 7, XOR 8, FIRST 9"),
        Field(37, 1, "width", "bytes of an element of a value: 1, 2, 4 or 8"),
        Field(38, 1, "show", "how keys are shown: HEX 0, UNSIGNED 1, SIGNED 2, TEXT 3, IPV4 4"),
        Field(39, 9, "zero", "must be zero"),
        Field(48, 16, "name", "zero behind its end"),
    ),
    Op.CALL: (
        Field(4, 4, "record size", "bytes of a record (FIXED), or within which its lines begin (LINES); else 0"),
        Field(8, 8, "fuel", "slots that a record may execute, at least 1"),
        Field(16, 32, "digest", "the program whose output, on what was produced so far, replaces that"),
        Field(48, 1, "records", "FIXED 1, LINE 2, LINES 3, PCAP 4, EXTENT 5"),
        Field(49, 15, "zero", "must be zero"),
    ),
    Op.ON: (Field(16, 48, "trigger", "reserved: a program bound to a change of the environment"),),
}

TAIL_FIELDS: Final = (
    ("name", "name length", "the name, any bytes but '/' and NUL"),
    ("size", "8", "bytes of the file, entries of the directory"),
    ("group", "8 if GROUP", "hard links of one file share it; a directory has 1 where a tree of its own begins"),
    ("rdev", "8 if RDEV", "device number"),
    ("target", "4 + n if TARGET", "length and bytes of the symbolic link"),
    ("xattrs", "2 + n if XATTRS", "count, then for each: name length u16, value length u32, name, value; by name"),
)
"""The tail of an ENTRY, in order."""
