"""Access control lists: how they are packed, what they do to modes, what is inherited."""

from __future__ import annotations

import errno
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.fs.posix import acl
from packetfs.fs.posix.acl import Rule, Tag
from packetfs.fs.posix.attributes import Caller, Changes
from tests.fs.posix.rig import Rig

MAKER = Caller(0, 0, 0o022)
NAMED = [Rule(Tag.OWNER, 7), Rule(Tag.USER, 6, 1000), Rule(Tag.OWNING_GROUP, 5), Rule(Tag.MASK, 4), Rule(Tag.OTHERS, 1)]
PLAIN = [Rule(Tag.OWNER, 6), Rule(Tag.OWNING_GROUP, 4), Rule(Tag.OTHERS, 0)]


def test_lists_are_packed_as_linux_packs_them() -> None:
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *rule) for rule in NAMED)
    assert acl.pack(NAMED) == packed
    assert acl.unpack(packed) == NAMED


@pytest.mark.parametrize(
    "value",
    [
        b"",
        struct.pack("<I", 1) + acl.pack(PLAIN)[4:],
        acl.pack(PLAIN)[:-1],
        acl.pack(PLAIN[:2]),
        acl.pack([PLAIN[1], PLAIN[0], PLAIN[2]]),
        acl.pack([PLAIN[0], *PLAIN]),
        acl.pack([Rule(Tag.OWNER, 8), *PLAIN[1:]]),
        acl.pack([*PLAIN, Rule(64, 1)]),
        acl.pack([rule for rule in NAMED if rule.tag != Tag.MASK]),
    ],
)
def test_what_is_no_list_is_refused(value: bytes, rig: Rig) -> None:
    with pytest.raises(ValueError, match=r"entr|list"):
        acl.unpack(value)
    made = rig.ops.mknod(rig.ops.root, b"f", 0o100644, 0, MAKER)
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        rig.ops.setxattr(made.ino, acl.ACCESS, value, 0)
    assert caught.value.errno == errno.EINVAL
    assert rig.ops.getattr(made.ino).mode == 0o100644


@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_a_value_error(value: bytes) -> None:
    with suppress(ValueError):
        assert acl.pack(acl.unpack(value)) == value


def test_a_list_shows_in_the_mode_and_a_chmod_in_the_list(rig: Rig) -> None:
    ino = rig.ops.mknod(rig.ops.root, b"f", 0o100600, 0, MAKER).ino
    rig.ops.setxattr(ino, acl.ACCESS, acl.pack(NAMED), 0)
    assert rig.ops.getattr(ino).mode == 0o100741, "the mask stands where the group was"
    rig.ops.setattr(ino, Changes(mode=0o2650))
    assert rig.ops.getattr(ino).mode == 0o102650
    held = {rule.tag: rule.permissions for rule in acl.unpack(rig.ops.getxattr(ino, acl.ACCESS))}
    assert held == {Tag.OWNER: 6, Tag.USER: 6, Tag.OWNING_GROUP: 5, Tag.MASK: 5, Tag.OTHERS: 0}


def test_a_list_that_a_mode_can_say_is_not_kept(rig: Rig) -> None:
    ino = rig.ops.mknod(rig.ops.root, b"f", 0o100777, 0, MAKER).ino
    rig.ops.setxattr(ino, acl.ACCESS, acl.pack(NAMED), 0)
    rig.ops.setxattr(ino, acl.ACCESS, acl.pack(PLAIN), 0)
    assert rig.ops.getattr(ino).mode == 0o100640
    assert rig.ops.listxattr(ino) == []


def test_default_lists_are_handed_down_and_the_umask_is_not_asked(rig: Rig) -> None:
    top = rig.ops.mkdir(rig.ops.root, b"d", 0o755, MAKER).ino
    rig.ops.setxattr(top, acl.DEFAULT, acl.pack(NAMED), 0)
    below = rig.ops.mkdir(top, b"below", 0o777, MAKER)
    assert below.mode == 0o40741
    assert rig.ops.getxattr(below.ino, acl.DEFAULT) == acl.pack(NAMED)
    made, _ = rig.ops.create(below.ino, b"f", 0o640, 0, MAKER)
    assert made.mode == 0o100640
    held = {rule.tag: rule.permissions for rule in acl.unpack(rig.ops.getxattr(made.ino, acl.ACCESS))}
    assert held == {Tag.OWNER: 6, Tag.USER: 6, Tag.OWNING_GROUP: 5, Tag.MASK: 4, Tag.OTHERS: 0}
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        rig.ops.getxattr(made.ino, acl.DEFAULT)
    assert caught.value.errno == errno.ENODATA


def test_default_lists_are_for_directories_and_links_have_none(rig: Rig) -> None:
    file = rig.ops.mknod(rig.ops.root, b"f", 0o100600, 0, MAKER).ino
    link = rig.ops.symlink(rig.ops.root, b"l", b"f", MAKER).ino
    for ino, name, code in ((file, acl.DEFAULT, errno.EACCES), (link, acl.ACCESS, errno.EOPNOTSUPP)):
        with pytest.raises(OSError, match=r"\[Errno") as caught:
            rig.ops.setxattr(ino, name, acl.pack(PLAIN), 0)
        assert caught.value.errno == code
