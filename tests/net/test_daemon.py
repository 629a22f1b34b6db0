"""The TLS daemon: who comes in, what each may do there, and how it ends."""

from __future__ import annotations

import gc
import os
import random
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from packetfs.errors import (
    BadToken,
    CertificateExpired,
    CertificateRefused,
    Disconnected,
    FarSideFailed,
    KeyExists,
    KeyNotShown,
    NoDaemon,
    NoKey,
    NoSuchKey,
    NotGranted,
    NotListening,
    PacketFSError,
    RevokedKey,
    UnsafePath,
    WrongServer,
)
from packetfs.events import Connection, Event
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.staging import Staging
from packetfs.limits import HANDSHAKE
from packetfs.net import ends
from packetfs.net.access.identity import certificate_text, make_identity, require_current
from packetfs.net.access.keys import Key, KeyRing, Token, parse_token
from packetfs.net.access.rights import parse_grant
from packetfs.net.job import Endpoint, Job
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.tls import TlsDoor, TlsStream, identify, split_address
from packetfs.net.link.unix import UnixDoor, UnixGuest, UnixStream, visit
from packetfs.net.link.visitor import client_identity, server_identity
from packetfs.net.serving.daemon import Daemon, listen
from packetfs.net.watch.loop import watch
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Hello, Listed, Option, Ready, State, Welcome
from tests.net.rig import describe
from tests.net.visit import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    before = set(threading.enumerate())
    made = Host(tmp_path)
    yield made
    made.stop()
    assert set(threading.enumerate()) <= before, "a session left a thread behind"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "file").write_bytes(random.randbytes(300_000))
    (made / "text").write_text("words\n" * 1000)
    (made / "link").symlink_to("text")
    return made


def refused(code: int, words: str, host: Host, *ends: Endpoint | Path | str, **options: object) -> None:
    with pytest.raises(FarSideFailed, match=words) as caught:
        host.sync(ends[0], ends[1], **options)
    assert caught.value.exit_code == code
    assert caught.value.hint


def test_a_tree_goes_there_and_back_by_pool_and_by_directory(host: Host, tree: Path) -> None:
    host.mint(write=("pfs:trees", str(host.export)))
    for place in ("pfs:trees/a", host.export / "deep" / "a"):
        host.sync(f"{tree}/", host.path(place))
        host.sync(host.path(f"{place}/"), host.base / "back", delete=True)
        assert describe(host.base / "back") == describe(tree)
    (tree / "text").write_text("other words\n")
    summary = host.sync(f"{tree}/", host.path("pfs:trees/a"))
    assert summary.sent.wire < 1000
    host.sync(tree / "text", host.path(host.export / "deep" / "renamed"))
    assert (host.export / "deep" / "renamed").read_text() == "other words\n"
    host.sync(host.path(host.export / "deep" / "renamed"), host.base / "one")
    assert (host.base / "one").read_text() == "other words\n"
    host.stop()
    assert [visit.error for visit in host.visits] == [""] * 7
    assert all(visit.name == "the key key" and visit.received and visit.sent for visit in host.visits)


def test_many_clients_are_served_at_once(host: Host) -> None:
    """They write to one pool by turns, and nobody is sent away."""
    host.mint(write=("pfs:",))
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            (host.base / f"mine{number}").mkdir()
            (host.base / f"mine{number}" / "f").write_bytes(bytes([number]) * 100_000)
            host.sync(f"{host.base}/mine{number}/", host.path(f"pfs:{number}"))
            host.sync(host.path(f"pfs:{number}/"), host.base / f"back{number}")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for number in range(4):
        assert (host.base / f"back{number}" / "f").read_bytes() == bytes([number]) * 100_000


def test_a_destination_is_named_as_the_peer_named_it(host: Host, tree: Path) -> None:
    """Not by the descriptor that stands for it, nor by where a link of this side's operator leads."""
    inner = host.base / "inner"
    (inner / "closed" / ".packetfs-staging").mkdir(parents=True, mode=0o777)
    (inner / "closed" / ".packetfs-staging").chmod(0o777)
    (host.export / "named").symlink_to(inner)
    named = host.export / "named"
    host.mint(write=(str(named),))
    refused(15, f"^[^/]*{named}/closed/.packetfs-staging cannot", host, f"{tree}/", host.path(named / "closed"))
    with Beneath(inner) as beneath, Staging(beneath):
        refused(11, f"writing into {named}[.]", host, f"{tree}/", host.path(named))


def test_what_a_key_pulls_does_not_fill_the_disk_with_histories(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "GUEST_HISTORIES", 1_500_000)
    host.mint(read=(str(host.export),))
    for number in range(4):
        (host.export / str(number)).mkdir()
        (host.export / str(number) / "file").write_bytes(random.randbytes(1_000_000))
        host.sync(host.path(f"{host.export}/{number}/"), host.base / "back" / str(number))
        assert describe(host.base / "back" / str(number)) == describe(host.export / str(number))
    host.stop()
    assert len(list((host.base / "history").glob("guest-*"))) == 1


def test_sessions_leave_no_descriptor_behind(host: Host, tree: Path) -> None:
    """Not those that are refused while they open something either, and without waiting for a collection of garbage."""
    host.mint(write=(str(host.export), "pfs:"), name="again")
    (host.export / "closed" / ".packetfs-staging").mkdir(parents=True, mode=0o777)
    (host.export / "closed" / ".packetfs-staging").chmod(0o777)
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            host.sync(tree, host.path(host.export / "open"))
            refused(15, "packetfs-staging", host, f"{tree}/", host.path(host.export / "closed"))
            host.sync(tree, host.path("pfs:x"))
        host.stop()
        assert len(os.listdir("/proc/self/fd")) <= before
    finally:
        gc.enable()


# who comes in


def test_who_has_no_key_stays_outside(host: Host, tree: Path) -> None:
    with pytest.raises(NoKey):
        host.sync(tree, host.path("pfs:x"))
    token = host.mint(write=("pfs:",))
    for wrong in (
        replace_token(token, secret=bytes(31) + b"\x01"),
        replace_token(token, number=bytes(8)),
    ):
        with pytest.raises(FarSideFailed, match="does not know this key") as caught:
            host.channel(wrong, b"x").receive()
        assert caught.value.exit_code == 15
    host.ring.revoke("key")
    refused(15, "revoked", host, tree, host.path("pfs:x"))


def replace_token(token: Token, **fields: bytes) -> Token:
    return Token(**{name: fields.get(name, getattr(token, name)) for name in ("fingerprint", "number", "secret")})


def test_a_server_that_is_another_one_gets_no_key(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    token = host.mint(write=("pfs:",))
    make_identity(server_identity(host.keys), "another")
    with pytest.raises(WrongServer):
        host.dial(token)
    host.stop()
    assert host.visits[-1].name == ""
    assert (host.visits[-1].error, host.visits[-1].exit_code) == (KeyNotShown().message, 15)
    assert capfd.readouterr().err == "", "the log has a line of it"


def test_an_expired_certificate_ends_both_sides(host: Host) -> None:
    expired = str(host.base / "expired.pem")
    make_identity(expired, "old", -2)
    with pytest.raises(CertificateExpired), listen(("127.0.0.1", 0)) as socket:
        TlsDoor(socket, expired, host.ring)
    with pytest.raises(CertificateExpired):
        require_current(ssl.PEM_cert_to_DER_cert(certificate_text(Path(expired).read_text())), "it")


def test_a_certificate_stands_for_a_secret(host: Host, tree: Path) -> None:
    make_identity(client_identity(host.near), "client")
    mine = certificate_text(Path(client_identity(host.near)).read_text())
    host.mint(certificate=mine, write=("pfs:",))
    host.sync(tree, host.path("pfs:x"))
    make_identity(client_identity(host.near), "another")
    with pytest.raises((CertificateRefused, Disconnected)):
        host.sync(tree, host.path("pfs:x"))
    os.unlink(client_identity(host.near))
    with pytest.raises(NoKey):
        host.sync(tree, host.path("pfs:x"))


def test_a_certificate_is_not_the_key_of_another(host: Host) -> None:
    """Who shows a good certificate and another key's number has neither."""
    make_identity(client_identity(host.near), "client")
    mine = certificate_text(Path(client_identity(host.near)).read_text())
    shown = host.mint("mine", certificate=mine, read=("pfs:mine",))
    other = host.mint("other", read=("pfs:",))
    with pytest.raises(FarSideFailed, match="does not know this key"):
        host.channel(replace_token(shown, number=other.number), b"").receive()


def test_strangers_are_dropped_in_time(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    port = host.door.listening.getsockname()[1]
    with monkeypatch.context() as hurry:
        hurry.setattr("packetfs.net.link.tls.HANDSHAKE", 0.05)
        _stay_strangers(port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises(ssl.SSLError, match=r"(?i)version"):
        context.wrap_socket(raw)
    monkeypatch.setattr("packetfs.net.link.tls.identify", _at_once)
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw) as tls:
        tls.settimeout(60)
        tls.send(b"PacketFS")  # and then nothing
        while tls.recv(4096):
            pass
    host.stop()
    assert len(host.visits) == 6
    assert all(visit.error and not visit.request for visit in host.visits)


def _stay_strangers(port: int) -> None:
    """Say what is no TLS, or nothing, until the connection is closed."""
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", random.randbytes(1000), bytes(70_000)):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.settimeout(60)
            try:
                raw.sendall(said)
                while raw.recv(4096):
                    pass
            except ConnectionError:
                pass


def _at_once(stream: TlsStream, ring: KeyRing, until: float) -> Key:
    """Be done with waiting for a key: the handshake had as long as it takes."""
    assert until <= time.monotonic() + HANDSHAKE
    return identify(stream, ring, time.monotonic())


def test_tokens_that_are_none_are_refused() -> None:
    for text in ("", "pfs1-", "pfs1-!!!!", "pfs2-" + "A" * 96, "pfs1-" + "A" * 95, "pfs1-" + "A" * 100):
        with pytest.raises(BadToken):
            parse_token(text)
    token = Token(bytes(32), bytes(8), b"s" * 32)
    assert parse_token(token.text + "\n") == token
    for at in range(len("pfs1-"), len(token.text)):
        letter = "B" if token.text[at] == "A" else "A"
        with pytest.raises(BadToken, match="a letter of it is wrong"):
            parse_token(token.text[:at] + letter + token.text[at + 1 :])
    assert "s" not in repr(token).removeprefix("Token(").strip("0)")


def test_keys_are_for_their_owner_and_their_names_are_single(host: Host) -> None:
    host.mint(write=("pfs:",))
    make_identity(client_identity(host.near), "client")
    for directory in (host.keys, host.near):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        for name in os.listdir(directory):
            assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600
    assert host.ring.minted()[0].digest not in Path(host.near, "servers.json").read_text()
    with pytest.raises(KeyExists):
        host.mint(read=("pfs:",))
    with pytest.raises(NoSuchKey):
        host.ring.revoke("nobody")
    host.ring.revoke("key")
    with pytest.raises(NoSuchKey):
        host.ring.revoke("key")
    host.mint(read=("pfs:",))


def test_a_port_that_is_taken_is_told(host: Host) -> None:
    with pytest.raises(NotListening, match="in use"):
        listen(("127.0.0.1", host.door.listening.getsockname()[1]))


# what they may do


def test_rights_end_at_their_paths(host: Host, tree: Path) -> None:
    host.mint(read=("pfs:read", str(host.export / "read")), write=("pfs:write", str(host.export / "write")))
    for name in ("read", "write"):
        (host.export / name).mkdir()
    for path in ("pfs:", "pfs:writes", "pfs:read", "pfs:x/write", host.export, host.export / "read", "/", "/etc"):
        refused(15, "may not write", host, tree, host.path(f"{path}/"))
    for path in ("pfs:", "pfs:reads", host.export, host.export / "readme", "/etc/passwd"):
        refused(15, "may not read", host, host.path(path), host.base / "back")
    refused(18, "leads up", host, tree, host.path(f"{host.export}/write/../read/"))
    refused(15, "may not use", host, tree, replace(host.path("pfs:write"), pool="/elsewhere"))
    assert not any((host.export / "read").iterdir())
    assert not any((host.export / "write").iterdir())


def test_a_link_that_was_sent_leads_nowhere(host: Host, tree: Path) -> None:
    host.mint(write=(str(host.export),))
    (host.base / "secret").mkdir()
    (host.base / "secret" / "file").write_bytes(b"secret")
    before = describe(host.base / "secret")
    (tree / "out").symlink_to(host.base / "secret")
    host.sync(f"{tree}/", host.path(host.export))
    refused(18, "out", host, tree, host.path(host.export / "out"))
    refused(18, "out", host, tree, host.path(host.export / "out" / "deeper"))
    refused(18, "out", host, host.path(f"{host.export}/out/"), host.base / "back")
    refused(18, "out", host, host.path(host.export / "out" / "file"), host.base / "back")
    refused(18, "out", host, host.path(host.export / "out"), host.base / "back")
    host.sync(tree / "text", host.path(host.export / "out"))
    assert not (host.export / "out").is_symlink()
    assert describe(host.base / "secret") == before


def test_quotas_end_a_sync_before_it_is_too_much(host: Host, tree: Path) -> None:
    host.mint("once", write=("pfs:a", str(host.export)), sync_max=200_000)
    for place in ("pfs:a", host.export):
        refused(12, "bring at most 200000 bytes", host, f"{tree}/", host.path(place))
    host.mint("all", write=("pfs:b", str(host.export)), stored_max=500_000)
    for place in ("pfs:b", host.export / "b"):
        host.sync(f"{tree}/", host.path(place))
    (tree / "more").write_bytes(random.randbytes(250_000))
    for place in ("pfs:b", host.export / "b"):
        refused(12, "have at most 500000 bytes", host, f"{tree}/", host.path(place))


def test_grants_that_make_no_sense_are_refused() -> None:
    for text in ("relative", "/a/../b", "pfs:../x", "", "/a\0b"):
        with pytest.raises(UnsafePath):
            parse_grant(text, write=True)
    assert parse_grant("/a//b/./c/", write=False).path == b"/a/b/c"
    assert parse_grant("pfs:", write=False).covers(b"anything", in_pool=True)
    assert not parse_grant("pfs:", write=False).covers(b"/anything", in_pool=False)
    assert parse_grant("/", write=False).covers(b"/x", in_pool=False)
    assert not parse_grant("/a", write=False).covers(b"/ab", in_pool=False)


def test_a_key_has_so_many_sessions_and_no_more(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.net.serving.daemon.SESSIONS_A_KEY", 1)
    token = host.mint(write=(str(host.export),))
    first = opened(host, token)
    with pytest.raises(FarSideFailed, match="as many sessions as it takes: 1 of the key key") as caught:
        opened(host, token)
    assert caught.value.exit_code == 20
    first.send(Listed(0))  # out of turn
    with pytest.raises(FarSideFailed, match="Listed"):
        first.receive()


def opened(host: Host, token: Token, below: str = "") -> FrameChannel:
    """Return the channel of a sync that has begun: the daemon waits for what comes."""
    channel = host.channel(token, os.fsencode(host.export / below), pool=False)
    for kind in (Welcome, Ready, State):
        channel.expect(kind)
    return channel


def test_a_session_ends_when_its_key_is_revoked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.net.serving.daemon.REVISIT", 0.01)
    channel = opened(host, host.mint(write=(str(host.export),)))
    other = opened(host, host.mint("other", write=(str(host.export),)), "other")
    host.ring.revoke("key")
    with pytest.raises(FarSideFailed, match="revoked") as caught:
        channel.receive()
    assert caught.value.exit_code == 15
    Path(host.ring.path).write_text("{ damaged")
    assert not other.hears(0.1)


def test_a_stream_that_has_ended_still_takes_its_last_words(host: Host) -> None:
    stream = host.dial(host.mint(write=("pfs:",)))
    for _ in range(2):  # the daemon looks at its keys again before they are said
        stream.end(RevokedKey(name="key"))
    with pytest.raises(RevokedKey):
        stream.read_into(memoryview(bytearray(1)))
    stream.end(RevokedKey(name="key"))
    stream.write([b"last words"])


def test_a_watch_ends_when_its_key_is_revoked(host: Host, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.net.serving.daemon.REVISIT", 0.02)
    monkeypatch.setattr("packetfs.net.watch.destination._LISTEN", 0.02)
    host.mint(write=(str(host.export),))
    job = Job(
        Endpoint(None, None, os.fsencode(f"{tree}/")), host.path(host.export), str(host.base / "h"), keys=host.near
    )

    def revoke(event: Event) -> None:
        if isinstance(event, Connection) and not event.lost:
            host.ring.revoke("key")

    with pytest.raises(FarSideFailed, match="was revoked") as caught:
        watch([("there", job)], revoke, threading.Event())
    assert caught.value.exit_code == 15


def test_a_directory_that_is_gone_is_named_with_the_remedy(host: Host, tree: Path) -> None:
    host.mint(write=(str(host.base / "nowhere"),))
    refused(4, "There is no directory .*/nowhere, which the key is for", host, tree, host.path(host.base / "nowhere/x"))


def test_strangers_of_one_address_keep_nobody_out(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.net.serving.daemon.STRANGERS_AN_ADDRESS", 2)
    token = host.mint(write=(str(host.export),))
    known = [opened(host, token, name) for name in "abc"]
    silent = [socket.create_connection(split_address(host.door.address)) for _ in range(2)]
    refused = socket.create_connection(split_address(host.door.address))
    assert refused.recv(1) == b""
    for stranger in (*silent, refused):
        stranger.close()
    while len(host.visits) < len(silent):  # they are forgotten once the daemon has seen that they went
        threading.Event().wait(0.01)
    known.append(opened(host, token, "d"))


def test_a_daemon_goes_on_where_no_thread_begins(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, refused = threading.Thread.start, list[threading.Thread]()

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("session ") and not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    token = host.mint(write=(str(host.export),))
    with socket.create_connection(split_address(host.door.address)) as nobody:
        assert nobody.recv(1) == b""
    opened(host, token)
    assert refused


# the end


def test_a_daemon_that_stops_tells_everybody(host: Host) -> None:
    channel = opened(host, host.mint(write=(str(host.export),)))
    host.end()
    with pytest.raises(FarSideFailed, match="stopping") as caught:
        channel.receive()
    assert caught.value.exit_code == 20
    with pytest.raises(PacketFSError):
        host.channel(host.mint("later", read=("pfs:",)), b"", Option.PULL)


# on one machine


def test_a_unix_socket_needs_no_key_of_its_own_user(host: Host, tree: Path) -> None:
    path = str(host.base / "socket")
    UnixDoor(path).listening.close()  # what a daemon that was killed leaves behind
    door = UnixDoor(path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with pytest.raises(NotListening):
        UnixDoor(path)
    (host.base / "file").write_bytes(b"precious")
    with pytest.raises(NotListening):
        UnixDoor(str(host.base / "file"))
    assert (host.base / "file").read_bytes() == b"precious"
    daemon = Daemon([door], host.service, host.visits.append)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    host.sync(f"{tree}/", Endpoint(path, "", b"x", daemon=True))
    host.sync(Endpoint(path, "", b"x/", daemon=True), host.base / "back")
    assert describe(host.base / "back") == describe(tree)
    stream = visit(path)
    channel = FrameChannel(stream, "the daemon")
    channel.send(Hello(MAGIC, PROTOCOL, 0, b"", os.fsencode(host.export), b"", 4096, 0))
    for kind in (Welcome, Ready, State):
        channel.expect(kind)
    daemon.stop()
    with pytest.raises(FarSideFailed, match="stopping"):
        channel.receive()
    stream.close()
    thread.join()
    assert {visit.name for visit in host.visits} == {f"user {os.geteuid()}"}
    with pytest.raises(NoDaemon):
        visit(path)


def test_a_unix_socket_is_not_for_others(host: Host) -> None:
    with pytest.raises(NotGranted, match="user 4242"):
        UnixGuest(visit_of(host), 4242).rights()


def visit_of(host: Host) -> UnixStream:
    near, far = socket.socketpair()
    far.close()
    host.streams.append(UnixStream(near))
    return host.streams[-1]  # type: ignore[return-value]
