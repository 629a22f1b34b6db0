"""`pfs run` remembers what it computed over files in a pool; `pfs memo` tells of it."""

from __future__ import annotations

import os

from packetfs.pool.pool import Pool
from tests.frontends.command import Pfs

LINES = b"".join(b"line %d\n" % number for number in range(60_000))


def test_a_second_run_computes_nothing_and_says_so(pfs: Pfs) -> None:
    pfs.good("init", "--not-durable")
    (pfs.home / "text").write_bytes(LINES)
    pfs.good("put", "text", "pfs:")
    run = ("run", "grep", "--arg", "pattern=7", "--shard", "65536", "pfs:text")
    ended = [pfs.good(*run), pfs.good(*run), pfs.good(*run, "--no-memo")]
    assert len({found.out for found in ended}) == 1
    assert [" remembered)" in found.err for found in ended] == [False, True, False]
    counts = pfs.good("memo", "--json").records[0]
    assert counts["recalled"] == counts["run"] != 0
    assert "50.0%" in pfs.good("memo").text
    for words in (["--clear"], ["clear"]):
        assert "freed" in pfs.good("memo", *words).err
        assert " remembered)" not in pfs.good(*run).err


def test_while_another_process_writes_nothing_is_remembered(pfs: Pfs) -> None:
    pfs.good("init", "--not-durable")
    (pfs.home / "text").write_bytes(LINES)
    pfs.good("put", "text", "pfs:")
    with Pool.open(os.fspath(pfs.pool), writable=True):
        ended = pfs.good("run", "wc", "pfs:text")
        assert "not remembered: " in ended.err
    assert "60,000" in ended.text
    assert pfs.good("memo", "--json").records[0]["results"] == 0
