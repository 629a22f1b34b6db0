"""Derived files, as users meet them: a promise until the first read, wherever that comes from."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import packetfs
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.pool.pool import Pool
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.program import Program, encode_program
from tests.frontends.command import COMMAND, Pfs
from tests.frontends.mount.served import detach_anyhow, needs_mount

LINES = b"".join(b"line %d\n" % number for number in range(40_000))
SEVENS = b"".join(line for line in LINES.splitlines(keepends=True) if b"7" in line)
BOTH = b"".join(line for line in SEVENS.splitlines(keepends=True) if b"3" in line)
LAVISH = """
    mov r6, r1
    mov r7, 2000
again:
    ldxdw r1, [r6+0]
    ldxdw r2, [r6+8]
    sub r2, r1
    call 4096
    sub r7, 1
    jne r7, 0, again
    mov r0, 1
    exit
"""


@pytest.fixture
def derived(pfs: Pfs) -> Pfs:
    """A pool with a text, and `sevens` and `both` derived of it."""
    pfs.good("init", "--not-durable")
    (pfs.home / "text").write_bytes(LINES)
    pfs.good("put", "text", "pfs:")
    pfs.good("derive", "sevens", "grep", "text", "--arg", "pattern=7")
    pfs.good("derive", "deep/both", "grep", "sevens", "--arg", "pattern=3")
    return pfs


def sizes(pfs: Pfs, *paths: str) -> list[object]:
    return [pfs.good("stat", "--json", path).records[0]["size"] for path in paths]


def test_it_runs_when_it_is_read_and_not_before(derived: Pfs) -> None:
    assert sizes(derived, "sevens", "deep/both") == [0, 0]
    assert "derived, not run yet" in derived.good("stat", "sevens").text
    assert "CALL " in derived.good("disasm", "pfs:sevens").text
    assert derived.good("cat", "deep/both").out == BOTH
    assert sizes(derived, "sevens", "deep/both") == [0, len(BOTH)]
    assert derived.good("cat", "sevens").out == SEVENS
    assert "derived" not in derived.good("stat", "sevens").text


def test_it_stays_derived_of_what_its_source_was(derived: Pfs) -> None:
    derived.good("rm", "text", "sevens")
    derived.good("gc")
    assert derived.good("check").code == 0
    assert derived.good("cat", "deep/both").out == BOTH


def test_commands_read_it_as_any_file(derived: Pfs) -> None:
    derived.good("get", "sevens", "out")
    assert (derived.home / "out").read_bytes() == SEVENS
    ended = derived.good("run", "--json", "count", "pfs:deep/both", "--records", "line")
    assert ended.records[-1]["bytes"] == len(BOTH)


def test_snapshots_and_copies_have_its_content(derived: Pfs) -> None:
    derived.good("snapshots", "--take", "then")
    assert derived.good("cat", "--snapshot", "then", "deep/both").out == BOTH
    derived.good("derive", "twice", "grep", "text", "--arg", "pattern=77")
    derived.good("sync", "pfs:", "copy")
    assert (derived.home / "copy" / "twice").read_bytes() == b"".join(
        line for line in LINES.splitlines(keepends=True) if b"77" in line
    )


def test_another_machine_is_sent_content(derived: Pfs) -> None:
    shell = derived.home / "shell"
    shell.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    shell.chmod(0o755)
    far = ("--far-command", " ".join(COMMAND), "--far-pool", os.fspath(derived.pool), "-e", os.fspath(shell))
    derived.good("sync", *far, "host:pfs:", "copy")
    assert (derived.home / "copy" / "deep" / "both").read_bytes() == BOTH


def test_it_cannot_run_while_another_process_writes(derived: Pfs) -> None:
    with Pool.open(os.fspath(derived.pool), writable=True):
        assert derived("cat", "sevens").code == ExitCode.LOCKED
    assert derived.good("cat", "sevens").out == SEVENS


def test_what_makes_no_file_says_why(derived: Pfs) -> None:
    for name, text in (("lavish", LAVISH), ("wild", "ldxdw r0, [r2+0]\ncall 4096\nexit")):
        (derived.home / f"{name}.pfs").write_bytes(encode_program(Program(pad(assemble(text)))))
        derived.good("derive", name, f"{name}.pfs", "text", "--records", "line")
    assert "makes more than" in derived("cat", "lavish").err
    assert "faulted" in derived("cat", "wild").err
    assert "emits nothing" in derived("derive", "out", "wc", "text").err
    assert derived("derive", "out", "grep", "nothing", "--arg", "pattern=7").code == ExitCode.NOT_FOUND


@pytest.fixture
def wild(derived: Pfs) -> Pfs:
    """Beside what can be derived, `wild` of a program that faults."""
    (derived.home / "wild.pfs").write_bytes(encode_program(Program(pad(assemble("ldxdw r0, [r2+0]\ncall 4096\nexit")))))
    derived.good("derive", "wild", "wild.pfs", "text", "--records", "line")
    return derived


def test_what_cannot_be_made_keeps_nothing_else_from_being_copied(wild: Pfs) -> None:
    wild.good("get", "sevens", "out")
    assert (wild.home / "out").read_bytes() == SEVENS
    wild.good("snapshots", "--take", "then")
    assert wild.good("cat", "--snapshot", "then", "deep/both").out == BOTH
    (wild.home / "got").mkdir()
    shell = wild.home / "shell"
    shell.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    shell.chmod(0o755)
    far = ("--far-command", " ".join(COMMAND), "--far-pool", os.fspath(wild.pool), "-e", os.fspath(shell))
    for command in (
        ("get", "/", "got"),
        ("sync", "pfs:", "first"),
        ("sync", "pfs:", "first"),
        ("sync", *far, "host:pfs:", "pulled"),
    ):
        ended = wild(*command)
        assert (ended.code, ended.err.count("wild: ")) == (ExitCode.PARTIAL, 1), ended.err
        assert "has not run yet" in ended.err
        there = wild.home / command[-1]
        assert sorted(path.name for path in there.iterdir()) == ["deep", "sevens", "text"]
        assert (there / "deep" / "both").read_bytes() == BOTH


def test_python_reads_it(derived: Pfs) -> None:
    with packetfs.Pool(derived.pool) as pool:
        assert pool.read_bytes("sevens") == SEVENS
        pool.snapshot("now")
    with packetfs.Pool(derived.pool, snapshot="now") as pool:
        assert pool.read_bytes("deep/both") == BOTH


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "mnt"
    where.mkdir()
    yield where
    detach_anyhow(where)


@needs_mount
def test_a_mount_runs_it_when_it_is_opened(derived: Pfs, place: Path) -> None:
    derived.good("mount", os.fspath(derived.pool), os.fspath(place))
    both = place / "deep" / "both"
    assert both.stat().st_size == 0
    assert both.read_bytes() == BOTH
    assert both.stat().st_size == len(BOTH)
    with (place / "sevens").open("ab") as file:
        file.write(b"more")
    assert (place / "sevens").read_bytes() == SEVENS + b"more"
    derived.good("umount", os.fspath(place))
    assert derived.good("cat", "sevens").out == SEVENS + b"more"


@needs_mount
def test_a_mount_can_refuse_to_run_it(derived: Pfs, place: Path) -> None:
    derived.good("mount", "-o", "noderive", os.fspath(derived.pool), os.fspath(place))
    with pytest.raises(OSError, match="not supported") as raised:
        (place / "sevens").read_bytes()
    assert raised.value.errno == errno.EOPNOTSUPP
    assert (place / "text").read_bytes() == LINES
