"""Attacks: a peer that sends what no honest one would. Nothing outside is touched, and one clear error ends it."""

from __future__ import annotations

import os
import random
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.stage import ANY_ROOT, Outcome, Script, directory, host, receive, regular, send, symlink
from packetfs.errors import (
    BadMessage,
    BadPacket,
    BadProgram,
    DestinationFull,
    Disconnected,
    FarSideFailed,
    PacketFSError,
    UnsafePath,
)
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.namespace import Namespace
from packetfs.fs.streams.ingest import ingest
from packetfs.limits import (
    BLOCKS_MAX,
    DRIFT_MAX,
    ENTRY_TAIL_MAX,
    NAMES_MAX,
    RUNS_HELD_MAX,
    SKETCH_NAMES,
    SKETCH_ROUNDS,
    SOURCES_MAX,
    SYMBOLS_MAX,
)
from packetfs.net.ends import Place, Terms
from packetfs.net.finding.sketching import pack_symbols
from packetfs.net.wire.batch import Content
from packetfs.net.wire.listing import Piece
from packetfs.net.wire.messages import (
    Begin,
    Commit,
    Difference,
    Done,
    Failed,
    Listed,
    Listing,
    Matched,
    Message,
    Mode,
    More,
    Ready,
    Signatures,
    Sketch,
    State,
    Want,
)
from packetfs.net.wire.packed import SOURCE, STALE, Expected, Instruction, Packer, write_instruction
from packetfs.net.wire.signatures import NOTHING
from packetfs.net.wire.varint import write_varint
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.entry import Entry
from packetfs.packet.sketch import SYMBOL, check_of
from packetfs.pool.pool import Pool
from tests.net.rig import describe

ROOT = os.geteuid() == 0
DONE = Done(ANY_ROOT, (), (), b"")


class Cage:
    """A destination, and beside it what nobody may touch."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.dst, self.outside = base / "dst", base / "outside"
        self.dst.mkdir()
        self.outside.mkdir()
        (self.outside / "secret").write_bytes(b"secret")
        (self.outside / "secret").chmod(0o600)
        self._before = describe(self.outside)
        self._pool = Pool.create(str(base / "scratch"), mean=4096, durable=False)

    def root(self, content: bytes) -> bytes:
        """Return the root of a content."""
        rest = [memoryview(content)]

        def read(_: int, view: memoryview) -> int:
            count = min(len(view), len(rest[0]))
            view[:count], rest[0] = rest[0][:count], rest[0][count:]
            return count

        return ingest(self._pool, read, keep=False).root

    def file(self, content: bytes, name: bytes = b"f", **fields: object) -> Entry:
        return regular(name, len(content), root=self.root(content), **fields)

    def place(self) -> Place:
        return host(self.dst, self.base / "history")

    def receive(self, script: Script, terms: Terms = Terms()) -> Outcome:  # noqa: B008 (frozen)
        outcome = receive(self.place(), script.read(), terms)
        self.check(outcome)
        return outcome

    def check(self, outcome: Outcome) -> None:
        if outcome.fault is not None:
            raise outcome.fault
        assert describe(self.outside) == self._before
        assert set(os.listdir(self.base)) <= {"dst", "outside", "history", "scratch", "pool"}
        assert b".packetfs-staging" not in os.listdir(os.fsencode(self.dst))

    def close(self) -> None:
        self._pool.close()


@pytest.fixture
def cage(tmp_path: Path) -> Iterator[Cage]:
    made = Cage(tmp_path)
    yield made
    made.close()


def resident() -> int:
    """Return the most memory that this process had at a time, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ended(outcome: Outcome, kind: type[Exception] | tuple[type[Exception], ...] = (BadMessage, BadPacket)) -> None:
    assert isinstance(outcome.error, kind), outcome


# an honest script works: what follows fails for the reason that is meant


def test_an_honest_sender_is_served(cage: Cage) -> None:
    entry = cage.file(b"hello" * 10)
    outcome = cage.receive(Script().begin().file(b"f", entry, b"hello" * 10).commit())
    assert outcome.error is None
    assert not outcome.failed
    assert (cage.dst / "f").read_bytes() == b"hello" * 10


# paths


@pytest.mark.parametrize(
    "path",
    [b"..", b"../outside/x", b"a/../../outside/x", b"/etc/x", b"a//b", b"x/", b".", b"./x", b"a\0b", b"n" * 256],
)
@pytest.mark.parametrize("how", ["file", "link", "leader", "source", "remove", "list"])
def test_paths_that_lead_out_end_the_session(cage: Cage, path: bytes, how: str) -> None:
    script = Script().begin(Mode.LIST if how == "list" else Mode.FULL)
    if how == "file":
        script.file(path, cage.file(b"x"), b"x")
    elif how == "link":
        script.items.link(path, cage.file(b"x"), b"f")
    elif how == "leader":
        script.items.link(b"l", cage.file(b"x"), path)
    elif how == "source":
        script.items.source(path)
    elif how == "remove":
        script.items.remove(path)
    else:
        script.list((path, cage.file(b"x"), ()))
    ended(cage.receive(script.commit(), Terms(delete=True)))
    assert not list(cage.dst.iterdir())


def test_a_symlink_that_was_sent_is_not_written_through(cage: Cage) -> None:
    script = Script().begin()
    script.items.entry(b"l", symlink(b"../outside"), Content.NONE)
    script.file(b"l/x", cage.file(b"x", b"x"), b"x")
    script.items.entry(b"l/deep/er", directory(b"er"), Content.NONE)
    script.items.link(b"l/y", cage.file(b"x", b"y"), b"l")
    script.items.link(b"z", cage.file(b"secret", b"z"), b"l/secret")
    script.items.entry(b"l/secret", regular(b"secret", 6, mode=0o100666), Content.NONE)
    script.items.remove(b"l/secret")
    outcome = cage.receive(script.commit(), Terms(delete=True))
    assert (cage.dst / "l").is_symlink()
    assert outcome.error is not None or b"l/x" in outcome.failed


def test_a_symlink_that_was_there_is_not_written_through(cage: Cage) -> None:
    (cage.dst / "l").symlink_to(cage.outside)
    (cage.dst / "f").symlink_to(cage.outside / "secret")
    script = Script().begin().file(b"l/x", cage.file(b"x", b"x"), b"x").file(b"f", cage.file(b"new"), b"new")
    outcome = cage.receive(script.commit())
    assert b"l/x" in outcome.failed or isinstance(outcome.error, UnsafePath)
    assert not (cage.dst / "f").is_symlink()
    assert (cage.dst / "f").read_bytes() == b"new"


def test_metadata_of_a_symlinks_target_stays(cage: Cage) -> None:
    (cage.dst / "f").symlink_to(cage.outside / "secret")
    script = Script().begin()
    script.items.entry(b"f", regular(b"f", 6, mode=0o100777), Content.NONE)
    script.items.entry(b"d", directory(mode=0o40777), Content.NONE)
    assert b"f" in cage.receive(script.commit().commit()).failed


def test_a_name_below_a_symlink_of_the_destination_does_not_end_a_listing(cage: Cage) -> None:
    """An honest sender has a directory where the destination has a link: the link goes, what it leads to stays."""
    (cage.dst / "l").symlink_to(cage.outside)
    entry = cage.file(b"x", b"secret")
    script = Script().begin(Mode.LIST).list((b"l", directory(b"l"), ()), (b"l/secret", entry, ()))
    script.items.entry(b"l", directory(b"l"), Content.NONE)
    outcome = cage.receive(script.file(b"l/secret", entry, b"x").commit())
    assert outcome.error is None
    assert (cage.dst / "l" / "secret").read_bytes() == b"x"
    assert not (cage.dst / "l").is_symlink()


def test_deltas_copy_from_nothing_outside(cage: Cage) -> None:
    (cage.dst / "l").symlink_to(cage.outside)
    (cage.dst / "f").symlink_to(cage.outside / "secret")
    script = Script().begin(Mode.DELTA)
    script.items.source(b"l/secret")
    for base in (0, 1):
        script.items.entry(b"f", cage.file(b"secret"), Content.DELTA, base)
        script.block(b"\x19\x00")
        script.items.end()
    outcome = cage.receive(script.commit())
    assert outcome.failed[b"f"]
    assert (cage.dst / "f").is_symlink()


@pytest.mark.parametrize("content", [Content.LITERAL, Content.EARLY])
def test_whole_content_copies_from_nothing_outside(cage: Cage, content: Content) -> None:
    """Neither through a link of the destination, nor from a name that is not there, nor from the file itself."""
    (cage.dst / "l").symlink_to(cage.outside)
    script = Script().begin(Mode.DELTA)
    for number, source in enumerate((b"l/secret", b"nothing", b"f"), 1):
        script.items.source(source)
        script.items.entry(b"f", cage.file(b"secret"), content)
        script.block(bytes([6 << 2 | 3, number, 0]))
        script.items.end()
    outcome = cage.receive(script.commit().commit())
    assert outcome.failed or outcome.error is not None
    assert not (cage.dst / "f").exists()


@pytest.mark.parametrize("source", [1, SOURCES_MAX, 2**32 - 1])
def test_whole_content_copies_from_nothing_undeclared(cage: Cage, source: int) -> None:
    script = Script().begin()
    script.items.entry(b"f", cage.file(b"secret"), Content.LITERAL)
    instruction = bytearray([6 << 2 | 3])
    write_varint(instruction, source)
    ended(cage.receive(script.block(bytes(instruction) + b"\0").commit()))


def test_one_file_was_asked_for_and_no_other_comes(cage: Cage) -> None:
    """`pfs sync host:notes ~/` must not bring a .profile along."""
    script = Script().begin().file(b"notes", cage.file(b"n", b"notes"), b"n")
    script.file(b".profile", cage.file(b"evil", b".profile"), b"evil")
    script.items.entry(b"bin", directory(b"bin"), Content.NONE)
    cage.receive(script.commit(), Terms(name=b"notes"))
    assert os.listdir(cage.dst) == ["notes"]


@pytest.mark.parametrize("path", [b".packetfs-staging", b".packetfs-staging/lock", b".packetfs-staging/far-77"])
def test_staging_is_nobodys_to_send(cage: Cage, path: bytes) -> None:
    name = path.rpartition(b"/")[2]
    script = Script().begin()
    script.items.entry(path, directory(name, mode=0o40777), Content.NONE)
    script.file(path, cage.file(b"dst", name), b"dst")
    outcome = cage.receive(script.commit(), Terms(delete=True))
    assert outcome.error is not None or path in outcome.failed


# links


@pytest.mark.parametrize("leader", [b"missing", b"missing/deeper", b"d", b"", b"l", b"f"])
def test_links_to_what_is_no_file_are_failures(cage: Cage, leader: bytes) -> None:
    (cage.dst / "l").symlink_to(cage.outside / "secret")
    (cage.dst / "d").mkdir()
    script = Script().begin()
    script.items.link(b"f", cage.file(b"secret", group=7), leader)
    outcome = cage.receive(script.commit())
    assert outcome.error is not None or b"f" in outcome.failed or (cage.dst / "f").is_symlink()


# content


def test_copies_beyond_the_base_are_failures(cage: Cage) -> None:
    (cage.dst / "f").write_bytes(b"0123456789")
    entry = cage.file(b"0123456789")
    blocks = (
        b"\x29\x14",  # from its end
        b"\x29" + b"\xfe" + b"\xff" * 8 + b"\x01",  # from 2**63 - 1
        b"\x29" + b"\xfe" + b"\xff" * 8 + b"\x01" + b"\x29" + b"\xfe" + b"\xff" * 8 + b"\x01",  # from 2**64
    )
    for block in blocks:
        script = Script().begin(Mode.DELTA)
        script.items.entry(b"f", entry, Content.DELTA)
        script.block(block)
        script.items.end()
        script.file(b"g", cage.file(b"after", b"g"), b"after")
        outcome = cage.receive(script.commit().commit())
        assert b"f" in outcome.failed
        assert (cage.dst / "f").read_bytes() == b"0123456789"
        assert (cage.dst / "g").read_bytes() == b"after"


def test_a_copy_from_before_the_beginning_ends_the_session(cage: Cage) -> None:
    script = Script().begin(Mode.DELTA)
    script.items.entry(b"f", cage.file(b"x"), Content.DELTA)
    ended(cage.receive(script.block(b"\x05\x01").commit()))


@pytest.mark.parametrize("base", [1, SOURCES_MAX, 2**32 - 1])
def test_a_base_that_was_not_declared_ends_the_session(cage: Cage, base: int) -> None:
    script = Script().begin(Mode.DELTA)
    script.items.entry(b"f", cage.file(b"x"), Content.DELTA, base)
    ended(cage.receive(script.block(b"\x05\x00").commit()))


def test_what_follows_a_file_that_failed_is_whole(cage: Cage) -> None:
    """A base that has become shorter: the literals that its blocks did not take must not slip into the next file."""
    (cage.dst / "f").write_bytes(b"short")
    entry = cage.file(b"0" * 100 + b"literal")
    control = bytearray()
    script = Script().begin(Mode.DELTA)
    script.items.entry(b"f", entry, Content.DELTA)
    script.items._send = lambda batch: control.extend(bytes(batch.control))  # the parts below go into one batch
    script.items.flush()
    control += b"\x02\x04" + b"\x91\x03\xc8\x01" + b"\x02\x01\x1c" + b"\x03"
    script.items.entry(b"g", cage.file(b"after", b"g"), Content.LITERAL)
    script.items.flush()
    control += b"\x02\x01\x14\x03"
    outcome = cage.receive(script.batch(bytes(control), b"literal" + b"after").commit().commit())
    assert outcome.error is None
    assert outcome.failed == {b"f": b""}
    assert (cage.dst / "g").read_bytes() == b"after"


@pytest.mark.parametrize("offset", [0, 1, 63, 4096, 2**40, 2**62 + 1])
def test_copies_of_stale_content_stay_within_it(cage: Cage, offset: int) -> None:
    """What was signed is all that can be copied, and what comes of it must have the root."""
    (cage.dst / "f").write_bytes(bytes(range(256)) * 64)
    entry = cage.file(b"x" * 6000)
    piece = Piece(0, 6000, bytes(8))
    script = Script().begin(Mode.LIST).list((b"f", entry, (piece,)))
    script.items.entry(b"f", entry, Content.LISTED)
    block = bytearray()
    write_instruction(block, Instruction(SOURCE, 6000, offset, STALE), Expected())
    script.block(bytes(block))
    script.items.end()
    outcome = cage.receive(script.commit().commit())
    assert outcome.error is None or isinstance(outcome.error, Disconnected)
    assert (cage.dst / "f").read_bytes() == bytes(range(256)) * 64


@pytest.mark.parametrize("mode", [Mode.FULL, Mode.DELTA])
def test_stale_content_that_was_not_signed_cannot_be_copied(cage: Cage, mode: Mode) -> None:
    (cage.dst / "f").write_bytes(b"held")
    script = Script().begin(mode)
    script.items.entry(b"f", cage.file(b"held"), Content.DELTA)
    script.block(b"\x13\x00\x00")
    script.items.end()
    ended(cage.receive(script.commit()))


def test_bits_of_any_number_leave_a_receiver_its_runs(cage: Cage) -> None:
    for matched in (b"", b"\xff" * 10, b"\xaa" * 4000, b"\xff" * 1_000_000):
        (cage.dst / "f").write_bytes(random.Random(1).randbytes(3 << 20))
        entry = cage.file(b"y" * (3 << 20))
        pieces = tuple(Piece(at, 1 << 16, bytes(8)) for at in range(0, 3 << 20, 1 << 16))
        script = Script().begin(Mode.LIST).list((b"f", entry, pieces)).say(Matched(matched, 2**63)).commit()
        assert cage.receive(script).error is None


def test_a_run_of_a_quintillion_is_refused_at_once(cage: Cage) -> None:
    fill = bytearray()
    write_varint(fill, 1 << 62 | 2)
    fill += b"\0"
    for size, content in ((1 << 60, Content.LITERAL), (1 << 60, Content.DELTA), (100, Content.LITERAL)):
        script = Script().begin()
        script.items.entry(b"f", regular(b"f", size, sparse=True), content)
        script.block(bytes(fill))
        script.items.end()
        assert b"f" in cage.receive(script.commit().commit()).failed
    assert not (cage.dst / "f").exists()


@pytest.mark.parametrize("sent", [b"", b"hell", b"hello!", b"hellO"])
def test_content_that_is_not_what_was_announced_is_not_committed(cage: Cage, sent: bytes) -> None:
    (cage.dst / "f").write_bytes(b"before")
    script = Script().begin().file(b"f", cage.file(b"hello"), *([sent] if sent else []))
    outcome = cage.receive(script.commit().commit())
    assert outcome.failed == {b"f": b""}
    assert (cage.dst / "f").read_bytes() == b"before"


@pytest.mark.parametrize("content", [Content.LITERAL, Content.DELTA, Content.LISTED, Content.EARLY])
def test_blocks_that_take_more_than_there_is_end_the_session(cage: Cage, content: Content) -> None:
    script = Script().begin(Mode.DELTA)
    script.items.entry(b"f", cage.file(b"hello"), content)
    script.block(b"\x14", b"hell")
    script.items.end()
    ended(cage.receive(script.commit()))


def test_blocks_and_ends_without_an_entry_end_the_session(cage: Cage) -> None:
    for control in (b"\x03", b"\x02\x01\x14", b"\x07", b"\x00", b"\xff"):
        ended(cage.receive(Script().begin().batch(control).commit()))
    script = Script().begin().file(b"f", cage.file(b"x"), b"x")
    script.items.end()
    ended(cage.receive(script.commit()))


def test_content_without_an_end_ends_the_session(cage: Cage) -> None:
    for follower in ("commit", "entry", "silence"):
        script = Script().begin()
        script.items.entry(b"f", cage.file(b"hello"), Content.LITERAL)
        script.block(b"\x0c", b"hel")
        if follower == "entry":
            script.items.entry(b"g", directory(b"g"), Content.NONE)
        if follower != "silence":
            script.commit()
        ended(cage.receive(script), (BadMessage, Disconnected))
        assert not (cage.dst / "f").exists()


def test_damage_within_content_is_told_as_it_is(cage: Cage) -> None:
    """A frame that breaks in the middle of a file is no failure of that file."""
    for damage in (b"\x10\0\0\0\x08\x00short", b"\xff\xff\xff\xff\x08\x00", b"\x04\0\0\0\x05\x01\x10\0\0\0"):
        script = Script().begin()
        script.items.entry(b"f", cage.file(b"hello"), Content.LITERAL)
        outcome = cage.receive(script.block(b"\x0c", b"hel").raw(damage))
        ended(outcome, (BadMessage, BadPacket, Disconnected))
        assert not outcome.failed
    script = Script().begin()
    script.items.entry(b"f", cage.file(b"hello"), Content.LITERAL)
    ended(cage.receive(script.block(b"\x0c", b"hel").say(Failed(7, b"no disk", b""))), FarSideFailed)


# memory and depth


def test_deep_trees_cost_no_stack(cage: Cage) -> None:
    """100,000 levels are no path; a thousand are, missing parents and all, now and in the syncs that follow."""
    script = Script().begin()
    script.items.entry(b"/".join([b"d"] * 100_000)[: 16 * 1024 - 1], directory(), Content.NONE)
    ended(cage.receive(script.commit()))


def test_a_thousand_levels_are_made_and_looked_at_again(cage: Cage) -> None:
    deep = b"/".join([b"d"] * 1200)
    script = Script().begin()
    script.items.entry(deep, directory(), Content.NONE)
    assert cage.receive(script.commit()).error is None
    outcome = cage.receive(Script().begin(Mode.LIST).list().commit(), Terms(delete=True))
    assert outcome.error is None


def test_lists_and_bombs_cost_no_memory(cage: Cage) -> None:
    cage.receive(Script().begin().file(b"f", cage.file(b"hello"), b"hello").commit())
    before = resident()
    piece = b"\x00\x01" + bytes(8)
    record = bytearray(b"\x00\x01f" + b"\x20\xa4\x83\x02\x00\x00\x00")
    write_varint(record, 1 << 40)
    record += bytes(32)
    write_varint(record, 400_000)
    listing = Listing(bytes(record + piece * 400_000))
    assert cage.receive(Script().begin(Mode.LIST).say(listing, Listed(1)).commit()).error is None
    script = Script().begin()
    for _ in range(6):
        script.batch(b"\x04\x00\x01x" * 1000, b"").batch(b"", bytes(8 << 20))
    ended(cage.receive(script.commit()))
    assert resident() - before < 128 << 20


def test_too_many_sources_end_the_session(cage: Cage) -> None:
    script = Script().begin(Mode.DELTA).batch(b"\x05\x00\x01s" * (SOURCES_MAX + 1))
    ended(cage.receive(script.commit()))


def test_large_tails_grow_no_node_without_end(cage: Cage) -> None:
    """A page of names is read at a time, a node ends at 1 MiB, and no tail is longer than 256 KiB."""
    before = resident()
    script = Script().begin()
    values = tuple((b"user.%02d" % number, bytes(60_000)) for number in range(4))
    for number in range(200):
        name = b"%03d" % number
        script.items.entry(name, Entry(name, 0o10600, os.geteuid(), os.getegid(), xattrs=values), Content.NONE)
    outcome = cage.receive(script.commit())
    assert outcome.error is None
    assert resident() - before < 96 << 20


# what an entry may be


@pytest.mark.skipif(not ROOT, reason="only root makes devices at all")
def test_root_makes_devices_as_it_is_told_and_nobody_else(cage: Cage) -> None:
    script = Script().begin()
    script.items.entry(b"null", Entry(b"null", 0o20600, rdev=os.makedev(1, 3)), Content.NONE)
    assert not cage.receive(script.commit()).failed
    assert stat.S_ISCHR((cage.dst / "null").stat().st_mode)


def as_user(cage: Cage, script: Script) -> Outcome:
    """Receive as a user without rights, in a child process where this one is root."""
    os.chmod(cage.base, 0o755)  # noqa: S103
    for place in (cage.dst, cage.base / "history"):
        place.mkdir(exist_ok=True)
        if ROOT:
            os.chown(place, 65534, 65534)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if ROOT:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        outcome = receive(cage.place(), script.read())
        os.write(writing, repr((repr(outcome.error), repr(outcome.fault), sorted(outcome.failed))).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        error, fault, failed = eval(answer.read())  # noqa: S307 (our own repr)
    assert (error, fault) == ("None", "None")
    return Outcome(done=Done(ANY_ROOT, tuple((path, b"") for path in failed), (), b""))


def test_users_get_no_devices_no_privileged_attributes_and_no_borrowed_setuid(cage: Cage, tmp_path: Path) -> None:
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 1:
            above.chmod(above.stat().st_mode | 0o011)
    script = Script().begin()
    script.items.entry(b"disk", Entry(b"disk", 0o60666, rdev=os.makedev(8, 0)), Content.NONE)
    attributes = ((b"security.capability", b"\1\0\0\2" + b"\xff" * 16), (b"trusted.x", b"1"), (b"user.x", b"1"))
    script.file(b"s", cage.file(b"x", b"s", mode=0o106755, uid=0, gid=0, xattrs=attributes), b"x")
    outcome = as_user(cage, script.commit())
    assert b"disk" in outcome.failed
    status = (cage.dst / "s").stat()
    assert stat.S_IMODE(status.st_mode) == 0o755
    assert not set(os.listxattr(cage.dst / "s")) & {"security.capability", "trusted.x"}
    assert not (cage.dst / "disk").exists()


@pytest.mark.parametrize(
    "entry",
    [
        regular(mode=0o30644),
        regular(mode=0o644),
        regular(size=1 << 63),
        regular(xattrs=((b"user.\0x", b""),)),
        regular(target=b"x"),
        symlink(b"a\0b"),
        regular(xattrs=tuple((b"user.%03d" % n, bytes(1 << 16)) for n in range(ENTRY_TAIL_MAX >> 16))),
    ],
)
@pytest.mark.parametrize("how", ["entry", "link", "list"])
def test_entries_that_no_file_has_end_the_session(cage: Cage, entry: Entry, how: str) -> None:
    script = Script().begin(Mode.LIST if how == "list" else Mode.FULL)
    if how == "list":
        script.list((b"f", entry, ()))
    elif how == "link":
        script.items.link(b"f", entry, b"g")
    else:
        script.items.entry(b"f", entry, Content.NONE)
    ended(cage.receive(script.commit()))


def test_odd_owners_and_times_are_no_fault(cage: Cage) -> None:
    for number, entry in enumerate(
        [
            replace(cage.file(b"x"), uid=2**32 - 1, gid=2**32 - 1, mode=0o106777),
            replace(cage.file(b"x"), mtime_ns=-(2**63)),
            replace(cage.file(b"x"), mtime_ns=2**63 - 1, group=2**64 - 1),
            Entry(b"f", 0o10600, os.geteuid(), os.getegid(), rdev=2**64 - 1),
        ]
    ):
        script = Script().begin()
        name = b"%d" % number
        if entry.is_file:
            script.file(name, entry, b"x")
        else:
            script.items.entry(name, entry, Content.NONE)
        outcome = cage.receive(script.commit())
        assert outcome.error is None
        mode = (cage.dst / name.decode()).lstat().st_mode if name not in outcome.failed else 0
        assert not mode & stat.S_ISUID


# names that change what they are


def test_a_name_can_be_file_directory_and_file_again(cage: Cage) -> None:
    script = Script().begin()
    for _ in range(2):
        script.file(b"n", cage.file(b"x", b"n"), b"x")
        script.items.entry(b"n", directory(b"n"), Content.NONE)
        script.file(b"n/below", cage.file(b"y", b"below"), b"y")
        script.items.entry(b"n", symlink(b"../outside", b"n"), Content.NONE)
        script.file(b"n/secret", cage.file(b"z", b"secret"), b"z")
    script.file(b"n", cage.file(b"last", b"n"), b"last")
    outcome = cage.receive(script.commit())
    assert outcome.error is None or isinstance(outcome.error, PacketFSError)


def test_without_delete_no_directory_that_holds_something_becomes_a_file(cage: Cage) -> None:
    (cage.dst / "docs").mkdir()
    (cage.dst / "docs" / "precious").write_bytes(b"p")
    outcome = cage.receive(Script().begin().file(b"docs", cage.file(b"y", b"docs"), b"y").commit().commit())
    assert b"docs" in outcome.failed
    assert (cage.dst / "docs" / "precious").exists()


def test_one_content_in_many_files_is_no_fault(cage: Cage) -> None:
    """An index finds 4,096 places of one extent at the most: more need not be known."""
    content = b"as a licence text is, in every directory of a tree of packages, word for word"
    entries = [cage.file(content, b"%04d" % number, mtime_ns=5) for number in range(4200)]
    for entry in entries:
        (cage.dst / entry.name.decode()).write_bytes(content)
    script = Script().begin(Mode.LIST).list(*((entry.name, entry, ()) for entry in entries))
    assert cage.receive(script.commit()).error is None


def test_the_same_name_many_times_ends_with_the_last(cage: Cage) -> None:
    script = Script().begin()
    for number in range(50):
        content = b"%d" % number
        script.file(b"n", cage.file(content, b"n"), content)
    assert cage.receive(script.commit()).error is None
    assert (cage.dst / "n").read_bytes() == b"49"


def test_the_top_is_a_directory_whatever_is_said(cage: Cage) -> None:
    (cage.dst / "keep").write_bytes(b"kept")
    script = Script().begin()
    script.items.entry(b"", regular(b".", 0), Content.NONE)
    script.file(b"", cage.file(b"x", b"."), b"x")
    script.items.entry(b"", symlink(b"../outside", b"."), Content.NONE)
    script.items.link(b"", cage.file(b"x", b"."), b"keep")
    script.items.remove(b"")
    assert cage.receive(script.commit(), Terms()).error is None
    assert (cage.dst / "keep").read_bytes() == b"kept"


def test_a_dry_run_changes_nothing_whatever_is_sent(cage: Cage) -> None:
    (cage.dst / "old").write_bytes(b"old")
    before = describe(cage.dst)
    script = Script().begin(Mode.LIST).list((b"f", cage.file(b"x"), ()))
    script.file(b"f", cage.file(b"x"), b"x")
    script.items.entry(b"d", directory(), Content.NONE)
    script.items.link(b"l", cage.file(b"old"), b"old")
    script.items.remove(b"old")
    cage.receive(script.commit(), Terms(delete=True, dry_run=True))
    assert describe(cage.dst) == before


# messages out of turn


@pytest.mark.parametrize(
    "message",
    [
        *(Ready(1), State(1, (), ()), Want(b"", b"", 0), NOTHING, DONE),
        *(Listed(0), Listing(b""), Begin(0, ANY_ROOT, ANY_ROOT, 0, 0)),
    ],
)
@pytest.mark.parametrize("when", ["first", "items", "content", "listing"])
def test_messages_out_of_turn_end_the_session(cage: Cage, message: Message, when: str) -> None:
    script = Script()
    if when == "listing":
        script.begin(Mode.LIST)
    elif when != "first":
        script.begin()
    if when == "content":
        script.items.entry(b"f", cage.file(b"x"), Content.LITERAL)
    outcome = cage.receive(script.say(message))
    if (when, type(message)) in {("first", Begin), ("listing", Listing), ("listing", Listed)}:
        ended(outcome, Disconnected)
    else:
        ended(outcome)


@pytest.mark.parametrize("mode", [3, 255, 2**64 - 1])
def test_an_unknown_mode_ends_the_session(cage: Cage, mode: int) -> None:
    ended(cage.receive(Script().begin(mode).commit()))


# into a pool


@pytest.fixture
def pool(cage: Cage) -> Place:
    with Pool.create(str(cage.base / "pool"), mean=4096) as made, FileSystem(made) as fs:
        fs.commit()
    return Place(str(cage.base / "pool"), b"dst", str(cage.base / "history"))


def test_a_pool_takes_nothing_outside_its_path(cage: Cage, pool: Place) -> None:
    script = Script().begin()
    script.file(b"f", cage.file(b"x"), b"x")
    script.items.entry(b"l", symlink(b"../other"), Content.NONE)
    script.file(b"l/f", cage.file(b"x"), b"x")
    outcome = receive(pool, script.commit().read())
    cage.check(outcome)
    with Pool.open(pool.pool) as opened, FileSystem(opened) as fs:
        assert [entry.name for entry in fs.children(b"")] in ([b"dst"], [])


def test_a_root_that_is_no_file_is_refused(cage: Cage, pool: Place) -> None:
    """Content that looks like a program must not become one: its author chose what it does when it is read."""
    evil = bytes([1]) + bytes(63) + bytes(64)
    script = Script().begin().file(b"data", cage.file(evil, b"data"), evil)
    script.items.entry(b"f", regular(b"f", 1 << 50, root=digest_of(evil)), Content.NONE)
    script.items.entry(b"g", regular(b"g", 7, root=cage.root(evil)), Content.NONE)
    outcome = receive(pool, script.commit().commit().read())
    cage.check(outcome)
    assert outcome.failed.keys() == {b"f", b"g"}


def test_without_delete_no_directory_of_a_pool_becomes_a_file(cage: Cage, pool: Place) -> None:
    first = Script().begin().file(b"docs/a", cage.file(b"x", b"a"), b"x").commit()
    assert receive(pool, first.read()).error is None
    receive(pool, Script().begin(Mode.LIST).list().file(b"docs", cage.file(b"y"), b"y").commit().read())
    with Pool.open(pool.pool) as opened, FileSystem(opened) as fs:
        assert fs.entry(b"dst/docs/a") is not None


# a hostile receiver


@pytest.fixture
def source(cage: Cage) -> Path:
    (cage.dst / "d").mkdir()
    (cage.dst / "d" / "f").write_bytes(random.randbytes(20_000))
    (cage.dst / "g").write_bytes(b"g" * 10)
    (cage.dst / "l").symlink_to("d")
    return cage.dst


def remembered(cage: Cage) -> str:
    """Return the pool that remembers the source."""
    return str(next((cage.base / "history").glob("source-*")))


def fed(cage: Cage, *messages: Message) -> Outcome:
    script = Script().say(*messages)
    outcome = send(cage.place(), script.read())
    cage.check(outcome)
    return outcome


COARSE = Signatures(64, 1, 0, 0, b"", b"")
"""Signatures of nothing, which are not the last."""


@pytest.mark.usefixtures("source")
def test_an_honest_receiver_is_served(cage: Cage) -> None:
    assert fed(cage, Ready(1), State(1, (), ()), DONE).error is None
    listing = (Ready(0), State(0, (), ()), Want(b"\xff", b"\0", 0), NOTHING, DONE)
    assert fed(cage, *listing).error is None


@pytest.mark.usefixtures("source")
def test_bitmaps_of_any_size_are_read_as_far_as_they_go(cage: Cage) -> None:
    for wanted, held in ((b"", b""), (b"\xff" * 100_000, b"\xff" * 100_000), (b"\xff", b""), (b"", b"\xff")):
        outcome = fed(cage, Ready(0), State(0, (), ()), Want(wanted, held, 2**64 - 1), NOTHING, DONE)
        assert outcome.error is None


class Many:
    """A source with so many names that a sketch is asked for."""

    def __init__(self, cage: Cage) -> None:
        for number in range(SKETCH_NAMES + 10):
            (cage.dst / f"{number}").write_bytes(b"%d" % number)
        self._cage = cage

    def fed(self, *messages: Message) -> Outcome:
        return fed(self._cage, Ready(0), State(0, (), ()), *messages)


@pytest.fixture
def many(cage: Cage) -> Many:
    return Many(cage)


LISTED = (Want(b"", b"", 0), NOTHING, DONE)
"""How it goes on when all names were listed."""


def symbols_of(count: int, seed: int = 1) -> bytes:
    """Return symbols that no set has."""
    rng = random.Random(seed)
    rows = ((rng.getrandbits(64), rng.getrandbits(32), rng.randrange(-900, 900)) for _ in range(count))
    return pack_symbols(b"".join(SYMBOL.pack(*row) for row in rows), 0, 0)


def test_symbols_that_never_peel_end_in_a_list(many: Many) -> None:
    assert many.fed(Sketch(bytes(32), 0, symbols_of(1024)), *LISTED).error is None
    several = many.fed(*(Sketch(bytes(32), 266, symbols_of(20, seed)) for seed in range(SKETCH_ROUNDS)), *LISTED)
    assert several.error is None or isinstance(several.error, BadMessage)
    assert many.fed(Sketch(bytes(32), 0, b""), *LISTED).error is None


def test_symbols_that_give_one_id_after_the_other_end(many: Many) -> None:
    """Each gives an id that is in no other symbol, so that there is always one more to take."""
    ids = [random.Random(seed).getrandbits(64) for seed in range(5000)]
    rows = b"".join(SYMBOL.pack(number, check_of(number), -1) for number in ids)
    assert many.fed(Sketch(bytes(32), 0, pack_symbols(rows, 0, 0)), *LISTED).error is None


def test_ids_that_a_sender_does_not_have_select_nothing(many: Many) -> None:
    """A sketch of nothing says that all of the sender's names are lacking; it lists them."""
    empty = Sketch(bytes(32), 0, pack_symbols(bytes(SYMBOL.size * 1024), 0, 0))
    assert many.fed(empty, *LISTED).error is None


@pytest.mark.parametrize(
    "said",
    [
        Sketch(b"", 0, b""),
        Sketch(bytes(33), 0, b""),
        Sketch(bytes(32), NAMES_MAX + 1, b""),
        Sketch(bytes(32), 0, bytes(12)),
        Sketch(bytes(32), 0, bytes(12) + b"\xff" * 9 + b"\x01"),
        Sketch(bytes(32), 0, bytes(13 * (SYMBOLS_MAX + 1))),
    ],
)
def test_sketches_that_cannot_be_end_the_session(many: Many, said: Sketch) -> None:
    ended(many.fed(said, *LISTED))


@pytest.mark.parametrize(
    "answers",
    [
        (More(0, 0),),
        (More(0, 1),),
        (More(SYMBOLS_MAX, 0),),
        (More(SYMBOLS_MAX + 1, 1),),
        (More(2**63, 0),),
        (More(1, 0),) * (SKETCH_ROUNDS + 1),
        (More(1, 1),) * (SKETCH_ROUNDS + 1),
        (Matched(b"", 0),),
        (Difference(1, b""), Difference(1, b"")),
    ],
)
def test_a_sender_that_wants_symbols_without_end_ends_the_session(cage: Cage, answers: tuple[Message, ...]) -> None:
    (cage.dst / "f").write_bytes(b"here")
    ended(cage.receive(Script().begin(Mode.SKETCH).say(*answers).commit()))


def test_a_sketch_of_one_file_is_refused(cage: Cage) -> None:
    (cage.dst / "f").write_bytes(b"here")
    ended(cage.receive(Script().begin(Mode.SKETCH).say(Difference(1, b"")).commit(), Terms(name=b"f")))


def test_ids_that_nobody_has_take_nothing_away(cage: Cage) -> None:
    (cage.dst / "f").write_bytes(b"here")
    script = Script().begin(Mode.SKETCH).say(Difference(1, bytes(8) * 100_000 + b"odd")).list()
    assert cage.receive(script.commit(), Terms(delete=True)).error is None
    assert (cage.dst / "f").read_bytes() == b"here"


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    "said",
    [
        Signatures(63, 4, 0, 1, b"", b""),
        Signatures(1 << 40, 4, 0, 1, b"", b""),
        Signatures(64, 0, 0, 1, b"", b""),
        Signatures(64, 8, 0, 1, b"\x40", bytes(8)),
        Signatures(64, 4, (1 << 61) - 1, 1, b"\x40", bytes(4)),
        Signatures(64, 4, 0, 1, b"\x40", bytes(8)),
        Signatures(64, 4, 0, 1, b"\x40", b""),
        Signatures(64, 4, 0, 1, b"\x00", b""),
        Signatures(64, 4, 0, 1, b"\x40\x80", bytes(4)),
        Signatures(64, 4, 0, 1, b"\xff" * 8 + b"\x7f", bytes(4)),
        Signatures(64, 4, 0, 1, (b"\xff" * 8 + b"\x3f") * 3, bytes(4)),
        Signatures(64, 1, 0, 1, b"\x01" * (RUNS_HELD_MAX + 1), b""),
        Signatures(64, 1, 0, 1, b"\xff" * 4 + b"\x0f", bytes(BLOCKS_MAX + 1)),
    ],
)
def test_signatures_that_cannot_be_end_the_session(cage: Cage, said: Signatures) -> None:
    ended(fed(cage, Ready(0), State(0, (), ()), Want(b"\xff", b"", 0), said, DONE))


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("block", [64, 1024])
def test_sums_of_anything_cost_a_sender_little_and_end(cage: Cage, block: int) -> None:
    """All sums alike, sums of each byte, and as many as there may be: the sender finds what it finds and goes on."""
    before = resident()
    for sums, width in ((bytes(BLOCKS_MAX), 1), (bytes(range(256)), 1), (bytes(7 * BLOCKS_MAX), 7)):
        runs = bytearray()
        write_varint(runs, len(sums) // width * block)
        said = Signatures(block, width, 1, 0, bytes(runs), sums)
        outcome = fed(cage, Ready(0), State(0, (), ()), Want(b"\xff", b"", 0), said, NOTHING, DONE)
        assert outcome.error is None
    assert resident() - before < 128 << 20


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    "path",
    [
        *(b"../outside/secret", b"/etc/passwd", b"missing", b"d/../g", b"g\0", b"g"),
        *(b"", b"d", b"l"),
    ],
)
def test_failures_and_drift_of_any_name_read_nothing_else(cage: Cage, path: bytes) -> None:
    assert fed(cage, Ready(0), State(0, (), ()), Want(b"", b"", 0), NOTHING, DONE).error is None
    done = Done(ANY_ROOT, ((path, b""), (path, b"no")), (), b"")
    outcome = fed(cage, Ready(0), State(0, (), ()), Want(b"", b"", 0), NOTHING, done, done)
    assert outcome.error is None or isinstance(outcome.error, PacketFSError)
    with Pool.open(remembered(cage)) as held, FileSystem(held) as fs:
        root = Digest(fs.tree_root())
    drift = State(0, (root,), ((path, 5, 5),))
    assert fed(cage, Ready(0), drift, DONE).error is None


@pytest.mark.usefixtures("source")
def test_a_receiver_cannot_make_a_sender_forget(cage: Cage) -> None:
    """What the sender takes for damage of its own memory makes it start anew: no peer may bring that about."""
    assert fed(cage, Ready(1), State(1, (), ()), DONE).error is None
    with Pool.open(remembered(cage)) as held, FileSystem(held) as fs:
        root = Digest((fs.entry(b"d/f") or Entry(b"", 0)).root)
    fed(cage, Ready(0), State(0, (root,), ()), DONE)
    assert remembered(cage)


@pytest.mark.usefixtures("source")
def test_roots_that_are_no_trees_are_refused(cage: Cage) -> None:
    assert fed(cage, Ready(1), State(1, (), ()), DONE).error is None
    with Pool.open(remembered(cage)) as held, FileSystem(held) as fs:
        root = Digest((fs.entry(b"d/f") or Entry(b"", 0)).root)
    outcome = fed(cage, Ready(0), State(0, (root,), ()), DONE)
    ended(outcome, (BadProgram, BadPacket, BadMessage))
    unknown = State(0, tuple(Digest(bytes([n]) * 32) for n in range(16)), ())
    assert fed(cage, Ready(0), unknown, Want(b"", b"", 0), NOTHING, DONE).error is None


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("count", [DRIFT_MAX + 1, 1_000_000])
def test_drift_without_end_is_refused(cage: Cage, count: int) -> None:
    before = resident()
    state = State(0, (), tuple((b"%d" % number, 0, 0) for number in range(count)))
    script = Script().say(Ready(0), state).read()
    del state
    baseline = max(before, resident())
    outcome = send(cage.place(), script)
    cage.check(outcome)
    ended(outcome)
    assert resident() - baseline < 64 << 20


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    "messages",
    [
        (State(1, (), ()),),
        (Ready(1), Ready(1)),
        (Ready(1), Commit(ANY_ROOT)),
        (Ready(0), State(0, (), ()), DONE),
        (Ready(0), State(0, (), ()), Want(b"", b"", 0), DONE),
        (Ready(0), State(0, (), ()), Want(b"", b"", 0), COARSE, COARSE),
        (Ready(1), State(1, (), ()), Want(b"", b"", 0)),
        (Ready(1), State(1, (), ()), Begin(0, ANY_ROOT, ANY_ROOT, 0, 0)),
    ],
)
def test_a_receiver_out_of_turn_ends_the_session(cage: Cage, messages: tuple[Message, ...]) -> None:
    ended(fed(cage, *messages))


@pytest.mark.usefixtures("source")
def test_a_receiver_that_hangs_up_is_a_lost_connection(cage: Cage) -> None:
    script = Script().say(Ready(0), State(0, (), ()), Want(b"\xff", b"", 0)).read()
    for size in range(0, len(script), 7):
        outcome = send(cage.place(), script[:size])
        cage.check(outcome)
        ended(outcome, Disconnected)


def test_a_sender_that_hangs_up_is_a_lost_connection(cage: Cage) -> None:
    said = Script().begin().file(b"f", cage.file(b"hello" * 9), b"hello" * 9).commit().read()
    for size in range(0, len(said), 11):
        outcome = receive(cage.place(), said[:size])
        cage.check(outcome)
        ended(outcome, Disconnected)


def test_the_fuzzer_finds_nothing_in_a_few_seconds(tmp_path: Path) -> None:
    """`python -m fuzz.wire --seconds 3600` looks longer."""
    command = [sys.executable, "-m", "fuzz.wire", "--seconds", "4", "--save", str(tmp_path / "faults")]
    fuzzed = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr


# roots that are only announced, and runs that cost nothing to send


def announced(cage: Cage, script: Script) -> Outcome:
    """Let a sender claim that `f`, which was synced with other content of that size, has a root by now."""
    entry = cage.file(b"old" * 20)
    cage.receive(Script().begin().file(b"f", entry, b"old" * 20).commit())
    assert (cage.dst / "f").read_bytes() == b"old" * 20
    return cage.receive(script.commit())


@pytest.mark.parametrize("mode", [Mode.FULL, Mode.DELTA])
def test_a_root_that_is_only_announced_is_asked_for(cage: Cage, mode: Mode) -> None:
    script = Script().begin(mode)
    script.items.entry(b"f", cage.file(b"new" * 20), Content.NONE)
    outcome = announced(cage, script)
    assert outcome.failed == {b"f": b""} or isinstance(outcome.error, Disconnected), "the sender has hung up"
    with FileSystem(Pool.open(history_of(cage))) as fs:
        found = fs.entry(b"f")
        assert found is None or found.root != cage.root(b"new" * 20) or fs.seen(b"f") is None


def test_a_root_that_failed_is_not_what_is_there(cage: Cage) -> None:
    """First content of another root, which is refused, and then the claim that it is there."""
    entry = cage.file(b"new" * 20)
    script = Script().begin(Mode.DELTA).file(b"f", entry, b"bad" * 20)
    script.items.entry(b"f", entry, Content.NONE)
    announced(cage, script)
    assert (cage.dst / "f").read_bytes() == b"old" * 20
    with FileSystem(Pool.open(history_of(cage))) as fs:
        assert fs.seen(b"f") is None or fs.entry(b"f").root != entry.root  # type: ignore[union-attr]


def test_a_link_takes_no_root_over(cage: Cage) -> None:
    script = Script().begin(Mode.DELTA)
    script.items.link(b"g", cage.file(b"new" * 20, b"g"), b"f")
    announced(cage, script)
    with FileSystem(Pool.open(history_of(cage))) as fs:
        found = fs.entry(b"g")
        assert found is None or fs.seen(b"g") is None


def history_of(cage: Cage) -> str:
    (found,) = (cage.base / "history").glob("target-*")
    return str(found)


def test_a_run_that_the_disk_has_no_room_for_fills_nothing(cage: Cage) -> None:
    room = os.statvfs(cage.dst)
    size = room.f_blocks * room.f_frsize + (1 << 30)  # no more becomes free than there is
    script = Script().begin()
    script.items.entry(b"f", regular(b"f", size, root=ANY_ROOT), Content.LITERAL)
    packer = Packer(merging=False)
    packer.fill(7, size)
    script.items.block(packer)
    script.items.end()
    outcome = cage.receive(script.commit())
    assert isinstance(outcome.error, DestinationFull)
    assert not any(cage.dst.iterdir())


def test_a_deep_path_costs_no_more_than_its_depth(cage: Cage, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    plain = Namespace.lookup

    def count(self: Namespace, parent: int, name: bytes) -> int | None:
        nonlocal looked
        looked += 1
        return plain(self, parent, name)

    monkeypatch.setattr(Namespace, "lookup", count)
    with FileSystem(cage._pool) as fs:
        fs.make_parents(b"/".join([b"d"] * 1000))
        fs.make_parents(b"/".join([b"d"] * 999 + [b"f"]))
    assert looked < 5000


@pytest.mark.parametrize("what", ["decoders", "receiver", "sender"])
def test_bent_sessions_break_no_machine(tmp_path: Path, what: str) -> None:
    """The same without files around it, for the longer campaigns of `fuzz.guided`."""
    command = [sys.executable, "-m", "fuzz.guided", what, "--blind", "--runs", "400"]
    place = Path(__file__).parents[2]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"400 runs of {what}, no fault" in run.stdout
