"""Attacks on the questions about directories: each costs little, and brings nothing to where it does not belong."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.stage import ANY_ROOT, MEAN, Script, directory, receive
from packetfs.errors import OverQuota
from packetfs.fs.directory import DirectoryWriter
from packetfs.limits import NAME_COST, SKETCH_ROUNDS, SUBTREES_MAX
from packetfs.net.access.rights import Quota, Rights
from packetfs.net.ends import Terms
from packetfs.net.finding import sketching
from packetfs.net.finding.names import ID
from packetfs.net.finding.subtrees import QUESTION
from packetfs.net.sending import sender
from packetfs.net.wire.batch import Content
from packetfs.net.wire.messages import Difference, Held, Message, Mode, Ready, Sketch, State, Subtrees, Want
from packetfs.net.wire.signatures import NOTHING
from packetfs.packet.digest import Digest, keyed_tag
from packetfs.packet.entry import Entry
from packetfs.packet.head import Kind
from tests.net.test_hostile import DONE, Cage, ended, fed, symbols_of
from tests.packet.store import MemoryStore

KEY = bytes(sketching.KEY)
NOT_WHOLE = Difference(0, b"")


@pytest.fixture
def cage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cage]:
    """A destination whose receiver has a key that everybody knows."""
    monkeypatch.setattr(sketching, "new_key", lambda: KEY)
    cage = Cage(tmp_path)
    yield cage
    cage.close()


def root_of(*entries: Entry) -> Digest:
    writer = DirectoryWriter(MemoryStore(), Kind.DIRECTORY, MEAN)
    for entry in entries:
        writer.add_entry(entry)
    return writer.close()


@pytest.fixture
def known(cage: Cage) -> Digest:
    """The root of the directory `d` of the destination, in which there is one file."""
    (cage.dst / "d").mkdir()
    (cage.dst / "d" / "f").write_bytes(b"here")
    (cage.dst / "d" / "f").chmod(0o644)
    return root_of(cage.file(b"here", mtime_ns=(cage.dst / "d" / "f").stat().st_mtime_ns))


def question(root: Digest) -> bytes:
    return keyed_tag(KEY, root)[:ID] + b"??"


def asking(root: Digest, *listed: bytes, announced: tuple[bytes, ...]) -> Script:
    """Ask about a directory, list it at some paths, and announce directories."""
    script = Script().begin(Mode.SKETCH).say(Subtrees(question(root)), NOT_WHOLE)
    script.list(*((path, directory(path.rpartition(b"/")[2], root=root), ()) for path in listed), whole=True)
    for path in announced:
        script.items.entry(path, directory(path.rpartition(b"/")[2]), Content.NONE)
    return script.commit()


@pytest.mark.parametrize(
    "asked",
    [
        (Subtrees(b""),),
        (Subtrees(bytes(QUESTION - 1)),),
        (Subtrees(bytes(QUESTION * (SUBTREES_MAX + 1))),),
        (Subtrees(bytes(QUESTION * SUBTREES_MAX)), Subtrees(bytes(QUESTION))),
        (Subtrees(bytes(QUESTION)), Want(b"", b"", 0)),
    ],
)
def test_questions_that_cannot_be_end_the_session(cage: Cage, asked: tuple[Message, ...]) -> None:
    (cage.dst / "f").write_bytes(b"here")
    ended(cage.receive(Script().begin(Mode.SKETCH).say(*asked, NOT_WHOLE).list().commit()))


def test_one_question_many_times_costs_little(cage: Cage) -> None:
    """However many directories it is about."""
    for number in range(1000):
        (cage.dst / f"{number}").mkdir()
    said = Subtrees(question(root_of()) * SUBTREES_MAX)
    start = time.process_time()
    assert cage.receive(Script().begin(Mode.SKETCH).say(said, NOT_WHOLE).list().commit()).error is None
    assert time.process_time() - start < 30


def test_a_directory_that_is_here_is_copied_to_where_it_is_listed(cage: Cage, known: Digest) -> None:
    assert cage.receive(asking(known, b"e", announced=(b"e",))).error is None
    assert (cage.dst / "e" / "f").read_bytes() == b"here"


@pytest.mark.parametrize("where", [b"d/e", b"d/f", b"g"])
def test_it_is_copied_once_and_nowhere_else(cage: Cage, known: Digest, where: bytes) -> None:
    """Whatever it lies in, and however often it is announced."""
    script = asking(known, where, announced=(where, where, b"x", where + b"/y", where))
    assert cage.receive(script, Terms(delete=True)).error is None
    assert (cage.dst / os.fsdecode(where) / "f").read_bytes() == b"here"
    assert not (cage.dst / "x" / "f").exists()


def test_one_that_is_not_here_brings_nothing(cage: Cage, known: Digest) -> None:
    assert known != ANY_ROOT
    assert cage.receive(asking(ANY_ROOT, b"e", announced=(b"e",))).error is None
    assert not list((cage.dst / "e").iterdir())


def test_a_copy_too_counts_against_a_quota(cage: Cage, known: Digest) -> None:
    paths = tuple(b"%d" % number for number in range(50))
    quota = Quota(Rights(sync_max=120 * NAME_COST), 0)
    ended(receive(cage.place(), asking(known, *paths, announced=paths).read(), quota=quota), OverQuota)
    assert 5 < len(list(cage.dst.glob("*/f"))) < 50


def test_names_out_of_order_are_taken_as_they_come(cage: Cage) -> None:
    for name in "abcd":
        (cage.dst / name).write_bytes(b"here")
    script = Script().begin(Mode.SKETCH).say(NOT_WHOLE)
    script.list(*((name, cage.file(b"here", name), ()) for name in (b"d", b"b", b"b", b"a")))
    assert cage.receive(script.commit(), Terms(delete=True)).error is None
    assert sorted(path.name for path in cage.dst.iterdir()) == ["a", "b", "d"]


@pytest.mark.parametrize("held", [b"", b"\xff", b"\xff" * 1000])
@pytest.mark.parametrize("placed", [b"", b"\xff", b"\xff" * 1000])
def test_a_receiver_that_claims_anything_is_only_told_less(
    cage: Cage, monkeypatch: pytest.MonkeyPatch, held: bytes, placed: bytes
) -> None:
    monkeypatch.setattr(sender, "SKETCH_NAMES", 1)
    monkeypatch.setattr(sketching, "SUBTREES_SHARE", 1)
    rng = random.Random(1)
    for number in range(300):
        folder = cage.dst / f"{number % 9}" / f"{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(rng.randbytes(9))
    sketches = [Sketch(KEY, 355, symbols_of(1024, seed)) for seed in range(SKETCH_ROUNDS)]
    rest = (Want(b"\xff" * 90, b"", 0), NOTHING, DONE)
    said = (Ready(0), State(0, (), ()), sketches[0], Held(held, placed))
    outcomes = [fed(cage, *said, *rest), fed(cage, *said, *sketches[1:], *rest)]
    assert any(outcome.error is None for outcome in outcomes)
