"""Tables of docs/format.md and docs/wire.md, from the tables in the code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from packetfs.net.wire.batch import Item
from packetfs.net.wire.messages import MESSAGES, Mode, Option, Type
from packetfs.net.wire.packed import Packer
from packetfs.packet.codec import encode
from packetfs.packet.digest import digest_of
from packetfs.packet.fields import FIELDS, HEADER_FIELDS, TAIL_FIELDS
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import Field, Op
from packetfs.packet.text import disassemble
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.layout import MapType, Reducer, Show
from packetfs.vm.program import MapDefinition, Program, encode_program


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def field_table(rows: tuple[Field, ...]) -> str:
    """Return the table of a layout."""
    return table(
        ("bytes", "field", "meaning"),
        [(f"{f.offset}..{f.offset + f.size - 1}" if f.size > 1 else str(f.offset), f.name, f.meaning) for f in rows],
    )


def packet_ops() -> str:
    """Return a section for each op."""
    parts = [f"### {op.name} ({int(op)})\n\n{field_table(FIELDS[op])}" for op in Op]
    return "\n\n".join(parts)


def example() -> bytes:
    """Return the worked example: 65,536 bytes of text, a run of 8,192 zero bytes, and six bytes more."""
    text = b"PacketFS!" * 7282
    digest = digest_of(text[:65536])
    program = encode(Head(Kind.FILE, 65536 + 8192 + 6).packet())
    return program + copy_leaf(digest, 65536) + fill_leaf(0, 8192) + data_leaf(b"tail.\n")


def hex_dump(data: bytes) -> Iterator[str]:
    """Yield the lines of a dump, 16 bytes each, the packets set apart by their text."""
    lines = list(disassemble(data))
    for at in range(0, len(data), 16):
        if at % 64 == 0:
            yield f"; {lines[at // 64]}"
        part = data[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{at:04x}  {part.hex(' ')}  {shown}"


def worked_example() -> str:
    """Return the dump of the example program, with its root."""
    program = example()
    return "```\n" + "\n".join(hex_dump(program)) + f"\n```\n\nIts root is `{digest_of(program).hex()}`."


def program_example() -> str:
    """Return the dump of a program for microVMs: records whose first byte is 7 are counted, and pass."""
    code = assemble(
        "ldxdw r6, [r1+0]; jlt r2, 1, out; ldxb r1, [r6+0]; jne r1, 7, out\n"
        "lddw r1, value 0 + 0; ldxdw r2, [r1+0]; add r2, 1; stxdw [r1+0], r2\nout: mov r0, 2\nexit".replace("; ", "\n")
    )
    hits = MapDefinition(b"hits", MapType.ARRAY, 4, 8, 1, reducer=Reducer.SUM, show=Show.UNSIGNED)
    packets = encode_program(Program(pad(code), (hits,)))
    return "```\n" + "\n".join(hex_dump(packets)) + f"\n```\n\nIts digest is `{digest_of(packets).hex()}`."


def message_tables() -> str:
    """Return a table for each message."""
    parts = []
    for kind, message in sorted(MESSAGES.items()):
        rows = [(field.name, f"`{field.type}`") for field in fields(message)]
        parts.append(f"### {kind.name} ({int(kind)})\n\n{message.__doc__}\n\n{table(('field', 'type'), rows)}")
    return "\n\n".join(parts)


def numbers(kind: type[Type] | type[Option] | type[Mode] | type[Item]) -> str:
    """Return the names and numbers of an enumeration."""
    return table(("name", "number"), [(member.name or "", str(int(member))) for member in kind])


def edit_example() -> str:
    """Return what one byte changed in a file of 100,000 bytes is on the wire."""
    packer = Packer()
    packer.copy(0, 70_000)
    packer.literal(b"!")
    packer.copy(70_001, 29_999)
    instructions, literals = packer.take()
    return (
        f"One byte changed in the middle of 100,000: instructions `{instructions.hex(' ')}`, literals "
        f"`{b''.join(bytes(part) for part in literals).hex()}`; {len(instructions) + 1} bytes stand for three packets."
    )


def header_fields() -> str:
    """Return the table of the common header."""
    return field_table(HEADER_FIELDS)


def tail_fields() -> str:
    """Return the table of an ENTRY's tail."""
    return table(("field", "bytes", "meaning"), list(TAIL_FIELDS))


def message_types() -> str:
    """Return the types of frames."""
    return numbers(Type)


def options() -> str:
    """Return the bits of HELLO.options."""
    return numbers(Option)


def modes() -> str:
    """Return the values of BEGIN.mode."""
    return numbers(Mode)


def items() -> str:
    """Return the kinds of items."""
    return numbers(Item)
