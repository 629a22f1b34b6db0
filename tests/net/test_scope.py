"""A pool knows the content of all its peers; a peer with few rights learns and gets none of the others'."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.stage import ANY_ROOT, regular
from packetfs.errors import FarSideFailed
from packetfs.fs.filesystem import FileSystem
from packetfs.net.access.keys import Token
from packetfs.net.access.scope import DiscreetPool
from packetfs.net.link.channel import FrameChannel
from packetfs.net.wire.batch import Content
from packetfs.net.wire.items import ItemWriter
from packetfs.net.wire.listing import Bits, ListingWriter, pieces_of
from packetfs.net.wire.messages import (
    MAGIC,
    PROTOCOL,
    Begin,
    Commit,
    Done,
    Hello,
    Listed,
    Listing,
    Mode,
    Option,
    Ready,
    Signatures,
    State,
    Want,
    Welcome,
)
from packetfs.packet.cut import cut
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.entry import Entry
from packetfs.packet.tree import leaves
from packetfs.pool.following import Following
from packetfs.pool.pool import Pool
from tests.net.visit import Host

SECRET = random.Random(7).randbytes(50_000)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    owner = tmp_path / "owner"
    for name, content in (("secret", SECRET), ("mine", b"mine" * 5000)):
        (owner / name).mkdir(parents=True)
        (owner / name / "file").write_bytes(content)
        (owner / name / f"name of {name}").touch()
    made.mint("owner", write=("pfs:",))
    made.sync(f"{owner}/", made.path("pfs:"))
    yield made
    made.stop()


@pytest.fixture(params=["pfs:mine", "pfs:"])
def token(host: Host, request: pytest.FixtureRequest) -> Token:
    return host.mint(write=(request.param,))


def entry_of(host: Host, path: bytes) -> Entry:
    with Pool.open(str(host.pool)) as pool, FileSystem(pool) as fs:
        entry = fs.entry(path)
        assert entry is not None
        return entry


def is_limited(host: Host) -> bool:
    return host.ring.minted()[-1].write == ("pfs:mine",)


def writing(host: Host, token: Token) -> FrameChannel:
    channel = host.channel(token, b"mine")
    for kind in (Welcome, Ready, State):
        channel.expect(kind)
    return channel


def test_ids_tell_nothing_of_others(host: Host, token: Token) -> None:
    channel = writing(host, token)
    channel.send(Begin(Mode.LIST, ANY_ROOT, ANY_ROOT, 2, 1))
    writer = ListingWriter(lambda records: channel.send(Listing(records)))
    counts = []
    with Pool.open(str(host.pool)) as pool:
        for path, name in ((b"secret/file", b"f"), (b"mine/file", b"g")):
            entry = entry_of(host, path)
            pieces = list(pieces_of(leaves(pool, Digest(entry.root))))
            writer.add(name, regular(name, entry.size, root=ANY_ROOT), pieces)
            counts.append(len(pieces))
    secret = counts[0]
    writer.flush()
    channel.send(Listed(2))
    held = Bits(channel.expect(Want).held)
    channel.expect(Signatures)
    assert [held[number] for number in range(secret)] == [not is_limited(host)] * secret
    assert held[secret], "what its own path has is known to everybody who may write there"


@pytest.mark.parametrize("how", ["entry", "listed", "link"])
def test_a_root_that_is_only_named_opens_nothing(host: Host, token: Token, how: str) -> None:
    entry = entry_of(host, b"secret/file")
    named = regular(b"f", entry.size, root=entry.root)
    channel = writing(host, token)
    items = ItemWriter(channel.send_batch)
    if how == "listed":
        channel.send(Begin(Mode.LIST, ANY_ROOT, ANY_ROOT, 1, 1))
        writer = ListingWriter(lambda records: channel.send(Listing(records)))
        writer.add(b"f", named, ())
        writer.flush()
        channel.send(Listed(1))
        assert Bits(channel.expect(Want).wanted)[0] == is_limited(host)
        channel.expect(Signatures)
    else:
        channel.send(Begin(Mode.DELTA, ANY_ROOT, ANY_ROOT, 1, 1))
        if how == "entry":
            items.entry(b"f", named, Content.NONE)
        else:
            items.link(b"f", named, b"file")
        items.flush()
    channel.send(Commit(ANY_ROOT))
    failed = dict(channel.expect(Done).failures)
    if how == "link" or (how == "entry" and is_limited(host)):
        assert failed.get(b"f") == b""
        channel.send(Commit(ANY_ROOT))
        channel.expect(Done)
    with Pool.open(str(host.pool)) as pool, FileSystem(pool) as fs:
        assert (fs.entry(b"mine/f") is None) == (is_limited(host) or how == "link")


@pytest.mark.parametrize(("path", "knows"), [(b"new", False), (b"secret/other", False), (b"secret/file", True)])
def test_a_single_file_tells_nothing_of_those_beside_it(host: Host, path: bytes, knows: bool) -> None:
    """A key for a path that is no directory: the one above has more in it than is the peer's to know."""
    channel = FrameChannel(host.dial(host.mint(write=(f"pfs:{path.decode()}",))), "the daemon")
    channel.send(Hello(MAGIC, PROTOCOL, Option.POOL, b"", path, b"f", 4096, 1 << 30))
    channel.expect(Welcome)
    assert channel.expect(Ready) == Ready(0)
    assert channel.expect(State) == State(0, (), ())
    channel.send(Begin(Mode.LIST, ANY_ROOT, ANY_ROOT, 1, 1))
    writer = ListingWriter(lambda records: channel.send(Listing(records)))
    with Pool.open(str(host.pool)) as pool:
        entry = entry_of(host, b"secret/file")
        pieces = list(pieces_of(leaves(pool, Digest(entry.root))))
    writer.add(b"f", regular(b"f", entry.size, root=ANY_ROOT), pieces)
    writer.flush()
    channel.send(Listed(1))
    held = Bits(channel.expect(Want).held)
    assert {held[number] for number in range(len(pieces))} == {knows}
    channel.expect(Signatures)
    channel.send(Commit(ANY_ROOT))
    assert channel.expect(Done).root == ANY_ROOT


def test_a_single_file_is_synced_by_a_key_for_its_path(host: Host) -> None:
    host.mint(write=("pfs:new",))
    (host.base / "file").write_bytes(SECRET)
    assert host.sync(host.base / "file", host.path("pfs:new")).sent.wire > len(SECRET)
    assert host.sync(host.base / "file", host.path("pfs:new")).sent.wire < 1000
    (host.base / "file").write_bytes(SECRET + b"more")
    assert host.sync(host.base / "file", host.path("pfs:new")).sent.wire < 10_000
    assert entry_of(host, b"new").size == len(SECRET) + 4


@pytest.mark.parametrize("how", ["entry", "link"])
def test_a_dry_run_takes_no_claim_for_possession(host: Host, token: Token, how: str) -> None:
    """Names that come before anything is compared are there for the rest of the session."""
    entry = entry_of(host, b"secret/file")
    named = regular(b"f", entry.size, root=entry.root)
    channel = host.channel(token, b"mine", Option.DRY_RUN)
    items = ItemWriter(channel.send_batch)
    if how == "entry":
        items.entry(b"f", named, Content.NONE)
    else:
        items.link(b"f", named, b"file")
    items.flush()
    channel.send(Begin(Mode.LIST, ANY_ROOT, ANY_ROOT, 1, 1))
    writer = ListingWriter(lambda records: channel.send(Listing(records)))
    writer.add(b"f", named, ())
    writer.flush()
    channel.send(Listed(1))
    for kind in (Welcome, Ready, State):
        channel.expect(kind)
    assert Bits(channel.expect(Want).wanted)[0] == is_limited(host)


@pytest.mark.parametrize("whose", ["secret", "mine", "mine before"])
def test_a_base_that_is_only_named_is_none(host: Host, token: Token, whose: str) -> None:
    """Of another tree it would tell the names, and whether the pool has it."""
    root = entry_of(host, whose.split()[0].encode()).root
    if whose == "mine before":
        (host.base / "owner" / "mine" / "new").write_bytes(b"new")
        host.mint("other", write=("pfs:",))
        host.sync(f"{host.base}/owner/", host.path("pfs:"))
        assert entry_of(host, b"mine").root != root
    channel = host.channel(token, b"mine", Option.PULL)
    channel.expect(Welcome)
    channel.send(Ready(0))
    channel.send(State(0, (Digest(root),), ()))
    mode = channel.expect(Begin).mode
    assert mode == (Mode.LIST if is_limited(host) and whose == "secret" else Mode.DELTA)


def test_paths_are_not_told_either(host: Host) -> None:
    """What is not there and what may not be read are the same to whoever asks."""
    token = host.mint(write=("pfs:mine",))
    said = []
    for path in (b"secret", b"nothing"):
        with pytest.raises(FarSideFailed) as caught:
            host.channel(token, path, Option.PULL).receive()
        said.append(caught.value.message.replace(path.decode(), "X"))
    assert said[0] == said[1]


def test_time_tells_nothing_of_others(tmp_path: Path) -> None:
    """Content that is held is written all the same, and leaves nothing behind."""
    path = str(tmp_path / "pool")
    with Pool.create(path, durable=False) as pool:
        pool.put(SECRET)
    with DiscreetPool.open(path, writable=True) as discreet:
        before = written()
        discreet.put(SECRET)
        discreet.flush()
        held, before = written() - before, written()
        discreet.put(random.randbytes(len(SECRET)))
        discreet.flush()
        new = written() - before
        assert held >= len(SECRET)
        assert abs(new - held) < 1000
        assert discreet.read(digest_of(SECRET)) == SECRET
    assert set(os.listdir(path)) <= {"arena", "index", "leases", "verified"}


def test_what_comes_behind_held_content_is_cut_and_hashed_all_the_same(tmp_path: Path) -> None:
    path, data = str(tmp_path / "pool"), random.Random(1).randbytes(2_000_000)
    with DiscreetPool.create(path, durable=False) as pool:
        for _ in range(3):
            chunks, view = Following(pool), memoryview(data)
            for length in cut(data, pool.mean, True):
                chunks.put(view[:length])
                assert not chunks.expects
                view = view[length:]


def written() -> int:
    """Return the bytes that this process has written."""
    with open("/proc/self/io") as numbers:
        return int(dict(line.split(": ") for line in numbers)["wchar"])
