"""`pfs keys`: what a key is for, a token on its way, and the servers that a client keeps tokens for."""

from __future__ import annotations

import pytest

from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.records import BY_TYPE
from tests.frontends.command import Pfs


@pytest.fixture
def token(pfs: Pfs) -> bytes:
    """A token of the key `laptop`."""
    return pfs.good("keys", "add", "laptop", "--write", "pfs:laptop").out


def test_a_key_is_for_a_directory_that_is_there(pfs: Pfs) -> None:
    ended = pfs("keys", "add", "laptop", "--write", "lost")
    assert ended.code == ExitCode.NOT_FOUND
    assert ended.err.startswith(f"pfs: There is no directory {pfs.home}/lost, which the key is for.\nhint: Make it")
    assert pfs.good("keys", "list").out == b""


@pytest.mark.parametrize("option", ["--sync-max", "--stored-max", "--bwlimit"])
@pytest.mark.parametrize("size", ["0", "0K", ""])
def test_a_quota_of_nothing_is_not_taken_for_none(pfs: Pfs, option: str, size: str) -> None:
    ended = pfs("keys", "add", "laptop", "--write", "pfs:laptop", option, size)
    assert ended.code == ExitCode.USAGE
    assert pfs.good("keys", "list").out == b""


def test_a_key_has_a_name(pfs: Pfs) -> None:
    ended = pfs("keys", "add", "", "--read", "pfs:")
    assert ended.code == ExitCode.USAGE
    assert "a key needs a name" in ended.err


def test_servers_are_listed_and_forgotten(pfs: Pfs, token: bytes) -> None:
    assert pfs.good("keys", "servers").out == b""
    pfs.good("keys", "trust", "one.example:7000", stdin=token)
    pfs.good("keys", "trust", "two.example", stdin=token)
    fingerprint = pfs.good("keys", "fingerprint").text
    assert pfs.good("keys", "servers").text == f"one.example:7000: {fingerprint}two.example:7272: {fingerprint}"
    pfs.good("keys", "forget", "two.example")
    (server,) = pfs.good("keys", "servers", "--json").records
    assert server.pop("type") == "server"
    assert set(server) == set(BY_TYPE["server"].fields)
    assert server["address"] == "one.example:7000"
    ended = pfs("keys", "forget", "two.example")
    assert ended.code == ExitCode.NOT_FOUND
    assert ended.err.startswith("pfs: No token for two.example:7272 is kept here.")


def test_a_token_with_a_wrong_letter_is_not_kept(pfs: Pfs, token: bytes) -> None:
    wrong = token[:20] + (b"-" if token[20:21] != b"-" else b"_") + token[21:]
    ended = pfs("keys", "trust", "one.example", stdin=wrong)
    assert ended.code == ExitCode.USAGE
    assert "a letter of it is wrong" in ended.err
    assert pfs.good("keys", "servers").out == b""


def test_a_list_of_keys_tells_what_each_may_do(pfs: Pfs) -> None:
    pfs.good("keys", "add", "phone", "--write", "pfs:phone", "--sync-max", "1GB", "--stored-max", "20GB", "--run")
    pfs.good("keys", "add", "a\nb", "--read", "pfs:")
    assert pfs.good("keys", "list").text == (
        "phone: write pfs:phone, run programs, at most 1.00 GB a sync, at most 20.0 GB stored\na\\nb: read pfs:\n"
    )
