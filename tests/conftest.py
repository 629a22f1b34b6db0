"""Options of the whole test run (few faults by default, many by `make faults`), and the same data at each run.

A test is given the same at each run, and passes on a busy machine too: random data has a fixed seed, and Hypothesis
neither times its examples nor draws others each time. New ones are searched for by `fuzz/`.
"""

from __future__ import annotations

import random
import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("same")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=8, help="kills at random moments of a sync (make faults: 200)")
    parser.addoption("--flips", type=int, default=12, help="bytes of a pool to flip, one at a time (make faults: 400)")
    parser.addoption("--fault-seed", type=int, default=1, help="seed of the moments and of the trees")


@pytest.fixture(autouse=True)
def _same_data_at_each_run() -> None:
    random.seed(7)
