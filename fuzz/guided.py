"""Coverage-guided fuzzing of the decoders and of both session machines: atheris finds what inputs reach.

    python -m fuzz.guided decoders|receiver|sender [--runs 100000] [--seconds 60] [--corpus DIR] [--seed 1]

With --blind, inputs are bent at random instead, without atheris and ten times as fast. atheris is no dependency of the
project: `pip install atheris` where it is to run. Nothing but PacketFSError and OSError may come out, in seconds, and
memory stays bounded. What breaks that ends the process with a traceback and the input.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from packetfs.errors import PacketFSError


def swallow(feed: Callable[[bytes], None], data: bytes) -> None:
    """Feed an input; the errors that may come out are no news."""
    with suppress(PacketFSError, OSError, struct.error):
        feed(data)


def blind(options: argparse.Namespace) -> int:
    """Bend seeds at random until runs or seconds are over; an input that breaks a rule is shown and ends it."""
    from fuzz.machines import HARNESSES, seeds
    from fuzz.wire import bend

    feed, rng = HARNESSES[options.what](), random.Random(options.seed)
    signal.signal(signal.SIGPROF, _expire)
    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as base:
        seeds(options.what, Path(base))
        known = [path.read_bytes() for path in sorted(Path(base).iterdir())]
    end, runs = time.monotonic() + (options.seconds or math.inf), 0
    while runs != options.runs and time.monotonic() < end:
        data = rng.choice(known)
        signal.setitimer(signal.ITIMER_PROF, 20)  # of CPU: a busy machine is no hang
        for _ in range(200):
            bent = bend(rng, data) if rng.random() < 0.7 else bend(rng, bend(rng, data))
            try:
                swallow(feed, bent)
            except BaseException:
                print(f"FAULT seed {options.seed}: {bent.hex()}", flush=True)
                raise
            runs += 1
    print(f"{runs} runs of {options.what}, no fault, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    return 0


def _expire(_: int, __: FrameType | None) -> None:
    raise RuntimeError("200 inputs took 20 seconds")  # no OSError, which would pass


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("decoders", "receiver", "sender"))
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seconds", type=int, help="0 is for ever; 60 where the runs are not said either")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="where inputs that reached something new are kept")
    parser.add_argument("--blind", action="store_true", help="bend inputs at random, without looking what they reach")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 60 if options.runs < 0 else 0
    if options.blind:
        return blind(options)
    import atheris

    with atheris.instrument_imports(include=["packetfs.net", "packetfs.packet"]):
        from fuzz.machines import HARNESSES, seeds
    feed = HARNESSES[options.what]()
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="fuzz-corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    seeds(options.what, corpus)

    limits = [f"-runs={options.runs}", f"-max_total_time={options.seconds}", f"-seed={options.seed}"]
    bounds = ["-max_len=65536", "-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *bounds, os.fspath(corpus)], lambda data: swallow(feed, data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
