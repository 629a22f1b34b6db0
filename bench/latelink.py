"""ssh through a line that is slow to answer: `latelink.py SECONDS -- SSH... ARGUMENTS`

ssh reaches its server through a ProxyCommand, this file again, which delivers each piece SECONDS late both ways: so
the handshakes of TCP's payload, of ssh and of what it carries all wait, as on a real line of that length.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
import time
from queue import SimpleQueue

CHUNK = 1 << 18


def carry(port: int, delay: float) -> None:
    with socket.create_connection(("127.0.0.1", port)) as far:
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(2 * delay)  # TCP's own round trip
        back = threading.Thread(target=pump, args=(far.fileno(), 1, delay), daemon=True)
        back.start()
        pump(0, far.fileno(), delay)
        far.shutdown(socket.SHUT_WR)
        back.join()


def pump(source: int, sink: int, delay: float) -> None:
    late: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
    thread = threading.Thread(target=deliver, args=(late, sink), daemon=True)
    thread.start()
    try:
        while data := os.read(source, CHUNK):
            late.put((time.monotonic() + delay, data))
    except OSError:
        pass  # the other end is gone
    late.put((time.monotonic() + delay, b""))
    thread.join()


def deliver(late: SimpleQueue[tuple[float, bytes]], sink: int) -> None:
    while True:
        due, data = late.get()
        time.sleep(max(0.0, due - time.monotonic()))
        if not data:
            return
        try:
            while data:
                data = data[os.write(sink, data) :]
        except OSError:
            return


def main() -> None:
    if sys.argv[1] == "--carry":
        carry(int(sys.argv[3]), float(sys.argv[2]))
        return
    delay, ssh = sys.argv[1], sys.argv[3:]
    proxy = shlex.join([sys.executable, "-I", "-S", __file__, "--carry", delay]) + " %p"
    os.execvp(ssh[0], [ssh[0], f"-oProxyCommand={proxy}", *ssh[1:]])


if __name__ == "__main__":
    main()
