"""Entries: every field survives, and no bytes of a peer or a disk make anything but an entry or one clear error."""

from __future__ import annotations

import stat
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadPacket
from packetfs.net.wire.packed import pack_entry, unpack_entry
from packetfs.net.wire.varint import Cursor
from packetfs.packet.entry import Entry, check_name, decode_entry, encode_entry
from packetfs.packet.tree import split

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
XATTRS = st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.binary(max_size=200)), max_size=4).map(
    lambda pairs: tuple(sorted(dict(pairs).items()))
)
U32 = st.integers(0, 2**32 - 1)
ENTRIES = st.builds(
    Entry,
    NAMES,
    st.integers(0, 0o7777).map(lambda mode: mode | stat.S_IFREG),
    U32,
    U32,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
    target=st.binary(max_size=300),
    rdev=st.integers(0, 2**64 - 1),
    group=st.integers(0, 2**64 - 1),
    xattrs=XATTRS,
    sparse=st.booleans(),
)


@given(st.lists(ENTRIES, max_size=5))
def test_entries_survive_packets(entries: list[Entry]) -> None:
    leaves = split(b"".join(encode_entry(entry) for entry in entries))
    assert [decode_entry(leaf) for leaf in leaves] == entries


@given(ENTRIES)
def test_entries_survive_the_wire(entry: Entry) -> None:
    out = bytearray()
    pack_entry(out, entry)
    cursor = Cursor(out)
    assert unpack_entry(cursor, entry.name) == entry
    cursor.finish()


@given(ENTRIES, st.data())
def test_a_changed_byte_is_another_entry_or_an_error(entry: Entry, data: st.DataObject) -> None:
    leaf = bytearray(encode_entry(entry))
    at = data.draw(st.integers(0, len(leaf) - 1))
    leaf[at] ^= data.draw(st.integers(1, 255))
    with suppress(BadPacket):
        assert decode_entry(bytes(leaf)) != entry


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0", b"x" * 256])
def test_what_cannot_be_a_name_is_refused(name: bytes) -> None:
    with pytest.raises(BadPacket):
        check_name(name)
    with pytest.raises(BadPacket):
        encode_entry(Entry(name, 0o100644))
