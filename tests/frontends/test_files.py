"""Files into the pool, seen there, and out again; every command by a process of its own."""

from __future__ import annotations

import os
import random
import re
import stat
import subprocess
from pathlib import Path

import pytest

from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.records import BY_TYPE
from tests.frontends.command import COMMAND, HANGS, Ended, Pfs, environment, without_privilege

TEXT = b"".join(b"%d squared is %d\n" % (i, i * i) for i in range(20_000))


@pytest.fixture
def tree(pooled: Pfs) -> Path:
    """A directory with one of each kind that anybody may make."""
    top = pooled.home / "tree"
    (top / "inner/deep").mkdir(parents=True)
    (top / "inner/text").write_bytes(TEXT)
    (top / "inner/deep/empty").touch()
    (top / "small").write_bytes(b"a few bytes")
    (top / os.fsdecode(b"odd \xff\n")).write_bytes(b"odd")
    (top / "link").symlink_to("inner/text")
    os.link(top / "small", top / "inner/small too")
    os.mkfifo(top / "fifo")
    with open(top / "sparse", "wb") as file:
        file.truncate(1_000_000)
        file.seek(500_000)
        file.write(b"island")
    os.chmod(top / "small", 0o640)
    os.utime(top / "small", ns=(1, 1_234_567_890_123_456_789))
    return top


def fits(ended: Ended) -> Ended:
    """Check that every record has the fields that are promised, and no others."""
    for record in ended.records:
        shape = BY_TYPE[str(record["type"])]
        fields = set(record) - {"type"}
        assert set(shape.fields) <= fields
        assert fields <= {*shape.fields, *shape.optional}
    return ended


# put, cat


def test_put_and_cat(pooled: Pfs) -> None:
    (pooled.home / "text").write_bytes(TEXT)
    pooled.good("put", "text", "docs/")
    pooled.good("put", "text", "docs/other")
    pooled.good("put", "-", "piped", stdin=TEXT * 100)
    assert pooled.good("cat", "docs/text", "pfs:/docs/other").out == TEXT * 2
    assert pooled.good("cat", "piped").out == TEXT * 100
    assert pooled.good("ls", "-R").text.split() == ["docs/", "docs/other", "docs/text", "piped"]


def test_where_things_go(pooled: Pfs) -> None:
    for name in ("a", "b"):
        (pooled.home / name).write_text(name)
    (pooled.home / "dir").mkdir()
    (pooled.home / "dir/c").touch()
    pooled.good("put", "a", "x")
    pooled.good("put", "a", "b", "d")
    pooled.good("put", "a", "d")
    pooled.good("put", "dir", "a", "b", "e/f")
    pooled.good("put", "dir/", "g")
    names = "d/ d/a d/b e/ e/f/ e/f/a e/f/b e/f/dir/ e/f/dir/c g/ g/c x"
    assert pooled.good("ls", "-R").text.split() == names.split()
    assert pooled("put", "-", "d", stdin=b"").code == ExitCode.USAGE
    (pooled.home / "out").mkdir()
    pooled.good("get", "x", "y")
    pooled.good("get", "x", "out")
    pooled.good("get", "e/f", "out")
    pooled.good("get", "e/f/", "out/inner")
    pooled.good("get", "g/", "out")
    pooled.good("get", "d", "new")
    pooled.good("get", "pfs:", "all")
    listed = sorted(str(path.relative_to(pooled.home)) for path in pooled.home.glob("[yon]*/**/*"))
    names = "new/d new/d/a new/d/b out/c out/f out/f/a out/f/b out/f/dir out/f/dir/c out/inner out/inner/a out/inner/b"
    assert listed == [*names.split(), "out/inner/dir", "out/inner/dir/c", "out/x"]
    assert sorted(path.name for path in (pooled.home / "all").iterdir()) == ["d", "e", "g", "x"]
    assert pooled("get", "x", "lost/").code == ExitCode.NOT_FOUND
    assert pooled("get", "x", "lost/x").code == ExitCode.NOT_FOUND


def test_a_directory_is_replaced_only_when_told(pooled: Pfs) -> None:
    (pooled.home / "dir").mkdir()
    (pooled.home / "dir/new").touch()
    pooled.good("put", "-", "dir/old", stdin=b"precious")
    for source, destination in (("dir", "pfs:"), ("dir/", "dir")):
        ended = pooled("put", source, destination)
        assert ended.code == ExitCode.EXISTS
        assert "--replace" in ended.err
    assert pooled.good("cat", "dir/old").out == b"precious"
    pooled.good("put", "--replace", "dir", "pfs:")
    assert pooled.good("ls", "dir").text == "new\n"


def test_what_went_in_comes_out(pooled: Pfs, tree: Path) -> None:
    pooled.good("put", tree, "t")
    pooled.good("get", "t/tree/", "out")
    pooled.good("get", "t", "again", "--json")
    assert described(pooled.home / "out") == described(tree)
    assert described(pooled.home / "again/t/tree") == described(tree)
    assert (pooled.home / "out/small").stat().st_ino == (pooled.home / "out/inner/small too").stat().st_ino


def described(top: Path) -> dict[bytes, tuple[int, int, bytes]]:
    """Return mode, time and content of everything below a directory."""
    found = {}
    for above, directories, files in os.walk(os.fsencode(top)):
        for name in directories + files:
            path = os.path.join(above, name)
            status = os.lstat(path)
            content = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            found[os.path.relpath(path, os.fsencode(top))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def test_get_from_a_snapshot(pooled: Pfs) -> None:
    pooled.good("put", "-", "docs/a", stdin=b"old")
    pooled.good("snapshots", "--take", "monday")
    pooled.good("put", "-", "docs/a", stdin=b"new")
    pooled.good("get", "--snapshot", "monday", "docs", "out")
    assert (pooled.home / "out/docs/a").read_bytes() == b"old"
    pooled.good("get", "--snapshot", "monday", "docs/a", "out/docs/b")
    assert (pooled.home / "out/docs/b").read_bytes() == b"old"
    assert pooled("get", "--snapshot", "friday", "docs", "out").code == ExitCode.NOT_FOUND


def test_get_names_what_it_cannot_write_and_does_the_rest(pooled: Pfs) -> None:
    pooled.good("put", "-", "docs/good", stdin=b"kept" * 1000)
    pooled.good("put", "-", "docs/bad", stdin=b"lost" * 1000)
    arena = next((pooled.pool / "arena").iterdir())
    data = arena.read_bytes()
    arena.write_bytes(data.replace(b"lostlost", b"lostlast", 1))
    ended = pooled("get", "docs", "out")
    assert ended.code == ExitCode.PARTIAL
    assert "docs/bad: " in ended.err
    assert os.listdir(pooled.home / "out/docs") == ["good"]
    trouble = fits(pooled("get", "--json", "docs", "out")).records[0]
    assert (trouble["type"], trouble["path"]) == ("trouble", "docs/bad")


def test_put_reads_what_a_shell_hands_over(pooled: Pfs) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    command = [*COMMAND, "put", f"/dev/fd/{reader}", "fed"]
    subprocess.run(command, check=True, env=environment(pooled.home), pass_fds=(reader,), timeout=HANGS)
    os.close(reader)
    assert pooled.good("cat", "fed").out == b"from a pipe"


def test_put_waits_for_no_pipe_and_stores_no_device(pooled: Pfs) -> None:
    os.mkfifo(pooled.home / "fifo")
    for source in ("fifo", "/dev/zero"):
        ended = pooled("put", source, "x")
        assert (ended.code, ended.err) == (
            ExitCode.NOT_FOUND,
            f"pfs: {source} is not a regular file: only those have content to read.\n",
        )
    assert pooled.good("ls").out == b""


def test_put_stores_the_same_content_once(pooled: Pfs) -> None:
    data = random.Random(1).randbytes(300_000)  # a tail of 48 bytes or less would be inline, which is no content
    for name in ("one", "two"):
        pooled.good("put", "-", name, stdin=data)
    info = pooled.good("info", "--json").records[0]
    assert info["logical"] == 600_000
    assert info["content"] == 300_000


def test_a_missing_or_unreadable_source_changes_nothing(pooled: Pfs) -> None:
    (pooled.home / "a").write_text("a")
    ended = pooled("put", "a", "lost", "d/")
    assert ended.code == ExitCode.NOT_FOUND
    assert ended.err == "pfs: lost: there is no such file or directory\n"
    assert pooled.good("ls").out == b""


def test_unreadable_files_in_a_tree_are_named_and_the_rest_is_stored(pooled: Pfs, tree: Path) -> None:
    (tree / "inner/text").chmod(0)
    (tree / "inner/deep").chmod(0)
    user = without_privilege(pooled)
    for ended in (user("put", "tree/", "t"), user("sync", "tree/", "out")):
        assert ended.code == ExitCode.PARTIAL
        assert "inner/text: " in ended.err
        assert "inner/deep: " in ended.err
        assert "2 of the files could not be handled" in ended.err
    assert pooled.good("cat", "t/small").out == b"a few bytes"
    assert (pooled.home / "out/small").read_bytes() == b"a few bytes"
    assert fits(user("put", "--json", "--replace", "tree/", "t")).records[-1]["type"] == "trouble"
    assert user("sync", "--json", "tree/", "again").records[-1]["troubles"] == 2


def test_what_the_far_side_cannot_read_is_named_here(pooled: Pfs, tree: Path) -> None:
    (tree / "inner/text").chmod(0)
    shell = pooled.home / "shell"
    shell.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    shell.chmod(0o755)
    far = ("-e", os.fspath(shell), "--far-command", " ".join(COMMAND), f"host:{tree}/", "back")
    user = without_privilege(pooled)
    ended = user("sync", "--json", *far)
    assert ended.code == ExitCode.PARTIAL
    assert [record["path"] for record in ended.records if record["type"] == "trouble"] == ["inner/text"]
    assert ended.records[-1]["troubles"] == 1
    assert user("sync", *far).err.count("inner/text: ") == 1
    (tree / "inner/text").chmod(0o600)
    user.good("sync", *far)
    assert (pooled.home / "back/inner/text").read_bytes() == (tree / "inner/text").read_bytes()


def test_an_unreadable_file_alone_is_an_error(pooled: Pfs) -> None:
    (pooled.home / "secret").write_text("x")
    (pooled.home / "secret").chmod(0)
    user = without_privilege(pooled)
    for arguments in (
        *(("put", "secret", "x"), ("sync", "secret", "x"), ("run", "wc", "secret")),
        *(("disasm", "secret"), ("asm", "secret")),
    ):
        ended = user(*arguments)
        assert ended.code == ExitCode.DENIED
        assert "secret" in ended.err
        assert "ermission denied" in ended.err


# ls, stat, info, rm


def test_ls(pooled: Pfs, tree: Path) -> None:
    pooled.good("put", f"{tree}/", "t")
    assert pooled.good("ls", "t").out == b"fifo\ninner/\nlink\nodd \xff\n\nsmall\nsparse\n"
    long = pooled.good("ls", "-l", "t", "t/small", TZ="UTC").out.splitlines()
    wanted = rb"-rw-r-----  \d+:\d+ +11 B  2009-02-13 23:31:30  "
    assert [line[-7:] for line in long if re.match(wanted, line)] == [b"  small", b"t/small"]
    assert any(line.endswith(b"link -> inner/text") for line in long)


def test_ls_as_json(pooled: Pfs, tree: Path) -> None:
    pooled.good("put", f"{tree}/", "t")
    records = {record["path"]: record for record in fits(pooled.good("ls", "--json", "-R")).records}
    small = records["t/small"]
    assert (small["kind"], small["mode"], small["size"]) == ("file", 0o640, 11)
    assert (small["mtime_ns"], small["mtime"]) == (1_234_567_890_123_456_789, "2009-02-13T23:31:30.123456789Z")
    assert (records["t/link"]["kind"], records["t/link"]["target"]) == ("link", "inner/text")
    assert records["t/odd �\n"]["path_hex"] == b"t/odd \xff\n".hex()
    assert records["t/fifo"]["kind"] == "fifo"
    assert len(records) == 11


def test_stat(pooled: Pfs, tree: Path) -> None:
    pooled.good("put", f"{tree}/", "t")
    text = pooled.good("stat", "t/small", "t/link").text
    assert "(11 bytes)" in text
    assert "-rw-r----- (0640)" in text
    assert "1 DATA" in text
    assert "target      inner/text" in text
    sparse, linked = fits(pooled.good("stat", "--json", "t/sparse", "t/small")).records
    assert sparse["sparse"] is True
    packets = sparse["packets"]
    assert isinstance(packets, dict)
    assert packets["FILL"] == 2
    assert linked["group"]
    fits(pooled.good("stat", "--json", "pfs:", "t"))


def test_info(pooled: Pfs, tree: Path) -> None:
    pooled.good("put", f"{tree}/", "t", "--snapshot", "first")
    text = pooled.good("info").text
    assert str(pooled.pool) in text
    assert ", 1 snapshot\n" in text
    record = fits(pooled.good("info", "--json")).records[0]
    assert (record["mean"], record["durable"], record["snapshots"]) == (65536, False, 1)


def test_rm(pooled: Pfs, tree: Path) -> None:
    pooled.good("put", f"{tree}/", "t")
    ended = pooled("rm", "t/small", "t/inner")
    assert ended.code == ExitCode.USAGE
    assert "t/inner is a directory; add -r" in ended.err
    assert b"small" in pooled.good("ls", "t").out, "all or nothing"
    pooled.good("rm", "-r", "t/small", "t/inner")
    assert pooled.good("ls", "t").out == b"fifo\nlink\nodd \xff\n\nsparse\n"
    assert pooled("rm", "t/small").code == ExitCode.NOT_FOUND
    pooled.good("rm", "-f", "t/small", "t/sparse")
    assert pooled("rm", "t/sparse").code == ExitCode.NOT_FOUND
    assert pooled("rm", "-f", "t").code == ExitCode.USAGE, "a directory still needs -r"
    odd = pooled("rm", "-rz", "t")
    assert (odd.code, "nothing may stand behind it, as does 'z'" in odd.err) == (ExitCode.USAGE, True)
    pooled.good("rm", "-rf", "nowhere", "pfs:")
    assert pooled.good("ls").out == b""


@pytest.mark.parametrize(
    "arguments", [("cat", "lost"), ("ls", "lost"), ("stat", "t/lost"), ("disasm", "pfs:lost"), ("rm", "x")]
)
def test_what_is_not_there_is_named(pooled: Pfs, arguments: tuple[str, ...]) -> None:
    ended = pooled(*arguments)
    assert ended.code == ExitCode.NOT_FOUND
    assert arguments[-1].removeprefix("pfs:") in ended.err


# snapshots


@pytest.mark.parametrize("name", ["", ".", "a/b", "n" * 256])
def test_what_cannot_be_a_snapshot_is_refused_before_anything_is_stored(pooled: Pfs, name: str) -> None:
    for command in (("snapshots", "--take", name), ("put", "-", "new", "--snapshot", name)):
        ended = pooled(*command, stdin=b"x")
        assert ended.code == ExitCode.USAGE
        assert ended.err.startswith(f"pfs: '{name}' cannot be the name of a snapshot.\nhint: ")
    assert pooled("cat", "new").code == ExitCode.NOT_FOUND


def test_a_snapshot_that_is_there_is_told_before_anything_is_stored(pooled: Pfs) -> None:
    pooled.good("snapshots", "--take", "monday")
    assert pooled("put", "-", "new", "--snapshot", "monday", stdin=b"x").code == ExitCode.EXISTS
    assert pooled("cat", "new").code == ExitCode.NOT_FOUND


def test_snapshots_keep_what_was(pooled: Pfs) -> None:
    pooled.good("put", "-", "docs/a", stdin=b"old")
    pooled.good("snapshots", "--take", "monday", "docs")
    pooled.good("put", "-", "docs/a", stdin=b"new")
    pooled.good("put", "-", "docs/b", stdin=b"more")
    assert pooled.good("cat", "--snapshot", "monday", "docs/a").out == b"old"
    assert pooled.good("cat", "--snapshot", "monday", "a").out == b"old"
    assert pooled.good("ls", "--snapshot", "monday", "docs").text == "a\n"
    assert pooled.good("ls", "-R", "--snapshot", "monday").text == "a\n"
    assert pooled.good("cat", "docs/a").out == b"new"
    assert pooled("cat", "--snapshot", "monday", "docs/b").code == ExitCode.NOT_FOUND
    assert pooled("ls", "--snapshot", "friday").code == ExitCode.NOT_FOUND
    assert pooled("snapshots", "--take", "monday").code == ExitCode.EXISTS
    record = fits(pooled.good("snapshots", "--json")).records[0]
    assert (record["name"], record["path"]) == ("monday", "docs")
    assert re.search(r"^20.*  monday  pfs:docs$", pooled.good("snapshots").text)
    pooled.good("snapshots", "--drop", "monday")
    assert pooled.good("snapshots").out == b""


# disasm, asm


@pytest.mark.parametrize(
    "data", [b"", b"x", b'short; "quoted"\\ \x00\xff\n', TEXT, bytes(100_000) + TEXT + b"\1" * 50_000]
)
def test_a_file_to_text_and_back(pooled: Pfs, data: bytes) -> None:
    (pooled.home / "file").write_bytes(data)
    pooled.good("put", "file", "file")
    here = pooled.good("disasm", "file").text
    there = pooled.good("disasm", "pfs:file").text
    piped = pooled.good("disasm", "-", stdin=data).text
    assert here.splitlines()[1:] == there.splitlines()[1:] == piped.splitlines()[1:]
    assert f"HEAD FILE length {len(data)} " in here
    root = pooled.good("stat", "--json", "file").records[0]["root"]
    assert here.splitlines()[0] == f"; file  root {root}"
    packets = pooled.good("asm", stdin=here.encode()).out
    assert len(packets) % 64 == 0
    (pooled.home / "packets").write_bytes(packets)
    assert pooled.good("disasm", "--packets", "packets").text.splitlines() == here.splitlines()[1:]
    assert pooled.good("asm", "--run", stdin=there.encode()).out == data
    pooled.good("asm", "-", "--run", "-o", "again", stdin=there.encode())
    assert (pooled.home / "again").read_bytes() == data


def test_disasm_needs_no_pool(pfs: Pfs) -> None:
    (pfs.home / "file").write_bytes(TEXT)
    assert "COPY" in pfs.good("disasm", "file").text
    assert pfs.good("asm", "--run", stdin=b'FILL 5 x "ab"\nDATA "!" ; end\n').out == b"ababa!"
    assert not pfs.pool.exists()


def test_large_programs_are_trees_and_flat_follows_them(pooled: Pfs) -> None:
    data = random.Random(2).randbytes(12_000_000)
    pooled.good("put", "-", "large", stdin=data)
    flat = pooled.good("disasm", "--flat", "pfs:large").text
    assert "TREE" in pooled.good("disasm", "pfs:large").text
    assert "TREE" not in flat
    offsets = [int(line.rpartition("@")[2]) for line in flat.splitlines()[2:]]
    assert offsets == sorted(offsets)
    assert pooled.good("disasm", "--flat", "-", stdin=data).text.splitlines()[1:] == flat.splitlines()[1:]
    assert pooled.good("asm", "--run", stdin=flat.encode()).out == data


def test_directories_are_programs_too(pooled: Pfs, tree: Path) -> None:
    pooled.good("put", f"{tree}/", "t")
    text = pooled.good("disasm", "pfs:t").text
    assert "HEAD DIRECTORY length 6 " in text
    assert '; "odd \\xff\\x0a"' in text
    pooled.good("snapshots", "--take", "s")
    assert "HEAD DIRECTORY length 1 " in pooled.good("disasm", "--snapshot", "s", "pfs:").text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"JUMP 5\n", "line 1"),
        (b'DATA "x"\nCOPY five of ab at 0\n', "line 2"),
        (b"\xff\xfe", "is not a program's text"),
        (b"COPY 5 of " + b"ab" * 32 + b" at 0\n", "hold the extent"),
    ],
)
def test_bad_text_is_refused_with_its_line(pooled: Pfs, text: bytes, said: str) -> None:
    ended = pooled("asm", "--run", "-o", "out", stdin=text)
    assert ended.code in (ExitCode.USAGE, ExitCode.DAMAGED)
    assert said in ended.err
    assert not (pooled.home / "out").exists()


EBPF = b"""; counts what is longer than 9 bytes
.context packetfs
.map sizes array key 4 value 8 entries 1 reduce sum
.map .rodata array key 4 value 6 entries 1 flags 0x80 content "a;b\\x00\\"\\\\"
  lddw r6, 5
  lddw r7, 0x1122334455667788
  mov r8, 1
  lddw r1, value 1 + 2
again:
  jgt r2, 9, again
  exit
"""


def test_programs_for_microvms_to_text_and_back(pooled: Pfs) -> None:
    packets = pooled.good("asm", stdin=EBPF).out
    (pooled.home / "code").write_bytes(packets)
    text = pooled.good("disasm", "code").text
    assert "  lddw r1, value 1 + 2                ; packet 2 slot 0, 6\n" in text, "padded to lie in one"
    assert "  jgt r2, 9, -1 " in text
    assert pooled.good("asm", stdin=text.encode()).out == packets
    assert pooled.good("disasm", "-", stdin=packets).text.splitlines()[1:] == text.splitlines()[1:]
    pooled.good("put", "code", "code")
    assert pooled.good("disasm", "pfs:code").text.splitlines()[1:] == text.splitlines()[1:]
    shown = pooled.good("disasm", "--packets", "code").text
    assert "HEAD PROGRAM length 10 " in shown
    assert pooled.good("asm", stdin=shown.encode()).out == packets
    assert "\x1b[36m  lddw\x1b[0m \x1b[33mr6\x1b[0m" in pooled.good("disasm", "code", "--color", "always").text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"mov r0, 1\nmove r0, 1\n", "standard input, line 2: there is no instruction move"),
        (b"exit\n.map x hash key\n", "standard input, line 2: .map cannot be read"),
        (b".map x heap key 4\nexit\n", "line 1: .map cannot be read: there is no 'HEAP'"),
        (b".map x hash key 0 value 8\nexit\n", "line 1: map x: keys of 0 bytes"),
        (b".entry 7\nexit\n", "entry"),
        (b"; a comment\nnext: lddw r1, 1\nja +70\nexit", "line 3: its target"),
    ],
)
def test_bad_code_is_refused_with_its_place(pfs: Pfs, text: bytes, said: str) -> None:
    ended = pfs("asm", "-o", "out", stdin=text)
    assert ended.code == ExitCode.USAGE
    assert said in ended.err
    assert not (pfs.home / "out").exists()


def test_code_is_not_run_by_asm_and_damaged_code_not_shown(pfs: Pfs) -> None:
    assert "pfs run" in pfs("asm", "--run", stdin=b"exit\n").err
    packets = pfs.good("asm", stdin=EBPF).out
    for bad in (packets[:-64], packets[:100], packets + packets):
        ended = pfs("disasm", "-", stdin=bad)
        assert ended.code == ExitCode.DAMAGED
        assert not ended.out


def test_colors_only_where_wanted(pfs: Pfs) -> None:
    (pfs.home / "file").write_bytes(b"x")
    assert "\x1b" not in pfs.good("disasm", "file").text
    assert "\x1b[36mHEAD\x1b[0m" in pfs.good("disasm", "--color", "always", "file").text
    assert "\x1b" in pfs.good("--color", "always", "disasm", "file", NO_COLOR="1").text


def test_names_cannot_steer_a_terminal(pooled: Pfs) -> None:
    name = "evil\x1b[2Jname"
    (pooled.home / name).touch()
    pooled.good("put", name, "d/")
    for arguments in (("ls", "d"), ("stat", f"d/{name}")):
        shown = on_terminal(pooled, *arguments)
        assert b"\x1b[2J" not in shown
        assert b"evil\\x1b[2Jname" in shown
    assert b"\x1b[2J" in pooled.good("ls", "d").out, "a pipe gets the name itself"
    assert "\x1b" not in pooled("cat", f"d/{name}x").err


def on_terminal(pfs: Pfs, *arguments: str) -> bytes:
    """Return what a command writes to a terminal."""
    import pty

    shown = bytearray()
    master, slave = pty.openpty()
    running = subprocess.Popen([*COMMAND, *arguments], stdout=slave, stderr=slave, env=environment(pfs.home))
    os.close(slave)
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:
        pass  # how Linux says that the other side is gone
    os.close(master)
    assert running.wait(HANGS) == 0
    return bytes(shown)
