r"""Programs as text, one packet a line, and back to the same bytes.

    HEAD FILE length 70000 mean 65536
    COPY 65536 of 5f1c...e0 at 0
    FILL 8192 x "\x00"
    DATA "tail of the file\n"
    TREE 10485760 level 1 of 77aa...01
    ENTRY flags 0 tail 14 mtime 1700000000000000000 root 12ab...ff mode 0100644 uid 0 gid 0 name 6
    CODE b700000005000000 9500000000000000
    MAP type 1 key 4 value 8 entries 1000 flags 0 reducer 1 width 8 show 0 content 0 name "hits"

A packet that has no short form, or would lose bits in it, is written as `OP raw flags vm length operand body`. What
follows `;` outside quotes is a comment.
"""

from __future__ import annotations

import re
import struct

from packetfs.errors import BadPacket
from packetfs.packet.codec import Packet, encode, iterate
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import BODY, Buffer, CallRecords, Op
from packetfs.typing import Callable, Final, Iterable, Iterator

_ENTRY: Final = struct.Struct("<32sIIIHH")
_MAP: Final = struct.Struct("<IIIIIBBBxQ16s")
_MAP_WORDS: Final = ("type", "key", "value", "entries", "flags", "reducer", "width", "show")
_SLOT: Final = 8


def disassemble(program: Buffer) -> Iterator[str]:
    """Yield one line a packet; `assemble` turns the lines back into the same bytes."""
    for packet in iterate(program):
        yield line_of(packet)


def line_of(packet: Packet) -> str:
    """Return a packet as a line: its short form if that says all of it, else the raw form."""
    write = _WRITERS.get(packet.op)
    if write is not None and not packet.vm:
        line = write(packet)
        if line and encode(_parse_line(line)) == encode(packet):
            return line
    p = packet
    return f"{p.op.name} raw {p.flags} {p.vm} {p.length} {p.operand} {p.body.hex()}"


def quote(data: bytes) -> str:
    """Return bytes as printable text in quotes."""
    return '"' + "".join(_escape(byte) for byte in data) + '"'


def _escape(byte: int) -> str:
    if byte in (0x22, 0x5C):
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"


def unquote(text: str) -> bytes:
    """Return the bytes that a quoted text stands for."""
    return bytes(text[1:-1], "ascii").decode("unicode_escape").encode("latin-1")


def _write_head(p: Packet) -> str:
    head = Head.parse(p, derived=True)
    more = "".join(
        f" {name} {value}" for name, value in (("required", head.required), ("ignorable", head.ignorable)) if value
    )
    identity = f" identity {head.identity.hex()}" if any(head.identity) else ""
    return f"HEAD {head.kind.name} length {head.length} mean {head.mean}{more}{identity}"


def _write_data(p: Packet) -> str:
    return f"DATA {quote(p.body[: p.length])}"


def _write_fill(p: Packet) -> str:
    return f"FILL {p.operand} x {quote(p.body[: p.length])}"


def _write_copy(p: Packet) -> str:
    return f"COPY {p.length} of {'program ' if p.flags else ''}{p.body[:32].hex()} at {p.operand}"


def _write_tree(p: Packet) -> str:
    return f"TREE {p.operand} level {p.body[32]} of {p.body[:32].hex()}"


def _write_entry(p: Packet) -> str:
    root, mode, uid, gid, name, _ = _ENTRY.unpack(p.body)
    mtime = p.operand - (1 << 64) if p.operand >= 1 << 63 else p.operand
    fields = f"flags {p.flags} tail {p.length} mtime {mtime} root {root.hex()}"
    return f"ENTRY {fields} mode {mode:07o} uid {uid} gid {gid} name {name}"


def _write_call(p: Packet) -> str:
    records = CallRecords(p.body[32]).name
    return f"CALL {p.body[:32].hex()} records {records} size {p.length} fuel {p.operand}"


def _write_code(p: Packet) -> str:
    slots = [p.body[at : at + _SLOT] for at in range(0, BODY, _SLOT)]
    while slots and not any(slots[-1]):
        slots.pop()  # the last packet of a program is filled up with zero
    return " ".join(("CODE", *(slot.hex() for slot in slots)))


def _write_map(p: Packet) -> str:
    *numbers, _, name = _MAP.unpack(p.body)
    fields = " ".join(f"{word} {number}" for word, number in zip(_MAP_WORDS, numbers, strict=True))
    return f"MAP {fields} content {p.length} name {quote(name.rstrip(bytes(1)))}"


_WRITERS: Final[dict[Op, Callable[[Packet], str]]] = {
    Op.HEAD: _write_head,
    Op.DATA: _write_data,
    Op.FILL: _write_fill,
    Op.COPY: _write_copy,
    Op.TREE: _write_tree,
    Op.ENTRY: _write_entry,
    Op.CALL: _write_call,
    Op.CODE: _write_code,
    Op.MAP: _write_map,
}

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|;.*|[^\s;"]+')


def assemble(lines: Iterable[str]) -> bytes:
    """Return the program that the lines describe; BadPacket names the line that is wrong."""
    out = []
    for number, line in enumerate(lines, 1):
        try:
            if _tokens(line):
                out.append(encode(_parse_line(line)))
        except (ValueError, KeyError, IndexError, struct.error) as error:
            what = str(error) if isinstance(error, BadPacket) else repr(line.strip()[:80])
            raise BadPacket(reason=f"line {number}: {what}") from None
    return b"".join(out)


def _tokens(line: str) -> list[str]:
    return [token for token in _TOKEN.findall(line) if not token.startswith(";")]


def _parse_line(line: str) -> Packet:
    name, *words = _tokens(line)
    op = Op[name]
    if words and words[0] == "raw":
        flags, vm, length, operand = (int(word, 0) for word in words[1:5])
        return Packet(op, flags, vm, length, operand, bytes.fromhex(words[5]))
    return _READERS[op](words)


def _pairs(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def _read_head(words: list[str]) -> Packet:
    more = _pairs(words[1:])
    identity = bytes.fromhex(more.get("identity", "00" * 16))
    required, ignorable = int(more.get("required", "0")), int(more.get("ignorable", "0"))
    return Head(Kind[words[0]], int(more["length"]), int(more["mean"]), required, ignorable, identity).packet()


def _read_data(words: list[str]) -> Packet:
    data = unquote(words[0])
    return Packet(Op.DATA, length=len(data), body=data.ljust(BODY, b"\0"))


def _read_fill(words: list[str]) -> Packet:
    pattern = unquote(words[2])
    return Packet(Op.FILL, length=len(pattern), operand=int(words[0]), body=pattern.ljust(BODY, b"\0"))


def _read_copy(words: list[str]) -> Packet:
    flags = int(words[2] == "program")
    digest = bytes.fromhex(words[2 + flags])
    return Packet(Op.COPY, flags, length=int(words[0]), operand=int(words[4 + flags]), body=digest + bytes(16))


def _read_tree(words: list[str]) -> Packet:
    body = bytes.fromhex(words[4]) + bytes([int(words[2])]) + bytes(15)
    return Packet(Op.TREE, operand=int(words[0]), body=body)


def _read_entry(words: list[str]) -> Packet:
    more = _pairs(words)
    root = bytes.fromhex(more["root"])
    body = _ENTRY.pack(root, int(more["mode"], 8), int(more["uid"]), int(more["gid"]), int(more["name"]), 0)
    mtime = int(more["mtime"]) % (1 << 64)
    return Packet(Op.ENTRY, int(more["flags"]), length=int(more["tail"]), operand=mtime, body=body)


def _read_call(words: list[str]) -> Packet:
    more = _pairs(words[1:])
    body = bytes.fromhex(words[0]) + bytes([CallRecords[more["records"]]])
    return Packet(Op.CALL, length=int(more["size"]), operand=int(more["fuel"]), body=body.ljust(BODY, b"\0"))


def _read_code(words: list[str]) -> Packet:
    return Packet(Op.CODE, body=b"".join(bytes.fromhex(word) for word in words).ljust(BODY, b"\0"))


def _read_map(words: list[str]) -> Packet:
    more = _pairs(words)
    body = _MAP.pack(*(int(more[word]) for word in _MAP_WORDS), 0, unquote(more["name"]))
    return Packet(Op.MAP, length=int(more["content"]), body=body)


_READERS: Final[dict[Op, Callable[[list[str]], Packet]]] = {
    Op.HEAD: _read_head,
    Op.DATA: _read_data,
    Op.FILL: _read_fill,
    Op.COPY: _read_copy,
    Op.TREE: _read_tree,
    Op.ENTRY: _read_entry,
    Op.CALL: _read_call,
    Op.CODE: _read_code,
    Op.MAP: _read_map,
}
