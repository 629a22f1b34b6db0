"""`pfs run --node` over TLS: what a key may run programs over, and what comes back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.engines.options import JobOptions
from packetfs.engines.remote.node import NodeJob, run_on_node
from packetfs.engines.results.result import RunResult, ignore
from packetfs.errors import FarSideFailed
from packetfs.frontends.cli.answering import answering
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.net.access.keys import Servers
from packetfs.net.link.unix import UnixDoor
from packetfs.net.serving.daemon import Daemon
from tests.engines.rig import counting
from tests.frontends.command import Pfs
from tests.net.visit import Host

LINES = b"".join(b"line %d\n" % number for number in range(60_000))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path))
    made = Host(tmp_path, answering(os.fspath(tmp_path / "pool")))
    (made.export / "log").write_bytes(LINES)
    (tmp_path / "secret").write_bytes(LINES)
    (made.export / "way-out").symlink_to(tmp_path / "secret")
    yield made
    made.stop()


def ask(host: Host, *files: str, memo: bool = True, **options: object) -> RunResult:
    job = NodeJob(
        host=host.door.address,
        program=counting(),
        records="line",
        files=tuple(map(os.fsencode, files)),
        options=JobOptions(shard_bytes=65_536, **options),  # type: ignore[arg-type]
        memo=memo,
        daemon=True,
        keys=host.near,
    )
    return run_on_node(job, lambda _: None, ignore)[0]


def stored(host: Host) -> str:
    """Put the lines into the pool, by a key of their own."""
    host.mint("writer", write=("pfs:logs",))
    (host.base / "text").mkdir()
    (host.base / "text" / "log").write_bytes(LINES)
    host.sync(host.base / "text", host.path("pfs:logs"))
    return "pfs:logs/text/log"


def test_a_key_that_may_run_runs_over_what_it_may_read(host: Host) -> None:
    host.mint("jobs", read=(str(host.export),), run=True)
    assert ask(host, str(host.export / "log")).records == 60_000
    for outside in (host.base / "secret", host.export / "way-out", host.export / ".." / "secret", "pfs:x", "log"):
        with pytest.raises(FarSideFailed):
            ask(host, str(outside))
    host.end()
    assert [visit.request for visit in host.visits] == ["run a program"] * 6


@pytest.mark.parametrize(("name", "reason"), [("lost", "no such file or directory"), ("", "it is a directory")])
def test_what_is_no_file_there_is_named_as_here(host: Host, pfs: Pfs, name: str, reason: str) -> None:
    host.mint("jobs", read=(str(host.export),), run=True)
    path = os.path.join(host.export, name)
    with pytest.raises(FarSideFailed) as caught:
        ask(host, path)
    assert caught.value.exit_code == pfs("run", "wc", path).code == ExitCode.NOT_FOUND
    assert f"{path} cannot be read: {reason}" in caught.value.message


def test_a_key_without_that_right_runs_nothing(host: Host) -> None:
    host.mint("reader", read=(str(host.export), "pfs:"), write=("pfs:mine",))
    with pytest.raises(FarSideFailed, match="may not run programs") as refused:
        ask(host, str(host.export / "log"))
    assert refused.value.exit_code == ExitCode.DENIED


def test_the_pool_there_remembers_for_those_who_may_read_all_of_it(host: Host) -> None:
    log = stored(host)
    host.mint("jobs", read=("pfs:",), run=True)
    first, again, anew = ask(host, log), ask(host, log), ask(host, log, memo=False)
    assert (first.remembered, again.remembered, anew.remembered) == (0, again.shards, 0)
    assert first.maps == again.maps == anew.maps
    host.mint("part", read=("pfs:logs",), run=True)
    part = ask(host, log)
    assert (part.maps, part.remembered) == (first.maps, 0)


def test_the_command_finds_its_key_by_the_url(host: Host, pfs: Pfs) -> None:
    token = host.mint("jobs", read=(str(host.export),), run=True)
    Servers(os.fspath(pfs.pool.parent / "keys")).trust(host.door.address, token)
    ended = pfs.good("run", "wc", "--node", f"pfs+tls://{host.door.address}", str(host.export / "log"))
    assert "60,000" in ended.text
    assert pfs("run", "wc", "--node", "pfs+tls://a/b", "/x").code == ExitCode.USAGE


def test_a_daemon_of_this_machine_needs_no_key(host: Host, pfs: Pfs) -> None:
    path = str(host.base / "socket")
    daemon = Daemon([UnixDoor(path)], host.service, host.visits.append)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        ended = pfs.good("run", "wc", "--node", f"pfs+unix://{path}", str(host.export / "log"))
    finally:
        daemon.stop()
        thread.join()
    assert "60,000" in ended.text
    assert "serve --listen" in pfs("run", "wc", "--node", f"pfs+unix://{path}", "/x").err
    for wrong in ("pfs+unix://relative", f"pfs+unix://{path}:/x"):
        assert pfs("run", "wc", "--node", wrong, "/x").code == ExitCode.USAGE
