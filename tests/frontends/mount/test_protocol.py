"""The table of the protocol against the kernel's own header, and its layouts against each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from packetfs.frontends.mount import protocol
from packetfs.frontends.mount.layout import layout
from packetfs.frontends.mount.protocol import LAYOUTS, Fattr, Fopen, Init, Opcode

HEADER = Path("/usr/include/linux/fuse.h")


def test_a_layout_has_offsets_sizes_and_padding() -> None:
    made = layout("x", "u64 a b; u32 -c; u16 d[2] -e[3]; i32 f")
    assert [(place.name, place.offset, place.size) for place in made.places] == [
        ("a", 0, 8),
        ("b", 8, 8),
        ("c", 16, 4),
        ("d", 20, 4),
        ("e", 24, 6),
        ("f", 30, 4),
    ]
    assert made.size == made.struct.size == 34
    assert made.struct.unpack(made.struct.pack(1, 2, 3, 4, -5)) == (1, 2, 3, 4, -5)


def test_replies_are_as_long_as_their_parts() -> None:
    assert protocol.REPLY_ENTRY.size == protocol.OUT_HEADER.size + protocol.ENTRY_OUT.size
    assert protocol.REPLY_ATTR.size == protocol.OUT_HEADER.size + protocol.ATTR_OUT.size
    assert protocol.REPLY_CREATED.size == protocol.REPLY_ENTRY.size + protocol.OPEN_OUT.size
    assert protocol.DIRENTPLUS.size == protocol.ENTRY_OUT.size + protocol.DIRENT.size


def test_golden_sizes() -> None:
    assert {
        made.name: made.size for made in LAYOUTS if made.name in ("fuse_in_header", "fuse_attr", "fuse_init_out")
    } == {
        "fuse_in_header": 40,
        "fuse_attr": 88,
        "fuse_init_out": 64,
    }


@pytest.mark.skipif(not HEADER.exists() or shutil.which("cc") is None, reason="needs linux/fuse.h and a C compiler")
def test_the_table_is_what_the_header_says(tmp_path: Path) -> None:
    minor = int(re.findall(r"FUSE_KERNEL_MINOR_VERSION (\d+)", HEADER.read_text())[0])
    known = [made for made in LAYOUTS if made.since <= minor]
    assert len(known) >= 35
    expected: list[int | tuple[int, int]] = []
    lines: list[str] = []
    for made in known:
        inner = made.name not in ("fuse_init_in",)
        if inner:
            lines.append(f'printf("%zu\\n", sizeof(struct {made.name}));')
            expected.append(made.size)
        for place in made.places:
            if place.name in ("rest", "map_alignment"):
                continue
            at = f"offsetof(struct {made.name}, {place.name})"
            lines.append(f'printf("%zu %zu\\n", {at}, sizeof(((struct {made.name} *)0)->{place.name}));')
            expected.append((place.offset, place.size))
    flags = [(f"FUSE_{each.name}", int(each)) for each in Opcode if each < _opcodes_of(minor)]
    flags += [(f"FUSE_{each.name}", int(each)) for each in Init if minor >= 39 or each is not Init.DIRECT_IO_ALLOW_MMAP]
    flags += [(f"FATTR_{each.name}", int(each)) for each in Fattr]
    flags += [(f"FOPEN_{each.name}", int(each)) for each in Fopen]
    flags += [("FUSE_GETATTR_FH", protocol.GETATTR_FH), ("FUSE_WRITE_KILL_SUIDGID", protocol.WRITE_KILL_SUIDGID)]
    flags += [("FUSE_OPEN_KILL_SUIDGID", protocol.OPEN_KILL_SUIDGID), ("FUSE_ROOT_ID", protocol.ROOT_ID)]
    flags += [("FUSE_NOTIFY_INVAL_INODE", protocol.NOTIFY_INVAL_INODE)]
    flags += [("FUSE_NOTIFY_INVAL_ENTRY", protocol.NOTIFY_INVAL_ENTRY)]
    lines += [f'printf("%zu\\n", (size_t){name});' for name, _ in flags]
    source = tmp_path / "sizes.c"
    source.write_text(
        "#include <linux/fuse.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n"
        + "\n".join(lines)
        + "\n}\n"
    )
    subprocess.run(["cc", "-o", tmp_path / "sizes", source], check=True, timeout=60)
    told = subprocess.run([tmp_path / "sizes"], check=True, capture_output=True, text=True, timeout=60).stdout
    found = [tuple(map(int, line.split())) for line in told.splitlines()]
    wanted = [each if isinstance(each, tuple) else (each,) for each in [*expected, *(value for _, value in flags)]]
    assert found == wanted


def _opcodes_of(minor: int) -> int:
    return 52 if minor < 39 else 53 if minor < 45 else 54
