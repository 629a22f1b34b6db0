"""Stand between two sides as ssh would: `relay.py [options] HOST COMMAND...` runs COMMAND here and pumps its streams.

It counts bytes each way and turns, moves them by splice so that it costs little, and can be a bad link: slow to answer
(--delay), cut after so many bytes (--cut), or held up until a file appears (--hold BYTES:FILE; FILE.held then tells
that it is). --far replaces COMMAND by another. Run it with `python -I -S`: it needs only the interpreter, and its
start-up delays every measured run.

The report is written when the far side has ended, and is one line: up, down, turns, CPU seconds of the relay, CPU
seconds of the far side, its exit status.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
from _thread import allocate_lock, start_new_thread

CHUNK = 1 << 20
FLAGS = {"--report", "--processes", "--cut", "--hold", "--delay", "--set", "--far"}
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Link:
    """The bytes that passed, by direction, and what is wrong with the link."""

    def __init__(self, options: dict[str, str]) -> None:
        self.passed = [0, 0]
        self.turns = 0
        self.moving = (allocate_lock(), allocate_lock())
        self.last = -1
        self._cut = int(options.get("--cut", "0"))
        hold, _, self._gate = options.get("--hold", "0:").partition(":")
        self._hold = int(hold)

    def room(self) -> int:
        """Give the bytes that may pass next; never return once the link is cut."""
        total = sum(self.passed)
        if self._cut and total >= self._cut:
            os._exit(255)
        if self._hold and total >= self._hold:
            self._wait_for_gate()
        ends = [end - total for end in (self._cut, self._hold) if end > total]
        return min([CHUNK, *ends])

    def _wait_for_gate(self) -> None:
        self._hold = 0
        write(self._gate + ".held", "")
        while not os.path.exists(self._gate):
            time.sleep(0.002)

    def turn(self, direction: int) -> None:
        """Note who speaks, before the words are passed on: else the answer could be noted first."""
        if direction != self.last:
            self.last = direction
            self.turns += 1


def pump(source: int, sink: int, direction: int, link: Link) -> None:
    try:
        while pass_on(source, sink, direction, link):
            pass
    except OSError:
        pass  # the reader has gone; whoever is left sees the end of its stream


def pass_on(source: int, sink: int, direction: int, link: Link) -> int:
    """Move what is there. The lock keeps the report from being written between moving and counting."""
    wait(source, select.POLLIN)
    room, before = link.room(), (link.turns, link.last)
    with link.moving[direction]:
        link.turn(direction)
        size = splice_some(source, sink, room)
        link.passed[direction] += size
    if not size:
        link.turns, link.last = before  # the end of a stream is no turn
    return size


def splice_some(source: int, sink: int, room: int) -> int:
    """Never blocking: a blocking splice from a socket waits until all of `room` has come, and rsync brings one."""
    while True:
        try:
            return os.splice(source, sink, room, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            wait(sink, select.POLLOUT)


def wait(descriptor: int, event: int) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    poll.poll()


def pump_late(source: int, sink: int, direction: int, link: Link, delay: float) -> None:
    """Deliver everything `delay` seconds after it was sent, and read on meanwhile, as a long line does."""
    queue: list[tuple[float, bytes]] = []
    start_new_thread(deliver, (queue, sink))
    while data := os.read(source, CHUNK):
        link.turn(direction)
        link.passed[direction] += len(data)
        queue.append((time.monotonic() + delay, data))
    queue.append((time.monotonic() + delay, b""))
    while queue:
        time.sleep(0.001)


def deliver(queue: list[tuple[float, bytes]], sink: int) -> None:
    while True:
        if not queue or queue[0][0] > time.monotonic():
            time.sleep(0.0002)
            continue
        data = queue[0][1]
        try:
            while data:
                data = data[os.write(sink, data) :]
        except OSError:
            return
        if not queue.pop(0)[1]:
            return


def parse(arguments: list[str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Split off our options, and skip what an ssh client would take before the host (scp passes some)."""
    options: dict[str, str] = {}
    environment: dict[str, str] = {}
    while arguments and arguments[0].startswith("-"):
        flag = arguments.pop(0)
        if flag == "--set":
            name, _, value = arguments.pop(0).partition("=")
            environment[name] = value
        elif flag in FLAGS:
            options[flag] = arguments.pop(0)
    return options, environment, arguments[1:]


def start(command: str, environment: dict[str, str]) -> tuple[int, int, int]:
    """Run the command by the shell, as sshd does; exec keeps the shell out of the figures."""
    stdin, to_far = os.pipe()
    from_far, stdout = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", "exec " + command],
        {**os.environ, **environment},
        file_actions=actions,
        setsigdef=IGNORED_BY_PYTHON,
    )
    os.close(stdin)
    os.close(stdout)
    return pid, to_far, from_far


def feed(to_far: int, link: Link, delay: float) -> None:
    if delay:
        pump_late(0, to_far, 0, link, delay)
    else:
        pump(0, to_far, 0, link)
    os.close(to_far)


def main() -> None:
    options, environment, command = parse(sys.argv[1:])
    link, delay = Link(options), float(options.get("--delay", "0"))
    pid, to_far, from_far = start(options.get("--far") or " ".join(command), environment)
    if "--processes" in options:
        write(options["--processes"], f"{os.getpid()} {pid}\n")
    start_new_thread(feed, (to_far, link, delay))
    if delay:
        pump_late(from_far, 1, 1, link, delay)
    else:
        pump(from_far, 1, 1, link)
    os.close(from_far)
    os.close(1)
    _, status, usage = os.wait4(pid, 0)
    far = usage.ru_utime + usage.ru_stime
    own = resource.getrusage(resource.RUSAGE_SELF)
    if "--report" in options:
        with link.moving[0]:
            up, down = link.passed
        figures = f"{up} {down} {link.turns} {own.ru_utime + own.ru_stime} {far} {status}\n"
        write(options["--report"], figures)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def write(path: str, text: str) -> None:
    """Make the file appear whole: others poll for it."""
    with open(path + ".part", "w") as out:
        out.write(text)
    os.rename(path + ".part", path)


if __name__ == "__main__":
    main()
