"""Threads beside the loop of a mount: what becomes of a job where the system lets none begin."""

from __future__ import annotations

import threading

import pytest

from packetfs.frontends.mount.operations import Later
from packetfs.frontends.mount.workers import Workers


@pytest.mark.parametrize("begun", [0, 1])
def test_a_job_is_done_where_no_more_threads_begin(monkeypatch: pytest.MonkeyPatch, begun: int) -> None:
    begin, left, done = threading.Thread.start, [begun], list[tuple[int, threading.Thread]]()
    first, both = threading.Event(), threading.Event()

    def start(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        begin(thread)

    def finish(unique: int, job: Later) -> None:
        done.append((unique, threading.current_thread()))
        job()

    def wait() -> list[bytes]:
        if begun:
            first.wait(60)  # so that the other one needs a thread of its own
        return []

    def tell() -> list[bytes]:
        both.set()
        return []

    monkeypatch.setattr(threading.Thread, "start", start)
    workers = Workers(finish)
    workers.start(1, wait)
    workers.start(2, tell)
    first.set()
    assert both.wait(60)
    assert [unique for unique, _ in done] == [1, 2]
    assert {thread is threading.current_thread() for _, thread in done} == {not begun}
    workers.close()
