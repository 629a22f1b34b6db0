"""`pfs sync`: from arguments to a job, from events to words; and one real sync of each kind through the command."""

from __future__ import annotations

import json
import random
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from packetfs.errors import Disconnected
from packetfs.events import Changed, Listener, Progress, Trouble
from packetfs.frontends.cli.commands import BY_NAME
from packetfs.frontends.cli.commands import sync as command
from packetfs.frontends.cli.declared import all_arguments, load
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.main import main
from packetfs.frontends.cli.records import BY_TYPE
from packetfs.limits import KEEP
from packetfs.net import sync as engine
from packetfs.net.job import Endpoint, Job, Summary, Traffic
from tests.frontends.command import Pfs, without_privilege

Play = Callable[[Job, Listener], Summary]


def job_of(*arguments: str) -> Job:
    options = all_arguments(load(BY_NAME["sync"])).read(arguments)
    assert options is not None
    return command.make_job(options, options.destinations[0])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PACKETFS_POOL", "PACKETFS_RSH", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_defaults(home: Path) -> None:
    history = str(home / ".local/share/packetfs/history")
    keys = str(home / ".local/share/packetfs/keys")
    assert job_of("a", "host:b/") == Job(Endpoint(None, None, b"a"), Endpoint("host", None, b"b/"), history, keys=keys)
    assert job_of("a", "b").keep == KEEP


def test_every_option_reaches_the_job() -> None:
    job = job_of(
        *("-n", "--delete", "--checksum", "-e", "ssh -p '2 2'", "--keep", "1M", "--far-command", "nice pfs"),
        *("--pool", "/near", "--far-pool", "/far", "pfs:a", "h:pfs:b"),
    )
    assert (job.dry_run, job.delete, job.checksum, job.keep) == (True, True, True, 1 << 20)
    assert job.shell == ("ssh", "-p", "2 2")
    assert job.far_command == "nice pfs"
    assert (job.source, job.destination) == (Endpoint(None, "/near", b"a"), Endpoint("h", "/far", b"b"))


def test_the_shell_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKETFS_RSH", "rsh -x")
    assert job_of("a", "h:b").shell == ("rsh", "-x")
    assert job_of("-e", "ssh", "a", "h:b").shell == ("ssh",)


def playing(monkeypatch: pytest.MonkeyPatch, play: Play) -> None:
    monkeypatch.setattr(engine, "run", play)


def eventful(_: Job, listener: Listener) -> Summary:
    listener(Progress(1, 10, 100))
    listener(Changed(b"a", "new", 10))
    listener(Trouble(b"b", "permission denied"))
    return Summary(files=2, changed=1, troubles=1, total=100, sent=Traffic(wire=40), seconds=1.5, snapshot="s")


def test_troubles_end_with_3(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    playing(monkeypatch, eventful)
    assert main(["sync", "-i", "x", "y"]) == ExitCode.PARTIAL
    out, err = capfd.readouterr()
    assert out.splitlines()[0] == "new         10 B  a"
    assert "40 B moved, 40.000% of a full copy, 1.50 s" in out
    assert err.startswith("pfs: b: permission denied\npfs: 1 of the files could not be handled")


def test_json_lines(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    playing(monkeypatch, eventful)
    assert main(["sync", "--json", "x", "y"]) == ExitCode.PARTIAL
    out, err = capfd.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["type"] for record in records] == ["changed", "trouble", "summary"]
    for record in records:
        assert set(record) - {"type"} == set(BY_TYPE[record["type"]].fields)
    assert set(records[-1]["sent"]) == {"logical", "literal", "copied", "metadata", "signature", "wire"}
    assert json.loads(err)["code"] == ExitCode.PARTIAL


def test_quiet_says_nothing_but_troubles(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    playing(monkeypatch, eventful)
    assert main(["sync", "-q", "x", "y"]) == ExitCode.PARTIAL
    out, err = capfd.readouterr()
    assert out == ""
    assert "pfs: b: permission denied" in err


def test_a_dry_run_lists_by_itself(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    playing(monkeypatch, eventful)
    main(["sync", "-n", "x", "y"])
    out = capfd.readouterr().out
    assert out.startswith("new ")
    assert "1 would change" in out


def test_a_broken_connection(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> Summary:
        raise Disconnected(peer="host", reason="it hung up")

    playing(monkeypatch, broken)
    assert main(["sync", "x", "host:y"]) == ExitCode.UNREACHABLE
    assert "hint: " in capfd.readouterr().err


@pytest.fixture
def source(pfs: Pfs) -> Path:
    top = pfs.home / "docs"
    (top / "inner").mkdir(parents=True)
    (top / "inner/a").write_bytes(b"a" * 1000)
    (top / "b").write_bytes(random.randbytes(200_000))
    return top


def content(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_a_local_sync(pfs: Pfs, source: Path) -> None:
    listed = pfs.good("sync", "-n", "docs/", "out").text
    assert "inner/a" in listed
    assert not (pfs.home / "out").exists()
    pfs.good("sync", "docs/", "out")
    pfs.good("sync", "docs", "out")
    assert content(pfs.home / "out") == {
        **content(source), **{f"docs/{name}": data for name, data in content(source).items()},
    }  # fmt: skip


def test_a_changed_byte_moves_little(pfs: Pfs, source: Path) -> None:
    pfs.good("sync", "docs/", "out")
    data = bytearray((source / "b").read_bytes())
    data[100_000] ^= 1
    (source / "b").write_bytes(data)
    *changed, summary = pfs.good("sync", "--json", "docs/", "out").records
    assert [(record["path"], record["action"]) for record in changed] == [("b", "content")]
    assert float(str(summary["ratio"])) < 0.01
    assert content(pfs.home / "out") == content(source)


def test_another_machine_by_another_shell(pfs: Pfs, source: Path) -> None:
    shell = pfs.home / "rsh"
    shell.write_text('#!/bin/sh\nset -e\n[ "$1" = far ]\nshift\nmkdir -p far\ncd far\nexec env HOME="$PWD" "$@"\n')
    shell.chmod(0o755)
    far = ("-e", str(shell), "--far-command", shlex.join([sys.executable, "-m", "packetfs"]))
    pfs.good("sync", *far, "docs", "far:")
    assert content(pfs.home / "far/docs") == content(source)
    pfs.good("sync", *far, "far:docs/", "back")
    assert content(pfs.home / "back") == content(source)


def test_into_a_pool_and_out_again(pooled: Pfs, source: Path) -> None:
    pooled.good("sync", "docs", "pfs:kept")
    first = str(pooled.good("snapshots", "--json").records[0]["name"])
    before = content(source)
    (source / "b").write_bytes(b"changed")
    pooled.good("sync", "docs", "pfs:kept")
    assert len(pooled.good("snapshots", "--json").records) == 2
    assert pooled.good("cat", "kept/docs/b").out == b"changed"
    assert pooled.good("cat", "--snapshot", first, "kept/docs/b").out == before["b"]
    pooled.good("sync", "pfs:kept/docs/", "restored")
    assert content(pooled.home / "restored") == content(source)


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("locked", "arguments", "said"),
    [
        ("docs", ("docs/", "out"), "The source {home}/docs cannot be read"),
        ("docs", ("docs/b", "out"), "The source docs/b cannot be read"),
        ("dst", ("docs/", "dst"), "The destination {home}/dst cannot be written"),
        ("dst", ("docs/", "dst/new"), "The destination {home}/dst/new cannot be written"),
        ("dst", ("docs/b", "dst/b"), "The destination {home}/dst cannot be written"),
    ],
)
def test_what_is_not_permitted_is_named_with_its_side(
    pfs: Pfs, locked: str, arguments: tuple[str, ...], said: str
) -> None:
    (pfs.home / "dst").mkdir()
    (pfs.home / locked).chmod(0)
    ended = without_privilege(pfs)("sync", *arguments)
    (pfs.home / locked).chmod(0o755)
    assert ended.code == ExitCode.DENIED, ended.err
    assert ended.err.startswith(f"pfs: {said.format(home=pfs.home)}: permission denied")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("lost", "out"), ExitCode.NOT_FOUND),
        (("-e", "/no/such/shell", "docs", "far:x"), ExitCode.UNREACHABLE),
        (("-e", "false", "docs", "far:x"), ExitCode.UNREACHABLE),
        (("pfs:x", "out"), ExitCode.NO_POOL),
    ],
)
def test_what_goes_wrong_is_one_sentence(pfs: Pfs, source: Path, arguments: tuple[str, ...], code: int) -> None:
    ended = pfs("sync", *arguments)
    assert ended.code == code, ended.err
    assert ended.err.startswith("pfs: ")
    assert "Traceback" not in ended.err
    assert not (pfs.home / "out").exists()
    assert source.is_dir()
