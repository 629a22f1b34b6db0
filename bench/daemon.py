"""Throughput of a TLS daemon on loopback: `python -m bench.daemon [--size 1000] [--rounds 3] [--out DIR]`.

A file of incompressible bytes goes into an empty path of a pool behind `pfs serve --listen`, from the start of the
client to the answer that all is committed. Beside it, in each round: so many bytes by TLS alone, and the same sync over
pipes. CPU time is that of client and server; on a busy machine the wall says little, and what the slower side computes
bounds what an idle machine with two cores does.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from packetfs.net.access.identity import certificate_of, fingerprint, make_identity
from packetfs.net.access.keys import Key, KeyRing, Servers
from packetfs.net.link.tls import Credentials, admit, dial, identify, server_context
from packetfs.net.link.visitor import server_identity

MB = 1_000_000
MUST = 300.0
PFS: tuple[str, ...] = (sys.executable, "-m", "packetfs")


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one transfer: wall, and CPU of both sides."""

    wall: float
    near: float
    far: float


class Place:
    """A fresh pool with a daemon in front of it, below a directory."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.environment = {**os.environ, "XDG_DATA_HOME": str(base)}
        subprocess.run([*PFS, "init", "-q", "--pool", str(base / "pool")], check=True)
        self.keys = str(base / "packetfs" / "keys")
        make_identity(server_identity(self.keys), "bench")
        mark = fingerprint(certificate_of(server_identity(self.keys)))
        self.token = KeyRing(self.keys).add(Key("bench", "", "", "", (), ("pfs:",)), mark)

    def push(self, file: Path, destination: str) -> tuple[float, float]:
        """Sync a file; return seconds of wall and of the CPU of what this process started and has waited for."""
        before, started = children(), time.perf_counter()
        command = [*PFS, "sync", "-q", "--pool", str(self.base / "pool"), str(file), destination]
        subprocess.run(command, check=True, env=self.environment)
        return time.perf_counter() - started, children() - before

    def by_daemon(self, file: Path) -> Took:
        command = [*PFS, "serve", "--listen", "127.0.0.1:0", "--pool", str(self.base / "pool")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=self.environment) as daemon:
            assert daemon.stdout is not None
            address = daemon.stdout.readline().split()[-1].decode()
            Servers(self.keys).trust(address, self.token)
            wall, near = self.push(file, f"pfs+tls://{address}/pfs:daemon/")
            before = children()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
            return Took(wall, near, children() - before)

    def by_pipes(self, file: Path) -> Took:
        wall, both = self.push(file, "pfs:pipes/")
        return Took(wall, both, 0.0)

    def by_tls_alone(self, size: int) -> Took:
        """Send as many bytes from one thread to another; the CPU is that of both."""
        listening = socket.create_server(("127.0.0.1", 0))
        data = os.urandom(MB)
        started, before = time.perf_counter(), time.process_time()

        def send() -> None:
            address = f"127.0.0.1:{listening.getsockname()[1]}"
            stream = dial(address, Credentials(self.token, ""))
            for _ in range(size // MB):
                stream.write([data])
            stream.close()

        thread = threading.Thread(target=send)
        thread.start()
        ring = KeyRing(self.keys)
        stream, until = admit(listening.accept()[0], server_context(server_identity(self.keys), ring))
        identify(stream, ring, until)
        view = memoryview(bytearray(MB))
        while stream.read_into(view):
            pass
        wall, cpu = time.perf_counter() - started, time.process_time() - before
        stream.close()
        thread.join()
        listening.close()
        return Took(wall, cpu / 2, cpu / 2)


def children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def measure(base: Path, size: int, seed: int) -> dict[str, Took]:
    """Run each way once, with content that no pool has."""
    place, file = Place(base), base / "file"
    random = Random(seed)
    with file.open("wb") as out:
        for _ in range(size // MB):
            out.write(random.randbytes(MB))
    os.sync()
    found = {"daemon": place.by_daemon(file), "TLS alone": place.by_tls_alone(size)}
    with file.open("r+b") as out:
        for at in range(0, size, 16_000):
            out.seek(at)
            out.write(random.randbytes(8))
    os.sync()
    found["pipes"] = place.by_pipes(file)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1000, metavar="MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where the data lies meanwhile (default: the system's choice)")
    options = parser.parse_args()
    best: dict[str, Took] = {}
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=options.out, prefix="bench-daemon-") as base:
            for way, took in measure(Path(base), options.size * MB, number).items():
                best[way] = min(took, best.get(way, took), key=lambda took: took.wall)
    for way, took in best.items():
        cpu = f"CPU {took.near:.2f} + {took.far:.2f} s" if took.far else f"CPU {took.near:.2f} s"
        print(f"{way:10} {options.size / took.wall:7.0f} MB/s  {took.wall:.2f} s  {cpu}")
    daemon = best["daemon"]
    rate, bound = options.size / daemon.wall, options.size / max(daemon.near, daemon.far)
    verdict = "ok" if rate >= MUST else "MISSED"
    print(f"{verdict}: {rate:.0f} MB/s, at least {MUST:.0f}; the busier side's CPU allows {bound:.0f}")
    return 0 if rate >= MUST else 1


if __name__ == "__main__":
    sys.exit(main())
